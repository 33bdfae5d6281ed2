package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/bbolt"

	"trent/internal/durable"
)

// What a new file has in it: see docs/spec/store-bolt.md.
const (
	pageSize = 4096
	format   = 1

	// bbolt splits a full page so that the first part is filled to this share.
	// Paths come in random order, so half is best: pages are 68 % full on the
	// whole, against 65 % with 0.7 here and 51 % with 0.9.
	fillPercent = 0.5
)

var (
	storeBucket   = []byte("trent")
	recordsBucket = []byte("records")
	formatKey     = []byte("format")
)

// create makes an empty store at path. bbolt writes its first pages in place,
// and a crash halfway would leave a file that can be neither used nor created
// again; so the file gets its name when it is whole. These system calls, in
// this order:
//
//	openat(NAME.new-RANDOM, O_RDWR|O_CREAT|O_EXCL, 0600)
//	flock(LOCK_EX|LOCK_NB)
//	pwrite64, fdatasync              bbolt's first four pages
//	ftruncate, fsync                 room for more
//	pwrite64 twice, fdatasync        the buckets
//	pwrite64, fdatasync              the meta page
//	fsync                            the size, for one
//	flock(LOCK_UN), close
//	linkat(NAME.new-RANDOM, NAME)    fails if NAME is anything at all
//	unlinkat(NAME.new-RANDOM)
//	openat(DIR), fsync, close        the name
//
// A crash before the end may leave a NAME.new-RANDOM, which nobody reads.
func create(path string) error {
	err := place(path)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s cannot be created: something of that name is there already, and is left alone: %w", path, fs.ErrExist)
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("%s cannot be created: %w", path, err)
	}
	return nil
}

// place writes the file under a name of its own and then gives it the right
// one. A link, unlike a rename, never replaces what has that name.
func place(path string) error {
	draft, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	err = initialise(draft)
	if err == nil {
		err = os.Link(draft.Name(), path)
	}
	return errors.Join(err, os.Remove(draft.Name()))
}

// initialise writes an empty store to an empty file, syncs it, and closes it in
// any case: bbolt.Open does if it fails.
func initialise(file *os.File) error {
	db, err := bbolt.Open(file.Name(), 0, &bbolt.Options{
		OpenFile: func(string, int, os.FileMode) (*os.File, error) { return file, nil },
		PageSize: pageSize,
	})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(storeBucket)
		if err != nil {
			return err
		}
		if err := meta.Put(formatKey, []byte{format}); err != nil {
			return err
		}
		_, err = tx.CreateBucket(recordsBucket)
		return err
	})
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, db.Close())
}

// openFile opens the store file at path, locks it and checks it.
func openFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not exist: initialise a new store, or restore a backup, first: %w", path, fs.ErrNotExist)
	case errors.Is(err, syscall.ELOOP):
		return nil, fmt.Errorf("%s is a symbolic link: name the file itself", path)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be opened: %w", path, err)
	}
	if err := admit(path, file); err != nil {
		_ = unlockAndClose(file)
		return nil, err
	}
	return file, nil
}

// unlockAndClose lets go of a store file. Closing alone would not unlock it as
// long as bbolt has it mapped.
func unlockAndClose(file *os.File) error {
	unlock := syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
	return errors.Join(unlock, file.Close())
}

// admit refuses what bbolt must not touch.
func admit(path string, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("%s cannot be opened: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: name the store file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s is open to other users (mode %04o): run chmod 600 on it", path, mode)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fmt.Errorf("%s is locked: another trent is running on this directory; stop it first", path)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be locked: %w", path, err)
	}
	return inspect(path, file, info.Size())
}
