package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"trent/internal/record"
	"trent/internal/store"
)

// ownOperations is what an entry and the head add to a batch: a condition and two puts.
const ownOperations = 3

// maxEntry bounds the paths and digests of an entry, in bytes.
const maxEntry = store.MaxValue / 2

// headTries is how often a batch is tried again since another node has moved the head.
const headTries = 64

// pending is what a caller waits for: a batch, or a job that wants to be alone.
type pending struct {
	batch store.Batch
	job   func(context.Context) error // nil: it is a batch
	turn  chan struct{}               // receives when the caller is to lead
	done  chan struct{}               // closed when rev and err are there
	rev   store.Rev
	err   error
}

// Commit implements store.Store. It gives up with ctx's error only while the batch waits
// for its turn. Batches that it has put together are of one revision.
func (l *Ledger) Commit(ctx context.Context, b store.Batch) (store.Rev, error) {
	if err := b.Check(); err != nil {
		return 0, err
	}
	logged := false
	for _, p := range b.Put {
		if isOwn(p.Path) {
			return 0, fmt.Errorf("%w: %s is of the ledger", store.ErrInvalid, p.Path)
		}
		logged = logged || !l.o.isPassing(p.Path)
	}
	for _, path := range b.Delete {
		if isOwn(path) {
			return 0, fmt.Errorf("%w: %s is of the ledger", store.ErrInvalid, path)
		}
		logged = logged || !l.o.isPassing(path)
	}
	if !logged {
		return l.inner.Commit(ctx, b)
	}
	p := &pending{batch: b}
	if err := l.submit(ctx, p); err != nil {
		return 0, err
	}
	return p.rev, p.err
}

// alone runs a job as the leader.
func (l *Ledger) alone(ctx context.Context, job func(context.Context) error) error {
	p := &pending{job: job}
	if err := l.submit(ctx, p); err != nil {
		return err
	}
	return p.err
}

// submit returns when p has its answer, or with an error if nothing was begun.
func (l *Ledger) submit(ctx context.Context, p *pending) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return store.ErrClosed
	}
	if !l.led {
		l.led = true
		l.mu.Unlock()
		l.lead(ctx, p)
		return nil
	}
	p.turn, p.done = make(chan struct{}, 1), make(chan struct{})
	l.queue = append(l.queue, p)
	l.mu.Unlock()
	lead, err := l.wait(ctx, p)
	if lead {
		l.lead(ctx, p)
	}
	return err
}

// wait reports whether p has its turn to lead; else it has its answer, or was given up.
func (l *Ledger) wait(ctx context.Context, p *pending) (lead bool, err error) {
	select {
	case <-p.done:
		return false, nil
	case <-p.turn:
		return true, nil
	case <-ctx.Done():
		if l.withdraw(p) {
			return false, ctx.Err()
		}
	}
	select {
	case <-p.done:
		return false, nil
	case <-p.turn:
		return true, nil
	}
}

// withdraw takes p out of the queue, unless a leader has taken it.
func (l *Ledger) withdraw(p *pending) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.queue, p)
	if i >= 0 {
		l.queue = slices.Delete(l.queue, i, i+1)
	}
	return i >= 0
}

// lead answers p and what waits and fits beside it. The batches of others must not fail
// because the leader's caller gives up, so ctx's end does not count any more.
func (l *Ledger) lead(ctx context.Context, p *pending) {
	ctx = context.WithoutCancel(ctx)
	var others []*pending
	if p.job != nil {
		p.err = p.job(ctx)
	} else {
		others = l.gather(p)
		l.commitAll(ctx, append([]*pending{p}, others...))
	}
	l.pass()
	for _, o := range others {
		close(o.done)
	}
}

// pass makes who has waited longest the leader.
func (l *Ledger) pass() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.led = false
		return
	}
	next := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	next.turn <- struct{}{}
}

// gather takes from the queue what can be committed with own in any order: whose paths
// nothing before it writes. The rest keeps its place.
func (l *Ledger) gather(own *pending) (taken []*pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	g := grouping{l: l, written: make(map[string]struct{})}
	g.add(own.batch)
	kept := l.queue[:0]
	for i, p := range l.queue {
		if p.job != nil {
			kept = append(kept, l.queue[i:]...)
			break
		}
		if g.meets(p.batch) || !g.fits(p.batch) {
			kept = append(kept, p)
			continue
		}
		g.add(p.batch)
		taken = append(taken, p)
	}
	clear(l.queue[len(kept):])
	l.queue = kept
	return taken
}

// grouping is what a batch of several has so far.
type grouping struct {
	l          *Ledger
	written    map[string]struct{}
	operations int
	bytes      int
	entry      int
}

// meets reports whether a batch reads or writes what is written already.
func (g *grouping) meets(b store.Batch) bool {
	is := func(path string) bool { _, there := g.written[path]; return there }
	return slices.ContainsFunc(b.If, func(c store.Condition) bool { return is(c.Path) }) ||
		slices.ContainsFunc(b.Put, func(p store.Put) bool { return is(p.Path) }) ||
		slices.ContainsFunc(b.Delete, is)
}

func (g *grouping) fits(b store.Batch) bool {
	bytes, entry := g.l.sizeOf(b)
	bound := g.l.bounds
	return g.operations+b.Operations()+ownOperations <= bound.Operations && len(g.written)+b.Operations() <= maxChanges &&
		g.entry+entry <= maxEntry && g.bytes+bytes+2*(g.entry+entry)+4<<10 <= bound.Bytes
}

func (g *grouping) add(b store.Batch) {
	bytes, entry := g.l.sizeOf(b)
	g.operations += b.Operations()
	g.bytes += bytes
	g.entry += entry
	for _, p := range b.Put {
		g.written[p.Path] = struct{}{}
	}
	for _, path := range b.Delete {
		g.written[path] = struct{}{}
	}
}

// sizeOf is what a batch takes of Bounds.Bytes, and what it adds to an entry at most.
func (l *Ledger) sizeOf(b store.Batch) (bytes, entry int) {
	const perChange = sha256.Size + 8
	for _, c := range b.If {
		bytes += 2 * len(c.Path)
	}
	for _, p := range b.Put {
		bytes += len(p.Path) + len(p.Value)
		entry += len(p.Path) + perChange
	}
	for _, path := range b.Delete {
		bytes += len(path)
		entry += len(path) + perChange
	}
	return bytes + b.Operations()*l.bounds.Each, entry
}

// commitAll commits a group and answers each of it.
func (l *Ledger) commitAll(ctx context.Context, group []*pending) {
	for tries := 0; len(group) > 0; {
		err := l.commitOnce(ctx, group)
		conflict, lost := errors.AsType[*store.Conflict](err)
		switch {
		case err == nil:
			return
		case lost && conflict.Path == headPath:
			if tries++; tries == headTries {
				answer(group, errContended)
				return
			}
			pause(tries)
		case lost:
			group = refuse(group, conflict)
		case errors.Is(err, store.ErrInvalid) && len(group) > 1:
			for i := range group {
				l.commitAll(ctx, group[i:i+1])
			}
			return
		default:
			answer(group, err)
			return
		}
	}
}

var errContended = fmt.Errorf("%w: other nodes move the head of the log all the time", store.ErrUnavailable)

// pause lets nodes that want the head at the same time take turns.
func pause(tries int) {
	if tries > 2 {
		time.Sleep(rand.N(time.Duration(min(tries, 16)) * time.Millisecond))
	}
}

func answer(group []*pending, err error) {
	for _, p := range group {
		p.rev, p.err = 0, err
	}
}

// refuse answers those of a group over whose condition it failed, and returns the others.
func refuse(group []*pending, c *store.Conflict) (left []*pending) {
	for _, p := range group {
		i := slices.IndexFunc(p.batch.If, func(want store.Condition) bool { return want.Path == c.Path && want.Rev != c.Have })
		if i < 0 {
			left = append(left, p)
			continue
		}
		p.rev, p.err = 0, &store.Conflict{Path: c.Path, Want: p.batch.If[i].Rev, Have: c.Have}
	}
	if len(left) == len(group) {
		answer(group, c) // the store names a condition that nobody has
		return nil
	}
	return left
}

// commitOnce puts the batches of a group together and commits them with one entry.
func (l *Ledger) commitOnce(ctx context.Context, group []*pending) error {
	if err := l.refresh(ctx); err != nil {
		return err
	}
	var b store.Batch
	if len(group) == 1 {
		own := group[0].batch
		b = store.Batch{If: slices.Clip(own.If), Put: slices.Clip(own.Put), Delete: own.Delete}
	} else {
		for _, p := range group {
			b.If = append(b.If, p.batch.If...)
			b.Put = append(b.Put, p.batch.Put...)
			b.Delete = append(b.Delete, p.batch.Delete...)
		}
	}
	next := l.head
	if err := l.append(&b, &next, l.changesOf(b)); err != nil {
		return err
	}
	rev, err := l.advance(ctx, b, next)
	if err != nil {
		return err
	}
	for _, p := range group {
		p.rev, p.err = rev, nil
	}
	return nil
}

// refresh reads the head if it may have moved.
func (l *Ledger) refresh(ctx context.Context) error {
	if !l.stale {
		return nil
	}
	return l.reload(ctx)
}

// changesOf is what an entry has to say of a batch.
func (l *Ledger) changesOf(b store.Batch) []change {
	changes := make([]change, 0, len(b.Put)+len(b.Delete))
	for _, p := range b.Put {
		if !l.o.isPassing(p.Path) {
			sum := sha256.Sum256(p.Value)
			changes = append(changes, change{Path: []byte(p.Path), Digest: sum[:]})
		}
	}
	for _, path := range b.Delete {
		if !l.o.isPassing(path) {
			changes = append(changes, change{Path: []byte(path)})
		}
	}
	return changes
}

// append adds an entry to a batch and moves next to it.
func (l *Ledger) append(b *store.Batch, next *head, changes []change) error {
	stored, err := record.Encode(entryVersion, entry{Time: l.o.Now().UnixMilli(), Changes: changes})
	if err != nil {
		return err
	}
	next.Last++
	next.Chain = link(l.sealer.Cluster(), next.Chain, next.Last, stored)
	next.Changes += uint64(len(changes))
	b.Put = append(b.Put, store.Put{Path: entryPath(next.Last), Value: stored})
	return nil
}

// advance commits a batch that makes next the head, on condition that it is still the one
// that this ledger knows. That condition is the last one: over one of a caller's own the
// caller is refused.
func (l *Ledger) advance(ctx context.Context, b store.Batch, next head) (store.Rev, error) {
	next.Time = l.o.Now().UnixMilli()
	sealed, err := sealHead(l.sealer, next)
	if err != nil {
		return 0, err
	}
	b.If = append(b.If, store.Condition{Path: headPath, Rev: l.headRev})
	b.Put = append(b.Put, store.Put{Path: headPath, Value: sealed})
	commit := l.inner.Commit
	if l.wide != nil {
		commit = l.wide.CommitWide
	}
	rev, err := commit(ctx, b)
	if err != nil {
		l.stale = true // it may have been applied, or somebody else has moved the head
		return 0, err
	}
	l.moveTo(next, rev)
	if l.o.Moved != nil {
		l.o.Moved()
	}
	return rev, nil
}

// RaiseEpoch begins a new epoch, later than the one that is given and the present one: from
// now on, this is the history that counts.
func (l *Ledger) RaiseEpoch(ctx context.Context, above uint64) error {
	return l.alone(ctx, func(ctx context.Context) error {
		return l.whileMoved(func() error {
			if err := l.refresh(ctx); err != nil {
				return err
			}
			var b store.Batch
			next := l.head
			next.Epoch = max(next.Epoch, above) + 1
			if err := l.append(&b, &next, []change{}); err != nil {
				return err
			}
			_, err := l.advance(ctx, b, next)
			return err
		})
	})
}

// whileMoved tries an act again as long as others move the head.
func (l *Ledger) whileMoved(act func() error) error {
	for tries := 1; tries < headTries; tries++ {
		err := act()
		if conflict, lost := errors.AsType[*store.Conflict](err); !lost || conflict.Path != headPath {
			return err
		}
		pause(tries)
	}
	return errContended
}
