// Package store is the seam to whatever keeps records: one embedded file, or
// a cluster.
//
// Storage is not trusted. It keeps sealed bytes under paths and promises three
// things: a batch happens whole or not at all; what Commit acknowledged
// survives the death of the process and of the machine; and a condition on a
// revision is never passed by a record that has changed since. It is not asked
// to keep anything secret or intact: seal sees to that.
//
// Compare-and-swap batches instead of transactions with closures, because that
// is what bbolt and etcd both do natively. The implementations share the suite
// in storetest, not code.
package store

import (
	"context"
	"errors"
	"fmt"
)

// A Rev numbers commits, from 1 up, without a gap that matters: a later commit
// has a larger one. Zero stands for "there is no such record".
type Rev uint64

// MaxPath and MaxValue bound one record, in bytes; MaxBatch bounds the number
// of puts, deletes and conditions of one batch. Commit refuses more. A batch of
// MaxBatch leaves room in a transaction of etcd, which takes 128, for what a layer
// above a store adds.
const (
	MaxPath  = 1024
	MaxValue = 1 << 20
	MaxBatch = 120
)

// A Record is what stands at a path. Value belongs to the receiver.
type Record struct {
	Path  string
	Value []byte
	Rev   Rev // of the commit that wrote it
}

// A Put writes a value at a path, new or not.
type Put struct {
	Path  string
	Value []byte
}

// A Condition holds while the record at Path is of revision Rev; Rev zero: while
// there is none.
type Condition struct {
	Path string
	Rev  Rev
}

// A Batch is applied whole, if all its conditions hold, or not at all. No path
// may be both put and deleted, or put twice.
type Batch struct {
	If     []Condition
	Put    []Put
	Delete []string // of a path without a record: nothing happens
}

// An Event is a path that changed. Value is nil where it was deleted. All
// watchers get the same slices: they must not change them.
type Event struct {
	Path  string
	Value []byte
	Rev   Rev
}

// Store is the seam. All methods may be called at once from many goroutines.
// A Store does not keep or change the slices that it is given after it returned.
type Store interface {
	// Get returns the record at path, or ErrNotFound. It sees every commit that
	// was acknowledged before it was called, and none that is not durable yet.
	Get(ctx context.Context, path string) (Record, error)

	// List returns records whose path starts with prefix and sorts (by bytes)
	// after the path after, in order, at most limit of them (limit > 0).
	// after may be "". Values are left out (nil) with keysOnly.
	List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]Record, error)

	// Commit applies the batch and returns its revision once it is durable. A
	// batch that changes nothing (it has conditions only, or deletes what is not
	// there) has the revision of the commit before it, and no events.
	// A failed condition is a *Conflict and changes nothing. Any other error
	// leaves open whether the batch was applied, unless it is ErrClosed,
	// ErrInvalid, ErrReadOnly or ErrUnavailable.
	Commit(ctx context.Context, b Batch) (Rev, error)

	// Watch sends the events of every commit after the revision from, in order,
	// one slice a commit, until ctx ends; then the channel is closed. A
	// channel that closes before ctx ends has lost track (the watcher was too
	// slow, from is too old, or the store was closed): the watcher must read
	// anew. It loses nothing if it asks for Rev first, then for Watch from
	// there, and then reads.
	Watch(ctx context.Context, from Rev) (<-chan []Event, error)

	// Rev is the revision of the newest acknowledged commit.
	Rev(ctx context.Context) (Rev, error)

	// Close waits for what runs and closes. Later calls return ErrClosed.
	Close() error
}

// Reader is what a Store and a Snapshot have in common.
type Reader interface {
	Get(ctx context.Context, path string) (Record, error)
	List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]Record, error)
}

// Shared is a Store that other processes write to as well.
type Shared interface {
	Store

	// Progress asks that every channel of Watch says how far it has come: by one
	// Event without a path, whose Rev is that of a commit up to which everything
	// has been sent on this channel. It does not wait for that; and where the
	// watcher is behind, nothing may come at all.
	Progress(ctx context.Context) error
}

// A Wide store takes larger batches than MaxBatch from who puts those of several
// callers together.
type Wide interface {
	Store

	// Bounds says how large they may be.
	Bounds() Bounds

	// CommitWide is Commit with Bounds in the place of MaxBatch.
	CommitWide(ctx context.Context, b Batch) (Rev, error)
}

// Bounds limit a wide batch.
type Bounds struct {
	Operations int // conditions, puts and deletes
	Bytes      int // of values and paths, that of a condition twice, and Each for every operation
	Each       int
}

// A Snapshotter is a Store that can be read as it was at one moment.
type Snapshotter interface {
	Store

	// Snapshot is the state after the newest acknowledged commit. It must be closed:
	// as long as it is open, a store may be unable to use space anew.
	Snapshot(ctx context.Context) (Snapshot, error)
}

// A Snapshot is a state that no commit changes. After it was closed, or its store, its
// methods return ErrClosed; of a store that keeps the past for a time only,
// ErrUnavailable once it is gone.
type Snapshot interface {
	// Rev is the revision of the commit that made the state.
	Rev() Rev
	// Get and List are those of Store.
	Get(ctx context.Context, path string) (Record, error)
	List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]Record, error)
	Close() error
}

// What a Store refuses with, beside *Conflict.
var (
	ErrNotFound = errors.New("store: no record at this path")
	ErrClosed   = errors.New("store: closed")
	ErrInvalid  = errors.New("store: the batch is malformed or too large")
	// ErrReadOnly follows a failed sync for good: the kernel may have dropped the
	// pages, so nothing that this process writes can be trusted until the
	// file is opened anew. Reads go on.
	ErrReadOnly = errors.New("store: read-only since a write could not be made durable")
	// ErrUnavailable says that a cluster did not answer a read, or refused a
	// commit: nothing was changed.
	ErrUnavailable = errors.New("store: unavailable")
	// ErrOutcomeUnknown says that a commit was sent and no answer came. It may have
	// been applied, or may be yet; sending it again could apply it twice.
	ErrOutcomeUnknown = errors.New("store: no answer came, so it is not known whether the batch was applied")
)

// A Conflict names a condition that did not hold.
type Conflict struct {
	Path string
	Want Rev
	Have Rev
}

// Error implements error.
func (c *Conflict) Error() string {
	return fmt.Sprintf("store: %s is at revision %d, not %d", c.Path, c.Have, c.Want)
}

// Check validates a batch against the bounds and rules above; implementations
// call it first.
func (b Batch) Check() error { return b.CheckWithin(MaxBatch) }

// CheckWithin is Check with another bound than MaxBatch.
func (b Batch) CheckWithin(operations int) error {
	if n := b.Operations(); n == 0 || n > operations {
		return ErrInvalid
	}
	written := make(map[string]struct{}, len(b.Put)+len(b.Delete))
	for _, p := range b.Put {
		if _, twice := written[p.Path]; twice || !validPath(p.Path) || len(p.Value) == 0 || len(p.Value) > MaxValue {
			return ErrInvalid
		}
		written[p.Path] = struct{}{}
	}
	for _, path := range b.Delete {
		if _, twice := written[path]; twice || !validPath(path) {
			return ErrInvalid
		}
		written[path] = struct{}{}
	}
	for _, c := range b.If {
		if !validPath(c.Path) {
			return ErrInvalid
		}
	}
	return nil
}

// Operations is the number of conditions, puts and deletes.
func (b Batch) Operations() int { return len(b.If) + len(b.Put) + len(b.Delete) }

func validPath(p string) bool { return len(p) > 0 && len(p) <= MaxPath }
