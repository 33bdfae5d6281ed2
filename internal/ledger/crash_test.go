package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"trent/internal/ledger"
	"trent/internal/seal"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

var errCrash = errors.New("the machine has stopped")

// A dying store stops after so many commits. It applies the last one, or loses it.
type dying struct {
	*bolt.Store
	left  int
	loses bool
}

func (d *dying) Commit(ctx context.Context, b store.Batch) (store.Rev, error) {
	return d.CommitWide(ctx, b)
}

func (d *dying) CommitWide(ctx context.Context, b store.Batch) (store.Rev, error) {
	d.left--
	if d.left < 0 || d.left == 0 && d.loses {
		return 0, errCrash
	}
	rev, err := d.Store.CommitWide(ctx, b)
	if d.left == 0 && err == nil {
		return 0, fmt.Errorf("%w: %w", store.ErrOutcomeUnknown, errCrash)
	}
	return rev, err
}

// narrow makes a store whose batches are as small as etcd's, so that tidying takes many.
type narrow struct{ dying }

func (n *narrow) Bounds() store.Bounds {
	return store.Bounds{Operations: 20, Bytes: store.MaxValue, Each: 64}
}

// churn makes a log with more changes than tidying lets stand: few records, changed often.
func churn(t testing.TB, l *ledger.Ledger) {
	for i := range 12_000 / store.MaxBatch {
		var b store.Batch
		for j := range store.MaxBatch {
			b.Put = append(b.Put, store.Put{Path: fmt.Sprintf("churn/%d", j), Value: fmt.Appendf(nil, "%d of round %d", j, i)})
		}
		commit(t, l, b)
	}
	commit(t, l, store.Batch{Delete: []string{"churn/7"}})
}

// Wherever a life of a store is cut off (its beginning, changes, tidying), what is left
// verifies; and the next start goes on.
func TestSEC_E02_CrashAnywhere(t *testing.T) {
	s := newSealer(t)
	for _, loses := range []bool{false, true} {
		for after := 1; ; after += 1 + after/2 {
			st := newBolt(t)
			for i := range 1200 { // of a store that was there before
				if i%100 == 0 {
					commit(t, st, manyOf(i))
				}
			}
			d := &narrow{dying{Store: st, left: after, loses: loses}}
			err := live(t.Context(), d, s)
			if !errors.Is(err, errCrash) && err != nil {
				t.Fatalf("after %d: %v", after, err)
			}
			wantBegun(t, st, s)
			if err == nil {
				break
			}
			if err := live(t.Context(), &narrow{dying{Store: st, left: 1 << 30}}, s); err != nil {
				t.Fatalf("going on after %d: %v", after, err)
			}
			wantSound(t, st, s)
		}
	}
}

func manyOf(i int) (b store.Batch) {
	for j := range 100 {
		b.Put = append(b.Put, store.Put{Path: fmt.Sprintf("old/%06d", i+j), Value: []byte("v")})
	}
	return b
}

// wantBegun wants that the store is sound, if its log was begun.
func wantBegun(t *testing.T, st store.Store, s *seal.Sealer) {
	t.Helper()
	if _, err := st.Get(t.Context(), "log/head"); errors.Is(err, store.ErrNotFound) {
		return
	}
	opened(t, st, s)
	wantSound(t, st, s)
}

// live is a short life.
func live(ctx context.Context, st store.Store, s *seal.Sealer) error {
	l, err := ledger.Open(ctx, st, s, options())
	if errors.Is(err, ledger.ErrNoHead) {
		if _, err := ledger.Begin(ctx, st, s, options()); err != nil {
			return err
		}
		l, err = ledger.Open(ctx, st, s, options())
	}
	if err != nil {
		return err
	}
	for i := range 160 {
		var b store.Batch
		for j := range 100 {
			b.Put = append(b.Put, store.Put{Path: fmt.Sprintf("churn/%d", j), Value: fmt.Appendf(nil, "%d of round %d", j, i)})
		}
		if _, err := l.Commit(ctx, b); err != nil {
			return err
		}
	}
	_, err = l.Tidy(ctx, time.Hour)
	return err
}

// Tidying leaves what holds and nothing else, and starts no sooner than it should.
func TestTidy(t *testing.T) {
	for name, wrap := range map[string]func(*bolt.Store) store.Store{
		"wide":   func(st *bolt.Store) store.Store { return st },
		"narrow": func(st *bolt.Store) store.Store { return &narrow{dying{Store: st, left: 1 << 30}} },
	} {
		t.Run(name, func(t *testing.T) {
			st, s := newBolt(t), newSealer(t)
			l := begun(t, wrap(st), s)
			commit(t, l, put("kept", "v"))
			if gone, err := l.Tidy(t.Context(), time.Hour); err != nil || gone != 0 {
				t.Fatalf("a short log: %d went, %v", gone, err)
			}
			churn(t, l)
			before := wantSound(t, st, s)
			if gone, err := l.Tidy(t.Context(), time.Hour); err != nil || gone != before.Entries {
				t.Errorf("%d of %d entries went, %v", gone, before.Entries, err)
			}
			after := wantSound(t, st, s)
			if after.Records != store.MaxBatch || after.Changes != after.Records || after.Begun {
				t.Errorf("what is left is %+v", after)
			}
			commit(t, l, put("kept", "w"))
			commit(t, opened(t, st, s), put("kept", "x"))
			wantSound(t, st, s)
		})
	}
}

// Tidying believes the log and not the store: what somebody took away, added or put back
// past Trent is found after it as well.
func TestSEC_E02_TidyForgetsNothing(t *testing.T) {
	st, s := newBolt(t), newSealer(t)
	l := begun(t, st, s)
	commit(t, l, put("victim", "v"))
	commit(t, l, put("other", "old"))
	commit(t, l, put("other", "new"))
	churn(t, l)
	commit(t, st, store.Batch{
		Put:    []store.Put{{Path: "other", Value: []byte("old")}, {Path: "churn/7", Value: []byte("v")}},
		Delete: []string{"victim"},
	})
	if gone, err := l.Tidy(t.Context(), time.Hour); err != nil || gone == 0 {
		t.Fatalf("%d went, %v", gone, err)
	}
	wantFound(t, st, s, map[string]string{"victim": "missing", "other": "altered", "churn/7": "added"})
}

// A log that was tampered with is not tidied, so that fsck still finds it.
func TestSEC_E02_NoTidyOfADamagedLog(t *testing.T) {
	st, s := newBolt(t), newSealer(t)
	l := begun(t, st, s)
	churn(t, l)
	entry := rawOf(t, st, entryPath(9))
	entry.Value = bytes.Clone(entry.Value)
	entry.Value[len(entry.Value)-1] ^= 1
	commit(t, st, store.Batch{Put: []store.Put{entry}})
	if gone, err := l.Tidy(t.Context(), time.Hour); err == nil || gone != 0 {
		t.Errorf("%d went, %v", gone, err)
	}
	if len(verify(t, st, s).Findings) == 0 {
		t.Error("nothing is found")
	}
}

// Commits go on while the log is tidied, and what they change is not lost.
func TestTidyUnderLoad(t *testing.T) {
	st, s := newBolt(t), newSealer(t)
	l := begun(t, &narrow{dying{Store: st, left: 1 << 30}}, s)
	churn(t, l)
	done := make(chan error, 1)
	go func() {
		_, err := l.Tidy(context.Background(), time.Hour)
		done <- err
	}()
	for i := 0; ; i++ {
		commit(t, l, put(fmt.Sprintf("churn/%d", i%100), fmt.Sprint("new ", i)))
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			wantSound(t, st, s)
			return
		default:
		}
	}
}

// A ledger does what a plain store does with the same batches.
func TestModel(t *testing.T) {
	st, plain, s := newBolt(t), newBolt(t), newSealer(t)
	l := begun(t, st, s)
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			a, b := sameBatch(rt, l, plain)
			_, errA := l.Commit(context.Background(), a)
			_, errB := plain.Commit(context.Background(), b)
			ca, lostA := errors.AsType[*store.Conflict](errA)
			cb, lostB := errors.AsType[*store.Conflict](errB)
			if (errA == nil) != (errB == nil) || lostA != lostB || lostA && ca.Path != cb.Path {
				rt.Fatalf("with a ledger: %v; without: %v", errA, errB)
			}
		}
		want, _ := plain.List(context.Background(), "m/", "", 1000, false)
		got, _ := l.List(context.Background(), "m/", "", 1000, false)
		if len(got) != len(want) {
			rt.Fatalf("%d records, not %d", len(got), len(want))
		}
		for i := range got {
			if got[i].Path != want[i].Path || !bytes.Equal(got[i].Value, want[i].Value) {
				rt.Fatalf("%q = %q; want %q = %q", got[i].Path, got[i].Value, want[i].Path, want[i].Value)
			}
		}
	})
	wantSound(t, st, s)
}

// sameBatch draws a batch; its conditions hold in both stores or in neither.
func sameBatch(rt *rapid.T, x, y store.Store) (a, b store.Batch) {
	path := rapid.Map(rapid.SampledFrom([]string{"a", "b", "c", "\xff", "d/\x00"}), func(p string) string { return "m/" + p })
	for _, p := range rapid.SliceOfNDistinct(path, 1, 3, rapid.ID).Draw(rt, "writes") {
		if rapid.Bool().Draw(rt, "delete") {
			a.Delete = append(a.Delete, p)
			continue
		}
		a.Put = append(a.Put, store.Put{Path: p, Value: rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(rt, "value")})
	}
	b = a
	for _, p := range rapid.SliceOfN(path, 0, 2).Draw(rt, "conditions") {
		off := store.Rev(rapid.SampledFrom([]int{0, 0, 0, 1_000_000}).Draw(rt, "off"))
		rx, _ := x.Get(context.Background(), p)
		ry, _ := y.Get(context.Background(), p)
		a.If = append(a.If, store.Condition{Path: p, Rev: rx.Rev + off})
		b.If = append(b.If, store.Condition{Path: p, Rev: ry.Rev + off})
	}
	return a, b
}

// Two that begin the log of one store at once make one log.
func TestBeginTogether(t *testing.T) {
	st, s := newBolt(t), newSealer(t)
	for i := 0; i < 3000; i += 100 {
		commit(t, st, manyOf(i))
	}
	done := make(chan error, 4)
	for range cap(done) {
		go func() {
			_, err := ledger.Begin(context.Background(), st, s, options())
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if r := wantSound(t, st, s); r.Records != 3000 || r.Changes != 3000 {
		t.Errorf("the log is %+v", r)
	}
}
