// Package lane bounds how much of one kind of work is done at once, so that what is expensive
// leaves room for what is not, and gives those who want it their turns: whoever asks for much waits
// for the others, and not they for them.
package lane

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
	// MaxWaiting bounds who waits for a lane, over all callers. Each of them holds the
	// body of a request, half a MiB at most.
	MaxWaiting = 256
	// Patience is how long one waits at most.
	Patience = 5 * time.Second
)

// A Lane lets in as many at once as it has places. Callers take turns, however many
// requests each of them has, and where too many wait, somebody of the caller with
// the most has to go: nobody can keep others out by asking often.
type Lane struct {
	pause func(took time.Duration) time.Duration
	busy  string

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

// New makes a lane. pause says how long a place stays closed after work that took so long; nil:
// not at all. busy is what those are told, in a ThrottlingException, who have to go.
func New(places int, pause func(took time.Duration) time.Duration, busy string) *Lane {
	if pause == nil {
		pause = func(time.Duration) time.Duration { return 0 }
	}
	return &Lane{pause: pause, busy: busy, free: places, waiting: make(map[string][]*ticket)}
}

// Run waits for a place and works there. The error says why it did not.
func (l *Lane) Run(ctx context.Context, who string, work func()) error {
	if err := l.enter(ctx, who); err != nil {
		return err
	}
	began := time.Now() // of work, not of the request: always the true clock
	defer func() { l.leave(time.Since(began)) }()
	work()
	return nil
}

func (l *Lane) enter(ctx context.Context, who string) error {
	l.mu.Lock()
	if l.free > 0 {
		l.free--
		l.mu.Unlock()
		return nil
	}
	t, ok := l.queue(who)
	l.mu.Unlock()
	if !ok {
		return l.errBusy()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, Patience, errPatience)
	defer cancel()
	select {
	case err := <-t.heard:
		return err
	case <-ctx.Done():
		l.abandon(t)
		return l.errBusy().Because(context.Cause(ctx))
	}
}

// queue lets one more wait. Where there is no room, the last of the caller with the most
// makes room, if that is more than this one's. It wants the lock.
func (l *Lane) queue(who string) (t *ticket, ok bool) {
	if l.count >= MaxWaiting {
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
		last.heard <- l.errBusy()
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
func (l *Lane) remove(t *ticket) bool {
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
func (l *Lane) abandon(t *ticket) {
	l.mu.Lock()
	waited := l.remove(t)
	l.mu.Unlock()
	if !waited && <-t.heard == nil {
		l.open()
	}
}

// leave gives the place up, after the pause.
func (l *Lane) leave(took time.Duration) {
	if p := l.pause(took); p > 0 {
		time.AfterFunc(p, l.open)
		return
	}
	l.open()
}

// open gives a place to whoever's turn it is.
func (l *Lane) open() {
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

func (l *Lane) errBusy() *fault.Error { return fault.New(api.ThrottlingException, l.busy) }

var errPatience = errors.New("its turn did not come in time")
