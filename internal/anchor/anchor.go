// Package anchor keeps, outside of a store, how far the store has come, so that it is
// noticed when all of it is put back to an older state: the store itself cannot tell.
//
// What is kept is a position in the log of changes (package ledger), sealed under the root
// keys of the store. It is moved on behind the commits, never in their way, and only ever
// forward. docs/spec/anchor.md has the format and the places.
package anchor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"trent/internal/ledger"
	"trent/internal/root"
	"trent/internal/seal"
)

// maxValue bounds what is read from a place, in bytes.
const maxValue = 4096

// timeout bounds one reading or writing.
const timeout = 10 * time.Second

// errMoved says that somebody else has written since the value was read.
var errMoved = errors.New("somebody else has written there at the same time")

// A place keeps one small value.
type place interface {
	// read returns the value, nil if there is none, and its version.
	read(ctx context.Context) (value []byte, version string, err error)
	// write replaces the value that was of a version, or fails with errMoved.
	write(ctx context.Context, value []byte, was string) error
	// pace is how long at least lies between two writes.
	pace() time.Duration
}

// An Anchor is one place.
type Anchor struct {
	name  string
	place place

	mu      sync.Mutex
	held    ledger.Position // what it held when it was last read or written
	written time.Time       // when it was last known to hold the newest position
	err     error           // of the last attempt
}

// Open names the place at KIND:PLACE. It asks nobody yet.
func Open(text string) (*Anchor, error) {
	l, err := root.ParseLocator(text)
	if err != nil {
		return nil, fmt.Errorf("anchor %.80q: write KIND:PLACE, without blanks", text)
	}
	a := &Anchor{name: text}
	switch l.Kind {
	case "file":
		a.place, err = openFile(l)
	case "s3":
		a.place, err = openS3(l)
	case "tpm":
		a.place, err = openTPM(l)
	default:
		err = fmt.Errorf("there is no kind %q; there are file, s3 and tpm", l.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("anchor %s: %w", text, err)
	}
	return a, nil
}

// Name is how the anchor was named.
func (a *Anchor) Name() string { return a.name }

// A State is how an anchor is.
type State struct {
	Name  string
	Entry uint64    // that it holds; zero: none that is known of
	Known time.Time // when it was last known to hold the newest position
	Err   error     // why it does not, if the last attempt failed
}

// State tells how the anchor is.
func (a *Anchor) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return State{a.name, a.held.Entry, a.written, a.err}
}

// Read returns the position that the anchor holds, and whether it holds one.
func (a *Anchor) Read(ctx context.Context, s *seal.Sealer) (ledger.Position, bool, error) {
	p, _, there, err := a.get(ctx, s)
	return p, there, err
}

func (a *Anchor) get(ctx context.Context, s *seal.Sealer) (p ledger.Position, version string, there bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	value, version, err := a.place.read(ctx)
	if err != nil {
		return p, "", false, fmt.Errorf("the anchor %s cannot be read: %w", a.name, err)
	}
	if len(value) == 0 {
		return p, version, false, nil
	}
	p, err = ledger.OpenPosition(s, value)
	if err != nil {
		err = fmt.Errorf("the anchor %s does not belong to this store: %w", a.name, err)
	}
	return p, version, err == nil, err
}

// advance makes the anchor hold a position, unless it holds a later one.
func (a *Anchor) advance(ctx context.Context, s *seal.Sealer, to ledger.Position, now time.Time) error {
	held, err := a.put(ctx, s, to)
	for range 4 {
		if !errors.Is(err, errMoved) {
			break
		}
		held, err = a.put(ctx, s, to) // another node has written
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err = err; err == nil {
		a.held, a.written = held, now
	}
	return err
}

func (a *Anchor) put(ctx context.Context, s *seal.Sealer, to ledger.Position) (ledger.Position, error) {
	held, version, there, err := a.get(ctx, s)
	if err != nil || there && !to.After(held) {
		return held, err
	}
	value, err := ledger.SealPosition(s, to)
	if err != nil {
		return held, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := a.place.write(ctx, value, version); err != nil {
		return held, fmt.Errorf("the anchor %s cannot be written: %w", a.name, err)
	}
	return to, nil
}

// Follow moves the anchor on after the ledger until ctx ends, and once more then. moved
// receives after commits; it may leave some out. A failure is logged when it begins and when
// it is over.
func (a *Anchor) Follow(ctx context.Context, l *ledger.Ledger, s *seal.Sealer, moved <-chan struct{}, log *slog.Logger, now func() time.Time) {
	failing := false
	step := func(ctx context.Context) {
		err := a.advance(ctx, s, l.Position(), now())
		if err != nil && !failing {
			log.Error("an anchor does not move on", "anchor", a.name, "error", err)
		} else if err == nil && failing {
			log.Info("an anchor moves on again", "anchor", a.name)
		}
		failing = err != nil
	}
	for {
		step(ctx)
		var retry <-chan time.Time
		if failing {
			retry = time.After(max(a.place.pace(), retryAfter))
		}
		select {
		case <-ctx.Done():
		case <-moved:
		case <-retry:
		}
		select {
		case <-ctx.Done():
			step(context.WithoutCancel(ctx))
			return
		case <-time.After(a.place.pace()):
		}
	}
}

// retryAfter is how long after a failure the next attempt is.
const retryAfter = 10 * time.Second
