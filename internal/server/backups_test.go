package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trent/internal/action"
	"trent/internal/backup"
	"trent/internal/config"
	"trent/internal/seal"
	"trent/internal/store"
	"trent/internal/vitals"
)

// scheduled opens a deployment with a directory for backups.
func scheduled(t *testing.T) (*Server, string) {
	t.Helper()
	dir := t.TempDir()
	s, _ := deployment(t, func(o *config.Serve) { o.BackupDir, o.BackupEvery, o.BackupKeep = dir, 24*time.Hour, 2 })
	return s, dir
}

func listed(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A backup is made when one is due, a start knows of those before it, and the oldest go.
func TestScheduledBackups(t *testing.T) {
	s, dir := scheduled(t)
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for day := range 4 {
		now := noon.AddDate(0, 0, day)
		if !s.backups.isDue(now) {
			t.Fatalf("day %d: none is due", day)
		}
		s.backUp(t.Context(), now)
		if s.backups.isDue(now.Add(23*time.Hour)) || !s.backups.isDue(now.Add(24*time.Hour)) {
			t.Errorf("day %d: the next one is not due a day later", day)
		}
		if v := s.backups.vital(now.Add(47 * time.Hour)); !v.OK || !v.GoodAt.Equal(now) || v.Problem != "" {
			t.Errorf("day %d: %+v", day, v)
		}
		if v := s.backups.vital(now.Add(49 * time.Hour)); v.OK || !strings.Contains(v.Problem, "the newest verified one is of 2026-11-2") {
			t.Errorf("day %d: %+v", day, v)
		}
	}
	want := []string{"trent-20261126T120000.000Z.backup", "trent-20261127T120000.000Z.backup"}
	if got := listed(t, dir); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("there are %q, not %q", got, want)
	}
	info, err := os.Stat(filepath.Join(dir, want[1]))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v (%v)", info.Mode(), err)
	}
	b, err := VerifyBackup(t.Context(), config.Store{Dir: s.files.dir}, filepath.Join(dir, want[1]))
	if err != nil || complaint(b.Report) != nil || !b.Time.Equal(noon.AddDate(0, 0, 3)) {
		t.Errorf("%+v, %v", b, err)
	}
	// What was cut off is cleared away, and the newest one is known after a start.
	write(t, filepath.Join(dir, "trent-20261130T120000.000Z.backup"+unverified), "half of one")
	again, err := openBackups(s.config)
	if err != nil || !again.newest.Equal(noon.AddDate(0, 0, 3)) || len(listed(t, dir)) != 2 {
		t.Errorf("after a start the newest one is of %s, with %q (%v)", again.newest, listed(t, dir), err)
	}
}

// TestSEC_E15: a backup that does not verify is none: it does not count, and no older one goes for it.
func TestSEC_E15_OnlyVerifiedBackupsCount(t *testing.T) {
	s, dir := scheduled(t)
	noon := time.Now().Add(-72 * time.Hour).Truncate(time.Millisecond)
	s.backUp(t.Context(), noon)
	good := listed(t, dir)
	all := stored(t, s.raw)
	for path := range all {
		if strings.HasPrefix(path, "identity/accesskey/") {
			pastServer(t, s, path)
		}
	}
	later := noon.Add(24 * time.Hour)
	s.backUp(t.Context(), later)
	if got := listed(t, dir); len(got) != 1 || got[0] != good[0] {
		t.Errorf("there are %q, not %q", got, good)
	}
	v := s.backups.vital(later)
	if !v.OK || !v.GoodAt.Equal(noon) || !strings.Contains(v.Problem, "this record is missing") {
		t.Errorf("the vital is %+v", v)
	}
	if v = s.backups.vital(noon.Add(48 * time.Hour)); v.OK || v.Kind != vitals.Backup {
		t.Errorf("two days after the last good one the vital is %+v", v)
	}
	if s.backups.isDue(later.Add(time.Minute)) || !s.backups.isDue(later.Add(backupRetry)) {
		t.Error("it is not tried again after ten minutes")
	}
}

func TestNoBackupIsScheduled(t *testing.T) {
	s, _ := deployment(t, nil)
	if v := s.backups.vital(time.Now()); !v.OK || !strings.Contains(v.Problem, "there is none scheduled") || s.backups.isDue(time.Now()) {
		t.Errorf("%+v", v)
	}
	for name, o := range map[string]config.Serve{
		"backup-every": {BackupDir: t.TempDir(), BackupEvery: time.Second, BackupKeep: 1},
		"backup-keep":  {BackupDir: t.TempDir(), BackupEvery: time.Hour},
		"backup-dir":   {BackupDir: "/nowhere", BackupEvery: time.Hour, BackupKeep: 1},
	} {
		if _, err := openBackups(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSEC_E15: without one of the store's roots of trust a backup says nothing, and a bent one is found.
func TestSEC_E15_VerifyRefuses(t *testing.T) {
	s, dir := scheduled(t)
	s.backUp(t.Context(), time.Now())
	path := filepath.Join(dir, listed(t, dir)[0])
	other, _ := deployment(t, nil)
	if _, err := VerifyBackup(t.Context(), config.Store{Dir: other.files.dir}, path); err == nil || !strings.Contains(err.Error(), "does not open the store "+path) {
		t.Errorf("with another root of trust: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 4
	write(t, path, string(text))
	if _, err := VerifyBackup(t.Context(), config.Store{Dir: s.files.dir}, path); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("with a bent bit: %v", err)
	}
}

// pastServer deletes a record past the log of changes.
func pastServer(t *testing.T, s *Server, path string) {
	t.Helper()
	if _, err := s.raw.Commit(t.Context(), store.Batch{Delete: []string{path}}); err != nil {
		t.Fatal(err)
	}
}

// A backup that a client reads page by page is one of the moment when it began. Pages may be asked
// for twice, two may be read at once, and one that nobody asks for is dropped.
func TestReadBackup(t *testing.T) {
	s, _ := deployment(t, nil)
	now := time.Now()
	s.now = func() time.Time { return now }
	for i := range 20 {
		value := make([]byte, 200<<10)
		value[0] = byte(i)
		if _, err := s.raw.Commit(t.Context(), store.Batch{Put: []store.Put{{Path: fmt.Sprintf("zz/%02d", i), Value: value}}}); err != nil {
			t.Fatal(err)
		}
	}
	want := stored(t, s.raw)
	first, err := s.readBackup(t.Context(), "", 0)
	if err != nil || first.Last || len(first.Data) != readingPage {
		t.Fatalf("the first page: %d bytes, %v", len(first.Data), err)
	}
	pastServer(t, s, "zz/19")
	other, err := s.readBackup(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.readBackup(t.Context(), "", 0); !errors.Is(err, action.ErrBackups) {
		t.Errorf("a third one at once: %v", err)
	}
	whole, page := first.Data, first
	for n := 1; !page.Last; n++ {
		if page, err = s.readBackup(t.Context(), first.Backup, n); err != nil {
			t.Fatal(err)
		}
		again, err := s.readBackup(t.Context(), first.Backup, n)
		if err != nil || !bytes.Equal(again.Data, page.Data) {
			t.Errorf("page %d once more: %v", n, err)
		}
		if _, err := s.readBackup(t.Context(), first.Backup, n+2); !errors.Is(err, action.ErrNoBackup) {
			t.Errorf("a page too far: %v", err)
		}
		whole = append(whole, page.Data...)
	}
	b, err := backup.Open(bytes.NewReader(whole), func([]byte) (*seal.Sealer, error) { return s.sealer, nil })
	if err != nil || page.Records != len(want) {
		t.Fatalf("%d records, not %d: %v", page.Records, len(want), err)
	}
	for path, r := range want {
		if got, err := b.Get(t.Context(), path); err != nil || !bytes.Equal(got.Value, r.Value) {
			t.Errorf("%s: %v", path, err)
		}
	}
	now = now.Add(readingUnder)
	if _, err := s.readBackup(t.Context(), other.Backup, 1); !errors.Is(err, action.ErrNoBackup) {
		t.Errorf("one that nobody has asked for: %v", err)
	}
}
