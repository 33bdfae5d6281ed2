package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"

	"trent/internal/seal"
	"trent/internal/store"
)

// A Backup is one that can be read. It is a store.Snapshot, so what checks a store checks a backup
// as well. It is read from its beginning again whenever a path is asked for that has gone by, and
// takes a few MiB of memory.
type Backup struct {
	Header
	Sealer *seal.Sealer

	from   io.ReadSeeker
	cipher *subtle.AESCTRHMAC
	raw    []byte // the header

	mu      sync.Mutex
	records *records // nil: not begun
}

// Open opens a backup with the root keys that unlock gets out of the container. That the stream is
// whole shows when it has been read to its end.
func Open(from io.ReadSeeker, unlock func(container []byte) (*seal.Sealer, error)) (*Backup, error) {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read the backup: %w", err)
	}
	h, raw, err := ReadHeader(from)
	if err != nil {
		return nil, err
	}
	s, err := unlock(h.RootKeys)
	if err != nil {
		return nil, err
	}
	if s.Cluster() != h.Cluster {
		return nil, ErrDamaged
	}
	c, err := h.cipher(s)
	if err != nil {
		return nil, err
	}
	return &Backup{Header: h, Sealer: s, from: from, cipher: c, raw: raw}, nil
}

// Rev implements store.Snapshot.
func (b *Backup) Rev() store.Rev { return b.Revision }

// Close implements store.Snapshot. The file stays open.
func (b *Backup) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = nil
	return nil
}

// Get implements store.Snapshot.
func (b *Backup) Get(_ context.Context, path string) (store.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, err := b.seek(path)
	if errors.Is(err, io.EOF) || err == nil && r.Path != path {
		return store.Record{}, store.ErrNotFound
	} else if err != nil {
		return store.Record{}, err
	}
	r.Value = bytes.Clone(r.Value) // it may be asked for again
	return r, nil
}

// List implements store.Snapshot.
func (b *Backup) List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]store.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := prefix
	if after >= prefix {
		first = after + "\x00"
	}
	var found []store.Record
	r, err := b.seek(first)
	for err == nil && len(found) < limit && strings.HasPrefix(r.Path, prefix) {
		if keysOnly {
			r.Value = nil
		}
		found = append(found, r)
		b.records.take()
		if len(found) < limit {
			r, err = b.peek()
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return found, ctx.Err()
}

// seek is the first record whose path is not before a path.
func (b *Backup) seek(path string) (store.Record, error) {
	if b.records == nil || b.records.taken >= path {
		if err := b.rewind(); err != nil {
			return store.Record{}, err
		}
	}
	for {
		r, err := b.peek()
		if err != nil || r.Path >= path {
			return r, err
		}
		b.records.take()
	}
}

func (b *Backup) rewind() error {
	b.records = nil
	if _, err := b.from.Seek(int64(len(b.raw)), io.SeekStart); err != nil {
		return fmt.Errorf("read the backup: %w", err)
	}
	stream, err := b.cipher.NewDecryptingReader(b.from, b.raw)
	if err != nil {
		return damaged(err)
	}
	b.records = newRecords(stream)
	return nil
}

func (b *Backup) peek() (store.Record, error) {
	r, err := b.records.peek()
	if err != nil && !errors.Is(err, io.EOF) {
		b.records = nil
	}
	r.Rev = b.Revision
	return r, err
}
