package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func open(t testing.TB, durable bool) *File {
	t.Helper()
	f, err := OpenFile(filepath.Join(t.TempDir(), "audit.log"), durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func contents(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func appendAll(t *testing.T, f *File, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if err := f.Append([]byte(l)); err != nil {
			t.Fatal(err)
		}
	}
}

// Under 64 writers every line is there once, whole, before its Append returns,
// and those of one writer in their order.
func TestManyWriters(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("durable %v", durable), func(t *testing.T) {
			f := open(t, durable)
			const writers, each = 64, 50
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					line := []byte(nil)
					for i := range each {
						r := Record{Time: noon, RequestID: fmt.Sprintf("%d/%d", w, i), UserAgent: strings.Repeat("u", w*7)}
						line = r.Append(line[:0])
						if err := f.Append(line); err != nil {
							t.Error(err)
						}
						if i == each-1 && !strings.Contains(contents(t, f.path), string(line)) {
							t.Error("Append returned before the line was there")
						}
					}
				})
			}
			wg.Wait()
			next := make(map[int]int)
			for line := range strings.Lines(contents(t, f.path)) {
				var r struct{ RequestID string }
				if err := json.Unmarshal([]byte(line), &r); err != nil {
					t.Fatalf("%v in %q", err, line)
				}
				var w, i int
				if _, err := fmt.Sscanf(r.RequestID, "%d/%d", &w, &i); err != nil || i != next[w] {
					t.Fatalf("line %q of writer %d, want number %d", r.RequestID, w, next[w])
				}
				next[w]++
			}
			for w := range writers {
				if next[w] != each {
					t.Errorf("writer %d has %d lines", w, next[w])
				}
			}
		})
	}
}

// faulty is a file that can be told to fail.
type faulty struct {
	output
	mu       sync.Mutex
	room     int // bytes that still fit; negative: no bound
	noTrunc  bool
	syncs    int
	syncFail error
	gate     chan struct{} // a write waits for it
	at       chan struct{} // and says that it does
}

func (o *faulty) Write(p []byte) (int, error) {
	if o.gate != nil {
		o.at <- struct{}{}
		<-o.gate
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.room < 0 || len(p) <= o.room {
		if o.room >= 0 {
			o.room -= len(p)
		}
		return o.output.Write(p)
	}
	n, err := o.output.Write(p[:o.room])
	return n, errors.Join(err, syscall.ENOSPC)
}

func (o *faulty) Truncate(size int64) error {
	if o.noTrunc {
		return syscall.EPERM
	}
	return o.output.Truncate(size)
}

func (o *faulty) Sync() error {
	o.syncs++
	return errors.Join(o.syncFail, o.output.Sync())
}

// A write that fails fails its own line, leaves nothing half, and the next is
// tried anew.
func TestSEC_E13_DiskFull(t *testing.T) {
	for name, c := range map[string]struct {
		room    int
		noTrunc bool
		want    string
	}{
		"no room":             {0, false, "one\ntwo\n"},
		"half a line":         {3, false, "one\ntwo\n"},
		"cannot be taken off": {3, true, "one\nlos\ntwo\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := open(t, false)
			appendAll(t, f, "one\n")
			out := &faulty{output: f.file, room: c.room, noTrunc: c.noTrunc}
			f.file = out
			if err := f.Append([]byte("lost\n")); !errors.Is(err, syscall.ENOSPC) || !errors.Is(f.Err(), syscall.ENOSPC) {
				t.Fatalf("Append: %v, Err: %v", err, f.Err())
			}
			out.room = -1
			appendAll(t, f, "two\n")
			if got := contents(t, f.path); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if err := f.Err(); err != nil {
				t.Errorf("it works again, and Err says %v", err)
			}
		})
	}
}

// The same with a real limit of the operating system.
func TestSEC_E13_FileSizeLimit(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	f := open(t, true)
	appendAll(t, f, "one\n")
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 6, Max: old.Max}); err != nil {
		t.Skipf("the limit on file sizes cannot be set here: %v", err)
	}
	err := f.Append([]byte("lost\n"))
	if e := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); e != nil {
		t.Fatal(e)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("Append: %v", err)
	}
	appendAll(t, f, "two\n")
	if got := contents(t, f.path); got != "one\ntwo\n" {
		t.Errorf("%q", got)
	}
}

// A failure is that of the lines of its round, of all of them, and of no other.
func TestSEC_E13_EachLineHasItsOwnFate(t *testing.T) {
	f := open(t, false)
	out := &faulty{output: f.file, room: -1, gate: make(chan struct{}), at: make(chan struct{}, 8)}
	f.file = out
	first, later := make(chan error, 1), make(chan error, 8)
	go func() { first <- f.Append([]byte("first\n")) }()
	<-out.at // the first round is being written; the others make the second
	for i := range 8 {
		go func() { later <- f.Append([]byte(fmt.Sprintf("later %d\n", i))) }()
	}
	await(t, "the second round", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.now.size == 8 })
	out.gate <- struct{}{}
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	<-out.at
	out.mu.Lock()
	out.room = 10 // one line and a bit
	out.mu.Unlock()
	out.gate <- struct{}{}
	for range 8 {
		if err := <-later; !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("a later one: %v", err)
		}
	}
	if got := contents(t, f.path); got != "first\n" {
		t.Errorf("%q", got)
	}
}

// alternating fails every other write.
type alternating struct {
	output
	writes int
}

func (o *alternating) Write(p []byte) (int, error) {
	if o.writes++; o.writes%2 == 0 {
		return 0, syscall.EIO
	}
	return o.output.Write(p)
}

// Where rounds that fail and rounds that do not follow each other closely, an
// Append says that a line is there if it is, and only then.
func TestSEC_E13_NobodyLearnsTheFateOfAnother(t *testing.T) {
	f := open(t, false)
	f.file = &alternating{output: f.file}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		fates = make(map[string]error)
	)
	for w := range 32 {
		wg.Go(func() {
			for i := range 200 {
				line := fmt.Sprintf("%d/%d\n", w, i)
				err := f.Append([]byte(line))
				mu.Lock()
				fates[line] = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	there := make(map[string]bool)
	for line := range strings.Lines(contents(t, f.path)) {
		there[line] = true
	}
	for line, err := range fates {
		if there[line] != (err == nil) {
			t.Fatalf("%q: there %v, and its writer was told %v", line, there[line], err)
		}
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

// A sync that fails fails the answer; without the option there is none.
func TestSEC_E13_Sync(t *testing.T) {
	for _, durable := range []bool{false, true} {
		f := open(t, durable)
		out := &faulty{output: f.file, room: -1, syncFail: syscall.EIO}
		f.file = out
		err := f.Append([]byte("x\n"))
		if errors.Is(err, syscall.EIO) != durable || (out.syncs == 1) != durable {
			t.Errorf("durable %v: %v after %d syncs", durable, err, out.syncs)
		}
	}
}

// Whoever sends requests elsewhere while Err says why has to be let in again at
// some time, or nobody finds out that it works.
func TestSEC_E13_FailureGrowsStale(t *testing.T) {
	f := open(t, false)
	now := noon
	f.clock = func() time.Time { return now }
	f.file = &faulty{output: f.file}
	if err := f.Append([]byte("x\n")); err == nil || f.Err() == nil {
		t.Fatalf("%v, %v", err, f.Err())
	}
	now = now.Add(stale - 1)
	if f.Err() == nil {
		t.Error("forgotten too soon")
	}
	if now = now.Add(1); f.Err() != nil {
		t.Errorf("not forgotten: %v", f.Err())
	}
}

// Close lets what is being written finish, and keeps nobody waiting; later lines
// fail.
func TestClose(t *testing.T) {
	f := open(t, false)
	out := &faulty{output: f.file, room: -1, gate: make(chan struct{}), at: make(chan struct{}, 8)}
	f.file = out
	first, second, closed := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { first <- f.Append([]byte("first\n")) }()
	<-out.at
	go func() { closed <- f.Close() }()
	go func() { second <- f.Append([]byte("second\n")) }()
	await(t, "the second", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.now.size == 1 })
	out.gate <- struct{}{}
	close(out.gate)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	select { // before or after Close, it is told
	case err := <-second:
		if (err == nil) != strings.Contains(contents(t, f.path), "second") {
			t.Errorf("%v, and the file has %q", err, contents(t, f.path))
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Close left a line waiting")
	}
	if err := f.Append([]byte("late\n")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	line := full().Append(nil)
	b.Run("alone", func(b *testing.B) {
		f := open(b, false)
		b.ReportAllocs()
		for b.Loop() {
			if err := f.Append(line); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64 writers", func(b *testing.B) {
		f := open(b, false)
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := f.Append(line); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("alone, synced", func(b *testing.B) {
		f := open(b, true)
		for b.Loop() {
			if err := f.Append(line); err != nil {
				b.Fatal(err)
			}
		}
	})
}
