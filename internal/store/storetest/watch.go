package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"trent/internal/store"
)

func testWatchOrder(t *testing.T, open Opener) {
	s := opened(t, open)
	put(t, s, "before", "v")
	events := watch(t, s, t.Context(), mustRev(t, s))

	rev := commit(t, s, store.Batch{Put: []store.Put{putOf("a", "one"), putOf("b", "two")}})
	got := next(t, events)
	if len(got) != 2 || got[0].Rev != rev || got[1].Rev != rev {
		t.Fatalf("events %v of revision %d", got, rev)
	}
	rev = commit(t, s, store.Batch{Put: []store.Put{putOf("c", "three")}, Delete: []string{"a", "none"}})
	wantEvents(t, next(t, events), map[string]string{"c": "three", "a": ""}, rev)

	// Neither a failed batch nor one without effect is an event.
	_, err := s.Commit(context.Background(), store.Batch{If: []store.Condition{{Path: "b"}}, Put: []store.Put{putOf("d", "v")}})
	if err == nil {
		t.Fatal("a false condition held")
	}
	del(t, s, "none")
	rev = put(t, s, "e", "five")
	wantEvents(t, next(t, events), map[string]string{"e": "five"}, rev)
}

// wantEvents compares with values by path, "" for deleted.
func wantEvents(t testing.TB, got []store.Event, want map[string]string, rev store.Rev) {
	t.Helper()
	for _, e := range got {
		value, ok := want[e.Path]
		if !ok || string(e.Value) != value || (e.Value == nil) != (value == "") || e.Rev != rev {
			t.Fatalf("event %q %q at %d; want one of %v at %d", e.Path, e.Value, e.Rev, want, rev)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d events; want %v", len(got), want)
	}
}

// A watcher that resumes where it stopped misses nothing: it gets what
// happened since, or is told at once that it has lost track.
func testWatchFromThePast(t *testing.T, open Opener) {
	s := opened(t, open)
	from := put(t, s, "a", "v")
	var want []store.Rev
	for i := range 10 {
		want = append(want, put(t, s, numbered("b/", i), "v"))
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := watch(t, s, ctx, from)
	for _, rev := range want {
		got, open := <-events
		if !open {
			return
		}
		if got[0].Rev != rev {
			t.Fatalf("revision %d came, %d should", got[0].Rev, rev)
		}
	}
	wantEvents(t, next(t, watch(t, s, ctx, want[8])), map[string]string{numbered("b/", 9): "v"}, want[9])
}

func testWatchEnds(t *testing.T, open Opener) {
	s := opened(t, open)
	ctx, cancel := context.WithCancel(context.Background())
	events := watch(t, s, ctx, mustRev(t, s))
	other := watch(t, s, t.Context(), mustRev(t, s))
	cancel()
	drain(t, events)
	rev := put(t, s, "a", "v")
	wantEvents(t, next(t, other), map[string]string{"a": "v"}, rev)
	if _, err := s.Watch(ctx, rev); !errors.Is(err, context.Canceled) {
		t.Fatalf("Watch: %v; want context.Canceled", err)
	}
}

// A watcher that does not read holds up nobody. It has not lost track, or
// its channel closes; and what it got before has no gap.
func testWatchSlow(t *testing.T, open Opener) {
	const writers, each = 16, 200
	s := opened(t, open)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	slow := watch(t, s, ctx, mustRev(t, s))
	fast := watch(t, s, ctx, mustRev(t, s))
	seen := make(chan int)
	go func() {
		n := 0
		for range fast {
			if n++; n == writers*each {
				break
			}
		}
		seen <- n
	}()
	revs := commitMany(t, s, writers, each)
	if n := <-seen; n != writers*each {
		t.Errorf("a watcher that reads saw %d of %d commits", n, writers*each)
	}
	cancel()
	for i, events := range drain(t, slow) {
		if events[0].Rev != revs[i] {
			t.Fatalf("event %d is of revision %d; want %d", i, events[0].Rev, revs[i])
		}
	}
}

// commitMany returns the revisions of so many commits, in order.
func commitMany(t testing.TB, s store.Store, writers, each int) (revs []store.Rev) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				rev, err := s.Commit(context.Background(), store.Batch{Put: []store.Put{putOf(numbered("w/", w), numbered("", i))}})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				revs = append(revs, rev)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(revs)
	if n := len(slices.Compact(slices.Clone(revs))); n != writers*each {
		t.Errorf("%d commits had %d revisions", writers*each, n)
	}
	return revs
}

// Who keeps a copy by events has, after the last of them, what is stored; and
// each event comes in the order of revisions.
func testWatchFollowsReads(t *testing.T, open Opener) {
	s := opened(t, open)
	put(t, s, "w/0000", "old")
	events := watch(t, s, t.Context(), mustRev(t, s))
	commitMany(t, s, 8, 40)
	end := put(t, s, "end", "v")
	follower := make(map[string]store.Record)
	var last store.Rev
	for last < end {
		batch := next(t, events)
		if batch[0].Rev <= last {
			t.Fatalf("revision %d after %d", batch[0].Rev, last)
		}
		last = batch[0].Rev
		for _, e := range batch {
			follower[e.Path] = store.Record(e)
		}
	}
	for _, r := range list(t, s, "", 100, false) {
		if !sameRecord(follower[r.Path], r) {
			t.Fatalf("%s: the follower has %q at %d, the store %q at %d", r.Path, follower[r.Path].Value, follower[r.Path].Rev, r.Value, r.Rev)
		}
	}
}
