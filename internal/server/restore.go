package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"trent/internal/config"
	"trent/internal/durable"
	"trent/internal/ledger"
	"trent/internal/root"
	"trent/internal/seal"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

// restoringSuffix is what a store file ends with until all of it is there.
const restoringSuffix = ".restoring"

// ErrStoreExists says that there is a store where one was to be restored.
var ErrStoreExists = errors.New("there is a store already")

// A Restored is what came of a restore.
type Restored struct {
	*CheckedBackup
	Copied  int    // records
	Place   string // of the store
	Root    string // name of the root of trust that opens it
	Locator string // of the new root of trust; empty: it has those of the backup
}

// Restore makes a store of a backup, after all of it has been verified, in a place where there is none.
// The roots of trust of the settings open the backup; with newRoot, a locator, that one alone opens
// the store. What a restore that was cut off has left is cleared away, or gone on with in etcd.
func Restore(ctx context.Context, c config.Store, path, newRoot string, now time.Time, tell func(done int)) (_ *Restored, err error) {
	f := filesOf(c)
	if err := checkVacant(ctx, c, f); err != nil {
		return nil, err
	}
	o, err := openBackup(ctx, c, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	checked, err := o.verify(ctx)
	if err != nil {
		return nil, err
	}
	if err := complaint(checked.Report); err != nil {
		return nil, fmt.Errorf("%s is not restored: %w. trent backup verify names them all", path, err)
	}
	if err := makeDir(f.dir); err != nil {
		return nil, err
	}
	r := &restoring{openedBackup: o, config: c, files: f, now: now, tell: tell}
	done := &Restored{CheckedBackup: checked, Place: f.store, Root: o.root, Locator: newRoot}
	container := o.RootKeys
	if newRoot != "" {
		if done.Root, container, err = r.rewrap(ctx, newRoot); err != nil {
			return nil, err
		}
	}
	done.Copied, err = r.fill(ctx, container)
	return done, err
}

// checkVacant refuses a place where there is a store. A prefix in etcd without root keys is what a
// restore that was cut off has left, and Copy finds whether it was of another one.
func checkVacant(ctx context.Context, c config.Store, f files) error {
	if c.Kind != etcdKind {
		there, err := exists(f.store)
		if err == nil && there {
			err = fmt.Errorf("%w: %s. Restore with another --dir, or stop its server and move it away; it is not overwritten. --dry-run says what would change", ErrStoreExists, f.store)
		}
		return err
	}
	st, err := openEtcd(ctx, c)
	if err != nil {
		return err
	}
	_, err = st.Get(ctx, rootKeysPath)
	switch {
	case err == nil:
		err = fmt.Errorf("%w: %s. Restore with another --etcd-prefix; it is not overwritten. --dry-run says what would change", ErrStoreExists, f.store)
	case errors.Is(err, store.ErrNotFound):
		err = nil
	}
	return errors.Join(err, st.Close())
}

// makeDir makes the data directory if it is not there.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return checkDir(dir)
}

type restoring struct {
	*openedBackup
	config config.Store
	files  files
	now    time.Time
	tell   func(int)
}

// rewrap is the container of root keys that a new root of trust opens, and no other one.
func (r *restoring) rewrap(ctx context.Context, locator string) (name string, container []byte, err error) {
	l, err := root.ParseLocator(locator)
	if err != nil {
		return "", nil, err
	}
	fresh, err := r.openOrCreate(ctx, l)
	if err != nil {
		return "", nil, fmt.Errorf("the new root of trust: %w", err)
	}
	others, err := seal.Roots(r.RootKeys)
	if err != nil {
		return "", nil, err
	}
	if container, err = r.sealer.AddRoot(ctx, r.RootKeys, fresh); err != nil {
		return "", nil, err
	}
	for _, other := range others {
		if container, err = seal.RemoveRoot(container, other); err != nil {
			return "", nil, err
		}
	}
	return fresh.ID(), container, nil
}

// openOrCreate takes a file that is there: somebody's, or one that a restore that was cut off has made.
func (r *restoring) openOrCreate(ctx context.Context, l root.Locator) (root.Root, error) {
	if path, err := rootFile(r.files, l); l.Kind == "file" && err == nil {
		if there, err := exists(path); err != nil {
			return nil, err
		} else if there {
			return openRoot(ctx, r.files, l)
		}
	}
	return createRoot(ctx, r.files, l)
}

// fill writes the records, and the root keys last: until then nobody takes it for a store. A file
// has another name until then.
func (r *restoring) fill(ctx context.Context, container []byte) (n int, err error) {
	st, settle, err := r.target(ctx)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err = errors.Join(err, st.Close()); err == nil {
			err = settle()
		}
	}()
	n, err = store.Copy(ctx, butFor{r.Backup, rootKeysPath}, st, []string{settingsPath}, r.tell)
	if err != nil {
		return 0, err
	}
	b := store.Batch{If: []store.Condition{{Path: rootKeysPath}}, Put: []store.Put{{Path: rootKeysPath, Value: container}}}
	to := st
	if !slices.Equal(container, r.RootKeys) {
		// The log of changes knows the root keys of the backup; it has to be told of others.
		if to, err = ledger.Open(ctx, st, r.sealer, LedgerOptions(func() time.Time { return r.now })); err != nil {
			return 0, err
		}
	}
	if _, err := to.Commit(ctx, b); err != nil {
		return 0, fmt.Errorf("write the root keys: %w", err)
	}
	return n + 1, nil
}

// target opens what is restored into. settle gives it its name once it was closed.
func (r *restoring) target(ctx context.Context) (_ store.Store, settle func() error, err error) {
	if r.config.Kind == etcdKind {
		st, err := openEtcd(ctx, r.config)
		return st, func() error { return nil }, err
	}
	temporary := r.files.store + restoringSuffix
	if there, err := exists(temporary); err != nil {
		return nil, nil, err
	} else if there {
		if err := os.Remove(temporary); err != nil {
			return nil, nil, fmt.Errorf("clear what an interrupted restore left: %w", err)
		}
	}
	st, err := bolt.Create(temporary, bolt.Options{})
	return st, func() error {
		// Link, unlike Rename, never takes the place of what has come there meanwhile.
		if err := os.Link(temporary, r.files.store); err != nil {
			return err
		}
		return errors.Join(os.Remove(temporary), durable.SyncDir(r.files.dir))
	}, err
}

// butFor is a store without one of its records.
type butFor struct {
	store.Reader
	path string
}

// Get implements store.Reader.
func (b butFor) Get(ctx context.Context, path string) (store.Record, error) {
	if path == b.path {
		return store.Record{}, store.ErrNotFound
	}
	return b.Reader.Get(ctx, path)
}

// List implements store.Reader. It goes on from where the page ended, so that a backup is read once.
func (b butFor) List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]store.Record, error) {
	page, err := b.Reader.List(ctx, prefix, after, limit, keysOnly)
	i := slices.IndexFunc(page, func(r store.Record) bool { return r.Path == b.path })
	if err != nil || i < 0 {
		return page, err
	}
	more, err := b.Reader.List(ctx, prefix, page[len(page)-1].Path, 1, keysOnly)
	return append(slices.Delete(page, i, i+1), more...), err
}
