package rekey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"trent/internal/identity"
	"trent/internal/seal"
	"trent/internal/store"
)

// page is how many records are sealed again in one commit; few, so that it is short.
const page = 16

// Who uses keys meanwhile should not notice: after work that took stint, and after each commit, it rests for rest
// times as long as that took.
const (
	rest  = 4
	stint = 60 * time.Microsecond
)

// stragglers is how long after the switch a request that had begun before it may still write what it
// sealed under an old key.
const stragglers = time.Minute

// work is one go at a rekeying.
type work struct {
	*Job
	id        uint32 // of the new keys
	container store.Record
	state     stateRecord
}

func (w *work) run(ctx context.Context, switched bool) (retired bool, err error) {
	if !switched {
		if err := w.prepare(ctx); err != nil {
			return false, fmt.Errorf("rekey: bring the new keys to all nodes: %w", err)
		}
	}
	if w.state.Resealed == 0 {
		if err := w.reseal(ctx); err != nil {
			return false, fmt.Errorf("rekey: seal again: %w", err)
		}
	}
	if w.state.Retire > w.Now().UnixMilli() {
		return false, nil
	}
	if err := w.retire(ctx); err != nil {
		return false, fmt.Errorf("rekey: drop the old keys: %w", err)
	}
	return true, nil
}

// prepare lets every node have the new keys before one of them seals with them.
func (w *work) prepare(ctx context.Context) error {
	if err := w.eachAccount(ctx, func(a *identity.Account) (identity.Change, bool) {
		return identity.AddAccountKey(a.ID, w.id), !slices.Contains(a.KeyIDs(), w.id)
	}); err != nil {
		return err
	}
	if err := w.wait(ctx, 2*w.Settle); err != nil {
		return err
	}
	switched, err := seal.SwitchKey(w.container.Value)
	if err != nil {
		return err
	}
	w.state.Switched = w.Now().UnixMilli()
	return w.replace(ctx, switched)
}

// reseal makes the new keys the ones that seal, and goes through the store until nothing is
// sealed under others.
func (w *work) reseal(ctx context.Context) error {
	if err := w.eachAccount(ctx, func(a *identity.Account) (identity.Change, bool) {
		return identity.SwitchAccountKey(a.ID, w.id), a.KeyIDs()[0] != w.id && slices.Contains(a.KeyIDs(), w.id)
	}); err != nil {
		return err
	}
	if err := w.clean(ctx); err != nil {
		return err
	}
	settled, err := seal.SettleKeys(w.container.Value)
	if err != nil {
		return err
	}
	now := w.Now()
	w.state.Resealed = now.UnixMilli()
	if w.state.Retire == 0 {
		w.state.Retire = now.Add(Grace).UnixMilli()
	}
	w.Log.Info("everything is sealed under the new root key", "the old one is dropped", time.UnixMilli(w.state.Retire).UTC().Format(time.RFC3339))
	return w.replace(ctx, settled)
}

// retire drops the old keys, once it has seen that nothing needs them.
func (w *work) retire(ctx context.Context) error {
	since := max(0, w.Now().Sub(time.UnixMilli(w.state.Switched))) // the clock may have been set back
	if err := w.wait(ctx, w.Settle+stragglers-since); err != nil {
		return err
	}
	if err := w.clean(ctx); err != nil {
		return err
	}
	if err := w.MayDrop(time.UnixMilli(w.state.Switched)); err != nil {
		return err
	}
	if err := w.eachAccount(ctx, func(a *identity.Account) (identity.Change, bool) {
		return identity.DropAccountKeys(a.ID), len(a.KeyIDs()) > 1
	}); err != nil {
		return err
	}
	narrow, err := seal.DropKeys(w.container.Value)
	if err != nil {
		return err
	}
	_, err = w.Store.Commit(ctx, store.Batch{
		If:     []store.Condition{{Path: w.RootKeys, Rev: w.container.Rev}, {Path: StatePath, Rev: w.state.Rev}},
		Put:    []store.Put{{Path: w.RootKeys, Value: narrow}},
		Delete: []string{StatePath},
	})
	if err != nil {
		return err
	}
	w.Log.Info("the old root key is gone, and the old keys of the accounts")
	return w.Sealer.Follow(narrow)
}

// replace commits a newer container with the state, and goes on with it.
func (w *work) replace(ctx context.Context, value []byte) error {
	if err := w.commit(ctx, w.container, value, w.state); err != nil {
		return err
	}
	if err := w.Sealer.Follow(value); err != nil {
		return err
	}
	var err error
	w.container, w.state, err = w.read(ctx)
	return err
}

// eachAccount changes each account that has keys and needs it.
func (w *work) eachAccount(ctx context.Context, change func(*identity.Account) (c identity.Change, needed bool)) error {
	for _, a := range w.Users.View().Accounts() {
		if err := w.account(ctx, a.ID, func(a *identity.Account) (c identity.Change, needed bool) {
			if a.IsShredded() {
				return c, false
			}
			return change(a)
		}); err != nil {
			return err
		}
	}
	return nil
}

// account changes one account if it needs it. Whoever else changes it meanwhile goes first.
func (w *work) account(ctx context.Context, id string, change func(*identity.Account) (c identity.Change, needed bool)) error {
	for {
		v := w.Users.View()
		c, needed := change(v.Account(id))
		if !needed {
			return nil
		}
		if err := w.Users.Commit(ctx, v, []identity.Change{c}, nil); !errors.Is(err, identity.ErrLostRace) {
			return err
		}
	}
}

// clean goes through the store until a pass finds nothing to do.
func (w *work) clean(ctx context.Context) error {
	var err error
	if w.state.Total, err = w.count(ctx); err != nil {
		return err
	}
	for {
		again, err := w.pass(ctx)
		if err != nil || !again {
			return err
		}
	}
}

func (w *work) count(ctx context.Context) (n uint64, err error) {
	const many = 1000
	for after := ""; ; {
		recs, err := w.Store.List(ctx, "", after, many, true)
		if err != nil || len(recs) == 0 {
			return n, err
		}
		n, after = n+uint64(len(recs)), recs[len(recs)-1].Path
	}
}

// pass seals what is not sealed under the current keys, and reports whether there was any.
func (w *work) pass(ctx context.Context) (found bool, err error) {
	w.state.Done = 0
	for after := ""; ; {
		recs, err := w.Store.List(ctx, "", after, page, false)
		if err != nil || len(recs) == 0 {
			return found, err
		}
		after = recs[len(recs)-1].Path
		did, err := w.again(ctx, recs)
		if err != nil {
			return found, err
		}
		found = found || did
		w.state.Done += uint64(len(recs))
		w.state.Total = max(w.state.Total, w.state.Done)
		if err := w.beat(ctx); err != nil {
			return found, err
		}
	}
}

// beat tells the other nodes that this one is at it, and people how far it has come.
func (w *work) beat(ctx context.Context) error {
	if now := w.Now(); now.Sub(time.UnixMilli(w.state.Beat)) >= beat {
		w.state.Beat = now.UnixMilli()
		return w.keep(ctx, &w.state)
	}
	return ctx.Err()
}

// again seals records again, each unless it has changed meanwhile.
func (w *work) again(ctx context.Context, recs []store.Record) (did bool, err error) {
	var b store.Batch
	began := time.Now() // of work: always the true clock
	for _, rec := range recs {
		if id, isAccount := identity.AccountOf(rec.Path); isAccount {
			if !w.Sealer.IsCurrent(rec.Value) {
				did = true
				err = w.rewrite(ctx, id)
			}
		} else if value, errOf := w.value(rec); errOf != nil {
			err = errOf
		} else if value != nil {
			b.If = append(b.If, store.Condition{Path: rec.Path, Rev: rec.Rev})
			b.Put = append(b.Put, store.Put{Path: rec.Path, Value: value})
		}
		if took := time.Since(began); err == nil && took > stint && len(b.Put) > 0 {
			err = w.wait(ctx, rest*took)
			began = time.Now()
		}
		if err != nil {
			return did, err
		}
	}
	if len(b.Put) == 0 {
		return did, nil
	}
	began = time.Now()
	if err := w.write(ctx, b); err != nil {
		return true, err
	}
	return true, w.wait(ctx, rest*time.Since(began))
}

// value is what a record is to be; nil: as it is. So is what a shredded account has left.
func (w *work) value(rec store.Record) ([]byte, error) {
	value, err := w.sealedAgain(rec)
	if errors.Is(err, seal.ErrShredded) {
		return nil, nil
	}
	return value, err
}

func (w *work) sealedAgain(rec store.Record) ([]byte, error) {
	if strings.HasPrefix(rec.Path, StatePath) {
		return nil, nil // every beat writes it
	}
	if value, ours, err := w.Users.Reseal(rec); ours || err != nil {
		return value, err
	}
	if value, ours, err := w.Ring.Reseal(rec, w.Users.AccountSealer); ours || err != nil {
		return value, err
	}
	value, _, err := w.Own(rec)
	return value, err
}

// rewrite lets the record of an account be written as it is.
func (w *work) rewrite(ctx context.Context, id string) error {
	return w.account(ctx, id, func(a *identity.Account) (identity.Change, bool) {
		return identity.RewriteAccount(id), a.Exists()
	})
}

// write commits the records together or, if one of them has changed, one by one.
func (w *work) write(ctx context.Context, b store.Batch) error {
	rev, err := w.Store.Commit(ctx, b)
	if _, lost := errors.AsType[*store.Conflict](err); lost && len(b.Put) > 1 {
		for i := range b.Put {
			if err := w.write(ctx, store.Batch{If: b.If[i : i+1], Put: b.Put[i : i+1]}); err != nil {
				return err
			}
		}
		return nil
	} else if lost {
		return nil // the next pass looks at what it is now
	}
	if err != nil {
		return err
	}
	events := make([]store.Event, len(b.Put))
	for i, p := range b.Put {
		events[i] = store.Event{Path: p.Path, Value: p.Value, Rev: rev}
		w.Wrote(p.Path, rev)
	}
	return w.Ring.Forget(ctx, events)
}

func (w *work) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
