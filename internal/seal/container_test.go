package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"trent/internal/root"
	"trent/internal/seal"
)

func TestCreateNeedsARoot(t *testing.T) {
	if _, _, err := seal.Create(context.Background(), nil); err == nil {
		t.Error("a store without a root of trust was made")
	}
	down := fakeRoot{id: "fake:down", fail: root.ErrUnavailable}
	if stored, s, err := seal.Create(context.Background(), []root.Root{ours, down}); !errors.Is(err, root.ErrUnavailable) || stored != nil || s != nil || !strings.Contains(err.Error(), "fake:down") {
		t.Errorf("half of the roots wrapped: %v", err)
	}
}

// Two stores of one root of trust share neither cluster nor keys.
func TestStoresDiffer(t *testing.T) {
	first, _ := create(t, ours)
	second, _ := create(t, ours)
	a, b := unpack(t, first), unpack(t, second)
	if bytes.Equal(a.Cluster, b.Cluster) || bytes.Equal(a.Keys[0].Wraps[0].Blob[:32], b.Keys[0].Wraps[0].Blob[:32]) {
		t.Error("two stores are alike")
	}
}

// Each of several roots opens the store, alone or behind one that does not
// answer; and the answer says which failed.
func TestAnyRootOpens(t *testing.T) {
	spare := fakeRoot{id: "fake:spare"}
	stored, s := create(t, ours, spare)
	sealed := mustSeal(t, s, "a", []byte("x"))
	down := fakeRoot{id: ours.id, fail: root.ErrUnavailable}
	for _, roots := range [][]root.Root{{ours}, {spare}, {ours, spare}, {down, spare}, {fakeRoot{id: "fake:stranger"}, spare}} {
		if got, err := reopen(t, stored, roots...).Open("a", sealed); err != nil || string(got) != "x" {
			t.Errorf("%v: %v", roots, err)
		}
	}
	_, err := seal.Open(context.Background(), stored, []root.Root{down})
	if !errors.Is(err, root.ErrUnavailable) || !strings.Contains(err.Error(), down.id) {
		t.Errorf("with a root that does not answer: %v", err)
	}
	if _, wrong := errors.AsType[*seal.WrongRootError](err); wrong {
		t.Error("a root that does not answer is not the wrong one")
	}
}

func TestWrongRoot(t *testing.T) {
	stored, _ := create(t, ours, fakeRoot{id: "fake:spare"})
	for _, roots := range [][]root.Root{nil, {fakeRoot{id: "fake:a"}}, {fakeRoot{id: "fake:a"}, fakeRoot{id: "fake:b"}}} {
		var have []string
		for _, r := range roots {
			have = append(have, r.ID())
		}
		_, err := seal.Open(context.Background(), stored, roots)
		wrong, ok := errors.AsType[*seal.WrongRootError](err)
		if !ok || !slices.Equal(wrong.Have, have) || !slices.Equal(wrong.Want, []string{"fake:ours", "fake:spare"}) {
			t.Fatalf("%v", err)
		}
		for _, id := range append(wrong.Have, wrong.Want...) {
			if !strings.Contains(err.Error(), id) {
				t.Errorf("%q does not name %s", err, id)
			}
		}
	}
	// The id at hand is right, the key behind it is not.
	if _, err := seal.Open(context.Background(), stored, []root.Root{fakeRoot{id: "fake:spare"}, fakeRoot{id: "fake:ours"}}); err != nil {
		t.Error(err)
	}
	b := unpack(t, stored)
	b.Keys[0].Wraps[0].Root = "\x1b[2J\nfake"
	_, err := seal.Open(context.Background(), b.pack(t), []root.Root{ours})
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("a name out of the store reached the terminal as it was: %q", err)
	}
}

// What is wrong with a container is told apart from a wrong root of trust.
func TestDamagedContainer(t *testing.T) {
	stored, _ := create(t, ours)
	with := func(change func(b *box)) []byte {
		b := unpack(t, stored)
		change(&b)
		return b.pack(t)
	}
	raw := func(v any) []byte {
		body, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte{1}, body...)
	}
	// The right container in other clothes: first is the byte that opens its map.
	dressed := func(first, last string) []byte { return []byte("\x01" + first + string(stored[2:]) + last) }
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"nothing", nil, "missing or too large"},
		{"too large", make([]byte, 64<<10+1), "missing or too large"},
		{"version 0", append([]byte{0}, stored[1:]...), "has version 0, this Trent reads version 1"},
		{"version 2", append([]byte{2}, stored[1:]...), "has version 2, this Trent reads version 1"},
		{"version alone", []byte{1}, "cannot be read"},
		{"cut", stored[:len(stored)-1], "cannot be read"},
		{"one byte more", append(bytes.Clone(stored), 0), "cannot be read"},
		{"no CBOR", []byte("\x01{}"), "cannot be read"},
		{"an array", raw([]int{1, 2, 3}), "cannot be read"},
		{"nested deep", append([]byte{1}, bytes.Repeat([]byte{0x81}, 10_000)...), "cannot be read"},
		{"a length without end", []byte("\x01\xa1\x01\x5b\xff\xff\xff\xff\xff\xff\xff\xff"), "cannot be read"},
		{"indefinite", []byte("\x01\xbf\xff"), "cannot be read"},
		{"a member twice", dressed("\xa4", "\x03\x01"), "cannot be read"},
		{"a member too many", dressed("\xa4", "\x04\x01"), "cannot be read"},
		{"a map without length", dressed("\xbf", "\xff"), "cannot be read"},
		{"a tag", dressed("\xd8\x64\xa3", ""), "cannot be read"},
		{"short cluster", with(func(b *box) { b.Cluster = b.Cluster[:15] }), "cannot be read"},
		{"long cluster", with(func(b *box) { b.Cluster = append(b.Cluster, 0) }), "cannot be read"},
		{"no keys", with(func(b *box) { b.Keys = nil }), "cannot be read"},
		{"no current key", with(func(b *box) { b.Current = 2 }), "lacks its current key"},
		{"a key twice", with(func(b *box) { b.Keys = append(b.Keys, b.Keys[0]) }), "two keys of one id"},
	} {
		s, err := seal.Open(context.Background(), c.data, []root.Root{ours})
		if err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Whoever owns the disk cannot make a store open with other keys than its own.
func TestSEC_E01_TamperedContainer(t *testing.T) {
	stored, s := create(t, ours)
	sealed := mustSeal(t, s, "a", []byte("x"))
	foreign, _ := create(t, ours)
	for name, change := range map[string]func(b *box){
		"another cluster":                func(b *box) { b.Cluster[0] ^= 1 },
		"the cluster of another store":   func(b *box) { b.Cluster = unpack(t, foreign).Cluster },
		"the keys of another store":      func(b *box) { b.Keys = unpack(t, foreign).Keys },
		"the wrapping of another store":  func(b *box) { b.Keys[0].Wraps = unpack(t, foreign).Keys[0].Wraps },
		"another id":                     func(b *box) { b.Keys[0].ID, b.Current = 2, 2 },
		"a key of a second id, replayed": func(b *box) { b.Keys = append(b.Keys, boxKey{2, b.Keys[0].Wraps}); b.Current = 2 },
		"a short key":                    func(b *box) { b.Keys[0] = wrapped(ours, b.Cluster, 1, make([]byte, 16)) },
		"a long key":                     func(b *box) { b.Keys[0] = wrapped(ours, b.Cluster, 1, make([]byte, 33)) },
		"an empty wrapping":              func(b *box) { b.Keys[0].Wraps[0].Blob = nil },
		"the wrapping of one, named twice": func(b *box) {
			b.Keys[0].Wraps[0].Blob[0] ^= 1
			b.Keys[0].Wraps = append(b.Keys[0].Wraps, b.Keys[0].Wraps[0])
		},
	} {
		b := unpack(t, stored)
		change(&b)
		got, err := seal.Open(context.Background(), b.pack(t), []root.Root{ours})
		if !errors.Is(err, root.ErrBadData) || got != nil {
			t.Errorf("%s: %v", name, err)
		} else if !strings.Contains(err.Error(), ours.id) || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: the text is %q", name, err)
		}
	}
	for i := range stored {
		for bit := range 8 {
			bad := bytes.Clone(stored)
			bad[i] ^= 1 << bit
			checkSame(t, fmt.Sprintf("bit %d of byte %d", bit, i), bad, s, sealed)
		}
	}
}

// checkSame holds that a container is refused, or is the store it was.
func checkSame(t *testing.T, what string, stored []byte, s *seal.Sealer, sealed []byte) {
	t.Helper()
	got, err := seal.Open(context.Background(), stored, []root.Root{ours})
	if err != nil {
		if got != nil {
			t.Errorf("%s: a refusal with a sealer", what)
		}
		return
	}
	if content, err := got.Open("a", sealed); got.Cluster() != s.Cluster() || err != nil || string(content) != "x" {
		t.Errorf("%s: it opens as another store (%v)", what, err)
	}
}

// FuzzContainer: no container makes the package panic, take much memory, or
// open as another store than the one that its root of trust has wrapped.
func FuzzContainer(f *testing.F) {
	cluster := []byte("0123456789abcdef")
	b := box{Cluster: cluster, Current: 1, Keys: []boxKey{wrapped(ours, cluster, 1, bytes.Repeat([]byte{5}, 32))}}
	stored := b.pack(f)
	s := reopen(f, stored, ours)
	sealed := mustSeal(f, s, "a", []byte("x"))
	f.Add(stored)
	f.Add(stored[:40])
	f.Add([]byte("\x01\xa1\x01\x5b\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte{1, 0xbf, 0xff})
	f.Fuzz(func(t *testing.T, stored []byte) { checkSame(t, "fuzzed", stored, s, sealed) })
}

// FuzzOpen: of all there is, one record opens, at one path.
func FuzzOpen(f *testing.F) {
	cluster := []byte("0123456789abcdef")
	b := box{Cluster: cluster, Current: 1, Keys: []boxKey{wrapped(ours, cluster, 1, bytes.Repeat([]byte{5}, 32))}}
	s := reopen(f, b.pack(f), ours)
	right := sealReference(bytes.Repeat([]byte{5}, 32), cluster, "key/1", 1, 1, make([]byte, 12), []byte("content"))
	f.Add("key/1", right)
	f.Add("key/2", right)
	f.Add("", right[:seal.Overhead])
	f.Fuzz(func(t *testing.T, path string, sealed []byte) {
		got, err := s.Open(path, sealed)
		if one := path == "key/1" && bytes.Equal(sealed, right); one != (err == nil) || one && string(got) != "content" {
			t.Fatalf("%q at %q: %v", got, path, err)
		}
		if err != nil && !errors.Is(err, seal.ErrUnreadable) {
			t.Fatal(err)
		}
	})
}

const usualPath = "key/111122223333/us-east-1/1234abcd-12ab-34cd-56ef-1234567890ab"

func BenchmarkSeal(b *testing.B) {
	_, s := create(b, ours)
	content := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal(usualPath, content); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	_, s := create(b, ours)
	sealed := mustSeal(b, s, usualPath, make([]byte, 200))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(usualPath, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
