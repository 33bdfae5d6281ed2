package crypt_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/secret"
)

// wrappingKey is an RSA key with 2048 bits, as PKCS #8 and as its public half.
var wrappingKey = sync.OnceValues(func() (*rsa.PublicKey, []byte) {
	private, err := crypt.Generate(api.KeySpecRSA2048)
	if err != nil {
		panic(err)
	}
	k, err := x509.ParsePKCS8PrivateKey(private.Expose())
	if err != nil {
		panic(err)
	}
	return &k.(*rsa.PrivateKey).PublicKey, private.Expose()
})

func oaep(t testing.TB, content []byte) []byte {
	public, _ := wrappingKey()
	out, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, content, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func keyWrapped(t testing.TB, key, content []byte) []byte {
	w, err := subtle.NewKWP(key)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := w.Wrap(content)
	if err != nil {
		t.Fatal(err)
	}
	return append(oaep(t, key), wrapped...)
}

func unwrap(alg api.AlgorithmSpec, wrapped []byte) (secret.Bytes, error) {
	_, private := wrappingKey()
	return crypt.Unwrap(alg, secret.New(bytes.Clone(private)), wrapped)
}

// TestSEC_D06: what was wrapped comes out, and everything else is the one refusal: an altered byte, another
// algorithm, a wrapping AES key of another size, nothing behind it.
func TestSEC_D06_Unwrap(t *testing.T) {
	key, content := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 100)
	const direct, both = api.AlgorithmSpecRSAESOAEPSHA256, api.AlgorithmSpecRSAAESKeyWrapSHA256
	right := map[api.AlgorithmSpec][]byte{direct: oaep(t, content), both: keyWrapped(t, key, content)}
	for alg, wrapped := range right {
		if got, err := unwrap(alg, wrapped); err != nil || !bytes.Equal(got.Expose(), content) {
			t.Errorf("%s: %v", alg, err)
		}
		for _, at := range []int{0, 255, len(wrapped) - 1} {
			altered := bytes.Clone(wrapped)
			altered[at] ^= 1
			refused(t, alg, altered)
		}
		refused(t, alg, wrapped[:len(wrapped)-1])
		refused(t, alg, append(bytes.Clone(wrapped), 0))
		refused(t, alg, nil)
	}
	refused(t, both, right[direct])
	refused(t, direct, right[both])
	refused(t, both, keyWrapped(t, key[:16], content))
	refused(t, both, oaep(t, key))
}

// What NIST wrapped comes out, and what it altered is refused.
func TestKeyWrapVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/kwp-ad-256.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for block := range strings.SplitSeq(string(text), "\n\n") {
		lines := strings.Split(strings.TrimSpace(block), "\n")
		if !strings.HasPrefix(lines[0], "K = ") {
			continue
		}
		field := func(i int) []byte {
			b, err := hex.DecodeString(lines[i][len("K = "):])
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		n++
		const alg = api.AlgorithmSpecRSAAESKeyWrapSHA256
		wrapped := append(oaep(t, field(0)), field(1)...)
		if lines[2] == "FAIL" {
			refused(t, alg, wrapped)
		} else if got, err := unwrap(alg, wrapped); err != nil || !bytes.Equal(got.Expose(), field(2)) {
			t.Errorf("%s: %v", lines[1], err)
		}
	}
	if n < 8 {
		t.Errorf("%d vectors were found", n)
	}
}

func refused(t testing.TB, alg api.AlgorithmSpec, wrapped []byte) {
	t.Helper()
	if _, err := unwrap(alg, wrapped); !fault.Is(err, crypt.InvalidCiphertext) || err.Error() != "InvalidCiphertextException" {
		t.Errorf("%s of %d bytes: %v", alg, len(wrapped), err)
	}
}

// FuzzUnwrap: whatever somebody says was wrapped, it is refused in one way, also behind a good AES key.
func FuzzUnwrap(f *testing.F) {
	key := bytes.Repeat([]byte{1}, 32)
	head := oaep(f, key)
	right := keyWrapped(f, key, bytes.Repeat([]byte{2}, 100))[len(head):]
	f.Add(right)
	f.Add(right[:24])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, tail []byte) {
		if bytes.Equal(tail, right) {
			return
		}
		refused(t, api.AlgorithmSpecRSAAESKeyWrapSHA256, slices.Concat(head, tail))
	})
}

// TestSEC_D07: of each kind what Generate makes is admitted as it is, and what is not of the kind is
// refused.
func TestSEC_D07_Admit(t *testing.T) {
	made := make(map[api.KeySpec][]byte)
	for _, spec := range specs() {
		m, err := crypt.Generate(spec)
		if err != nil {
			t.Fatal(err)
		}
		made[spec] = m.Expose()
	}
	for spec, m := range made {
		got, err := crypt.Admit(spec, secret.New(bytes.Clone(m)))
		if err != nil || !bytes.Equal(got.Expose(), m) {
			t.Errorf("%s: %v", spec, err)
		}
		for other, m := range made {
			if _, err := crypt.Admit(spec, secret.New(bytes.Clone(m))); (err == nil) != (other == spec || sameSize(spec, len(m))) {
				t.Errorf("%s as %s: %v", other, spec, err)
			}
		}
		if spec[:4] == "HMAC" || spec == api.KeySpecSymmetricDefault {
			continue
		}
		for name, bad := range map[string][]byte{"cut": m[:len(m)-1], "longer": append(bytes.Clone(m), 0), "empty": {}} {
			if _, err := crypt.Admit(spec, secret.New(bytes.Clone(bad))); err == nil {
				t.Errorf("%s, %s: admitted", spec, name)
			}
		}
	}
}

// sameSize reports whether so many bytes are a key of a spec that has no other form.
func sameSize(spec api.KeySpec, n int) bool {
	r, ok := map[api.KeySpec][2]int{
		api.KeySpecSymmetricDefault: {32, 32}, api.KeySpecHMAC224: {28, 64}, api.KeySpecHMAC256: {32, 64},
		api.KeySpecHMAC384: {48, 128}, api.KeySpecHMAC512: {64, 128},
	}[spec]
	return ok && r[0] <= n && n <= r[1]
}

// TestSEC_D07: numbers that are no key are refused, though they are well encoded: an elliptic curve's scalar that
// is zero, or the order; an RSA key whose exponent does not belong to its primes, or with a small public one.
func TestSEC_D07_AdmitRefusesBadNumbers(t *testing.T) {
	order := elliptic.P256().Params().N
	for name, scalar := range map[string]*big.Int{"zero": new(big.Int), "the order": order, "one more": new(big.Int).Add(order, big.NewInt(1))} {
		if _, err := crypt.Admit(api.KeySpecECCNISTP256, secret.New(p256Key(t, scalar))); err == nil {
			t.Errorf("a scalar that is %s is admitted", name)
		}
	}
	if _, err := crypt.Admit(api.KeySpecECCNISTP256, secret.New(p256Key(t, big.NewInt(7)))); err != nil {
		t.Errorf("a scalar within the range: %v", err)
	}
	for name, alter := range map[string]func(k *pkcs1){
		"another private exponent": func(k *pkcs1) { k.D = new(big.Int).Add(k.D, big.NewInt(2)) },
		"another modulus":          func(k *pkcs1) { k.N = new(big.Int).Add(k.N, big.NewInt(2)) },
		"a prime that is none":     func(k *pkcs1) { k.P = new(big.Int).Add(k.P, big.NewInt(1)) },
		"public exponent 3": func(k *pkcs1) {
			phi := new(big.Int).Mul(new(big.Int).Sub(k.P, big.NewInt(1)), new(big.Int).Sub(k.Q, big.NewInt(1)))
			k.E, k.D = 3, new(big.Int).ModInverse(big.NewInt(3), phi)
			if k.D == nil { // three divides it
				k.D = big.NewInt(1)
			}
		},
	} {
		if _, err := crypt.Admit(api.KeySpecRSA2048, secret.New(rsaKey(t, alter))); err == nil {
			t.Errorf("an RSA key with %s is admitted", name)
		}
	}
	if _, err := crypt.Admit(api.KeySpecRSA2048, secret.New(rsaKey(t, func(*pkcs1) {}))); err != nil {
		t.Errorf("the RSA key as it was: %v", err)
	}
}

// pkcs8 is PrivateKeyInfo of RFC 5958.
type pkcs8 struct {
	Version   int
	Algorithm pkix.AlgorithmIdentifier
	Key       []byte
}

// pkcs1 is RSAPrivateKey of RFC 8017, appendix A.1.2.
type pkcs1 struct {
	Version int
	N       *big.Int
	E       int
	D, P, Q *big.Int
	Dp, Dq  *big.Int
	Qinv    *big.Int
}

// rsaKey is the wrapping key with other numbers.
func rsaKey(t *testing.T, alter func(*pkcs1)) []byte {
	_, der := wrappingKey()
	var outer pkcs8
	var inner pkcs1
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	if _, err := asn1.Unmarshal(outer.Key, &inner); err != nil {
		t.Fatal(err)
	}
	alter(&inner)
	return encoded(t, &outer, inner)
}

// p256Key is a private key with this scalar (RFC 5915).
func p256Key(t *testing.T, scalar *big.Int) []byte {
	m, err := crypt.Generate(api.KeySpecECCNISTP256)
	if err != nil {
		t.Fatal(err)
	}
	var outer pkcs8
	if _, err := asn1.Unmarshal(m.Expose(), &outer); err != nil {
		t.Fatal(err)
	}
	return encoded(t, &outer, struct {
		Version int
		Scalar  []byte
	}{1, scalar.FillBytes(make([]byte, 32))})
}

func encoded(t *testing.T, outer *pkcs8, inner any) []byte {
	var err error
	if outer.Key, err = asn1.Marshal(inner); err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(*outer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// FuzzAdmit: whatever is admitted can be opened, and is admitted again as the same.
func FuzzAdmit(f *testing.F) {
	all := specs()
	for i, spec := range all {
		m, err := crypt.Generate(spec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), m.Expose())
	}
	f.Fuzz(func(t *testing.T, i byte, m []byte) {
		spec := all[int(i)%len(all)]
		got, err := crypt.Admit(spec, secret.New(bytes.Clone(m)))
		if err != nil {
			return
		}
		again, err := crypt.Admit(spec, secret.New(bytes.Clone(got.Expose())))
		if err != nil || !bytes.Equal(again.Expose(), got.Expose()) {
			t.Fatalf("%s: admitted, and then not the same: %v", spec, err)
		}
		var cluster crypt.ClusterID
		if _, err := crypt.New(spec, &cluster, crypt.MaterialID{}, again); err != nil {
			t.Fatalf("%s: admitted, and does not open: %v", spec, err)
		}
	})
}

// specs are the kinds of keys of which this process can make some.
func specs() (all []api.KeySpec) {
	for _, spec := range api.KeySpec("").Values() {
		if spec != api.KeySpecSM2 && crypt.CheckSpec(spec) == nil {
			all = append(all, spec)
		}
	}
	return all
}

// TestWrappingInFIPS: what the module does not have is refused in a process that keeps to it.
func TestWrappingInFIPS(t *testing.T) {
	for alg, sha1 := range map[api.AlgorithmSpec]bool{
		api.AlgorithmSpecRSAESOAEPSHA1: true, api.AlgorithmSpecRSAAESKeyWrapSHA1: true,
		api.AlgorithmSpecRSAESOAEPSHA256: false, api.AlgorithmSpecRSAAESKeyWrapSHA256: false,
	} {
		if err := crypt.CheckWrapping(alg); (err != nil) != (sha1 && crypt.FIPS()) {
			t.Errorf("%s: %v", alg, err)
		}
	}
}
