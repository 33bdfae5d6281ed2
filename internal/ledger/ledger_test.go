package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trent/internal/ledger"
	"trent/internal/root"
	"trent/internal/seal"
	"trent/internal/secret"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

// plainRoot wraps by doing nothing: the tests are about what lies in the store.
type plainRoot struct{}

func (plainRoot) ID() string { return "plain" }
func (plainRoot) Wrap(_ context.Context, key secret.Bytes, _ []byte) ([]byte, error) {
	return bytes.Clone(key.Expose()), nil
}
func (plainRoot) Unwrap(_ context.Context, blob, _ []byte) (secret.Bytes, error) {
	return secret.New(bytes.Clone(blob)), nil
}

func newSealer(t testing.TB) *seal.Sealer {
	t.Helper()
	_, s, err := seal.Create(context.Background(), []root.Root{plainRoot{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newBolt(t testing.TB) *bolt.Store {
	t.Helper()
	s, err := bolt.Create(filepath.Join(t.TempDir(), "store"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func options() ledger.Options {
	return ledger.Options{Passing: []string{"seen/"}, Now: time.Now}
}

// begun is a ledger over a store that may have records already.
func begun(t testing.TB, st store.Store, s *seal.Sealer) *ledger.Ledger {
	t.Helper()
	if _, err := ledger.Begin(t.Context(), st, s, options()); err != nil {
		t.Fatal(err)
	}
	return opened(t, st, s)
}

func opened(t testing.TB, st store.Store, s *seal.Sealer) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), st, s, options())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func put(path, value string) store.Batch {
	return store.Batch{Put: []store.Put{{Path: path, Value: []byte(value)}}}
}

func commit(t testing.TB, st store.Store, b store.Batch) store.Rev {
	t.Helper()
	rev, err := st.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func verify(t testing.TB, st store.Store, s *seal.Sealer) *ledger.Report {
	t.Helper()
	n, err := st.(store.Snapshotter).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	r, err := ledger.Verify(t.Context(), n, s, options(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantSound(t testing.TB, st store.Store, s *seal.Sealer) *ledger.Report {
	t.Helper()
	r := verify(t, st, s)
	for _, f := range r.Findings {
		t.Errorf("a sound store: %s", f)
	}
	return r
}

// wantFound wants one finding of each path, in whose text there is what.
func wantFound(t testing.TB, st store.Store, s *seal.Sealer, want map[string]string) {
	t.Helper()
	got := verify(t, st, s).Findings
	for _, f := range got {
		if what, ok := want[f.Path]; !ok || !strings.Contains(f.What, what) {
			t.Errorf("found %s; want %q", f, what)
		}
		delete(want, f.Path)
	}
	for path, what := range want {
		t.Errorf("not found: %q: %s", path, what)
	}
}

// raw is the value of a record, for putting it back later.
func rawOf(t testing.TB, st store.Store, path string) store.Put {
	t.Helper()
	r, err := st.Get(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return store.Put{Path: path, Value: r.Value}
}

// filled is a store with records a/0 to a/9, each changed once, of which a/9 was deleted.
func filled(t testing.TB) (*bolt.Store, *ledger.Ledger, *seal.Sealer) {
	st, s := newBolt(t), newSealer(t)
	l := begun(t, st, s)
	for round := range 2 {
		for i := range 10 {
			commit(t, l, put(fmt.Sprintf("a/%d", i), fmt.Sprintf("value %d of round %d", i, round)))
		}
	}
	commit(t, l, store.Batch{Delete: []string{"a/9"}})
	return st, l, s
}

func TestSound(t *testing.T) {
	st, l, s := filled(t)
	commit(t, l, put("seen/1", "v"))
	r := wantSound(t, st, s)
	if r.Records != 9 || r.Passing != 1 || r.Entries != 21 || r.Changes != 21 || r.Last != 21 || r.Epoch != 1 {
		t.Errorf("the report is %+v", r)
	}
	wantSound(t, st, s)
	if l.Position().Entry != 21 {
		t.Errorf("the position is %+v", l.Position())
	}
}

// A record that is not there any more, or not what was written, is named.
func TestSEC_E02_Records(t *testing.T) {
	for name, c := range map[string]struct {
		attack func(t *testing.T, st store.Store)
		want   map[string]string
	}{
		"delete": {func(t *testing.T, st store.Store) { commit(t, st, store.Batch{Delete: []string{"a/3"}}) },
			map[string]string{"a/3": "missing"}},
		"add": {func(t *testing.T, st store.Store) { commit(t, st, put("a/new", "v")) },
			map[string]string{"a/new": "added"}},
		"undelete": {func(t *testing.T, st store.Store) { commit(t, st, put("a/9", "value 9 of round 1")) },
			map[string]string{"a/9": "put back"}},
		"alter": {func(t *testing.T, st store.Store) { commit(t, st, put("a/3", "something else")) },
			map[string]string{"a/3": "altered"}},
		"older version": {func(t *testing.T, st store.Store) { commit(t, st, put("a/3", "value 3 of round 0")) },
			map[string]string{"a/3": "put back to an older version"}},
		"swap two": {func(t *testing.T, st store.Store) {
			three, four := rawOf(t, st, "a/3"), rawOf(t, st, "a/4")
			three.Path, four.Path = four.Path, three.Path
			commit(t, st, store.Batch{Put: []store.Put{three, four}})
		}, map[string]string{"a/3": "altered", "a/4": "altered"}},
	} {
		t.Run(name, func(t *testing.T) {
			st, _, s := filled(t)
			c.attack(t, st)
			wantFound(t, st, s, c.want)
		})
	}
}

func entryPath(n int) string { return fmt.Sprintf("log/%016x", n) }

// What is done to the log to hide what was done to a record is found in the log.
func TestSEC_E02_Log(t *testing.T) {
	for name, c := range map[string]struct {
		attack func(t *testing.T, st store.Store)
		want   map[string]string
		opens  bool
	}{
		"truncate": {func(t *testing.T, st store.Store) {
			commit(t, st, store.Batch{Delete: []string{entryPath(21)}, Put: put("a/9", "value 9 of round 1").Put})
		}, map[string]string{entryPath(21): "cut"}, false},
		"take one out of the middle": {func(t *testing.T, st store.Store) { commit(t, st, store.Batch{Delete: []string{entryPath(5)}}) },
			map[string]string{entryPath(5): "missing"}, true},
		"exchange two": {func(t *testing.T, st store.Store) {
			a, b := rawOf(t, st, entryPath(13)), rawOf(t, st, entryPath(14))
			a.Path, b.Path = b.Path, a.Path
			commit(t, st, store.Batch{Put: []store.Put{a, b}})
		}, map[string]string{"": "not those that its head is of"}, true},
		"remove the head": {func(t *testing.T, st store.Store) { commit(t, st, store.Batch{Delete: []string{"log/head"}}) },
			map[string]string{"log/head": "missing"}, false},
		"a head of one's own": {func(t *testing.T, st store.Store) { commit(t, st, put("log/head", strings.Repeat("\x01", 200))) },
			map[string]string{"log/head": "not authentic"}, false},
		"something else in the log": {func(t *testing.T, st store.Store) { commit(t, st, put("log/x", "v")) },
			map[string]string{"log/x": "nobody writes it"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			st, _, s := filled(t)
			c.attack(t, st)
			wantFound(t, st, s, c.want)
			if l, err := ledger.Open(t.Context(), st, s, options()); (err == nil) != c.opens {
				t.Errorf("Open = %v, %v", l != nil, err)
			}
		})
	}
}

// An older head is found by the entries behind it; with those cut off to match it, by the
// records; and with these put back too, by an anchor alone (TestSEC_E03).
func TestSEC_E02_OlderHead(t *testing.T) {
	st, l, s := filled(t)
	head, was := rawOf(t, st, "log/head"), rawOf(t, st, "a/3")
	commit(t, l, put("a/3", "later"))
	later := rawOf(t, st, "a/3")

	commit(t, st, store.Batch{Put: []store.Put{head}})
	wantFound(t, st, s, map[string]string{entryPath(22): "newer than the head", "a/3": "altered"})
	if _, err := ledger.Open(t.Context(), st, s, options()); err == nil {
		t.Error("it opens though the log goes on behind the head")
	}
	commit(t, st, store.Batch{Delete: []string{entryPath(22)}})
	wantFound(t, st, s, map[string]string{"a/3": "altered"})
	commit(t, st, store.Batch{Put: []store.Put{was}})
	wantSound(t, st, s)
	commit(t, st, store.Batch{Put: []store.Put{later}})
	wantFound(t, st, s, map[string]string{"a/3": "altered"})
}

// Whoever has a store can move nothing of it into another one.
func TestSEC_E02_AnotherCluster(t *testing.T) {
	st, _, _ := filled(t)
	if _, err := ledger.Open(t.Context(), st, newSealer(t), options()); err == nil {
		t.Error("a head of another cluster opens")
	}
}

// A head that goes back under a running server stops it from writing.
func TestSEC_E03_UnderARunningServer(t *testing.T) {
	st, l, _ := filled(t)
	head := rawOf(t, st, "log/head")
	commit(t, l, put("a/3", "later"))
	commit(t, st, store.Batch{Put: []store.Put{head}})
	for range 2 {
		if _, err := l.Commit(t.Context(), put("a/4", "later")); err == nil || !strings.Contains(err.Error(), "went back") {
			t.Errorf("Commit = %v", err)
		}
	}
}

// Conditions mean what they mean without a ledger.
func TestConflicts(t *testing.T) {
	_, l, _ := filled(t)
	r, err := l.Get(t.Context(), "a/1")
	if err != nil {
		t.Fatal(err)
	}
	b := put("a/1", "mine")
	b.If = []store.Condition{{Path: "a/1", Rev: r.Rev}}
	rev := commit(t, l, b)
	_, err = l.Commit(t.Context(), b)
	if c, ok := errors.AsType[*store.Conflict](err); !ok || *c != (store.Conflict{Path: "a/1", Want: r.Rev, Have: rev}) {
		t.Errorf("the second one: %v", err)
	}
	for name, b := range map[string]store.Batch{"the log": put("log/head", "v"), "an entry": {Delete: []string{entryPath(1)}}, "nothing": {}} {
		if _, err := l.Commit(t.Context(), b); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Writers that race for the same records and for different ones: each increment counts
// once, and all of it verifies.
func TestConcurrentWriters(t *testing.T) {
	st, s := newBolt(t), newSealer(t)
	race(t, []*ledger.Ledger{begun(t, st, s)}, 16, 30)
	r := wantSound(t, st, s)
	if r.Last >= 16*30*2 {
		t.Errorf("%d entries for %d commits: none were put together", r.Last, 16*30)
	}
}

// race has writers count up a shared record, by conditions, and write one of their own in
// the same batch.
func race(t *testing.T, ledgers []*ledger.Ledger, writers, rounds int) {
	t.Helper()
	before := counted(t, ledgers[0])
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			l := ledgers[w%len(ledgers)]
			for i := range rounds {
				commit(t, l, put(fmt.Sprintf("own/%d/%d", w, i), "v"))
				for !countUp(t, l, fmt.Sprintf("own/%d/last", w)) {
				}
			}
		})
	}
	wg.Wait()
	if n := counted(t, ledgers[0]) - before; n != writers*rounds {
		t.Errorf("%d were counted of %d", n, writers*rounds)
	}
}

func counted(t *testing.T, l *ledger.Ledger) int {
	r, err := l.Get(t.Context(), "shared")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	return len(r.Value)
}

func countUp(t *testing.T, l *ledger.Ledger, own string) bool {
	r, err := l.Get(t.Context(), "shared")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
		return true
	}
	_, err = l.Commit(t.Context(), store.Batch{
		If:  []store.Condition{{Path: "shared", Rev: r.Rev}},
		Put: []store.Put{{Path: "shared", Value: append(r.Value, '.')}, {Path: own, Value: []byte{1}}},
	})
	if _, lost := errors.AsType[*store.Conflict](err); !lost && err != nil {
		t.Error(err)
		return true
	}
	return err == nil
}

// A caller that gives up while it waits has changed nothing.
func TestCancelled(t *testing.T) {
	st, l, s := filled(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Commit(ctx, put("a/1", "never")); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v", err)
	}
	if r, err := l.Get(t.Context(), "a/1"); err != nil || string(r.Value) == "never" {
		t.Errorf("a/1 = %q, %v", r.Value, err)
	}
	wantSound(t, st, s)
}

func TestClosed(t *testing.T) {
	_, l, _ := filled(t)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), put("a", "v")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Commit = %v", err)
	}
}

func TestRaiseEpoch(t *testing.T) {
	st, l, s := filled(t)
	if err := l.RaiseEpoch(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if p := opened(t, st, s).Position(); p.Epoch != 8 || p.Entry != 22 {
		t.Errorf("the position is %+v", p)
	}
	commit(t, l, put("a/1", "v"))
	wantSound(t, st, s)
}
