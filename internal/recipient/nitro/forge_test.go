package nitro_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"trent/internal/recipient/nitro"
)

// A forgery is a document that is right in everything until a test bends it: first the
// certificates, then the members of the payload, then the envelope.
type forgery struct {
	ranks   []*rank // the root first, the leaf last
	members []member
	open    bool // the payload's map has an indefinite length

	// Pieces of the envelope, encoded.
	before      []byte
	array       byte
	protected   []byte
	unprotected []byte
	payload     []byte
	signature   []byte
	after       []byte

	// What is signed, if it is not the right thing.
	context  string
	external []byte
}

// A rank is a certificate before it is made.
type rank struct {
	x509.Certificate
	key    crypto.Signer
	signer crypto.Signer // nil: the key above
	issuer *pkix.Name    // nil: the name above
	bend   func(der []byte) []byte
	der    []byte
}

// A member is one of the payload, its value encoded.
type member struct {
	name  any
	value []byte
}

func enc(v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func newECKey(c elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// newRank gives the template of a level.
func newRank(name string, life time.Duration, pathLen int) *rank {
	r := &rank{key: newECKey(elliptic.P384())}
	r.Certificate = x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: at.Add(-time.Hour), NotAfter: at.Add(life),
		BasicConstraintsValid: true, MaxPathLen: -1, SignatureAlgorithm: x509.ECDSAWithSHA384,
	}
	if pathLen == leafPath {
		r.KeyUsage = x509.KeyUsageDigitalSignature
		return r
	}
	r.IsCA, r.KeyUsage = true, x509.KeyUsageCertSign
	r.MaxPathLen, r.MaxPathLenZero = pathLen, pathLen == 0
	return r
}

const leafPath = -2

// newForgery makes one that is right, with three intermediates as real ones have.
func newForgery() *forgery {
	return &forgery{ranks: []*rank{
		newRank("root", 1000*time.Hour, -1), newRank("regional", 480*time.Hour, 2), newRank("zonal", 144*time.Hour, 1),
		newRank("instance", 24*time.Hour, 0), newRank("leaf", 3*time.Hour, leafPath),
	}}
}

// issue makes the certificates.
func (f *forgery) issue() {
	for i, r := range f.ranks {
		above := r
		if i > 0 {
			above = f.ranks[i-1]
		}
		parent := &x509.Certificate{Subject: above.Subject, SubjectKeyId: above.SubjectKeyId}
		if r.issuer != nil {
			parent.Subject = *r.issuer
		}
		signer := r.signer
		if signer == nil {
			signer = above.key
		}
		der, err := x509.CreateCertificate(rand.Reader, &r.Certificate, parent, r.key.Public(), signer)
		if err != nil {
			panic(err)
		}
		r.der = der
		if r.bend != nil {
			r.der = r.bend(der)
		}
	}
}

// bundle is what stands in cabundle.
func (f *forgery) bundle() [][]byte {
	var out [][]byte
	for _, r := range f.ranks[:len(f.ranks)-1] {
		out = append(out, r.der)
	}
	return out
}

// fill gives the members in the order of the real ones.
func (f *forgery) fill() {
	f.members = []member{
		{"module_id", enc("i-1234-enc5678")},
		{"digest", enc("SHA384")},
		{"timestamp", enc(uint64(at.UnixMilli()))},
		{"pcrs", enc(registers())},
		{"certificate", enc(f.ranks[len(f.ranks)-1].der)},
		{"cabundle", enc(f.bundle())},
		{"public_key", enc(newKey())},
		{"user_data", []byte{0xf6}},
		{"nonce", []byte{0xf6}},
	}
}

// set sets a member; nil takes it out.
func (f *forgery) set(name string, value []byte) {
	i := slices.IndexFunc(f.members, func(m member) bool { return m.name == name })
	switch {
	case i < 0:
		f.members = append(f.members, member{name, value})
	case value == nil:
		f.members = slices.Delete(f.members, i, i+1)
	default:
		f.members[i].value = value
	}
}

// sign encodes the payload and signs it with the key of the leaf.
func (f *forgery) sign() {
	var body []byte
	for _, m := range f.members {
		body = append(append(body, enc(m.name)...), m.value...)
	}
	switch n := len(f.members); {
	case f.open:
		body = append(append([]byte{0xbf}, body...), 0xff)
	case n < 24:
		body = append([]byte{0xa0 | byte(n)}, body...)
	default:
		body = append([]byte{0xb8, byte(n)}, body...)
	}
	f.array, f.protected, f.unprotected, f.payload = 0x84, enc([]byte{0xa1, 0x01, 0x38, 0x22}), []byte{0xa0}, enc(body)
	f.resign()
}

// resign signs the envelope as it is now.
func (f *forgery) resign() {
	key, ok := f.ranks[len(f.ranks)-1].key.(*ecdsa.PrivateKey)
	if !ok {
		f.signature = enc(make([]byte, 96))
		return
	}
	context := f.context
	if context == "" {
		context = "Signature1"
	}
	signed := append([]byte{0x84}, enc(context)...)
	signed = append(append(append(signed, f.protected...), enc(append([]byte{}, f.external...))...), f.payload...)
	digest := sha512.Sum384(signed)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		panic(err)
	}
	size := (key.Curve.Params().BitSize + 7) / 8
	raw := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	f.signature = enc(append(raw, make([]byte, 96)...)[:96])
}

func (f *forgery) bytes() []byte {
	out := append(slices.Clone(f.before), f.array)
	return slices.Concat(out, f.protected, f.unprotected, f.payload, f.signature, f.after)
}

// A bend is what a test does to a forgery; all of it may be nil.
type bend struct {
	ranks    func(f *forgery)
	members  func(f *forgery)
	envelope func(f *forgery)
	settings func(s *nitro.Settings, f *forgery)
	raw      func(doc []byte) []byte
}

// forge makes a document and a verifier that trusts its root.
func forge(t testing.TB, b bend) (doc []byte, v *nitro.Verifier, f *forgery) {
	t.Helper()
	f = newForgery()
	step := func(bend func(*forgery)) {
		if bend != nil {
			bend(f)
		}
	}
	step(b.ranks)
	f.issue()
	f.fill()
	step(b.members)
	f.sign()
	step(b.envelope)
	doc = f.bytes()
	if b.raw != nil {
		doc = b.raw(doc)
	}
	s := nitro.Settings{
		Roots:  []nitro.Root{nitro.AWS(), {Label: "test", SHA256: sha256.Sum256(f.ranks[0].der)}},
		MaxAge: nitro.DefaultMaxAge, MaxSkew: nitro.DefaultMaxSkew,
	}
	if b.settings != nil {
		b.settings(&s, f)
	}
	v, err := nitro.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return doc, v, f
}

// spki encodes an RSA key that nobody has the other half of.
func spki(bits, e int) []byte {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	n.SetBit(n, 0, 1)
	return rawSPKI(fmt.Sprintf("%x", n), e)
}
