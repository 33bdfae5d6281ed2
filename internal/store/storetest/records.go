package storetest

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"trent/internal/store"
)

func testGetPutDelete(t *testing.T, open Opener) {
	s := opened(t, open)
	wantNone(t, s, "a")
	rev := put(t, s, "a", "one")
	wantRecord(t, s, "a", "one", rev)
	wantNone(t, s, "a/")
	wantNone(t, s, "A")
	del(t, s, "a")
	wantNone(t, s, "a")
}

func testOverwrite(t *testing.T, open Opener) {
	s := opened(t, open)
	first := put(t, s, "a", "a longer value")
	second := put(t, s, "a", "short")
	if second <= first {
		t.Fatalf("revision %d after %d", second, first)
	}
	wantRecord(t, s, "a", "short", second)
}

func testLargestRecord(t *testing.T, open Opener) {
	s := opened(t, open)
	path, value := strings.Repeat("p", store.MaxPath), strings.Repeat("v", store.MaxValue)
	wantRecord(t, s, path, value, put(t, s, path, value))
}

func testList(t *testing.T, open Opener) {
	s := opened(t, open)
	for _, path := range []string{"b", "a/2", "a0", "a/1", "a", "a/1/x", "a-", "a/"} {
		put(t, s, path, "value of "+path)
	}
	for _, c := range []struct {
		prefix, after string
		want          string
	}{
		{"", "", "a a- a/ a/1 a/1/x a/2 a0 b"},
		{"a", "", "a a- a/ a/1 a/1/x a/2 a0"},
		{"a/", "", "a/ a/1 a/1/x a/2"},
		{"a/", "a/", "a/1 a/1/x a/2"},
		{"a/", "a/1", "a/1/x a/2"},
		{"a/", "a/10", "a/2"}, // after need not exist
		{"a/", "a/2", ""},
		{"a/", "b", ""},                 // beyond the prefix
		{"a/", "A", "a/ a/1 a/1/x a/2"}, // before the prefix
		{"a/", "a", "a/ a/1 a/1/x a/2"},
		{"c", "", ""},
		{"a/1", "", "a/1 a/1/x"},
	} {
		got, err := s.List(context.Background(), c.prefix, c.after, 100, false)
		if err != nil {
			t.Fatal(err)
		}
		if p := strings.Join(paths(got), " "); p != c.want {
			t.Errorf("List(%q, %q) = %s; want %s", c.prefix, c.after, p, c.want)
		}
		for _, r := range got {
			wantRecord(t, s, r.Path, string(r.Value), r.Rev)
		}
	}
}

func testListPages(t *testing.T, open Opener) {
	s := opened(t, open)
	var want []string
	for i := range 100 {
		want = append(want, numbered("page/", i))
	}
	for i := range want { // in another order than that of the paths
		put(t, s, want[i*37%100], "v")
	}
	put(t, s, "page", "before")
	put(t, s, "page0", "behind")
	for _, size := range []int{1, 7, 10, 99, 100, 101, 1000} {
		if got := paths(list(t, s, "page/", size, false)); !slices.Equal(got, want) {
			t.Errorf("in pages of %d: %v", size, got)
		}
	}
	for _, r := range list(t, s, "page/", 10, true) {
		if r.Value != nil || r.Rev == 0 {
			t.Fatalf("keysOnly: %q has the value %q and revision %d", r.Path, r.Value, r.Rev)
		}
	}
}

// Paths are bytes: neither text, nor ended by a zero.
func testListBytes(t *testing.T, open Opener) {
	s := opened(t, open)
	all := []string{"\x00", "a", "a\x00", "a\x00b", "a\x01", "a\xff", "a\xff\x00", "a\xff\xff", "b", "\xff", "\xff\xff", "\xff\xff\x01"}
	for i := range all {
		put(t, s, all[i*5%len(all)], "v")
	}
	for _, prefix := range append([]string{""}, all...) {
		var want []string
		for _, path := range all {
			if strings.HasPrefix(path, prefix) {
				want = append(want, path)
			}
		}
		if got := paths(list(t, s, prefix, 1, false)); !slices.Equal(got, want) {
			t.Errorf("prefix %q: %q; want %q", prefix, got, want)
		}
	}
}

func testConditions(t *testing.T, open Opener) {
	s := opened(t, open)
	create := store.Batch{If: []store.Condition{{Path: "a"}}, Put: []store.Put{putOf("a", "one")}}
	first := commit(t, s, create)
	wantConflict(t, s, create, store.Conflict{Path: "a", Want: 0, Have: first})

	update := store.Batch{If: []store.Condition{{Path: "a", Rev: first}}, Put: []store.Put{putOf("a", "two")}}
	second := commit(t, s, update)
	wantConflict(t, s, update, store.Conflict{Path: "a", Want: first, Have: second})
	wantRecord(t, s, "a", "two", second)

	// A condition need not be on what is written.
	guarded := store.Batch{If: []store.Condition{{Path: "a", Rev: second}, {Path: "none"}}, Put: []store.Put{putOf("b", "x")}}
	commit(t, s, guarded)
	put(t, s, "a", "three")
	if _, err := s.Commit(context.Background(), guarded); err == nil {
		t.Fatal("a stale condition held")
	}
	wantConflict(t, s, store.Batch{If: []store.Condition{{Path: "none", Rev: 1}}, Put: []store.Put{putOf("b", "y")}},
		store.Conflict{Path: "none", Want: 1, Have: 0})
}

// A record that was deleted and made again is not the record it was.
func testConditionOnDeleted(t *testing.T, open Opener) {
	s := opened(t, open)
	first := put(t, s, "a", "same")
	commit(t, s, store.Batch{If: []store.Condition{{Path: "a", Rev: first}}, Delete: []string{"a"}})
	stale := store.Batch{If: []store.Condition{{Path: "a", Rev: first}}, Put: []store.Put{putOf("a", "late")}}
	wantConflict(t, s, stale, store.Conflict{Path: "a", Want: first, Have: 0})
	second := commit(t, s, store.Batch{If: []store.Condition{{Path: "a"}}, Put: []store.Put{putOf("a", "same")}})
	wantConflict(t, s, stale, store.Conflict{Path: "a", Want: first, Have: second})
}

func testAtomicity(t *testing.T, open Opener) {
	s := opened(t, open)
	keep := put(t, s, "keep", "kept")
	var b store.Batch
	for i := range 59 {
		b.If = append(b.If, store.Condition{Path: numbered("new/", i)})
		b.Put = append(b.Put, putOf(numbered("new/", i), "v"))
	}
	b.Delete = []string{"keep"}
	b.If[31] = store.Condition{Path: "keep", Rev: keep + 1}
	wantConflict(t, s, b, store.Conflict{Path: "keep", Want: keep + 1, Have: keep})
	if got := paths(list(t, s, "", 100, true)); !slices.Equal(got, []string{"keep"}) {
		t.Fatalf("a failed batch left %v", got)
	}
	b.If[31].Rev = keep
	rev := commit(t, s, b)
	got := list(t, s, "", 100, true)
	if len(got) != 59 {
		t.Fatalf("%d records, not 59: %v", len(got), paths(got))
	}
	for _, r := range got {
		if r.Rev != rev {
			t.Fatalf("%s is of revision %d, its batch of %d", r.Path, r.Rev, rev)
		}
	}
}

// Batches may have no effect: deletes of nothing, or nothing but conditions.
func testNothingChanged(t *testing.T, open Opener) {
	s := opened(t, open)
	before := put(t, s, "a", "one")
	for _, b := range []store.Batch{
		{Delete: []string{"none"}},
		{If: []store.Condition{{Path: "a", Rev: before}}},
	} {
		if rev := commit(t, s, b); rev < before {
			t.Fatalf("revision %d after %d", rev, before)
		}
	}
	wantRecord(t, s, "a", "one", before)
	wantConflict(t, s, store.Batch{If: []store.Condition{{Path: "a"}}}, store.Conflict{Path: "a", Have: before})
}

func testInvalid(t *testing.T, open Opener) {
	s := opened(t, open)
	put(t, s, "there", "v")
	tooMany := make([]store.Put, store.MaxBatch+1)
	for i := range tooMany {
		tooMany[i] = putOf(numbered("many/", i), "v")
	}
	for name, b := range map[string]store.Batch{
		"empty":              {},
		"too many":           {Put: tooMany},
		"no path":            {Put: []store.Put{putOf("", "v")}},
		"no value":           {Put: []store.Put{putOf("a", "")}},
		"long path":          {Put: []store.Put{putOf(strings.Repeat("p", store.MaxPath+1), "v")}},
		"large value":        {Put: []store.Put{putOf("a", strings.Repeat("v", store.MaxValue+1))}},
		"put twice":          {Put: []store.Put{putOf("a", "v"), putOf("a", "w")}},
		"put and deleted":    {Put: []store.Put{putOf("there", "w")}, Delete: []string{"there"}},
		"deleted twice":      {Delete: []string{"there", "there"}},
		"condition, no path": {If: []store.Condition{{}}, Put: []store.Put{putOf("a", "v")}},
	} {
		if _, err := s.Commit(context.Background(), b); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v; want ErrInvalid", name, err)
		}
	}
	if got := paths(list(t, s, "", 1000, true)); !slices.Equal(got, []string{"there"}) {
		t.Fatalf("invalid batches left %v", got)
	}
	commit(t, s, store.Batch{Put: tooMany[:store.MaxBatch]})
}

func testRevisions(t *testing.T, open Opener) {
	s := opened(t, open)
	var last store.Rev
	for i := range 20 {
		rev := put(t, s, numbered("r/", i%3), "v")
		if rev <= last {
			t.Fatalf("revision %d after %d", rev, last)
		}
		last = rev
		if now, err := s.Rev(context.Background()); err != nil || now != rev {
			t.Fatalf("Rev = %d, %v after a commit of %d", now, err, rev)
		}
	}
}

func testNoAliases(t *testing.T, open Opener) {
	s := opened(t, open)
	events := watch(t, s, t.Context(), mustRev(t, s))
	given := []byte("value")
	batch := store.Batch{Put: []store.Put{{Path: "a", Value: given}}}
	rev := commit(t, s, batch)
	if string(given) != "value" {
		t.Fatal("Commit changed what it was given")
	}
	copy(given, "XXXXX")
	batch.Put[0] = putOf("b", "other")
	wantRecord(t, s, "a", "value", rev)
	if e := next(t, events); e[0].Path != "a" || string(e[0].Value) != "value" {
		t.Fatalf("the event followed the caller's slice: %q %q", e[0].Path, e[0].Value)
	}
	for range 2 {
		r, err := s.Get(context.Background(), "a")
		if err != nil {
			t.Fatal(err)
		}
		copy(r.Value, "YYYYY")
		r.Value = append(r.Value, "more"...)
		page, err := s.List(context.Background(), "", "", 1, false)
		if err != nil || string(page[0].Value) != "value" {
			t.Fatalf("List = %v, %v", page, err)
		}
		copy(page[0].Value, "ZZZZZ")
	}
	wantRecord(t, s, "a", "value", rev)
}

func mustRev(t testing.TB, s store.Store) store.Rev {
	t.Helper()
	rev, err := s.Rev(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// 16 goroutines count up together by compare-and-swap: no count may be lost.
func testCounter(t *testing.T, open Opener) {
	const writers, each = 16, 25
	s := opened(t, open)
	put(t, s, "counter", "\x00\x00")
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				increment(t, s)
			}
		})
	}
	wg.Wait()
	got, err := s.Get(context.Background(), "counter")
	if err != nil || int(got.Value[0])<<8|int(got.Value[1]) != writers*each {
		t.Fatalf("counted to %v, %v; want %d", got.Value, err, writers*each)
	}
}

func increment(t testing.TB, s store.Store) {
	for {
		r, err := s.Get(context.Background(), "counter")
		if err != nil {
			t.Error(err)
			return
		}
		n := int(r.Value[0])<<8 | int(r.Value[1]) + 1
		_, err = s.Commit(context.Background(), store.Batch{
			If:  []store.Condition{{Path: "counter", Rev: r.Rev}},
			Put: []store.Put{{Path: "counter", Value: []byte{byte(n >> 8), byte(n)}}},
		})
		if err == nil {
			return
		}
		if _, ok := errors.AsType[*store.Conflict](err); !ok {
			t.Error(err)
			return
		}
	}
}

// Of those who create the same record at once, one succeeds.
func testOneWinner(t *testing.T, open Opener) {
	s := opened(t, open)
	for round := range 20 {
		path := numbered("race/", round)
		won := make(chan store.Rev, 16)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				rev, err := s.Commit(context.Background(), store.Batch{
					If:  []store.Condition{{Path: path}},
					Put: []store.Put{putOf(path, numbered("", i))},
				})
				if err == nil {
					won <- rev
				}
			})
		}
		wg.Wait()
		close(won)
		if len(won) != 1 {
			t.Fatalf("%d created %s", len(won), path)
		}
		if r, err := s.Get(context.Background(), path); err != nil || r.Rev != <-won {
			t.Fatalf("the record is not the winner's: %v, %v", r, err)
		}
	}
}

func testReadYourWrites(t *testing.T, open Opener) {
	s := opened(t, open)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			path := numbered("g/", g)
			for i := range 30 {
				value := numbered("", i)
				rev, err := s.Commit(context.Background(), store.Batch{Put: []store.Put{putOf(path, value)}})
				if err != nil {
					t.Error(err)
					return
				}
				r, err := s.Get(context.Background(), path)
				if err != nil || r.Rev != rev || string(r.Value) != value {
					t.Errorf("%s: read %q at %d after writing %q at %d: %v", path, r.Value, r.Rev, value, rev, err)
					return
				}
				page, err := s.List(context.Background(), path, "", 1, false)
				if err != nil || len(page) != 1 || !reflect.DeepEqual(page[0], r) {
					t.Errorf("%s: listed %v, %v", path, page, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func testCancelledContext(t *testing.T, open Opener) {
	s := opened(t, open)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Commit(ctx, store.Batch{Put: []store.Put{putOf("a", "v")}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("Commit: %v; want context.Canceled", err)
	}
	if _, err := s.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Fatalf("Get: %v; want context.Canceled", err)
	}
	if _, err := s.List(ctx, "", "", 1, false); !errors.Is(err, context.Canceled) {
		t.Fatalf("List: %v; want context.Canceled", err)
	}
	wantNone(t, s, "a")
}

func testDurability(t *testing.T, open Opener) {
	var want []store.Record
	for round := range 3 {
		s := open()
		if got := list(t, s, "", 10, false); len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("opened anew: %v; want %v", got, want)
		}
		before := mustRev(t, s)
		for i := range 15 {
			if rev := put(t, s, numbered("d/", round*10+i), numbered("", round)); rev <= before {
				t.Fatalf("revision %d after %d", rev, before)
			}
		}
		del(t, s, numbered("d/", round*10))
		want = list(t, s, "", 1000, false)
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
}

func testClosed(t *testing.T, open Opener) {
	s := open()
	put(t, s, "a", "v")
	events := watch(t, s, t.Context(), mustRev(t, s))
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	drain(t, events)
	_, get := s.Get(context.Background(), "a")
	_, list := s.List(context.Background(), "", "", 1, false)
	_, commit := s.Commit(context.Background(), store.Batch{Put: []store.Put{putOf("a", "w")}})
	_, watch := s.Watch(context.Background(), 0)
	_, rev := s.Rev(context.Background())
	for name, err := range map[string]error{"Get": get, "List": list, "Commit": commit, "Watch": watch, "Rev": rev, "Close": s.Close()} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v; want ErrClosed", name, err)
		}
	}
}

// Close while all others are at work: each commit is there, or was refused.
func testCloseWaits(t *testing.T, open Opener) {
	s := open()
	done := make([][]string, 8)
	var wg sync.WaitGroup
	for g := range done {
		wg.Go(func() {
			for i := 0; ; i++ {
				path := numbered(numbered("c/", g)+"/", i)
				_, err := s.Commit(context.Background(), store.Batch{Put: []store.Put{putOf(path, "v")}})
				if err == nil {
					_, err = s.Get(context.Background(), path)
					done[g] = append(done[g], path)
				}
				if err != nil && !errors.Is(err, store.ErrClosed) {
					t.Error(err)
				}
				if err != nil {
					return
				}
			}
		})
	}
	put(t, s, "started", "v")
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	wg.Wait()
	s = opened(t, open)
	want := slices.Concat(done...)
	slices.Sort(want)
	if got := paths(list(t, s, "c/", 100, true)); !slices.Equal(got, want) {
		t.Fatalf("%d records, %d were acknowledged", len(got), len(want))
	}
}

func sameRecord(a, b store.Record) bool {
	return a.Path == b.Path && a.Rev == b.Rev && bytes.Equal(a.Value, b.Value)
}
