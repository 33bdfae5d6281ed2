package declare_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trent/internal/action"
	"trent/internal/declare"
	"trent/internal/secret"
)

func declared(user, id, other string) action.DeclaredKey {
	return action.DeclaredKey{User: user, ID: id, Secret: secret.New([]byte("secret of " + id)), Other: other}
}

func TestAccessKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	write := func(k action.DeclaredKey) {
		t.Helper()
		if err := declare.WriteAccessKey(path, k); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want string) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
	}
	profile := func(name, id string) string {
		return "[" + name + "]\naws_access_key_id = " + id + "\naws_secret_access_key = secret of " + id + "\n"
	}
	write(declared("app", "AKIA1", ""))
	check(profile("app", "AKIA1"))
	write(declared("web", "AKIA2", ""))
	check(profile("app", "AKIA1") + profile("web", "AKIA2"))
	// The second key of a user, while the first is in the file.
	write(declared("app", "AKIA3", "AKIA1"))
	check(profile("app", "AKIA1") + profile("web", "AKIA2") + profile("app-2", "AKIA3"))
	// The first was deleted and is made anew: its profile holds a key that is gone.
	write(declared("app", "AKIA4", "AKIA3"))
	check(profile("web", "AKIA2") + profile("app-2", "AKIA3") + profile("app", "AKIA4"))
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".trent-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAccessKeyFileKeepsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials")
	const mine = "# mine\n[default]\naws_access_key_id = AKIA0"
	if err := os.WriteFile(path, []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := declare.WriteAccessKey(path, declared("app", "AKIA1", "")); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(path); !strings.HasPrefix(string(got), mine+"\n[app]\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestAccessKeyFilesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		open:                               "can be read by others (mode 0644): run chmod 600 on it",
		dir:                                "is no credentials file",
		filepath.Join(dir, "no", "folder"): "no such file",
	} {
		for _, err := range []error{declare.CheckKeyFile(path), declare.WriteAccessKey(path, declared("app", "AKIA1", ""))} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if err := declare.CheckKeyFile(filepath.Join(dir, "new")); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
