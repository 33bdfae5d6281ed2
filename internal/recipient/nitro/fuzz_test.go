package nitro_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"testing"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/recipient/nitro"
)

// realDocuments are seeds.
var realDocuments = []string{"nitrotpm-2026.cbor", "enclave-debug-2024.cbor", "enclave-debug-2021.cbor"}

// FuzzDocument: of bytes of anybody's, only what was signed is accepted; what is not is
// refused by name, and explained as it was refused.
func FuzzDocument(f *testing.F) {
	var accepted [][]byte
	doc, v, forged := forge(f, bend{})
	accepted = append(accepted, doc)
	for _, change := range []func(){
		func() { forged.open = true },
		func() { forged.set("pcrs", nil); forged.set("nitrotpm_pcrs", enc(tpmRegisters())) },
		func() { forged.set("nonce", enc([]byte("nonce"))); forged.set("x", enc(map[string]any{"y": []int{1}})) },
	} {
		forged.fill()
		change()
		forged.sign()
		accepted = append(accepted, forged.bytes())
	}
	for _, doc := range accepted {
		f.Add(doc)
		f.Add(append([]byte{0xd2}, doc...))
	}
	for _, name := range realDocuments {
		f.Add(readReal(f, name))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v.Knows(raw)
		_, err := v.Verify(raw, at, atOnce)
		agree(t, v, raw, at, err)
		if err != nil {
			if !fault.Is(err, api.ValidationException) {
				t.Fatal(err)
			}
			return
		}
		for _, doc := range accepted {
			if bytes.Equal(bytes.TrimPrefix(raw, []byte{0xd2}), doc) {
				return
			}
		}
		t.Fatalf("accepted %x", raw)
	})
}

// FuzzChain: in a document that is signed anew, one certificate is anybody's. Only the
// right one is accepted.
func FuzzChain(f *testing.F) {
	_, _, forged := forge(f, bend{})
	for place, r := range forged.ranks {
		f.Add(uint8(place), r.der)
		f.Add(uint8(leaf-place), r.der)
	}
	for _, name := range realDocuments {
		for place, c := range awsAlone(f).Explain(readReal(f, name), at).Certificates {
			f.Add(uint8(place), derOf(f, readReal(f, name), c.SHA256))
		}
	}
	f.Fuzz(func(t *testing.T, place uint8, der []byte) {
		if place > leaf {
			return
		}
		doc := *forged
		doc.fill()
		first := doc.ranks[root].der
		if place == leaf {
			doc.set("certificate", enc(append([]byte{}, der...)))
		} else {
			b := doc.bundle()
			b[place] = append([]byte{}, der...)
			first = b[root]
			doc.set("cabundle", enc(b))
		}
		doc.sign()
		v, err := nitro.New(nitro.Settings{Roots: []nitro.Root{{Label: "test", SHA256: sha256.Sum256(first)}}, MaxAge: nitro.DefaultMaxAge})
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(doc.bytes(), at, atOnce)
		agree(t, v, doc.bytes(), at, err)
		switch {
		case err != nil && !fault.Is(err, api.ValidationException):
			t.Fatal(err)
		case err == nil && place != root && !bytes.Equal(der, doc.ranks[place].der):
			t.Fatalf("accepted at %d: %x", place, der) // a root is whatever we trust as one
		}
	})
}

// derOf finds a certificate in a document by its digest: each begins with the head of a
// sequence of more than 255 bytes.
func derOf(f *testing.F, doc []byte, digest string) []byte {
	f.Helper()
	for i := range len(doc) - 4 {
		if doc[i] != 0x30 || doc[i+1] != 0x82 {
			continue
		}
		n := 4 + int(doc[i+2])<<8 + int(doc[i+3])
		if i+n > len(doc) {
			continue
		}
		if d := sha256.Sum256(doc[i : i+n]); hex.EncodeToString(d[:]) == digest {
			return doc[i : i+n]
		}
	}
	f.Fatal("the certificate is not in the document")
	return nil
}

// FuzzPublicKey: whatever key is accepted is one that answers can be encrypted to, in its
// one encoding.
func FuzzPublicKey(f *testing.F) {
	doc, v, forged := forge(f, bend{})
	if _, err := v.Verify(doc, at, atOnce); err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{newKey(), spki(4096, 65537), spki(2048, 3), pss(), pkcs1(), pkixOf(newEdKey().Public())} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		doc := *forged
		doc.fill()
		doc.set("public_key", enc(append([]byte{}, der...)))
		doc.sign()
		a, err := v.Verify(doc.bytes(), at, atOnce)
		if err != nil {
			if !fault.Is(err, api.ValidationException) {
				t.Fatal(err)
			}
			return
		}
		again, err := x509.MarshalPKIXPublicKey(a.Key.RSA)
		if bits := a.Key.RSA.N.BitLen(); err != nil || !bytes.Equal(again, der) || !bytes.Equal(a.Key.SPKI, der) || bits < 2048 || bits > 4096 || a.Key.RSA.E < 65537 {
			t.Fatalf("accepted %x", der)
		}
	})
}
