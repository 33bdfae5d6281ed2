package storetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trent/internal/store"
)

// model is what a store should be: a map.
type model struct {
	t       *rapid.T
	open    Opener
	store   store.Store
	records map[string]store.Record
	rev     store.Rev
}

// testModel does random things to a store and to a map, and compares. All
// rounds share the storage: each begins by emptying it.
func testModel(t *testing.T, open Opener) {
	current := open()
	defer func() { current.Close() }()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, open: open, store: current, records: make(map[string]store.Record)}
		defer func() { current = m.store }()
		m.clear()
		t.Repeat(map[string]func(*rapid.T){
			"":       m.compare,
			"commit": m.commit,
			"get":    m.get,
			"list":   m.list,
			"reopen": m.reopen,
		})
	})
}

// Few letters, so that paths meet and are prefixes of each other.
func somePath() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "/", "\x00", "\xff"}), 1, 4).Draw(t, "path"), "")
	})
}

func someValue() *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), 1, 300) }

func (m *model) clear() {
	for {
		page, err := m.store.List(context.Background(), "", "", store.MaxBatch, true)
		if err != nil {
			m.t.Fatal(err)
		}
		if len(page) == 0 {
			return
		}
		if m.rev, err = m.store.Commit(context.Background(), store.Batch{Delete: paths(page)}); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *model) commit(t *rapid.T) {
	b := m.someBatch(t)
	rev, err := m.store.Commit(context.Background(), b)
	if broken := m.broken(b); broken != nil {
		got, ok := errors.AsType[*store.Conflict](err)
		if !ok || !slices.Contains(broken, *got) {
			t.Fatalf("Commit = %d, %v; want one of the conflicts %v", rev, err, broken)
		}
		return
	}
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if changed := m.apply(b, rev); changed && rev <= m.rev || rev < m.rev {
		t.Fatalf("revision %d after %d", rev, m.rev)
	}
	m.rev = rev
}

func (m *model) someBatch(t *rapid.T) store.Batch {
	written := rapid.SliceOfNDistinct(somePath(), 1, 8, rapid.ID[string]).Draw(t, "written")
	var b store.Batch
	for _, path := range written {
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			b.Delete = append(b.Delete, path)
		} else {
			b.Put = append(b.Put, store.Put{Path: path, Value: someValue().Draw(t, "value")})
		}
	}
	for _, path := range rapid.SliceOfN(somePath(), 0, 3).Draw(t, "conditions") {
		c := store.Condition{Path: path, Rev: m.records[path].Rev}
		if rapid.IntRange(0, 7).Draw(t, "stale") == 0 {
			c.Rev++
		}
		b.If = append(b.If, c)
	}
	return b
}

// broken returns the conflicts that b has.
func (m *model) broken(b store.Batch) (all []store.Conflict) {
	for _, c := range b.If {
		if have := m.records[c.Path].Rev; have != c.Rev {
			all = append(all, store.Conflict{Path: c.Path, Want: c.Rev, Have: have})
		}
	}
	return all
}

func (m *model) apply(b store.Batch, rev store.Rev) (changed bool) {
	for _, p := range b.Put {
		m.records[p.Path] = store.Record{Path: p.Path, Value: p.Value, Rev: rev}
		changed = true
	}
	for _, path := range b.Delete {
		_, there := m.records[path]
		changed = changed || there
		delete(m.records, path)
	}
	return changed
}

func (m *model) get(t *rapid.T) {
	path := somePath().Draw(t, "path")
	got, err := m.store.Get(context.Background(), path)
	want, there := m.records[path]
	if there && (err != nil || !sameRecord(got, want)) || !there && !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("Get(%q) = %v, %v; want %v", path, got, err, want)
	}
}

func (m *model) list(t *rapid.T) {
	prefix := rapid.OneOf(rapid.Just(""), somePath()).Draw(t, "prefix")
	after := rapid.OneOf(rapid.Just(""), somePath()).Draw(t, "after")
	limit := rapid.IntRange(1, 20).Draw(t, "limit")
	got, err := m.store.List(context.Background(), prefix, after, limit, false)
	if err != nil {
		t.Fatal(err)
	}
	var want []store.Record
	for _, path := range slices.Sorted(maps.Keys(m.records)) {
		if strings.HasPrefix(path, prefix) && path > after && len(want) < limit {
			want = append(want, m.records[path])
		}
	}
	if !slices.EqualFunc(got, want, sameRecord) {
		t.Fatalf("List(%q, %q, %d) = %v; want %v", prefix, after, limit, paths(got), paths(want))
	}
}

func (m *model) reopen(t *rapid.T) {
	if rapid.IntRange(0, 4).Draw(t, "really") != 0 { // it is slow
		return
	}
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	m.store = m.open()
}

// compare is done after each step.
func (m *model) compare(t *rapid.T) {
	got, err := m.store.List(context.Background(), "", "", 1000, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(m.records) {
		t.Fatalf("%d records; want %d", len(got), len(m.records))
	}
	for _, r := range got {
		if !sameRecord(r, m.records[r.Path]) {
			t.Fatalf("%q is %v; want %v", r.Path, r, m.records[r.Path])
		}
	}
	if rev, err := m.store.Rev(context.Background()); err != nil || rev != m.rev && m.rev != 0 {
		t.Fatalf("Rev = %d, %v; want %d", rev, err, m.rev)
	}
}
