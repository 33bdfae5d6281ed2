package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"trent/internal/store"
)

// watchBuffer is how far a watcher may fall behind, in commits.
const watchBuffer = 1024

// Watch implements store.Store. It goes back as far as etcd has not been compacted.
// The channel closes also when the member that serves it has no leader; another
// one may.
func (s *Store) Watch(ctx context.Context, from store.Rev) (<-chan []store.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.alive, cancel)
	raw := s.client.Watch(clientv3.WithRequireLeader(ctx), s.prefix, clientv3.WithPrefix(), clientv3.WithRev(int64(from)+1))
	events := make(chan []store.Event, watchBuffer)
	s.watchers.Go(func() {
		defer close(events)
		defer cancel()
		defer stop()
		s.forward(raw, events)
	})
	return events, nil
}

// Progress implements store.Shared.
func (s *Store) Progress(ctx context.Context) error {
	within, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.client.RequestProgress(clientv3.WithRequireLeader(within))
}

// forward sends on what etcd tells until it ends or the watcher is too slow.
func (s *Store) forward(raw clientv3.WatchChan, events chan<- []store.Event) {
	for told := range raw {
		if told.Err() != nil || told.Header.ClusterId != s.cluster {
			return
		}
		batches := s.commits(told.Events)
		if told.IsProgressNotify() {
			batches = [][]store.Event{{{Rev: store.Rev(told.Header.Revision)}}}
		}
		for _, batch := range batches {
			select {
			case events <- batch:
			default:
				return
			}
		}
	}
}

// commits splits events, which are in order, by revision. etcd never splits those
// of one revision over two messages unless it is asked to.
func (s *Store) commits(events []*clientv3.Event) (all [][]store.Event) {
	var last store.Rev
	for _, e := range events {
		event := store.Event{Path: s.path(e.Kv.Key), Rev: store.Rev(e.Kv.ModRevision)}
		if e.Type != clientv3.EventTypeDelete {
			event.Value = e.Kv.Value
		}
		if event.Rev != last {
			all = append(all, nil)
			last = event.Rev
		}
		all[len(all)-1] = append(all[len(all)-1], event)
	}
	return all
}
