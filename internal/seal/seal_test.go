package seal_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"trent/internal/seal"
	"trent/internal/secret"
)

var (
	ours  = fakeRoot{id: "fake:ours"}
	lax   = fakeRoot{id: "fake:ours", careless: true}
	paths = []string{
		"", "a", "ab", "a/b", "b/a", "key/111122223333/us-east-1/1", "key/111122223333/us-east-1/2", "key/111122223333/us-east-12",
		"key/111122223334/us-east-1/1", "material/00", "material/00#owner", "material/00#material", "KEY/111122223333/us-east-1/1", "key/111122223333/us-east-1/1/",
		"key/111122223333/us-east-1/1\x00", "kéy", "ke\u0301y",
	}
)

func mustSeal(t testing.TB, s *seal.Sealer, path string, content []byte) []byte {
	t.Helper()
	sealed, err := s.Seal(path, content)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func mustRefuse(t testing.TB, what string, s *seal.Sealer, path string, sealed []byte) {
	t.Helper()
	if content, err := s.Open(path, sealed); !errors.Is(err, seal.ErrUnreadable) || content != nil {
		t.Errorf("%s: opened as %q (%v)", what, content, err)
	}
}

func TestRoundTrip(t *testing.T) {
	stored, s := create(t, ours)
	again := reopen(t, stored, ours)
	for _, n := range []int{0, 1, 15, 16, 17, 300, 4096, 1 << 20} {
		content := bytes.Repeat([]byte{7}, n)
		sealed := mustSeal(t, s, "a/b", content)
		if len(sealed) != n+seal.Overhead {
			t.Errorf("%d bytes became %d", n, len(sealed))
		}
		got, err := again.Open("a/b", sealed)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if again.Cluster() != s.Cluster() {
		t.Error("another cluster after a restart")
	}
}

// The layout is what docs/spec/sealed-record.md says, both ways.
func TestLayout(t *testing.T) {
	stored, s := create(t, ours)
	b := unpack(t, stored)
	rootKey := b.Keys[0].Wraps[0].Blob[:32]
	sealed := mustSeal(t, s, "key/1", []byte("content"))
	if sealed[0] != 1 || binary.BigEndian.Uint32(sealed[1:]) != b.Current || b.Current != 1 {
		t.Errorf("header %x", sealed[:5])
	}
	if got, err := openReference(rootKey, b.Cluster, "key/1", sealed); err != nil || string(got) != "content" {
		t.Errorf("read by the page: %q, %v", got, err)
	}
	made := sealReference(rootKey, b.Cluster, "key/1", 1, 1, make([]byte, 12), []byte("content"))
	if got, err := s.Open("key/1", made); err != nil || string(got) != "content" {
		t.Errorf("made by the page: %q, %v", got, err)
	}
	mustRefuse(t, "version 0", s, "key/1", sealReference(rootKey, b.Cluster, "key/1", 0, 1, make([]byte, 12), []byte("content")))
	mustRefuse(t, "version 2", s, "key/1", sealReference(rootKey, b.Cluster, "key/1", 2, 1, make([]byte, 12), []byte("content")))
	mustRefuse(t, "root key 2", s, "key/1", sealReference(rootKey, b.Cluster, "key/1", 1, 2, make([]byte, 12), []byte("content")))
}

// A record opens at its own path, in its own cluster, and nowhere else.
func TestSEC_E01_SwapEveryPair(t *testing.T) {
	_, mine := create(t, ours)
	_, theirs := create(t, ours)
	for _, s := range []*seal.Sealer{mine, theirs} {
		for _, from := range paths {
			sealed := mustSeal(t, s, from, []byte(from))
			for _, at := range []*seal.Sealer{mine, theirs} {
				for _, to := range paths {
					if at != s || from != to {
						mustRefuse(t, fmt.Sprintf("%q at %q, same cluster: %v", from, to, at == s), at, to, sealed)
					} else if got, err := at.Open(to, sealed); err != nil || string(got) != from {
						t.Errorf("%q: %v", from, err)
					}
				}
			}
		}
	}
}

// Were two clusters to share a root key, their records would still not mix.
func TestSEC_E01_SameRootKeyOtherCluster(t *testing.T) {
	stored, s := create(t, lax)
	sealed := mustSeal(t, s, "a", []byte("x"))
	b := unpack(t, stored)
	b.Cluster[0] ^= 1
	other := reopen(t, b.pack(t), lax)
	mustRefuse(t, "another cluster", other, "a", sealed)
	mustRefuse(t, "the other way", s, "a", mustSeal(t, other, "a", []byte("x")))
	// The path must not make up for what the cluster lacks.
	c := other.Cluster()
	mustRefuse(t, "a path that begins like the cluster", s, string(c[:])+"a", sealed)
}

func TestSEC_E01_EveryBitCounts(t *testing.T) {
	_, s := create(t, ours)
	sealed := mustSeal(t, s, "a", []byte("content"))
	for i := range sealed {
		for bit := range 8 {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1 << bit
			mustRefuse(t, fmt.Sprintf("bit %d of byte %d", bit, i), s, "a", bad)
		}
	}
	for n := range sealed {
		mustRefuse(t, fmt.Sprintf("cut to %d", n), s, "a", sealed[:n])
		mustRefuse(t, fmt.Sprintf("without the first %d", n+1), s, "a", sealed[n+1:])
	}
	mustRefuse(t, "one byte more", s, "a", append(bytes.Clone(sealed), 0))
	mustRefuse(t, "nothing", s, "a", nil)
	other := mustSeal(t, s, "a", []byte("CONTENT"))
	for _, cut := range []int{9, 17, 24} {
		mustRefuse(t, fmt.Sprintf("two versions joined at %d", cut), s, "a", append(bytes.Clone(sealed[:cut]), other[cut:]...))
	}
}

// Two seals of one content at one path have nothing in common but the header.
func TestFreshNonce(t *testing.T) {
	_, s := create(t, ours)
	seen := map[string]bool{}
	for range 10_000 {
		sealed := mustSeal(t, s, "a", []byte("the same content"))
		seen[string(sealed[5:17])] = true
	}
	if len(seen) != 10_000 {
		t.Errorf("%d nonces of 10000", len(seen))
	}
}

// With two root keys, old records open, new ones are under the current key, and
// the id in a header cannot be changed to the other.
func TestTwoRootKeys(t *testing.T) {
	stored, s := create(t, ours)
	old := mustSeal(t, s, "a", []byte("x"))
	b := unpack(t, stored)
	b.Keys = append(b.Keys, wrapped(ours, b.Cluster, 2, bytes.Repeat([]byte{9}, 32)))
	b.Current = 2
	both := reopen(t, b.pack(t), ours)
	if got, err := both.Open("a", old); err != nil || string(got) != "x" {
		t.Errorf("a record of before: %v", err)
	}
	fresh := mustSeal(t, both, "a", []byte("y"))
	if id := binary.BigEndian.Uint32(fresh[1:]); id != 2 {
		t.Errorf("sealed under root key %d", id)
	}
	if got, err := both.Open("a", fresh); err != nil || string(got) != "y" {
		t.Errorf("a record of after: %v", err)
	}
	mustRefuse(t, "the store of before", s, "a", fresh)
	for _, sealed := range [][]byte{old, fresh} {
		moved := bytes.Clone(sealed)
		moved[4] = 3 - moved[4]
		mustRefuse(t, "the other id", both, "a", moved)
	}
}

// Keys for other purposes are apart from each other, from those of other
// clusters and from what they come from, and the same after a restart.
func TestDerive(t *testing.T) {
	stored, s := create(t, lax)
	b := unpack(t, stored)
	rootKey := bytes.Clone(b.Keys[0].Wraps[0].Blob[:32])
	again := reopen(t, stored, lax)
	b.Cluster[3] ^= 1
	other := reopen(t, b.pack(t), lax)
	seen := map[string]string{string(rootKey): "the root key"}
	for name, s := range map[string]*seal.Sealer{"ours": s, "other": other} {
		for _, purpose := range []string{"pagination marker v1", "pagination marker v2", ""} {
			all, err := s.Derive(purpose)
			if err != nil || len(all) != 1 || all[0].Len() != 32 {
				t.Fatal(err)
			}
			k := all[0]
			if had, ok := seen[string(k.Expose())]; ok {
				t.Errorf("%s %q and %s are one key", name, purpose, had)
			}
			seen[string(k.Expose())] = name + " " + purpose
		}
	}
	a, err := s.Derive("p")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := again.Derive("p"); err != nil || !a[0].Equal(c[0]) {
		t.Errorf("another key after a restart (%v)", err)
	}
	sealed, err := s.Seal("somewhere", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := s.DeriveFor(sealed, "p"); err != nil || !a[0].Equal(c) {
		t.Errorf("another key for what is sealed under the current root key (%v)", err)
	}
	sealed[4] ^= 1 // the id of a root key that is not there
	for _, unknown := range [][]byte{sealed, sealed[:3], nil} {
		if c, err := s.DeriveFor(unknown, "p"); !errors.Is(err, seal.ErrUnreadable) || !c.IsZero() {
			t.Errorf("derived from nothing: %v", err)
		}
	}
	cluster := s.Cluster()
	if want := expand(rootKey, []byte("trent purpose v1\x00"), cluster[:], []byte("p")); !bytes.Equal(a[0].Expose(), want) {
		t.Errorf("derived %x, want %x", a[0].Expose(), want)
	}
}

// The page has this record, and the package opens it.
func TestWorkedExample(t *testing.T) {
	const path = "key/111122223333/us-east-1/1234abcd-12ab-34cd-56ef-1234567890ab"
	cluster, rootKey, nonce := count(0x00, 16), count(0x20, 32), count(0x60, 12)
	b := box{Cluster: cluster, Current: 1, Keys: []boxKey{wrapped(ours, cluster, 1, rootKey)}}
	sealed := sealReference(rootKey, cluster, path, 1, 1, nonce, []byte("hello"))
	if got, err := reopen(t, b.pack(t), ours).Open(path, sealed); err != nil || string(got) != "hello" {
		t.Errorf("opened as %q (%v)", got, err)
	}
	page, err := os.ReadFile("../../docs/spec/sealed-record.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(string(page)), ""), hex.EncodeToString(sealed)) {
		t.Errorf("the page lacks %x", sealed)
	}
}

func count(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

func TestFIPSOnly(t *testing.T) {
	if strings.Contains(os.Getenv("GODEBUG"), "fips140=only") {
		t.Skip("this run is the one under fips140=only that this test started")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.short")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("under fips140=only: %v\n%s", err, out)
	}
}

// In a new epoch records open as before, and keys for other purposes are others.
func TestInEpoch(t *testing.T) {
	_, s := create(t, ours)
	sealed := mustSeal(t, s, "a", []byte("x"))
	second := s.InEpoch(2)
	if got, err := second.Open("a", sealed); err != nil || string(got) != "x" {
		t.Errorf("a record: %q, %v", got, err)
	}
	var keys []secret.Bytes
	for _, e := range []*seal.Sealer{s, s.InEpoch(1), second, s.InEpoch(3)} {
		k, err := e.Derive("p")
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k...)
	}
	if !keys[0].Equal(keys[1]) || keys[0].Equal(keys[2]) || keys[2].Equal(keys[3]) {
		t.Error("the first epoch must have the key without one, and each later one its own")
	}
}

// A key for what outlasts a rollback is the same one in every epoch, and another one for each root
// key, purpose and store.
func TestDeriveUnder(t *testing.T) {
	_, s := create(t, ours)
	want, err := s.DeriveUnder(1, "a")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.InEpoch(9).DeriveUnder(1, "a"); err != nil || !got.Equal(want) {
		t.Errorf("in another epoch it is another one (%v)", err)
	}
	if got, err := s.DeriveUnder(1, "b"); err != nil || got.Equal(want) {
		t.Errorf("for another purpose it is the same one (%v)", err)
	}
	if _, err := s.DeriveUnder(2, "a"); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("of a root key that is not there: %v", err)
	}
}
