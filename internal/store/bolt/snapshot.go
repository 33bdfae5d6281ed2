package bolt

import (
	"context"

	"trent/internal/store"
)

// A held snapshot is one of a reader's own, in a transaction of its own. It is in
// Store.held until it is closed.
type held struct {
	store *Store
	snapshot
}

// Snapshot implements store.Snapshotter. It waits for the commit that is under way: in
// between, bbolt shows what is not durable yet. While it is open, no page that it shows
// is used anew, and the file grows by what is changed.
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	if err := s.refusal(ctx); err != nil {
		return nil, err
	}
	select {
	case s.lead <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.closing:
		return nil, store.ErrClosed
	}
	defer func() { <-s.lead }()
	if s.broken {
		return nil, store.ErrReadOnly // what bbolt would show may never have been durable
	}
	h := &held{store: s}
	err := guard(s.path, func() (err error) {
		h.snapshot, err = takeSnapshot(s.db)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[h] = struct{}{}
	return h, nil
}

// Rev implements store.Snapshot.
func (h *held) Rev() store.Rev { return h.rev }

// Get implements store.Snapshot.
func (h *held) Get(ctx context.Context, path string) (rec store.Record, err error) {
	err = h.read(ctx, func() error {
		rec, err = h.get(path)
		return err
	})
	return rec, err
}

// List implements store.Snapshot.
func (h *held) List(ctx context.Context, prefix, after string, limit int, keysOnly bool) (page []store.Record, err error) {
	if limit <= 0 {
		return nil, pageOf(limit)
	}
	err = h.read(ctx, func() error {
		page, err = h.list(prefix, after, limit, keysOnly)
		return err
	})
	return page, err
}

func (h *held) read(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.store.mu.RLock()
	defer h.store.mu.RUnlock()
	if _, open := h.store.held[h]; !open {
		return store.ErrClosed
	}
	return guard(h.store.path, fn)
}

// Close implements store.Snapshot.
func (h *held) Close() error {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if _, open := h.store.held[h]; !open {
		return store.ErrClosed
	}
	delete(h.store.held, h)
	h.release()
	return nil
}
