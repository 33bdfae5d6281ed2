package grant

import "trent/internal/api"

// A Set is what one party was granted on one key, arranged so that a decision looks
// at few of them however many there are: services make a grant for each of
// their resources, all to one role. It is immutable.
type Set struct {
	all []*Grant

	// Of more than few: by operation, those that need no pair of the encryption
	// context; and the others by one of their pairs, the rarest.
	open   map[api.GrantOperation][]*Grant
	byPair map[pair][]*Grant
}

type pair struct{ key, value string }

// few is how many grants are looked through one by one.
const few = 16

// NewSet arranges grants. It keeps the slice.
func NewSet(all []*Grant) *Set {
	s := &Set{all: all}
	if len(all) <= few {
		return s
	}
	s.open, s.byPair = make(map[api.GrantOperation][]*Grant), make(map[pair][]*Grant)
	count := make(map[pair]int)
	for _, g := range all {
		for k, v := range g.Constraint.Pairs {
			count[pair{k, v}]++
		}
	}
	for _, g := range all {
		s.add(g, count)
	}
	return s
}

func (s *Set) add(g *Grant, count map[pair]int) {
	rarest, least := pair{}, 0
	for k, v := range g.Constraint.Pairs {
		if n := count[pair{k, v}]; least == 0 || n < least {
			rarest, least = pair{k, v}, n
		}
	}
	if least > 0 {
		s.byPair[rarest] = append(s.byPair[rarest], g)
	}
	for _, op := range g.Operations.List() {
		if least == 0 || !limitedByContext(op) {
			s.open[op] = append(s.open[op], g)
		}
	}
}

// All are the grants of the set, in the order of their ids. The slice is shared.
func (s *Set) All() []*Grant {
	if s == nil {
		return nil
	}
	return s.all
}

// Covers reports whether one of the grants allows a use, and, if somebody wants to
// make a grant by it, whether that stays within. A nil child is none.
func (s *Set) Covers(u Use, child *Grant) bool {
	if s == nil {
		return false
	}
	if s.open == nil {
		return covers(s.all, u, child)
	}
	if covers(s.open[u.Operation], u, child) {
		return true
	}
	for k, v := range u.Context {
		if covers(s.byPair[pair{k, v}], u, child) {
			return true
		}
	}
	return false
}

func covers(list []*Grant, u Use, child *Grant) bool {
	for _, g := range list {
		if g.Covers(u) && (child == nil || child.Within(g)) {
			return true
		}
	}
	return false
}
