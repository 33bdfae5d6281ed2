// Package rekey gives a store new root keys while it serves, and each account a new key of
// its own: what was sealed under the old ones is sealed again, and then the old ones are dropped, so that
// nobody who has them can read anything that is written from now on. Ciphertexts of users rest on
// none of these keys and stay as they are.
//
// The steps stand in the store (the container of root keys, the records of accounts, and a
// State), and each can be done again. So a Job that was cut off anywhere goes on from there, on this node
// or on another. docs/decisions/0023-rekey.md has the order, and why.
package rekey

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"trent/internal/identity"
	"trent/internal/keyring"
	"trent/internal/record"
	"trent/internal/root"
	"trent/internal/seal"
	"trent/internal/store"
)

// StatePath is where the State lies while a rekeying is under way.
const StatePath = "sys/rekey"

const stateVersion = 1

// Grace is how long the old keys stay when everything has been sealed again: as long as what
// clients may hold that was made with them, sessions of 36 hours.
const Grace = 36 * time.Hour

const (
	beat  = 15 * time.Second // how often a Job that works says so
	taken = time.Minute      // how long after that another node leaves it alone
)

// A State is how far a rekeying has come. Times are Unix milliseconds; zero: not yet.
type State struct {
	Started  int64  `cbor:"1,keyasint"`
	Switched int64  `cbor:"2,keyasint,omitempty"` // since then nothing is sealed under the old keys
	Resealed int64  `cbor:"3,keyasint,omitempty"` // everything is sealed under the new ones
	Retire   int64  `cbor:"4,keyasint,omitempty"` // when the old ones are dropped
	Beat     int64  `cbor:"5,keyasint"`           // when the node that works on it last said so
	Done     uint64 `cbor:"6,keyasint,omitempty"` // records looked at in this pass
	Total    uint64 `cbor:"7,keyasint,omitempty"` // records in the store when it began
}

// Options of a Job.
type Options struct {
	Store    store.Store
	Sealer   *seal.Sealer
	Users    *identity.Directory
	Ring     *keyring.Ring
	RootKeys string // path of the container
	// Own reseals the records that are neither identities nor the ring's; ours is false for
	// those that are not sealed.
	Own func(rec store.Record) (value []byte, ours bool, err error)
	// Wrote is told of each record that was sealed again.
	Wrote func(path string, rev store.Rev)
	// Settle is how long other nodes may take to learn of what is in the store; zero: there are none.
	Settle time.Duration
	// MayDrop says why the old keys, under which nothing is sealed since a time, cannot go yet,
	// or returns nil.
	MayDrop func(since time.Time) error
	Log     *slog.Logger
	Now     func() time.Time
}

// A Job does it. It may be used by many goroutines.
type Job struct {
	Options
	working sync.Mutex // held while this node works
}

// New makes a Job.
func New(o Options) *Job { return &Job{Options: o} }

// ErrUnderWay says that a rekeying has begun and has not ended.
var ErrUnderWay = errors.New("rekey: new root keys are being brought in already")

// Start adds a root key, wrapped by the roots of trust at hand. These must be all of the store's
// but for those that are given up, by name. The rest is Work's.
func (j *Job) Start(ctx context.Context, roots []root.Root, givenUp []string, hurry bool) error {
	container, state, err := j.read(ctx)
	if err != nil {
		return err
	}
	how, err := seal.RekeyingOf(container.Value)
	if err != nil {
		return err
	}
	if how.Keys > 1 {
		if !hurry {
			return ErrUnderWay
		}
		return j.hurry(ctx, state)
	}
	wider, err := j.Sealer.AddKey(ctx, container.Value, roots, givenUp)
	if err != nil {
		return err
	}
	now := j.Now().UnixMilli()
	began := State{Started: now}
	if hurry {
		began.Retire = now
	}
	if err := j.commit(ctx, container, wider, stateRecord{Rev: state.Rev, State: began}); err != nil {
		return err
	}
	j.Log.Info("a new root key was made, and what is sealed will be sealed under it")
	return j.Sealer.Follow(wider)
}

// hurry lets the old keys be dropped as soon as they can be.
func (j *Job) hurry(ctx context.Context, s stateRecord) error {
	s.Retire = j.Now().UnixMilli()
	return j.keep(ctx, &s)
}

// Progress is how far it has come; false: nothing is under way.
func (j *Job) Progress(ctx context.Context) (State, bool, error) {
	container, state, err := j.read(ctx)
	if err != nil {
		return State{}, false, err
	}
	how, err := seal.RekeyingOf(container.Value)
	return state.State, how.Keys > 1, err
}

// Work does what there is to do, unless another node is at it. It returns when nothing is left to do
// now: when all is done, or the old keys have their grace.
func (j *Job) Work(ctx context.Context) (retired bool, err error) {
	if !j.working.TryLock() {
		return false, nil
	}
	defer j.working.Unlock()
	container, state, err := j.read(ctx)
	if err != nil {
		return false, err
	}
	how, err := seal.RekeyingOf(container.Value)
	if err != nil || how.Keys == 1 {
		return false, err
	}
	if err := j.Sealer.Follow(container.Value); err != nil {
		return false, err
	}
	w := &work{Job: j, id: how.Newest, state: state, container: container}
	return w.run(ctx, how.Current == how.Newest)
}

// IsTaken reports whether some node has worked on it just now, by the state in the store.
func (s State) IsTaken(now time.Time) bool { return now.Sub(time.UnixMilli(s.Beat)) < taken }

// stateRecord is a State as it stands in the store; Rev zero: it does not.
type stateRecord struct {
	State
	Rev store.Rev
}

func (j *Job) read(ctx context.Context) (container store.Record, state stateRecord, err error) {
	if container, err = j.Store.Get(ctx, j.RootKeys); err != nil {
		return container, state, err
	}
	rec, err := j.Store.Get(ctx, StatePath)
	if errors.Is(err, store.ErrNotFound) {
		return container, state, nil
	}
	if err != nil {
		return container, state, err
	}
	content, err := j.Sealer.Open(StatePath, rec.Value)
	if err == nil {
		err = record.Decode(stateVersion, content, &state.State)
	}
	if err != nil {
		return container, state, fmt.Errorf("%s: %w", StatePath, err)
	}
	state.Rev = rec.Rev
	return container, state, nil
}

func (j *Job) encode(s State) (store.Put, error) {
	content, err := record.Encode(stateVersion, s)
	if err != nil {
		return store.Put{}, err
	}
	sealed, err := j.Sealer.Seal(StatePath, content)
	return store.Put{Path: StatePath, Value: sealed}, err
}

// keep writes the state, if it is as it was read.
func (j *Job) keep(ctx context.Context, s *stateRecord) error {
	put, err := j.encode(s.State)
	if err != nil {
		return err
	}
	s.Rev, err = j.Store.Commit(ctx, store.Batch{If: []store.Condition{{Path: StatePath, Rev: s.Rev}}, Put: []store.Put{put}})
	return err
}

// commit replaces the container, and the state with it.
func (j *Job) commit(ctx context.Context, container store.Record, value []byte, s stateRecord) error {
	put, err := j.encode(s.State)
	if err != nil {
		return err
	}
	_, err = j.Store.Commit(ctx, store.Batch{
		If:  []store.Condition{{Path: j.RootKeys, Rev: container.Rev}, {Path: StatePath, Rev: s.Rev}},
		Put: []store.Put{{Path: j.RootKeys, Value: value}, put},
	})
	return err
}
