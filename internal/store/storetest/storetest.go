// Package storetest is the suite that every store must pass. It knows a store
// by the interface alone.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"trent/internal/store"
)

// An Opener opens one and the same storage each time it is called; the store it
// returned before must have been closed. It fails the test if it cannot.
type Opener func() store.Store

// Fresh prepares a new, empty storage for the test t. It cleans up after t.
type Fresh func(t testing.TB) Opener

// patience is how long a test waits for what must come, such as an event.
const patience = 10 * time.Second

// Run runs the suite. The store must be a store.Snapshotter and a store.Wide too.
func Run(t *testing.T, fresh Fresh) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, open Opener)
	}{
		{"GetPutDelete", testGetPutDelete},
		{"Overwrite", testOverwrite},
		{"LargestRecord", testLargestRecord},
		{"List", testList},
		{"ListPages", testListPages},
		{"ListBytes", testListBytes},
		{"Conditions", testConditions},
		{"ConditionOnDeleted", testConditionOnDeleted},
		{"Atomicity", testAtomicity},
		{"NothingChanged", testNothingChanged},
		{"Invalid", testInvalid},
		{"Revisions", testRevisions},
		{"NoAliases", testNoAliases},
		{"Counter", testCounter},
		{"OneWinner", testOneWinner},
		{"ReadYourWrites", testReadYourWrites},
		{"CancelledContext", testCancelledContext},
		{"Durability", testDurability},
		{"Closed", testClosed},
		{"CloseWaits", testCloseWaits},
		{"WatchOrder", testWatchOrder},
		{"WatchFromThePast", testWatchFromThePast},
		{"WatchEnds", testWatchEnds},
		{"WatchSlow", testWatchSlow},
		{"WatchFollowsReads", testWatchFollowsReads},
		{"Snapshot", testSnapshot},
		{"SnapshotEnds", testSnapshotEnds},
		{"SnapshotWhole", testSnapshotWhole},
		{"Wide", testWide},
		{"Model", testModel},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, fresh(t)) })
	}
}

// opened is a store that is closed at the end of the test.
func opened(t testing.TB, open Opener) store.Store {
	t.Helper()
	s := open()
	t.Cleanup(func() { s.Close() })
	return s
}

// put writes one record, whatever was there.
func put(t testing.TB, s store.Store, path, value string) store.Rev {
	t.Helper()
	return commit(t, s, store.Batch{Put: []store.Put{putOf(path, value)}})
}

func putOf(path, value string) store.Put { return store.Put{Path: path, Value: []byte(value)} }

func commit(t testing.TB, s store.Store, b store.Batch) store.Rev {
	t.Helper()
	rev, err := s.Commit(context.Background(), b)
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return rev
}

func del(t testing.TB, s store.Store, paths ...string) store.Rev {
	t.Helper()
	return commit(t, s, store.Batch{Delete: paths})
}

// wantConflict commits b, which must fail over path.
func wantConflict(t testing.TB, s store.Store, b store.Batch, want store.Conflict) {
	t.Helper()
	rev, err := s.Commit(context.Background(), b)
	got, ok := errors.AsType[*store.Conflict](err)
	if !ok || *got != want || rev != 0 {
		t.Fatalf("Commit = %d, %v; want a conflict %v", rev, err, &want)
	}
}

func wantRecord(t testing.TB, s store.Store, path, value string, rev store.Rev) {
	t.Helper()
	got, err := s.Get(context.Background(), path)
	if err != nil || got.Path != path || string(got.Value) != value || got.Rev != rev {
		t.Fatalf("Get(%q) = %q %q at %d, %v; want %q at %d", path, got.Path, got.Value, got.Rev, err, value, rev)
	}
}

func wantNone(t testing.TB, s store.Store, path string) {
	t.Helper()
	if got, err := s.Get(context.Background(), path); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get(%q) = %q at %d, %v; want ErrNotFound", path, got.Value, got.Rev, err)
	}
}

// list is all of List's pages of so many records.
func list(t testing.TB, s store.Store, prefix string, pageSize int, keysOnly bool) (all []store.Record) {
	t.Helper()
	after := ""
	for {
		page, err := s.List(context.Background(), prefix, after, pageSize, keysOnly)
		if err != nil {
			t.Fatalf("List(%q, %q): %v", prefix, after, err)
		}
		if len(page) > pageSize {
			t.Fatalf("List(%q, %q) has %d records, the limit is %d", prefix, after, len(page), pageSize)
		}
		all = append(all, page...)
		if len(page) < pageSize {
			return all
		}
		after = page[len(page)-1].Path
	}
}

func paths(records []store.Record) []string {
	all := make([]string, 0, len(records))
	for _, r := range records {
		all = append(all, r.Path)
	}
	return all
}

func watch(t testing.TB, s store.Store, ctx context.Context, from store.Rev) <-chan []store.Event {
	t.Helper()
	events, err := s.Watch(ctx, from)
	if err != nil {
		t.Fatalf("Watch: %v", err)
	}
	return events
}

// next waits for the events of one commit.
func next(t testing.TB, events <-chan []store.Event) []store.Event {
	t.Helper()
	select {
	case got, open := <-events:
		if !open {
			t.Fatal("the watcher has lost track")
		}
		return got
	case <-time.After(patience):
		t.Fatal("no event came")
	}
	return nil
}

// drain returns what is left in the channel until it is closed.
func drain(t testing.TB, events <-chan []store.Event) (all [][]store.Event) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case got, open := <-events:
			if !open {
				return all
			}
			all = append(all, got)
		case <-deadline:
			t.Fatal("the channel was not closed")
		}
	}
}

func numbered(prefix string, i int) string { return fmt.Sprintf("%s%04d", prefix, i) }
