package bolt

import (
	"context"
	"sort"

	"trent/internal/store"
)

// How far a watcher may fall behind, in commits, and how much of the past is
// kept for one that comes late, in commits and bytes.
const (
	watchBuffer    = 1024
	historyCommits = 4096
	historyBytes   = 4 << 20
)

// A watcher is in Store.watchers as long as its channel is open.
type watcher struct {
	events  chan []store.Event
	release func() bool // stops waiting for the end of the context
}

// Watch implements store.Store. It goes back a few thousand commits, but not
// beyond the opening of the store; from a revision before that, or from one that
// has not been yet (which must be of some other store), the channel is closed
// at once. A watcher that leaves a thousand commits unread has lost track.
func (s *Store) Watch(ctx context.Context, from store.Rev) (<-chan []store.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	missed, known := s.past.since(from)
	if !known || from > s.seen.rev {
		lost := make(chan []store.Event)
		close(lost)
		return lost, nil
	}
	w := &watcher{events: make(chan []store.Event, len(missed)+watchBuffer)}
	for _, events := range missed {
		w.events <- events
	}
	s.watchers[w] = struct{}{}
	w.release = context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.drop(w)
	})
	return w.events, nil
}

// drop ends a watcher, once. The caller holds mu.
func (s *Store) drop(w *watcher) {
	if _, open := s.watchers[w]; !open {
		return
	}
	delete(s.watchers, w)
	close(w.events)
	w.release()
}

// tell sends to all watchers and waits for none. The caller holds mu.
func (s *Store) tell(events []store.Event) {
	for w := range s.watchers {
		select {
		case w.events <- events:
		default:
			s.drop(w)
		}
	}
}

// history is the events of the latest commits: all those after the revision
// from.
type history struct {
	from    store.Rev
	commits [][]store.Event // none is empty
	bytes   int
}

func (h *history) add(events []store.Event) {
	h.commits = append(h.commits, events)
	h.bytes += sizeOf(events)
	for len(h.commits) > historyCommits || h.bytes > historyBytes {
		oldest := h.commits[0]
		h.from = oldest[0].Rev
		h.bytes -= sizeOf(oldest)
		h.commits[0] = nil // the array lives on for a while; the values need not
		h.commits = h.commits[1:]
	}
}

// since returns the commits after rev, and whether it knows them all.
func (h *history) since(rev store.Rev) ([][]store.Event, bool) {
	if rev < h.from {
		return nil, false
	}
	first := sort.Search(len(h.commits), func(i int) bool { return h.commits[i][0].Rev > rev })
	return h.commits[first:], true
}

func sizeOf(events []store.Event) (n int) {
	for _, e := range events {
		n += len(e.Path) + len(e.Value)
	}
	return n
}
