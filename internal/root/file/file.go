// Package file is the root of trust that is a file: 32 random bytes, as text,
// readable by their owner alone. Whoever has this file and the store has every
// key; whoever lost it has none. docs/spec/root-file.md has the format.
package file

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"trent/internal/durable"
	"trent/internal/root"
	"trent/internal/root/kek"
	"trent/internal/secret"
)

const (
	magic   = "trent-root-v1"
	maxSize = 4096
	notice  = `# Trent root of trust. Whoever has this file and the store has every key in it.
# Keep a copy in a safe place: without it the store cannot be opened by anyone.
`
)

// Root implements root.Root.
type Root struct {
	id  string
	key kek.Key
}

// Create makes a new root file with mode 0600. It refuses where anything
// stands already, and returns when the file is durable.
func Create(path string) (*Root, error) {
	key := make([]byte, root.KeySize)
	rand.Read(key)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists already; a root of trust is never overwritten", path)
	} else if err != nil {
		return nil, fmt.Errorf("create the root of trust: %w", err)
	}
	defer f.Close()
	if _, err := f.WriteString(notice + magic + ":" + idOf(key) + ":" + base64.StdEncoding.EncodeToString(key) + "\n"); err != nil {
		return nil, fmt.Errorf("write the root of trust: %w", err)
	}
	// The name must survive as surely as the content: sync the file, then its folder.
	if err := errors.Join(f.Sync(), durable.SyncDir(filepath.Dir(path))); err != nil {
		return nil, fmt.Errorf("make the root of trust durable: %w", err)
	}
	return newRoot(key)
}

// Open reads a root file. Its errors say which file, what is wrong with it and
// what to do.
func Open(path string) (*Root, error) {
	// O_NOFOLLOW: a link could lead to a file that somebody else controls.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the root of trust %s is missing: put it back from your copy. Without it the store cannot be opened, and a new one would not open it either", path)
	case errors.Is(err, syscall.ELOOP):
		return nil, fmt.Errorf("the root of trust %s is a symbolic link: name the file itself", path)
	case err != nil:
		return nil, fmt.Errorf("read the root of trust: %w", err)
	}
	defer f.Close()
	if err := checkMode(f); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return nil, fmt.Errorf("read the root of trust: %w", err)
	}
	key, err := parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("the root of trust %s is damaged (%w): put it back from your copy", path, err)
	}
	return newRoot(key)
}

func checkMode(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read the root of trust: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the root of trust %s is not a regular file", f.Name())
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("the root of trust %s can be read by others (mode %04o): consider it known, and run chmod 600 on it if you are sure that it is not", f.Name(), perm)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() && os.Geteuid() != 0 {
		return fmt.Errorf("the root of trust %s belongs to user %d, not to the user that runs Trent", f.Name(), st.Uid)
	}
	return nil
}

func parse(text string) ([]byte, error) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		version, rest, _ := strings.Cut(line, ":")
		id, encoded, ok := strings.Cut(rest, ":")
		if version != magic || !ok {
			return nil, errors.New("its key line does not start with " + magic)
		}
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(key) != root.KeySize {
			return nil, errors.New("its key is not 32 bytes of base64")
		}
		if idOf(key) != id {
			return nil, errors.New("its checksum does not match its key")
		}
		return key, nil
	}
	return nil, errors.New("there is no key line in it")
}

// idOf names a key without telling anything of it. It is a checksum as well.
func idOf(key []byte) string {
	return kek.Name("trent root file id v1", key)
}

func newRoot(key []byte) (*Root, error) {
	k, err := kek.New(key)
	if err != nil {
		return nil, fmt.Errorf("root file: %w", err)
	}
	return &Root{id: "file:" + idOf(key), key: k}, nil
}

// ID implements root.Root.
func (r *Root) ID() string { return r.id }

// Wrap implements root.Root.
func (r *Root) Wrap(_ context.Context, key secret.Bytes, aad []byte) ([]byte, error) {
	return r.key.Wrap(nil, key, aad), nil
}

// Unwrap implements root.Root.
func (r *Root) Unwrap(_ context.Context, blob, aad []byte) (secret.Bytes, error) {
	return r.key.Unwrap(blob, aad)
}
