package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"trent/internal/store"
)

// MaxBytes bounds a batch, in bytes as bytesOf counts them. etcd takes requests of
// 1.5 MiB unless it is told otherwise; some of it is left for what encloses a
// batch on its way.
//
// It also takes 128 comparisons, 128 writes and 128 reads in one transaction unless
// it is told otherwise; maxOperations bounds the sum of conditions and writes to that.
const (
	MaxBytes      = 3<<19 - 16<<10
	maxOperations = 128
)

// perOperation is more than etcd's encoding adds to the keys and the value of one
// operation, in bytes.
const perOperation = 64

// Commit implements store.Store. It is never sent twice. store.ErrUnavailable in the
// error says that nothing was changed, store.ErrOutcomeUnknown that it may have been, or may be yet.
func (s *Store) Commit(ctx context.Context, b store.Batch) (store.Rev, error) {
	if err := b.Check(); err != nil {
		return 0, err
	}
	return s.CommitWide(ctx, b)
}

// Bounds implements store.Wide.
func (s *Store) Bounds() store.Bounds {
	return store.Bounds{Operations: maxOperations, Bytes: MaxBytes, Each: 2 * (len(s.prefix) + perOperation)}
}

// CommitWide implements store.Wide.
func (s *Store) CommitWide(ctx context.Context, b store.Batch) (store.Rev, error) {
	if err := s.check(b); err != nil {
		return 0, err
	}
	within, leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	floor := s.newest.Load()
	got, err := s.transaction(within, b).Commit()
	if err != nil {
		return 0, failed(err)
	}
	if err := s.accept(got.Header, floor); err != nil {
		return 0, err
	}
	if !got.Succeeded {
		return 0, conflict(b, got)
	}
	return store.Rev(got.Header.Revision), nil
}

// check refuses what etcd would refuse.
func (s *Store) check(b store.Batch) error {
	if err := b.CheckWithin(maxOperations); err != nil {
		return err
	}
	if n := s.bytesOf(b); n > MaxBytes {
		return fmt.Errorf("%w: %d bytes, and etcd takes %d", store.ErrInvalid, n, MaxBytes)
	}
	return nil
}

// bytesOf is at least what a batch takes on its way. The path of a condition goes
// twice, once to be compared and once to be read if that fails.
func (s *Store) bytesOf(b store.Batch) (n int) {
	for _, c := range b.If {
		n += 2 * (len(s.prefix) + len(c.Path) + perOperation)
	}
	for _, p := range b.Put {
		n += len(s.prefix) + len(p.Path) + len(p.Value) + perOperation
	}
	for _, path := range b.Delete {
		n += len(s.prefix) + len(path) + perOperation
	}
	return n
}

// transaction reads, if a condition fails, the revisions that the conditions are about. That
// read also makes etcd put a batch of nothing but conditions in line with all writes.
func (s *Store) transaction(ctx context.Context, b store.Batch) clientv3.Txn {
	var conditions []clientv3.Cmp
	var writes, reads []clientv3.Op
	for _, c := range b.If {
		key := s.key(c.Path)
		conditions = append(conditions, clientv3.Compare(clientv3.ModRevision(key), "=", int64(c.Rev)))
		reads = append(reads, clientv3.OpGet(key, clientv3.WithKeysOnly()))
	}
	for _, p := range b.Put {
		writes = append(writes, clientv3.OpPut(s.key(p.Path), string(p.Value)))
	}
	for _, path := range b.Delete {
		writes = append(writes, clientv3.OpDelete(s.key(path)))
	}
	return s.client.Txn(ctx).If(conditions...).Then(writes...).Else(reads...)
}

// conflict finds the condition that did not hold.
func conflict(b store.Batch, got *clientv3.TxnResponse) error {
	if len(got.Responses) != len(b.If) {
		return fmt.Errorf("store/etcd: %d answers for %d conditions", len(got.Responses), len(b.If))
	}
	for i, c := range b.If {
		var have store.Rev
		if kvs := got.Responses[i].GetResponseRange().GetKvs(); len(kvs) > 0 {
			have = store.Rev(kvs[0].ModRevision)
		}
		if have != c.Rev {
			return &store.Conflict{Path: c.Path, Want: c.Rev, Have: have}
		}
	}
	return errors.New("store/etcd: a condition failed, and all of them hold")
}

// failed tells a refusal, which changed nothing, from a silence, of which nobody
// knows.
func failed(err error) error {
	if refusal, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		switch refusal.Code() {
		case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.ResourceExhausted, codes.FailedPrecondition:
			return fmt.Errorf("%w: etcd: %w", store.ErrUnavailable, err)
		}
	}
	return fmt.Errorf("%w: etcd: %w", store.ErrOutcomeUnknown, err)
}
