// Package durable makes what was done to a directory survive a power cut.
package durable

import (
	"errors"
	"fmt"
	"os"
)

// SyncDir returns when the entries of a directory (files that were made in it, renamed or removed) are on
// disk. To sync a file alone does not make its name stay (fsync(2)).
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return fmt.Errorf("sync the directory %s: %w", dir, err)
	}
	return nil
}
