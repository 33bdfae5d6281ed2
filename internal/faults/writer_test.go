package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"

	"trent/internal/store"
	"trent/internal/store/bolt"
)

// Writers commit at once, each its own records. Writer g counts n up: one batch writes the record n
// and its count, and deletes a record of earlier, so that pages are used again.
const (
	committers = 4
	window     = 12 // records of a writer that are there
)

// counter is what a writer has: latest is its count.
type counter struct {
	acknowledged int // what the store said was done
	asked        int // what it may have done
}

func recordPath(g, n int) string { return fmt.Sprintf("w/%d/%08d", g, n) }

func countPath(g int) string { return fmt.Sprintf("count/%d", g) }

// recordValue is of some length that the number decides, so that records fill pages and overflow them.
func recordValue(g, n int) []byte {
	source := rand.New(rand.NewPCG(uint64(g), uint64(n)))
	size := 20 + source.IntN(600)
	if n%23 == 0 {
		size += 9000
	}
	value := fmt.Appendf(nil, "%d %d ", g, n)
	for len(value) < size {
		value = append(value, byte(source.Uint32()))
	}
	return value
}

func batchOf(g, n int) store.Batch {
	b := store.Batch{Put: []store.Put{
		{Path: recordPath(g, n), Value: recordValue(g, n)},
		{Path: countPath(g), Value: []byte(strconv.Itoa(n))},
	}}
	if n > window {
		b.Delete = []string{recordPath(g, n-window)}
	}
	return b
}

// writeRecords is the child that writes: so many batches with each committer. Before a commit it notes
// "ask g n", and after it "ack g n". After a commit that failed it looks whether the store keeps to what
// it acknowledged, and refuses to go on.
func writeRecords(path, notes, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(notes, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	s, err := bolt.Open(path, bolt.Options{MaxSize: 64 << 20})
	if err != nil {
		fmt.Fprintf(log, "refused %v", err)
		return nil
	}
	var all [committers]counter
	var failed [committers]error
	var wg sync.WaitGroup
	for g := range committers {
		wg.Go(func() { all[g], failed[g] = countUp(s, log, g, n) })
	}
	wg.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		fmt.Fprintf(log, "failed %v", err)
		if err := errors.Join(checkReadOnly(s), checkCounters(s, all, false)); err != nil {
			return fmt.Errorf("after a commit failed: %w", err)
		}
	}
	return s.Close()
}

func countUp(s *bolt.Store, log *os.File, g, times int) (c counter, err error) {
	first, err := countOf(s, g)
	if err != nil {
		return c, err
	}
	c.acknowledged, c.asked = first, first
	for n := first + 1; n <= first+times; n++ {
		c.asked = n
		fmt.Fprintf(log, "ask %d %d", g, n)
		if _, err := s.Commit(context.Background(), batchOf(g, n)); err != nil {
			return c, err
		}
		c.acknowledged = n
		fmt.Fprintf(log, "ack %d %d", g, n)
	}
	return c, nil
}

func checkReadOnly(s *bolt.Store) error {
	if _, err := s.Commit(context.Background(), batchOf(0, 1)); !errors.Is(err, store.ErrReadOnly) {
		return fmt.Errorf("a further commit: %v; want ErrReadOnly", err)
	}
	return nil
}

// heard updates the counters by a note.
func heard(all *[committers]counter, note string) {
	var g, n int
	word, rest, _ := strings.Cut(note, " ")
	if _, err := fmt.Sscanf(rest, "%d %d", &g, &n); err != nil {
		return // what the writer says of its end
	}
	switch word {
	case "ask":
		all[g].asked = n
	case "ack":
		all[g].acknowledged = n
	}
}

func countOf(s *bolt.Store, g int) (int, error) {
	r, err := s.Get(context.Background(), countPath(g))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(r.Value))
}

// checkCounters says what is wrong with a store: an acknowledged batch that is not there, one that
// nobody asked for, or half of one. A store that has seen no failure may show a batch before its
// acknowledgement; one that has, while it runs, may not (unacknowledged false).
func checkCounters(s *bolt.Store, all [committers]counter, unacknowledged bool) error {
	ctx := context.Background()
	for g, c := range all {
		n, err := countOf(s, g)
		if err != nil {
			return err
		}
		most := c.asked
		if !unacknowledged {
			most = c.acknowledged
		}
		if n < c.acknowledged || n > most {
			return fmt.Errorf("writer %d: the count is %d; acknowledged were %d, asked for %d", g, n, c.acknowledged, c.asked)
		}
		page, err := s.List(ctx, fmt.Sprintf("w/%d/", g), "", 10*window, false)
		if err != nil {
			return err
		}
		if len(page) != min(n, window) {
			return fmt.Errorf("writer %d: %d records at count %d", g, len(page), n)
		}
		for i, r := range page {
			number := n - len(page) + 1 + i
			if r.Path != recordPath(g, number) || string(r.Value) != string(recordValue(g, number)) {
				return fmt.Errorf("writer %d: %s is not the record %d, of %d bytes", g, r.Path, number, len(recordValue(g, number)))
			}
		}
	}
	return nil
}
