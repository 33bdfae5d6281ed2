package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"trent/internal/store"
)

func TestSEC_E14_FileMode(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	s := newStore(t)
	info, err := os.Stat(s.path)
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("a new file has mode %v, %v", info.Mode(), err)
	}
	s.Close()
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666, 0o777} {
		if err := os.Chmod(s.path, mode); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, s.path, "chmod 600", nil)
	}
	if err := os.Chmod(s.path, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, s.path)
}

// wantRefused wants an error that names the file and has the hint.
func wantRefused(t *testing.T, path, hint string, is error) {
	t.Helper()
	s, err := Open(path, Options{})
	if err == nil {
		s.Close()
		t.Fatalf("%s was opened", path)
	}
	if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), hint) {
		t.Fatalf("%q names not %q or not %q", err, path, hint)
	}
	if is != nil && !errors.Is(err, is) {
		t.Fatalf("%v is not %v", err, is)
	}
}

func wantOpens(t *testing.T, path string) {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestSEC_E14_Symlink(t *testing.T) {
	s := newStore(t)
	s.Close()
	link := s.path + "-link"
	if err := os.Symlink(s.path, link); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, link, "symbolic link", nil)
}

func TestSEC_E16_NotAFile(t *testing.T) {
	wantRefused(t, t.TempDir(), "directory", nil)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, fifo, "regular file", nil)
}

func TestOpenNeverCreates(t *testing.T) {
	dir := t.TempDir()
	wantRefused(t, filepath.Join(dir, "store"), "does not exist", fs.ErrNotExist)
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Fatalf("Open left %v", entries)
	}
}

func TestLock(t *testing.T) {
	s := newStore(t)
	wantRefused(t, s.path, "another trent is running on this directory; stop it first", nil)
	s.Close()
	wantOpens(t, s.path)
}

func TestCreateRefusesWhatIsThere(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"file":          func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
		"directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"dangling link": func(path string) error { return os.Symlink("nowhere", path) },
	} {
		path := filepath.Join(t.TempDir(), "store")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(path)
		if _, err := Create(path, Options{}); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		after, err := os.Lstat(path)
		if err != nil || !os.SameFile(before, after) || before.Size() != after.Size() {
			t.Errorf("%s: it was touched", name)
		}
		wantAlone(t, path)
	}
}

// wantAlone wants no drafts beside the file.
func wantAlone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("the directory has %v, %v", entries, err)
	}
}

func TestCreateRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	var created atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if s, err := Create(path, Options{}); err == nil {
				created.Add(1)
				defer s.Close()
				put(t, s, "mine", []byte("v"))
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if created.Load() != 1 {
		t.Errorf("%d created it", created.Load())
	}
	wantAlone(t, path)
}

func TestCreateInMissingDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "store")
	if _, err := Create(path, Options{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Fatal(err)
	}
}

func TestSEC_E16_Foreign(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for name, content := range map[string][]byte{
		"empty":      {},
		"one byte":   {1},
		"text":       []byte(strings.Repeat("This is not a store.\n", 2000)),
		"short text": []byte("hello\n"),
		"zeros":      make([]byte, 65536),
		"noise":      noise,
		"short":      noise[:5000],
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			wantRefused(t, path, "restore it from a backup", ErrDamaged)
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, content) {
				t.Errorf("Open changed it, %v", err)
			}
		})
	}
}

// bbolt files, but not such as we write.
func TestSEC_E16_OtherBbolt(t *testing.T) {
	for _, c := range []struct {
		name, hint string
		options    bbolt.Options
		fill       func(tx *bbolt.Tx) error
	}{
		{"nothing in it", "not of trent", bbolt.Options{}, func(*bbolt.Tx) error { return nil }},
		{"other buckets", "not of trent", bbolt.Options{}, func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("members"))
			return err
		}},
		{"page size", "pages are of 8192 bytes", bbolt.Options{PageSize: 8192}, func(*bbolt.Tx) error { return nil }},
		{"no free list", "outside", bbolt.Options{NoFreelistSync: true}, func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("members"))
			return err
		}},
		{"no format", "does not say its format", bbolt.Options{}, func(tx *bbolt.Tx) error { return ours(tx, nil) }},
		{"later format", "format 2 and this trent knows only format 1", bbolt.Options{}, func(tx *bbolt.Tx) error { return ours(tx, []byte{2}) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store")
			db, err := bbolt.Open(path, 0o600, &c.options)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Update(c.fill); err != nil {
				t.Fatal(err)
			}
			db.Close()
			wantRefused(t, path, c.hint, nil)
		})
	}
}

// ours makes the buckets of a store, with this for its format.
func ours(tx *bbolt.Tx, format []byte) error {
	if _, err := tx.CreateBucket(recordsBucket); err != nil {
		return err
	}
	b, err := tx.CreateBucket(storeBucket)
	if err != nil || format == nil {
		return err
	}
	return b.Put(formatKey, format)
}

// pristine is a closed store of so many records, without the room to grow.
func pristine(t *testing.T, records int) (path string, content []byte) {
	s := filled(t, records)
	used := s.seen.tx.Size()
	s.Close()
	if err := os.Truncate(s.path, used); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return s.path, content
}

// A file that was cut off is refused, unless only room to grow was cut.
func TestSEC_E16_Truncated(t *testing.T) {
	path, content := pristine(t, 1000)
	wantIntact(t, path, 1000)
	used := len(content)
	sizes := []int{1, 15, 16, 79, 80, 4095, 4096, 4175, 4176, 8191, 8192, 16384, used - pageSize, used - 1}
	for size := 5000; size < used; size += 4999 {
		sizes = append(sizes, size)
	}
	for _, size := range sizes {
		if err := os.WriteFile(path, content[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, path, "restore it from a backup", ErrDamaged)
	}
}

// wantIntact wants at least so many of the records that filled wrote.
func wantIntact(t *testing.T, path string, records int) {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	page, err := s.List(context.Background(), "", "", 1<<20, false)
	if err != nil || len(page) < records {
		t.Fatalf("%d records, %v; want %d", len(page), err, records)
	}
	for _, r := range page {
		if len(r.Value) != 220 || !strings.HasPrefix(r.Path, "account/") {
			t.Fatalf("%q has %d bytes", r.Path, len(r.Value))
		}
	}
}

// With one meta page damaged the other counts: at worst it is the state before
// the last commit. With both damaged the file is refused.
func TestSEC_E16_MetaPages(t *testing.T) {
	path, content := pristine(t, 1000)
	for at := headerSize; at < headerSize+metaSize; at++ {
		for _, both := range []bool{false, true} {
			damaged := bytes.Clone(content)
			damaged[at] ^= 1 << (at % 8)
			damaged[at+pageSize] ^= byte(boolInt(both)) << (at % 8)
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			if both {
				wantRefused(t, path, "restore it from a backup", ErrDamaged)
			} else {
				wantIntact(t, path, 1000-128)
			}
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Bits flipped anywhere: whatever happens, the process lives.
func TestSEC_E16_FlippedBits(t *testing.T) {
	for seed, records := range []int{1000, 1000, 100, 3, 0} {
		path, _ := pristine(t, records)
		t.Log(lines(t, child("damage", path, fmt.Sprint(seed))))
	}
}

// Whatever bbolt has made of its pages, by splitting, merging and emptying them, a store that is
// opened anew is not taken for damaged.
func TestInspectTakesWhatIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s, err := Create(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 7))
	for round := range 40 {
		for range 25 {
			var b store.Batch
			there := make(map[string]bool)
			for range 60 {
				p := uuidPath(random.Int64N(int64(100 + 150*(round%20)))) // fewer and fewer, then many again
				if there[p] {
					continue
				}
				there[p] = true
				if random.IntN(20) < round%20 {
					b.Delete = append(b.Delete, p)
				} else {
					b.Put = append(b.Put, store.Put{Path: p, Value: make([]byte, 1+random.IntN(1500))})
				}
			}
			if _, err := s.Commit(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(path, Options{}); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
