// Package clock says which time may be believed where an error cannot be made good: where
// something is deleted because its time has come.
//
// The wall clock of a machine can jump: a time server that errs, a hypervisor that wakes a
// machine up, a person. A Judge sets it against time that nobody can set: what passes on a
// clock that only counts, from one mark in the store to the next. A wall clock that is ahead of
// that by more than a restart takes is believed once it has said so twice, a day apart.
package clock

import "time"

const (
	// Lead is how far the wall clock may be ahead of the time that was counted: time servers
	// correct, and a restart takes its time.
	Lead = time.Hour
	// Steady is how far apart two observations must be that agree on a wall clock that is
	// further ahead.
	Steady = 24 * time.Hour
)

// A Mark is what outlasts a restart, and what the nodes of a deployment share.
type Mark struct {
	Proven time.Time // a time that has been, as far as was counted; zero: nothing is known
	Since  time.Time // since when, by the wall clock, it has not jumped
	Doubt  bool      // at Since it was found to be too far ahead
}

// A Judge is told what the clocks say, and says what may be believed. It is for one
// goroutine.
type Judge struct {
	proven time.Time
	at     time.Duration // on the counting clock, of the last observation
	zero   time.Time     // of the counting clock, by the wall clock; zero: it was not observed yet
}

// An Opinion is what a Judge makes of an observation.
type Opinion struct {
	// Believed is the time for what cannot be undone: the wall clock's or an earlier one.
	Believed time.Time
	// Ahead is how far the wall clock is ahead of it. More than zero: it is not believed.
	Ahead time.Duration
	// Until is how long the wall clock has to go on without a jump before it is.
	Until time.Duration
	// Mark is to be kept.
	Mark Mark
}

// Observe tells the Judge what the clocks say, and the mark that was kept last, by this node or another.
// counted is of a clock that nobody can set and that goes on while the machine sleeps.
func (j *Judge) Observe(wall time.Time, counted time.Duration, kept Mark) Opinion {
	wall = wall.Round(0) // without Go's own reading of a counting clock, which hides jumps
	if kept.Proven.IsZero() {
		kept = Mark{Proven: wall, Since: wall} // there is nothing to set it against
	}
	m := Mark{Proven: j.count(counted, kept.Proven), Since: kept.Since, Doubt: kept.Doubt}
	ahead := wall.After(m.Proven.Add(Lead))
	if j.jumped(wall, counted) || wall.Before(m.Since) || ahead && !m.Doubt {
		m.Since = wall
	}
	if m.Doubt = ahead; wall.Sub(m.Since) >= Steady {
		m = Mark{Proven: later(m.Proven, wall), Since: wall}
	}
	j.proven = m.Proven
	o := Opinion{Believed: wall, Mark: m}
	if m.Doubt {
		o.Believed = m.Proven.Add(Lead)
		o.Ahead, o.Until = wall.Sub(o.Believed), Steady-wall.Sub(m.Since)
	}
	return o
}

// count adds what has passed since the last observation to the proven time.
func (j *Judge) count(counted time.Duration, kept time.Time) time.Time {
	if !j.zero.IsZero() {
		kept = later(kept, j.proven.Add(counted-j.at))
	}
	j.at = counted
	return kept
}

// jumped reports whether the wall clock has gone on otherwise than the counting one since this
// Judge was made, or since it last did.
func (j *Judge) jumped(wall time.Time, counted time.Duration) bool {
	zero := wall.Add(-counted)
	if apart := zero.Sub(j.zero); !j.zero.IsZero() && -Lead <= apart && apart <= Lead {
		return false
	}
	first := j.zero.IsZero()
	j.zero = zero
	return !first
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
