package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"trent/internal/store"
)

// The log is tidied when it has more changes than twice as many as it had at its
// shortest, and these.
const tidySlack = 10_000

// Of one batch that tidies, where the store's own bounds are wider: how many entries go,
// and how many changes are said anew, so that nobody waits long.
const (
	tidyEntries = 500
	tidyChanges = 1000
)

// A lap is one tidying of the log, over as many calls of Tidy as it takes. It knows of every
// path which entry has the last word on it, by the log alone: what the store holds at that
// path is not asked, or a record that somebody took away would be forgotten with the entry
// that speaks of it.
type lap struct {
	on     bool
	end    uint64            // the last entry that is to go
	newest map[Digest]uint64 // by SHA-256 of the path
	first  uint64            // the entry of links[0]
	links  [][]byte          // the chain after each entry, up to the last one that is known
}

func (p *lap) last() uint64 { return p.first + uint64(len(p.links)) - 1 }

// learn takes an entry in that follows those before it.
func (p *lap) learn(e entry, link []byte) {
	p.links = append(p.links, link)
	n := p.last()
	for _, c := range e.Changes {
		p.newest[sha256.Sum256(c.Path)] = n
	}
}

// Tidy makes the log shorter if it has grown long, for so long at most: what the oldest
// entries say that still holds is said anew, and they go. After each step the log is whole.
// It returns how many entries went. Only one may run at a time.
func (l *Ledger) Tidy(ctx context.Context, atMost time.Duration) (gone int, err error) {
	end := l.o.Now().Add(atMost)
	if !l.lap.on {
		if due, err := l.isLong(ctx); err != nil || !due {
			return 0, err
		}
		if err := l.startLap(ctx); err != nil {
			return 0, fmt.Errorf("tidy the log of changes: %w", err)
		}
	}
	for l.lap.on && l.o.Now().Before(end) && ctx.Err() == nil {
		n := 0
		err := l.alone(ctx, func(ctx context.Context) error {
			return l.whileMoved(func() (err error) {
				n, err = l.tidySome(ctx)
				return l.unlessMoved(ctx, err)
			})
		})
		if err != nil {
			l.lap = lap{}
			return gone, fmt.Errorf("tidy the log of changes: %w", err)
		}
		gone += n
	}
	return gone, nil
}

// isLong reads the head, which another node may have moved.
func (l *Ledger) isLong(ctx context.Context) (bool, error) {
	h, _, err := readHead(ctx, l.inner, l.sealer)
	return h.Changes > 2*h.Tidied+tidySlack, err
}

// startLap reads all of the log. Commits go on meanwhile; tidySome catches up with them.
func (l *Ledger) startLap(ctx context.Context) error {
	from, end, err := l.still(ctx)
	if err != nil {
		return err
	}
	defer end()
	h, _, err := readHead(ctx, from, l.sealer)
	if err != nil {
		return err
	}
	p := lap{on: true, end: h.Last, newest: make(map[Digest]uint64), first: h.First}
	if err := l.walk(ctx, from, h.First-1, h.Before, h, p.learn); err != nil {
		return err
	}
	l.lap = p
	return nil
}

// walk reads the entries after one, up to the head, and holds that they are of its chain.
func (l *Ledger) walk(ctx context.Context, from reader, after uint64, chain []byte, h head, do func(entry, []byte)) error {
	n := after
	for n < h.Last {
		records, err := from.List(ctx, prefix, entryPath(n), page, false)
		if err != nil {
			return err
		}
		for _, r := range records {
			if n == h.Last {
				break
			}
			if n++; r.Path != entryPath(n) {
				return fmt.Errorf("%w: entry %d is missing", errChain, n)
			}
			chain = link(l.sealer.Cluster(), chain, n, r.Value)
			e, err := decodeEntry(r.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", r.Path, err)
			}
			do(e, chain)
		}
	}
	if !bytes.Equal(chain, h.Chain) {
		return errChain
	}
	return nil
}

var errChain = errors.New("the log of changes is not the one that its head is of: run trent fsck")

// unlessMoved makes a conflict of a log that does not match the head, if another node has
// moved that meanwhile: it may have taken away what was being read.
func (l *Ledger) unlessMoved(ctx context.Context, err error) error {
	if !errors.Is(err, errChain) {
		return err
	}
	was := l.headRev
	if err := l.reload(ctx); err != nil {
		return err
	}
	if l.headRev != was {
		return &store.Conflict{Path: headPath, Want: was, Have: l.headRev}
	}
	return err
}

// tidySome takes some of the oldest entries away. Leader only.
func (l *Ledger) tidySome(ctx context.Context) (int, error) {
	if err := l.refresh(ctx); err != nil {
		return 0, err
	}
	p := &l.lap
	if l.head.First > p.end {
		*p = lap{} // another node has done it
		return 0, nil
	}
	if err := l.walk(ctx, l.inner, p.last(), p.chain(), l.head, p.learn); err != nil {
		return 0, err
	}
	s, err := l.step(ctx)
	if err != nil {
		return 0, err
	}
	next, b := l.head, store.Batch{Delete: s.gone}
	n := uint64(len(s.gone))
	next.First, next.Before = next.First+n, p.links[next.First+n-1-p.first]
	next.Changes -= s.changes
	if len(s.again) > 0 {
		if err := l.append(&b, &next, s.again); err != nil {
			return 0, err
		}
	}
	if next.First > p.end {
		next.Tidied = next.Changes
	}
	if _, err := l.advance(ctx, b, next); err != nil {
		return 0, err
	}
	if next.First > p.end {
		*p = lap{}
	} else if len(s.again) > 0 {
		p.learn(entry{Changes: s.again}, next.Chain)
	}
	return len(s.gone), nil
}

// chain is the value of the chain after the last entry that is known.
func (p *lap) chain() []byte { return p.links[len(p.links)-1] }

// A step is what one batch of a lap does.
type step struct {
	gone    []string // paths of entries
	changes uint64   // how many are in them
	again   []change // those that still hold
	bytes   int
}

// step gathers the oldest entries that fit into one batch.
func (l *Ledger) step(ctx context.Context) (s step, err error) {
	p := &l.lap
	room := min(tidyEntries, l.bounds.Operations-ownOperations)
	records, err := l.inner.List(ctx, prefix, entryPath(l.head.First-1), min(room, page), false)
	if err != nil {
		return s, err
	}
	before := l.head.Before
	for i, r := range records {
		n := l.head.First + uint64(i)
		if n > p.end {
			break
		}
		known := p.links[n-p.first]
		if r.Path != entryPath(n) || !bytes.Equal(link(l.sealer.Cluster(), before, n, r.Value), known) {
			return s, errChain
		}
		before = known
		e, err := decodeEntry(r.Value)
		if err != nil {
			return s, err
		}
		if !s.add(p, n, r.Path, e) {
			break
		}
	}
	if len(s.gone) == 0 {
		return s, errChain
	}
	return s, nil
}

// add reports whether there is room for more after entry n.
func (s *step) add(p *lap, n uint64, path string, e entry) bool {
	var again []change
	size := 0
	for _, c := range e.Changes {
		if len(c.Digest) > 0 && p.newest[sha256.Sum256(c.Path)] == n {
			again = append(again, c)
			size += len(c.Path) + sha256.Size + 8
		}
	}
	if len(s.gone) > 0 && (len(s.again)+len(again) > tidyChanges || s.bytes+size > firstBytes) {
		return false
	}
	s.gone = append(s.gone, path)
	s.changes += uint64(len(e.Changes))
	s.again = append(s.again, again...)
	s.bytes += size
	return true
}
