package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"trent/internal/audit"
	"trent/internal/backup"
	"trent/internal/config"
	"trent/internal/durable"
	"trent/internal/httpd"
	"trent/internal/seal"
	"trent/internal/store"
	"trent/internal/vitals"
)

// Names of scheduled backups. One that has not been verified has another ending, so whatever has the
// name of a backup was read to its end once.
const (
	backupPrefix = "trent-"
	backupTime   = "20060102T150405.000Z"
	backupSuffix = ".backup"
	unverified   = ".unverified"
)

// How often it is looked whether a backup is due, and how soon one that failed is tried again.
const (
	backupCheck = 30 * time.Second
	backupRetry = 10 * time.Minute
)

// backups are the scheduled ones. Those of before are known by their names.
type backups struct {
	dir   string // empty: there are none
	every time.Duration
	keep  int

	mu     sync.Mutex
	newest time.Time // when the newest verified one was begun
	tried  time.Time
	failed error // of the newest try
}

func openBackups(o config.Serve) (*backups, error) {
	b := &backups{dir: o.BackupDir, every: o.BackupEvery, keep: o.BackupKeep}
	if b.dir == "" {
		return b, nil
	}
	if b.every < time.Minute {
		return nil, fmt.Errorf("backup-every: %s is too short; give one minute at least", b.every)
	}
	if b.keep < 1 {
		return nil, fmt.Errorf("backup-keep: %d would keep none; give one at least", b.keep)
	}
	names, err := b.list()
	if err != nil {
		return nil, fmt.Errorf("backup-dir: %w", err)
	}
	if len(names) > 0 {
		b.newest, _ = backupTaken(names[len(names)-1])
	}
	return b, nil
}

// list names the verified backups, oldest first, and clears away what was cut off.
func (b *backups) list() (names []string, err error) {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, ok := backupTaken(e.Name()); ok {
			names = append(names, e.Name())
		} else if _, ok := backupTaken(strings.TrimSuffix(e.Name(), unverified)); ok {
			err = errors.Join(err, os.Remove(filepath.Join(b.dir, e.Name())))
		}
	}
	return names, err
}

func backupName(t time.Time) string { return backupPrefix + t.UTC().Format(backupTime) + backupSuffix }

// backupTaken is the other way round.
func backupTaken(name string) (time.Time, bool) {
	t, err := time.Parse(backupPrefix+backupTime+backupSuffix, name)
	return t.UTC(), err == nil
}

// isDue reports whether it is time for a backup. One of the future was named by a wrong clock.
func (b *backups) isDue(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed != nil && now.Sub(b.tried) < min(backupRetry, b.every) && !now.Before(b.tried) {
		return false
	}
	return b.dir != "" && (now.Sub(b.newest) >= b.every || now.Before(b.newest))
}

// ended notes what came of a try.
func (b *backups) ended(now time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tried, b.failed = now, err
	if err == nil {
		b.newest = now
	}
}

// vital tells how old the newest verified backup is.
func (b *backups) vital(now time.Time) vitals.Vital {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := vitals.Vital{Kind: vitals.Backup, Checked: now, OK: true, GoodAt: b.newest}
	if b.dir == "" {
		v.Problem = "there is none scheduled: set backup-dir, or see to it that trent backup is run"
		return v
	}
	v.Name = "dir:" + b.dir
	v.OK = now.Sub(b.newest) < 2*b.every
	switch {
	case b.failed != nil:
		v.Problem = "the newest try failed: " + b.failed.Error()
	case b.newest.IsZero():
		v.Problem = "there is none yet"
	case !v.OK:
		v.Problem = "the newest verified one is of " + b.newest.Format(time.RFC3339)
	}
	return v
}

// prune removes the oldest beyond those that are kept.
func (b *backups) prune() error {
	names, err := b.list()
	for len(names) > b.keep {
		err = errors.Join(err, os.Remove(filepath.Join(b.dir, names[0])))
		names = names[1:]
	}
	return err
}

// backUpWhenDue makes the scheduled backups until the server closes.
func (s *Server) backUpWhenDue() {
	ctx, cancel := s.untilClosed(context.Background())
	defer cancel()
	t := time.NewTicker(backupCheck)
	defer t.Stop()
	for {
		if now := s.now(); s.backups.isDue(now) {
			s.backUp(ctx, now)
		}
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
	}
}

// backUp makes one scheduled backup, which counts when it was verified.
func (s *Server) backUp(ctx context.Context, now time.Time) {
	began := time.Now()
	n, err := s.writeVerified(ctx, filepath.Join(s.backups.dir, backupName(now)), now)
	if ctx.Err() != nil {
		return // the server closes; the next start tries again
	}
	s.backups.ended(now, err)
	if err != nil {
		s.log.Error("the scheduled backup failed, and is tried again", "error", err)
		return
	}
	s.log.Info("a backup was made and verified", "records", n, "took", time.Since(began).Round(time.Millisecond))
	if err := s.backups.prune(); err != nil {
		s.log.Error("old backups could not be removed", "error", err)
	}
	rec := audit.Record{Time: now, RequestID: httpd.NewRequestID(), Source: itself, Principal: itself, Account: s.set.Account, Operation: "ScheduledBackup", Status: 200}
	if err := s.audit.Append(rec.Append(nil)); err != nil {
		s.log.Error("the backup could not be written down", "error", err)
	}
}

// writeVerified writes a backup that is at path once it has been verified.
func (s *Server) writeVerified(ctx context.Context, path string, now time.Time) (n int, err error) {
	temporary := path + unverified
	f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(temporary))
		}
	}()
	snapshot, err := s.snapshot(ctx)
	if err != nil {
		return 0, err
	}
	n, err = backup.Write(ctx, f, snapshot, rootKeysPath, s.sealer, now)
	if err = errors.Join(err, snapshot.Close()); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	b, err := backup.Open(f, func([]byte) (*seal.Sealer, error) { return s.sealer, nil })
	if err != nil {
		return 0, err
	}
	report, err := check(ctx, b, unsealed{sealer: s.sealer, set: settings{Partition: s.set.Partition}})
	if err != nil {
		return 0, err
	}
	if err := complaint(report); err != nil {
		return 0, err
	}
	if err := os.Rename(temporary, path); err != nil {
		return 0, err
	}
	return n, durable.SyncDir(filepath.Dir(path))
}

func (s *Server) snapshot(ctx context.Context) (store.Snapshot, error) {
	st, ok := s.raw.(store.Snapshotter)
	if !ok {
		return nil, errors.New("this store cannot be read at one moment")
	}
	return st.Snapshot(ctx)
}
