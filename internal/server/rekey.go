package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"trent/internal/action"
	"trent/internal/audit"
	"trent/internal/follow"
	"trent/internal/httpd"
	"trent/internal/rekey"
	"trent/internal/root"
	"trent/internal/store"
)

// rekeyEvery is how often a node looks whether there is something to do for new root keys: some
// node began and was stopped, or the grace of the old ones is over.
const rekeyEvery = 30 * time.Second

func (s *Server) newRekey() *rekey.Job {
	var settle time.Duration
	if s.follow != nil {
		settle = cmp.Or(s.config.MaxStaleness, follow.DefaultBound)
	}
	return rekey.New(rekey.Options{
		Store: s.store, Sealer: s.sealer, Users: s.users, Ring: s.ring, RootKeys: rootKeysPath,
		Own: s.reseal, Wrote: s.resealed, Settle: settle, MayDrop: s.anchors.sealedSince, Log: s.log, Now: s.now,
	})
}

// reseal is rekey.Options.Own: of the records that the server has itself.
func (s *Server) reseal(rec store.Record) (value []byte, ours bool, err error) {
	if rec.Path != settingsPath && rec.Path != markPath {
		return nil, false, nil
	}
	if s.sealer.IsCurrent(rec.Value) {
		return nil, true, nil
	}
	value, err = s.sealer.Reseal(rec.Path, rec.Value)
	return value, true, err
}

func (s *Server) resealed(path string, rev store.Rev) {
	if path == settingsPath {
		s.setLock.Lock()
		defer s.setLock.Unlock()
		s.setRev = rev
	}
}

// Rekey begins to bring in a new root key; of the roots of trust that would be needed for the old
// one, some may be given up.
func (s *Server) Rekey(ctx context.Context, giveUp []string, hurry bool) error {
	roots, missing := s.openRoots(ctx)
	if err := s.rekey.Start(ctx, roots, giveUp, hurry); err != nil {
		return errors.Join(err, missing)
	}
	s.wakeRekey()
	return nil
}

// openRoots opens the roots of trust that need no person, and says why others could not be.
func (s *Server) openRoots(ctx context.Context) (roots []root.Root, missing error) {
	for _, l := range s.roots {
		if !unattended(l) {
			missing = errors.Join(missing, fmt.Errorf("%s needs a person: give it up, and add it again with trent root add when the server is stopped", l.Kind))
			continue
		}
		r, err := openRoot(ctx, s.files, l)
		if err != nil {
			missing = errors.Join(missing, err)
			continue
		}
		roots = append(roots, r)
	}
	return roots, missing
}

// Rekeying is how far that has come.
func (s *Server) Rekeying(ctx context.Context) (action.Rekeying, error) {
	state, on, err := s.rekey.Progress(ctx)
	if err != nil || !on {
		return action.Rekeying{}, err
	}
	r := action.Rekeying{UnderWay: true, Stage: action.RekeyPreparing, Done: state.Done, Total: state.Total, Started: time.UnixMilli(state.Started)}
	switch {
	case state.Resealed != 0:
		r.Stage = action.RekeyRetiring
	case state.Switched != 0:
		r.Stage = action.RekeySealing
	}
	if state.Retire != 0 {
		r.Retires = time.UnixMilli(state.Retire)
	}
	return r, nil
}

func (s *Server) wakeRekey() {
	select {
	case s.rekeyNow <- struct{}{}:
	default: // it is awake
	}
}

// rekeyWhenDue works on new root keys until the server closes.
func (s *Server) rekeyWhenDue() {
	ctx, cancel := s.untilClosed(context.Background())
	defer cancel()
	t := time.NewTicker(rekeyEvery)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.rekeyNow:
		case <-t.C:
			if state, on, err := s.rekey.Progress(ctx); err == nil && (!on || state.IsTaken(s.now())) {
				continue // nothing to do, or another node does it
			}
		}
		if err := s.workRekey(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("new root keys: it goes on from there", "error", err)
		}
	}
}

func (s *Server) workRekey(ctx context.Context) error {
	retired, err := s.rekey.Work(ctx)
	if err != nil || !retired {
		return err
	}
	rec := audit.Record{Time: s.now(), RequestID: httpd.NewRequestID(), Source: itself, Principal: itself, Account: s.set.Account, Operation: "RetireRootKey", Mutates: true, Status: 200}
	return s.audit.Append(rec.Append(nil))
}

// rootKeys lets this node have the root keys that another one has brought in. It is a follow.Cache.
type rootKeys struct{ *Server }

// Forget implements follow.Cache.
func (s rootKeys) Forget(_ context.Context, changed []store.Event) error {
	for _, e := range changed {
		if e.Path == rootKeysPath && e.Value != nil {
			return s.sealer.Follow(e.Value)
		}
	}
	return nil
}

// ForgetAll implements follow.Cache.
func (s rootKeys) ForgetAll(ctx context.Context) error {
	rec, err := s.store.Get(ctx, rootKeysPath)
	if err != nil {
		return err
	}
	return s.sealer.Follow(rec.Value)
}
