package faults

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A slowDisk is a directory of this machine in which a sync takes as long as is wanted.
type slowDisk struct {
	dir   string
	delay atomic.Int64 // nanoseconds
}

// slowDisks makes n of them, or none where FUSE is not to be had.
func slowDisks(t *testing.T, n int) (all []*slowDisk) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil || os.Geteuid() != 0 {
		t.Logf("disks are not made slow: that takes FUSE, and root (%v)", err)
		return nil
	}
	f.Close()
	for range n {
		d := &slowDisk{dir: filepath.Join(t.TempDir(), "slow")}
		if err := os.Mkdir(d.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		d.mount(t)
		all = append(all, d)
	}
	return all
}

func (d *slowDisk) mount(t *testing.T) {
	root, err := fs.NewLoopbackRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := fs.Mount(d.dir, &slowNode{root.(*fs.LoopbackNode), d}, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "trent-test", Name: "slow"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

type slowNode struct {
	*fs.LoopbackNode
	disk *slowDisk
}

// WrapChild makes all that is below slow as well.
func (n *slowNode) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &slowNode{child.(*fs.LoopbackNode), n.disk}
}

// Fsync takes its time.
func (n *slowNode) Fsync(ctx context.Context, f fs.FileHandle, flags uint32) syscall.Errno {
	time.Sleep(time.Duration(n.disk.delay.Load()))
	if syncer, ok := f.(fs.FileFsyncer); ok {
		return syncer.Fsync(ctx, flags)
	}
	return 0
}
