package devroot_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"trent/internal/fault"
	"trent/internal/recipient"
	"trent/internal/recipient/devroot"
	"trent/internal/recipient/nitro"
)

var at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func newRoot(t *testing.T) *devroot.Root {
	t.Helper()
	r, err := devroot.New(at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func toPEM(t *testing.T, r *devroot.Root) []byte {
	t.Helper()
	content, err := r.PEM()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func publicKey(t *testing.T) []byte {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

func atOnce(_ recipient.Cost, work func()) error {
	work()
	return nil
}

// A root that was written and read makes documents that a server accepts which was
// given that root, and no other.
func TestRoundTrip(t *testing.T) {
	file := toPEM(t, newRoot(t))
	r, err := devroot.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.NewModule("i-1-enc1", at)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := nitro.LoadDevelopmentRoot(file)
	if err != nil || trusted != r.Trusted() || !trusted.Development {
		t.Fatalf("%+v, %v", trusted, err)
	}
	verifier := func(roots ...nitro.Root) *nitro.Verifier {
		v, err := nitro.New(nitro.Settings{Roots: append(roots, nitro.AWS()), MaxAge: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	mine := verifier(trusted)
	real := trusted
	real.Development = false // somebody who calls it a real one
	for _, tpm := range []bool{false, true} {
		doc, err := m.Sign(devroot.Content{
			Time: at, PCRs: devroot.Registers(tpm), NitroTPM: tpm, PublicKey: publicKey(t), UserData: []byte("data"), Nonce: []byte("nonce"),
		})
		if err != nil {
			t.Fatal(err)
		}
		a, err := mine.Verify(doc, at, atOnce)
		if err != nil {
			t.Fatal(err)
		}
		if !a.Development || a.Root != "development" || a.Module != "i-1-enc1" || (a.Kind == "nitro-tpm") != tpm {
			t.Errorf("%+v", a)
		}
		for name, v := range map[string]*nitro.Verifier{"another": verifier(newRoot(t).Trusted()), "none": verifier(), "as a real one": verifier(real)} {
			if _, err := v.Verify(doc, at, atOnce); !strings.Contains(fault.From(err).Message, "chain check: its root") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// The chain has the shape of that of AWS: five certificates of 1024 bytes at most, of
// which the leaf lives for three hours.
func TestShape(t *testing.T) {
	r := newRoot(t)
	m, err := r.NewModule(devroot.DefaultModuleID, at)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := m.Sign(devroot.Content{Time: at, PCRs: devroot.Registers(false), PublicKey: publicKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	v, err := nitro.New(nitro.Settings{Roots: []nitro.Root{r.Trusted()}, MaxAge: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	e := v.Explain(doc, at)
	if !e.Accepted || len(e.Certificates) != 5 || e.Contents.KeyBits != 2048 {
		t.Errorf("%+v", e)
	}
	if !strings.Contains(e.Certificates[0].Subject, "attests nothing") {
		t.Errorf("the root is called %s", e.Certificates[0].Subject)
	}
	for after, ok := range map[time.Duration]bool{0: true, 3 * time.Hour: true, 3*time.Hour + time.Second: false} {
		if _, err := v.Verify(doc, at.Add(after), atOnce); (err == nil) != ok {
			t.Errorf("after %v: %v", after, err)
		}
	}
}

// Documents of a module differ, and have one chain.
func TestManyDocumentsOfOneChain(t *testing.T) {
	r := newRoot(t)
	m, err := r.NewModule("m", at)
	if err != nil {
		t.Fatal(err)
	}
	v, err := nitro.New(nitro.Settings{Roots: []nitro.Root{r.Trusted()}, MaxAge: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	key := publicKey(t)
	var cold int
	var last []byte
	for i := range 20 {
		doc, err := m.Sign(devroot.Content{Time: at.Add(time.Duration(i) * time.Millisecond), PCRs: devroot.Registers(false), PublicKey: key})
		if err != nil || bytes.Equal(doc, last) {
			t.Fatal(err)
		}
		last = doc
		if _, err := v.Verify(doc, at.Add(time.Second), func(c recipient.Cost, work func()) error {
			if c == recipient.Cold {
				cold++
			}
			return atOnce(c, work)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if cold != 1 {
		t.Errorf("%d chains", cold)
	}
}

// A file that is not a whole development root is refused, in words.
func TestParseRefuses(t *testing.T) {
	file, other := toPEM(t, newRoot(t)), toPEM(t, newRoot(t))
	blocks := func(b []byte) (cert, key []byte) {
		c, rest := pem.Decode(b)
		k, _ := pem.Decode(rest)
		return pem.EncodeToMemory(c), pem.EncodeToMemory(k)
	}
	cert, key := blocks(file)
	_, otherKey := blocks(other)
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty":       {nil, "no certificate"},
		"no key":      {cert, "has no key, or that of another; make a new one by trent attest dev-root"},
		"key alone":   {key, "there is no certificate in it"},
		"another key": {slices.Concat(cert, otherKey), "has no key, or that of another"},
		"two roots":   {slices.Concat(file, other), "more than one certificate"},
		"damaged key": {slices.Concat(cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})), "is damaged"},
	} {
		if _, err := devroot.Parse(c.content); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
