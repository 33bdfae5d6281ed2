package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"trent/internal/anchor"
	"trent/internal/audit"
	"trent/internal/config"
	"trent/internal/httpd"
	"trent/internal/ledger"
	"trent/internal/seal"
	"trent/internal/vitals"
)

// anchors are those of the settings, and what became of them at the start.
type anchors struct {
	all    []*anchor.Anchor
	moved  []chan struct{} // one for each
	accept bool            // go on with a store that was put back
	log    *slog.Logger

	latest   uint64 // the highest epoch that one of them holds
	accepted error  // what was found, and accepted

	following sync.WaitGroup
	stop      context.CancelFunc
}

func openAnchors(o config.Serve, log *slog.Logger) (*anchors, error) {
	a := &anchors{accept: o.AcceptRollback, log: log, stop: func() {}}
	for _, text := range o.Anchors {
		one, err := anchor.Open(text)
		if err != nil {
			return nil, err
		}
		a.all = append(a.all, one)
		a.moved = append(a.moved, make(chan struct{}, 1))
	}
	return a, nil
}

// notice is called after each commit.
func (a *anchors) notice() {
	for _, c := range a.moved {
		select {
		case c <- struct{}{}:
		default: // it knows already
		}
	}
}

// check holds a store against all anchors, before anything is written to it. l is nil if
// there is no log of changes. One anchor at least must answer and agree: a store for which nobody
// vouches is not served, and one that an anchor contradicts even less.
func (a *anchors) check(ctx context.Context, l *ledger.Ledger, sealer *seal.Sealer) error {
	var wrong, silent []error
	vouching, empty := 0, 0
	for _, one := range a.all {
		p, there, err := one.Read(ctx, sealer)
		switch {
		case err != nil:
			silent = append(silent, err)
			continue
		case !there:
			empty++
			a.log.Warn("an anchor is empty, and begins with the store as it is", "anchor", one.Name())
			continue
		}
		a.latest = max(a.latest, p.Epoch)
		if err := holds(ctx, l, p); errors.Is(err, ledger.ErrRolledBack) {
			wrong = append(wrong, fmt.Errorf("by the anchor %s, %w", one.Name(), err))
		} else if err != nil {
			return err
		} else {
			vouching++
		}
	}
	found := errors.Join(append(wrong, silent...)...)
	switch {
	case len(wrong) == 0 && (len(silent) == 0 || vouching > 0):
		if found != nil {
			a.log.Warn("an anchor does not answer; another one vouches for the store", "error", found)
		}
		return nil
	case a.accept:
		a.accepted = found
		return nil
	case len(wrong) > 0:
		return fmt.Errorf("%w\nWhat was deleted, disabled or revoked since is back, and what was made since is gone. If nobody restored a backup, somebody has replaced the store: keep it for inspection. "+
			"To go on with it as it is, run trent serve --accept-rollback once: sessions and grant tokens end then", found)
	}
	return fmt.Errorf("%w\nNo anchor vouches that the store was not put back to an older state. Make one reachable; or, if they are lost for good, run trent serve --accept-rollback once", found)
}

func holds(ctx context.Context, l *ledger.Ledger, p ledger.Position) error {
	if l == nil {
		return fmt.Errorf("%w: it has been at entry %d of its log of changes, and has none", ledger.ErrRolledBack, p.Entry)
	}
	return l.Holds(ctx, p)
}

// settle begins a new epoch if a rollback was accepted.
func (a *anchors) settle(ctx context.Context, l *ledger.Ledger) error {
	if a.accepted == nil {
		return nil
	}
	if err := l.RaiseEpoch(ctx, a.latest); err != nil {
		return fmt.Errorf("begin a new epoch: %w", err)
	}
	a.log.Warn("ROLLBACK ACCEPTED: the store counts as it is, in a new epoch; sessions and grant tokens of before have ended", "epoch", l.Position().Epoch, "found", a.accepted)
	return nil
}

// follow moves the anchors on until close.
func (a *anchors) follow(l *ledger.Ledger, sealer *seal.Sealer, now func() time.Time) {
	if len(a.all) == 0 {
		a.log.Info("there is no anchor: that the whole store is put back to an older state would not be noticed")
	}
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	for i, one := range a.all {
		a.following.Go(func() { one.Follow(ctx, l, sealer, a.moved[i], a.log, now) })
	}
}

// close moves the anchors to the end.
func (a *anchors) close() {
	a.stop()
	a.following.Wait()
}

// vitals tell how the anchors are, and that there is none.
func (a *anchors) vitals(now time.Time) (all []vitals.Vital) {
	for _, one := range a.all {
		s := one.State()
		v := vitals.Vital{Kind: vitals.Anchor, Name: s.Name, Checked: now, OK: s.Err == nil && !s.Known.IsZero(), GoodAt: s.Known}
		switch {
		case s.Err != nil:
			v.Problem = s.Err.Error()
		case s.Known.IsZero():
			v.Problem = "it has not been asked yet"
		}
		all = append(all, v)
	}
	if len(a.all) == 0 {
		all = []vitals.Vital{{Kind: vitals.Anchor, Checked: now, OK: true, Problem: "there is none: that the whole store is put back to an older state would not be noticed"}}
	}
	return all
}

// sealedSince fails unless every anchor has been written since a time: what it held before is sealed
// under keys that are about to go.
func (a *anchors) sealedSince(t time.Time) error {
	for _, one := range a.all {
		if s := one.State(); !s.Known.After(t) {
			return errors.Join(fmt.Errorf("the anchor %s was not written since then, and does not open without the old root key: it waits", s.Name), s.Err)
		}
	}
	return nil
}

// writeDownRollback makes the audit record of an accepted rollback.
func (s *Server) writeDownRollback() error {
	if s.anchors.accepted == nil {
		return nil
	}
	rec := audit.Record{
		Time: s.now(), RequestID: httpd.NewRequestID(), Source: itself, Principal: itself, Account: s.set.Account,
		Operation: "AcceptRollback", Mutates: true, Status: 200, Reason: s.anchors.accepted.Error(),
	}
	return s.audit.Append(rec.Append(nil))
}
