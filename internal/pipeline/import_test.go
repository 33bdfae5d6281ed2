package pipeline_test

import (
	"context"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/secret"
)

// oneWrappingKey makes keys, and of each spec of RSA the same one every time, since they take long.
type oneWrappingKey struct {
	mu   sync.Mutex
	made map[api.KeySpec][]byte
}

var wrappingKeys = &oneWrappingKey{made: make(map[api.KeySpec][]byte)}

func (o *oneWrappingKey) GeneratePair(_ context.Context, spec api.KeySpec) (secret.Bytes, []byte, error) {
	return crypt.GeneratePair(spec)
}

func (o *oneWrappingKey) Generate(_ context.Context, spec api.KeySpec) (secret.Bytes, error) {
	if !strings.HasPrefix(string(spec), "RSA") {
		return crypt.Generate(spec)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.made[spec] == nil {
		k, err := crypt.Generate(spec)
		if err != nil {
			return k, err
		}
		o.made[spec] = k.Expose()
	}
	return secret.New(append([]byte(nil), o.made[spec]...)), nil
}

// newImporting is a world that does not wait for wrapping keys.
func newImporting(t testing.TB) *world {
	w := newPopulated(t)
	w.newKeys = wrappingKeys
	w.layRoad()
	return w
}

// external makes a key without material.
func (w *world) external(spec, usage string) (id, arn string) {
	w.t.Helper()
	m := w.must(admin, "CreateKey", `{"Origin":"EXTERNAL","KeySpec":"`+spec+`","KeyUsage":"`+usage+`"}`)["KeyMetadata"].(map[string]any)
	if m["KeyState"] != "PendingImport" || m["Enabled"] != false || m["Origin"] != "EXTERNAL" || m["CurrentKeyMaterialId"] != nil || m["ExpirationModel"] != nil {
		w.t.Errorf("a key that awaits its material: %v", m)
	}
	return m["KeyId"].(string), m["Arn"].(string)
}

// parameters are what an import begins with: a token, and a public key as DER.
func (w *world) parameters(c caller, id, alg, spec string) (token string, public []byte) {
	w.t.Helper()
	out := w.must(c, "GetParametersForImport", `{"KeyId":"`+id+`","WrappingAlgorithm":"`+alg+`","WrappingKeySpec":"`+spec+`"}`)
	public, err := base64.StdEncoding.DecodeString(out["PublicKey"].(string))
	if err != nil {
		w.t.Fatal(err)
	}
	return out["ImportToken"].(string), public
}

// wrap wraps material as an owner of keys would.
func wrap(t testing.TB, alg string, public, material []byte) string {
	t.Helper()
	parsed, err := x509.ParsePKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	newHash := map[bool]func() hash.Hash{true: sha1.New, false: sha256.New}[strings.HasSuffix(alg, "SHA_1")]
	oaep := func(b []byte) []byte {
		var out []byte
		fips140.WithoutEnforcement(func() { out, err = rsa.EncryptOAEP(newHash(), rand.Reader, parsed.(*rsa.PublicKey), b, nil) })
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if !strings.HasPrefix(alg, "RSA_AES") {
		return base64.StdEncoding.EncodeToString(oaep(material))
	}
	key := make([]byte, 32)
	rand.Read(key)
	w, err := subtle.NewKWP(key)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := w.Wrap(material)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(append(oaep(key), wrapped...))
}

const noExpiry = `"ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"`

// send imports material by OAEP, with more members.
func (w *world) importInto(c caller, id string, material []byte, members string) result {
	w.t.Helper()
	token, public := w.parameters(c, id, "RSAES_OAEP_SHA_256", "RSA_2048")
	return w.sendImport(c, id, token, wrap(w.t, "RSAES_OAEP_SHA_256", public, material), members)
}

func (w *world) sendImport(c caller, id, token, wrapped, members string) result {
	w.t.Helper()
	return w.call(c, "ImportKeyMaterial", `{"KeyId":"`+id+`","ImportToken":"`+token+`","EncryptedKeyMaterial":"`+wrapped+`",`+members+`}`)
}

// imported is importInto for what has to succeed; it gives the id of the material.
func (w *world) imported(c caller, id string, material []byte, members string) string {
	w.t.Helper()
	r := w.importInto(c, id, material, members)
	if r.status != 200 {
		w.t.Fatalf("import into %s: %s %s", id, r.code, r.message)
	}
	return r.body["KeyMaterialId"].(string)
}

func (w *world) describe(c caller, id string) map[string]any {
	w.t.Helper()
	return w.must(c, "DescribeKey", about(id))["KeyMetadata"].(map[string]any)
}

func validTo(at time.Time) string { return fmt.Sprintf(`"ValidTo":%d`, at.Unix()) }

func materialOf(n byte) []byte { return []byte(strings.Repeat(string(rune('A'+n)), 32)) }

// Kinds that OpenSSL does not make yet are imported as well, in the form in which they are exported.
func TestImportOtherKinds(t *testing.T) {
	w := newImporting(t)
	for spec, usage := range map[string]string{
		"ML_DSA_44": "SIGN_VERIFY", "ML_DSA_65": "SIGN_VERIFY", "ML_DSA_87": "SIGN_VERIFY",
		"ML_KEM_512": "ENCAPSULATE_DECAPSULATE", "ML_KEM_768": "ENCAPSULATE_DECAPSULATE", "ML_KEM_1024": "ENCAPSULATE_DECAPSULATE",
	} {
		if outside(spec) {
			continue
		}
		private, err := crypt.Generate(api.KeySpec(spec))
		if err != nil {
			t.Fatal(err)
		}
		public, err := crypt.PublicKeyOf(api.KeySpec(spec), private)
		if err != nil {
			t.Fatal(err)
		}
		id, _ := w.external(spec, usage)
		w.imported(admin, id, private.Expose(), noExpiry)
		if got := w.must(admin, "GetPublicKey", about(id))["PublicKey"]; got != base64.StdEncoding.EncodeToString(public) {
			t.Errorf("%s: another public key", spec)
		}
	}
}

// Material expires at its instant, the sweeper forgets it, and only the same one brings the key back,
// with every ciphertext.
func TestExpiryAndReimport(t *testing.T) {
	w := newImporting(t)
	id, arn := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	pending := func(r result) { t.Helper(); w.refused(r, "KMSInvalidStateException", arn+" is pending import.") }
	pending(w.call(admin, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"YQ=="}`))
	until := w.clock().Add(10 * day)
	name := w.imported(admin, id, materialOf(0), validTo(until))
	blob := w.encrypt(admin, id, "{}")
	m := w.describe(admin, id)
	if m["ExpirationModel"] != "KEY_MATERIAL_EXPIRES" || m["ValidTo"] != float64(until.Unix()) || m["CurrentKeyMaterialId"] != name {
		t.Errorf("%v", m)
	}
	decrypt := func() result { return w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`) }
	w.pass(10*day - time.Millisecond)
	if r := decrypt(); r.status != 200 {
		t.Errorf("before it expires: %v", r)
	}
	w.pass(time.Millisecond)
	gone := func() {
		t.Helper()
		pending(decrypt())
		m := w.describe(admin, id)
		if m["KeyState"] != "PendingImport" || m["Enabled"] != false || m["CurrentKeyMaterialId"] != name || m["ExpirationModel"] != nil || m["ValidTo"] != nil {
			t.Errorf("%v", m)
		}
	}
	gone()
	w.pass(time.Minute)
	if swept := w.sweep(); len(swept.Expired) != 1 {
		t.Errorf("%+v", swept)
	}
	gone()
	if strings.Contains(w.storeText(), string(materialOf(0))) {
		t.Error("the store has the material in clear") // which would make what follows worth nothing
	}
	w.refused(w.importInto(admin, id, materialOf(1), noExpiry), "IncorrectKeyMaterialException", "")
	if again := w.imported(admin, id, materialOf(0), noExpiry); again != name {
		t.Errorf("the same material is named %s and %s", name, again)
	}
	if r := decrypt(); r.status != 200 || r.body["KeyMaterialId"] != name {
		t.Errorf("after it was imported again: %v", r)
	}
	w.restart()
	if r := decrypt(); r.status != 200 {
		t.Errorf("after a restart: %v", r)
	}
	out := w.must(admin, "DeleteImportedKeyMaterial", about(id))
	if out["KeyId"] != arn || out["KeyMaterialId"] != name {
		t.Errorf("%v", out)
	}
	gone()
	if out := w.must(admin, "DeleteImportedKeyMaterial", about(id)); out["KeyMaterialId"] != name {
		t.Errorf("deleted again: %v", out)
	}
	w.restart()
	gone()
	w.imported(admin, id, materialOf(0), validTo(w.clock().Add(day)))
	w.imported(admin, id, materialOf(0), validTo(w.clock().Add(5*day))) // a later date, while it is there
	w.pass(2 * day)
	if swept := w.sweep(); len(swept.Expired) != 0 {
		t.Errorf("%+v", swept)
	}
	if r := decrypt(); r.status != 200 {
		t.Errorf("after the first date: %v", r)
	}
}

// storeText is all that lies in the file of the store.
func (w *world) storeText() string {
	b, err := os.ReadFile(filepath.Join(w.dir, "trent.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// A symmetric key is rotated to material that was imported for that, and then needs all of its
// materials.
func TestRotationOfImportedMaterial(t *testing.T) {
	w := newImporting(t)
	id, arn := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	first := w.imported(admin, id, materialOf(0), noExpiry+`,"KeyMaterialDescription":"the first"`)
	g := &generations{w, id, make(map[string]string)}
	g.keep()
	w.refused(w.call(admin, "RotateKeyOnDemand", about(id)), "KMSInvalidStateException", "No available key material pending rotation for the key: "+arn+".")
	second := w.imported(admin, id, materialOf(1), noExpiry+`,"ImportType":"NEW_KEY_MATERIAL"`)
	if w.material(id) != first {
		t.Error("new material is used before the rotation")
	}
	third, err := crypt.MaterialIDOf(id, secret.New(materialOf(2)))
	if err != nil {
		t.Fatal(err)
	}
	w.refused(w.importInto(admin, id, materialOf(2), noExpiry+`,"ImportType":"NEW_KEY_MATERIAL"`), "KMSInvalidStateException",
		"New key material (id: "+crypt.HexID(third)+") cannot be imported into KMS key "+arn+", because another key material (id: "+second+") is pending rotation.")
	w.refused(w.importInto(admin, id, materialOf(0), noExpiry+`,"ImportType":"NEW_KEY_MATERIAL"`), "IncorrectKeyMaterialException", "")
	w.refused(w.importInto(admin, id, materialOf(2), noExpiry+`,"ImportType":"EXISTING_KEY_MATERIAL"`), "IncorrectKeyMaterialException", "")
	w.refused(w.importInto(admin, id, materialOf(0), noExpiry+`,"KeyMaterialId":"`+second+`"`), "IncorrectKeyMaterialException", "")
	w.list(id, "first IMPORTED CURRENT the first", "second IMPORTED PENDING_ROTATION", first, second)

	w.must(admin, "DeleteImportedKeyMaterial", `{"KeyId":"`+id+`","KeyMaterialId":"`+second+`"}`)
	w.list(id, "first IMPORTED CURRENT the first", "", first, second)
	w.imported(admin, id, materialOf(1), validTo(w.clock().Add(30*day))+`,"ImportType":"NEW_KEY_MATERIAL"`)
	w.must(admin, "RotateKeyOnDemand", about(id))
	if w.material(id) != second {
		t.Error("not rotated")
	}
	g.keep()
	g.decrypt(2)
	w.restart()
	g.decrypt(2)
	w.list(id, "first IMPORTED NON_CURRENT the first", "second IMPORTED CURRENT", first, second)

	w.must(admin, "DeleteImportedKeyMaterial", `{"KeyId":"`+id+`","KeyMaterialId":"`+first+`"}`)
	for _, blob := range g.blobs {
		w.refused(w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`), "KMSInvalidStateException", arn+" is pending import.")
	}
	w.list(id, "first PENDING_IMPORT NON_CURRENT the first", "second IMPORTED CURRENT", first, second)
	w.imported(admin, id, materialOf(0), noExpiry+`,"KeyMaterialId":"`+first+`"`)
	g.decrypt(2)
	if r := w.call(admin, "DeleteImportedKeyMaterial", `{"KeyId":"`+id+`","KeyMaterialId":"`+strings.Repeat("0", 64)+`"}`); r.code != "NotFoundException" {
		t.Errorf("%v", r)
	}
}

// list wants two materials in the list of a key, or one.
func (w *world) list(id, one, two, first, second string) {
	w.t.Helper()
	var got []string
	for _, e := range w.must(admin, "ListKeyRotations", `{"KeyId":"`+id+`","IncludeKeyMaterial":"ALL_KEY_MATERIAL"}`)["Rotations"].([]any) {
		m := e.(map[string]any)
		name := map[any]string{first: "first", second: "second"}[m["KeyMaterialId"]]
		line := fmt.Sprint(name, " ", m["ImportState"], " ", m["KeyMaterialState"])
		if d, ok := m["KeyMaterialDescription"]; ok {
			line += " " + d.(string)
		}
		got = append(got, line)
	}
	want := []string{one}
	if two != "" {
		want = append(want, two)
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		w.t.Errorf("materials: %q, want %q", got, want)
	}
}

// What an import refuses, and with which words.
func TestImportRefusals(t *testing.T) {
	w := newImporting(t)
	own, ownARN := w.newKey(admin)
	w.refused(w.call(admin, "GetParametersForImport", `{"KeyId":"`+own+`","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`),
		"UnsupportedOperationException", ownARN+" origin is AWS_KMS which is not valid for this operation.")
	w.refused(w.call(admin, "DeleteImportedKeyMaterial", about(own)), "UnsupportedOperationException", ownARN+" origin is AWS_KMS which is not valid for this operation.")

	id, arn := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	if out := w.must(admin, "DeleteImportedKeyMaterial", about(id)); out["KeyId"] != arn || out["KeyMaterialId"] != nil {
		t.Errorf("nothing to delete: %v", out)
	}
	other, _ := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	token, public := w.parameters(admin, id, "RSAES_OAEP_SHA_256", "RSA_2048")
	wrapped := wrap(t, "RSAES_OAEP_SHA_256", public, materialOf(0))
	altered := decode64(t, token)
	altered[len(altered)/2] ^= 1
	now := w.clock()
	for _, c := range []struct{ id, token, wrapped, members, code, text string }{
		{id, token, wrapped, `"ImportType":"NEW_KEY_MATERIAL"`, "ValidationException", "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES"},
		{id, token, wrapped, noExpiry + "," + validTo(now.Add(day)), "ValidationException", "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE"},
		{id, token, wrapped, validTo(now), "ValidationException", "ValidTo must be in the future"},
		{id, token, wrapped, validTo(now.Add(365*day + time.Second)), "ValidationException", "ValidTo must be at most 365 days ahead"},
		{id, token, wrapped, noExpiry + `,"ImportType":"NEW_KEY_MATERIAL","KeyMaterialId":"` + strings.Repeat("0", 64) + `"`, "ValidationException", "A KeyMaterialId must not be set if the ImportType is NEW_KEY_MATERIAL"},
		{id, token, wrapped, noExpiry + `,"ImportType":"EXISTING_KEY_MATERIAL"`, "IncorrectKeyMaterialException", ""},
		{id, token, wrap(t, "RSAES_OAEP_SHA_1", public, materialOf(0)), noExpiry, "InvalidCiphertextException", ""},
		{id, token, "YWJj", noExpiry, "InvalidCiphertextException", ""},
		{id, token, wrap(t, "RSAES_OAEP_SHA_256", public, materialOf(0)[:31]), noExpiry, "IncorrectKeyMaterialException", ""},
		{id, token, wrap(t, "RSAES_OAEP_SHA_256", public, make([]byte, 33)), noExpiry, "IncorrectKeyMaterialException", ""},
		{id, base64.StdEncoding.EncodeToString(altered), wrapped, noExpiry, "InvalidImportTokenException", ""},
		{id, "YWJj", wrapped, noExpiry, "InvalidImportTokenException", ""},
		{other, token, wrapped, noExpiry, "InvalidImportTokenException", ""},
		{own, token, wrapped, noExpiry, "UnsupportedOperationException", ownARN + " origin is AWS_KMS which is not valid for this operation."},
	} {
		w.refused(w.sendImport(admin, c.id, c.token, c.wrapped, c.members), c.code, c.text)
	}
	w.pass(24*time.Hour - time.Millisecond)
	if r := w.sendImport(admin, id, token, wrapped, noExpiry); r.status != 200 {
		t.Errorf("a token within its day: %v", r)
	}
	w.pass(time.Millisecond)
	w.refused(w.sendImport(admin, id, token, wrapped, noExpiry), "ExpiredImportTokenException", "")
	w.must(admin, "ScheduleKeyDeletion", about(id))
	w.refused(w.sendImport(admin, id, token, wrapped, noExpiry), "KMSInvalidStateException", arn+" is pending deletion (or pending replica deletion).")
	w.must(admin, "DeleteImportedKeyMaterial", about(id))
	if state := w.describe(admin, id)["KeyState"]; state != "PendingDeletion" {
		t.Errorf("the state is %v", state)
	}
	w.must(admin, "CancelKeyDeletion", about(id))
	if state := w.describe(admin, id)["KeyState"]; state != "PendingImport" {
		t.Errorf("the state is %v", state)
	}
}

// Which algorithm wraps what.
func TestWrappingAlgorithms(t *testing.T) {
	w := newImporting(t)
	rsaKey, _ := w.external("RSA_2048", "SIGN_VERIFY")
	p521, _ := w.external("ECC_NIST_P521", "SIGN_VERIFY")
	p256, p256ARN := w.external("ECC_NIST_P256", "SIGN_VERIFY")
	ask := func(id, alg, spec string) result {
		return w.call(admin, "GetParametersForImport", `{"KeyId":"`+id+`","WrappingAlgorithm":"`+alg+`","WrappingKeySpec":"`+spec+`"}`)
	}
	for _, c := range []struct{ id, alg, spec, text string }{
		{rsaKey, "RSAES_OAEP_SHA_256", "RSA_4096", "Key material of key spec RSA_2048 cannot be wrapped by RSAES_OAEP_SHA_256 with a wrapping key of spec RSA_4096."},
		{p521, "RSAES_OAEP_SHA_1", "RSA_2048", "Key material of key spec ECC_NIST_P521 cannot be wrapped by RSAES_OAEP_SHA_1 with a wrapping key of spec RSA_2048."},
		{p256, "RSAES_PKCS1_V1_5", "RSA_2048", "WrappingAlgorithm RSAES_PKCS1_V1_5 is not supported."},
		{p256, "SM2PKE", "SM2", "WrappingAlgorithm SM2PKE is not supported."},
		{p256, "RSAES_OAEP_SHA_256", "SM2", "WrappingKeySpec SM2 is not supported in this Region"},
	} {
		if outside(c.alg) {
			continue
		}
		w.refused(ask(c.id, c.alg, c.spec), "UnsupportedOperationException", c.text)
	}
	out := ask(p256, "RSAES_OAEP_SHA_256", "RSA_3072")
	if out.status != 200 || out.body["KeyId"] != p256ARN || out.body["ParametersValidTo"] != float64(w.clock().Add(24*time.Hour).Unix()) {
		t.Errorf("%v", out)
	}
	token, public := w.parameters(admin, p256, "RSAES_OAEP_SHA_256", "RSA_3072")
	other, err := crypt.Generate(api.KeySpecECCNISTP384)
	if err != nil {
		t.Fatal(err)
	}
	w.refused(w.sendImport(admin, p256, token, wrap(t, "RSAES_OAEP_SHA_256", public, other.Expose()), noExpiry), "IncorrectKeyMaterialException", "")
	w.refused(w.importInto(admin, p256, other.Expose(), noExpiry+`,"ImportType":"NEW_KEY_MATERIAL"`), "ValidationException", "ImportType can be used with symmetric encryption keys only")
}

// A private key that is imported again may be encoded in another way, but not be another key.
func TestReimportOfPrivateKeys(t *testing.T) {
	w := newImporting(t)
	id, _ := w.external("ECC_NIST_P256", "SIGN_VERIFY")
	private, err := crypt.Generate(api.KeySpecECCNISTP256)
	if err != nil {
		t.Fatal(err)
	}
	name := w.imported(admin, id, private.Expose(), noExpiry)
	other, err := crypt.Generate(api.KeySpecECCNISTP256)
	if err != nil {
		t.Fatal(err)
	}
	w.refused(w.importInto(admin, id, other.Expose(), noExpiry), "IncorrectKeyMaterialException", "")
	w.refused(w.importInto(admin, id, append(append([]byte(nil), private.Expose()...), 0), noExpiry), "IncorrectKeyMaterialException", "")
	w.must(admin, "DeleteImportedKeyMaterial", about(id))
	w.refused(w.call(admin, "GetPublicKey", about(id)), "KMSInvalidStateException", w.arnOf(id)+" is pending import.")
	if again := w.imported(admin, id, private.Expose(), noExpiry); again != name {
		t.Errorf("%s and then %s", name, again)
	}
}

// Policies can insist on a date, and on one that is not far.
func TestConditionsOfImports(t *testing.T) {
	w := newImporting(t)
	id, _ := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	until := w.clock().Add(10 * day)
	for condition, members := range map[string][2]string{
		`{"StringEquals":{"kms:ExpirationModel":"KEY_MATERIAL_EXPIRES"}}`:                                       {`"ExpirationModel":"KEY_MATERIAL_EXPIRES",` + validTo(until), validTo(until)},
		`{"NumericLessThan":{"kms:ValidTo":"` + fmt.Sprint(until.Unix()+1) + `"}}`:                              {validTo(until), validTo(until.Add(time.Second))},
		`{"DateLessThan":{"kms:ValidTo":"` + until.Add(time.Second).UTC().Format(time.RFC3339) + `"}}`:          {validTo(until), noExpiry},
		`{"Null":{"kms:ValidTo":"true"},"StringEquals":{"kms:ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"}}`: {noExpiry, validTo(until)},
	} {
		only := user(account, "app", allow("kms:GetParametersForImport"), `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:ImportKeyMaterial","Resource":"*","Condition":`+condition+`}}`)
		if r := w.importInto(only, id, materialOf(0), members[0]); r.status != 200 {
			t.Errorf("%s with %s: %s %s", condition, members[0], r.code, r.message)
		}
		if r := w.importInto(only, id, materialOf(0), members[1]); r.code != "AccessDeniedException" {
			t.Errorf("%s with %s: %d %s", condition, members[1], r.status, r.code)
		}
	}
}

// TestSEC_D02: the same material in two keys makes two keys of it. A ciphertext of one is not one of the other,
// also where it says that it is.
func TestSEC_D02_SameMaterialInTwoKeys(t *testing.T) {
	w := newImporting(t)
	one, _ := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	two, _ := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	first, second := w.imported(admin, one, materialOf(0), noExpiry), w.imported(admin, two, materialOf(0), noExpiry)
	if first == second {
		t.Fatal("the material has one name in both")
	}
	blob := w.encrypt(admin, one, "{}")
	w.refused(w.call(admin, "Decrypt", `{"KeyId":"`+two+`","CiphertextBlob":"`+blob+`"}`), "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	raw := decode64(t, blob)
	other, err := hex.DecodeString(second)
	if err != nil {
		t.Fatal(err)
	}
	copy(raw[1:], other)
	w.refused(w.call(admin, "Decrypt", `{"CiphertextBlob":"`+base64.StdEncoding.EncodeToString(raw)+`"}`), "InvalidCiphertextException", "")
}

// TestSEC_G01: neither material nor what carried it is in the audit or the store, whether it was taken or refused.
func TestSEC_G01_ImportedMaterialIsNotWrittenDown(t *testing.T) {
	w := newImporting(t)
	id, _ := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	material := []byte("CANARY-imported-material-of-32-b")
	token, public := w.parameters(admin, id, "RSAES_OAEP_SHA_256", "RSA_2048")
	wrapped := wrap(t, "RSAES_OAEP_SHA_256", public, material)
	if r := w.sendImport(admin, id, token, wrapped, noExpiry); r.status != 200 {
		t.Fatal(r)
	}
	w.importInto(admin, id, append(material, 'x'), noExpiry)
	w.importInto(admin, id, []byte("CANARY-of-another-key-material-!"), noExpiry)
	w.sendImport(nobody, id, token, wrapped, noExpiry)
	all := strings.Join(w.audit.lines, "") + w.storeText()
	for _, secret := range []string{"CANARY", "Q0FOQVJZ", "43414e415259", wrapped, token, token[20:60]} {
		if strings.Contains(all, secret) {
			t.Errorf("the audit or the store contains %.20q", secret)
		}
	}
	if !strings.Contains(all, `"ExpirationModel":"KEY_MATERIAL_DOES_NOT_EXPIRE"`) {
		t.Error("the audit lacks what was asked for")
	}
}
