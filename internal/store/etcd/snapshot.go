package etcd

import (
	"context"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"

	"trent/internal/store"
)

// A snapshot reads at one revision, which etcd keeps until it is compacted.
type snapshot struct {
	store  *Store
	rev    store.Rev
	closed atomic.Bool
}

// Snapshot implements store.Snapshotter. It costs the cluster nothing to keep it open,
// and it is gone when the cluster is compacted.
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	rev, err := s.Rev(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{store: s, rev: rev}, nil
}

// Rev implements store.Snapshot.
func (n *snapshot) Rev() store.Rev { return n.rev }

// Get implements store.Snapshot.
func (n *snapshot) Get(ctx context.Context, path string) (store.Record, error) {
	if n.closed.Load() {
		return store.Record{}, store.ErrClosed
	}
	return n.store.get(ctx, path, clientv3.WithRev(int64(n.rev)))
}

// List implements store.Snapshot.
func (n *snapshot) List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]store.Record, error) {
	if n.closed.Load() {
		return nil, store.ErrClosed
	}
	return n.store.list(ctx, prefix, after, limit, keysOnly, clientv3.WithRev(int64(n.rev)))
}

// Close implements store.Snapshot.
func (n *snapshot) Close() error {
	if n.closed.Swap(true) {
		return store.ErrClosed
	}
	return nil
}
