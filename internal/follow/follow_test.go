package follow_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/follow"
	"trent/internal/store"
)

const bound = 2 * time.Second

// cluster is a store that can be cut off, of which the watch alone can be too.
type cluster struct {
	store.Store // nil: nothing else is asked for

	mu     sync.Mutex
	rev    store.Rev
	events chan []store.Event
	cut    bool // nothing is answered
	silent bool // the watch tells nothing
	others bool // progress is told of when it is asked for
}

func (c *cluster) Rev(ctx context.Context) (store.Rev, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return 0, store.ErrUnavailable
	}
	return c.rev, nil
}

func (c *cluster) Watch(ctx context.Context, from store.Rev) (<-chan []store.Event, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil, store.ErrUnavailable
	}
	c.events = make(chan []store.Event, 100)
	return c.events, nil
}

func (c *cluster) Progress(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.others && !c.cut && !c.silent {
		c.events <- []store.Event{{Rev: c.rev}}
	}
	return nil
}

// write is a commit of another node.
func (c *cluster) write(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rev++
	if !c.silent {
		c.events <- []store.Event{{Path: path, Rev: c.rev}}
	}
}

func (c *cluster) set(change func(c *cluster)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// memory is a cache that counts.
type memory struct {
	mu     sync.Mutex
	forgot []string
	all    int
	broken error
}

func (m *memory) Forget(_ context.Context, changed []store.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range changed {
		m.forgot = append(m.forgot, e.Path)
	}
	return m.broken
}

func (m *memory) ForgetAll(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all++
	return m.broken
}

func (m *memory) timesEmptied() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all
}

// world is a follower in time that passes at will; slept is how long the machine was suspended.
type world struct {
	*follow.Follower
	store  *cluster
	memory *memory

	mu    sync.Mutex
	slept time.Duration
}

func (w *world) sleep(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slept += d
}

func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{store: &cluster{rev: 7}, memory: new(memory)}
		began := time.Now()
		w.Follower = follow.New(w.store, follow.Options{
			Bound: bound, Log: slog.New(slog.DiscardHandler), Caches: []follow.Cache{w.memory},
			Clock: func() time.Duration {
				w.mu.Lock()
				defer w.mu.Unlock()
				return time.Since(began) + w.slept
			},
		})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		test(t, w)
		cancel()
		<-done
		time.Sleep(2 * bound) // what was asked ends
	})
}

func (w *world) wantFresh(t *testing.T) {
	t.Helper()
	if err := w.Fresh(t.Context()); err != nil {
		t.Fatalf("Fresh: %v", err)
	}
}

func (w *world) wantRefusal(t *testing.T) {
	t.Helper()
	if err := w.Fresh(t.Context()); err == nil || fault.From(err).Code != api.KeyUnavailableException {
		t.Fatalf("Fresh = %v; want KeyUnavailableException", err)
	}
}

func TestChangesAreForgotten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.wantFresh(t)
		w.store.write("key/a")
		w.store.write("key/b")
		synctest.Wait()
		if got := w.memory.forgot; len(got) != 2 || got[0] != "key/a" || got[1] != "key/b" {
			t.Errorf("forgot %v", got)
		}
		time.Sleep(time.Hour) // in which nothing happens
		w.wantFresh(t)
		if n := w.memory.timesEmptied(); n != 1 {
			t.Errorf("everything was forgotten %d times", n)
		}
	})
}

// Without the store the caches are good until the bound has passed since it was last heard of, and
// not a moment longer; and again when it is back.
func TestSEC_E04_CutOffBeyondTheBound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.wantFresh(t)
		w.store.set(func(c *cluster) { c.cut = true })
		time.Sleep(bound / 2)
		w.wantFresh(t)
		time.Sleep(bound / 2)
		w.wantRefusal(t)
		w.store.set(func(c *cluster) { c.cut = false })
		w.wantFresh(t)
	})
}

// A machine that was suspended knows it when it goes on: before it answers, it asks.
func TestSEC_E04_SuspendedMachine(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.wantFresh(t)
		w.store.set(func(c *cluster) { c.cut = true })
		w.sleep(bound)
		w.wantRefusal(t)
	})
}

// A watch that tells nothing while the store has gone on does not make the caches good: they are
// emptied, and filled from the store.
func TestSEC_E04_SilentWatch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.wantFresh(t)
		w.store.set(func(c *cluster) { c.silent = true })
		w.store.write("key/a")
		wrote := time.Now()
		for w.memory.timesEmptied() == 1 {
			if time.Since(wrote) > bound && w.Fresh(t.Context()) == nil && w.memory.timesEmptied() == 1 {
				t.Fatal("fresh, after a change that it knows nothing of")
			}
			time.Sleep(bound / 100)
		}
		w.wantFresh(t)
	})
}

// Others may write to the same cluster, which the watch does not tell of but by notices of progress.
func TestProgressOfOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.wantFresh(t)
		w.store.set(func(c *cluster) { c.others = true })
		for range 100 {
			w.store.set(func(c *cluster) { c.rev++ })
			time.Sleep(bound / 3)
			w.wantFresh(t)
		}
		if n := w.memory.timesEmptied(); n != 1 {
			t.Errorf("everything was forgotten %d times", n)
		}
	})
}

// A cache that could not forget is not good, whatever the watch has told.
func TestSEC_E04_CacheThatCannotForget(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.wantFresh(t)
		w.memory.mu.Lock()
		w.memory.broken = errors.New("the store does not answer")
		w.memory.mu.Unlock()
		w.store.write("key/a")
		time.Sleep(bound)
		w.wantRefusal(t)
	})
}

// SinceBoot grows, and is a time of this machine.
func TestSinceBoot(t *testing.T) {
	if a, b := follow.SinceBoot(), follow.SinceBoot(); a <= 0 || b < a || b > 100*365*24*time.Hour {
		t.Errorf("SinceBoot: %v, then %v", a, b)
	}
}
