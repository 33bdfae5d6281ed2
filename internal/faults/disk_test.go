package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"trent/internal/faults/disk"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

// emptyStore is the content of a new store's file.
func emptyStore(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	s, err := bolt.Create(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// mounted is a disk with content that fails so. It ends with the test.
func mounted(t *testing.T, content []byte, faults ...disk.Fault) *disk.Disk {
	t.Helper()
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skipf("a lossy disk is a FUSE file system, and that cannot be made here: %v", err)
	} else {
		f.Close()
	}
	if os.Geteuid() != 0 {
		t.Skip("mounting a lossy disk needs root")
	}
	d, err := disk.Mount(t.TempDir(), content, faults...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Unmount(); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return d
}

// written has a child write to a disk, and returns what it noted.
func written(t *testing.T, d *disk.Disk, batches int) (all [committers]counter, end string) {
	t.Helper()
	cmd := child("writer", d.File(), d.Notes(), fmt.Sprint(batches))
	if err := cmd.Run(); err != nil {
		t.Fatalf("the writer: %v", err)
	}
	for _, op := range d.Ops() {
		if op.Kind == disk.Noted {
			end = string(op.Data)
			heard(&all, end)
		}
	}
	return all, end
}

// opened runs a check on a store with this content. It is not mounted.
func opened(dir string, i disk.Image, check func(*bolt.Store) error) error {
	path := filepath.Join(dir, "store")
	if err := writeImage(path, i); err != nil {
		return err
	}
	s, err := bolt.Open(path, bolt.Options{MaxSize: 64 << 20})
	if err != nil {
		return err
	}
	return errors.Join(check(s), writable(s), s.Close())
}

// writable says whether a store takes a batch and shows it.
func writable(s *bolt.Store) error {
	ctx := context.Background()
	rev, err := s.Commit(ctx, store.Batch{Put: []store.Put{{Path: "after", Value: []byte("v")}}})
	if err != nil {
		return err
	}
	if r, err := s.Get(ctx, "after"); err != nil || r.Rev != rev {
		return fmt.Errorf("a write after the fault is not there: %v, %w", r, err)
	}
	return nil
}

// writeImage leaves a hole for the zeros at the end, of which a store has many.
func writeImage(path string, i disk.Image) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(i.Content)
	return errors.Join(err, f.Truncate(i.Size), f.Close())
}

// inMemory is a directory whose files cost no disk.
func inMemory(t *testing.T) string {
	t.Helper()
	if dir, err := os.MkdirTemp("/dev/shm", "trent-faults"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

// powerImages says, in the environment, how many states of a disk after a power cut to look at.
const powerImages = "TRENT_POWER_IMAGES"

// A power cut may come between any two writes of the disk, and leaves of what was not synced
// any sectors, torn pages among them. Each such disk has every acknowledged batch, and no half of one.
func TestSEC_E12_PowerCut(t *testing.T) {
	images, random := many(powerImages, 300), seeded(t)
	empty := emptyStore(t)
	d := mounted(t, empty)
	all, end := written(t, d, 100)
	if !strings.HasPrefix(end, "ack") {
		t.Fatalf("the writer ended with %q", end)
	}
	for g, c := range all {
		if c.acknowledged != 100 {
			t.Errorf("writer %d: %d acknowledged", g, c.acknowledged)
		}
	}
	ops := d.Ops()
	began := time.Now()
	cuts := newCutter(t, random, empty, ops)
	cuts.run(images)
	t.Logf("%d power cuts over %d operations in %.0f s; %d of them with sectors that were not synced, %d in the middle of a batch; acknowledged writes lost: %d",
		cuts.looked.Load(), len(ops), time.Since(began).Seconds(), cuts.torn.Load(), cuts.middle.Load(), cuts.lost.Load())
	if cuts.torn.Load() == 0 {
		t.Error("no image had anything that was not synced")
	}
}

// A cutter makes images and looks at them, on all processors.
type cutter struct {
	t                          *testing.T
	random                     *rand.Rand
	empty                      []byte
	ops                        []disk.Op
	looked, torn, middle, lost atomic.Int64
}

func newCutter(t *testing.T, random *rand.Rand, empty []byte, ops []disk.Op) *cutter {
	return &cutter{t: t, random: random, empty: empty, ops: ops}
}

// The test above can fail: a disk that does not keep to its syncs loses what was acknowledged.
func TestPowerCutOfALyingDisk(t *testing.T) {
	random, empty := seeded(t), emptyStore(t)
	d := mounted(t, empty)
	all, _ := written(t, d, 20)
	platter := disk.NewPlatter(empty)
	for _, op := range d.Ops() {
		if op.Kind != disk.Synced {
			platter.Do(op)
		}
	}
	lost, dir := 0, inMemory(t)
	for range 20 {
		if opened(dir, platter.Image(random), func(s *bolt.Store) error { return checkCounters(s, all, true) }) != nil {
			lost++
		}
	}
	if lost < 15 {
		t.Errorf("of 20 disks that lied, %d had lost something", lost)
	}
}

type image struct {
	disk.Image
	all [committers]counter
	at  int
}

// run replays the operations and makes as many images, spread over all of them.
func (c *cutter) run(images int) {
	work := make(chan image)
	var wg sync.WaitGroup
	for range 2 {
		dir := inMemory(c.t)
		wg.Go(func() {
			for i := range work {
				c.look(dir, i)
			}
		})
	}
	platter := disk.NewPlatter(c.empty)
	var all [committers]counter
	made := 0
	for at, op := range c.ops {
		platter.Do(op)
		if op.Kind == disk.Noted {
			heard(&all, string(op.Data))
		}
		for ; made < images*(at+1)/len(c.ops); made++ {
			if platter.Unsynced() > 0 {
				c.torn.Add(1)
			}
			work <- image{platter.Image(c.random), all, at}
		}
		if c.t.Failed() {
			break
		}
	}
	close(work)
	wg.Wait()
}

func (c *cutter) look(dir string, i image) {
	c.looked.Add(1)
	for _, w := range i.all {
		if w.asked > w.acknowledged {
			c.middle.Add(1)
			break
		}
	}
	err := opened(dir, i.Image, func(s *bolt.Store) error { return checkCounters(s, i.all, true) })
	if err != nil {
		c.lost.Add(1)
		c.t.Errorf("cut after operation %d of %d: %v", i.at, len(c.ops), err)
	}
}

// fileFaults says, in the environment, how many operations of the file to fail, each in each way.
const fileFaults = "TRENT_FILE_FAULTS"

// Any operation of the file may fail: with an error and nothing done, with an error though it is done,
// halfway. The store then takes no more, still shows what it acknowledged and nothing else, and has it
// all when it is opened anew, on the machine that goes on and on one whose power was cut.
func TestSEC_E12_FailedOperations(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	empty := emptyStore(t)
	whole := mounted(t, empty)
	written(t, whole, 12)
	total := whole.Done()
	few := many(fileFaults, 4)
	kinds := []struct {
		name string
		disk.Fault
	}{
		{"lost", disk.Fault{Errno: syscall.EIO}},
		{"kept", disk.Fault{Errno: syscall.EIO, Kept: true}},
		{"no space", disk.Fault{Errno: syscall.ENOSPC}},
		{"short", disk.Fault{Errno: syscall.ENOSPC, Short: true}},
	}
	failed := 0
	for i := range min(few, total) {
		for _, k := range kinds {
			f := k.Fault
			f.Op = i * total / min(few, total)
			t.Run(fmt.Sprintf("%s/%d", k.name, f.Op), func(t *testing.T) {
				if failOnce(t, random, empty, f) {
					failed++
				}
			})
		}
	}
	t.Logf("%d of %d operations of the file were made to fail, %d times; the store was told of %d", min(few, total), total, min(few, total)*len(kinds), failed)
	if failed == 0 {
		t.Error("nothing failed")
	}
}

// failOnce reports whether the writer was told of the fault; short writes of nothing but a few bytes are.
func failOnce(t *testing.T, random *rand.Rand, empty []byte, f disk.Fault) (told bool) {
	d := mounted(t, empty, f)
	all, end := written(t, d, 12)
	told = strings.HasPrefix(end, "failed") || strings.HasPrefix(end, "refused")
	if told && !strings.Contains(end, f.Errno.Error()) {
		t.Errorf("the reason that is given is not %v: %s", f.Errno, end)
	}
	dir := inMemory(t)
	check := func(s *bolt.Store) error { return checkCounters(s, all, true) }
	if err := opened(dir, d.Content(), check); err != nil {
		t.Errorf("opened again: %v", err)
	}
	platter := disk.NewPlatter(empty)
	for _, op := range d.Ops() {
		platter.Do(op)
	}
	for range 8 {
		if err := opened(dir, platter.Image(random), check); err != nil {
			t.Errorf("after a power cut: %v", err)
		}
	}
	return told
}
