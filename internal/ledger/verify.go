package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"trent/internal/seal"
	"trent/internal/store"
)

// A Finding is something in a store that is not as it should be.
type Finding struct {
	Path string // empty: it is about the whole
	What string
}

// String is the finding on one line. Paths come out of a store that is not trusted.
func (f Finding) String() string {
	if f.Path == "" {
		return f.What
	}
	return fmt.Sprintf("%q: %s", f.Path, f.What)
}

// A Report is what Verify has to say.
type Report struct {
	Records  int // that the log tells of
	Passing  int // that it does not
	Entries  int
	Changes  int
	Epoch    uint64
	Last     uint64    // number of the newest entry
	Begun    bool      // the log goes back to the store's beginning, or that of the log
	Newest   time.Time // when the newest entry was written
	Findings []Finding
	More     int // findings beyond MaxFindings, which are only counted
}

// MaxFindings bounds the findings that are kept.
const MaxFindings = 1000

// Add adds what else was found.
func (r *Report) Add(f Finding) {
	if len(r.Findings) == MaxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, f)
}

func (r *Report) find(path, what string, args ...any) {
	r.Add(Finding{path, fmt.Sprintf(what, args...)})
}

// Verify reads all of a store at one moment: the log, whose chain it computes anew, and
// every record, which must be what the log says. look, if not nil, is called with each
// record but those of the log itself, in the order of their paths, and says what else is wrong
// with it.
// An error says that the store could not be read to its end. It takes about 100 bytes of memory
// for a record.
func Verify(ctx context.Context, from store.Snapshot, sealer *seal.Sealer, o Options, look func(store.Record) error) (*Report, error) {
	v := verifier{ctx: ctx, from: from, cluster: sealer.Cluster(), o: o, look: look, state: make(map[Digest]statement)}
	h, _, err := readHead(ctx, from, sealer)
	switch {
	case errors.Is(err, ErrNoHead):
		v.find(headPath, "the head of the log of changes is missing: nothing shows which records there should be")
	case errors.Is(err, errHead):
		v.find(headPath, "%v", err)
	case err != nil:
		return nil, err
	default:
		v.Epoch, v.Last, v.Newest, v.Begun = h.Epoch, h.Last, time.UnixMilli(h.Time).UTC(), h.First == 1
		v.headed = true
		if err := v.readLog(h); err != nil {
			return nil, err
		}
	}
	if err := v.readRecords(); err != nil {
		return nil, err
	}
	if err := v.explain(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(v.Findings, func(a, b Finding) int { return cmp.Compare(a.Path, b.Path) })
	return &v.Report, nil
}

// statement is the last word of the log on a path.
type statement struct {
	digest Digest
	entry  uint64
	gone   bool
	met    bool // by a record
}

type verifier struct {
	ctx     context.Context
	from    store.Snapshot
	cluster seal.ClusterID
	o       Options
	look    func(store.Record) error
	state   map[Digest]statement // by SHA-256 of the path
	headed  bool
	differs map[string]Digest // what lies at paths where something else should
	Report
}

// readLog plays all entries and holds them against the head.
func (v *verifier) readLog(h head) error {
	chain, next, broken := h.Before, h.First, false
	err := v.eachEntry(func(n uint64, r store.Record) error {
		v.Entries++
		switch {
		case n < h.First:
			v.find(r.Path, "this entry was tidied away before the head was written: somebody has put it back")
			return nil
		case n > h.Last:
			v.find(r.Path, "this entry is newer than the head, which ends at entry %d: the head was put back to an older one", h.Last)
			return nil
		}
		for ; next < n; next++ {
			v.find(entryPath(next), "this entry of the log of changes is missing")
			broken = true
		}
		next++
		chain = link(v.cluster, chain, n, r.Value)
		e, err := decodeEntry(r.Value)
		if err != nil {
			v.find(r.Path, "this entry of the log of changes cannot be read (%v)", err)
			broken = true
			return nil
		}
		v.play(n, e)
		return nil
	})
	if err != nil {
		return err
	}
	if next <= h.Last {
		v.find(entryPath(next), "the entries of the log of changes from here to %d are missing: it was cut", h.Last)
	} else if !broken && !bytes.Equal(chain, h.Chain) {
		v.find("", "the entries of the log of changes are not those that its head is of: one or more were altered, exchanged, or put back to older ones")
	}
	if got := uint64(v.Changes); !broken && next > h.Last && got != h.Changes {
		v.find("", "the head counts %d changes in its log, and there are %d", h.Changes, got)
	}
	return nil
}

func (v *verifier) eachEntry(do func(uint64, store.Record) error) error {
	return each(v.ctx, v.from, prefix, func(r store.Record) error {
		if r.Path == headPath {
			return nil
		}
		n, ok := entryNumber(r.Path)
		if !ok {
			v.find(r.Path, "this is no entry of the log of changes, and nobody writes it there")
			return nil
		}
		return do(n, r)
	})
}

func (v *verifier) play(n uint64, e entry) {
	for _, c := range e.Changes {
		v.Changes++
		s := statement{entry: n, gone: len(c.Digest) == 0}
		copy(s.digest[:], c.Digest)
		v.state[sha256.Sum256(c.Path)] = s
	}
}

// readRecords holds every record against the log.
func (v *verifier) readRecords() error {
	return each(v.ctx, v.from, "", func(r store.Record) error {
		if isOwn(r.Path) {
			return nil
		}
		if v.o.isPassing(r.Path) {
			v.Passing++
		} else {
			v.Records++
			if v.headed {
				v.compare(r)
			}
			if r.Rev > v.from.Rev() {
				v.find(r.Path, "this record is of revision %d, and the store has come to %d", r.Rev, v.from.Rev())
			}
		}
		if v.look == nil {
			return nil
		}
		if err := v.look(r); err != nil {
			v.find(r.Path, "%v", err)
		}
		return nil
	})
}

func (v *verifier) compare(r store.Record) {
	at := Digest(sha256.Sum256([]byte(r.Path)))
	s, known := v.state[at]
	if known {
		s.met = true
		v.state[at] = s
	}
	got := Digest(sha256.Sum256(r.Value))
	switch {
	case !known:
		v.find(r.Path, "the log of changes does not know this record: it was added past Trent")
	case s.gone:
		v.find(r.Path, "this record was deleted by entry %d, and is there: it was put back past Trent", s.entry)
	case got != s.digest:
		if v.differs == nil {
			v.differs = make(map[string]Digest)
		}
		v.differs[r.Path] = got
	}
}

// explain names what is missing and says what the records are that differ. It reads the
// log again, for the paths, if there are any.
func (v *verifier) explain() error {
	missing := 0
	for _, s := range v.state {
		if !s.met && !s.gone {
			missing++
		}
	}
	if missing+len(v.differs) == 0 {
		return nil
	}
	older := make(map[string]uint64) // the last entry that says what lies there now
	err := v.eachEntry(func(n uint64, r store.Record) error {
		e, err := decodeEntry(r.Value)
		if err != nil || n > v.Last {
			return nil // found before
		}
		for _, c := range e.Changes {
			at := Digest(sha256.Sum256(c.Path))
			s := v.state[at]
			if s.entry == n && !s.met && !s.gone {
				v.find(string(c.Path), "this record is missing: it was written by entry %d, and nothing has deleted it since but somebody past Trent", n)
				s.met = true
				v.state[at] = s
			}
			if got, ok := v.differs[string(c.Path)]; ok && bytes.Equal(got[:], c.Digest) {
				older[string(c.Path)] = n
			}
		}
		return nil
	})
	for path := range v.differs {
		last := v.state[sha256.Sum256([]byte(path))].entry
		if n, ok := older[path]; ok {
			v.find(path, "this record is as entry %d left it, and entry %d has changed it since: it was put back to an older version", n, last)
		} else {
			v.find(path, "this record is not what entry %d wrote: it was altered past Trent, or put back to a version that the log does not remember", last)
		}
	}
	return err
}
