package nitro_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hf/nitrite"
	"github.com/veraison/go-cose"

	"trent/internal/fault"
	"trent/internal/recipient/devroot"
	"trent/internal/recipient/nitro"
)

func readReal(t testing.TB, name string) []byte {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// awsAlone is as a server is set up that trusts AWS, with debug mode allowed.
func awsAlone(t testing.TB) *nitro.Verifier {
	t.Helper()
	v, err := nitro.New(nitro.Settings{Roots: []nitro.Root{nitro.AWS()}, MaxAge: nitro.DefaultMaxAge, MaxSkew: nitro.DefaultMaxSkew, AllowDebug: true})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Real documents, at their own time: the root is the published one, and everything is
// right but that none has an RSA key. testdata/README says where they are from.
func TestRealDocuments(t *testing.T) {
	for _, c := range []struct {
		file, time, kind, module string
		registers                int
		register, value          string
	}{
		{
			"nitrotpm-2026.cbor", "2026-08-13T17:36:48.432Z", "nitro-tpm", "i-000fa553dad58a9f1-tpm0000000000000000",
			24, "NitroTPMPCR4", "3c428daf639a86655cbe8aeff1eeb298f59c6a82d8ea6fdc34c6f3af1d2582f091a25aca4a6f390c32f0f7701952829a",
		},
		{"enclave-debug-2024.cbor", "2024-09-09T19:49:12.4Z", "nitro-enclave", "i-0bbf1bfe232b8c2ce-enc0191ba35c9d1b77a", 16, "PCR0", strings.Repeat("0", 96)},
		{"enclave-debug-2021.cbor", "2021-03-05T17:01:49.526Z", "nitro-enclave", "i-026ae32a18c80f866-enc01780356441553dc", 16, "PCR0", strings.Repeat("0", 96)},
	} {
		t.Run(c.file, func(t *testing.T) {
			doc := readReal(t, c.file)
			made, err := time.Parse(time.RFC3339, c.time)
			if err != nil {
				t.Fatal(err)
			}
			e := awsAlone(t).Explain(doc, made)
			for _, v := range e.Checks {
				if want := map[bool]string{true: nitro.Failed, false: nitro.Passed}[v.Check == "public key"]; v.Result != want {
					t.Errorf("%+v", v)
				}
			}
			if d := e.Contents; !d.Time.Equal(made) || d.Kind != c.kind || d.Module != c.module || len(d.Measurements) != c.registers || e.Root != "aws-g1" {
				t.Errorf("%+v", d)
			}
			for _, r := range e.Contents.Measurements {
				if r.Name == c.register && r.Value != c.value {
					t.Errorf("%s is %s", r.Name, r.Value)
				}
			}
			if len(e.Certificates) != 5 || e.Certificates[0].SHA256 != "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b" {
				t.Errorf("%+v", e.Certificates)
			}

			_, err = awsAlone(t).Verify(doc, made, atOnce)
			if f := fault.From(err); !strings.Contains(f.Message, "public key check") {
				t.Error(err)
			}
			for after, check := range map[time.Duration]string{6 * time.Minute: "freshness", -2 * time.Minute: "freshness"} {
				if _, err = awsAlone(t).Verify(doc, made.Add(after), atOnce); !strings.Contains(fault.From(err).Message, check) {
					t.Error(err)
				}
			}
		})
	}
}

// The bytes of a real document count: none can be changed without some check noticing.
func TestBytesOfARealDocumentCount(t *testing.T) {
	doc := readReal(t, "nitrotpm-2026.cbor")
	v := awsAlone(t)
	made := time.Date(2026, 8, 13, 17, 36, 48, 0, time.UTC)
	for i := 0; i < len(doc); i += 13 { // one in thirteen, for the time that it takes
		doc[i] ^= 1
		failed := 0
		for _, c := range v.Explain(doc, made).Checks {
			if c.Check != "public key" && c.Result != nitro.Passed {
				failed++
			}
		}
		if failed == 0 {
			t.Errorf("byte %d", i)
		}
		doc[i] ^= 1
	}
}

// What we accept, and what we make, others accept too.
func TestSecondOpinions(t *testing.T) {
	r, err := devroot.New(at)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.NewModule("module", at)
	if err != nil {
		t.Fatal(err)
	}
	content, err := r.PEM()
	if err != nil {
		t.Fatal(err)
	}
	own := x509.NewCertPool()
	own.AddCert(parseRoot(t, content))
	tpm, err := m.Sign(devroot.Content{Time: at, PCRs: devroot.Registers(true), NitroTPM: true, PublicKey: newKey()})
	if err != nil {
		t.Fatal(err)
	}
	streamed, _, f := forge(t, bend{members: func(f *forgery) { f.open = true }})
	forged := x509.NewCertPool()
	forged.AddCert(parseRoot(t, certPEM(f.ranks[root].der)))
	for name, c := range map[string]struct {
		doc   []byte
		roots *x509.CertPool // nil: that of AWS
		at    time.Time
		tpm   bool
	}{
		"ours":           {sign(t, m), own, at, false},
		"ours, tagged":   {append([]byte{0xd2}, sign(t, m)...), own, at, false},
		"ours, NitroTPM": {tpm, own, at, true},
		"of a test":      {streamed, forged, at, false},
		"real, 2021":     {readReal(t, "enclave-debug-2021.cbor"), nil, time.Date(2021, 3, 5, 17, 2, 0, 0, time.UTC), false},
		"real, 2024":     {readReal(t, "enclave-debug-2024.cbor"), nil, time.Date(2024, 9, 9, 19, 50, 0, 0, time.UTC), false},
		"real, NitroTPM": {readReal(t, "nitrotpm-2026.cbor"), nil, time.Date(2026, 8, 13, 17, 37, 0, 0, time.UTC), true},
	} {
		t.Run(name, func(t *testing.T) {
			leaf := checkByCOSE(t, c.doc)
			if c.tpm {
				return // nitrite knows enclaves alone
			}
			got, err := nitrite.Verify(c.doc, nitrite.VerifyOptions{Roots: c.roots, CurrentTime: c.at})
			if err != nil || !got.SignatureOK {
				t.Fatal(err)
			}
			if !got.Certificates[0].Equal(leaf) {
				t.Error("another leaf")
			}
		})
	}
}

// checkByCOSE verifies the signature with go-cose and gives the leaf.
func checkByCOSE(t *testing.T, doc []byte) *x509.Certificate {
	t.Helper()
	var message cose.Sign1Message
	if doc[0] == 0xd2 {
		if err := message.UnmarshalCBOR(doc); err != nil {
			t.Fatal(err)
		}
	} else if err := (*cose.UntaggedSign1Message)(&message).UnmarshalCBOR(doc); err != nil {
		t.Fatal(err)
	}
	var payload struct {
		Certificate []byte `cbor:"certificate"`
	}
	if err := cbor.Unmarshal(message.Payload, &payload); err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(payload.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	v, err := cose.NewVerifier(cose.AlgorithmES384, leaf.PublicKey.(*ecdsa.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	if err := message.Verify(nil, v); err != nil {
		t.Fatal(err)
	}
	return leaf
}

func parseRoot(t *testing.T, content []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(content)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
