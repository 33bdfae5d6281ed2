package audit

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A file that was renamed or deleted is written to for less than a second, and
// never again once it is known.
func TestSEC_E13_Rotation(t *testing.T) {
	for name, away := range map[string]func(path string) error{
		"renamed": func(p string) error { return os.Rename(p, p+".1") },
		"deleted": os.Remove,
		"replaced": func(p string) error {
			return errors.Join(os.Rename(p, p+".1"), os.WriteFile(p, []byte("torn"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, true)
			now := noon
			f.clock = func() time.Time { return now }
			appendAll(t, f, "one\n")
			if err := away(f.path); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Second)
			appendAll(t, f, "two\n", "three\n")
			want := "two\nthree\n"
			if name == "replaced" {
				want = "torn\n" + want
			}
			if got := contents(t, f.path); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			if name != "deleted" && contents(t, f.path+".1") != "one\n" {
				t.Errorf("the old file: %q", contents(t, f.path+".1"))
			}
			if info, err := os.Stat(f.path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", info.Mode(), err)
			}
		})
	}
	t.Run("nothing to follow to", func(t *testing.T) {
		f := open(t, false)
		now := noon
		f.clock = func() time.Time { return now }
		appendAll(t, f, "one\n")
		if err := errors.Join(os.Rename(f.path, f.path+".1"), os.Symlink(f.path+".1", f.path)); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		for range 3 {
			if err := f.Append([]byte("lost\n")); !errors.Is(err, syscall.ELOOP) {
				t.Errorf("written to a file that is known to be the wrong one: %v", err)
			}
		}
		if err := os.Remove(f.path); err != nil {
			t.Fatal(err)
		}
		appendAll(t, f, "two\n")
		if contents(t, f.path) != "two\n" || contents(t, f.path+".1") != "one\n" {
			t.Errorf("%q, %q", contents(t, f.path), contents(t, f.path+".1"))
		}
	})
}

// What is no file of its owner's alone is refused.
func TestSEC_E14_Permissions(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"readable by others":   func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Chmod(p, 0o604)) },
		"writable by a group":  func(p string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Chmod(p, 0o620)) },
		"symbolic link":        func(p string) error { return errors.Join(os.WriteFile(p+".1", nil, 0o600), os.Symlink(p+".1", p)) },
		"dangling link":        func(p string) error { return os.Symlink(p+".1", p) },
		"pipe":                 func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"directory":            func(p string) error { return os.Mkdir(p, 0o700) },
		"in no such directory": func(p string) error { return os.Remove(filepath.Dir(p)) },
	} {
		path := filepath.Join(t.TempDir(), "logs", "audit.log")
		if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), make(path)); err != nil {
			t.Fatal(err)
		}
		if f, err := OpenFile(path, false); err == nil {
			t.Errorf("%s: opened", name)
			_ = f.Close()
		}
	}
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	f := open(t, false)
	if info, err := os.Stat(f.path); err != nil || info.Mode() != 0o600 {
		t.Errorf("a new file has mode %v (%v)", info.Mode(), err)
	}
}

// A power cut leaves half a line. The next one begins on a line of its own.
func TestHalfALineOfAnEarlierLife(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	for before, want := range map[string]string{
		"":                      "next\n",
		"one\n":                 "one\nnext\n",
		"one\n{\"v\":1,\"ti":    "one\n{\"v\":1,\"ti\nnext\n",
		"one\n\x00\x00\x00\x00": "one\n\x00\x00\x00\x00\nnext\n",
	} {
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := OpenFile(path, false)
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, f, "next\n")
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, path); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
