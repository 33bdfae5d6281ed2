package bolt

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// crashRounds says, in the environment, how often to kill; the default is 5.
const crashRounds = "TRENT_CRASH_ROUNDS"

// A process that is killed while it commits loses nothing that it
// acknowledged, and leaves no batch half done.
func TestCrash(t *testing.T) {
	rounds := 5
	if n, err := strconv.Atoi(os.Getenv(crashRounds)); err == nil {
		rounds = n
	}
	path := filepath.Join(t.TempDir(), "store")
	s, err := Create(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	total := 0
	for range rounds {
		acknowledged := killWriter(t, path)
		total += checkAfterCrash(t, path, acknowledged)
	}
	t.Logf("%d rounds, %d records", rounds, total)
}

// killWriter returns what each writer of the child counted to, as far as it
// told before it was killed.
func killWriter(t *testing.T, path string) (acknowledged [8]int) {
	cmd := child("crash", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	for killed := false; in.Scan(); {
		if !killed { // it is at work
			killed = true
			time.AfterFunc(time.Duration(rand.IntN(200_000))*time.Microsecond, func() { cmd.Process.Kill() })
		}
		var g, n int
		if _, err := fmt.Sscanf(in.Text(), "%d %d", &g, &n); err != nil {
			t.Fatalf("%q: %v", in.Text(), err)
		}
		acknowledged[g] = n
	}
	_ = cmd.Wait() // "signal: killed"
	return acknowledged
}

// checkAfterCrash returns how many records there are.
func checkAfterCrash(t *testing.T, path string, acknowledged [8]int) (records int) {
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for g, n := range acknowledged {
		last := latest(s, g)
		if last < n {
			t.Fatalf("writer %d had %d acknowledged, the store has %d", g, n, last)
		}
		page, err := s.List(context.Background(), fmt.Sprintf("w/%d/", g), "", 1<<20, false)
		if err != nil || len(page) != last {
			t.Fatalf("writer %d: %d records, %v; the latest is %d", g, len(page), err, last)
		}
		for i, r := range page {
			if want := counted(g, i+1); r.Path != want || string(r.Value) != want {
				t.Fatalf("%s = %q; want %s", r.Path, r.Value, want)
			}
		}
		records += len(page)
	}
	for err := range s.seen.tx.Check() {
		t.Errorf("bbolt finds: %v", err)
	}
	return records
}
