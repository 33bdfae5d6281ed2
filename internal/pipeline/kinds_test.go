package pipeline_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"trent/internal/api"
	"trent/internal/key"
)

// makeKey makes a key of a kind and gives its id, its ARN and its metadata.
func (w *world) makeKey(spec, usage string) (id, arn string, m map[string]any) {
	m = w.must(admin, "CreateKey", `{"KeySpec":"`+spec+`","KeyUsage":"`+usage+`"}`)["KeyMetadata"].(map[string]any)
	return m["KeyId"].(string), m["Arn"].(string), m
}

// text is a list of the answer with blanks between.
func text(v any) string { return strings.Trim(fmt.Sprint(v), "[]") }

// Each kind of key is made, described, and does what its algorithms say; and nothing else.
func TestKinds(t *testing.T) {
	for _, c := range []struct{ spec, usage, member, algorithms string }{
		{"SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", "SYMMETRIC_DEFAULT"},
		{"RSA_2048", "ENCRYPT_DECRYPT", "EncryptionAlgorithms", "RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256"},
		{"RSA_2048", "SIGN_VERIFY", "SigningAlgorithms", "RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512"},
		{"ECC_NIST_P256", "SIGN_VERIFY", "SigningAlgorithms", "ECDSA_SHA_256"},
		{"ECC_NIST_P384", "SIGN_VERIFY", "SigningAlgorithms", "ECDSA_SHA_384"},
		{"ECC_NIST_P521", "SIGN_VERIFY", "SigningAlgorithms", "ECDSA_SHA_512"},
		{"ECC_NIST_P256", "KEY_AGREEMENT", "KeyAgreementAlgorithms", "ECDH"},
		{"ECC_NIST_P384", "KEY_AGREEMENT", "KeyAgreementAlgorithms", "ECDH"},
		{"ECC_NIST_P521", "KEY_AGREEMENT", "KeyAgreementAlgorithms", "ECDH"},
		{"ECC_SECG_P256K1", "SIGN_VERIFY", "SigningAlgorithms", "ECDSA_SHA_256"},
		{"ECC_NIST_EDWARDS25519", "SIGN_VERIFY", "SigningAlgorithms", "ED25519_SHA_512 ED25519_PH_SHA_512"},
		{"HMAC_224", "GENERATE_VERIFY_MAC", "MacAlgorithms", "HMAC_SHA_224"},
		{"HMAC_256", "GENERATE_VERIFY_MAC", "MacAlgorithms", "HMAC_SHA_256"},
		{"HMAC_384", "GENERATE_VERIFY_MAC", "MacAlgorithms", "HMAC_SHA_384"},
		{"HMAC_512", "GENERATE_VERIFY_MAC", "MacAlgorithms", "HMAC_SHA_512"},
		{"ML_DSA_44", "SIGN_VERIFY", "SigningAlgorithms", "ML_DSA_SHAKE_256"},
		{"ML_DSA_65", "SIGN_VERIFY", "SigningAlgorithms", "ML_DSA_SHAKE_256"},
		{"ML_DSA_87", "SIGN_VERIFY", "SigningAlgorithms", "ML_DSA_SHAKE_256"},
		{"ML_KEM_512", "ENCAPSULATE_DECAPSULATE", "EncapsulationAlgorithms", "ML_KEM"},
		{"ML_KEM_768", "ENCAPSULATE_DECAPSULATE", "EncapsulationAlgorithms", "ML_KEM"},
		{"ML_KEM_1024", "ENCAPSULATE_DECAPSULATE", "EncapsulationAlgorithms", "ML_KEM"},
	} {
		if outside(c.spec) {
			continue
		}
		t.Run(c.spec+" "+c.usage, func(t *testing.T) {
			w := newPopulated(t)
			id, _, m := w.makeKey(c.spec, c.usage)
			lists := 0
			for _, member := range []string{"EncryptionAlgorithms", "SigningAlgorithms", "MacAlgorithms", "KeyAgreementAlgorithms", "EncapsulationAlgorithms"} {
				if list, there := m[member]; there {
					lists++
					if member != c.member || text(list) != c.algorithms {
						t.Errorf("%s: %v", member, list)
					}
				}
			}
			if lists != 1 || m["KeySpec"] != c.spec || m["CustomerMasterKeySpec"] != c.spec || m["KeyUsage"] != c.usage || m["KeyState"] != "Enabled" {
				t.Errorf("metadata: %v", m)
			}
			if _, there := m["CurrentKeyMaterialId"]; there != (c.spec == "SYMMETRIC_DEFAULT") {
				t.Errorf("the material is named: %v", there)
			}
			described := w.must(admin, "DescribeKey", `{"KeyId":"`+id+`"}`)["KeyMetadata"]
			if fmt.Sprint(described) != fmt.Sprint(m) {
				t.Errorf("CreateKey gave %v, DescribeKey %v", m, described)
			}
			w.usesOnly(id, c.usage, strings.Fields(c.algorithms))
		})
	}
}

// usesOnly tries every action on a key.
func (w *world) usesOnly(id, usage string, algorithms []string) {
	w.t.Helper()
	message := base64.StdEncoding.EncodeToString([]byte("message"))
	for action, c := range map[string]struct{ usage, body string }{
		"Sign":        {"SIGN_VERIFY", `"Message":"` + message + `","SigningAlgorithm":"%s"`},
		"GenerateMac": {"GENERATE_VERIFY_MAC", `"Message":"` + message + `","MacAlgorithm":"%s"`},
		"Encrypt":     {"ENCRYPT_DECRYPT", `"Plaintext":"` + message + `","EncryptionAlgorithm":"%s"`},
		"Encapsulate": {"ENCAPSULATE_DECAPSULATE", `"EncapsulationAlgorithm":"%s"`},
	} {
		if c.usage != usage {
			other := map[string]string{"Sign": "ECDSA_SHA_256", "GenerateMac": "HMAC_SHA_256", "Encrypt": "SYMMETRIC_DEFAULT", "Encapsulate": "ML_KEM"}[action]
			r := w.call(admin, action, `{"KeyId":"`+id+`",`+fmt.Sprintf(c.body, other)+`}`)
			w.refused(r, "InvalidKeyUsageException", w.arnOf(id)+" key usage is "+usage+" which is not valid for "+action+".")
			continue
		}
		for _, alg := range algorithms {
			if alg == "ED25519_PH_SHA_512" || outside(alg) {
				continue // the first is of digests alone
			}
			body := `{"KeyId":"` + id + `",` + fmt.Sprintf(c.body, alg)
			out := w.must(admin, action, body+`}`)
			if out["KeyId"] != w.arnOf(id) {
				w.t.Errorf("%s: KeyId is %v", action, out["KeyId"])
			}
			w.undone(action, id, alg, message, out)
		}
	}
}

// undone does the other half of an action: what was made is taken, and altered it is not.
func (w *world) undone(action, id, alg, message string, out map[string]any) {
	w.t.Helper()
	same := func(got any, want string) {
		w.t.Helper()
		if got != want {
			w.t.Errorf("%s with %s: the other half gives %v, want %s", action, alg, got, want)
		}
	}
	switch action {
	case "Sign":
		body := `{"KeyId":"` + id + `","Message":"%s","SigningAlgorithm":"` + alg + `","Signature":"` + out["Signature"].(string) + `"}`
		if v := w.must(admin, "Verify", fmt.Sprintf(body, message)); v["SignatureValid"] != true {
			w.t.Errorf("Verify: %v", v)
		}
		w.refused(w.call(admin, "Verify", fmt.Sprintf(body, "b3RoZXI=")), "KMSInvalidSignatureException", "")
	case "GenerateMac":
		body := `{"KeyId":"` + id + `","Message":"%s","MacAlgorithm":"` + alg + `","Mac":"` + out["Mac"].(string) + `"}`
		if v := w.must(admin, "VerifyMac", fmt.Sprintf(body, message)); v["MacValid"] != true {
			w.t.Errorf("VerifyMac: %v", v)
		}
		w.refused(w.call(admin, "VerifyMac", fmt.Sprintf(body, "b3RoZXI=")), "KMSInvalidMacException", "")
	case "Encrypt":
		blob := out["CiphertextBlob"].(string)
		same(w.must(admin, "Decrypt", `{"KeyId":"`+id+`","EncryptionAlgorithm":"`+alg+`","CiphertextBlob":"`+blob+`"}`)["Plaintext"], message)
	case "Encapsulate":
		blob := out["SharedSecretCiphertextBlob"].(string)
		body := `{"KeyId":"` + id + `","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"%s"}`
		same(w.must(admin, "Decapsulate", fmt.Sprintf(body, blob))["SharedSecret"], out["SharedSecret"].(string))
		w.refused(w.call(admin, "Decapsulate", fmt.Sprintf(body, "YWJj")), "InvalidCiphertextException", "")
	}
}

func (w *world) arnOf(id string) string { return "arn:aws:kms:us-east-1:111122223333:key/" + id }

func decode64(t testing.TB, v any) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(v.(string))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The public half verifies without us what the private half signed.
func TestPublicKeys(t *testing.T) {
	w := newPopulated(t)
	digest := sha256.Sum256([]byte("message"))
	sign := func(id, alg string) []byte {
		return decode64(t, w.must(admin, "Sign", `{"KeyId":"`+id+`","MessageType":"DIGEST","Message":"`+base64.StdEncoding.EncodeToString(digest[:])+`","SigningAlgorithm":"`+alg+`"}`)["Signature"])
	}
	public := func(id string) any {
		out := w.must(admin, "GetPublicKey", `{"KeyId":"`+id+`"}`)
		k, err := x509.ParsePKIXPublicKey(decode64(t, out["PublicKey"]))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	id, _, _ := w.makeKey("ECC_NIST_P256", "SIGN_VERIFY")
	if !ecdsa.VerifyASN1(public(id).(*ecdsa.PublicKey), digest[:], sign(id, "ECDSA_SHA_256")) {
		t.Error("ECDSA_SHA_256 does not verify")
	}
	w.must(admin, "DisableKey", `{"KeyId":"`+id+`"}`)
	public(id) // a key that is disabled still shows it
	w.must(admin, "ScheduleKeyDeletion", `{"KeyId":"`+id+`"}`)
	w.refused(w.call(admin, "GetPublicKey", `{"KeyId":"`+id+`"}`), "KMSInvalidStateException", w.arnOf(id)+" is pending deletion.")

	id, _, _ = w.makeKey("RSA_2048", "SIGN_VERIFY")
	if err := rsa.VerifyPSS(public(id).(*rsa.PublicKey), 5, digest[:], sign(id, "RSASSA_PSS_SHA_256"), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}); err != nil {
		t.Error(err)
	}
	for _, spec := range []string{"SYMMETRIC_DEFAULT ENCRYPT_DECRYPT", "HMAC_256 GENERATE_VERIFY_MAC"} {
		s, usage, _ := strings.Cut(spec, " ")
		id, _, _ := w.makeKey(s, usage)
		w.refused(w.call(admin, "GetPublicKey", `{"KeyId":"`+id+`"}`), "UnsupportedOperationException", "")
	}
}

// Two keys of ours agree, and so do ours and one that somebody else has.
func TestDeriveSharedSecret(t *testing.T) {
	w := newPopulated(t)
	a, _, _ := w.makeKey("ECC_NIST_P384", "KEY_AGREEMENT")
	b, _, _ := w.makeKey("ECC_NIST_P384", "KEY_AGREEMENT")
	public := func(id string) string {
		return w.must(admin, "GetPublicKey", `{"KeyId":"`+id+`"}`)["PublicKey"].(string)
	}
	derive := func(id, peer string) map[string]any {
		return w.must(admin, "DeriveSharedSecret", `{"KeyId":"`+id+`","KeyAgreementAlgorithm":"ECDH","PublicKey":"`+peer+`"}`)
	}
	ab, ba := derive(a, public(b)), derive(b, public(a))
	if ab["SharedSecret"] != ba["SharedSecret"] || ab["KeyOrigin"] != "AWS_KMS" || len(decode64(t, ab["SharedSecret"])) != 48 {
		t.Errorf("%v and %v", ab, ba)
	}
	other, _, _ := w.makeKey("ECC_NIST_P256", "KEY_AGREEMENT")
	for _, peer := range []string{public(other), "YWJj"} {
		w.refused(w.call(admin, "DeriveSharedSecret", `{"KeyId":"`+a+`","KeyAgreementAlgorithm":"ECDH","PublicKey":"`+peer+`"}`), "ValidationException", "")
	}
}

// Each pair can be had again from its ciphertext.
func TestDataKeyPairs(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	for _, spec := range api.DataKeyPairSpec("").Values() {
		if spec == api.DataKeyPairSpecSM2 || outside(string(spec)) {
			continue
		}
		out := w.must(admin, "GenerateDataKeyPair", `{"KeyId":"`+id+`","KeyPairSpec":"`+string(spec)+`","EncryptionContext":{"a":"b"}}`)
		plain := w.must(admin, "Decrypt", `{"CiphertextBlob":"`+out["PrivateKeyCiphertextBlob"].(string)+`","EncryptionContext":{"a":"b"}}`)["Plaintext"]
		if plain != out["PrivateKeyPlaintext"] || out["KeyPairSpec"] != string(spec) || out["KeyMaterialId"] == nil {
			t.Errorf("%s: %v", spec, out)
		}
		if strings.HasPrefix(string(spec), "ML_KEM") && len(decode64(t, plain)) != 86 {
			t.Errorf("%s: a private key of %d bytes", spec, len(decode64(t, plain)))
		}
		without := w.must(admin, "GenerateDataKeyPairWithoutPlaintext", `{"KeyId":"`+id+`","KeyPairSpec":"`+string(spec)+`"}`)
		if without["PrivateKeyPlaintext"] != nil || without["PublicKey"] == nil || without["PublicKey"] == out["PublicKey"] {
			t.Errorf("%s: %v", spec, without)
		}
	}
	rsaID, _, _ := w.makeKey("RSA_2048", "ENCRYPT_DECRYPT")
	for _, body := range []string{`"KeyPairSpec":"ECC_NIST_P256"`} {
		w.refused(w.call(admin, "GenerateDataKeyPair", `{"KeyId":"`+rsaID+`",`+body+`}`), "InvalidKeyUsageException", "You cannot generate a data key with an asymmetric CMK")
	}
	w.refused(w.call(admin, "GenerateDataKey", `{"KeyId":"`+rsaID+`","KeySpec":"AES_256"}`), "InvalidKeyUsageException", "You cannot generate a data key with an asymmetric CMK")
}

// What only these keys refuse.
func TestAsymmetricRefusals(t *testing.T) {
	if outside("ML_DSA_44") {
		t.Skip("most of the kinds of keys that this is about are outside of the FIPS 140-3 module")
	}
	w := newPopulated(t)
	rsaKey, _, _ := w.makeKey("RSA_2048", "ENCRYPT_DECRYPT")
	signer, _, _ := w.makeKey("RSA_2048", "SIGN_VERIFY")
	ed, _, _ := w.makeKey("ECC_NIST_EDWARDS25519", "SIGN_VERIFY")
	mldsa, _, _ := w.makeKey("ML_DSA_44", "SIGN_VERIFY")
	symmetric, _ := w.newKey(admin)
	blob := w.must(admin, "Encrypt", `{"KeyId":"`+rsaKey+`","Plaintext":"YQ==","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`)["CiphertextBlob"].(string)
	long := base64.StdEncoding.EncodeToString(make([]byte, 191))
	for _, c := range []struct{ operation, body, code, text string }{
		{"Encrypt", `{"KeyId":"` + rsaKey + `","Plaintext":"YQ=="}`, "InvalidKeyUsageException", "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."},
		{"Encrypt", `{"KeyId":"` + rsaKey + `","Plaintext":"YQ==","EncryptionAlgorithm":"RSAES_OAEP_SHA_256","EncryptionContext":{"a":"b"}}`, "ValidationException", "EncryptionContext is not supported when encrypting with asymmetric CMKs."},
		{"Encrypt", `{"KeyId":"` + rsaKey + `","Plaintext":"` + long + `","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`, "ValidationException", "Algorithm RSAES_OAEP_SHA_256 and key spec RSA_2048 cannot encrypt data larger than 190 bytes."},
		{"Decrypt", `{"KeyId":"` + rsaKey + `","CiphertextBlob":"` + blob + `"}`, "InvalidCiphertextException", ""},
		{"Decrypt", `{"KeyId":"` + rsaKey + `","CiphertextBlob":"` + blob + `","EncryptionAlgorithm":"RSAES_OAEP_SHA_1"}`, "InvalidCiphertextException", ""},
		{"Decrypt", `{"KeyId":"` + rsaKey + `","CiphertextBlob":"` + blob + `","EncryptionAlgorithm":"RSAES_OAEP_SHA_256","EncryptionContext":{"a":"b"}}`, "ValidationException", "EncryptionContext is not supported when decrypting with asymmetric CMKs."},
		{"Decrypt", `{"KeyId":"` + symmetric + `","CiphertextBlob":"` + blob + `","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`, "InvalidKeyUsageException", "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT."},
		{"Decrypt", `{"CiphertextBlob":"` + blob + `","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`, "ValidationException", "KeyId is required with RSAES_OAEP_SHA_256: such a ciphertext does not name its key."},
		{"Sign", `{"KeyId":"` + signer + `","Message":"YQ==","SigningAlgorithm":"ECDSA_SHA_256"}`, "InvalidKeyUsageException", "Algorithm ECDSA_SHA_256 is incompatible with key spec RSA_2048."},
		{"Sign", `{"KeyId":"` + signer + `","Message":"YQ==","MessageType":"DIGEST","SigningAlgorithm":"RSASSA_PSS_SHA_256"}`, "ValidationException", "Digest is invalid length for algorithm RSASSA_PSS_SHA_256."},
		{"Sign", `{"KeyId":"` + signer + `","Message":"YQ==","MessageType":"EXTERNAL_MU","SigningAlgorithm":"RSASSA_PSS_SHA_256"}`, "ValidationException", "Message type EXTERNAL_MU is incompatible with key spec RSA_2048."},
		{"Sign", `{"KeyId":"` + ed + `","Message":"YQ==","MessageType":"DIGEST","SigningAlgorithm":"ED25519_SHA_512"}`, "ValidationException", "Message type DIGEST is incompatible with algorithm ED25519_SHA_512."},
		{"Sign", `{"KeyId":"` + ed + `","Message":"YQ==","SigningAlgorithm":"ED25519_PH_SHA_512"}`, "ValidationException", "Message type RAW is incompatible with algorithm ED25519_PH_SHA_512."},
		{"Sign", `{"KeyId":"` + mldsa + `","Message":"YQ==","MessageType":"DIGEST","SigningAlgorithm":"ML_DSA_SHAKE_256"}`, "ValidationException", "Message type DIGEST is incompatible with key spec ML_DSA_44."},
		{"Sign", `{"KeyId":"` + mldsa + `","Message":"YQ==","MessageType":"EXTERNAL_MU","SigningAlgorithm":"ML_DSA_SHAKE_256"}`, "ValidationException", "Digest is invalid length for algorithm ML_DSA_SHAKE_256."},
		{"CreateKey", `{"KeySpec":"HMAC_256","KeyUsage":"SIGN_VERIFY"}`, "ValidationException", "KeyUsage SIGN_VERIFY is not compatible with KeySpec HMAC_256"},
		{"CreateKey", `{"KeySpec":"SM2","KeyUsage":"SIGN_VERIFY"}`, "UnsupportedOperationException", "KeySpec SM2 is not supported in this Region"},
	} {
		w.refused(w.call(admin, c.operation, c.body), c.code, c.text)
	}
	reencrypted := w.must(admin, "ReEncrypt", `{"SourceKeyId":"`+rsaKey+`","SourceEncryptionAlgorithm":"RSAES_OAEP_SHA_256","CiphertextBlob":"`+blob+`","DestinationKeyId":"`+symmetric+`"}`)
	if reencrypted["SourceKeyMaterialId"] != nil || reencrypted["DestinationKeyMaterialId"] == nil {
		t.Errorf("ReEncrypt: %v", reencrypted)
	}
	if plain := w.must(admin, "Decrypt", `{"CiphertextBlob":"`+reencrypted["CiphertextBlob"].(string)+`"}`)["Plaintext"]; plain != "YQ==" {
		t.Errorf("ReEncrypt to a symmetric key gives %v", plain)
	}
}

// Every spec of the model has its capabilities.
func TestEverySpec(t *testing.T) {
	want := api.KeySpec("").Values()
	slices.Sort(want)
	if got := key.Specs(); !slices.Equal(got, want) {
		t.Errorf("%v, and the model has %v", got, want)
	}
}
