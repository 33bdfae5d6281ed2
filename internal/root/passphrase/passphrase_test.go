package passphrase_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"trent/internal/root"
	"trent/internal/root/passphrase"
	"trent/internal/root/roottest"
	"trent/internal/secret"
)

// cheap is the least that is allowed.
var cheap = passphrase.Cost{Memory: 13, Passes: 1, Lanes: 1, Iterations: 100_000}

func phrase(text string) secret.Bytes { return secret.New([]byte(text)) }

func open(t *testing.T, text string, cost passphrase.Cost) *passphrase.Root {
	t.Helper()
	r, err := passphrase.New("main", phrase(text), cost)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSuite(t *testing.T) {
	var text string
	roottest.Run(t, func(t *testing.T) root.Root {
		text += "correct horse battery staple "
		return open(t, text, cheap)
	}, func(t *testing.T) root.Root { return open(t, text, passphrase.DefaultCost()) })
}

func TestWrongPassphrase(t *testing.T) {
	ctx, aad := context.Background(), []byte("aad")
	blob, err := open(t, "correct horse battery", cheap).Wrap(ctx, phrase(strings.Repeat("k", root.KeySize)), aad)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"correct horse batterz", "correct horse battery ", "Correct horse battery"} {
		_, err := open(t, wrong, cheap).Unwrap(ctx, blob, aad)
		if !errors.Is(err, root.ErrBadData) || !strings.Contains(err.Error(), "the passphrase is wrong") || strings.Contains(err.Error(), wrong) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// Whoever owns the disk cannot make a start take all memory, nor make the passphrase
// cheap to try for who listens.
func TestCostFromTheStoreIsBounded(t *testing.T) {
	ctx, aad := context.Background(), []byte("aad")
	r := open(t, "correct horse battery", cheap)
	blob, err := r.Wrap(ctx, phrase(strings.Repeat("k", root.KeySize)), aad)
	if err != nil {
		t.Fatal(err)
	}
	pbkdf2 := func(n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{2}, n) }
	for name, header := range map[string][]byte{
		"much memory": {1, 21, 1, 1, 0}, "little memory": {1, 12, 1, 1, 0}, "no memory": {1, 0, 1, 1, 0}, "all of it": {1, 255, 255, 255, 255},
		"no pass": {1, 13, 0, 1, 0}, "many passes": {1, 13, 17, 1, 0}, "no lane": {1, 13, 1, 0, 0}, "many lanes": {1, 13, 1, 17, 0},
		"reserved": {1, 13, 1, 1, 1}, "unknown": {3, 13, 1, 1, 0}, "none": {0, 13, 1, 1, 0},
		"few iterations": pbkdf2(99_999), "many iterations": pbkdf2(10_000_001), "most iterations": pbkdf2(1<<32 - 1),
	} {
		bad := bytes.Clone(blob)
		copy(bad[1:], header)
		if _, err := r.Unwrap(ctx, bad, aad); !errors.Is(err, root.ErrBadData) || !strings.Contains(err.Error(), "out of bounds") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func locator(t *testing.T, text string) root.Locator {
	t.Helper()
	l, err := root.ParseLocator(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFromFile(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, content string
		mode          os.FileMode
		opens, makes  bool
	}{
		{"good", "correct horse battery\n", 0o600, true, true},
		{"windows", "correct horse battery\r\n", 0o600, true, true},
		{"short", "correct horse\n", 0o600, true, false},
		{"empty", "\n", 0o600, false, false},
		{"lines", "correct horse\nbattery staple\n", 0o600, false, false},
		{"zero", "correct horse\x00battery staple", 0o600, false, false},
		{"long", strings.Repeat("a", passphrase.MaxLength+1), 0o600, false, false},
		{"longest", strings.Repeat("a", passphrase.MaxLength), 0o600, true, true},
		{"others", "correct horse battery\n", 0o640, false, false},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		r, err := passphrase.Open(locator(t, "passphrase:"+path+"?name=ops"))
		if (err == nil) != c.opens || err == nil && r.ID() != "passphrase:ops" {
			t.Errorf("open %s: %v", c.name, err)
		}
		if _, err := passphrase.Create(locator(t, "passphrase:"+path)); (err == nil) != c.makes {
			t.Errorf("create %s: %v", c.name, err)
		}
	}
	for _, bad := range []string{"passphrase:" + dir + "/none", "passphrase?fd=x", "passphrase:a?fd=3", "passphrase?value=secret", "passphrase:" + dir + "/good?name=A"} {
		if _, err := passphrase.Open(locator(t, bad)); err == nil {
			t.Errorf("%s was opened", bad)
		}
	}
}

func TestFromFileDescriptor(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteString("correct horse battery\n"); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fd, err := syscall.Dup(int(r.Fd())) // Open closes what it was given
	if err != nil {
		t.Fatal(err)
	}
	got, err := passphrase.Open(locator(t, "passphrase?fd="+strconv.Itoa(fd)))
	if err != nil || got.ID() != "passphrase:main" {
		t.Fatal(err)
	}
	blob, err := open(t, "correct horse battery", cheap).Wrap(context.Background(), phrase(strings.Repeat("k", root.KeySize)), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.Unwrap(context.Background(), blob, nil); err != nil {
		t.Error(err)
	}
}
