package anchor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"trent/internal/durable"
	"trent/internal/root"
)

// A file is an anchor on another volume than the store. One node at a time may write to it.
type file string

func openFile(l root.Locator) (place, error) {
	if err := l.Only(); err != nil {
		return nil, err
	}
	if l.Place == "" {
		return nil, errors.New("name a file on another volume than the store, file:/mnt/other/trent.anchor")
	}
	return file(l.Place), nil
}

func (f file) pace() time.Duration { return 2 * time.Second }

func (f file) read(context.Context) ([]byte, string, error) {
	in, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		// That the volume is not mounted must not look like a new anchor.
		if _, err := os.Stat(filepath.Dir(string(f))); err != nil {
			return nil, "", err
		}
		return nil, "", nil
	} else if err != nil {
		return nil, "", err
	}
	defer in.Close()
	value, err := io.ReadAll(io.LimitReader(in, maxValue+1))
	if err == nil && len(value) > maxValue {
		err = fmt.Errorf("%s is no anchor: it has more than %d bytes", f, maxValue)
	}
	sum := sha256.Sum256(value)
	return value, hex.EncodeToString(sum[:]), err
}

// write puts a new file into the place of the old one, and syncs both it and its name.
func (f file) write(ctx context.Context, value []byte, was string) error {
	if _, now, err := f.read(ctx); err != nil || now != was {
		return errors.Join(err, errMoved)
	}
	dir := filepath.Dir(string(f))
	draft, err := os.CreateTemp(dir, filepath.Base(string(f))+".new-*")
	if err != nil {
		return err
	}
	_, err = draft.Write(value)
	err = errors.Join(err, draft.Sync(), draft.Close())
	if err == nil {
		err = os.Rename(draft.Name(), string(f))
	}
	if err != nil {
		return errors.Join(err, os.Remove(draft.Name()))
	}
	return durable.SyncDir(dir)
}
