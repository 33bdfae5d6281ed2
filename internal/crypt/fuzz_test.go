package crypt_test

import (
	"bytes"
	"maps"
	"testing"

	"trent/internal/crypt"
	"trent/internal/fault"
)

// FuzzParseBlob: bytes of anybody give a blob with the material of their
// header, or the one bare refusal; what was not sealed does not open.
func FuzzParseBlob(f *testing.F) {
	f.Add(newDraft().seal())
	f.Add([]byte{1})
	f.Add(wrapped(f, crypt.Wrapped{Ciphertext: newDraft().seal(), Metadata: []byte("v1"), IV: make([]byte, 12), Tag: make([]byte, 16)}))
	f.Add(make([]byte, crypt.Overhead+1))
	f.Add(append([]byte{1}, make([]byte, crypt.Overhead+crypt.MaxPlaintext-1)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := crypt.ParseBlob(raw)
		if err != nil {
			if !fault.Is(err, crypt.InvalidCiphertext) || err.Error() != "InvalidCiphertextException" {
				t.Fatal(err)
			}
			return
		}
		if w, ok := b.Wrapped(); ok {
			again, err := crypt.Wrap(b.Material, w)
			if err != nil || !bytes.Equal(again, raw) {
				t.Fatalf("wrapped again as %x (%v)", again, err)
			}
			mustRefuse(t, "wrapped", keyWithID(t, cluster, b.Material, materialB), raw, nil)
			return
		}
		if n := len(raw) - crypt.Overhead; n < 1 || n > crypt.MaxPlaintext || raw[0] != 1 || !bytes.Equal(b.Material[:], raw[1:33]) {
			t.Fatalf("parsed %x", raw)
		}
		mustRefuse(t, "not sealed", keyWithID(t, cluster, b.Material, materialB), raw, nil)
	})
}

// FuzzOpen: of all there is, one blob opens, under one context.
func FuzzOpen(f *testing.F) {
	right := newDraft().seal()
	f.Add(right, "tenant", "a", "table", "invoices")
	f.Add(right, "table", "invoices", "tenant", "a")
	f.Add(right[:90], "", "", "", "")
	k := newKey(f, cluster, materialA)
	f.Fuzz(func(t *testing.T, raw []byte, k1, v1, k2, v2 string) {
		context := map[string]string{k1: v1, k2: v2}
		if bytes.Equal(raw, right) && maps.Equal(context, usual) {
			if _, err := open(k, raw, context); err != nil {
				t.Fatal(err)
			}
			return
		}
		mustRefuse(t, "another", k, raw, context)
	})
}
