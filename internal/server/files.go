// Package server puts the rooms together: from a data directory and settings to
// a server that answers. It is the one place that names concrete stores and
// roots of trust.
package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"trent/internal/config"
	"trent/internal/durable"
)

// Files of a data directory.
const (
	rootName        = "root.key"
	storeName       = "trent.db"
	auditName       = "audit.log"
	credentialsName = "admin.credentials"

	// While an initialisation is under way this file stands in the directory. It
	// goes last, so that what was cut off can be told from what was lost.
	unfinishedName = "init.unfinished"
)

// files are the paths of one deployment. For a store in a cluster, which is no file, store is
// what errors call it.
type files struct {
	dir, root, store, audit, credentials, unfinished string
}

func filesOf(c config.Store) files {
	f := files{
		dir: c.Dir, root: c.RootKey, store: filepath.Join(c.Dir, storeName), audit: filepath.Join(c.Dir, auditName),
		credentials: filepath.Join(c.Dir, credentialsName), unfinished: filepath.Join(c.Dir, unfinishedName),
	}
	if f.root == "" {
		f.root = filepath.Join(c.Dir, rootName)
	}
	if c.Kind == etcdKind {
		f.store = clusterPlace(c)
	}
	return f
}

// CredentialsFile is where Init leaves the first administrator's access key.
func CredentialsFile(c config.Store) string { return filesOf(c).credentials }

// exists reports whether something stands at path, whatever it is.
func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// checkDir refuses a data directory that others can look into.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the data directory %s does not exist: make one with trent init --dir %s", dir, dir)
	case err != nil:
		return fmt.Errorf("look at the data directory: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("the data directory %s is open to others (mode %04o): run chmod 700 on it", dir, info.Mode().Perm())
	}
	return nil
}

// writeDurably writes a new file with mode 0600 and returns when it will
// survive: content first, then the name.
func writeDurably(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	return errors.Join(f.Sync(), durable.SyncDir(filepath.Dir(path)))
}
