package server

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"sync"
	"time"

	"trent/internal/action"
	"trent/internal/backup"
)

// Bounds of backups that clients read page by page. Each holds the store's snapshot of its beginning.
const (
	maxReadings  = 2
	readingUnder = time.Minute // without a question: it is dropped
	readingPage  = 512 << 10   // bytes
)

// readings are the backups that are being read.
type readings struct {
	mu  sync.Mutex
	all []*reading
}

// A reading is a backup that is written as fast as it is read.
type reading struct {
	id     string
	stream *io.PipeReader
	ended  chan int // gets the number of records when all is written
	asked  time.Time

	mu     sync.Mutex
	newest action.BackupPage // that was given
	page   int               // its number; -1: none was
}

// readBackup is a page of a backup, which begins where no id is given.
func (s *Server) readBackup(ctx context.Context, id string, page int) (action.BackupPage, error) {
	now := s.now()
	s.reading.dropUnused(now)
	var r *reading
	var err error
	if id == "" {
		if page != 0 {
			return action.BackupPage{}, action.ErrNoBackup
		}
		r, err = s.beginReading(ctx, now)
	} else {
		r, err = s.reading.find(id, now)
	}
	if err != nil {
		return action.BackupPage{}, err
	}
	p, err := r.read(page)
	if err != nil && !errors.Is(err, action.ErrNoBackup) {
		s.reading.drop(func(other *reading) bool { return other == r })
	}
	return p, err
}

func (s *Server) beginReading(ctx context.Context, now time.Time) (*reading, error) {
	stream, to := io.Pipe()
	r := &reading{id: rand.Text(), stream: stream, ended: make(chan int, 1), asked: now, page: -1}
	if !s.reading.add(r) {
		return nil, action.ErrBackups
	}
	snapshot, err := s.snapshot(ctx)
	if err != nil {
		s.reading.drop(func(other *reading) bool { return other == r })
		return nil, err
	}
	s.sweeping.Go(func() {
		// It ends by itself when the pipe is closed, at the next thing that it writes.
		n, err := backup.Write(context.WithoutCancel(ctx), to, snapshot, rootKeysPath, s.sealer, now)
		err = errors.Join(err, snapshot.Close())
		r.ended <- n
		_ = to.CloseWithError(err) // never fails
	})
	return r, nil
}

func (r *reading) read(page int) (action.BackupPage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case page == r.page:
		return r.newest, nil // whoever asked has not had it
	case page != r.page+1 || r.newest.Last:
		return action.BackupPage{}, action.ErrNoBackup
	}
	data := make([]byte, readingPage)
	n, err := io.ReadFull(r.stream, data)
	last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !last {
		return action.BackupPage{}, err
	}
	r.newest, r.page = action.BackupPage{Backup: r.id, Data: data[:n], Last: last}, page
	if last {
		r.newest.Records = <-r.ended
	}
	return r.newest, nil
}

func (a *readings) add(r *reading) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.all) == maxReadings {
		return false
	}
	a.all = append(a.all, r)
	return true
}

func (a *readings) find(id string, now time.Time) (*reading, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.all {
		if r.id == id {
			r.asked = now
			return r, nil
		}
	}
	return nil, action.ErrNoBackup
}

// dropUnused drops those that nobody asks for.
func (a *readings) dropUnused(now time.Time) {
	a.drop(func(r *reading) bool { return now.Sub(r.asked) >= readingUnder })
}

func (a *readings) close() { a.drop(func(*reading) bool { return true }) }

func (a *readings) drop(which func(*reading) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.all[:0]
	for _, r := range a.all {
		if which(r) {
			_ = r.stream.Close() // never fails
		} else {
			kept = append(kept, r)
		}
	}
	clear(a.all[len(kept):])
	a.all = kept
}
