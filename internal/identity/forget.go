package identity

import (
	"context"
	"strings"

	"trent/internal/store"
)

// Forget reads all identities again if one of the records that have changed in the store says
// that the snapshot is behind. Every commit rewrites the record of its account, so the others need
// no look.
func (d *Directory) Forget(ctx context.Context, changed []store.Event) error {
	for _, e := range changed {
		if id, ok := strings.CutPrefix(e.Path, accountPrefix); ok {
			if err := d.reach(ctx, id, e.Rev); err != nil {
				return err
			}
		}
	}
	return nil
}

// ForgetAll reads all identities again.
func (d *Directory) ForgetAll(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.load(ctx)
}

// reach makes sure that an account is known as it was at a revision, or later. Waiting for mu, it also
// waits for a commit of this process that has written that revision and not shown it yet.
func (d *Directory) reach(ctx context.Context, account string, rev store.Rev) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a, known := d.snap.Load().accounts[account]; known && a.rev >= rev && !d.stale {
		return nil
	}
	return d.load(ctx)
}
