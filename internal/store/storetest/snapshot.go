package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"trent/internal/store"
)

// snapshotOf is a snapshot that is closed at the end of the test.
func snapshotOf(t *testing.T, s store.Store) store.Snapshot {
	t.Helper()
	n, err := s.(store.Snapshotter).Snapshot(context.Background())
	if err != nil {
		t.Fatalf("Snapshot: %v", err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// What is committed after a snapshot was taken is not in it: no put, no change, no delete.
func testSnapshot(t *testing.T, open Opener) {
	s := opened(t, open)
	put(t, s, "a/kept", "v")
	put(t, s, "a/gone", "v")
	rev := put(t, s, "a/changed", "old")
	n := snapshotOf(t, s)
	if n.Rev() != rev {
		t.Errorf("it is of revision %d, not %d", n.Rev(), rev)
	}
	put(t, s, "a/changed", "new")
	put(t, s, "a/fresh", "v")
	del(t, s, "a/gone")
	if got, err := n.Get(context.Background(), "a/changed"); err != nil || string(got.Value) != "old" || got.Rev != rev {
		t.Errorf("Get = %q at %d, %v", got.Value, got.Rev, err)
	}
	if _, err := n.Get(context.Background(), "a/fresh"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get of what came later: %v", err)
	}
	for _, keysOnly := range []bool{false, true} {
		page, err := n.List(context.Background(), "a/", "a/changed", 10, keysOnly)
		if err != nil || !slices.Equal(paths(page), []string{"a/gone", "a/kept"}) || (page[0].Value == nil) != keysOnly {
			t.Errorf("List = %v, %v", page, err)
		}
	}
	if _, err := n.List(context.Background(), "", "", 0, true); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a page of nothing: %v", err)
	}
	wantRecord(t, s, "a/changed", "new", rev+1)
}

// A snapshot ends when it is closed, and with its store, which does not wait for it.
func testSnapshotEnds(t *testing.T, open Opener) {
	s := opened(t, open)
	put(t, s, "a", "v")
	first, second := snapshotOf(t, s), snapshotOf(t, s)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Get(context.Background(), "a"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Get of a closed one: %v", err)
	}
	if err := first.Close(); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Close again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := second.List(context.Background(), "", "", 1, true); !errors.Is(err, store.ErrClosed) {
		t.Errorf("List of one whose store is closed: %v", err)
	}
	if _, err := s.(store.Snapshotter).Snapshot(context.Background()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Snapshot of a closed store: %v", err)
	}
}

// Two records that are always written together are the same in every snapshot.
func testSnapshotWhole(t *testing.T, open Opener) {
	s := opened(t, open)
	ctx, stop := context.WithCancel(context.Background())
	var writers sync.WaitGroup
	write := func(v string) {
		commit(t, s, store.Batch{Put: []store.Put{putOf("a", v), putOf("z", v)}})
	}
	write("0")
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				write(numbered(numbered("w", w), i))
			}
		})
	}
	for range 50 {
		n := snapshotOf(t, s)
		page, err := n.List(ctx, "", "", 10, false)
		if err != nil || len(page) != 2 || string(page[0].Value) != string(page[1].Value) || page[0].Rev != n.Rev() {
			t.Errorf("a snapshot of revision %d has %v, %v", n.Rev(), page, err)
		}
		n.Close()
	}
	stop()
	writers.Wait()
}

// A wide batch is taken up to its bound, and no further.
func testWide(t *testing.T, open Opener) {
	s := opened(t, open).(store.Wide)
	bound := s.Bounds().Operations
	if bound < store.MaxBatch+3 {
		t.Fatalf("%d operations at most", bound)
	}
	var b store.Batch
	for i := range bound {
		b.Put = append(b.Put, putOf(numbered("wide/", i), "v"))
	}
	if _, err := s.CommitWide(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	b.Put = append(b.Put, putOf("one more", "v"))
	if _, err := s.CommitWide(context.Background(), b); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("one more than the bound: %v", err)
	}
	if got := list(t, s, "", 1000, true); len(got) != bound {
		t.Errorf("%d records, not %d", len(got), bound)
	}
}
