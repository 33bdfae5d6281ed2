package bolt

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"trent/internal/store"
)

// redirect makes writes of the store go to a device: /dev/full has no space,
// /dev/null takes everything but cannot sync. The mapping stays with the file.
func redirect(t *testing.T, s *Store, device string) {
	t.Helper()
	fd, err := syscall.Open(device, syscall.O_RDWR, 0)
	if err != nil {
		t.Fatalf("every Linux has %s: %v", device, err)
	}
	defer syscall.Close(fd)
	if err := syscall.Dup3(fd, int(s.file.Fd()), syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
}

func TestSEC_E12_NoSpace(t *testing.T)    { testFault(t, "/dev/full", syscall.ENOSPC) }
func TestSEC_E12_FailedSync(t *testing.T) { testFault(t, "/dev/null", syscall.EINVAL) }

// After a write that failed the store is read-only for good, and shows only
// what was acknowledged before; opened anew, it is whole and writable.
func testFault(t *testing.T, device string, cause error) {
	s := filled(t, 1000)
	rev := put(t, s, "before", []byte("v"))
	redirect(t, s, device)

	var wg sync.WaitGroup
	failed := make(chan error, 16)
	for range cap(failed) {
		wg.Go(func() {
			_, err := s.Commit(context.Background(), store.Batch{Put: []store.Put{{Path: "during", Value: []byte("v")}}})
			failed <- err
		})
	}
	wg.Wait()
	close(failed)
	var causes int
	for err := range failed {
		if errors.Is(err, cause) && !errors.Is(err, store.ErrReadOnly) {
			causes++
		} else if !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("Commit: %v; want %v or ErrReadOnly", err, cause)
		}
	}
	if causes == 0 {
		t.Errorf("nobody was told the cause")
	}
	wantAfterFault(t, s, rev)
	if _, err := s.Commit(context.Background(), store.Batch{Delete: []string{"before"}}); !errors.Is(err, store.ErrReadOnly) {
		t.Fatalf("Commit: %v; want ErrReadOnly", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s, err := Open(s.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantAfterFault(t, s, rev)
	put(t, s, "after", []byte("v"))
}

func wantAfterFault(t *testing.T, s *Store, rev store.Rev) {
	t.Helper()
	if r, err := s.Get(context.Background(), "before"); err != nil || r.Rev != rev {
		t.Fatalf("Get = %v, %v", r, err)
	}
	if r, err := s.Get(context.Background(), "during"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("a commit that failed is read: %v, %v", r, err)
	}
	if page, err := s.List(context.Background(), "account/", "", 2000, false); err != nil || len(page) != 1000 {
		t.Fatalf("%d records, %v", len(page), err)
	}
	if got, err := s.Rev(context.Background()); err != nil || got != rev {
		t.Fatalf("Rev = %d, %v; want %d", got, err, rev)
	}
}

// Between bbolt's commit and the end of its sync, readers do not see the new
// state: should the sync fail, or the power, it never was.
func TestSEC_E12_ReadsAreDurable(t *testing.T) {
	s := newStore(t)
	rev := put(t, s, "a", []byte("old"))
	p := &pending{batch: store.Batch{Put: []store.Put{{Path: "a", Value: []byte("new")}}}}
	changes, err := s.write([]*pending{p})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Get(context.Background(), "a"); err != nil || string(r.Value) != "old" || r.Rev != rev {
		t.Fatalf("Get = %v, %v before it was published", r, err)
	}
	if err := s.publish(changes); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Get(context.Background(), "a"); err != nil || string(r.Value) != "new" || r.Rev != p.rev {
		t.Fatalf("Get = %v, %v after it was published", r, err)
	}
}

// A file that may not grow, as on a full disk, but for real.
func TestSEC_E12_FileCannotGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s, err := Create(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	acknowledged := lines(t, child("full", path))
	s, err = Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	page, err := s.List(context.Background(), "", "", 1<<20, true)
	if err != nil || len(page) != len(acknowledged) || len(page) == 0 {
		t.Fatalf("%d records, %v; %d were acknowledged", len(page), err, len(acknowledged))
	}
	for i, r := range page {
		if r.Path != acknowledged[i] {
			t.Fatalf("%s was not acknowledged", r.Path)
		}
	}
	put(t, s, "after", []byte("v"))
}

// MaxSize is a full disk of one's own.
func TestSEC_E12_MaxSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s, err := Create(path, Options{MaxSize: 32 << 20})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; ; n++ {
		b := store.Batch{Put: []store.Put{{Path: counted(0, n), Value: make([]byte, store.MaxValue)}}}
		if _, err = s.Commit(context.Background(), b); err != nil {
			break
		}
	}
	if n == 0 || n > 32 || errors.Is(err, store.ErrReadOnly) {
		t.Fatalf("%d MiB fit in 32 MiB, then %v", n, err)
	}
	if page, err := s.List(context.Background(), "", "", 100, true); err != nil || len(page) != n {
		t.Fatalf("%d records, %v; want %d", len(page), err, n)
	}
	s.Close()
	s, err = Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, "after", []byte("v"))
}
