package bolt

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"trent/internal/store"
)

func newStore(t testing.TB) *Store {
	t.Helper()
	s, err := Create(filepath.Join(t.TempDir(), "store"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s store.Store, path string, value []byte) store.Rev {
	t.Helper()
	rev, err := s.Commit(context.Background(), store.Batch{Put: []store.Put{{Path: path, Value: value}}})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// BenchmarkLoneCommit reports the median commit as a multiple of the median of
// writing one page and syncing it. The two take turns on the same disk, so that
// both see the same noise. bbolt needs two syncs.
func BenchmarkLoneCommit(b *testing.B) {
	s := newStore(b)
	page := newSyncedPage(b)
	value := make([]byte, 220)
	var commits, syncs []time.Duration
	for i := 0; b.Loop(); i++ {
		path := fmt.Sprintf("bench/%06d", i%10000)
		commits = append(commits, timed(func() { put(b, s, path, value) }))
		syncs = append(syncs, timed(page.write))
	}
	slices.Sort(commits)
	slices.Sort(syncs)
	commit, sync := commits[len(commits)/2], syncs[len(syncs)/2]
	b.ReportMetric(float64(commit.Nanoseconds()), "commit-ns")
	b.ReportMetric(float64(sync.Nanoseconds()), "fdatasync-ns")
	b.ReportMetric(float64(commit)/float64(sync), "ratio")
}

func timed(fn func()) time.Duration {
	start := time.Now()
	fn()
	return time.Since(start)
}

// A syncedPage writes one page after another of a preallocated file.
type syncedPage struct {
	b    *testing.B
	file *os.File
	next int64
}

func newSyncedPage(b *testing.B) *syncedPage {
	file, err := os.Create(filepath.Join(b.TempDir(), "sync"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { file.Close() })
	if _, err := file.Write(make([]byte, 256*pageSize)); err != nil {
		b.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		b.Fatal(err)
	}
	return &syncedPage{b: b, file: file}
}

func (p *syncedPage) write() {
	p.next = (p.next + 1) % 256
	if _, err := p.file.WriteAt(make([]byte, pageSize), p.next*pageSize); err != nil {
		p.b.Fatal(err)
	}
	if err := syscall.Fdatasync(int(p.file.Fd())); err != nil {
		p.b.Fatal(err)
	}
}

func BenchmarkCommit64Writers(b *testing.B) {
	s := newStore(b)
	value := make([]byte, 1024)
	var n atomic.Int64
	b.SetParallelism((64 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			put(b, s, uuidPath(n.Add(1)), value)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkGet(b *testing.B) {
	s := filled(b, 10000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Get(context.Background(), uuidPath(int64(i%10000))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetParallel(b *testing.B) {
	s := filled(b, 10000)
	b.RunParallel(func(pb *testing.PB) {
		for i := int64(0); pb.Next(); i++ {
			if _, err := s.Get(context.Background(), uuidPath(i%10000)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkList1000(b *testing.B) {
	s := filled(b, 10000)
	for _, keysOnly := range []bool{false, true} {
		b.Run(fmt.Sprintf("keysOnly=%v", keysOnly), func(b *testing.B) {
			for b.Loop() {
				if page, err := s.List(context.Background(), "account/", "", 1000, keysOnly); err != nil || len(page) != 1000 {
					b.Fatal(len(page), err)
				}
			}
		})
	}
}

func BenchmarkOpen100000(b *testing.B) {
	s := filled(b, 100000)
	path := s.path
	s.Close()
	for b.Loop() {
		s, err := Open(path, Options{})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// filled has n records at uuidPath(0) and so on.
func filled(b testing.TB, n int) *Store {
	s := newStore(b)
	value := make([]byte, 220)
	for i := 0; i < n; {
		var batch store.Batch
		for ; i < n && len(batch.Put) < store.MaxBatch; i++ {
			batch.Put = append(batch.Put, store.Put{Path: uuidPath(int64(i)), Value: value})
		}
		if _, err := s.Commit(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// BenchmarkFill has 64 writers put b.N records of usual size in random order, and
// reports what a record takes in the file: try it with -benchtime 200000x.
func BenchmarkFill(b *testing.B) {
	s := newStore(b)
	value := make([]byte, 220)
	var n atomic.Int64
	b.SetParallelism((64 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			put(b, s, uuidPath(n.Add(1)), value)
		}
	})
	b.ReportMetric(float64(s.seen.tx.Size())/float64(b.N), "bytes/record")
}

// BenchmarkInspect is what a start pays for its distrust, for 100,000 records.
func BenchmarkInspect(b *testing.B) {
	path := filepath.Join(b.TempDir(), "store")
	s, err := Create(path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 350)
	for i := range 1000 {
		var batch store.Batch
		for j := range 100 {
			batch.Put = append(batch.Put, store.Put{Path: fmt.Sprintf("key/111122223333/us-east-1/%08x-%04x", uint32(i*100+j)*2654435761, j), Value: value})
		}
		if _, err := s.Commit(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	for b.Loop() {
		if err := inspect(path, f, info.Size()); err != nil {
			b.Fatal(err)
		}
	}
}
