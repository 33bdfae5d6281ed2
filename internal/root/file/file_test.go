package file_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trent/internal/root"
	"trent/internal/root/file"
	"trent/internal/root/roottest"
)

func TestSuite(t *testing.T) {
	var path string
	roottest.Run(t, func(t *testing.T) root.Root {
		path = filepath.Join(t.TempDir(), "root.key")
		r, err := file.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}, func(t *testing.T) root.Root {
		r, err := file.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	})
}

// A root of trust that is not just right is refused, and the refusal tells the
// operator which file it is and what is wrong.
func TestSEC_E14_OpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if _, err := file.Create(good); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(good)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("created with mode %v (%v)", info.Mode(), err)
	}
	flipped := []byte(string(text))
	at := strings.LastIndex(string(text), ":") + 5
	flipped[at] = map[bool]byte{true: 'B', false: 'A'}[flipped[at] == 'A']
	for _, c := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"others", string(text), 0o640, "can be read by others"},
		{"world", string(text), 0o604, "can be read by others"},
		{"empty", "", 0o600, "there is no key line"},
		{"flipped", string(flipped), 0o600, "checksum"},
		{"cut", string(text[:len(text)-8]), 0o600, "32 bytes of base64"},
		{"foreign", "-----BEGIN PRIVATE KEY-----\n", 0o600, "does not start with"},
		{"newer", strings.Replace(string(text), "v1", "v2", 1), 0o600, "does not start with"},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		_, err := file.Open(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want %q and the path", c.name, err, c.want)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Open(link); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a link was followed: %v", err)
	}
	if _, err := file.Open(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := file.Create(good); err == nil || !strings.Contains(err.Error(), "never overwritten") {
		t.Errorf("an existing root was overwritten: %v", err)
	}
}
