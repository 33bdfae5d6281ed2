package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"trent/internal/durable"
)

// A Sink takes audit records.
type Sink interface {
	// Append returns when line is as durable as the sink makes it, or says why it
	// is not; then the answer must not leave. It does not keep line.
	Append(line []byte) error
}

// File is the sink that appends to a file, in the order of arrival.
//
// A record is in the hands of the operating system when Append returns: it
// survives the death of the process. With Sync it is on the disk as well, and
// survives that of the machine. Requests that arrive together share one write
// and one sync: whoever finds nobody writing writes for all who are waiting.
type File struct {
	path  string
	sync  bool
	clock func() time.Time

	mu      sync.Mutex
	idle    sync.Cond // of mu: nobody is writing
	file    output
	torn    bool   // the file ends amid a line
	now     *round // the round that is being collected
	writing bool   // an earlier round is being written
	spare   []byte
	last    error     // of the newest round
	opened  time.Time // when the newest round was
	looked  time.Time // when follow last found all well
}

// output is what is needed of an *os.File.
type output interface {
	io.Writer
	Stat() (os.FileInfo, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// A round is the lines that one write takes. Who opens a round writes it; the
// others of the round wait for that, and learn the fate of their own line.
type round struct {
	lines []byte
	size  int       // lines in it
	ended sync.Cond // of File.mu
	done  bool
	err   error
}

func (f *File) newRound() *round {
	r := &round{lines: f.spare[:0]}
	r.ended.L = &f.mu
	f.spare = nil
	return r
}

// OpenFile opens or creates the file, with mode 0600. Nobody else may read it.
func OpenFile(path string, durable bool) (*File, error) {
	f := &File{path: path, sync: durable, clock: time.Now}
	f.idle.L = &f.mu
	f.now = f.newRound()
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) open() error {
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	torn, err := f.check(file)
	if err == nil && f.sync {
		err = durable.SyncDir(filepath.Dir(f.path)) // so that the file's name is as durable as its lines
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.torn = file, torn
	return nil
}

// check refuses a file that others can read, and one that is none: a pipe would
// block. It reports whether the file ends amid a line, as a power cut may leave
// it.
func (f *File) check(file *os.File) (torn bool, err error) {
	info, err := file.Stat()
	switch {
	case err != nil:
		return false, fmt.Errorf("look at the audit log: %w", err)
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("the audit log %s is not a file", f.path)
	case info.Mode().Perm()&0o077 != 0:
		return false, fmt.Errorf("the audit log %s can be read or written by others (mode %04o): run chmod 600 on it", f.path, info.Mode().Perm())
	case info.Size() == 0:
		return false, nil
	}
	var last [1]byte
	if _, err := file.ReadAt(last[:], info.Size()-1); err != nil {
		return false, fmt.Errorf("read the audit log: %w", err)
	}
	return last[0] != '\n', nil
}

// crowded is how soon one record follows another under load.
const crowded = 50 * time.Microsecond

// Append implements Sink. A failed write fails its own lines; the next one is
// tried again, so that a disk that has room again needs nobody to restart the
// server.
func (f *File) Append(line []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.now
	first := r.size == 0
	r.lines = append(r.lines, line...)
	r.size++
	if first {
		f.writeRound(r)
	}
	for !r.done {
		r.ended.Wait()
	}
	return r.err
}

// writeRound writes a round for everyone in it. It is called with mu held and
// gives it up while others join, and while it writes and the next round
// collects.
func (f *File) writeRound(r *round) {
	now := f.clock()
	follows := now.Sub(f.opened) < crowded
	f.opened = now
	if follows {
		// Step back once for those who are ready to join: under load one write then
		// serves many. With nobody about it would only wake an idle processor.
		f.mu.Unlock()
		runtime.Gosched()
		f.mu.Lock()
	}
	for f.writing {
		f.idle.Wait()
	}
	f.now = f.newRound()
	f.writing = true
	f.mu.Unlock()

	err := f.write(r.lines)

	f.mu.Lock()
	f.writing = false
	f.spare, r.lines = r.lines, nil
	f.last = err
	r.done, r.err = true, err
	r.ended.Broadcast()
	f.idle.Broadcast() // the writer of the next round, and perhaps Close
}

func (f *File) write(lines []byte) error {
	if err := f.follow(); err != nil {
		return err
	}
	if f.torn {
		lines = append([]byte{'\n'}, lines...) // so that no line is spoilt by the half one before it
	}
	if n, err := f.file.Write(lines); err != nil {
		if n > 0 {
			undone := f.takeBack(int64(n))
			f.torn = f.torn || undone != nil
			err = errors.Join(err, undone)
		}
		return fmt.Errorf("write the audit log: %w", err)
	}
	f.torn = false
	if f.sync {
		if err := f.file.Sync(); err != nil {
			return fmt.Errorf("sync the audit log: %w", err)
		}
	}
	return nil
}

// takeBack removes what was written last: half a line.
func (f *File) takeBack(n int64) error {
	info, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("look at the audit log: %w", err)
	}
	return f.file.Truncate(info.Size() - n)
}

// follow opens the path anew when it no longer leads to the open file: it was
// rotated, or deleted, and records written to it would be lost without a word.
// Looked at once a second, and until it is well: nothing is written to a file
// that is known to be the wrong one.
func (f *File) follow() error {
	now := f.clock()
	if now.Sub(f.looked) < time.Second {
		return nil
	}
	open, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("look at the audit log: %w", err)
	}
	if there, err := os.Lstat(f.path); err == nil && os.SameFile(open, there) {
		f.looked = now
		return nil
	}
	old := f.file
	if err := f.open(); err != nil {
		return err
	}
	f.looked = now
	return old.Close()
}

// stale is how long a failure tells of the present. Whoever sends requests
// elsewhere while there is one has to come back and try: nothing else would
// find out that the disk has room again.
const stale = 10 * time.Second

// Err is why the newest write failed, or nil: while it fails, requests do too.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.clock().Sub(f.opened) >= stale {
		return nil
	}
	return f.last
}

// Close closes the file, after what is being written.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.writing {
		f.idle.Wait()
	}
	return f.file.Close()
}
