package crypt_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"trent/internal/crypt"
)

func wrapped(t testing.TB, w crypt.Wrapped) []byte {
	t.Helper()
	b, err := crypt.Wrap(crypt.MaterialID{1, 2, 3}, w)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func part(n int, first byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// The layout is written out by hand.
func TestWrappedLayout(t *testing.T) {
	w := crypt.Wrapped{Ciphertext: part(110, 0x40), Metadata: part(3, 0x10), IV: part(12, 0x20), Tag: part(16, 0x30)}
	want := append([]byte{2, 1, 2, 3}, make([]byte, 29)...)
	want = append(want, 3, 12)
	for _, p := range [][]byte{w.Metadata, w.IV, w.Tag, w.Ciphertext} {
		want = append(want, p...)
	}
	got := wrapped(t, w)
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	b, err := crypt.ParseBlob(got)
	if err != nil {
		t.Fatal(err)
	}
	back, ok := b.Wrapped()
	if !ok || b.Material != (crypt.MaterialID{1, 2, 3}) || !bytes.Equal(back.Metadata, w.Metadata) || !bytes.Equal(back.IV, w.IV) ||
		!bytes.Equal(back.Tag, w.Tag) || !bytes.Equal(back.Ciphertext, w.Ciphertext) {
		t.Errorf("parsed %x, %+v", b.Material, back)
	}
}

// Sizes other than those of the API of proxies are neither written nor read.
func TestWrappedSizes(t *testing.T) {
	good := func() crypt.Wrapped {
		return crypt.Wrapped{Ciphertext: part(200, 0), Metadata: part(20, 0), IV: part(16, 0), Tag: part(16, 0)}
	}
	if _, err := crypt.ParseBlob(wrapped(t, good())); err != nil {
		t.Fatal(err)
	}
	for name, alter := range map[string]func(*crypt.Wrapped){
		"metadata 21":     func(w *crypt.Wrapped) { w.Metadata = part(21, 0) },
		"vector 11":       func(w *crypt.Wrapped) { w.IV = part(11, 0) },
		"vector 13":       func(w *crypt.Wrapped) { w.IV = part(13, 0) },
		"vector 0":        func(w *crypt.Wrapped) { w.IV = nil },
		"tag 15":          func(w *crypt.Wrapped) { w.Tag = part(15, 0) },
		"tag 17":          func(w *crypt.Wrapped) { w.Tag = part(17, 0) },
		"ciphertext 109":  func(w *crypt.Wrapped) { w.Ciphertext = part(109, 0) },
		"ciphertext 4206": func(w *crypt.Wrapped) { w.Ciphertext = part(4206, 0) },
	} {
		w := good()
		alter(&w)
		if _, err := crypt.Wrap(crypt.MaterialID{}, w); err == nil {
			t.Errorf("%s: wrapped", name)
		}
	}
	whole := wrapped(t, crypt.Wrapped{Ciphertext: part(110, 0), IV: part(12, 0), Tag: part(16, 0)})
	for name, raw := range map[string][]byte{
		"short": whole[:len(whole)-1], "lengths that reach beyond": withByte(whole, 33, 255), "vector of 255": withByte(whole, 34, 255),
		"version 3": withByte(whole, 0, 3), "empty": {2}, "large": append(bytes.Clone(whole), make([]byte, 5000)...),
	} {
		if _, err := crypt.ParseBlob(raw); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}

func withByte(b []byte, at int, v byte) []byte {
	b = bytes.Clone(b)
	b[at] = v
	return b
}

// What an external key authenticates names the material, and the context by its digest.
func TestWrapData(t *testing.T) {
	sum := sha256.Sum256([]byte("\x00\x00\x00\x01\x00\x00\x00\x01a\x00\x00\x00\x01b"))
	want := "02" + "010203" + hex.EncodeToString(make([]byte, 29)) + hex.EncodeToString(sum[:])
	if got := hex.EncodeToString(crypt.WrapData(crypt.MaterialID{1, 2, 3}, map[string]string{"a": "b"})); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A key that is not remote opens no wrapped blob, though it names its material.
func TestSEC_D03_WrappedIsAnotherVersion(t *testing.T) {
	draft := newDraft()
	inner := draft.seal()
	b, err := crypt.ParseBlob(inner)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := crypt.Wrap(b.Material, crypt.Wrapped{Ciphertext: inner, IV: part(12, 0), Tag: part(16, 0)})
	if err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, "wrapped", keyWithID(t, cluster, b.Material, materialA), raw, nil)
	if _, ok := b.Wrapped(); ok {
		t.Error("a blob of version 1 is taken apart as one of version 2")
	}
}
