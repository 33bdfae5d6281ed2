package conformance

import (
	"fmt"
	"strings"
)

// The proxy of external key stores that a server is run against serves its API at /s1 to /s11 and at
// /failing, where it fails as long as a store is being connected. At /broken it answers what cannot be understood. It
// has every external key, but "absent", and "disabled" is disabled.

// newStore is a request for an external key store at a path of the proxy.
func newStore(name, path string) string {
	return `{"CustomKeyStoreName":"` + name + `","CustomKeyStoreType":"EXTERNAL_KEY_STORE","XksProxyUriEndpoint":"$xks_endpoint","XksProxyUriPath":"/` + path + `/kms/xks/v1",` +
		`"XksProxyConnectivity":"PUBLIC_ENDPOINT",` + xksCredential + `}`
}

const (
	xksCredential = `"XksProxyAuthenticationCredential":{"AccessKeyId":"$xks_access_key","RawSecretAccessKey":"$xks_secret"}`
	wrongSecret   = `"XksProxyAuthenticationCredential":{"AccessKeyId":"$xks_access_key","RawSecretAccessKey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`

	onlyStore   = `{"CustomKeyStoreId":"$store"}`
	unknownCKS  = `{"CustomKeyStoreId":"cks-1234567890abcdef0"}`
	externalKey = `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"$store","XksKeyId":"`
)

// keyStores: custom key stores from their making to their end, and the keys in them. It leaves one, $store.
func (b *book) keyStores() {
	defer func() { b.needs = "" }()
	b.needs = Proxy
	b.ok("CreateCustomKeyStore", newStore("first", "s1"), "store=CustomKeyStoreId")
	b.ok("DescribeCustomKeyStores", onlyStore, "CustomKeyStores.0.ConnectionState==DISCONNECTED", "CustomKeyStores.0.XksProxyConfiguration.AccessKeyId==$xks_access_key")
	b.do("CreateCustomKeyStore", newStore("second", "s2"), "second=CustomKeyStoreId")
	b.ok("UpdateCustomKeyStore", `{"CustomKeyStoreId":"$second","NewCustomKeyStoreName":"third","XksProxyUriPath":"/s3/kms/xks/v1"}`)
	b.ok("DescribeCustomKeyStores", `{"CustomKeyStoreName":"third"}`, "CustomKeyStores.0.CustomKeyStoreId==$second", "CustomKeyStores.0.XksProxyConfiguration.UriPath==/s3/kms/xks/v1")
	b.storeRefusals()
	b.ok("ConnectCustomKeyStore", onlyStore)
	b.ok("DescribeCustomKeyStores", onlyStore, "CustomKeyStores.0.ConnectionState==CONNECTED")
	b.externalKeys()
	b.connections()
	for i := 4; i <= 11; i++ {
		b.do("CreateCustomKeyStore", newStore(fmt.Sprintf("store-%d", i), fmt.Sprintf("s%d", i)))
	}
	b.refused("CreateCustomKeyStore", "LimitExceeded", newStore("store-12", "s2"))
}

// storeRefusals are what is wrong with a store that is to be made, or to be changed into.
func (b *book) storeRefusals() {
	update := func(members string) string { return `{"CustomKeyStoreId":"$second",` + members + `}` }
	for _, c := range []struct{ code, create, update string }{
		{"CustomKeyStoreNameInUse", newStore("first", "s2"), `"NewCustomKeyStoreName":"first"`},
		{"XksProxyUriInUse", newStore("other", "s1"), `"XksProxyUriPath":"/s1/kms/xks/v1"`},
		{"XksProxyUriUnreachable", strings.Replace(newStore("other", "s2"), "$xks_endpoint", "https://localhost", 1), `"XksProxyUriEndpoint":"https://localhost"`},
		{"XksProxyIncorrectAuthenticationCredential", strings.Replace(newStore("other", "s2"), xksCredential, wrongSecret, 1), wrongSecret},
		{"XksProxyInvalidConfiguration", newStore("other", "nowhere"), `"XksProxyUriPath":"/nowhere/kms/xks/v1"`},
		{"XksProxyInvalidResponse", newStore("other", "broken"), `"XksProxyUriPath":"/broken/kms/xks/v1"`},
		{"XksProxyVpcEndpointServiceNotFound", strings.Replace(newStore("other", "s2"), "PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE", 1), `"XksProxyConnectivity":"VPC_ENDPOINT_SERVICE"`},
	} {
		b.refused("CreateCustomKeyStore", c.code, c.create)
		b.refused("UpdateCustomKeyStore", c.code, update(c.update))
	}
	b.refused("CreateCustomKeyStore", "CloudHsmClusterNotFound", `{"CustomKeyStoreName":"hsm","CloudHsmClusterId":"cluster-abcdefghijk","TrustAnchorCertificate":"none","KeyStorePassword":"password"}`)
	for _, action := range []string{"UpdateCustomKeyStore", "DeleteCustomKeyStore", "ConnectCustomKeyStore", "DisconnectCustomKeyStore", "DescribeCustomKeyStores"} {
		b.refused(action, "CustomKeyStoreNotFound", unknownCKS)
	}
	b.refused("DescribeCustomKeyStores", "InvalidMarker", `{"Marker":"made-up"}`)
	b.refused("GenerateRandom", "UnsupportedOperation", `{"NumberOfBytes":32,"CustomKeyStoreId":"$store"}`)
}

// externalKeys: keys of a store that is connected, and what is wrong with those that cannot be.
func (b *book) externalKeys() {
	b.ok("CreateKey", externalKey+`one"}`, "external=KeyMetadata.KeyId", "KeyMetadata.KeyState==Enabled", "KeyMetadata.CustomKeyStoreId==$store", "KeyMetadata.XksKeyConfiguration.Id==one")
	b.ok("Encrypt", `{"KeyId":"$external","Plaintext":"`+hello+`","EncryptionContext":{"tenant":"blue"}}`, "blob=CiphertextBlob")
	b.ok("Decrypt", `{"CiphertextBlob":"$blob","EncryptionContext":{"tenant":"blue"}}`, "Plaintext=="+hello)
	b.refused("Decrypt", "KMSInvalidState", `{"CiphertextBlob":"$blob"}`)
	b.refused("GenerateDataKeyPair", "UnsupportedOperation", `{"KeyId":"$external","KeyPairSpec":"ECC_NIST_P256"}`)
	b.refused("CreateKey", "XksKeyAlreadyInUse", externalKey+`one"}`)
	b.refused("CreateKey", "XksKeyNotFound", externalKey+`absent"}`)
	b.refused("CreateKey", "XksKeyInvalidConfiguration", externalKey+`disabled"}`)
	b.refused("CreateKey", "CustomKeyStoreNotFound", strings.Replace(externalKey, "$store", "cks-1234567890abcdef0", 1)+`two"}`)
	b.refused("CreateKey", "CustomKeyStoreInvalidState", strings.Replace(externalKey, "$store", "$second", 1)+`two"}`)
}

// connections: what can be done with a store, connected and not, and with one that could not be connected.
func (b *book) connections() {
	b.refused("UpdateCustomKeyStore", "CustomKeyStoreInvalidState", `{"CustomKeyStoreId":"$store","XksProxyUriEndpoint":"$xks_endpoint"}`)
	b.refused("DeleteCustomKeyStore", "CustomKeyStoreInvalidState", onlyStore)
	b.ok("DisconnectCustomKeyStore", onlyStore)
	b.refused("DisconnectCustomKeyStore", "CustomKeyStoreInvalidState", onlyStore)
	b.refused("DeleteCustomKeyStore", "CustomKeyStoreHasCMKs", onlyStore)
	b.ok("DeleteCustomKeyStore", `{"CustomKeyStoreId":"$second"}`)
	b.do("CreateCustomKeyStore", newStore("failing", "failing"), "failing=CustomKeyStoreId")
	b.ok("ConnectCustomKeyStore", `{"CustomKeyStoreId":"$failing"}`)
	b.ok("DescribeCustomKeyStores", `{"CustomKeyStoreId":"$failing"}`, "CustomKeyStores.0.ConnectionState==FAILED", "CustomKeyStores.0.ConnectionErrorCode==XKS_PROXY_INVALID_RESPONSE")
	b.refused("ConnectCustomKeyStore", "CustomKeyStoreInvalidState", `{"CustomKeyStoreId":"$failing"}`)
	b.ok("DisconnectCustomKeyStore", `{"CustomKeyStoreId":"$failing"}`)
}
