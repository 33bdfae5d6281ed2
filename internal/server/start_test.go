package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trent/internal/config"
)

// settingsFor is a serve configuration for tests.
func settingsFor(listen string) config.Serve {
	return config.Serve{
		Listen: listen, Regions: []string{"*"}, CacheKeys: 1024, HeaderTimeout: time.Second, RequestTimeout: time.Second,
		IdleTimeout: time.Second, MaxConnections: 64, ShutdownGrace: time.Second,
		AttestationMaxAge: 5 * time.Minute, AttestationSkew: time.Minute,
	}
}

func initDir(t *testing.T) config.Store {
	t.Helper()
	c := config.Store{Dir: filepath.Join(t.TempDir(), "data")}
	if err := Init(context.Background(), c, config.Init{Account: "111122223333", Partition: "aws"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, c config.Store) error {
	t.Helper()
	s, err := Open(context.Background(), c, settingsFor("127.0.0.1:0"), slog.New(slog.DiscardHandler), time.Now)
	if err == nil {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return err
}

// Starting on a surprise is refused, with the file and what to do, and nothing
// is made in the place of what is missing.
func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		want  []string // parts of the refusal
	}{
		{"no directory", func(t *testing.T, dir string) { remove(t, dir) }, []string{"does not exist", "trent init"}},
		{"directory open to others", func(t *testing.T, dir string) { chmod(t, dir, 0o755) }, []string{"open to others", "chmod 700"}},
		{"no root of trust", func(t *testing.T, dir string) { remove(t, dir+"/root.key") }, []string{"root.key", "is missing", "put it back"}},
		{"root readable by others", func(t *testing.T, dir string) { chmod(t, dir+"/root.key", 0o644) }, []string{"root.key", "can be read by others", "chmod 600"}},
		{"root damaged", func(t *testing.T, dir string) { write(t, dir+"/root.key", "trent-root-v1:00:AAAA\n") }, []string{"root.key", "damaged", "put it back"}},
		{"root of another deployment", func(t *testing.T, dir string) {
			other := initDir(t)
			text, err := os.ReadFile(other.Dir + "/root.key")
			if err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/root.key", string(text))
		}, []string{"root.key", "does not open", "trent.db", "another root of trust"}},
		{"no store", func(t *testing.T, dir string) { remove(t, dir+"/trent.db") }, []string{"trent.db", "is missing", "backup"}},
		{"store is something else", func(t *testing.T, dir string) { write(t, dir+"/trent.db", strings.Repeat("not a store\n", 5000)) }, []string{"trent.db"}},
		{"store cut", func(t *testing.T, dir string) {
			if err := os.Truncate(dir+"/trent.db", 5000); err != nil {
				t.Fatal(err)
			}
		}, []string{"trent.db"}},
		{"store readable by others", func(t *testing.T, dir string) { chmod(t, dir+"/trent.db", 0o640) }, []string{"trent.db"}},
		{"audit readable by others", func(t *testing.T, dir string) { write(t, dir+"/audit.log", ""); chmod(t, dir+"/audit.log", 0o644) }, []string{"audit.log", "chmod 600"}},
		{"initialisation cut off", func(t *testing.T, dir string) { write(t, dir+"/init.unfinished", "") }, []string{"interrupted", "trent init"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := initDir(t)
			c.spoil(t, d.Dir)
			before := listing(d.Dir)
			err := open(t, d)
			if err == nil {
				t.Fatal("it started")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if after := listing(d.Dir); after != before {
				t.Errorf("the directory held %s and now %s", before, after)
			}
		})
	}
}

// A deployment that is there, whole or in part, is never replaced.
func TestInitNeverReplaces(t *testing.T) {
	for _, missing := range []string{"", "root.key", "trent.db", "admin.credentials"} {
		d := initDir(t)
		if missing != "" {
			remove(t, d.Dir+"/"+missing)
		}
		before := listing(d.Dir)
		err := Init(context.Background(), d, config.Init{Account: "111122223333", Partition: "aws"}, time.Now())
		if !errors.Is(err, ErrInitialised) {
			t.Errorf("without %q: %v", missing, err)
		}
		if after := listing(d.Dir); after != before {
			t.Errorf("without %q: held %s and now %s", missing, before, after)
		}
	}
}

// What an interrupted initialisation left is cleared by the next one.
func TestInitGoesOnAfterAnInterruption(t *testing.T) {
	d := initDir(t)
	remove(t, d.Dir+"/trent.db")
	write(t, d.Dir+"/init.unfinished", "")
	if err := Init(context.Background(), d, config.Init{Account: "111122223333", Partition: "aws"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := open(t, d); err != nil {
		t.Fatal(err)
	}
}

func TestInitRefusesBadAccounts(t *testing.T) {
	for _, account := range []string{"", "1111", "11112222333a", "1111222233334"} {
		d := config.Store{Dir: filepath.Join(t.TempDir(), "data")}
		if err := Init(context.Background(), d, config.Init{Account: account, Partition: "aws"}, time.Now()); err == nil {
			t.Errorf("account %q was taken", account)
		}
	}
}

// Data keys do not cross a network in clear, unless the operator says so.
func TestListenRefusesPlaintextBeyondLoopback(t *testing.T) {
	d := initDir(t)
	for listen, want := range map[string]bool{"127.0.0.1:0": true, "[::1]:0": true, "localhost:0": true, "0.0.0.0:0": false, ":0": false} {
		s, err := Open(context.Background(), d, settingsFor(listen), slog.New(slog.DiscardHandler), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.checkListen(); (err == nil) != want {
			t.Errorf("%s: %v", listen, err)
		}
		s.config.InsecurePlaintext = true
		if err := s.checkListen(); err != nil {
			t.Errorf("%s, allowed: %v", listen, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLSFilesGoTogether(t *testing.T) {
	d := initDir(t)
	o := settingsFor("127.0.0.1:0")
	o.TLSCert = "cert.pem"
	if _, err := Open(context.Background(), d, o, slog.New(slog.DiscardHandler), time.Now); err == nil || !strings.Contains(err.Error(), "go together") {
		t.Errorf("half a pair: %v", err)
	}
	o.TLSKey = "key.pem"
	if _, err := Open(context.Background(), d, o, slog.New(slog.DiscardHandler), time.Now); err == nil || !strings.Contains(err.Error(), "cert.pem") {
		t.Errorf("no such files: %v", err)
	}
}

func TestFilesAreClosedToOthers(t *testing.T) {
	d := initDir(t)
	if err := open(t, d); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"root.key", "trent.db", "admin.credentials", "audit.log"} {
		info, err := os.Stat(filepath.Join(d.Dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(d.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v %v", info.Mode(), err)
	}
}

func listing(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
