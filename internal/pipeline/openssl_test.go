package pipeline_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// openssl runs it, with files in a directory of its own.
type openssl struct {
	t   *testing.T
	dir string
}

func newOpenSSL(t *testing.T) *openssl {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed, which is to make what is imported")
	}
	return &openssl{t, t.TempDir()}
}

func (o *openssl) path(name string) string { return filepath.Join(o.dir, name) }

func (o *openssl) put(name string, content []byte) string {
	o.t.Helper()
	if err := os.WriteFile(o.path(name), content, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return o.path(name)
}

func (o *openssl) get(name string) []byte {
	o.t.Helper()
	b, err := os.ReadFile(o.path(name))
	if err != nil {
		o.t.Fatal(err)
	}
	return b
}

func (o *openssl) run(args ...string) {
	o.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = o.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		o.t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// generate makes a private key as PKCS #8, in DER.
func (o *openssl) generate(name string, args ...string) {
	o.t.Helper()
	o.run(append([]string{"genpkey", "-out", "pem"}, args...)...)
	o.run("pkcs8", "-topk8", "-nocrypt", "-in", "pem", "-outform", "DER", "-out", name)
}

// wrap wraps material by OpenSSL alone: RSA-OAEP, and the padded AES key wrap of RFC 5649.
func (o *openssl) wrap(alg string, public, material []byte) string {
	o.t.Helper()
	o.put("public.der", public)
	md := map[bool]string{true: "sha1", false: "sha256"}[strings.HasSuffix(alg, "SHA_1")]
	oaep := func(in, out string) {
		o.t.Helper()
		o.run("pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "public.der", "-in", in, "-out", out,
			"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:"+md, "-pkeyopt", "rsa_mgf1_md:"+md)
	}
	o.put("material", material)
	if !strings.HasPrefix(alg, "RSA_AES") {
		oaep("material", "wrapped")
		return base64.StdEncoding.EncodeToString(o.get("wrapped"))
	}
	o.run("rand", "-out", "aes", "32")
	oaep("aes", "head")
	o.run("enc", "-id-aes256-wrap-pad", "-e", "-K", hex.EncodeToString(o.get("aes")), "-iv", "A65959A6", "-in", "material", "-out", "tail")
	return base64.StdEncoding.EncodeToString(append(o.get("head"), o.get("tail")...))
}

// What OpenSSL made and wrapped by each algorithm, under wrapping keys of each size, is what the key
// then uses: OpenSSL verifies its signatures, makes its MACs, and reads what was encrypted to it.
func TestImportFromOpenSSL(t *testing.T) {
	o, w := newOpenSSL(t), newImporting(t)
	oaep := []string{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}
	keyWrap := []string{"RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256"}
	both := append(oaep, keyWrap...)
	for _, c := range []struct {
		spec, usage string
		make        []string // arguments of genpkey; none: random bytes
		size        int
		algorithms  []string
		wrapping    string
		check       func(id string, material []byte)
	}{
		{"SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", nil, 32, both, "RSA_2048", func(id string, _ []byte) { w.encrypt(admin, id, "{}") }},
		{"HMAC_224", "GENERATE_VERIFY_MAC", nil, 28, oaep, "RSA_3072", func(id string, m []byte) { o.checkMac(w, id, "HMAC_SHA_224", "sha224", m) }},
		{"HMAC_256", "GENERATE_VERIFY_MAC", nil, 40, oaep, "RSA_3072", func(id string, m []byte) { o.checkMac(w, id, "HMAC_SHA_256", "sha256", m) }},
		{"HMAC_384", "GENERATE_VERIFY_MAC", nil, 128, oaep, "RSA_3072", func(id string, m []byte) { o.checkMac(w, id, "HMAC_SHA_384", "sha384", m) }},
		{"HMAC_512", "GENERATE_VERIFY_MAC", nil, 64, both, "RSA_4096", func(id string, m []byte) { o.checkMac(w, id, "HMAC_SHA_512", "sha512", m) }},
		{"RSA_2048", "SIGN_VERIFY", []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, 0, keyWrap, "RSA_2048", func(id string, _ []byte) { o.checkSignature(w, id, "RSASSA_PKCS1_V1_5_SHA_256", "sha256") }},
		{"RSA_3072", "SIGN_VERIFY", []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"}, 0, keyWrap[1:], "RSA_3072", func(id string, _ []byte) { o.checkSignature(w, id, "RSASSA_PKCS1_V1_5_SHA_512", "sha512") }},
		{"RSA_4096", "SIGN_VERIFY", []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"}, 0, keyWrap[1:], "RSA_4096", func(id string, _ []byte) { o.checkSignature(w, id, "RSASSA_PKCS1_V1_5_SHA_384", "sha384") }},
		{"ECC_NIST_P256", "SIGN_VERIFY", curve("P-256"), 0, both, "RSA_2048", func(id string, _ []byte) { o.checkSignature(w, id, "ECDSA_SHA_256", "sha256") }},
		{"ECC_NIST_P384", "SIGN_VERIFY", curve("P-384"), 0, both, "RSA_2048", func(id string, _ []byte) { o.checkSignature(w, id, "ECDSA_SHA_384", "sha384") }},
		{"ECC_NIST_P521", "SIGN_VERIFY", curve("P-521"), 0, both, "RSA_3072", func(id string, _ []byte) { o.checkSignature(w, id, "ECDSA_SHA_512", "sha512") }},
		{"ECC_SECG_P256K1", "SIGN_VERIFY", curve("secp256k1"), 0, both, "RSA_2048", func(id string, _ []byte) { o.checkSignature(w, id, "ECDSA_SHA_256", "sha256") }},
		{"ECC_NIST_EDWARDS25519", "SIGN_VERIFY", []string{"-algorithm", "ed25519"}, 0, both, "RSA_2048", func(id string, _ []byte) { o.checkEd25519(w, id) }},
	} {
		if c.make == nil {
			o.run("rand", "-out", "key", fmt.Sprint(c.size))
		} else {
			o.generate("key", c.make...)
		}
		material := o.get("key")
		for _, alg := range c.algorithms {
			if outside(alg) || outside(c.spec) {
				continue
			}
			id, arn := w.external(c.spec, c.usage)
			token, public := w.parameters(admin, id, alg, c.wrapping)
			r := w.sendImport(admin, id, token, o.wrap(alg, public, material), noExpiry)
			if r.status != 200 || r.body["KeyId"] != arn {
				t.Fatalf("%s by %s: %d %s %s", c.spec, alg, r.status, r.code, r.message)
			}
			if m := w.describe(admin, id); m["KeyState"] != "Enabled" || m["ExpirationModel"] != "KEY_MATERIAL_DOES_NOT_EXPIRE" || (m["CurrentKeyMaterialId"] != nil) != (c.spec == "SYMMETRIC_DEFAULT") {
				t.Errorf("%s by %s: %v", c.spec, alg, m)
			}
			c.check(id, material)
		}
	}
}

func curve(name string) []string {
	return []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + name, "-pkeyopt", "ec_param_enc:named_curve"}
}

const message = "bWVzc2FnZQ==" // "message"

// checkMac makes the MAC of a message with the key that was imported.
func (o *openssl) checkMac(w *world, id, alg, md string, key []byte) {
	o.t.Helper()
	o.put("message", []byte("message"))
	o.run("dgst", "-"+md, "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString(key), "-binary", "-out", "mac", "message")
	out := w.must(admin, "GenerateMac", `{"KeyId":"`+id+`","MacAlgorithm":"`+alg+`","Message":"`+message+`"}`)
	if out["Mac"] != base64.StdEncoding.EncodeToString(o.get("mac")) {
		o.t.Errorf("%s: another MAC than that of OpenSSL", alg)
	}
}

// checkSignature verifies with the public half of the key that was imported.
func (o *openssl) checkSignature(w *world, id, alg, md string) {
	o.t.Helper()
	o.put("message", []byte("message"))
	out := w.must(admin, "Sign", `{"KeyId":"`+id+`","SigningAlgorithm":"`+alg+`","Message":"`+message+`"}`)
	o.put("signature", decode64(o.t, out["Signature"]))
	o.run("pkey", "-inform", "DER", "-in", "key", "-pubout", "-out", "public.pem")
	o.run("dgst", "-"+md, "-verify", "public.pem", "-signature", "signature", "message")
}

func (o *openssl) checkEd25519(w *world, id string) {
	o.t.Helper()
	o.put("message", []byte("message"))
	out := w.must(admin, "Sign", `{"KeyId":"`+id+`","SigningAlgorithm":"ED25519_SHA_512","Message":"`+message+`"}`)
	o.put("signature", decode64(o.t, out["Signature"]))
	o.run("pkey", "-inform", "DER", "-in", "key", "-pubout", "-out", "public.pem")
	o.run("pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", "-in", "message", "-sigfile", "signature")
}

// What was encrypted to a private key of OpenSSL's is decrypted by the key into which it was imported.
func TestImportedKeysDecryptAndAgree(t *testing.T) {
	o, w := newOpenSSL(t), newImporting(t)
	o.generate("key", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
	o.run("pkey", "-inform", "DER", "-in", "key", "-pubout", "-out", "public.pem")
	o.put("message", []byte("message"))
	o.run("pkeyutl", "-encrypt", "-pubin", "-inkey", "public.pem", "-in", "message", "-out", "ciphertext", "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256")
	id, _ := w.external("RSA_2048", "ENCRYPT_DECRYPT")
	token, public := w.parameters(admin, id, "RSA_AES_KEY_WRAP_SHA_256", "RSA_2048")
	if r := w.sendImport(admin, id, token, o.wrap("RSA_AES_KEY_WRAP_SHA_256", public, o.get("key")), noExpiry); r.status != 200 {
		t.Fatal(r)
	}
	out := w.must(admin, "Decrypt", `{"KeyId":"`+id+`","EncryptionAlgorithm":"RSAES_OAEP_SHA_256","CiphertextBlob":"`+base64.StdEncoding.EncodeToString(o.get("ciphertext"))+`"}`)
	if out["Plaintext"] != message {
		t.Errorf("%v", out)
	}

	o.generate("key", curve("P-256")...)
	o.generate("peer", curve("P-256")...)
	o.run("pkey", "-inform", "DER", "-in", "peer", "-pubout", "-outform", "DER", "-out", "peer.pub")
	o.run("pkeyutl", "-derive", "-keyform", "DER", "-inkey", "key", "-peerform", "DER", "-peerkey", "peer.pub", "-out", "shared")
	id, _ = w.external("ECC_NIST_P256", "KEY_AGREEMENT")
	w.imported(admin, id, o.get("key"), noExpiry)
	out = w.must(admin, "DeriveSharedSecret", `{"KeyId":"`+id+`","KeyAgreementAlgorithm":"ECDH","PublicKey":"`+base64.StdEncoding.EncodeToString(o.get("peer.pub"))+`"}`)
	if out["SharedSecret"] != base64.StdEncoding.EncodeToString(o.get("shared")) || out["KeyOrigin"] != "EXTERNAL" {
		t.Errorf("%v", out)
	}
}
