package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"trent/internal/record"
	"trent/internal/seal"
	"trent/internal/store"
)

// page is how many records are read at once.
const page = 256

// Of an entry of Begin: a size that fits into a batch of any store.
const (
	firstChanges = 500
	firstBytes   = store.MaxValue / 4
)

// Begin gives a store its log of changes: entries that say what is there now, and then the
// head. Until the head is there, nothing is begun, and whoever comes next begins again; of
// several at once, one makes the head and the others find it. Nobody may write to the
// store meanwhile without a ledger. It returns how many records there are.
func Begin(ctx context.Context, st store.Store, sealer *seal.Sealer, o Options) (int, error) {
	b := beginning{ctx: ctx, st: st, cluster: sealer.Cluster(), head: newHead(1)}
	n := 0
	err := each(ctx, st, "", func(r store.Record) error {
		if isOwn(r.Path) || o.isPassing(r.Path) {
			return nil
		}
		n++
		return b.add(r)
	})
	if err == nil {
		err = b.flush()
	}
	if err == nil {
		err = b.clear()
	}
	if err == nil {
		err = b.finish(sealer, o)
	}
	if conflict, lost := errors.AsType[*store.Conflict](err); lost && conflict.Path == headPath {
		err = nil
	}
	if err != nil {
		return 0, fmt.Errorf("begin the log of changes: %w", err)
	}
	return n, nil
}

type beginning struct {
	ctx     context.Context
	st      store.Store
	cluster seal.ClusterID
	head    head
	changes []change
	bytes   int
}

func (b *beginning) add(r store.Record) error {
	sum := sha256.Sum256(r.Value)
	b.changes = append(b.changes, change{Path: []byte(r.Path), Digest: sum[:]})
	if b.bytes += len(r.Path) + sha256.Size; len(b.changes) == firstChanges || b.bytes > firstBytes {
		return b.flush()
	}
	return nil
}

// ifNone is the condition of every write: where there is a head, nothing is begun.
func ifNone() []store.Condition { return []store.Condition{{Path: headPath}} }

// flush writes an entry. Two that begin at once write the same bytes, since there is no
// time in them.
func (b *beginning) flush() error {
	if len(b.changes) == 0 {
		return nil
	}
	stored, err := record.Encode(entryVersion, entry{Changes: b.changes})
	if err != nil {
		return err
	}
	b.head.Last++
	b.head.Chain = link(b.cluster, b.head.Chain, b.head.Last, stored)
	b.head.Changes += uint64(len(b.changes))
	b.changes, b.bytes = b.changes[:0], 0
	_, err = b.st.Commit(b.ctx, store.Batch{If: ifNone(), Put: []store.Put{{Path: entryPath(b.head.Last), Value: stored}}})
	return err
}

// clear removes what a start that was cut off has left behind the last entry.
func (b *beginning) clear() error {
	for {
		left, err := b.st.List(b.ctx, prefix, entryPath(b.head.Last), store.MaxBatch/2, true)
		if err != nil {
			return err
		}
		batch := store.Batch{If: ifNone()}
		for _, r := range left {
			if r.Path == headPath {
				return &store.Conflict{Path: headPath, Have: r.Rev}
			}
			batch.Delete = append(batch.Delete, r.Path)
		}
		if len(left) == 0 {
			return nil
		}
		if _, err := b.st.Commit(b.ctx, batch); err != nil {
			return err
		}
	}
}

func (b *beginning) finish(sealer *seal.Sealer, o Options) error {
	b.head.Time, b.head.Tidied = o.Now().UnixMilli(), b.head.Changes
	sealed, err := sealHead(sealer, b.head)
	if err != nil {
		return err
	}
	_, err = b.st.Commit(b.ctx, store.Batch{If: ifNone(), Put: []store.Put{{Path: headPath, Value: sealed}}})
	return err
}

// each calls do with every record whose path begins with prefix, in order.
func each(ctx context.Context, from reader, prefix string, do func(store.Record) error) error {
	after := ""
	for {
		records, err := from.List(ctx, prefix, after, page, false)
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := do(r); err != nil {
				return err
			}
		}
		if len(records) < page {
			return nil
		}
		after = records[len(records)-1].Path
	}
}
