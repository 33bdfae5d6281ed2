package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"trent/internal/backup"
	"trent/internal/config"
	"trent/internal/ledger"
	"trent/internal/seal"
)

// A CheckedBackup is a backup that has been read to its end.
type CheckedBackup struct {
	Time     time.Time
	Revision uint64
	Roots    []string // names of the roots of trust that open it
	*ledger.Report
}

// VerifyBackup reads a whole backup, opened with one of the roots of trust of the settings, and says
// what is wrong with it, as Fsck does of a store. It writes nothing.
func VerifyBackup(ctx context.Context, c config.Store, path string) (_ *CheckedBackup, err error) {
	o, err := openBackup(ctx, c, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	return o.verify(ctx)
}

// An openedBackup is a backup and what it takes to read its records.
type openedBackup struct {
	*backup.Backup
	unsealed
	file *os.File
}

func openBackup(ctx context.Context, c config.Store, path string) (*openedBackup, error) {
	locators, err := locatorsOf(c)
	if err != nil {
		return nil, err
	}
	f := filesOf(c)
	f.store = path // that is what errors are about
	o := new(openedBackup)
	if o.file, err = os.Open(path); err != nil {
		return nil, fmt.Errorf("the backup: %w", err)
	}
	o.Backup, err = backup.Open(o.file, func(container []byte) (_ *seal.Sealer, err error) {
		o.root, o.sealer, err = openContainer(ctx, f, container, locators, slog.New(slog.DiscardHandler))
		return o.sealer, err
	})
	if err == nil {
		o.set, o.rev, err = readSettings(ctx, o.Backup, f, o.sealer)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), o.file.Close())
	}
	return o, nil
}

// Close closes the file.
func (o *openedBackup) Close() error { return errors.Join(o.Backup.Close(), o.file.Close()) }

func (o *openedBackup) verify(ctx context.Context) (*CheckedBackup, error) {
	report, err := check(ctx, o.Backup, o.unsealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.file.Name(), err)
	}
	if stored, err := o.Get(ctx, rootKeysPath); err != nil || string(stored.Value) != string(o.RootKeys) {
		report.Add(ledger.Finding{Path: rootKeysPath, What: "the root keys in the header are not those among the records"})
	}
	roots, err := seal.Roots(o.RootKeys)
	if err != nil {
		return nil, err
	}
	return &CheckedBackup{o.Time, uint64(o.Revision), roots, report}, nil
}

// complaint is an error if a check has found anything.
func complaint(r *ledger.Report) error {
	n := len(r.Findings) + r.More
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d findings, the first one: %s", n, r.Findings[0])
}
