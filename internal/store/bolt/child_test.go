package bolt

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"trent/internal/store"
)

// childRole names, in the environment, what a child is to do. Tests that kill a
// process, or may, run the test binary again as one.
const childRole = "TRENT_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childRole) {
	case "":
		os.Exit(m.Run())
	case "crash":
		writeUntilKilled(os.Args[1])
	case "full":
		fillUp(os.Args[1])
	case "damage":
		tryDamaged(os.Args[1], os.Args[2])
	}
}

func child(role string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// must ends a child that failed.
func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

// writeUntilKilled commits from 8 goroutines. Writer g counts n up: record
// w/g/n, and in the same batch n at latest/g. After each commit it prints "g n".
func writeUntilKilled(path string) {
	s, err := Open(path, Options{})
	must(err)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := latest(s, g) + 1; ; n++ {
				_, err := s.Commit(context.Background(), store.Batch{Put: []store.Put{
					{Path: counted(g, n), Value: []byte(counted(g, n))},
					{Path: fmt.Sprintf("latest/%d", g), Value: []byte(strconv.Itoa(n))},
				}})
				must(err)
				fmt.Printf("%d %d\n", g, n) // one write: a kill cannot tear it
			}
		})
	}
	wg.Wait()
}

func counted(g, n int) string { return fmt.Sprintf("w/%d/%08d", g, n) }

// latest is what writer g counted to, in the store.
func latest(s *Store, g int) int {
	r, err := s.Get(context.Background(), fmt.Sprintf("latest/%d", g))
	if errors.Is(err, store.ErrNotFound) {
		return 0
	}
	must(err)
	n, err := strconv.Atoi(string(r.Value))
	must(err)
	return n
}

// fillUp commits until the file may not grow any more, checks how the store
// takes it, and prints the paths that it acknowledged.
func fillUp(path string) {
	s, err := Open(path, Options{})
	must(err)
	info, err := os.Stat(path)
	must(err)
	signal.Ignore(syscall.SIGXFSZ)        // so that writing fails with EFBIG
	limit := uint64(info.Size()) + 20<<20 // bbolt grows the file by 16 MiB
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}))
	for i := 0; ; i++ {
		b := store.Batch{Put: []store.Put{{Path: counted(0, i), Value: make([]byte, 200_000)}}}
		if _, err = s.Commit(context.Background(), b); err != nil {
			break
		}
		fmt.Println(counted(0, i))
	}
	if errors.Is(err, store.ErrReadOnly) || !errors.Is(err, syscall.EFBIG) && !strings.Contains(err.Error(), "file too large") {
		must(fmt.Errorf("the failed commit: %w", err))
	}
	_, err = s.Commit(context.Background(), store.Batch{Delete: []string{counted(0, 0)}})
	if !errors.Is(err, store.ErrReadOnly) {
		must(fmt.Errorf("the commit after it: %v; want ErrReadOnly", err))
	}
	_, err = s.Get(context.Background(), counted(0, 0))
	must(err)
	must(s.Close())
}

// tryDamaged flips bits all over copies of the file at path, and uses what can
// be opened. Errors are fine; only dying is not.
func tryDamaged(path, seed string) {
	n, err := strconv.ParseUint(seed, 10, 64)
	must(err)
	random := rand.New(rand.NewPCG(n, 1))
	pristine, err := os.ReadFile(path)
	must(err)
	refused := 0
	for range 100 {
		file := bytes.Clone(pristine)
		for range 1 + random.IntN(20) {
			file[random.IntN(len(file))] ^= 1 << random.IntN(8)
		}
		must(os.WriteFile(path, file, 0o600))
		s, err := Open(path, Options{MaxSize: 1 << 30})
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !strings.Contains(err.Error(), "format") {
				must(err) // locked, say, if the store before has not let go
			}
			refused++
			continue
		}
		useAll(s)
		s.Close()
	}
	fmt.Printf("100 damaged files: %d refused\n", refused)
}

// useAll reads everything, and writes all over it.
func useAll(s *Store) {
	ctx := context.Background()
	_, _ = s.List(ctx, "", "", 1<<20, false)
	for i := range int64(1000) {
		_, _ = s.Get(ctx, uuidPath(i))
	}
	for i := range int64(10) {
		var b store.Batch
		for n := i * 60; n < i*60+60; n++ {
			b.Put = append(b.Put, store.Put{Path: uuidPath(n * 2), Value: make([]byte, 3*n+1)})
			b.Delete = append(b.Delete, uuidPath(n*2+1))
		}
		_, _ = s.Commit(ctx, b)
	}
}

// lines runs a child to its end and returns what it printed.
func lines(t *testing.T, cmd *exec.Cmd) (all []string) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for in := bufio.NewScanner(out); in.Scan(); {
		all = append(all, in.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the child died: %v", err)
	}
	return all
}
