package nitro_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"trent/internal/fault"
	"trent/internal/recipient"
	"trent/internal/recipient/devroot"
	"trent/internal/recipient/nitro"
)

// at is when most documents of the tests are made and looked at.
var at = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// newKey draws an RSA key once for all tests.
var newKey = sync.OnceValue(func() []byte {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return pkixOf(&k.PublicKey)
})

// registers are those of an enclave.
func registers() map[int][]byte {
	out := make(map[int][]byte)
	for i := range 16 {
		out[i] = bytes.Repeat([]byte{byte(i + 1)}, 48)
	}
	return out
}

// atOnce runs work without waiting.
func atOnce(_ recipient.Cost, work func()) error {
	work()
	return nil
}

// counted runs work without waiting, and counts what it costs.
func counted(count map[recipient.Cost]int) recipient.Run {
	return func(c recipient.Cost, work func()) error {
		count[c]++
		work()
		return nil
	}
}

// What may differ between documents that are right.
func TestAccepts(t *testing.T) {
	for name, b := range map[string]bend{
		"as it is":        {},
		"tagged":          envelope(func(f *forgery) { f.before = []byte{0xd2} }),
		"indefinite map":  {members: func(f *forgery) { f.open = true }}, // as modules write it since 2025
		"members absent":  {members: func(f *forgery) { f.set("user_data", nil); f.set("nonce", nil) }},
		"all members":     {members: func(f *forgery) { f.set("user_data", enc(make([]byte, 1024))); f.set("nonce", enc(make([]byte, 1024))) }},
		"empty user data": with("user_data", []byte{}),
		"another order":   {members: func(f *forgery) { slices.Reverse(f.members) }},
		"unknown members": {members: func(f *forgery) {
			f.members = append(f.members, member{"x", enc(map[string]any{"y": []int{1}})}, member{1, enc("z")})
		}},
		"unknown, streamed": and("x", 0x9f, 0x01, 0x5f, 0x41, 0x00, 0xff, 0xff),
		"longer integers": {members: func(f *forgery) {
			f.set("timestamp", append([]byte{0x1b}, enc(uint64(at.UnixMilli()))[1:]...))
			f.set("pcrs", slices.Concat([]byte{0xa1, 0x1b, 0, 0, 0, 0, 0, 0, 0, 0, 0x59, 0, 48}, registers()[0]))
		}},
		"SHA-256 registers": pcrs(map[any]any{0: bytes.Repeat([]byte{1}, 32)}),
		"SHA-512 registers": pcrs(map[any]any{0: bytes.Repeat([]byte{1}, 64), 31: make([]byte, 64)}),
		"one zero of many":  pcrs(map[any]any{0: registers()[0], 1: make([]byte, 48)}),
		"root and leaf":     {ranks: func(f *forgery) { f.ranks = []*rank{f.ranks[root], f.ranks[leaf]} }},
		"bundle of eight": {ranks: func(f *forgery) {
			f.ranks = slices.Insert(f.ranks, 1, newRank("a", time.Hour, -1), newRank("b", time.Hour, 5), newRank("c", time.Hour, 4), newRank("d", time.Hour, 3))
		}},
		"leaf without constraints": ranks(func(r []*rank) { r[leaf].BasicConstraintsValid = false }),
		"last second":              ranks(func(r []*rank) { r[leaf].NotAfter = at }),
		"first second":             ranks(func(r []*rank) { r[leaf].NotBefore = at }),
		"oldest":                   with("timestamp", at.Add(-5*time.Minute).UnixMilli()),
		"newest":                   with("timestamp", at.Add(time.Minute).UnixMilli()),
		"RSA-3072":                 with("public_key", spki(3072, 65537)),
		"RSA-4096":                 with("public_key", spki(4096, 65539)),
		"largest exponent":         with("public_key", spki(2048, 1<<31-1)),
		"debug allowed":            {members: func(f *forgery) { f.set("pcrs", enc(map[int][]byte{0: make([]byte, 48)})) }, settings: func(s *nitro.Settings, _ *forgery) { s.AllowDebug = true }},
		"development root": {
			ranks:    func(f *forgery) { f.ranks[root].Subject.CommonName = nitro.DevelopmentName },
			settings: func(s *nitro.Settings, _ *forgery) { s.Roots[1].Development = true },
		},
		"age by the settings": {
			members:  func(f *forgery) { f.set("timestamp", enc(at.Add(-50*time.Minute).UnixMilli())) },
			settings: func(s *nitro.Settings, _ *forgery) { s.MaxAge = time.Hour },
		},
	} {
		t.Run(name, func(t *testing.T) {
			doc, v, f := forge(t, b)
			for range 2 { // cold and warm
				a, err := v.Verify(doc, at, atOnce)
				if err != nil {
					t.Fatal(err)
				}
				if a.Kind != "nitro-enclave" || a.Module != "i-1234-enc5678" || a.Root != "test" || a.Development != (f.ranks[root].Subject.CommonName == nitro.DevelopmentName) {
					t.Fatalf("%+v", a)
				}
				agree(t, v, doc, at, nil)
			}
		})
	}
}

// What a document says is what comes out, by the names of the condition keys.
func TestAttested(t *testing.T) {
	doc, v, _ := forge(t, bend{})
	a, err := v.Verify(doc, at, atOnce)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Made.Equal(at) || !bytes.Equal(a.Key.SPKI, newKey()) || !bytes.Equal(pkixOf(a.Key.RSA), newKey()) || len(a.Measurements) != 17 {
		t.Fatalf("%+v", a)
	}
	for name, want := range map[string]string{
		"ImageSha384": strings.Repeat("01", 48), "PCR0": strings.Repeat("01", 48), "pcr15": strings.Repeat("10", 48),
		"PCR16": "", "NitroTPMPCR0": "", "": "",
	} {
		if got, ok := a.Measurement(name); got != want || ok != (want != "") {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}

	doc, v, _ = forge(t, tpm(tpmRegisters()))
	if a, err = v.Verify(doc, at, atOnce); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"NitroTPMPCR4": strings.Repeat("05", 48), "NitroTPMPCR23": strings.Repeat("18", 48), "ImageSha384": "", "PCR4": ""} {
		if got, ok := a.Measurement(name); got != want || ok != (want != "") {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if a.Kind != "nitro-tpm" || len(a.Measurements) != 24 {
		t.Errorf("%+v", a)
	}
}

// A chain is verified once, and its time is looked at each time.
func TestSEC_C04_AKnownChainStillExpires(t *testing.T) {
	f := newForgery()
	f.issue()
	doc := func(made time.Time) []byte {
		f.fill()
		f.set("timestamp", enc(made.UnixMilli()))
		f.sign()
		return f.bytes()
	}
	v, err := nitro.New(nitro.Settings{Roots: []nitro.Root{{Label: "test", SHA256: sha256.Sum256(f.ranks[root].der)}}, MaxAge: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after time.Duration
		cold  int
		want  string
	}{
		{0, 1, ""},
		{time.Minute, 0, ""},
		{3 * time.Hour, 0, ""},
		{-2 * time.Hour, 0, "validity check: its certificates are not valid before"}, // the clock was turned back
		{3*time.Hour + time.Second, 0, "validity check: its certificates have not been valid since"},
		{time.Hour, 1, ""}, // forgotten when it had expired
		{time.Hour, 0, ""},
	} {
		count := make(map[recipient.Cost]int)
		now := at.Add(c.after)
		_, err := v.Verify(doc(now), now, counted(count))
		if c.want == "" && err != nil || c.want != "" && !strings.Contains(fault.From(err).Message, c.want) {
			t.Errorf("after %v: %v, want %q", c.after, err, c.want)
		}
		if count[recipient.Cold] != c.cold {
			t.Errorf("after %v: %d cold verifications, want %d", c.after, count[recipient.Cold], c.cold)
		}
	}
}

// What a chain is known by is all of it: no other certificates profit from those that
// are known.
func TestSEC_C04_KnownChainsAreKnownWhole(t *testing.T) {
	doc, v, f := forge(t, bend{})
	if _, err := v.Verify(doc, at, atOnce); err != nil {
		t.Fatal(err)
	}
	f.fill()
	for name, change := range map[string]func(){
		"one left out": func() { f.set("cabundle", enc(slices.Delete(f.bundle(), zonal, zonal+1))) },
		"leaf altered": func() { f.set("certificate", enc(flip(f.ranks[leaf].der))) },
		"one altered":  func() { b := f.bundle(); b[zonal] = flip(b[zonal]); f.set("cabundle", enc(b)) },
		"moved boundary": func() {
			b := f.bundle()
			b[1], b[2] = append(b[1], b[2][0]), b[2][1:]
			f.set("cabundle", enc(b))
		},
	} {
		f.fill()
		change()
		f.sign()
		if _, err := v.Verify(f.bytes(), at, atOnce); !strings.Contains(fmt.Sprint(err), "chain check") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The number of chains that are remembered is bounded; those in use stay.
func TestSEC_C04_ChainsAreBounded(t *testing.T) {
	r, err := devroot.New(at)
	if err != nil {
		t.Fatal(err)
	}
	v, err := nitro.NewBounded(nitro.Settings{Roots: []nitro.Root{r.Trusted()}, MaxAge: time.Minute}, 3)
	if err != nil {
		t.Fatal(err)
	}
	var docs [][]byte
	for range 5 {
		m, err := r.NewModule("m", at)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, sign(t, m))
	}
	cold := func(i int) int {
		count := make(map[recipient.Cost]int)
		if _, err := v.Verify(docs[i], at, counted(count)); err != nil {
			t.Fatal(err)
		}
		return count[recipient.Cold]
	}
	for i, c := range []struct{ doc, cold int }{{0, 1}, {1, 1}, {2, 1}, {0, 0}, {3, 1}, {0, 0}, {2, 0}, {1, 1}, {4, 1}, {2, 0}, {0, 1}} {
		if got := cold(c.doc); got != c.cold {
			t.Errorf("%d: document %d: %d cold, want %d", i, c.doc, got, c.cold)
		}
	}
}

func sign(t testing.TB, m *devroot.Module) []byte {
	t.Helper()
	doc, err := m.Sign(devroot.Content{Time: at, PCRs: registers(), PublicKey: newKey()})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Who cannot have a turn hears that, not something about the document; the key of the
// leaf is not used before its chain is verified.
func TestNothingIsDoneOutOfTurn(t *testing.T) {
	doc, v, _ := forge(t, bend{})
	busy := fmt.Errorf("busy")
	for range 2 {
		var asked []recipient.Cost
		_, err := v.Verify(doc, at, func(c recipient.Cost, _ func()) error {
			asked = append(asked, c)
			return busy
		})
		if err != busy || !slices.Equal(asked, []recipient.Cost{recipient.Cold}) {
			t.Errorf("%v after %v", err, asked)
		}
	}
}

// While a document waits for its turn, another brings the chain.
func TestAChainIsVerifiedOnce(t *testing.T) {
	doc, v, _ := forge(t, bend{})
	_, err := v.Verify(doc, at, func(c recipient.Cost, work func()) error {
		if c == recipient.Cold {
			if _, err := v.Verify(doc, at, atOnce); err != nil {
				t.Error(err)
			}
		}
		work()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Settings that cannot be are refused at the start.
func TestSettings(t *testing.T) {
	ok := nitro.Settings{Roots: []nitro.Root{nitro.AWS()}, MaxAge: time.Minute}
	for name, bend := range map[string]func(*nitro.Settings){
		"no root":              func(s *nitro.Settings) { s.Roots = nil },
		"have the label":       func(s *nitro.Settings) { s.Roots = append(s.Roots, nitro.Root{Label: "aws-g1"}) },
		"the same cert":        func(s *nitro.Settings) { s.Roots = append(s.Roots, nitro.Root{Label: "x", SHA256: nitro.AWS().SHA256}) },
		"label of a root":      func(s *nitro.Settings) { s.Roots[0].Label = "a b" },
		"more than nothing":    func(s *nitro.Settings) { s.MaxAge = 0 },
		"must not be negative": func(s *nitro.Settings) { s.MaxSkew = -1 },
	} {
		s := ok
		s.Roots = slices.Clone(ok.Roots)
		bend(&s)
		if _, err := nitro.New(s); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The published fingerprint of the root of AWS.
func TestAWS(t *testing.T) {
	if r := nitro.AWS(); hex.EncodeToString(r.SHA256[:]) != "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b" || r.Development || r.Label == "" {
		t.Errorf("%+v", r)
	}
}

// Roots are read from PEM and DER; what documents could not be verified by is refused.
func TestLoadRoot(t *testing.T) {
	f := newForgery()
	f.issue()
	der := f.ranks[root].der
	dev, err := devroot.New(at)
	if err != nil {
		t.Fatal(err)
	}
	devPEM, err := dev.PEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"DER": der, "PEM": certPEM(der), "PEM after a text": append([]byte("the root\n"), certPEM(der)...)} {
		if r, err := nitro.LoadRoot("mine", content); err != nil || r != (nitro.Root{Label: "mine", SHA256: sha256.Sum256(der)}) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	bent := func(bend func(r *rank)) []byte {
		f := newForgery()
		bend(f.ranks[root])
		f.issue()
		return f.ranks[root].der
	}
	for name, content := range map[string][]byte{
		"no certificate, PEM or DER":    []byte("text"),
		"there is no certificate in it": []byte("-----BEGIN KEY-----\n-----END KEY-----\n"),
		"more than one certificate":     append(certPEM(der), certPEM(der)...),
		"no certificate authority":      f.ranks[leaf].der,
		"not signed by itself":          f.ranks[regional].der,
		"key that is not of P-384":      bent(func(r *rank) { r.key = newECKey(elliptic.P256()) }),
		"is a development root, which attests nothing; to try things out with it, give it as --attestation-dev-root": devPEM,
	} {
		if _, err := nitro.LoadRoot("mine", content); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := nitro.LoadRoot("", der); err == nil {
		t.Error("no label")
	}
	if r, err := nitro.LoadDevelopmentRoot(devPEM); err != nil || r != dev.Trusted() || !r.Development {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := nitro.LoadDevelopmentRoot(der); err == nil || !strings.Contains(err.Error(), "not a development root") {
		t.Error(err)
	}
}
