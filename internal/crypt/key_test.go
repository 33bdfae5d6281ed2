package crypt_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"slices"
	"testing"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/secret"
)

// opened is a new key of a spec, and the same again from its material.
func opened(t testing.TB, spec api.KeySpec) (crypt.Key, crypt.Key) {
	t.Helper()
	m, err := crypt.Generate(spec)
	if err != nil {
		t.Fatal(err)
	}
	var keys [2]crypt.Key
	for i := range keys {
		if keys[i], err = crypt.New(spec, &crypt.ClusterID{}, crypt.MaterialID{1}, secret.New(bytes.Clone(m.Expose()))); err != nil {
			t.Fatal(err)
		}
	}
	return keys[0], keys[1]
}

func TestSignatures(t *testing.T) {
	message := []byte("message")
	digests := map[int][]byte{32: sum(sha256.Sum256(message)), 48: sum48(sha512.Sum384(message)), 64: sum64(sha512.Sum512(message))}
	for _, tc := range []struct {
		spec   api.KeySpec
		alg    api.SigningAlgorithm
		digest int // size; 0: there is none
	}{
		{"RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", 32}, {"RSA_2048", "RSASSA_PKCS1_V1_5_SHA_384", 48}, {"RSA_2048", "RSASSA_PKCS1_V1_5_SHA_512", 64},
		{"RSA_3072", "RSASSA_PSS_SHA_256", 32}, {"RSA_2048", "RSASSA_PSS_SHA_384", 48}, {"RSA_2048", "RSASSA_PSS_SHA_512", 64},
		{"ECC_NIST_P256", "ECDSA_SHA_256", 32}, {"ECC_NIST_P384", "ECDSA_SHA_384", 48}, {"ECC_NIST_P521", "ECDSA_SHA_512", 64},
		{"ECC_SECG_P256K1", "ECDSA_SHA_256", 32}, {"ECC_NIST_EDWARDS25519", "ED25519_SHA_512", 0},
		{"ML_DSA_44", "ML_DSA_SHAKE_256", 0}, {"ML_DSA_65", "ML_DSA_SHAKE_256", 0}, {"ML_DSA_87", "ML_DSA_SHAKE_256", 0},
	} {
		if crypt.CheckSpec(tc.spec) != nil {
			continue
		}
		a, b := opened(t, tc.spec)
		signer, verifier := a.(crypt.Signer), b.(crypt.Signer)
		signature, err := signer.Sign(tc.alg, api.MessageTypeRaw, message)
		if err != nil {
			t.Errorf("%s %s: %v", tc.spec, tc.alg, err)
			continue
		}
		verifies := func(form api.MessageType, message, signature []byte, want bool) {
			t.Helper()
			err := verifier.Verify(tc.alg, form, message, signature)
			if (err == nil) != want || err != nil && !fault.Is(err, crypt.InvalidSignature) {
				t.Errorf("%s %s: verifies %v: %v", tc.spec, tc.alg, want, err)
			}
		}
		verifies(api.MessageTypeRaw, message, signature, true)
		verifies(api.MessageTypeRaw, []byte("another"), signature, false)
		verifies(api.MessageTypeRaw, message, signature[:len(signature)-1], false)
		verifies(api.MessageTypeRaw, message, append(bytes.Clone(signature), 0), false)
		flipped := bytes.Clone(signature)
		flipped[len(flipped)/2] ^= 1
		verifies(api.MessageTypeRaw, message, flipped, false)
		if tc.digest > 0 {
			verifies(api.MessageTypeDigest, digests[tc.digest], signature, true)
		}
		pa, err := signer.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		if pb, _ := verifier.PublicKey(); !bytes.Equal(pa, pb) {
			t.Errorf("%s: the public key is another one the second time", tc.spec)
		}
	}
}

func sum(d [32]byte) []byte   { return d[:] }
func sum48(d [48]byte) []byte { return d[:] }
func sum64(d [64]byte) []byte { return d[:] }

func TestEd25519ph(t *testing.T) {
	a, b := opened(t, api.KeySpecECCNISTEdwards25519)
	digest := sum64(sha512.Sum512([]byte("message")))
	signature, err := a.(crypt.Signer).Sign(api.SigningAlgorithmED25519PHSHA512, api.MessageTypeDigest, digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.(crypt.Signer).Verify(api.SigningAlgorithmED25519PHSHA512, api.MessageTypeDigest, digest, signature); err != nil {
		t.Error(err)
	}
	if b.(crypt.Signer).Verify(api.SigningAlgorithmED25519SHA512, api.MessageTypeRaw, digest, signature) == nil {
		t.Error("a signature of a digest is one of a message")
	}
}

func TestEncryption(t *testing.T) {
	for _, spec := range []api.KeySpec{"RSA_2048", "RSA_3072"} {
		for _, alg := range []api.EncryptionAlgorithm{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"} {
			if crypt.CheckEncryption(alg) != nil {
				continue
			}
			a, b := opened(t, spec)
			blob, err := a.(crypt.Cipher).Encrypt(alg, secret.New([]byte("plain")))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := b.(crypt.Cipher).Decrypt(alg, blob)
			if err != nil || string(plain.Expose()) != "plain" {
				t.Errorf("%s %s: %v", spec, alg, err)
			}
			blob[7] ^= 1
			for _, bad := range [][]byte{blob, blob[1:], nil} {
				if _, err := b.(crypt.Cipher).Decrypt(alg, bad); !fault.Is(err, crypt.InvalidCiphertext) {
					t.Errorf("%s %s: %v", spec, alg, err)
				}
			}
		}
	}
}

func TestMacs(t *testing.T) {
	for spec, alg := range map[api.KeySpec]api.MacAlgorithm{
		"HMAC_224": "HMAC_SHA_224", "HMAC_256": "HMAC_SHA_256", "HMAC_384": "HMAC_SHA_384", "HMAC_512": "HMAC_SHA_512",
	} {
		a, b := opened(t, spec)
		mac, err := a.(crypt.Authenticator).Mac(alg, []byte("message"))
		if err != nil {
			t.Fatal(err)
		}
		v := b.(crypt.Authenticator)
		if err := v.VerifyMac(alg, []byte("message"), mac); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
		for _, bad := range [][]byte{mac[1:], nil, append(bytes.Clone(mac), 0), flip(mac)} {
			if err := v.VerifyMac(alg, []byte("message"), bad); !fault.Is(err, crypt.InvalidMac) {
				t.Errorf("%s: %v", spec, err)
			}
		}
	}
}

func flip(b []byte) []byte {
	b = bytes.Clone(b)
	b[0] ^= 1
	return b
}

func TestAgreement(t *testing.T) {
	specs := []api.KeySpec{"ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"}
	for i, spec := range specs {
		a, _ := opened(t, spec)
		b, _ := opened(t, spec)
		pa, _ := a.(crypt.Public).PublicKey()
		pb, _ := b.(crypt.Public).PublicKey()
		ab, err := a.(crypt.Agreer).Agree(pb)
		if err != nil {
			t.Fatal(err)
		}
		ba, err := b.(crypt.Agreer).Agree(pa)
		if err != nil || !ab.Equal(ba) || ab.Len() != []int{32, 48, 66}[i] {
			t.Errorf("%s: %v, %d bytes", spec, err, ab.Len())
		}
		other, _ := opened(t, specs[(i+1)%len(specs)])
		foreign, _ := other.(crypt.Public).PublicKey()
		off := bytes.Clone(pb)
		off[len(off)-1] ^= 1 // a point beside the curve
		for name, peer := range map[string][]byte{"another curve": foreign, "off the curve": off, "cut": pb[:len(pb)-1], "nothing": nil} {
			if _, err := a.(crypt.Agreer).Agree(peer); err == nil {
				t.Errorf("%s: agrees with %s", spec, name)
			}
		}
	}
}

func TestEncapsulation(t *testing.T) {
	for spec, size := range map[api.KeySpec]int{"ML_KEM_512": 768, "ML_KEM_768": 1088, "ML_KEM_1024": 1568} {
		if crypt.CheckSpec(spec) != nil {
			continue
		}
		a, b := opened(t, spec)
		shared, blob, err := a.(crypt.Encapsulator).Encapsulate()
		if err != nil || len(blob) != size || shared.Len() != 32 {
			t.Fatalf("%s: %v, %d bytes", spec, err, len(blob))
		}
		k := b.(crypt.Encapsulator)
		if again, err := k.Decapsulate(blob); err != nil || !again.Equal(shared) {
			t.Errorf("%s: %v", spec, err)
		}
		if other, err := k.Decapsulate(flip(blob)); err != nil || other.Equal(shared) || other.Len() != 32 {
			t.Errorf("%s: an altered ciphertext: %v", spec, err)
		}
		for _, bad := range [][]byte{nil, blob[1:], append(bytes.Clone(blob), 0)} {
			if _, err := k.Decapsulate(bad); !fault.Is(err, crypt.InvalidCiphertext) {
				t.Errorf("%s: %d bytes: %v", spec, len(bad), err)
			}
		}
	}
}

// Material of one spec is none of another.
func TestMaterialOfAnotherSpec(t *testing.T) {
	specs := []api.KeySpec{
		"SYMMETRIC_DEFAULT", "RSA_2048", "RSA_3072", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_SECG_P256K1", "ECC_NIST_EDWARDS25519",
		"ML_DSA_44", "ML_DSA_65", "ML_KEM_512", "ML_KEM_768", "ML_KEM_1024",
	}
	specs = slices.DeleteFunc(specs, func(s api.KeySpec) bool { return crypt.CheckSpec(s) != nil })
	for _, from := range specs {
		m, err := crypt.Generate(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range specs {
			_, err := crypt.New(to, &crypt.ClusterID{}, crypt.MaterialID{}, secret.New(bytes.Clone(m.Expose())))
			if (err == nil) != (from == to) {
				t.Errorf("material of %s as %s: %v", from, to, err)
			}
		}
		cut := bytes.Clone(m.Expose())[1:]
		if _, err := crypt.New(from, &crypt.ClusterID{}, crypt.MaterialID{}, secret.New(cut)); err == nil {
			t.Errorf("%s: material without its first byte is taken", from)
		}
	}
}

// A process that keeps to the FIPS 140-3 module refuses what that does not have, and no
// other does.
func TestFIPSRefuses(t *testing.T) {
	for spec, inside := range map[api.KeySpec]bool{
		"SYMMETRIC_DEFAULT": true, "HMAC_224": true, "HMAC_512": true, "RSA_2048": true, "ECC_NIST_P256": true, "ECC_NIST_P521": true,
		"ECC_NIST_EDWARDS25519": true, "ML_KEM_768": true, "ML_KEM_1024": true,
		"ECC_SECG_P256K1": false, "ML_DSA_44": false, "ML_DSA_65": false, "ML_DSA_87": false, "ML_KEM_512": false,
	} {
		_, err := crypt.Generate(spec)
		if want := inside || !crypt.FIPS(); (err == nil) != want {
			t.Errorf("%s is made: %v", spec, err)
		}
		if err != nil && fault.From(err).Message != "KeySpec "+string(spec)+" is outside of the FIPS 140-3 module, to which this server keeps." {
			t.Errorf("%s: %v", spec, err)
		}
	}
	for alg, inside := range map[api.EncryptionAlgorithm]bool{"RSAES_OAEP_SHA_256": true, "RSAES_OAEP_SHA_1": false} {
		k, _ := opened(t, api.KeySpecRSA2048)
		_, err := k.(crypt.Cipher).Encrypt(alg, secret.New([]byte("plain")))
		if want := inside || !crypt.FIPS(); (err == nil) != want {
			t.Errorf("%s encrypts: %v", alg, err)
		}
	}
}

// A pair is of one key, as the other ways to read its private half see it.
func TestGeneratePair(t *testing.T) {
	alone := []api.KeySpec{api.KeySpecHMAC224, api.KeySpecHMAC256, api.KeySpecHMAC384, api.KeySpecHMAC512, api.KeySpecSymmetricDefault, api.KeySpecSM2}
	for _, spec := range api.KeySpec("").Values() {
		private, public, err := crypt.GeneratePair(spec)
		if slices.Contains(alone, spec) || crypt.CheckSpec(spec) != nil {
			if err == nil {
				t.Errorf("%s has a public half", spec)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		again, err := crypt.PublicKeyOf(spec, private)
		if err != nil || !bytes.Equal(public, again) {
			t.Errorf("%s: the halves do not fit together: %v", spec, err)
		}
	}
}
