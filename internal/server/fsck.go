package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"trent/internal/config"
	"trent/internal/identity"
	"trent/internal/keyring"
	"trent/internal/ledger"
	"trent/internal/rekey"
	"trent/internal/seal"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

// Fsck reads all of a store at one moment and says what is wrong with it: the log of changes
// against the records, each record against its seal, and what belongs together. A store in a
// file must have no server on it; one in etcd may. Findings are in the report; an error says that
// the store cannot be opened, or read to its end.
func Fsck(ctx context.Context, c config.Store) (_ *ledger.Report, err error) {
	f := filesOf(c)
	if err := checkFiles(c, f); err != nil {
		return nil, err
	}
	roots, err := locatorsOf(c)
	if err != nil {
		return nil, err
	}
	torn := checkPages(c, f)
	st, err := openStore(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%w (a store in a file is checked while no server runs on it; a copy of it can be checked at any time)", err)
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	u, err := unseal(ctx, st, f, roots, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	snapshotter, ok := st.(store.Snapshotter)
	if !ok {
		return nil, errors.New("this store cannot be read at one moment")
	}
	n, err := snapshotter.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	report, err := check(ctx, n, u)
	if err == nil && torn != nil {
		report.Add(ledger.Finding{What: torn.Error()})
	}
	return report, err
}

// checkPages finds what opening a file passes over.
func checkPages(c config.Store, f files) error {
	if c.Kind == etcdKind {
		return nil
	}
	return bolt.CheckMetas(f.store)
}

// check verifies a snapshot of a store that is unsealed.
func check(ctx context.Context, n store.Snapshot, u unsealed) (*ledger.Report, error) {
	people, err := identity.NewInspector(ctx, n, u.sealer)
	if err != nil {
		return nil, err
	}
	keys, err := keyring.NewInspector(u.sealer, people, u.set.Partition)
	if err != nil {
		return nil, err
	}
	report, err := ledger.Verify(ctx, n, u.sealer, LedgerOptions(time.Now), func(r store.Record) error {
		switch {
		case r.Path == settingsPath, r.Path == markPath, r.Path == rekey.StatePath:
			_, err := u.sealer.Open(r.Path, r.Value)
			return err
		case r.Path == rootKeysPath:
			_, err := seal.Roots(r.Value)
			return err
		case identity.IsOurs(r.Path):
			return people.Inspect(r)
		}
		return keys.Inspect(r)
	})
	if err != nil {
		return nil, err
	}
	for _, d := range keys.Rest() {
		report.Add(ledger.Finding{Path: d.Path, What: d.What})
	}
	return report, nil
}
