package pipeline_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgebitio/nitro-enclaves-sdk-go/crypto/cms"

	"trent/internal/recipient"
	"trent/internal/recipient/devroot"
	"trent/internal/recipient/nitro"
)

// enclave is one that only tests have, with the verifier that believes it.
type enclave struct {
	module   *devroot.Module
	verifier *recipient.Verifier
	spki     []byte
	pcrs     map[int][]byte
}

// enclaveKey is the key pair of all enclaves.
var enclaveKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newEnclave(t testing.TB, now time.Time) *enclave {
	t.Helper()
	root, err := devroot.New(now)
	if err != nil {
		t.Fatal(err)
	}
	e := &enclave{pcrs: map[int][]byte{0: bytes.Repeat([]byte{0xA0}, 48), 1: make([]byte, 48), 4: bytes.Repeat([]byte{0xA4}, 48)}}
	if e.module, err = root.NewModule("i-test-enc1", now); err != nil {
		t.Fatal(err)
	}
	v, err := nitro.New(nitro.Settings{Roots: []nitro.Root{root.Trusted()}, MaxAge: nitro.DefaultMaxAge, MaxSkew: nitro.DefaultMaxSkew})
	if err != nil {
		t.Fatal(err)
	}
	e.verifier = recipient.NewVerifier(v)
	key, err := enclaveKey()
	if err != nil {
		t.Fatal(err)
	}
	e.spki, err = x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// recipient is the member Recipient of a request from the enclave.
func (w *world) recipient() string {
	w.t.Helper()
	doc, err := w.enclave.module.Sign(devroot.Content{Time: w.clock(), PCRs: w.enclave.pcrs, PublicKey: w.enclave.spki})
	if err != nil {
		w.t.Fatal(err)
	}
	return recipientOf(doc)
}

func recipientOf(doc []byte) string {
	return `{"AttestationDocument":"` + base64.StdEncoding.EncodeToString(doc) + `","KeyEncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`
}

// inside decrypts what only the enclave can.
func (w *world) inside(out map[string]any) string {
	w.t.Helper()
	blob, err := base64.StdEncoding.DecodeString(out["CiphertextForRecipient"].(string))
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := enclaveKey()
	if err != nil {
		w.t.Fatal(err)
	}
	plain, err := cms.DecryptEnvelopedKey(key, blob)
	if err != nil {
		w.t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(plain)
}

// Answers to an enclave have no plaintext, and what they have instead the enclave reads.
func TestRecipient(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	out := w.must(admin, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256","Recipient":`+w.recipient()+`}`)
	dataKey := w.inside(out)
	decrypted := w.must(admin, "Decrypt", `{"CiphertextBlob":"`+out["CiphertextBlob"].(string)+`","Recipient":`+w.recipient()+`}`)
	random := w.must(admin, "GenerateRandom", `{"NumberOfBytes":1024,"Recipient":`+w.recipient()+`}`)
	if got := w.inside(decrypted); got != dataKey {
		t.Error("Decrypt does not give the data key to the enclave")
	}
	if n := base64.StdEncoding.DecodedLen(len(w.inside(random))); n < 1024 {
		t.Errorf("%d random bytes", n)
	}
	if clear := w.must(admin, "Decrypt", `{"CiphertextBlob":"`+out["CiphertextBlob"].(string)+`"}`); clear["Plaintext"] != dataKey {
		t.Error("the ciphertext is of another data key")
	}
	pair := w.must(admin, "GenerateDataKeyPair", `{"KeyId":"`+id+`","KeyPairSpec":"RSA_4096","Recipient":`+w.recipient()+`}`)
	if clear := w.must(admin, "Decrypt", `{"CiphertextBlob":"`+pair["PrivateKeyCiphertextBlob"].(string)+`"}`); clear["Plaintext"] != w.inside(pair) || pair["PublicKey"] == nil {
		t.Error("GenerateDataKeyPair does not give the private key to the enclave")
	}
	agreeing, _, _ := w.makeKey("ECC_NIST_P256", "KEY_AGREEMENT")
	peer := w.must(admin, "GetPublicKey", `{"KeyId":"`+agreeing+`"}`)["PublicKey"].(string)
	derive := `{"KeyId":"` + agreeing + `","KeyAgreementAlgorithm":"ECDH","PublicKey":"` + peer + `"`
	shared := w.must(admin, "DeriveSharedSecret", derive+`,"Recipient":`+w.recipient()+`}`)
	if clear := w.must(admin, "DeriveSharedSecret", derive+`}`); clear["SharedSecret"] != w.inside(shared) {
		t.Error("DeriveSharedSecret does not give the secret to the enclave")
	}
	for _, out := range []map[string]any{out, decrypted, random, pair, shared} {
		for _, gone := range []string{"Plaintext", "KeyMaterialId", "PrivateKeyPlaintext", "SharedSecret"} {
			if _, there := out[gone]; there {
				t.Errorf("an answer to an enclave has %s", gone)
			}
		}
	}
	w.refused(w.call(admin, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256","DryRun":true,"Recipient":`+w.recipient()+`}`),
		"DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
}

// A policy lets an enclave in by what it measures, and tells others nothing.
func TestMeasurementsDecide(t *testing.T) {
	w := newPopulated(t)
	id, arn := w.newKey(admin)
	allows := func(condition string) caller {
		return user(account, "app", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":`+condition+`}}`)
	}
	pcr0 := strings.Repeat("a0", 48)
	request := `{"KeyId":"` + id + `","KeySpec":"AES_256","Recipient":` + w.recipient() + `}`
	denied := "User: arn:aws:iam::111122223333:user/app is not authorized to perform: kms:GenerateDataKey on resource: " + arn + " because no identity-based policy allows the kms:GenerateDataKey action"
	for _, c := range []struct {
		condition string
		with      bool // allowed with the document
		without   bool
	}{
		{`{"StringEquals":{"kms:RecipientAttestation:ImageSha384":"` + pcr0 + `"}}`, true, false},
		{`{"StringEquals":{"kms:RecipientAttestation:PCR0":"` + pcr0 + `","kms:RecipientAttestation:PCR4":"` + strings.Repeat("a4", 48) + `"}}`, true, false},
		{`{"StringEqualsIgnoreCase":{"kms:recipientattestation:pcr0":"` + strings.ToUpper(pcr0) + `"}}`, true, false},
		{`{"StringEquals":{"kms:RecipientAttestation:PCR0":"` + strings.Repeat("a1", 48) + `"}}`, false, false},
		{`{"StringEquals":{"kms:RecipientAttestation:PCR0":"0x` + pcr0 + `"}}`, false, false},
		{`{"StringEquals":{"kms:RecipientAttestation:PCR2":"` + pcr0 + `"}}`, false, false},
		{`{"StringEquals":{"kms:RecipientAttestation:NitroTPMPCR0":"` + pcr0 + `"}}`, false, false},
		{`{"Null":{"kms:RecipientAttestation:PCR0":"true"}}`, false, true},
		{`{"Null":{"kms:RecipientAttestation:PCR7":"true"}}`, true, true},
		{`{"StringNotEquals":{"kms:RecipientAttestation:PCR0":"` + pcr0 + `"}}`, false, true},
	} {
		for body, want := range map[string]bool{request: c.with, `{"KeyId":"` + id + `","KeySpec":"AES_256"}`: c.without} {
			r := w.call(allows(c.condition), "GenerateDataKey", body)
			if want {
				if r.code != "" {
					t.Errorf("%s: %s %s", c.condition, r.code, r.message)
				}
				continue
			}
			w.refused(r, "AccessDeniedException", denied)
		}
	}
	// An action that takes no Recipient passes it over, and proves nothing.
	encrypt := `{"KeyId":"` + id + `","Plaintext":"YQ==","Recipient":` + w.recipient() + `}`
	if r := w.call(allows(`{"StringEquals":{"kms:RecipientAttestation:PCR0":"`+pcr0+`"}}`), "Encrypt", encrypt); r.code != "AccessDeniedException" {
		t.Errorf("Encrypt under a condition on measurements: %q %s", r.code, r.message)
	}
}

// A document that proves nothing is refused before anything is decided, and nothing
// is done with it.
func TestSEC_C04_BadEvidenceIsRefused(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	doc, err := w.enclave.module.Sign(devroot.Content{Time: w.now, PCRs: w.enclave.pcrs, PublicKey: w.enclave.spki})
	if err != nil {
		t.Fatal(err)
	}
	old, err := w.enclave.module.Sign(devroot.Content{Time: w.now.Add(-6 * time.Minute), PCRs: w.enclave.pcrs, PublicKey: w.enclave.spki})
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(doc)
	altered[len(altered)-1] ^= 1
	for name, r := range map[string]string{
		"nothing":             `{}`,
		"no document":         `{"KeyEncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`,
		"no algorithm":        `{"AttestationDocument":"` + base64.StdEncoding.EncodeToString(doc) + `"}`,
		"garbage":             recipientOf([]byte("garbage")),
		"another's signature": recipientOf(altered),
		"an old document":     recipientOf(old),
		"a long one":          recipientOf(make([]byte, 30<<10)),
	} {
		for who, c := range map[string]caller{"admin": admin, "who may nothing": user(account, "nobody")} {
			got := w.call(c, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256","Recipient":`+r+`}`)
			if got.code != "ValidationException" || got.message == "" || got.status != 400 {
				t.Errorf("%s, %s: %d %s %q", name, who, got.status, got.code, got.message)
			}
		}
	}
}

// The audit record says where the caller ran, also of who was then refused.
func TestRecipientIsAudited(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	for _, c := range []caller{admin, user(account, "nobody")} {
		w.call(c, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256","Recipient":`+w.recipient()+`}`)
		line := w.audit.lines[len(w.audit.lines)-1]
		var rec struct {
			Recipient map[string]any
			Error     string
		}
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatal(err)
		}
		r := rec.Recipient
		measured, _ := r["measurements"].(map[string]any)
		if r["kind"] != "nitro-enclave" || r["root"] != "development" || r["development"] != true || r["attestationDocumentModuleId"] != "i-test-enc1" ||
			r["made"] != "2026-11-24T12:00:00Z" ||
			r["attestationDocumentEnclaveImageDigest"] != base64.StdEncoding.EncodeToString(w.enclave.pcrs[0]) ||
			r["attestationDocumentEnclavePCR1"] != base64.StdEncoding.EncodeToString(w.enclave.pcrs[1]) ||
			len(measured) != 2 || measured["PCR4"] != hex.EncodeToString(w.enclave.pcrs[4]) {
			t.Errorf("recipient: %v", r)
		}
		if strings.Contains(line, base64.StdEncoding.EncodeToString(w.enclave.spki)[:40]) {
			t.Error("the document itself is in the audit record")
		}
	}
	w.must(admin, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`)
	if line := w.audit.lines[len(w.audit.lines)-1]; strings.Contains(line, `"recipient"`) {
		t.Error("a record without a recipient has one")
	}
}
