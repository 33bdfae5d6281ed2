// Package bolt keeps records in one embedded file, through bbolt.
//
// One caller of Commit at a time is the committer. It takes every batch that
// waits besides its own, applies them in one transaction of bbolt, and
// acknowledges them after the one sync that they share. A lone batch is not
// kept waiting for company, nor handed to another goroutine.
//
// Reads see durable state only. bbolt shows a new commit to readers as soon as
// its meta page is written, which is before it is synced: a reader could use a
// key that a power cut then takes away. So all reads share one read
// transaction, the snapshot, which the committer moves on after each sync.
//
// The file is not trusted to be well formed: see inspect.go. Its layout is in
// docs/spec/store-bolt.md.
package bolt

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"go.etcd.io/bbolt"

	"trent/internal/store"
)

// DefaultMaxSize is how large a file may grow unless Options say otherwise, in
// bytes.
const DefaultMaxSize = 64 << 30

// ErrDamaged is in the chain of every error that comes of a file whose content
// is not what a store writes.
var ErrDamaged = errors.New("the store file is damaged")

// Options tune a store. The zero value is fine.
type Options struct {
	// MaxSize is how large the file may grow, in bytes; zero means
	// DefaultMaxSize. As much address space (not memory) is reserved. A
	// commit that needs more fails, and turns the store read-only.
	MaxSize int
}

// Store is a store.Store in one file.
type Store struct {
	path string
	file *os.File // the descriptor that db uses, and closes
	db   *bbolt.DB

	queue   chan *pending // unbuffered: what was sent, the committer has taken
	lead    chan struct{} // holds one token while there is a committer
	closing chan struct{} // closed by Close
	close   sync.Once

	// Of the committer alone.
	broken bool // a commit failed: no more of them
	wedged bool // it failed by a panic: bbolt's locks may be held for ever

	// mu guards what follows. Readers hold it shared while they use the snapshot, the
	// committer holds it alone to move the snapshot on and to tell the
	// watchers in the same breath. Nothing under it waits for the disk, a read
	// that has to fault a page in excepted.
	mu       sync.RWMutex
	closed   bool
	seen     snapshot
	past     history
	watchers map[*watcher]struct{}
	held     map[*held]struct{}
}

// Create makes a new store at path and opens it. It refuses if anything
// is there already.
func Create(path string, opts Options) (*Store, error) {
	if err := create(path); err != nil {
		return nil, fmt.Errorf("store/bolt: %w", err)
	}
	return Open(path, opts)
}

// Open opens the store at path, and never creates one. The error says what is
// wrong with the file and what to do about it; ErrDamaged is in its chain if
// the content is at fault.
func Open(path string, opts Options) (*Store, error) {
	file, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("store/bolt: %w", err)
	}
	s, err := start(path, file, opts)
	if err != nil {
		_ = unlockAndClose(file) // a second time, perhaps, if bbolt did: no harm
		return nil, fmt.Errorf("store/bolt: %w", err)
	}
	return s, nil
}

// start hands a checked file to bbolt.
func start(path string, file *os.File, opts Options) (*Store, error) {
	db, err := openDB(path, file, opts)
	if err != nil {
		return nil, err
	}
	s := &Store{
		path:     path,
		file:     file,
		db:       db,
		queue:    make(chan *pending),
		lead:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
		watchers: make(map[*watcher]struct{}),
		held:     make(map[*held]struct{}),
	}
	err = guard(path, func() error {
		if err := checkFormat(path, db); err != nil {
			return err
		}
		s.seen, err = takeSnapshot(db)
		return err
	})
	if err != nil {
		return nil, err // and leave db: after a panic its Close may never return
	}
	s.past.from = s.seen.rev
	return s, nil
}

// openDB opens bbolt on a file that is open, locked and checked.
func openDB(path string, file *os.File, opts Options) (*bbolt.DB, error) {
	size := opts.MaxSize
	if size == 0 {
		size = DefaultMaxSize
	}
	var db *bbolt.DB
	err := guard(path, func() (err error) {
		db, err = bbolt.Open(path, 0, &bbolt.Options{
			// The descriptor that was checked, not whatever has the name now.
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return file, nil },
			// The snapshot is a read transaction that is always open, and bbolt
			// cannot map anew under one: so all that there may ever be is mapped
			// at once, and MaxSize makes growing beyond it an error.
			InitialMmapSize: size,
			MaxSize:         size,
			FreelistType:    bbolt.FreelistMapType,
			// The free list is written with each commit (the default), so that
			// opening need not walk the whole tree to find it.
			NoStatistics: true,
		})
		return err
	})
	if err != nil && !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%s cannot be opened: %w", path, err)
	}
	return db, err
}

// Close implements store.Store. Batches that the committer has taken are
// finished, those that wait get ErrClosed, watchers' channels close.
func (s *Store) Close() error {
	err := store.ErrClosed
	s.close.Do(func() {
		close(s.closing)
		s.lead <- struct{}{} // waits for the committer, and is the last one
		s.closeReads()
		err = s.closeDB()
	})
	return err
}

// closeReads waits for the readers and lets go of their transactions, for which
// bbolt's own Close would wait for ever.
func (s *Store) closeReads() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for w := range s.watchers {
		s.drop(w)
	}
	for h := range s.held {
		delete(s.held, h)
		h.release()
	}
	s.seen.release()
}

func (s *Store) closeDB() error {
	if s.wedged {
		// bbolt's Close would wait for a lock that the panic left held. The
		// mapping of the file leaks; there is no harm in that but its size.
		return unlockAndClose(s.file)
	}
	return s.db.Close()
}
