// Package ledger remembers what a store was told, so that it is noticed when the store
// has forgotten it.
//
// A sealed record that was altered does not open. One that was deleted, or put back as
// it was last week, looks right: nothing in it orders versions in time. So the ledger
// stands between a store and those who write to it. With each batch it commits an entry
// of a log, which says what is at which path from now on (as a digest), and a head,
// which is sealed and binds all entries by a hash chain. Verify reads them, and says
// which records are not what they should be. Anchors keep a copy of the head's place in
// the chain where the store's owner does not reach, for the case that all of the store is
// put back at once.
//
// Reads pass straight through, and so do batches that touch only paths of passing
// interest (Options.Passing). docs/spec/ledger.md has the format,
// docs/decisions/0021-ledger.md the reasons.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trent/internal/seal"
	"trent/internal/store"
)

// ErrNoHead says that a store has no log of changes: it was made before there was one,
// or somebody has taken it away.
var ErrNoHead = errors.New("the store has no log of changes")

// Options of a Ledger.
type Options struct {
	Passing []string // prefixes of paths that no entry tells of
	Now     func() time.Time
	Moved   func() // called after each commit that moved the head; it must not wait
}

// isPassing reports whether no entry tells of a path.
func (o Options) isPassing(path string) bool {
	for _, p := range o.Passing {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// isOwn reports whether a path is of the log itself.
func isOwn(path string) bool { return strings.HasPrefix(path, prefix) }

// A Position is a place in the history of a store.
type Position struct {
	Cluster seal.ClusterID
	Epoch   uint64 // raised whenever a rollback is accepted
	Entry   uint64
	Chain   Digest
	Time    time.Time // of the commit
}

// Ledger is a store.Store on top of another one, which it does not close when it could not
// be opened.
//
// One caller of Commit at a time is the leader. It takes the batches that wait beside its
// own and commits them as one, with one entry: so they share the head, which else would
// put them in line. A lone batch waits for no company.
type Ledger struct {
	inner  store.Store
	wide   store.Wide // nil: inner takes MaxBatch at most
	bounds store.Bounds
	sealer *seal.Sealer
	o      Options

	mu     sync.Mutex
	queue  []*pending
	led    bool // there is a leader
	closed bool

	// Of the leader alone.
	head    head
	headRev store.Rev
	stale   bool // somebody else may have moved the head

	position atomic.Pointer[Position]
	lap      lap // of Tidy alone
}

// Open opens the ledger of a store. ErrNoHead says that there is none: then Begin makes
// one. It looks at the head and the newest entry, not at all of the log: Verify does.
func Open(ctx context.Context, st store.Store, sealer *seal.Sealer, o Options) (*Ledger, error) {
	l := &Ledger{inner: st, sealer: sealer, o: o}
	l.bounds = store.Bounds{Operations: store.MaxBatch, Bytes: store.MaxValue, Each: 256}
	if wide, ok := st.(store.Wide); ok {
		l.wide, l.bounds = wide, wide.Bounds()
	}
	if err := l.checkEnd(ctx); err != nil {
		return nil, err
	}
	return l, l.reload(ctx)
}

// reader is what Store and Snapshot have in common.
type reader interface {
	Get(ctx context.Context, path string) (store.Record, error)
	List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]store.Record, error)
}

// still is the store at one revision, where it can be had; end lets go of it.
func (l *Ledger) still(ctx context.Context) (from reader, end func(), err error) {
	st, ok := l.inner.(store.Snapshotter)
	if !ok {
		return l.inner, func() {}, nil
	}
	s, err := st.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s, func() { _ = s.Close() }, nil // it was read from: there is nothing to lose
}

func readHead(ctx context.Context, from reader, sealer *seal.Sealer) (head, store.Rev, error) {
	rec, err := from.Get(ctx, headPath)
	if errors.Is(err, store.ErrNotFound) {
		return head{}, 0, ErrNoHead
	} else if err != nil {
		return head{}, 0, err
	}
	h, err := openHead(sealer, rec.Value)
	if err != nil {
		return head{}, 0, fmt.Errorf("%w: %w", errHead, err)
	}
	return h, rec.Rev, nil
}

// checkEnd holds that the log ends where the head says.
func (l *Ledger) checkEnd(ctx context.Context) error {
	from, end, err := l.still(ctx)
	if err != nil {
		return err
	}
	defer end()
	h, _, err := readHead(ctx, from, l.sealer)
	if err != nil {
		return err
	}
	first, err := from.List(ctx, prefix, entryPath(h.Last), 1, true)
	if err != nil {
		return err
	}
	if len(first) != 1 || first[0].Path != headPath {
		return fmt.Errorf("the log of changes goes on behind its head, which ends at entry %d: the head was put back to an older one", h.Last)
	}
	if h.Last < h.First {
		return nil
	}
	if _, err := from.Get(ctx, entryPath(h.Last)); errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("the log of changes has lost entry %d, the newest one: somebody has cut it", h.Last)
	} else if err != nil {
		return err
	}
	return nil
}

// reload reads the head. Leader only.
func (l *Ledger) reload(ctx context.Context) error {
	h, rev, err := readHead(ctx, l.inner, l.sealer)
	if err != nil {
		return err
	}
	if old := l.position.Load(); old != nil && (h.Epoch < old.Epoch || h.Epoch == old.Epoch && h.Last < old.Entry) {
		return fmt.Errorf("the head of the log of changes went back from entry %d to %d: the store was put back under a running server", old.Entry, h.Last)
	}
	l.moveTo(h, rev)
	return nil
}

func (l *Ledger) moveTo(h head, rev store.Rev) {
	l.head, l.headRev, l.stale = h, rev, false
	p := h.position(l.sealer.Cluster())
	l.position.Store(&p)
}

// Position is the place of the newest commit that this ledger knows of.
func (l *Ledger) Position() Position { return *l.position.Load() }

// Get implements store.Store.
func (l *Ledger) Get(ctx context.Context, path string) (store.Record, error) {
	return l.inner.Get(ctx, path)
}

// List implements store.Store. The log is among the records.
func (l *Ledger) List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]store.Record, error) {
	return l.inner.List(ctx, prefix, after, limit, keysOnly)
}

// Watch implements store.Store. Batches that were committed as one are one commit.
func (l *Ledger) Watch(ctx context.Context, from store.Rev) (<-chan []store.Event, error) {
	return l.inner.Watch(ctx, from)
}

// Rev implements store.Store.
func (l *Ledger) Rev(ctx context.Context) (store.Rev, error) { return l.inner.Rev(ctx) }

// Close implements store.Store. It closes the store below.
func (l *Ledger) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return l.inner.Close()
}
