package declare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"trent/internal/action"
)

// maxKeyFile bounds a credentials file, in bytes.
const maxKeyFile = 1 << 20

// KeyFile is where an access key file of a declaration is: a path that is not absolute
// begins where the declaration is.
func KeyFile(declaration, file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(filepath.Dir(declaration), file)
}

// WriteAccessKey adds an access key to a file in the form of the AWS SDKs' shared
// credentials file, with the name of the user as the profile, or for the second
// key of a user that name with -2. What the profile held before is replaced; other
// profiles stay. The file is made with mode 0600, and refused if others can read it.
// It returns when the key will survive.
func WriteAccessKey(path string, k action.DeclaredKey) error {
	before, err := readKeyFile(path)
	if err != nil {
		return err
	}
	profile := k.User
	if k.Other != "" && bytes.Contains(section(before, profile), []byte(k.Other)) {
		profile += "-2"
	}
	after := append(without(before, profile), "["+profile+"]\naws_access_key_id = "+k.ID+"\naws_secret_access_key = "...)
	after = append(append(after, k.Secret.Expose()...), '\n')
	defer clear(after)
	defer clear(before)
	return ReplaceFile(path, after)
}

// CheckKeyFile says why an access key could not be written to a file, before one is
// made.
func CheckKeyFile(path string) error {
	if _, err := readKeyFile(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".trent-*")
	if err != nil {
		return fmt.Errorf("the access key file %s cannot be written: %w", path, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > maxKeyFile:
		return nil, fmt.Errorf("the access key file %s is no credentials file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("the access key file %s can be read by others (mode %04o): run chmod 600 on it, or name another one", path, info.Mode().Perm())
	}
	return io.ReadAll(f)
}

// section is the text of a profile, or nothing.
func section(text []byte, profile string) (found []byte) {
	in := false
	for line := range bytes.Lines(text) {
		if name, ok := heading(line); ok {
			in = name == profile
		}
		if in {
			found = append(found, line...)
		}
	}
	return found
}

// without is the text but for a profile, ready for another one.
func without(text []byte, profile string) (rest []byte) {
	in := false
	for line := range bytes.Lines(text) {
		if name, ok := heading(line); ok {
			in = name == profile
		}
		if !in {
			rest = append(rest, line...)
		}
	}
	if len(rest) > 0 && rest[len(rest)-1] != '\n' {
		rest = append(rest, '\n')
	}
	return rest
}

func heading(line []byte) (profile string, ok bool) {
	t := strings.TrimSpace(string(line))
	if len(t) < 2 || t[0] != '[' || t[len(t)-1] != ']' {
		return "", false
	}
	return strings.TrimSpace(t[1 : len(t)-1]), true
}

// ReplaceFile writes a file beside the one that it then takes the place of, so that
// there is never half of one. os.CreateTemp makes it with mode 0600.
func ReplaceFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".trent-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
