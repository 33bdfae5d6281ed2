package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"trent/internal/store"
)

// maxAnswer bounds what is taken from a member as one answer, in bytes: a page
// of 256 of the largest records.
const maxAnswer = 257 << 20

// attempts is how many members, one after the other, have a part of a read's time
// to answer: one of them may be cut off without anybody knowing yet.
const attempts = 4

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, path string) (store.Record, error) { return s.get(ctx, path) }

func (s *Store) get(ctx context.Context, path string, opts ...clientv3.OpOption) (store.Record, error) {
	got, err := s.read(ctx, s.key(path), opts...)
	if err != nil {
		return store.Record{}, err
	}
	if len(got.Kvs) == 0 {
		return store.Record{}, store.ErrNotFound
	}
	return s.record(got.Kvs[0]), nil
}

// List implements store.Store. A page is of one revision.
func (s *Store) List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]store.Record, error) {
	return s.list(ctx, prefix, after, limit, keysOnly)
}

func (s *Store) list(ctx context.Context, prefix, after string, limit int, keysOnly bool, opts ...clientv3.OpOption) ([]store.Record, error) {
	if limit <= 0 {
		return nil, fmt.Errorf("%w: a page of %d records", store.ErrInvalid, limit)
	}
	from, end := s.key(prefix), clientv3.GetPrefixRangeEnd(s.key(prefix))
	if next := s.key(after) + "\x00"; after != "" && next > from {
		from = next
	}
	if from >= end {
		return nil, ctx.Err()
	}
	opts = append(opts, clientv3.WithRange(end), clientv3.WithLimit(int64(limit)), clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
	if keysOnly {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	got, err := s.read(ctx, from, opts...)
	if err != nil {
		return nil, err
	}
	var page []store.Record
	for _, kv := range got.Kvs {
		page = append(page, s.record(kv))
	}
	return page, nil
}

// Rev implements store.Store. Whatever else is in the cluster has revisions of the
// same count.
func (s *Store) Rev(ctx context.Context) (store.Rev, error) {
	got, err := s.read(ctx, s.prefix, clientv3.WithKeysOnly())
	if err != nil {
		return 0, err
	}
	return store.Rev(got.Header.Revision), nil
}

// read asks once, and again while there is time and a member may not have heard.
func (s *Store) read(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	within, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	floor := s.newest.Load()
	var got *clientv3.GetResponse
	for range attempts {
		if got, err = s.ask(within, key, opts); err == nil {
			return got, s.accept(got.Header, floor)
		}
		if within.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			break
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, fmt.Errorf("%w: etcd: %w", store.ErrUnavailable, err)
}

func (s *Store) ask(ctx context.Context, key string, opts []clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout/attempts+time.Millisecond)
	defer cancel()
	return s.client.Get(ctx, key, opts...)
}

// accept checks that an answer is of this cluster and not older than what an answer
// had told of before the question was put.
func (s *Store) accept(h *pb.ResponseHeader, floor uint64) error {
	if h.ClusterId != s.cluster {
		return fmt.Errorf("%w: etcd: %w: %x, not %x", store.ErrUnavailable, ErrOtherCluster, h.ClusterId, s.cluster)
	}
	rev := uint64(h.Revision)
	if rev < floor {
		return fmt.Errorf("%w: etcd: %w: %d after %d", store.ErrUnavailable, ErrWentBack, rev, floor)
	}
	for {
		newest := s.newest.Load()
		if rev <= newest || s.newest.CompareAndSwap(newest, rev) {
			return nil
		}
	}
}

func (s *Store) record(kv *mvccpb.KeyValue) store.Record {
	r := store.Record{Path: s.path(kv.Key), Rev: store.Rev(kv.ModRevision)}
	if len(kv.Value) > 0 {
		r.Value = kv.Value
	}
	return r
}
