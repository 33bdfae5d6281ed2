package keyring

import (
	"errors"
	"testing"
	"time"

	"trent/internal/key"
	"trent/internal/store"
)

func lastUse(t testing.TB, r *Ring, rec *key.Record) LastUse {
	t.Helper()
	u, err := r.LastUse(ctx, rec)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// A use is written when the uses are stored and not before, and another process reads it then.
func TestLastUseIsStored(t *testing.T) {
	r, st := newRing(t, 1024)
	rec, idle := makeKey(t, r), makeKey(t, r)
	before := written(t, st)
	first := LastUse{noon.Add(time.Hour), "Encrypt", "one"}
	r.Used(rec, first)
	r.Used(rec, LastUse{first.At.Add(59 * time.Second), "Decrypt", "two"})  // of the same minute
	r.Used(rec, LastUse{first.At.Add(-2 * time.Hour), "Decrypt", "before"}) // late
	if got := lastUse(t, r, rec); got != first {
		t.Errorf("noted: %v", got)
	}
	if n := written(t, st); n != before {
		t.Errorf("%d records were written before their time", n-before)
	}
	if err := r.StoreUses(ctx); err != nil {
		t.Fatal(err)
	}
	other := ringOver(t, st, sealerOf(r), 1024)
	if got := lastUse(t, other, rec); got != first {
		t.Errorf("another process reads %v", got)
	}
	if got := lastUse(t, other, idle); !got.At.IsZero() {
		t.Errorf("a key that was not used: %v", got)
	}

	// Of two processes the later use wins, whoever stores last.
	later := LastUse{first.At.Add(3 * time.Hour), "Sign", "three"}
	r.Used(rec, LastUse{first.At.Add(2 * time.Hour), "Decrypt", "between"})
	other.Used(rec, later)
	if err := errors.Join(other.StoreUses(ctx), r.StoreUses(ctx)); err != nil {
		t.Fatal(err)
	}
	for _, ring := range []*Ring{r, other} {
		if got := lastUse(t, ring, rec); got != later {
			t.Errorf("after both have stored: %v", got)
		}
	}
}

// Nothing is left of a key that was deleted, used or not.
func TestLastUseOfDeletedKey(t *testing.T) {
	r, st := newRing(t, 1024)
	rec, spare := makeKey(t, r), makeKey(t, r)
	r.Used(rec, LastUse{noon, "Encrypt", "one"})
	if err := r.StoreUses(ctx); err != nil {
		t.Fatal(err)
	}
	other := ringOver(t, st, sealerOf(r), 1024)
	other.Used(rec, LastUse{noon.Add(time.Hour), "Encrypt", "two"})
	other.Used(spare, LastUse{noon.Add(time.Hour), "Encrypt", "three"})

	gone := rec.Clone()
	gone.DeletionDate = key.MomentOf(noon.Add(time.Hour))
	if err := r.Commit(ctx, []Change{PutKey{Was: rec, Now: gone}}, nil); err != nil {
		t.Fatal(err)
	}
	if swept, err := r.Sweep(ctx, noon.Add(2*time.Hour), noon.Add(2*time.Hour)); len(swept.Deleted) != 1 || err != nil {
		t.Fatalf("%v, %v", swept, err)
	}
	if err := other.StoreUses(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Get(ctx, placeOf(rec).lastUsePath()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the last use of the deleted key: %v", err)
	}
}

// written counts the records of last uses.
func written(t testing.TB, st store.Store) int {
	t.Helper()
	recs, err := st.List(ctx, "lastuse/", "", page, true)
	if err != nil {
		t.Fatal(err)
	}
	return len(recs)
}

// A busy server has many uses to store at once, more than one batch may hold.
func TestManyLastUsesAreStored(t *testing.T) {
	r, st := newRing(t, 1024)
	pending := make(map[address]LastUse)
	var last *key.Record
	for range store.MaxBatch/2 + 1 {
		last = makeKey(t, r)
		where, _ := addressOf(placeOf(last))
		pending[where] = LastUse{noon, "Encrypt", "one"}
	}
	for len(pending) > 0 {
		if err := r.storeSome(ctx, 0, pending); err != nil {
			t.Fatal(err)
		}
	}
	if got := lastUse(t, ringOver(t, st, sealerOf(r), 16), last); !got.At.Equal(noon) {
		t.Errorf("another process reads %v", got)
	}
}
