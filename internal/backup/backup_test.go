package backup

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"trent/internal/root"
	"trent/internal/root/file"
	"trent/internal/seal"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

const rootKeys = "sys/rootkeys"

// world is a store with a root of trust.
type world struct {
	store  *bolt.Store
	root   root.Root
	sealer *seal.Sealer
}

func newWorld(t testing.TB, records, size int) *world {
	t.Helper()
	r := newRoot(t)
	container, s, err := seal.Create(t.Context(), []root.Root{r})
	if err != nil {
		t.Fatal(err)
	}
	st, err := bolt.Create(filepath.Join(t.TempDir(), "trent.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	w := &world{st, r, s}
	w.put(t, rootKeys, container)
	for i := range records {
		value := make([]byte, size)
		rand.Read(value)
		w.put(t, fmt.Sprintf("key/%05d", i), value)
	}
	return w
}

func newRoot(t testing.TB) root.Root {
	t.Helper()
	r, err := file.Create(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) put(t testing.TB, path string, value []byte) {
	t.Helper()
	if _, err := w.store.Commit(t.Context(), store.Batch{Put: []store.Put{{Path: path, Value: value}}}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) snapshot(t testing.TB) store.Snapshot {
	t.Helper()
	n, err := w.store.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func (w *world) backup(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := Write(t.Context(), &b, w.snapshot(t), rootKeys, w.sealer, time.UnixMilli(1e12)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unlock opens containers with a root of trust.
func unlock(t testing.TB, r root.Root) func([]byte) (*seal.Sealer, error) {
	return func(container []byte) (*seal.Sealer, error) { return seal.Open(t.Context(), container, []root.Root{r}) }
}

// whole reads a backup to its end.
func whole(t testing.TB, b []byte, r root.Root) ([]store.Record, error) {
	opened, err := Open(bytes.NewReader(b), unlock(t, r))
	if err != nil {
		return nil, err
	}
	var all []store.Record
	err = store.Each(t.Context(), opened, func(r store.Record) error {
		all = append(all, r)
		return nil
	})
	return all, err
}

func TestRoundTrip(t *testing.T) {
	for _, shape := range []struct{ records, size int }{{0, 0}, {1, 1}, {200, 100}, {5, store.MaxValue}, {64, 16 << 10}} {
		w := newWorld(t, shape.records, max(shape.size, 1))
		opened, err := Open(bytes.NewReader(w.backup(t)), unlock(t, w.root))
		if err != nil {
			t.Fatal(err)
		}
		n := w.snapshot(t)
		if opened.Rev() != n.Rev() || opened.Cluster != w.sealer.Cluster() || opened.Time.UnixMilli() != 1e12 {
			t.Errorf("the header is %+v", opened.Header)
		}
		// In both directions, one at a time, and in pages.
		got := 0
		err = store.Each(t.Context(), opened, func(r store.Record) error {
			got++
			want, err := n.Get(t.Context(), r.Path)
			if err == nil && !bytes.Equal(want.Value, r.Value) {
				err = fmt.Errorf("%s is another one", r.Path)
			}
			return err
		})
		if err != nil || got != shape.records+1 {
			t.Errorf("%+v: %d records, %v", shape, got, err)
		}
		err = store.Each(t.Context(), n, func(r store.Record) error {
			got, err := opened.Get(t.Context(), r.Path)
			if err == nil && !bytes.Equal(got.Value, r.Value) {
				err = fmt.Errorf("%s is another one", r.Path)
			}
			return err
		})
		if err != nil {
			t.Errorf("%+v: %v", shape, err)
		}
		if _, err := opened.Get(t.Context(), "key/zzz"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a record that is not there: %v", err)
		}
	}
}

// A backup stands beside a store: whatever is listed of the one is listed of the other.
func TestListsAsTheStoreDoes(t *testing.T) {
	w := newWorld(t, 30, 10)
	n := w.snapshot(t)
	opened, err := Open(bytes.NewReader(w.backup(t)), unlock(t, w.root))
	if err != nil {
		t.Fatal(err)
	}
	random := mathrand.New(mathrand.NewPCG(1, 2))
	prefixes := []string{"", "k", "key/", "key/0000", "key/00012", "sys", "zzz", "a"}
	for range 500 {
		prefix, after, limit := prefixes[random.IntN(len(prefixes))], "", 1+random.IntN(20)
		if random.IntN(2) == 0 {
			after = fmt.Sprintf("key/%05d", random.IntN(40))
		}
		want, err := n.List(t.Context(), prefix, after, limit, false)
		if err != nil {
			t.Fatal(err)
		}
		got, err := opened.List(t.Context(), prefix, after, limit, false)
		if err != nil || len(got) != len(want) {
			t.Fatalf("List(%q, %q, %d): %d records, not %d: %v", prefix, after, limit, len(got), len(want), err)
		}
		for i := range got {
			if got[i].Path != want[i].Path || !bytes.Equal(got[i].Value, want[i].Value) {
				t.Fatalf("List(%q, %q, %d): %s, not %s", prefix, after, limit, got[i].Path, want[i].Path)
			}
		}
	}
}

// TestSEC_E15: every bit of a backup counts.
func TestSEC_E15_BentBits(t *testing.T) {
	w := newWorld(t, 5, 50)
	kept := w.backup(t)
	for at := range kept {
		bent := bytes.Clone(kept)
		bent[at] ^= 1 << (at % 8)
		if _, err := whole(t, bent, w.root); err == nil {
			t.Fatalf("bit %d of byte %d of %d is bent, and nothing is noticed", at%8, at, len(kept))
		}
	}
}

// TestSEC_E15: nor can a part of it be left out, be it a whole segment.
func TestSEC_E15_CutOff(t *testing.T) {
	w := newWorld(t, 12, 300<<10)
	kept := w.backup(t)
	_, raw, err := ReadHeader(bytes.NewReader(kept))
	if err != nil {
		t.Fatal(err)
	}
	cut := []int{0, 1, len(magic), len(magic) + 4, len(raw) - 1, len(raw), len(raw) + 1, len(kept) - 1}
	for at := len(raw) + segment; at < len(kept); at += segment {
		cut = append(cut, at-1, at, at+1)
		without := append(bytes.Clone(kept[:at-segment]), kept[at:]...)
		if _, err := whole(t, without, w.root); err == nil {
			t.Errorf("the segment before %d is left out, and nothing is noticed", at)
		}
	}
	for _, at := range cut {
		if _, err := whole(t, kept[:at], w.root); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
			t.Errorf("cut off at %d of %d: %v", at, len(kept), err)
		}
	}
	if _, err := whole(t, append(bytes.Clone(kept), 0), w.root); !errors.Is(err, ErrDamaged) {
		t.Errorf("one byte more: %v", err)
	}
}

// TestSEC_E15: the end of one backup does not go with the beginning of another.
func TestSEC_E15_PutTogether(t *testing.T) {
	w := newWorld(t, 12, 300<<10)
	one, other := w.backup(t), w.backup(t)
	_, raw, err := ReadHeader(bytes.NewReader(one))
	if err != nil {
		t.Fatal(err)
	}
	at := len(raw) + 2*segment
	if _, err := whole(t, append(bytes.Clone(one[:at]), other[at:]...), w.root); !errors.Is(err, ErrDamaged) {
		t.Errorf("two backups put together: %v", err)
	}
}

func TestWrongRoot(t *testing.T) {
	w := newWorld(t, 1, 10)
	_, err := whole(t, w.backup(t), newRoot(t))
	if _, wrong := errors.AsType[*seal.WrongRootError](err); !wrong {
		t.Errorf("with another root of trust: %v", err)
	}
}

// A later epoch, and a root key that is on its way, open what was made before.
func TestEpochs(t *testing.T) {
	w := newWorld(t, 3, 10)
	w.sealer = w.sealer.InEpoch(7)
	if got, err := whole(t, w.backup(t), w.root); err != nil || len(got) != 4 {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func FuzzHeader(f *testing.F) {
	w := newWorld(f, 1, 10)
	f.Add(w.backup(f))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, raw, err := ReadHeader(bytes.NewReader(b))
		if err != nil {
			return
		}
		if again, err := h.encode(); err != nil || !bytes.Equal(again, raw) {
			t.Errorf("%x was read, and would be written as %x (%v)", raw, again, err)
		}
	})
}

func FuzzRecords(f *testing.F) {
	w := newWorld(f, 3, 10)
	var plain bytes.Buffer
	if _, err := writeRecords(f.Context(), &plain, w.snapshot(f)); err != nil {
		f.Fatal(err)
	}
	f.Add(plain.Bytes())
	f.Add(binary.BigEndian.AppendUint64([]byte{kindEnd}, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, last := newRecords(bytes.NewReader(b)), ""
		for {
			r, err := s.peek()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("%v", err)
				}
				return
			}
			if r.Path <= last || len(r.Value) == 0 || len(r.Value) > store.MaxValue || len(r.Path) > store.MaxPath {
				t.Errorf("the record %q of %d bytes, after %q", r.Path, len(r.Value), last)
			}
			last = r.Path
			s.take()
		}
	})
}
