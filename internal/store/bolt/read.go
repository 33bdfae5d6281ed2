package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"trent/internal/store"
)

// A snapshot is the newest state that is known to be durable.
//
// Many goroutines read through its one transaction, which bbolt's
// documentation does not promise to be safe. In v1.5.0 it is: lookups in a
// read transaction change nothing but statistics, and those atomically. The
// tests drive it under the race detector, for the day bbolt is updated.
type snapshot struct {
	tx      *bbolt.Tx
	records *bbolt.Bucket
	rev     store.Rev
}

func takeSnapshot(db *bbolt.DB) (snapshot, error) {
	tx, err := db.Begin(false)
	if err != nil {
		return snapshot{}, err
	}
	records := tx.Bucket(recordsBucket)
	if records == nil {
		_ = tx.Rollback()
		return snapshot{}, fmt.Errorf("%w: it has lost its records", ErrDamaged)
	}
	return snapshot{tx: tx, records: records, rev: store.Rev(records.Sequence())}, nil
}

// release ends the transaction. Pages that only this state uses may be reused
// from then on, so nobody may be reading.
func (n snapshot) release() { _ = n.tx.Rollback() }

func (n snapshot) get(path string) (store.Record, error) {
	entry := n.records.Get([]byte(path))
	if entry == nil {
		return store.Record{}, store.ErrNotFound
	}
	return decode(path, entry, false)
}

func (n snapshot) list(prefix, after string, limit int, keysOnly bool) (page []store.Record, err error) {
	c := n.records.Cursor()
	key, entry := c.Seek([]byte(max(prefix, after)))
	if key != nil && string(key) == after {
		key, entry = c.Next()
	}
	for ; key != nil && len(page) < limit && bytes.HasPrefix(key, []byte(prefix)); key, entry = c.Next() {
		rec, err := decode(string(key), entry, keysOnly)
		if err != nil {
			return nil, err
		}
		page = append(page, rec)
	}
	return page, nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, path string) (rec store.Record, err error) {
	err = s.read(ctx, func(now snapshot) error {
		rec, err = now.get(path)
		return err
	})
	return rec, err
}

// List implements store.Store. A large page holds up commits while it is
// gathered: about 0.2 ms for a thousand records.
func (s *Store) List(ctx context.Context, prefix, after string, limit int, keysOnly bool) (page []store.Record, err error) {
	if limit <= 0 {
		return nil, pageOf(limit)
	}
	err = s.read(ctx, func(now snapshot) error {
		page, err = now.list(prefix, after, limit, keysOnly)
		return err
	})
	return page, err
}

func pageOf(limit int) error { return fmt.Errorf("%w: a page of %d records", store.ErrInvalid, limit) }

// Rev implements store.Store.
func (s *Store) Rev(ctx context.Context) (rev store.Rev, err error) {
	err = s.read(ctx, func(now snapshot) error {
		rev = now.rev
		return nil
	})
	return rev, err
}

// read calls fn with the snapshot, which is valid until fn returns: so are all
// bytes that bbolt hands out, since they are the mapped file itself.
func (s *Store) read(ctx context.Context, fn func(snapshot) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return store.ErrClosed
	}
	return guard(s.path, func() error { return fn(s.seen) })
}

// guard turns a panic or a memory fault under fn into ErrDamaged. bbolt follows
// offsets that it finds in the file without looking; in a damaged file they
// lead outside the mapping, or to pages of the wrong kind, and the one bad
// record must not take the process along.
func guard(path string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = damage(path, "%v", cause)
		}
	}()
	return fn()
}

// damage says that the file at path is not what a store writes, and what to do.
func damage(path, format string, args ...any) error {
	return fmt.Errorf("%s: %w (%s): restore it from a backup", path, ErrDamaged, fmt.Sprintf(format, args...))
}

// An entry is what bbolt keeps under a path: the revision, big-endian, and the
// value.
const revSize = 8

func encode(rev store.Rev, value []byte) []byte {
	entry := make([]byte, 0, revSize+len(value))
	entry = binary.BigEndian.AppendUint64(entry, uint64(rev))
	return append(entry, value...)
}

// decode copies the record out of an entry.
func decode(path string, entry []byte, keysOnly bool) (store.Record, error) {
	rev, err := revOf(entry)
	if err != nil {
		return store.Record{}, fmt.Errorf("%w: at %q", err, path)
	}
	rec := store.Record{Path: path, Rev: rev}
	if !keysOnly {
		rec.Value = bytes.Clone(entry[revSize:])
	}
	return rec, nil
}

// revOf is the revision of an entry; zero for nil, which is no record.
func revOf(entry []byte) (store.Rev, error) {
	if entry == nil {
		return 0, nil
	}
	if len(entry) <= revSize || len(entry) > revSize+store.MaxValue {
		return 0, fmt.Errorf("%w: a record of %d bytes", ErrDamaged, len(entry))
	}
	return store.Rev(binary.BigEndian.Uint64(entry)), nil
}
