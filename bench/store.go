package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// store measures what durability and a large number of keys cost.
func (b *bench) store() error {
	few, err := b.newTrent("few", false)
	if err != nil {
		return err
	}
	defer few.stop()
	many, err := b.newTrent("many", false, b.unbounded()...)
	if err != nil {
		return err
	}
	fewIDs, err := b.create(few, 10, 1, 0)
	if err != nil {
		return err
	}
	if err := b.creations(many); err != nil {
		return err
	}
	if err := b.fill(many); err != nil {
		return err
	}
	ids, err := b.allKeys(many)
	if err != nil {
		return err
	}
	if err := many.stop(); err != nil {
		return err
	}
	if err := b.startUp(many, ids[0]); err != nil {
		return err
	}
	defer func() { _ = many.stop() }()
	if err := b.memory(many, ids); err != nil {
		return err
	}
	return b.latency(few, many, fewIDs, ids)
}

// unbounded lets a server keep all keys in memory.
func (b *bench) unbounded() []string { return []string{"--cache-keys", strconv.Itoa(2 * b.keys)} }

// create makes n keys with so many writers and returns their ids.
func (b *bench) create(t *trent, n, writers, first int) ([]string, error) {
	saved := filepath.Join(b.dir, "created")
	_, err := b.drive(t.process, t, load{target: "CreateKey", body: `{"Description":"{n}"}`, conns: writers, extra: []string{
		"-requests", strconv.Itoa(n), "-first-n", strconv.Itoa(first), "-save", saved,
	}})
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(saved)
	if err != nil {
		return nil, err
	}
	var ids []string
	for line := range strings.Lines(string(text)) {
		var out struct{ KeyMetadata struct{ KeyId string } }
		if err := json.Unmarshal([]byte(line), &out); err != nil {
			return nil, err
		}
		ids = append(ids, out.KeyMetadata.KeyId)
	}
	return ids, nil
}

// pagesOfCommit is how many pages bbolt writes for a CreateKey in a store of
// some size before its first sync: leaves and branches of three records, and
// the free list.
const pagesOfCommit = 8

// creations holds synced CreateKeys against the disk's own syncs, in turn.
func (b *bench) creations(t *trent) error {
	var page, sync, one, rate []float64
	for i := range b.rounds {
		for pages, out := range map[int]*[]float64{1: &page, pagesOfCommit: &sync} {
			s, err := syncTime(filepath.Join(t.data, "sync.test"), pages, 300)
			if err != nil {
				return err
			}
			*out = append(*out, s)
		}
		r, err := b.drive(t.process, t, load{target: "CreateKey", body: `{}`, conns: 1, extra: []string{"-requests", "500"}})
		if err != nil {
			return err
		}
		one = append(one, r.P50)
		if r, err = b.drive(t.process, t, load{target: "CreateKey", body: `{"Description":"{n}"}`, conns: 64, extra: []string{"-requests", "5000", "-first-n", strconv.Itoa(i * 5000)}}); err != nil {
			return err
		}
		rate = append(rate, r.Rate)
	}
	p, s, o := median(page), median(sync), median(one)
	fmt.Fprintf(b.out, "CreateKey, synced: 64 writers %.0f/s; one writer %.0f µs each, which is %.2f × writing %d pages with one fdatasync (%.0f µs), %.2f × one page with one fdatasync (%.0f µs)\n",
		median(rate), o, o/s, pagesOfCommit, s, o/p, p)
	return nil
}

// syncTime is the median time, in µs, of writing so many pages at random places
// of a file and making them durable with one fdatasync.
func syncTime(path string, pages, n int) (float64, error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer os.Remove(path)
	defer f.Close()
	page := make([]byte, 4096)
	if _, err := f.Write(make([]byte, syncFile)); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	var times []float64
	for i := range n {
		page[0] = byte(i)
		start := time.Now()
		for range pages {
			if _, err := f.WriteAt(page, rand.Int64N(syncFile/4096)*4096); err != nil {
				return 0, err
			}
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(start).Nanoseconds())/1000)
	}
	return median(times), nil
}

// syncFile is the size of the file that syncs are measured on, in bytes.
const syncFile = 64 << 20

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// fill makes the large store of what the creations have left.
func (b *bench) fill(t *trent) error {
	have := b.rounds * 5500
	if have >= b.keys {
		return nil
	}
	_, err := b.create(t, b.keys-have, 64, 1<<20)
	return err
}

// allKeys lists the ids of a store.
func (b *bench) allKeys(t *trent) ([]string, error) {
	out, err := exec.Command(filepath.Join(b.dir, "trent"), "key", "list", "--ids", "--endpoint", strings.TrimSuffix(t.url, "/"), "--dir", t.data).Output()
	if err != nil {
		return nil, fmt.Errorf("trent key list: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// startUp measures from exec to the first answer, several times, and leaves the
// server running.
func (b *bench) startUp(t *trent, id string) error {
	var times []float64
	for i := range b.rounds {
		began := time.Now()
		if err := b.serve(t, false, b.unbounded()...); err != nil {
			return err
		}
		out, err := exec.Command(filepath.Join(b.dir, "kmsload"), "-url", t.url, "-access-key", t.keyID, "-secret-key", t.secret,
			"-body", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`, "-until-ok", "20s", "-since-ns", strconv.FormatInt(began.UnixNano(), 10)).Output()
		if err != nil {
			return err
		}
		ms, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return err
		}
		times = append(times, ms)
		if i < b.rounds-1 {
			if err := t.stop(); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(b.out, "start with %d keys: first answer %.0f ms after exec\n", b.keys, median(times))
	return nil
}

// memory uses every key once, then all of them again, and reads the peak.
func (b *bench) memory(t *trent, ids []string) error {
	lines := filepath.Join(b.dir, "ids")
	if err := os.WriteFile(lines, []byte(strings.Join(ids, "\n")), 0o600); err != nil {
		return err
	}
	var r result
	for _, n := range []int{len(ids), 2 * len(ids)} {
		var err error
		r, err = b.drive(t.process, t, load{target: "GenerateDataKey", body: `{"KeyId":"{line}","KeySpec":"AES_256"}`, conns: 64, extra: []string{
			"-lines", lines, "-pool", strconv.Itoa(len(ids)), "-requests", strconv.Itoa(n),
		}})
		if err != nil {
			return err
		}
	}
	info, err := os.Stat(filepath.Join(t.data, "trent.db"))
	if err != nil {
		return err
	}
	anonymous, err := t.process.anonymous()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "memory with %d keys, all of them used and kept: %.0f MiB RSS at the peak, of which up to %.0f MiB is the mapped store; %.0f MiB anonymous at the end\n",
		len(ids), r.PeakRSS, float64(info.Size())/(1<<20), anonymous)
	return nil
}

// latency compares the large store, all of whose keys are in use, with one of ten keys.
func (b *bench) latency(few, many *trent, fewIDs, ids []string) error {
	small, large := filepath.Join(b.dir, "few-ids"), filepath.Join(b.dir, "ids")
	if err := os.WriteFile(small, []byte(strings.Join(fewIDs, "\n")), 0o600); err != nil {
		return err
	}
	for _, conns := range []int{1, 64} {
		var a, z []float64
		for range b.rounds {
			for _, side := range []struct {
				t     *trent
				lines string
				n     int
				out   *[]float64
			}{{few, small, len(ids), &a}, {many, large, len(ids), &z}} {
				r, err := b.drive(side.t.process, side.t, load{target: "GenerateDataKey", body: `{"KeyId":"{line}","KeySpec":"AES_256"}`, conns: conns, extra: []string{
					"-lines", side.lines, "-pool", strconv.Itoa(side.n),
				}})
				if err != nil {
					return err
				}
				*side.out = append(*side.out, r.P50)
			}
		}
		fmt.Fprintf(b.out, "p50 of GenerateDataKey over %d connections: %.0f µs with %d keys, %.0f µs with 10: %.2f ×\n", conns, median(z), b.keys, median(a), median(z)/median(a))
	}
	return nil
}
