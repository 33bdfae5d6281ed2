package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"trent/internal/audit"
	"trent/internal/httpd"
	"trent/internal/identity"
	"trent/internal/keyring"
	"trent/internal/store"
)

// shredAtOnce is how many records a sweep looks at for what shredded accounts have left, and
// shredPage how many of them it reads in one go.
const (
	shredAtOnce = 10_000
	shredPage   = 500
)

// A clearance is a walk through the store that deletes what shredded accounts have left. Nobody can read that
// any more, and nothing comes to it; so one walk from the beginning to the end is enough, and one
// that a restart cuts off begins anew. It is for one goroutine.
type clearance struct {
	of    []string // the accounts
	after string   // as far as it has come
}

// sweepAccounts shreds the accounts whose time has come, and clears away after those.
func (s *Server) sweepAccounts(now, believed time.Time) error {
	done, err := s.users.Shred(context.Background(), believed, now)
	for _, id := range done {
		s.log.Info("shredded an account: nothing of it can be read any more", "account", id)
		rec := audit.Record{Time: now, RequestID: httpd.NewRequestID(), Source: itself, Principal: itself, Account: id, Operation: "ShredAccount", Mutates: true, Status: 200}
		err = errors.Join(err, s.audit.Append(rec.Append(nil)))
	}
	return errors.Join(err, s.clear(context.Background()))
}

// clear goes on with the clearance, for at most shredAtOnce records.
func (s *Server) clear(ctx context.Context) error {
	if len(s.clearing.of) == 0 {
		s.clearing = clearance{of: uncleared(s.users.View())}
	}
	for n := 0; len(s.clearing.of) > 0 && n < shredAtOnce; n += shredPage {
		recs, err := s.store.List(ctx, "", s.clearing.after, shredPage, false)
		if err != nil {
			return err
		}
		if err := s.deleteRemains(ctx, recs); err != nil {
			return err
		}
		if len(recs) < shredPage {
			return s.cleared(ctx)
		}
		s.clearing.after = recs[len(recs)-1].Path
	}
	return nil
}

func uncleared(v identity.View) (ids []string) {
	for _, a := range v.Accounts() {
		if a.IsShredded() && !a.IsCleared() {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// deleteRemains deletes those of the records that belong to the accounts.
func (s *Server) deleteRemains(ctx context.Context, recs []store.Record) error {
	gone := func(account string) bool { return slices.Contains(s.clearing.of, account) }
	var paths []string
	for _, rec := range recs {
		if account, ok := keyring.OwnerOf(rec); ok && gone(account) {
			paths = append(paths, rec.Path)
		}
		paths = append(paths, identity.Remains(rec, gone)...)
	}
	for batch := range slices.Chunk(paths, store.MaxBatch) {
		if _, err := s.store.Commit(ctx, store.Batch{Delete: batch}); err != nil {
			return err
		}
		events := make([]store.Event, len(batch))
		for i, path := range batch {
			events[i].Path = path
		}
		if err := s.ring.Forget(ctx, events); err != nil {
			return err
		}
	}
	return nil
}

// cleared ends the clearance.
func (s *Server) cleared(ctx context.Context) error {
	for _, id := range s.clearing.of {
		err := s.users.Commit(ctx, s.users.View(), []identity.Change{identity.Cleared(id)}, nil)
		if err != nil && !errors.Is(err, identity.ErrLostRace) { // else the next walk finds it, and nothing else
			return err
		}
	}
	s.clearing = clearance{}
	return nil
}
