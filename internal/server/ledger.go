package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"trent/internal/identity"
	"trent/internal/keyring"
	"trent/internal/ledger"
	"trent/internal/seal"
	"trent/internal/store"
)

// LedgerOptions are the same for whoever opens the ledger of a store.
func LedgerOptions(now func() time.Time) ledger.Options {
	return ledger.Options{Passing: slices.Concat(keyring.Passing(), identity.Passing()), Now: now}
}

// openLedger opens the ledger of a store that has been unsealed, and begins one where
// there has never been any. Nothing is written before the anchors have agreed.
func openLedger(ctx context.Context, st store.Store, u *unsealed, o ledger.Options, a *anchors, log *slog.Logger) (*ledger.Ledger, error) {
	l, err := ledger.Open(ctx, st, u.sealer, o)
	if err == nil || errors.Is(err, ledger.ErrNoHead) {
		if err := a.check(ctx, l, u.sealer); err != nil {
			return nil, fmt.Errorf("the store is not served: %w", err)
		}
	}
	switch {
	case errors.Is(err, ledger.ErrNoHead) && u.set.Ledger != 0 && a.accepted == nil:
		return nil, fmt.Errorf("%w, and it had one since %s: somebody has removed it. Put the store back from a backup", err, time.UnixMilli(u.set.Ledger).UTC().Format(time.RFC3339))
	case errors.Is(err, ledger.ErrNoHead):
		if l, err = beginLedger(ctx, st, u, o, log); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("%w. Run trent fsck to see what is wrong, and put the store back from a backup", err)
	}
	if err := a.settle(ctx, l); err != nil {
		return nil, err
	}
	return l, rememberLedger(ctx, l, u, o.Now())
}

// beginLedger states what is in the store, which was made by an older Trent.
func beginLedger(ctx context.Context, st store.Store, u *unsealed, o ledger.Options, log *slog.Logger) (*ledger.Ledger, error) {
	n, err := ledger.Begin(ctx, st, u.sealer, o)
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(ctx, st, u.sealer, o)
	if err != nil {
		return nil, err
	}
	log.Info("the log of changes begins: the store had none, and its records count as they are", "records", n)
	return l, nil
}

// rememberLedger writes into the settings that there is a ledger, so that a store without
// one is not taken for an old one any more.
func rememberLedger(ctx context.Context, l *ledger.Ledger, u *unsealed, now time.Time) error {
	if u.set.Ledger != 0 {
		return nil
	}
	set := u.set
	set.Ledger = now.UnixMilli()
	rev, err := putSettings(ctx, l, u.sealer, set, u.rev)
	if _, lost := errors.AsType[*store.Conflict](err); lost {
		return nil // another node was faster, or the next start does it
	}
	if err != nil {
		return fmt.Errorf("remember that there is a log of changes: %w", err)
	}
	u.set, u.rev = set, rev
	return nil
}

// putSettings replaces the settings, on condition that they are of a revision.
func putSettings(ctx context.Context, st store.Store, sealer *seal.Sealer, set settings, was store.Rev) (store.Rev, error) {
	sealed, err := sealSettings(sealer, set)
	if err != nil {
		return 0, err
	}
	return st.Commit(ctx, store.Batch{
		If:  []store.Condition{{Path: settingsPath, Rev: was}},
		Put: []store.Put{{Path: settingsPath, Value: sealed}},
	})
}

func sealSettings(sealer *seal.Sealer, set settings) ([]byte, error) {
	body, err := cbor.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("encode the settings: %w", err)
	}
	return sealer.Seal(settingsPath, append([]byte{settingsVersion}, body...))
}

// tidyFor bounds how long the log is tidied at a time.
const tidyFor = 2 * time.Second

// tidy makes the log of changes shorter, if that is due.
func (s *Server) tidy(ctx context.Context) error {
	gone, err := s.ledger.Tidy(ctx, tidyFor)
	if gone > 0 {
		s.log.Info("tidied the log of changes", "entries", gone)
	}
	return err
}
