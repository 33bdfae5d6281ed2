// Package vitals keeps what the parts of a server say about themselves, where the safety of
// keys rests on it and nobody would notice that it is missing: a root of trust that opens no more, a
// backup that is old. People see it in `trent status`, machines in the metrics.
package vitals

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Kinds of vitals.
const (
	Root   = "root"   // a root of trust opens the store
	Clock  = "clock"  // the clock is believed
	Anchor = "anchor" // an anchor holds how far the store has come
	Backup = "backup" // the newest verified backup is not too old
)

// A Vital is one of them. It holds nothing secret.
type Vital struct {
	Kind    string
	Name    string // which of its kind, as the settings call it; may be empty
	Checked time.Time
	OK      bool
	GoodAt  time.Time // when it was last in order; zero: not since the start of the server
	Problem string    // what is wrong, in words, if it is not in order
}

// A Board is where they stand. It may be used by many goroutines.
type Board struct {
	mu     sync.Mutex
	vitals []Vital // in order
}

// Report puts up how it stands with one; a problem that is nil: it is in order.
func (b *Board) Report(kind, name string, now time.Time, problem error) {
	v := Vital{Kind: kind, Name: name, Checked: now, OK: problem == nil}
	b.mu.Lock()
	defer b.mu.Unlock()
	i, known := slices.BinarySearchFunc(b.vitals, v, order)
	switch {
	case problem == nil:
		v.GoodAt = now
	case known:
		v.GoodAt = b.vitals[i].GoodAt
	}
	if problem != nil {
		v.Problem = problem.Error()
	}
	if known {
		b.vitals[i] = v
		return
	}
	b.vitals = slices.Insert(b.vitals, i, v)
}

// All is how it stands with all, by kind and name.
func (b *Board) All() []Vital {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.vitals)
}

func order(a, b Vital) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) }
