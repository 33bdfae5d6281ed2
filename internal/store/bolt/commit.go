package bolt

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"trent/internal/store"
)

// A group is closed when it has so many batches, or so many bytes of values:
// enough to make the share of one sync small, little enough to keep the first
// of the group from waiting long for the last.
const (
	groupBatches = 256
	groupBytes   = 4 << 20
)

// A pending batch is the caller's until it is sent to the queue, the
// committer's until done is closed, and then the caller's again.
type pending struct {
	batch store.Batch
	done  chan struct{}
	rev   store.Rev
	err   error
}

func (p *pending) size() (n int) {
	for _, put := range p.batch.Put {
		n += len(put.Value)
	}
	return n
}

// Commit implements store.Store. It gives up with ctx's error only while the
// batch waits for its turn, when it is certain that nothing happened; once
// taken, the result comes within the time of a sync or two and is waited for.
func (s *Store) Commit(ctx context.Context, b store.Batch) (store.Rev, error) {
	if err := b.Check(); err != nil {
		return 0, err
	}
	return s.enqueue(ctx, b)
}

// Of a wide batch: enough for what gathers behind one sync.
const (
	wideOperations = 4096
	wideBytes      = groupBytes
)

// Bounds implements store.Wide.
func (s *Store) Bounds() store.Bounds {
	return store.Bounds{Operations: wideOperations, Bytes: wideBytes, Each: revSize + elementSize}
}

// CommitWide implements store.Wide. It does not count the bytes: they bound how long
// others wait, not what can be written.
func (s *Store) CommitWide(ctx context.Context, b store.Batch) (store.Rev, error) {
	if err := b.CheckWithin(wideOperations); err != nil {
		return 0, err
	}
	return s.enqueue(ctx, b)
}

func (s *Store) enqueue(ctx context.Context, b store.Batch) (store.Rev, error) {
	if err := s.refusal(ctx); err != nil {
		return 0, err
	}
	p := &pending{batch: b, done: make(chan struct{})}
	select {
	case s.queue <- p:
		<-p.done
	case s.lead <- struct{}{}:
		s.commitGroup(s.gather(p))
		<-s.lead
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-s.closing:
		return 0, store.ErrClosed
	}
	return p.rev, p.err
}

// refusal is asked first because select would toss a coin.
func (s *Store) refusal(ctx context.Context) error {
	select {
	case <-s.closing:
		return store.ErrClosed
	default:
		return ctx.Err()
	}
}

// gather takes what waits besides the committer's own batch, and does not wait
// for more.
func (s *Store) gather(own *pending) []*pending {
	group := []*pending{own}
	for size := own.size(); len(group) < groupBatches && size < groupBytes; {
		select {
		case p := <-s.queue:
			group = append(group, p)
			size += p.size()
		default:
			return group
		}
	}
	return group
}

// commitGroup commits and acknowledges.
func (s *Store) commitGroup(group []*pending) {
	if err := s.commit(group); err != nil {
		// Conflicts too: they may have been with earlier batches of this group.
		for _, p := range group {
			p.rev, p.err = 0, err
		}
	}
	for _, p := range group {
		close(p.done)
	}
}

// commit makes the batches durable whose conditions hold, and the snapshot
// and the watchers see them. Its error is everyone's; what concerns one batch
// alone is in that batch.
func (s *Store) commit(group []*pending) error {
	if s.broken {
		return store.ErrReadOnly
	}
	changes, err := s.write(group)
	if err == nil && len(changes) > 0 {
		err = s.publish(changes)
	}
	if err != nil {
		// After a failed sync the kernel may call pages clean that never reached
		// the disk, so trying again could succeed without having happened. Other
		// failures (no space left) are rare enough to be treated alike.
		s.broken = true
		return fmt.Errorf("store/bolt: a commit failed, and the store is read-only until it is opened anew: %w", err)
	}
	return nil
}

// errNoChange makes bbolt roll back, and so saves the syncs.
var errNoChange = errors.New("nothing to write")

// write applies the group in one transaction and returns what changed, one
// slice for each batch that changed something.
func (s *Store) write(group []*pending) (changes [][]store.Event, err error) {
	s.wedged = true // unless we get past guard without a panic
	err = guard(s.path, func() error {
		err := s.db.Update(func(tx *bbolt.Tx) error {
			records := tx.Bucket(recordsBucket)
			records.FillPercent = fillPercent
			changes, err = applyAll(records, group)
			if err == nil && len(changes) == 0 {
				err = errNoChange
			}
			return err
		})
		s.wedged = false
		return err
	})
	if errors.Is(err, errNoChange) {
		return nil, nil
	}
	return changes, err
}

func applyAll(records *bbolt.Bucket, group []*pending) (changes [][]store.Event, err error) {
	for _, p := range group {
		events, err := apply(records, p)
		if err != nil {
			return nil, err
		}
		if len(events) > 0 {
			changes = append(changes, events)
		}
	}
	return changes, nil
}

// apply checks one batch against the transaction, which shows it the batches
// before it, and does it. Whether the conditions held is in p. The error is of
// bbolt and ends the transaction.
func apply(records *bbolt.Bucket, p *pending) ([]store.Event, error) {
	conflict, err := check(records, p.batch.If)
	if err != nil {
		return nil, err
	}
	if conflict != nil {
		p.err = conflict
		return nil, nil
	}
	p.rev = store.Rev(records.Sequence())
	deletes := present(records, p.batch.Delete)
	if len(p.batch.Put)+len(deletes) == 0 {
		return nil, nil
	}
	p.rev++
	if err := records.SetSequence(uint64(p.rev)); err != nil {
		return nil, err
	}
	return change(records, p.rev, p.batch.Put, deletes)
}

// check returns the first condition that does not hold, or nil.
func check(records *bbolt.Bucket, conditions []store.Condition) (*store.Conflict, error) {
	for _, c := range conditions {
		have, err := revOf(records.Get([]byte(c.Path)))
		if err != nil {
			return nil, err
		}
		if have != c.Rev {
			return &store.Conflict{Path: c.Path, Want: c.Rev, Have: have}, nil
		}
	}
	return nil, nil
}

// present leaves those paths that have a record.
func present(records *bbolt.Bucket, paths []string) (there []string) {
	for _, path := range paths {
		if records.Get([]byte(path)) != nil {
			there = append(there, path)
		}
	}
	return there
}

// change writes, and returns the events. Their values share memory with what
// bbolt was given, which it only reads, and only until the transaction ends.
func change(records *bbolt.Bucket, rev store.Rev, puts []store.Put, deletes []string) ([]store.Event, error) {
	events := make([]store.Event, 0, len(puts)+len(deletes))
	for _, put := range puts {
		entry := encode(rev, put.Value)
		if err := records.Put([]byte(put.Path), entry); err != nil {
			return nil, err
		}
		events = append(events, store.Event{Path: put.Path, Value: entry[revSize:], Rev: rev})
	}
	for _, path := range deletes {
		if err := records.Delete([]byte(path)); err != nil {
			return nil, err
		}
		events = append(events, store.Event{Path: path, Rev: rev})
	}
	return events, nil
}

// publish moves the snapshot on and tells the watchers, both under one lock:
// who reads a revision has its events behind him.
func (s *Store) publish(changes [][]store.Event) error {
	var next snapshot
	err := guard(s.path, func() (err error) {
		next, err = takeSnapshot(s.db)
		return err
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.seen
	s.seen = next
	for _, events := range changes {
		s.past.add(events)
		s.tell(events)
	}
	s.mu.Unlock()
	old.release() // no reader has it: they hold the lock as long as they use it
	return nil
}
