package api_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"trent/internal/api"
	"trent/internal/fault"
)

const wideKeySpecs = "[RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, " +
	"ECC_NIST_EDWARDS25519, SYMMETRIC_DEFAULT, HMAC_224, HMAC_256, HMAC_384, HMAC_512, SM2, " +
	"ML_DSA_44, ML_DSA_65, ML_DSA_87, ML_KEM_512, ML_KEM_768, ML_KEM_1024]"

func x(n int) string { return strings.Repeat("x", n) }

func blob(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

// failed is the text for one violation; value is `'v'`, `null` or empty.
func failed(value, path, phrase string) string {
	if value != "" {
		value = " " + value
	}
	return fmt.Sprintf("Value%s at '%s' failed to satisfy constraint: Member must %s", value, path, phrase)
}

// input decodes a body that has to be well-formed.
func input(t testing.TB, operation, body string) api.Input {
	t.Helper()
	op, ok := api.Lookup(operation)
	if !ok {
		t.Fatalf("no operation %s", operation)
	}
	in := op.New()
	if err := api.Decode([]byte(body), in.(api.JSONInput)); err != nil {
		t.Fatalf("%s %.80s: %v", operation, body, err)
	}
	return in
}

func TestValidateMessages(t *testing.T) {
	tests := []struct {
		name, operation, body string
		want                  []string // empty: valid
	}{
		{"good", "GenerateDataKey", `{"KeyId":"alias/app","KeySpec":"AES_256"}`, nil},
		{"empty key id breaks two rules", "GetPublicKey", `{"KeyId":""}`, []string{
			failed("''", "keyId", "have length greater than or equal to 1"),
			failed("''", "keyId", `satisfy regular expression pattern: ^\p{ASCII}+$`)}},
		{"key id beyond ASCII", "DescribeKey", `{"KeyId":"ключ"}`, []string{
			failed("'ключ'", "keyId", `satisfy regular expression pattern: ^\p{ASCII}+$`)}},
		{"a long value is abridged", "DescribeKey", `{"KeyId":"` + x(60000) + `"}`, []string{
			failed("'"+x(1024)+"...'", "keyId", "have length less than or equal to 2048")}},
		{"and between characters", "DescribeKey", `{"KeyId":"` + x(1023) + `кл"}`, []string{
			failed("'"+x(1023)+"...'", "keyId", `satisfy regular expression pattern: ^\p{ASCII}+$`)}},
		{"missing", "DescribeKey", `{}`, []string{failed("null", "keyId", "not be null")}},
		{"null is missing", "DescribeKey", `{"KeyId":null}`, []string{failed("null", "keyId", "not be null")}},
		{"wrong case is missing", "DescribeKey", `{"keyId":"a"}`, []string{failed("null", "keyId", "not be null")}},
		{"missing secret shows no value", "Encrypt", `{"KeyId":"a"}`, []string{failed("", "plaintext", "not be null")}},
		{"empty secret", "Encrypt", `{"KeyId":"a","Plaintext":""}`, []string{
			failed("", "plaintext", "have length greater than or equal to 1")}},
		{"plaintext too long", "Encrypt", `{"KeyId":"a","Plaintext":"` + blob(4097) + `"}`, []string{
			failed("", "plaintext", "have length less than or equal to 4096")}},
		{"plaintext just fits", "Encrypt", `{"KeyId":"a","Plaintext":"` + blob(4096) + `"}`, nil},
		{"blob length shows no value", "Verify",
			`{"KeyId":"a","Message":"AA==","Signature":"","SigningAlgorithm":"ECDSA_SHA_256"}`, []string{
				failed("", "signature", "have length greater than or equal to 1")}},
		{"ciphertext too long", "Decrypt", `{"CiphertextBlob":"` + blob(6145) + `"}`, []string{
			failed("", "ciphertextBlob", "have length less than or equal to 6144")}},
		{"missing blob is null", "Decapsulate", `{"KeyId":"a","EncapsulationAlgorithm":"ML_KEM"}`, []string{
			failed("null", "sharedSecretCiphertextBlob", "not be null")}},
		{"missing mac", "VerifyMac", `{"KeyId":"a","Message":"AA==","MacAlgorithm":"HMAC_SHA_256"}`, []string{
			failed("null", "mac", "not be null")}},
		{"zero", "GenerateRandom", `{"NumberOfBytes":0}`, []string{
			failed("'0'", "numberOfBytes", "have value greater than or equal to 1")}},
		{"1025", "GenerateRandom", `{"NumberOfBytes":1025}`, []string{
			failed("'1025'", "numberOfBytes", "have value less than or equal to 1024")}},
		{"number may be missing here", "GenerateRandom", `{}`, nil},
		{"negative", "ListKeys", `{"Limit":-3}`, []string{failed("'-3'", "limit", "have value greater than or equal to 1")}},
		{"rotation period", "EnableKeyRotation", `{"KeyId":"a","RotationPeriodInDays":89}`, []string{
			failed("'89'", "rotationPeriodInDays", "have value greater than or equal to 90")}},
		{"key spec", "CreateKey", `{"KeySpec":"HMAC_random"}`, []string{
			failed("'HMAC_random'", "keySpec", "satisfy enum value set: "+wideKeySpecs)}},
		{"data key spec prints the wide set", "GenerateDataKey", `{"KeyId":"a","KeySpec":"RSA_2048"}`, []string{
			failed("'RSA_2048'", "keySpec", "satisfy enum value set: "+wideKeySpecs)}},
		{"so without plaintext", "GenerateDataKeyWithoutPlaintext", `{"KeyId":"a","KeySpec":"AES_512"}`, []string{
			failed("'AES_512'", "keySpec", "satisfy enum value set: "+wideKeySpecs)}},
		{"empty enum", "CreateKey", `{"KeySpec":""}`, []string{
			failed("''", "keySpec", "satisfy enum value set: "+wideKeySpecs)}},
		{"key usage", "CreateKey", `{"KeyUsage":"RANDOM"}`, []string{
			failed("'RANDOM'", "keyUsage", "satisfy enum value set: "+
				"[ENCRYPT_DECRYPT, SIGN_VERIFY, GENERATE_VERIFY_MAC, KEY_AGREEMENT, ENCAPSULATE_DECAPSULATE]")}},
		{"encryption algorithm", "Encrypt", `{"KeyId":"a","Plaintext":"AA==","EncryptionAlgorithm":"rot13"}`, []string{
			failed("'rot13'", "encryptionAlgorithm", "satisfy enum value set: "+
				"[RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE, SYMMETRIC_DEFAULT]")}},
		{"signing algorithm", "Sign", `{"KeyId":"a","Message":"AA==","SigningAlgorithm":"MD5"}`, []string{
			failed("'MD5'", "signingAlgorithm", "satisfy enum value set: "+
				"[RSASSA_PSS_SHA_256, RSASSA_PSS_SHA_384, RSASSA_PSS_SHA_512, RSASSA_PKCS1_V1_5_SHA_256, "+
				"RSASSA_PKCS1_V1_5_SHA_384, RSASSA_PKCS1_V1_5_SHA_512, ECDSA_SHA_256, ECDSA_SHA_384, ECDSA_SHA_512, "+
				"ED25519_SHA_512, ED25519_PH_SHA_512, SM2DSA, ML_DSA_SHAKE_256]")}},
		{"mac algorithm", "GenerateMac", `{"KeyId":"a","Message":"AA==","MacAlgorithm":"INVALID"}`, []string{
			failed("'INVALID'", "macAlgorithm", "satisfy enum value set: "+
				"[HMAC_SHA_384, HMAC_SHA_256, HMAC_SHA_224, HMAC_SHA_512]")}},
		{"message type", "Sign", `{"KeyId":"a","Message":"AA==","SigningAlgorithm":"ECDSA_SHA_256","MessageType":"COOKED"}`, []string{
			failed("'COOKED'", "messageType", "satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]")}},
		{"key agreement", "DeriveSharedSecret", `{"KeyId":"a","PublicKey":"AA==","KeyAgreementAlgorithm":"INVALID"}`, []string{
			failed("'INVALID'", "keyAgreementAlgorithm", "satisfy enum value set: [ECDH]")}},
		{"encapsulation", "Encapsulate", `{"KeyId":"a","EncapsulationAlgorithm":"KYBER"}`, []string{
			failed("'KYBER'", "encapsulationAlgorithm", "satisfy enum value set: [ML_KEM]")}},
		{"tag key", "CreateKey", `{"Tags":[{"TagKey":"` + x(129) + `","TagValue":"v"}]}`, []string{
			failed("'"+x(129)+"'", "tags.1.member.tagKey", "have length less than or equal to 128")}},
		{"tag value of the second", "TagResource",
			`{"KeyId":"a","Tags":[{"TagKey":"k","TagValue":""},{"TagKey":"k","TagValue":"` + x(257) + `"}]}`, []string{
				failed("'"+x(257)+"'", "tags.2.member.tagValue", "have length less than or equal to 256")}},
		{"tag without a value", "CreateKey", `{"Tags":[{"TagKey":"k"}]}`, []string{
			failed("null", "tags.1.member.tagValue", "not be null")}},
		{"list of plain values", "UntagResource", `{"KeyId":"a","TagKeys":["good",""]}`, []string{
			failed("'[good, ]'", "tagKeys", "satisfy constraint: "+
				"[Member must have length less than or equal to 128, Member must have length greater than or equal to 1]")}},
		{"list of enums", "ListKeys", `{"ResourceOwners":["SELF","ELSE"]}`, []string{
			failed("'[SELF, ELSE]'", "resourceOwners", "satisfy constraint: "+
				"[Member must satisfy enum value set: [SELF, OTHER_ACCOUNTS_VIA_RAM]]")}},
		{"list too short", "ListKeys", `{"ResourceOwners":[]}`, []string{
			failed("'[]'", "resourceOwners", "have length greater than or equal to 1")}},
		{"list too long", "DescribeKey", `{"KeyId":"a","GrantTokens":["1","2","3","4","5","6","7","8","9","10","11"]}`, []string{
			failed("'[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]'", "grantTokens", "have length less than or equal to 10")}},
		{"inside a structure", "GenerateRandom", `{"Recipient":{"KeyEncryptionAlgorithm":"NONE","AttestationDocument":""}}`, []string{
			failed("'NONE'", "recipient.keyEncryptionAlgorithm", "satisfy enum value set: [RSAES_OAEP_SHA_256]"),
			failed("", "recipient.attestationDocument", "have length greater than or equal to 1")}},
		{"grant constraint", "CreateGrant", `{"KeyId":"a","Operations":["Decrypt"],"Constraints":{"SourceArn":"` + x(20) + `"}}`, []string{
			failed("'"+x(20)+"'", "constraints.sourceArn",
				"satisfy regular expression pattern: ^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$")}},
		{"source ARN", "CreateGrant",
			`{"KeyId":"a","Operations":["Decrypt"],"Constraints":{"SourceArn":"arn:aws:s3:eu-central-1:111122223333:b"}}`, nil},
		{"alias name", "CreateAlias", `{"AliasName":"alias/a b","TargetKeyId":"k"}`, []string{
			failed("'alias/a b'", "aliasName", "satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$")}},
		{"unanchored pattern matches the whole", "GetKeyPolicy", `{"KeyId":"a","PolicyName":"default!"}`, []string{
			failed("'default!'", "policyName", `satisfy regular expression pattern: [\w]+`)}},
		{"newline at the end", "GetKeyPolicy", `{"KeyId":"a","PolicyName":"default\n"}`, []string{
			failed("'default\n'", "policyName", `satisfy regular expression pattern: [\w]+`)}},
		{"policy", "PutKeyPolicy", `{"KeyId":"a","Policy":"{\r\n\t\"Ünïcode\": 1}"}`, nil},
		{"policy beyond Latin-1", "PutKeyPolicy", `{"KeyId":"a","Policy":"Ā"}`, []string{
			failed("'Ā'", "policy", `satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+`)}},
		{"region", "ReplicateKey", `{"KeyId":"a","ReplicaRegion":"eu-central-1\n"}`, []string{
			failed("'eu-central-1\n'", "replicaRegion", `satisfy regular expression pattern: ^([a-z]+-){2,3}\d+$`)}},
		{"material description", "ImportKeyMaterial",
			`{"KeyId":"a","ImportToken":"AA==","EncryptedKeyMaterial":"AA==","KeyMaterialDescription":"a b\u000bc"}`, nil},
		{"service principal", "CreateGrant", `{"KeyId":"a","Operations":[],"GranteeServicePrincipal":"s3.amazonaws"}`, []string{
			failed("'s3.amazonaws'", "granteeServicePrincipal",
				`satisfy regular expression pattern: ^([A-Za-z0-9\-]+)\.([A-Za-z0-9\-]+)(\.[A-Za-z0-9\-]+)+$`)}},
		{"length counts UTF-16 units", "UpdateKeyDescription", `{"KeyId":"a","Description":"` + strings.Repeat("🔑", 4096) + `"}`, nil},
		{"one unit too many", "CreateKey", `{"Tags":[{"TagKey":"` + strings.Repeat("🔑", 64) + `x","TagValue":"é中"}]}`, []string{
			failed("'"+strings.Repeat("🔑", 64)+"x'", "tags.1.member.tagKey", "have length less than or equal to 128")}},
		{"secret string", "UpdateCustomKeyStore", `{"CustomKeyStoreId":"c","KeyStorePassword":"hunter"}`, []string{
			failed("", "keyStorePassword", "have length greater than or equal to 7")}},
		{"secret inside a structure", "UpdateCustomKeyStore",
			`{"CustomKeyStoreId":"c","XksProxyAuthenticationCredential":{"AccessKeyId":"hunter2hunter2hunter2"}}`, []string{
				failed("", "xksProxyAuthenticationCredential.accessKeyId", "satisfy regular expression pattern: ^[A-Z2-7]+$"),
				failed("", "xksProxyAuthenticationCredential.rawSecretAccessKey", "not be null")}},
		{"everything at once", "Sign", `{"Message":null,"MessageType":"x"}`, []string{
			failed("null", "keyId", "not be null"),
			failed("", "message", "not be null"),
			failed("'x'", "messageType", "satisfy enum value set: [RAW, DIGEST, EXTERNAL_MU]"),
			failed("null", "signingAlgorithm", "not be null")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := input(t, test.operation, test.body).Validate()
			if len(test.want) == 0 {
				if err != nil {
					t.Fatalf("Validate = %v, want nil", err)
				}
				return
			}
			noun := "error"
			if len(test.want) > 1 {
				noun = "errors"
			}
			want := fmt.Sprintf("%d validation %s detected: %s", len(test.want), noun, strings.Join(test.want, "; "))
			if f := fault.From(err); f.Code != api.ValidationException || f.Message != want {
				t.Errorf("got  %s %s\nwant %s", f.Code, f.Message, want)
			}
		})
	}
}

func TestValidateAllocatesNothingWhenAllIsWell(t *testing.T) {
	in := input(t, "CreateKey", `{"Description":"d","KeySpec":"RSA_2048","KeyUsage":"SIGN_VERIFY","Policy":"{}",
		"Tags":[{"TagKey":"a","TagValue":"b"},{"TagKey":"c","TagValue":""}]}`)
	if n := testing.AllocsPerRun(100, func() { _ = in.Validate() }); n != 0 {
		t.Errorf("Validate allocated %v times", n)
	}
}
