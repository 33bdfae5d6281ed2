package ledger

import (
	"bytes"
	"testing"

	"trent/internal/record"
)

// Whatever lies in the store is decoded or refused, and what is decoded is within bounds.
func FuzzEntry(f *testing.F) {
	good, err := record.Encode(entryVersion, entry{Time: 7, Changes: []change{{Path: []byte("a"), Digest: make([]byte, 32)}, {Path: []byte("b")}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{entryVersion, 0x82, 0x00, 0x9a, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stored []byte) {
		e, err := decodeEntry(stored)
		if err != nil {
			return
		}
		again, err := record.Encode(entryVersion, e)
		if err != nil {
			t.Fatal(err)
		}
		if e2, err := decodeEntry(again); err != nil || len(e2.Changes) != len(e.Changes) {
			t.Errorf("%x was read as %+v, and that as %+v, %v", stored, e, e2, err)
		}
	})
}

func FuzzHead(f *testing.F) {
	good, err := record.Encode(headVersion, newHead(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{headVersion, 0xa1, 1, 0})
	f.Fuzz(func(t *testing.T, content []byte) {
		h, err := decodeHead(content)
		if err != nil {
			return
		}
		if h.First == 0 || h.Last+1 < h.First || len(h.Chain) != 32 || len(h.Before) != 32 || h.Epoch == 0 {
			t.Errorf("%x was read as %+v", content, h)
		}
	})
}

// The chain after one entry, computed by the page: docs/spec/ledger.md.
func TestLink(t *testing.T) {
	cluster := [16]byte{1, 2, 3}
	a := link(cluster, make([]byte, 32), 1, []byte("entry"))
	for name, b := range map[string][]byte{
		"another cluster": link([16]byte{1, 2, 4}, make([]byte, 32), 1, []byte("entry")),
		"another past":    link(cluster, bytes.Repeat([]byte{1}, 32), 1, []byte("entry")),
		"another number":  link(cluster, make([]byte, 32), 2, []byte("entry")),
		"another entry":   link(cluster, make([]byte, 32), 1, []byte("entrx")),
	} {
		if bytes.Equal(a, b) {
			t.Errorf("%s: the same value", name)
		}
	}
}

func TestEntryPath(t *testing.T) {
	for _, n := range []uint64{0, 1, 255, 1 << 40, 1<<64 - 1} {
		if got, ok := entryNumber(entryPath(n)); !ok || got != n || entryPath(n) >= headPath {
			t.Errorf("%d: %s", n, entryPath(n))
		}
	}
	for _, path := range []string{"log/", "log/head", "log/1", "log/000000000000000G", "log/00000000000000AB", "log/00000000000000001"} {
		if _, ok := entryNumber(path); ok {
			t.Errorf("%s is an entry", path)
		}
	}
}
