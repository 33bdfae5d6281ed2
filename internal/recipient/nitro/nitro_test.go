package nitro_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"trent/internal/recipient"
	"trent/internal/recipient/devroot"
	"trent/internal/recipient/nitro"
)

// at is when most documents of the tests are made and looked at.
var at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// newKey draws an RSA key once for all tests.
var newKey = sync.OnceValue(func() []byte { return rsaKey(2048) })

func rsaKey(bits int) []byte {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		panic(err)
	}
	return spki
}

// newRoot makes a root and a module of it.
func newRoot(t testing.TB) (*devroot.Root, *devroot.Module) {
	t.Helper()
	r, err := devroot.New(at)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.NewModule(devroot.DefaultModuleID, at)
	if err != nil {
		t.Fatal(err)
	}
	return r, m
}

func newVerifier(t testing.TB, r *devroot.Root) *nitro.Verifier {
	t.Helper()
	v, err := nitro.New(nitro.Settings{Roots: []nitro.Root{nitro.AWS(), r.Trusted()}, MaxAge: nitro.DefaultMaxAge, MaxSkew: nitro.DefaultMaxSkew})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// registers are those of an enclave.
func registers() map[int][]byte {
	out := make(map[int][]byte)
	for i := range 16 {
		out[i] = bytes.Repeat([]byte{byte(i + 1)}, 48)
	}
	return out
}

func content() devroot.Content {
	return devroot.Content{Time: at, PCRs: registers(), PublicKey: newKey()}
}

func sign(t testing.TB, m *devroot.Module, c devroot.Content) []byte {
	t.Helper()
	doc, err := m.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// atOnce runs work without waiting.
func atOnce(_ recipient.Cost, work func()) error {
	work()
	return nil
}

func TestVerify(t *testing.T) {
	r, m := newRoot(t)
	v := newVerifier(t, r)
	for range 2 { // cold, warm
		a, err := v.Verify(sign(t, m, content()), at, atOnce)
		if err != nil {
			t.Fatal(err)
		}
		if a.Kind != "nitro-enclave" || a.Root != "development" || !a.Development || len(a.Measurements) != 17 || !a.Made.Equal(at) || a.Module != devroot.DefaultModuleID {
			t.Fatalf("%+v", a)
		}
	}
}
