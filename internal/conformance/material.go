package conformance

import (
	"fmt"
	"strings"
	"time"
)

// rotation: what was encrypted before a rotation is decrypted after it.
func (b *book) rotation() {
	b.key("r", `{}`)
	b.ok("EnableKeyRotation", `{"KeyId":"$r","RotationPeriodInDays":90}`)
	b.ok("GetKeyRotationStatus", `{"KeyId":"$r"}`, "KeyRotationEnabled==true", "RotationPeriodInDays==90")
	b.ok("DisableKeyRotation", `{"KeyId":"$r"}`)
	b.ok("GetKeyRotationStatus", `{"KeyId":"$r"}`, "KeyRotationEnabled==false")
	b.ok("Encrypt", `{"KeyId":"$r","Plaintext":"`+hello+`"}`, "before=CiphertextBlob")
	const mostRotations = 25
	for range mostRotations {
		b.ok("RotateKeyOnDemand", `{"KeyId":"$r"}`, "KeyId==$r_arn")
	}
	b.refused("RotateKeyOnDemand", "LimitExceeded", `{"KeyId":"$r"}`)
	b.ok("ListKeyRotations", `{"KeyId":"$r","Limit":1}`, "Rotations.0.RotationType==ON_DEMAND", "Truncated==true", "marker=NextMarker")
	b.ok("ListKeyRotations", `{"KeyId":"$r","Limit":1,"Marker":"$marker"}`)
	b.ok("Decrypt", `{"CiphertextBlob":"$before"}`, "Plaintext=="+hello)

	b.key("unrotatable", `{"KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC"}`)
	for _, action := range []string{"EnableKeyRotation", "RotateKeyOnDemand"} {
		b.refused(action, "UnsupportedOperation", `{"KeyId":"$unrotatable"}`)
	}
}

// imports: material is imported, used, deleted, and imported again.
func (b *book) imports() {
	b.key("i", `{"Origin":"EXTERNAL"}`)
	parameters := func(algorithm string) string {
		return `{"KeyId":"$i","WrappingAlgorithm":"` + algorithm + `","WrappingKeySpec":"RSA_2048"}`
	}
	material := func(algorithm, material, more string) string {
		return `{"KeyId":"$i","ImportToken":"$token","EncryptedKeyMaterial":"${wrap ` + algorithm + ` $wrapping ` + material + `}",` + more + `}`
	}
	const forever = `"ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"`
	first, other := kinds["symmetric"].material, strings.Repeat("a5", 32)
	for i, algorithm := range []string{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"} {
		b.ok("GetParametersForImport", parameters(algorithm), importSaves...)
		b.ok("ImportKeyMaterial", material(algorithm, first, forever), "material=KeyMaterialId")
		if i == 0 {
			b.ok("Encrypt", `{"KeyId":"$i","Plaintext":"`+hello+`"}`, "sealed=CiphertextBlob")
		}
		b.ok("Decrypt", `{"CiphertextBlob":"$sealed"}`, "Plaintext=="+hello)
		b.ok("DeleteImportedKeyMaterial", `{"KeyId":"$i"}`)
	}
	const algorithm = "RSAES_OAEP_SHA_256"
	b.refused("ImportKeyMaterial", "IncorrectKeyMaterial", material(algorithm, other, forever))
	b.refused("ImportKeyMaterial", "InvalidImportToken", strings.Replace(material(algorithm, first, forever), "$token", hello, 1))
	b.refused("ImportKeyMaterial", "InvalidCiphertext", `{"KeyId":"$i","ImportToken":"$token","EncryptedKeyMaterial":"`+hello+`",`+forever+`}`)
	b.ok("ImportKeyMaterial", material(algorithm, first, forever))
	b.ok("ImportKeyMaterial", material(algorithm, other, forever+`,"ImportType":"NEW_KEY_MATERIAL"`))
	b.ok("ListKeyRotations", `{"KeyId":"$i","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}`)
	b.ok("RotateKeyOnDemand", `{"KeyId":"$i"}`)
	b.ok("Decrypt", `{"CiphertextBlob":"$sealed"}`, "Plaintext=="+hello)

	b.key("own", `{}`)
	b.refused("GetParametersForImport", "UnsupportedOperation", strings.Replace(parameters(algorithm), "$i", "$own", 1))
	b.refused("ImportKeyMaterial", "UnsupportedOperation", strings.Replace(material(algorithm, first, forever), "$i", "$own", 1))
	b.refused("DeleteImportedKeyMaterial", "UnsupportedOperation", `{"KeyId":"$own"}`)
}

// later is what takes a clock: it sets the server's on, so nothing comes after it.
func (b *book) later() {
	b.key("i", `{"Origin":"EXTERNAL"}`)
	b.do("GetParametersForImport", strings.Replace(importParameters, "$key", "$i", 1), importSaves...)
	b.refused("ImportKeyMaterial", "ExpiredImportToken", strings.Replace(importMaterial("symmetric"), "$key", "$i", 1))
	last := &b.steps[len(b.steps)-1]
	last.Needs, last.After = Clock, 25*time.Hour
}

// multiRegion: a key that is the same in two Regions.
func (b *book) multiRegion() {
	b.key("m", `{"MultiRegion":true}`)
	b.ok("ReplicateKey", `{"KeyId":"$m","ReplicaRegion":"$other_region"}`, "ReplicaKeyMetadata.KeyId==$m")
	b.refused("ReplicateKey", "AlreadyExists", `{"KeyId":"$m","ReplicaRegion":"$other_region"}`)
	b.ok("Encrypt", `{"KeyId":"$m","Plaintext":"`+hello+`"}`, "here=CiphertextBlob")
	b.elsewhere(func() {
		b.ok("Decrypt", `{"CiphertextBlob":"$here","KeyId":"$m"}`, "Plaintext=="+hello)
		b.ok("DescribeKey", `{"KeyId":"$m"}`, "KeyMetadata.MultiRegionConfiguration.MultiRegionKeyType==REPLICA")
	})
	b.ok("UpdatePrimaryRegion", `{"KeyId":"$m","PrimaryRegion":"$other_region"}`)
	b.elsewhere(func() {
		b.ok("DescribeKey", `{"KeyId":"$m"}`, "KeyMetadata.MultiRegionConfiguration.MultiRegionKeyType==PRIMARY")
	})
	b.refused("ReplicateKey", "UnsupportedOperation", `{"KeyId":"$m","ReplicaRegion":"$other_region"}`)
	b.refused("UpdatePrimaryRegion", "UnsupportedOperation", `{"KeyId":"$m","PrimaryRegion":"$region"}`)
	b.key("m", `{"MultiRegion":true}`)
	b.refused("ReplicateKey", "MalformedPolicyDocument", `{"KeyId":"$m","ReplicaRegion":"$other_region","Policy":"{}"}`)
	b.refused("ReplicateKey", "Tag", `{"KeyId":"$m","ReplicaRegion":"$other_region","Tags":[{"TagKey":"aws:a","TagValue":""}]}`)
}

// elsewhere writes steps for the second Region.
func (b *book) elsewhere(write func()) {
	b.region = Elsewhere
	defer func() { b.region = "" }()
	write()
}

// stores: an external key store from its making to its end.
func (b *book) stores() {
	b.needs = Proxy
	defer func() { b.needs = "" }()
	body := func(name, endpoint, path, secret string) string {
		return `{"CustomKeyStoreName":"` + name + `","CustomKeyStoreType":"EXTERNAL_KEY_STORE","XksProxyUriEndpoint":"` + endpoint + `","XksProxyUriPath":"` + path + `",` +
			`"XksProxyConnectivity":"PUBLIC_ENDPOINT","XksProxyAuthenticationCredential":{"AccessKeyId":"$xks_access_key","RawSecretAccessKey":"` + secret + `"}}`
	}
	const store, nowhere = `{"CustomKeyStoreId":"$store"}`, `{"CustomKeyStoreId":"cks-1234567890abcdef0"}`
	wrong := strings.Repeat("A", 43)
	b.refused("CreateCustomKeyStore", "XksProxyIncorrectAuthenticationCredential", body("outer", "$xks_endpoint", "$xks_path", wrong))
	b.refused("CreateCustomKeyStore", "XksProxyUriUnreachable", body("outer", "https://nowhere.invalid", "$xks_path", "$xks_secret"))
	b.refused("CreateCustomKeyStore", "XksProxyInvalidConfiguration", body("outer", "$xks_endpoint", "/elsewhere$xks_path", "$xks_secret"))
	b.refused("CreateCustomKeyStore", "XksProxyVpcEndpointServiceNotFound", strings.Replace(body("outer", "$xks_endpoint", "$xks_path", "$xks_secret"),
		`"PUBLIC_ENDPOINT"`, `"VPC_ENDPOINT_SERVICE","XksProxyVpcEndpointServiceName":"com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"`, 1))
	b.refused("CreateCustomKeyStore", "CloudHsmClusterNotFound", `{"CustomKeyStoreName":"hsm","CustomKeyStoreType":"AWS_CLOUDHSM","CloudHsmClusterId":"cluster-2a3b4c5d6e7f","TrustAnchorCertificate":"x","KeyStorePassword":"password"}`)
	b.ok("CreateCustomKeyStore", body("outer", "$xks_endpoint", "$xks_path", "$xks_secret"), "store=CustomKeyStoreId")
	b.refused("CreateCustomKeyStore", "CustomKeyStoreNameInUse", body("outer", "$xks_endpoint", "/another$xks_path", "$xks_secret"))
	b.refused("CreateCustomKeyStore", "XksProxyUriInUse", body("another", "$xks_endpoint", "$xks_path", "$xks_secret"))
	b.ok("DescribeCustomKeyStores", store, "CustomKeyStores.0.ConnectionState==DISCONNECTED")
	b.refused("DescribeCustomKeyStores", "InvalidMarker", `{"Marker":"made-up"}`)
	for _, action := range []string{"ConnectCustomKeyStore", "DeleteCustomKeyStore", "DescribeCustomKeyStores", "DisconnectCustomKeyStore", "UpdateCustomKeyStore"} {
		b.refused(action, "CustomKeyStoreNotFound", nowhere)
	}
	b.refused("UpdateCustomKeyStore", "XksProxyIncorrectAuthenticationCredential", `{"CustomKeyStoreId":"$store","XksProxyAuthenticationCredential":{"AccessKeyId":"$xks_access_key","RawSecretAccessKey":"`+wrong+`"}}`)
	b.refused("UpdateCustomKeyStore", "XksProxyUriUnreachable", `{"CustomKeyStoreId":"$store","XksProxyUriEndpoint":"https://nowhere.invalid"}`)
	b.refused("UpdateCustomKeyStore", "XksProxyInvalidConfiguration", `{"CustomKeyStoreId":"$store","XksProxyUriPath":"/elsewhere$xks_path"}`)
	b.refused("UpdateCustomKeyStore", "XksProxyVpcEndpointServiceNotFound", `{"CustomKeyStoreId":"$store","XksProxyConnectivity":"VPC_ENDPOINT_SERVICE","XksProxyVpcEndpointServiceName":"com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"}`)
	b.ok("UpdateCustomKeyStore", `{"CustomKeyStoreId":"$store","NewCustomKeyStoreName":"outside"}`)
	b.refused("CreateKey", "CustomKeyStoreNotFound", strings.Replace(externalKey("none"), "$store", "cks-1234567890abcdef0", 1))
	b.refused("CreateKey", "CustomKeyStoreInvalidState", externalKey("none"))
	b.refused("DisconnectCustomKeyStore", "CustomKeyStoreInvalidState", store)
	b.ok("ConnectCustomKeyStore", store)
	b.refused("UpdateCustomKeyStore", "CustomKeyStoreInvalidState", `{"CustomKeyStoreId":"$store","XksProxyUriEndpoint":"https://nowhere.invalid"}`)
	b.refused("DeleteCustomKeyStore", "CustomKeyStoreInvalidState", store)
	b.refused("GenerateRandom", "UnsupportedOperation", `{"NumberOfBytes":1,"CustomKeyStoreId":"$store"}`)

	b.refused("CreateKey", "XksKeyNotFound", externalKey("none"))
	b.do("CreateAlias", `{"AliasName":"alias/xks/wrong","TargetKeyId":"$any"}`)
	b.refused("CreateKey", "XksKeyInvalidConfiguration", externalKey("wrong"))
	b.outer("one")
	b.key("e", externalKey("one"))
	b.refused("CreateKey", "XksKeyAlreadyInUse", externalKey("one"))
	b.ok("Encrypt", `{"KeyId":"$e","Plaintext":"`+hello+`"}`, "twice=CiphertextBlob")
	b.ok("Decrypt", `{"CiphertextBlob":"$twice"}`, "Plaintext=="+hello)
	b.refused("GenerateDataKeyPair", "UnsupportedOperation", `{"KeyId":"$e","KeyPairSpec":"ECC_NIST_P256"}`)
	b.ok("DisconnectCustomKeyStore", store)
	b.refused("DeleteCustomKeyStore", "CustomKeyStoreHasCMKs", store)
	b.ok("CreateCustomKeyStore", body("second", "$xks_endpoint", "$xks_second_path", "$xks_secret"), "second=CustomKeyStoreId")
	b.refused("UpdateCustomKeyStore", "CustomKeyStoreNameInUse", `{"CustomKeyStoreId":"$second","NewCustomKeyStoreName":"outside"}`)
	b.refused("UpdateCustomKeyStore", "XksProxyUriInUse", `{"CustomKeyStoreId":"$second","XksProxyUriPath":"$xks_path"}`)
	for i := range 8 {
		b.do("CreateCustomKeyStore", body(fmt.Sprintf("more-%d", i), "$xks_endpoint", fmt.Sprintf("/more/%d$xks_path", i), "$xks_secret"))
	}
	b.refused("CreateCustomKeyStore", "LimitExceeded", body("last", "$xks_endpoint", "/more/8$xks_path", "$xks_secret"))
	b.ok("DeleteCustomKeyStore", `{"CustomKeyStoreId":"$second"}`)
}

// outer makes a key that the proxy serves under a name.
func (b *book) outer(name string) {
	b.do("CreateKey", `{"KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC"}`, "outer=KeyMetadata.KeyId")
	b.do("CreateAlias", fmt.Sprintf(`{"AliasName":"alias/xks/%s","TargetKeyId":"$outer"}`, name))
}

// externalKey is the request for a key whose other half the proxy serves under a name.
func externalKey(name string) string {
	return `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"$store","XksKeyId":"` + name + `"}`
}
