// Package follow keeps what a node has cached true while other nodes write to the
// same store, and knows for how long it may be believed.
//
// A watch on the store tells of every change, and what it tells of is forgotten.
// That alone proves nothing: a watch that is cut off is silent, as is one on a store
// in which nothing happens. So several times within the bound the follower asks
// the store for its revision, noting the time before it asks. Once the watch has
// come as far as the answer, all that was acknowledged before that time is known
// here; and so the caches are good until that time and the bound. No other clock than
// this node's is believed, and no member of the store's cluster that is cut off from
// the others.
package follow

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/store"
)

// DefaultBound is how far the caches may be behind unless Options say otherwise.
const DefaultBound = 2 * time.Second

// probes is how many times within the bound the store is asked.
const probes = 8

// maxPending bounds the answers that the watch has not reached yet.
const maxPending = 64

// Store is a store that others write to.
type Store interface {
	store.Store
	store.Shared
}

// A Cache holds what it has read from the store. Both methods return when no answer
// rests on what they were told is gone; an error says that it may.
type Cache interface {
	// Forget drops what is known of records that have changed.
	Forget(ctx context.Context, changed []store.Event) error
	// ForgetAll drops everything.
	ForgetAll(ctx context.Context) error
}

// Options of a Follower.
type Options struct {
	Bound  time.Duration        // zero: DefaultBound
	Clock  func() time.Duration // since any moment; nil: SinceBoot
	Log    *slog.Logger
	Caches []Cache
}

// SinceBoot is the time since the machine was started, counted also while it
// sleeps (CLOCK_BOOTTIME), so that a node that was suspended knows.
func SinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 1<<63 - 1 // then nothing is fresh
	}
	return time.Duration(ts.Nano())
}

// A Follower follows one store.
type Follower struct {
	store Store
	Options
	until atomic.Int64 // the time, by Clock, until which the caches are good
	probe chan struct{}

	mu       sync.Mutex
	extended chan struct{} // closed when until has grown
}

// New makes a follower. The caches are not good before Run has begun.
func New(st Store, o Options) *Follower {
	if o.Bound == 0 {
		o.Bound = DefaultBound
	}
	if o.Clock == nil {
		o.Clock = SinceBoot
	}
	return &Follower{store: st, Options: o, probe: make(chan struct{}, 1), extended: make(chan struct{})}
}

// Fresh returns nil when the caches show all that was acknowledged up to the
// bound ago. If they do not, it waits at most as long as the bound for them to
// catch up, and then refuses with KeyUnavailableException.
func (f *Follower) Fresh(ctx context.Context) error {
	if f.fresh() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.Bound)
	defer cancel()
	for {
		extended := f.whenExtended()
		if f.fresh() {
			return nil
		}
		select {
		case f.probe <- struct{}{}:
		default: // one is asked for already
		}
		select {
		case <-extended:
		case <-ctx.Done():
			return fault.New(api.KeyUnavailableException, "The key is not available at the moment.").
				Because(errors.New("follow: this node has not heard from the store for longer than it may answer without"))
		}
	}
}

func (f *Follower) fresh() bool { return int64(f.Clock()) < f.until.Load() }

func (f *Follower) whenExtended() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.extended
}

// extend makes the caches good until the bound after at.
func (f *Follower) extend(at time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if until := int64(at + f.Bound); until > f.until.Load() {
		f.until.Store(until)
		close(f.extended)
		f.extended = make(chan struct{})
	}
}

// Run follows the store until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		f.Log.Warn("the watch on the store is opened anew", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(f.Bound / probes):
		}
	}
}

var errLostTrack = errors.New("it has lost track")

// follow forgets everything and then follows one watch to its end.
func (f *Follower) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opening := time.AfterFunc(2*f.Bound, cancel) // a member that is cut off would keep it waiting
	told, err := f.store.Rev(ctx)
	if err != nil {
		return err
	}
	events, err := f.store.Watch(ctx, told)
	if err != nil {
		return err
	}
	if !opening.Stop() {
		return errors.New("it could not be opened in time")
	}
	for _, c := range f.Caches {
		if err := c.ForgetAll(ctx); err != nil {
			return err
		}
	}
	return f.keep(ctx, told, events)
}

// A proof says that all that was acknowledged before a time is at most of a
// revision.
type proof struct {
	at  time.Duration
	rev store.Rev
}

// keep forgets what is told of and extends the time for which the rest is good.
func (f *Follower) keep(ctx context.Context, told store.Rev, events <-chan []store.Event) error {
	proofs := make(chan proof)
	tick := time.NewTicker(f.Bound / probes)
	defer tick.Stop()
	go f.prove(ctx, proofs)
	var pending []proof
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			go f.prove(ctx, proofs)
		case <-f.probe:
			go f.prove(ctx, proofs)
		case p := <-proofs:
			if len(pending) < maxPending {
				pending = append(pending, p)
			}
		case changed, open := <-events:
			if !open {
				return errLostTrack
			}
			if err := f.forget(ctx, changed); err != nil {
				return err
			}
			told = max(told, changed[0].Rev)
		}
		pending = f.settle(pending, told)
		if len(pending) == 0 {
			continue
		}
		if f.Clock()-pending[0].at > f.Bound {
			return errors.New("it is silent")
		}
		go func() { _ = f.store.Progress(ctx) }() // if it fails, the proofs stay pending
	}
}

// prove asks the store once.
func (f *Follower) prove(ctx context.Context, proofs chan<- proof) {
	ctx, cancel := context.WithTimeout(ctx, f.Bound)
	defer cancel()
	at := f.Clock()
	rev, err := f.store.Rev(ctx)
	if err != nil {
		return
	}
	select {
	case proofs <- proof{at, rev}:
	case <-ctx.Done():
	}
}

// settle takes the proofs that the watch has reached and returns the others.
func (f *Follower) settle(pending []proof, told store.Rev) (left []proof) {
	for _, p := range pending {
		if p.rev <= told {
			f.extend(p.at)
		} else {
			left = append(left, p)
		}
	}
	return left
}

func (f *Follower) forget(ctx context.Context, changed []store.Event) error {
	if changed[0].Path == "" {
		return nil // a notice of progress alone
	}
	for _, c := range f.Caches {
		if err := c.Forget(ctx, changed); err != nil {
			return err
		}
	}
	return nil
}
