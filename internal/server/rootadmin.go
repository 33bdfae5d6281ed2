package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"trent/internal/config"
	"trent/internal/root"
	"trent/internal/seal"
	"trent/internal/store"
)

// RootAdmin changes the roots of trust of a deployment. It has the store to itself:
// while a server runs on the same data directory, OpenRootAdmin fails.
type RootAdmin struct {
	files files
	roots []root.Locator
	store store.Store
	log   *slog.Logger
}

// OpenRootAdmin opens a deployment, and unseals nothing yet.
func OpenRootAdmin(c config.Store, log *slog.Logger) (*RootAdmin, error) {
	f := filesOf(c)
	if err := checkFiles(c, f); err != nil {
		return nil, err
	}
	roots, err := locatorsOf(c)
	if err != nil {
		return nil, err
	}
	st, err := openStore(context.Background(), c)
	if err != nil {
		return nil, fmt.Errorf("%w (roots of trust are changed while no server runs on the data directory)", err)
	}
	return &RootAdmin{f, roots, st, log}, nil
}

// Close closes the store.
func (a *RootAdmin) Close() error { return a.store.Close() }

// List names the roots of trust of the store. It needs none of them.
func (a *RootAdmin) List(ctx context.Context) ([]string, error) {
	rec, err := a.container(ctx)
	if err != nil {
		return nil, err
	}
	return seal.Roots(rec.Value)
}

func (a *RootAdmin) container(ctx context.Context) (store.Record, error) {
	rec, err := a.store.Get(ctx, rootKeysPath)
	if err != nil {
		return rec, fmt.Errorf("the store %s has no root keys (%w): it is not a store of Trent's, or it is damaged; put it back from a backup", a.files.store, err)
	}
	return rec, nil
}

// Add makes the root of trust at a locator one of the store's, unsealed with one that
// is. It counts only when what it wrapped has been unwrapped again. Its name is
// returned.
func (a *RootAdmin) Add(ctx context.Context, locator string) (string, error) {
	l, err := root.ParseLocator(locator)
	if err != nil {
		return "", err
	}
	rec, err := a.container(ctx)
	if err != nil {
		return "", err
	}
	u, err := unseal(ctx, a.store, a.files, a.roots, a.log)
	if err != nil {
		return "", fmt.Errorf("a root of trust is added by means of one that opens the store: %w", err)
	}
	r, err := createRoot(ctx, a.files, l)
	if err != nil {
		return "", err
	}
	wider, err := u.sealer.AddRoot(ctx, rec.Value, r)
	if err != nil {
		return "", err
	}
	return r.ID(), a.replace(ctx, rec, wider, u)
}

// Remove takes a root of trust from the store. One of those that stay must open what
// is left, here and now: a list of roots that nobody has any more is no way back.
func (a *RootAdmin) Remove(ctx context.Context, name string) error {
	rec, err := a.container(ctx)
	if err != nil {
		return err
	}
	narrower, err := seal.RemoveRoot(rec.Value, name)
	if err != nil {
		return err
	}
	var failed []error
	for _, l := range a.roots {
		if u, err := unsealWith(ctx, a.store, a.files, narrower, l); err == nil {
			return a.replace(ctx, rec, narrower, u)
		} else {
			failed = append(failed, err)
		}
	}
	return fmt.Errorf("%s stays: none of the roots of trust at hand would open the store without it. Name one that does with --root: %w", name, errors.Join(failed...))
}

func (a *RootAdmin) replace(ctx context.Context, old store.Record, value []byte, u unsealed) error {
	l, err := openLedger(ctx, a.store, &u, LedgerOptions(time.Now), &anchors{}, a.log)
	if err != nil {
		return err
	}
	_, err = l.Commit(ctx, store.Batch{
		If:  []store.Condition{{Path: rootKeysPath, Rev: old.Rev}},
		Put: []store.Put{{Path: rootKeysPath, Value: value}},
	})
	if err != nil {
		return fmt.Errorf("write the root keys: %w", err)
	}
	return nil
}

// A RootTest is what came of opening the store with one root of trust.
type RootTest struct {
	Locator string
	Name    string // empty if it could not be opened
	Err     error
}

// Test opens the store with each of the roots of trust of the settings, alone.
func (a *RootAdmin) Test(ctx context.Context) ([]RootTest, error) {
	rec, err := a.container(ctx)
	if err != nil {
		return nil, err
	}
	var tests []RootTest
	for _, l := range a.roots {
		u, err := unsealWith(ctx, a.store, a.files, rec.Value, l)
		tests = append(tests, RootTest{l.String(), u.root, err})
	}
	return tests, nil
}
