package recipient

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
)

const (
	// maxWaiting bounds who waits for a lane, over all callers. Each of them holds the
	// body of a request, half a MiB at most.
	maxWaiting = 256
	// patience is how long one waits at most.
	patience = 5 * time.Second
)

// A lane lets in as many at once as it has places. Callers take turns, however many
// requests each of them has, and where too many wait, somebody of the caller with
// the most has to go: nobody can keep others out by asking often.
type lane struct {
	// pause is how long a place stays closed after work that took so long.
	pause func(took time.Duration) time.Duration

	mu      sync.Mutex
	free    int                  // places
	waiting map[string][]*ticket // by caller, who came first before; no list is empty
	turns   []string             // the callers in waiting, whose turn is next before
	count   int                  // of all that wait
}

// A ticket is one that waits. It hears once: nil is its turn.
type ticket struct {
	who   string
	heard chan error
}

func newLane(places int, pause func(took time.Duration) time.Duration) *lane {
	return &lane{pause: pause, free: places, waiting: make(map[string][]*ticket)}
}

// run waits for a place and works there. The error says why it did not.
func (l *lane) run(ctx context.Context, who string, work func()) error {
	if err := l.enter(ctx, who); err != nil {
		return err
	}
	began := time.Now() // of work, not of the request: always the true clock
	defer func() { l.leave(time.Since(began)) }()
	work()
	return nil
}

func (l *lane) enter(ctx context.Context, who string) error {
	l.mu.Lock()
	if l.free > 0 {
		l.free--
		l.mu.Unlock()
		return nil
	}
	t, ok := l.queue(who)
	l.mu.Unlock()
	if !ok {
		return errBusy
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errPatience)
	defer cancel()
	select {
	case err := <-t.heard:
		return err
	case <-ctx.Done():
		l.abandon(t)
		return errBusy.Because(context.Cause(ctx))
	}
}

// queue lets one more wait. Where there is no room, the last of the caller with the most
// makes room, if that is more than this one's. It wants the lock.
func (l *lane) queue(who string) (t *ticket, ok bool) {
	if l.count >= maxWaiting {
		most := who
		for _, other := range l.turns {
			if len(l.waiting[other]) > len(l.waiting[most]) {
				most = other
			}
		}
		if len(l.waiting[most]) <= len(l.waiting[who])+1 {
			return nil, false // it would take from one to give to another
		}
		last := l.waiting[most][len(l.waiting[most])-1]
		l.remove(last)
		last.heard <- errBusy
	}
	if len(l.waiting[who]) == 0 {
		l.turns = append(l.turns, who)
	}
	t = &ticket{who, make(chan error, 1)}
	l.waiting[who] = append(l.waiting[who], t)
	l.count++
	return t, true
}

// remove takes one out that waits, and reports whether it did. It wants the lock.
func (l *lane) remove(t *ticket) bool {
	i := slices.Index(l.waiting[t.who], t)
	if i < 0 {
		return false
	}
	l.count--
	if l.waiting[t.who] = slices.Delete(l.waiting[t.who], i, i+1); len(l.waiting[t.who]) == 0 {
		delete(l.waiting, t.who)
		i = slices.Index(l.turns, t.who)
		l.turns = slices.Delete(l.turns, i, i+1)
	}
	return true
}

// abandon stops waiting. A place that was given in the same moment goes to the next.
func (l *lane) abandon(t *ticket) {
	l.mu.Lock()
	waited := l.remove(t)
	l.mu.Unlock()
	if !waited && <-t.heard == nil {
		l.open()
	}
}

// leave gives the place up, after the pause.
func (l *lane) leave(took time.Duration) {
	if p := l.pause(took); p > 0 {
		time.AfterFunc(p, l.open)
		return
	}
	l.open()
}

// open gives a place to whoever's turn it is.
func (l *lane) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.turns) == 0 {
		l.free++
		return
	}
	who := l.turns[0]
	t := l.waiting[who][0]
	l.remove(t)
	if len(l.waiting[who]) > 0 { // to the end of those who take turns
		l.turns = append(l.turns[1:], who)
	}
	t.heard <- nil
}

var (
	errBusy     = fault.New(api.ThrottlingException, "More attestation documents are waiting to be verified than the server takes on at a time. Try again.")
	errPatience = errors.New("its turn did not come in time")
)
