// Package disk is a file system of tests that holds one file in memory, keeps a
// record of all that is done to it, and fails when it is told to. From the record it makes what
// a real disk could hold after a power cut.
//
// It is mounted through FUSE, so that what is under test needs no seam for it: system
// calls, the page cache and mappings are the real ones. Whoever uses the file must be
// another process: a page fault holds a thread that the Go scheduler takes for running, and
// the goroutine that would answer it might wait for that thread.
package disk

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Kind is what was done.
type Kind int

// What is done to the file, and Noted, which is a line written to the file of notes: it tells what
// the user of the file knew at that moment.
const (
	Written Kind = iota
	Resized
	Synced
	SyncFailed
	Noted
)

// An Op is one thing that was done.
type Op struct {
	Kind Kind
	At   int64  // of Written, in bytes
	Data []byte // of Written and Noted
	Size int64  // of Resized, in bytes
}

// A Fault fails one operation.
type Fault struct {
	Op    int           // which one: writes, resizings and syncs are counted from 0
	Errno syscall.Errno // what the caller is told
	Kept  bool          // it is done all the same; else it is lost
	Short bool          // of a write: the first half is done and said to be, and the rest fails
}

// A Disk is mounted.
type Disk struct {
	dir    string
	server *fuse.Server

	mu      sync.Mutex
	content []byte
	ops     []Op
	done    int // operations, those that failed included
	faults  []Fault
}

// Mount mounts a disk at dir, whose file has content in the beginning. It needs root and
// /dev/fuse.
func Mount(dir string, content []byte, faults ...Fault) (*Disk, error) {
	d := &Disk{dir: dir, content: slices.Clone(content), faults: faults}
	server, err := fs.Mount(dir, &root{disk: d}, &fs.Options{
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "trent-test", Name: "lossy", DisableXAttrs: true, MaxWrite: 1 << 20},
	})
	if err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	d.server = server
	return d, nil
}

// Unmount ends the mount. What was recorded stays.
func (d *Disk) Unmount() error { return d.server.Unmount() }

// File is the path of the file, and Notes that of the file for notes.
func (d *Disk) File() string { return filepath.Join(d.dir, "store") }

// Notes is where the user of the file says what it knows.
func (d *Disk) Notes() string { return filepath.Join(d.dir, "notes") }

// Ops is all that was done so far, and Done how many operations of the file there were.
func (d *Disk) Ops() []Op {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.ops)
}

// Done is how many operations there were, those that failed included.
func (d *Disk) Done() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done
}

// Content is what readers of the file see.
func (d *Disk) Content() Image {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Image{slices.Clone(d.content), int64(len(d.content))}
}

// next counts an operation and returns its fault, if it has one.
func (d *Disk) next() (f Fault, fails bool) {
	n := d.done
	d.done++
	for _, f := range d.faults {
		if f.Op == n {
			return f, true
		}
	}
	return Fault{}, false
}

func (d *Disk) write(data []byte, at int64) (uint32, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, fails := d.next()
	if fails && f.Short {
		data = data[:len(data)/2]
		d.faults = append(d.faults, Fault{Op: d.done, Errno: f.Errno})
	}
	if !fails || f.Kept || f.Short {
		d.put(data, at)
	}
	if fails && !f.Short {
		return 0, f.Errno
	}
	return uint32(len(data)), 0
}

func (d *Disk) put(data []byte, at int64) {
	if end := at + int64(len(data)); end > int64(len(d.content)) {
		d.content = append(d.content, make([]byte, end-int64(len(d.content)))...)
	}
	copy(d.content[at:], data)
	d.ops = append(d.ops, Op{Kind: Written, At: at, Data: slices.Clone(data)})
}

func (d *Disk) resize(size int64) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, fails := d.next()
	if !fails || f.Kept {
		d.content = append(d.content[:min(size, int64(len(d.content)))], make([]byte, max(0, size-int64(len(d.content))))...)
		d.ops = append(d.ops, Op{Kind: Resized, Size: size})
	}
	if fails {
		return f.Errno
	}
	return 0
}

func (d *Disk) sync() syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, fails := d.next()
	if fails && !f.Kept {
		d.ops = append(d.ops, Op{Kind: SyncFailed})
	} else {
		d.ops = append(d.ops, Op{Kind: Synced})
	}
	if fails {
		return f.Errno
	}
	return 0
}

func (d *Disk) note(line []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ops = append(d.ops, Op{Kind: Noted, Data: slices.Clone(line)})
}

// root is the directory.
type root struct {
	fs.Inode
	disk *Disk
}

// OnAdd makes the files.
func (r *root) OnAdd(ctx context.Context) {
	r.AddChild("store", r.NewPersistentInode(ctx, &file{disk: r.disk}, fs.StableAttr{Mode: fuse.S_IFREG}), true)
	r.AddChild("notes", r.NewPersistentInode(ctx, &notes{disk: r.disk}, fs.StableAttr{Mode: fuse.S_IFREG}), true)
}

// file is the one file. Its methods are those of package fs.
type file struct {
	fs.Inode
	disk *Disk
}

func (f *file) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (f *file) Read(_ context.Context, _ fs.FileHandle, dest []byte, at int64) (fuse.ReadResult, syscall.Errno) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := 0
	if at < int64(len(f.disk.content)) {
		n = copy(dest, f.disk.content[at:])
	}
	return fuse.ReadResultData(dest[:n]), 0
}

func (f *file) Write(_ context.Context, _ fs.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	return f.disk.write(data, at)
}

func (f *file) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return f.disk.sync() }

func (f *file) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	out.Mode, out.Size = 0o600, uint64(len(f.disk.content))
	return 0
}

func (f *file) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if size, ok := in.GetSize(); ok {
		if failed := f.disk.resize(int64(size)); failed != 0 {
			return failed
		}
	}
	return f.Getattr(ctx, h, out)
}

// notes takes lines.
type notes struct {
	fs.Inode
	disk *Disk
}

func (n *notes) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (n *notes) Write(_ context.Context, _ fs.FileHandle, data []byte, _ int64) (uint32, syscall.Errno) {
	n.disk.note(data)
	return uint32(len(data)), 0
}

func (n *notes) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = 0o600
	return 0
}

func (n *notes) Setattr(ctx context.Context, h fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.Getattr(ctx, h, out)
}
