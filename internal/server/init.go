package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"trent/internal/arn"
	"trent/internal/config"
	"trent/internal/durable"
	"trent/internal/identity"
	"trent/internal/ledger"
	"trent/internal/root"
	"trent/internal/seal"
	"trent/internal/store"
)

// Paths of the records that are the store's own.
const (
	rootKeysPath = "sys/rootkeys" // the container of root keys, in clear
	settingsPath = "sys/settings" // sealed; opening it proves the root of trust
)

const settingsVersion = 1

// settings are decided when a store is made and kept in it.
type settings struct {
	Partition string `cbor:"1,keyasint"`
	Account   string `cbor:"2,keyasint"` // of the first administrator
	Created   int64  `cbor:"3,keyasint"` // Unix milliseconds
	// Fixed is when the store first took a key or an access key that somebody had
	// chosen, in Unix milliseconds; zero: it never did.
	Fixed int64 `cbor:"4,keyasint,omitempty"`
	// Ledger is since when the store has had a log of changes, in Unix milliseconds;
	// zero: it was made by a Trent that had none.
	Ledger int64 `cbor:"5,keyasint,omitempty"`
}

// ErrInitialised says that there is a deployment in the directory already.
var ErrInitialised = errors.New("the data directory has been initialised before")

// administrator is the user that Init makes.
const administrator = "admin"

// Init makes a deployment: its roots of trust, a store, and in it an administrator
// whose access key it leaves in a file that only the owner may read. It never
// replaces anything: where a deployment is, whole or in part, it refuses.
func Init(ctx context.Context, c config.Store, o config.Init, now time.Time) error {
	if !arn.IsAccount(o.Account) {
		return fmt.Errorf("the account id %q is not 12 digits", o.Account)
	}
	f := filesOf(c)
	if err := checkUnused(ctx, c); err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	if err := checkDir(f.dir); err != nil {
		return err
	}
	locators, err := locatorsOf(c)
	if err != nil {
		return err
	}
	if err := beginInit(f); err != nil {
		return err
	}
	roots, err := createRoots(ctx, f, locators)
	if err != nil {
		return err
	}
	st, err := createStore(ctx, c)
	if err != nil {
		return err
	}
	defer st.Close()
	key, err := fill(ctx, st, roots, o, now)
	if err != nil {
		return err
	}
	if err := writeDurably(f.credentials, credentialsText(key)); err != nil {
		return fmt.Errorf("write the administrator's access key: %w", err)
	}
	return errors.Join(os.Remove(f.unfinished), durable.SyncDir(f.dir))
}

// beginInit refuses where something is, except what an initialisation that was
// cut off has left: no key was ever made under that, so it may go.
func beginInit(f files) error {
	unfinished, err := exists(f.unfinished)
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	for _, path := range []string{f.root, f.store, f.credentials} {
		there, err := exists(path)
		switch {
		case err != nil:
			return fmt.Errorf("look at the data directory: %w", err)
		case there && !unfinished:
			return fmt.Errorf("%w: %s exists", ErrInitialised, path)
		case there:
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("clear what an interrupted initialisation left: %w", err)
			}
		}
	}
	if unfinished {
		return nil
	}
	return writeDurably(f.unfinished, []byte("trent init was interrupted; run it again.\n"))
}

func createRoots(ctx context.Context, f files, locators []root.Locator) (roots []root.Root, err error) {
	for _, l := range locators {
		r, err := createRoot(ctx, f, l)
		if err != nil {
			return nil, err
		}
		roots = append(roots, r)
	}
	return roots, nil
}

// fill writes the first records: root keys, settings, the administrator.
func fill(ctx context.Context, st store.Store, roots []root.Root, o config.Init, now time.Time) (*identity.AccessKey, error) {
	container, s, err := seal.Create(ctx, roots)
	if err != nil {
		return nil, err
	}
	sealed, err := sealSettings(s, settings{Partition: o.Partition, Account: o.Account, Created: now.UnixMilli(), Ledger: now.UnixMilli()})
	if err != nil {
		return nil, err
	}
	keep := LedgerOptions(func() time.Time { return now })
	if _, err := ledger.Begin(ctx, st, s, keep); err != nil {
		return nil, err
	}
	l, err := ledger.Open(ctx, st, s, keep)
	if err != nil {
		return nil, err
	}
	_, err = l.Commit(ctx, store.Batch{
		If:  []store.Condition{{Path: rootKeysPath}, {Path: settingsPath}},
		Put: []store.Put{{Path: rootKeysPath, Value: container}, {Path: settingsPath, Value: sealed}},
	})
	if err != nil {
		return nil, fmt.Errorf("write the first records: %w", err)
	}
	d, err := identity.Open(ctx, l, s, o.Partition)
	if err != nil {
		return nil, err
	}
	return d.Bootstrap(ctx, identity.Newcomer{Account: o.Account, Name: administrator, Attached: []string{identity.AdministratorARN(o.Partition)}}, now)
}

// credentialsText is in the form of the AWS SDKs' shared credentials file.
func credentialsText(k *identity.AccessKey) []byte {
	return fmt.Appendf(nil, `# The first administrator of this Trent. Keep it as you keep the root of trust.
[default]
aws_access_key_id = %s
aws_secret_access_key = %s
`, k.ID, k.Secret.Expose())
}
