package conformance

import (
	"fmt"
	"strings"

	"trent/internal/api"
	"trent/internal/fault"
)

// lifecycle: keys from their making to their end, aliases, tags, policies.
func (b *book) lifecycle() {
	b.ok("CreateKey", `{"Description":"one","Tags":[{"TagKey":"team","TagValue":"red"}]}`,
		"one=KeyMetadata.KeyId", "one_arn=KeyMetadata.Arn", "KeyMetadata.KeyState==Enabled", "KeyMetadata.Description==one", "KeyMetadata.KeySpec==SYMMETRIC_DEFAULT")
	b.ok("DescribeKey", `{"KeyId":"$one"}`, "KeyMetadata.Arn==$one_arn")
	b.ok("ListResourceTags", `{"KeyId":"$one"}`, "Tags.0.TagKey==team", "Tags.0.TagValue==red")
	b.ok("CreateAlias", `{"AliasName":"alias/one","TargetKeyId":"$one"}`)
	b.ok("DescribeKey", `{"KeyId":"alias/one"}`, "KeyMetadata.KeyId==$one")
	b.ok("ListAliases", `{"KeyId":"$one"}`, "Aliases.0.AliasName==alias/one", "Aliases.0.TargetKeyId==$one")
	b.key("two", `{}`)
	b.ok("UpdateAlias", `{"AliasName":"alias/one","TargetKeyId":"$two"}`)
	b.ok("DescribeKey", `{"KeyId":"alias/one"}`, "KeyMetadata.KeyId==$two")
	b.ok("UpdateKeyDescription", `{"KeyId":"$one","Description":"uno"}`)
	b.ok("DescribeKey", `{"KeyId":"$one"}`, "KeyMetadata.Description==uno")
	b.ok("DisableKey", `{"KeyId":"$one"}`)
	b.ok("DescribeKey", `{"KeyId":"$one"}`, "KeyMetadata.KeyState==Disabled", "KeyMetadata.Enabled==false")
	b.ok("EnableKey", `{"KeyId":"$one"}`)
	b.ok("ScheduleKeyDeletion", `{"KeyId":"$one","PendingWindowInDays":7}`, "KeyId==$one_arn", "KeyState==PendingDeletion")
	b.ok("CancelKeyDeletion", `{"KeyId":"$one"}`, "KeyId==$one_arn")
	b.ok("DescribeKey", `{"KeyId":"$one"}`, "KeyMetadata.KeyState==Disabled")
	b.ok("DeleteAlias", `{"AliasName":"alias/one"}`)
	b.ok("GetKeyPolicy", `{"KeyId":"$two","PolicyName":"default"}`, "own_policy=Policy", "PolicyName==default")
	b.ok("PutKeyPolicy", `{"KeyId":"$two","Policy":"$own_policy"}`)
	b.ok("ListKeyPolicies", `{"KeyId":"$two"}`, "PolicyNames.0==default")

	b.refused("CreateAlias", "NotFound", `{"AliasName":"alias/nowhere","TargetKeyId":"`+unknownKey+`"}`)
	b.do("CreateAlias", `{"AliasName":"alias/taken","TargetKeyId":"$two"}`)
	b.refused("CreateAlias", "AlreadyExists", `{"AliasName":"alias/taken","TargetKeyId":"$two"}`)
	b.refused("UpdateAlias", "NotFound", `{"AliasName":"alias/nowhere","TargetKeyId":"$two"}`)
	b.refused("DeleteAlias", "NotFound", `{"AliasName":"alias/nowhere"}`)
	b.key("many", `{}`)
	for i := range 50 {
		b.do("CreateAlias", fmt.Sprintf(`{"AliasName":"alias/many-%d","TargetKeyId":"$many"}`, i))
	}
	b.refused("CreateAlias", "LimitExceeded", `{"AliasName":"alias/many-50","TargetKeyId":"$many"}`)
	b.refused("UpdateAlias", "LimitExceeded", `{"AliasName":"alias/taken","TargetKeyId":"$many"}`)

	for _, action := range []string{"CreateKey", "PutKeyPolicy"} {
		id := map[string]string{"PutKeyPolicy": `"KeyId":"$two",`}[action]
		b.refused(action, "MalformedPolicyDocument", `{`+id+`"Policy":"{}"}`)
		b.refused(action, "LimitExceeded", `{`+id+`"Policy":"`+longPolicy()+`"}`)
	}
	b.refused("CreateKey", "Tag", `{"Tags":[{"TagKey":"a","TagValue":""},{"TagKey":"a","TagValue":""}]}`)
	b.refused("TagResource", "Tag", `{"KeyId":"$two","Tags":[{"TagKey":"aws:a","TagValue":""}]}`)
	b.refused("UntagResource", "Tag", `{"KeyId":"$two","TagKeys":["aws:a"]}`)
	b.refused("CreateKey", "UnsupportedOperation", `{"KeySpec":"SM2","KeyUsage":"SIGN_VERIFY"}`)
}

const (
	unknownKey = "1234abcd-12ab-34cd-56ef-1234567890ab"

	// ownerPolicy is a key policy inside of a JSON string.
	ownerPolicy = `{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"$principal\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}`
)

// longPolicy is a key policy of more than 32 KiB inside of a JSON string.
func longPolicy() string {
	return strings.Replace(strings.ReplaceAll(ownerPolicy, "$principal", "arn:aws:iam::$account:root"), `\"Effect\"`, `\"Sid\":\"`+strings.Repeat("a", 33<<10)+`\",\"Effect\"`, 1)
}

// symmetric: what is encrypted is decrypted, under its context alone.
func (b *book) symmetric() {
	b.key("sym", `{}`)
	b.key("sym2", `{}`)
	b.key("mac", `{"KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC"}`)
	b.key("rsa_signer", `{"KeySpec":"RSA_2048","KeyUsage":"SIGN_VERIFY"}`)
	b.key("rsa", `{"KeySpec":"RSA_2048","KeyUsage":"ENCRYPT_DECRYPT"}`)
	const context = `"EncryptionContext":{"tenant":"blue"}`
	b.ok("Encrypt", `{"KeyId":"$sym","Plaintext":"`+hello+`",`+context+`}`, "KeyId==$sym_arn", "blob=CiphertextBlob")
	b.ok("Decrypt", `{"CiphertextBlob":"$blob",`+context+`}`, "Plaintext=="+hello, "KeyId==$sym_arn")
	b.ok("ReEncrypt", `{"CiphertextBlob":"$blob","SourceEncryptionContext":{"tenant":"blue"},"DestinationKeyId":"$sym2"}`, "KeyId==$sym2_arn", "SourceKeyId==$sym_arn", "again=CiphertextBlob")
	b.ok("Decrypt", `{"CiphertextBlob":"$again","KeyId":"$sym2"}`, "Plaintext=="+hello)
	b.ok("Encrypt", `{"KeyId":"$rsa","Plaintext":"`+hello+`","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`, "rsa_blob=CiphertextBlob")
	b.ok("Decrypt", `{"KeyId":"$rsa","CiphertextBlob":"$rsa_blob","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`, "Plaintext=="+hello)
	for _, action := range []string{"GenerateDataKey", "GenerateDataKeyWithoutPlaintext"} {
		b.ok(action, `{"KeyId":"$sym","KeySpec":"AES_128",`+context+`}`, "KeyId==$sym_arn", "data_key=CiphertextBlob")
		b.ok("Decrypt", `{"CiphertextBlob":"$data_key",`+context+`}`)
	}
	for _, spec := range []string{"RSA_2048", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519", "ML_KEM_768"} {
		b.ok("GenerateDataKeyPair", `{"KeyId":"$sym","KeyPairSpec":"`+spec+`"}`, "KeyPairSpec=="+spec, "pair=PrivateKeyCiphertextBlob", "private=PrivateKeyPlaintext")
		b.ok("Decrypt", `{"CiphertextBlob":"$pair"}`, "Plaintext==$private")
	}
	b.ok("GenerateDataKeyPairWithoutPlaintext", `{"KeyId":"$sym","KeyPairSpec":"ECC_NIST_P256"}`)
	b.ok("GenerateRandom", `{"NumberOfBytes":32}`)
	b.refused("GenerateRandom", "CustomKeyStoreNotFound", `{"NumberOfBytes":32,"CustomKeyStoreId":"cks-1234567890abcdef0"}`)

	b.refused("Decrypt", "InvalidCiphertext", `{"CiphertextBlob":"$blob","KeyId":"$sym","EncryptionContext":{"tenant":"red"}}`)
	b.refused("Decrypt", "IncorrectKey", `{"CiphertextBlob":"$blob","KeyId":"$sym2",`+context+`}`)
	b.refused("ReEncrypt", "InvalidCiphertext", `{"CiphertextBlob":"$blob","SourceKeyId":"$sym","DestinationKeyId":"$sym2"}`)
	b.refused("ReEncrypt", "IncorrectKey", `{"CiphertextBlob":"$blob","SourceKeyId":"$sym2","SourceEncryptionContext":{"tenant":"blue"},"DestinationKeyId":"$sym2"}`)
	b.refused("Decrypt", "InvalidKeyUsage", `{"CiphertextBlob":"$blob","KeyId":"$rsa_signer","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`)
	b.refused("ReEncrypt", "InvalidKeyUsage", `{"CiphertextBlob":"$again","DestinationKeyId":"$mac"}`)
	b.refused("Encrypt", "InvalidKeyUsage", `{"KeyId":"$mac","Plaintext":"`+hello+`"}`)
	for _, action := range []string{"GenerateDataKey", "GenerateDataKeyWithoutPlaintext"} {
		b.refused(action, "InvalidKeyUsage", `{"KeyId":"$mac","KeySpec":"AES_256"}`)
	}
	for _, action := range []string{"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"} {
		b.refused(action, "UnsupportedOperation", `{"KeyId":"$sym","KeyPairSpec":"SM2"}`)
		b.refused(action, "InvalidKeyUsage", `{"KeyId":"$mac","KeyPairSpec":"ECC_NIST_P256"}`)
	}
}

// asymmetric: each signing, MAC, agreement and encapsulation algorithm, both ways.
func (b *book) asymmetric() {
	for _, k := range []struct{ spec, algorithms string }{
		{"RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512"},
		{"ECC_NIST_P256", "ECDSA_SHA_256"}, {"ECC_NIST_P384", "ECDSA_SHA_384"}, {"ECC_NIST_P521", "ECDSA_SHA_512"},
		{"ECC_SECG_P256K1", "ECDSA_SHA_256"}, {"ECC_NIST_EDWARDS25519", "ED25519_SHA_512"}, {"ML_DSA_44", "ML_DSA_SHAKE_256"},
		{"ML_DSA_65", "ML_DSA_SHAKE_256"}, {"ML_DSA_87", "ML_DSA_SHAKE_256"},
	} {
		b.key("signer", `{"KeySpec":"`+k.spec+`","KeyUsage":"SIGN_VERIFY"}`)
		b.ok("GetPublicKey", `{"KeyId":"$signer"}`, "KeyId==$signer_arn", "KeySpec=="+k.spec)
		for algorithm := range strings.FieldsSeq(k.algorithms) {
			request := `{"KeyId":"$signer","Message":"` + hello + `","SigningAlgorithm":"` + algorithm + `"`
			b.ok("Sign", request+`}`, "signature=Signature", "SigningAlgorithm=="+algorithm)
			b.ok("Verify", request+`,"Signature":"$signature"}`, "SignatureValid==true")
			b.refused("Verify", "KMSInvalidSignature", strings.Replace(request, hello, digest32, 1)+`,"Signature":"$signature"}`)
		}
	}
	for _, spec := range []string{"224", "256", "384", "512"} {
		b.key("hmac", `{"KeySpec":"HMAC_`+spec+`","KeyUsage":"GENERATE_VERIFY_MAC"}`)
		request := `{"KeyId":"$hmac","Message":"` + hello + `","MacAlgorithm":"HMAC_SHA_` + spec + `"`
		b.ok("GenerateMac", request+`}`, "mac_value=Mac")
		b.ok("VerifyMac", request+`,"Mac":"$mac_value"}`, "MacValid==true")
		b.refused("VerifyMac", "KMSInvalidMac", strings.Replace(request, hello, digest32, 1)+`,"Mac":"$mac_value"}`)
	}
	for _, curve := range []string{"P256", "P384", "P521"} {
		b.key("here", `{"KeySpec":"ECC_NIST_`+curve+`","KeyUsage":"KEY_AGREEMENT"}`)
		b.key("there", `{"KeySpec":"ECC_NIST_`+curve+`","KeyUsage":"KEY_AGREEMENT"}`)
		b.do("GetPublicKey", `{"KeyId":"$here"}`, "here_public=PublicKey")
		b.do("GetPublicKey", `{"KeyId":"$there"}`, "there_public=PublicKey")
		b.ok("DeriveSharedSecret", `{"KeyId":"$here","KeyAgreementAlgorithm":"ECDH","PublicKey":"$there_public"}`, "shared=SharedSecret")
		b.ok("DeriveSharedSecret", `{"KeyId":"$there","KeyAgreementAlgorithm":"ECDH","PublicKey":"$here_public"}`, "SharedSecret==$shared")
	}
	for _, size := range []string{"512", "768", "1024"} {
		b.key("kem", `{"KeySpec":"ML_KEM_`+size+`","KeyUsage":"ENCAPSULATE_DECAPSULATE"}`)
		b.ok("Encapsulate", `{"KeyId":"$kem","EncapsulationAlgorithm":"ML_KEM"}`, "shared=SharedSecret", "capsule=SharedSecretCiphertextBlob")
		b.ok("Decapsulate", `{"KeyId":"$kem","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"$capsule"}`, "SharedSecret==$shared")
	}
	b.refused("Decapsulate", "InvalidCiphertext", `{"KeyId":"$kem","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"`+hello+`"}`)
	b.refused("Sign", "InvalidKeyUsage", `{"KeyId":"$hmac","Message":"`+hello+`","SigningAlgorithm":"ECDSA_SHA_256"}`)
	b.refused("Verify", "InvalidKeyUsage", `{"KeyId":"$hmac","Message":"`+hello+`","SigningAlgorithm":"ECDSA_SHA_256","Signature":"`+hello+`"}`)
	b.refused("GenerateMac", "InvalidKeyUsage", `{"KeyId":"$signer","Message":"`+hello+`","MacAlgorithm":"HMAC_SHA_256"}`)
	b.refused("VerifyMac", "InvalidKeyUsage", `{"KeyId":"$signer","Message":"`+hello+`","MacAlgorithm":"HMAC_SHA_256","Mac":"`+hello+`"}`)
	b.refused("DeriveSharedSecret", "InvalidKeyUsage", `{"KeyId":"$signer","KeyAgreementAlgorithm":"ECDH","PublicKey":"$here_public"}`)
	b.refused("Encapsulate", "InvalidKeyUsage", `{"KeyId":"$signer","EncapsulationAlgorithm":"ML_KEM"}`)
	b.refused("Decapsulate", "InvalidKeyUsage", `{"KeyId":"$signer","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"$capsule"}`)
	b.refused("GetPublicKey", "UnsupportedOperation", `{"KeyId":"$hmac"}`)
}

// grants: made, listed, used, revoked and retired.
func (b *book) grants() {
	b.key("g", `{}`)
	grant := `{"KeyId":"$g","GranteePrincipal":"arn:aws:iam::$account:root","RetiringPrincipal":"arn:aws:iam::$account:root","Operations":["Encrypt","Decrypt"]}`
	b.ok("CreateGrant", grant, "token=GrantToken", "grant=GrantId")
	b.ok("ListGrants", `{"KeyId":"$g"}`, "Grants.0.GrantId==$grant", "Grants.0.KeyId==$g_arn")
	b.ok("ListRetirableGrants", `{"RetiringPrincipal":"arn:aws:iam::$account:root"}`, "Grants.0.GrantId==$grant")
	b.ok("Encrypt", `{"KeyId":"$g","Plaintext":"`+hello+`","GrantTokens":["$token"]}`)
	b.ok("RevokeGrant", `{"KeyId":"$g","GrantId":"$grant"}`)
	b.do("CreateGrant", grant, "grant=GrantId", "token=GrantToken")
	b.ok("RetireGrant", `{"GrantToken":"$token"}`)
	b.refused("RevokeGrant", "NotFound", `{"KeyId":"$g","GrantId":"$grant"}`)
	b.refused("ListRetirableGrants", "InvalidArn", `{"RetiringPrincipal":"arn:aws:iam::12:root"}`)
	b.refused("RetireGrant", "InvalidArn", `{"KeyId":"alias/g","GrantId":"$grant"}`)
	b.refused("RetireGrant", "InvalidGrantToken", `{"GrantToken":"made-up"}`)
	for _, action := range []string{"ListGrants", "RetireGrant", "RevokeGrant"} {
		b.refused(action, "InvalidGrantId", `{"KeyId":"$g_arn","GrantId":"made-up"}`)
	}
}

// lists: every list is read in pages.
func (b *book) lists() {
	b.ok("ListKeys", `{"Limit":1}`, "Truncated==true", "marker=NextMarker")
	b.ok("ListKeys", `{"Limit":1,"Marker":"$marker"}`)
	b.ok("ListAliases", `{"Limit":1}`, "Truncated==true", "marker=NextMarker")
	b.ok("ListAliases", `{"Limit":1,"Marker":"$marker"}`)
}

// refusals provokes what every action of a kind refuses: keys that there are not, aliases where
// none may stand, DryRun, grant tokens and markers that nobody gave out.
func (b *book) refusals() {
	byAction := map[string]shape{}
	for _, s := range shapes() {
		byAction[s.action] = s
	}
	for _, op := range api.Operations() {
		s, shaped := byAction[op.Name]
		if !shaped {
			continue
		}
		body := strings.ReplaceAll(s.body, "$fresh", "nowhere")
		for _, code := range op.Errors {
			switch {
			case code == api.NotFoundException && strings.Contains(body, `KeyId":"$key"`):
				b.prepared(s)
				b.refused(op.Name, string(code), strings.ReplaceAll(body, "$key", unknownKey))
			case code == api.InvalidArnException && strings.Contains(body, `"KeyId":"$key"`) && !takesAliases(op.Name):
				b.refused(op.Name, string(code), strings.ReplaceAll(body, "$key", "alias/shapes"))
			case code == api.InvalidMarkerException:
				b.refused(op.Name, string(code), withMember(strings.ReplaceAll(body, "$key", "$any"), `"Marker":"made-up"`))
			case code == api.DryRunOperationException:
				b.refusedWith(s, code, `"DryRun":true`)
			case code == api.InvalidGrantTokenException && op.GrantTokens:
				b.refusedWith(s, code, `"GrantTokens":["made-up"]`)
			}
		}
	}
	b.refused("ListKeys", "InvalidMarker", `{"Marker":"made-up"}`)
	b.refused("ListRetirableGrants", "InvalidMarker", `{"RetiringPrincipal":"arn:aws:iam::$account:root","Marker":"made-up"}`)
	b.refused("RetireGrant", "NotFound", `{"KeyId":"arn:aws:kms:$region:$account:key/$any","GrantId":"`+strings.Repeat("0", 64)+`"}`)
	b.refused("CreateGrant", "InvalidArn", `{"KeyId":"$any","GranteePrincipal":"arn:aws:iam::12:root","Operations":["Encrypt"]}`)
}

// takesAliases: an alias is no wrong ARN there.
func takesAliases(action string) bool { return action == "DescribeKey" || action == "GetPublicKey" }

// refusedWith shows an error of a shape that would succeed if it had not a member more.
func (b *book) refusedWith(s shape, code fault.Code, member string) {
	b.prepared(s)
	b.refused(s.action, string(code), withMember(b.named(s.body), member))
}

// prepared makes a key that the shape would succeed with.
func (b *book) prepared(s shape) {
	b.fresh++
	b.made(s.kind, string(api.KeyStateEnabled))
	for _, p := range s.prepare {
		b.do(p.action, b.named(p.body), p.save...)
	}
}

func withMember(body, member string) string {
	return "{" + member + "," + strings.TrimPrefix(body, "{")
}
