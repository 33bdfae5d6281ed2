package recipient

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/lane"
)

// A Verifier verifies evidence of all kinds that it was given, for requests whose
// caller is known, and sees to it that whoever sends evidence takes nothing from those
// who send none. It may be used by many goroutines.
//
// A signature on P-384 costs more than a hundred data keys. So there are two lanes. The
// fast one is for evidence of which only one signature is left to verify: half of the
// processors at most. The slow one is for what is new, a chain of certificates that nobody
// has shown before, and for suspects. It does one thing at a time and then rests, so that
// it has a tenth of the processors, one of them at most; and it rests at least two
// milliseconds, so that evidence which is refused at a glance is not refused often.
//
// A suspect is a caller whose last evidence was refused. A caller is nobody's suspect any
// more when evidence of theirs is accepted.
type Verifier struct {
	kinds      []Evidence
	fast, slow *lane.Lane
	suspects   suspects
}

// NewVerifier makes a verifier of some kinds of evidence. The first that knows a piece
// of evidence has the say.
func NewVerifier(kinds ...Evidence) *Verifier {
	return newVerifier(runtime.GOMAXPROCS(0), kinds)
}

const busy = "More attestation documents are waiting to be verified than the server takes on at a time. Try again."

func newVerifier(processors int, kinds []Evidence) *Verifier {
	return &Verifier{
		kinds:    kinds,
		fast:     lane.New(max(1, processors/2), nil, busy),
		slow:     lane.New(1, func(took time.Duration) time.Duration { return rest(processors, took) }, busy),
		suspects: suspects{known: make(map[string]*list.Element)},
	}
}

const (
	// leastRest is how long the slow lane rests in any case.
	leastRest = 2 * time.Millisecond
	// longestWork is what work in the slow lane counts as at most. On a busy machine it
	// takes longer by the clock than it costs.
	longestWork = 20 * time.Millisecond
)

// rest is how long the slow lane rests after work: as long as makes the work a tenth of
// what the processors do.
func rest(processors int, took time.Duration) time.Duration {
	took = min(took, longestWork) * time.Duration(max(0, 10-processors)) / time.Duration(processors)
	return max(took, leastRest)
}

// Verify says what evidence proves. who is the access key id of the caller, who must
// have been authenticated. The error is a ValidationException that says what is wrong with the
// evidence, or a ThrottlingException if too many wait.
func (v *Verifier) Verify(ctx context.Context, who string, evidence []byte, now time.Time) (a *Attested, err error) {
	defer func() { v.note(who, a, err) }() // also if it panics
	if !v.suspects.has(who) {
		return v.verify(evidence, now, func(c Cost, work func()) error {
			if c == Warm {
				return v.fast.Run(ctx, who, work)
			}
			return v.slow.Run(ctx, who, work)
		})
	}
	if busy := v.slow.Run(ctx, who, func() { a, err = v.verify(evidence, now, atOnce) }); busy != nil {
		return nil, busy
	}
	return a, err
}

// atOnce is the Run of who is in a lane already.
func atOnce(_ Cost, work func()) error {
	work()
	return nil
}

func (v *Verifier) verify(evidence []byte, now time.Time, run Run) (*Attested, error) {
	for _, k := range v.kinds {
		if k.Knows(evidence) {
			return k.Verify(evidence, now, run)
		}
	}
	return nil, fault.New(api.ValidationException, "The attestation document failed its decode check: it is of no kind that this server knows.")
}

// note remembers how it went.
func (v *Verifier) note(who string, a *Attested, err error) {
	switch {
	case a != nil:
		v.suspects.clear(who)
	case !fault.Is(err, api.ThrottlingException):
		v.suspects.add(who)
	}
}

// maxSuspects bounds the suspects that are remembered. Beyond it, who has been one for
// longest is forgotten, and has one refusal free. To be forgotten so costs an attacker
// thousands of access keys.
const maxSuspects = 4096

type suspects struct {
	mu    sync.Mutex
	known map[string]*list.Element
	since list.List // of access key ids, the oldest suspect first
}

func (s *suspects) has(who string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[who] != nil
}

func (s *suspects) add(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[who] != nil {
		return
	}
	if len(s.known) >= maxSuspects {
		delete(s.known, s.since.Remove(s.since.Front()).(string))
	}
	s.known[who] = s.since.PushBack(who)
}

func (s *suspects) clear(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.known[who]; e != nil {
		s.since.Remove(e)
		delete(s.known, who)
	}
}
