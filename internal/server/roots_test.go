package server

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"trent/internal/config"
)

// twoRoots is a deployment with a file and a passphrase.
func twoRoots(t *testing.T) config.Store {
	t.Helper()
	dir := t.TempDir()
	phrase := filepath.Join(dir, "phrase")
	write(t, phrase, "correct horse battery staple\n")
	c := config.Store{Dir: filepath.Join(dir, "data"), Roots: []string{"file", "passphrase:" + phrase}}
	if err := Init(context.Background(), c, config.Init{Account: "111122223333", Partition: "aws"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return c
}

func openSaying(t *testing.T, c config.Store) (string, error) {
	t.Helper()
	var log bytes.Buffer
	s, err := Open(context.Background(), c, settingsFor("127.0.0.1:0"), slog.New(slog.NewTextHandler(&log, nil)), time.Now)
	if err == nil {
		err = s.Close()
	}
	return log.String(), err
}

// With two roots and one lost the store opens, and the log says with which and what is
// the matter with the other.
func TestOneOfTwoRootsIsLost(t *testing.T) {
	c := twoRoots(t)
	if log, err := openSaying(t, c); err != nil || !strings.Contains(log, "root=file:") || strings.Contains(log, "WARN") {
		t.Fatalf("both there: %v, %s", err, log)
	}
	remove(t, c.Dir+"/root.key")
	log, err := openSaying(t, c)
	if err != nil || !strings.Contains(log, "root=passphrase:main") || !strings.Contains(log, "root.key is missing") {
		t.Fatalf("file lost: %v, %s", err, log)
	}
	write(t, filepath.Join(filepath.Dir(c.Dir), "phrase"), "incorrect horse battery staple\n")
	if _, err := openSaying(t, c); err == nil || !strings.Contains(err.Error(), "root.key is missing") || !strings.Contains(err.Error(), "the passphrase is wrong") || strings.Contains(err.Error(), "horse") {
		t.Fatalf("both lost: %v", err)
	}
}

func admin(t *testing.T, c config.Store, act func(*RootAdmin)) {
	t.Helper()
	a, err := OpenRootAdmin(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	act(a)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRootAdmin(t *testing.T) {
	ctx, c := context.Background(), initDir(t)
	phrase := filepath.Join(t.TempDir(), "phrase")
	write(t, phrase, "correct horse battery staple\n")
	var first string
	admin(t, c, func(a *RootAdmin) {
		names, err := a.List(ctx)
		if err != nil || len(names) != 1 {
			t.Fatalf("%q, %v", names, err)
		}
		first = names[0]
		if err := a.Remove(ctx, first); err == nil || !strings.Contains(err.Error(), "last root of trust") {
			t.Errorf("the last root was removed: %v", err)
		}
		if name, err := a.Add(ctx, "passphrase:"+phrase); err != nil || name != "passphrase:main" {
			t.Fatalf("%s, %v", name, err)
		}
		if _, err := a.Add(ctx, "passphrase:"+phrase); err == nil {
			t.Error("one root was added twice")
		}
		if names, err = a.List(ctx); err != nil || !slices.Equal(names, []string{first, "passphrase:main"}) {
			t.Errorf("%q, %v", names, err)
		}
		// Only the file is at hand: what would open the store without it?
		if err := a.Remove(ctx, first); err == nil || !strings.Contains(err.Error(), "at hand") {
			t.Errorf("the only root at hand was removed: %v", err)
		}
	})
	c.Roots = []string{"file", "passphrase:" + phrase}
	admin(t, c, func(a *RootAdmin) {
		tests, err := a.Test(ctx)
		if err != nil || len(tests) != 2 || tests[0].Err != nil || tests[0].Name != first || tests[1].Name != "passphrase:main" {
			t.Errorf("%+v, %v", tests, err)
		}
		if err := a.Remove(ctx, first); err != nil {
			t.Error(err)
		}
		if tests, err = a.Test(ctx); err != nil || tests[0].Err == nil || tests[1].Err != nil {
			t.Errorf("%+v, %v", tests, err)
		}
	})
	c.Roots = c.Roots[1:]
	if _, err := openSaying(t, c); err != nil {
		t.Error(err)
	}
}

// Roots are changed while no server has the store.
func TestRootAdminHasTheStoreToItself(t *testing.T) {
	c := initDir(t)
	s, err := Open(context.Background(), c, settingsFor("127.0.0.1:0"), slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := OpenRootAdmin(c, s.log); err == nil || !strings.Contains(err.Error(), "no server runs") {
		t.Errorf("beside a server: %v", err)
	}
}

func TestUnknownRoots(t *testing.T) {
	for locator, want := range map[string]string{"fil": `no kind "fil"`, "": "write KIND", "file?mode=1": `no setting "mode"`, "passphrase:/none": "/none"} {
		c := initDir(t)
		c.Roots = []string{locator}
		if err := open(t, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", locator, err)
		}
	}
}

// A root that is lost while the server runs is told of once, and so is its return.
func TestProbeTellsOfChanges(t *testing.T) {
	c := twoRoots(t)
	var log bytes.Buffer
	s, err := Open(context.Background(), c, settingsFor("127.0.0.1:0"), slog.New(slog.NewTextHandler(&log, nil)), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	phrase, lost := filepath.Join(filepath.Dir(c.Dir), "phrase"), make(map[string]bool)
	for i, step := range []struct{ text, want string }{
		{"correct horse battery staple", ""},
		{"another one", "would not open the store at the next start"},
		{"another one", ""},
		{"correct horse battery staple", "opens the store again"},
		{"correct horse battery staple", ""},
	} {
		write(t, phrase, step.text)
		log.Reset()
		s.probeRootsOnce(lost)
		if got := log.String(); step.want == "" && got != "" || !strings.Contains(got, step.want) {
			t.Errorf("step %d: %s", i, got)
		}
	}
}
