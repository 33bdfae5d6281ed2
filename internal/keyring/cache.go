package keyring

import (
	"hash/maphash"
	"sync"
)

const shards = 64

// cache keeps immutable values by key, up to a bound. It is filled by loads
// from the store and kept true by drop, which every commit calls before it is
// acknowledged.
//
// The danger is a load that reads the store just before a commit and arrives
// here just after it: it would bury the new value under the old one. So each
// shard counts its changes, and a load is kept only if none happened while it
// was away. Nothing is held while the store is read.
type cache[K comparable, V any] struct {
	seed   maphash.Seed
	shards [shards]shard[K, V]
	bound  int // entries in one shard

	// keep returns a key equal to k that holds on to nothing: k's parts may be
	// parts of a request.
	keep func(k K) K
}

type shard[K comparable, V any] struct {
	mu      sync.RWMutex
	entries map[K]V
	changes uint64
}

// newCache makes a cache of at most about bound entries.
func newCache[K comparable, V any](bound int, keep func(K) K) *cache[K, V] {
	c := &cache[K, V]{seed: maphash.MakeSeed(), bound: max(1, bound/shards), keep: keep}
	for i := range c.shards {
		c.shards[i].entries = make(map[K]V)
	}
	return c
}

func (c *cache[K, V]) shard(k K) *shard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, k)%shards]
}

// load returns the value of k, from fetch if it is not here. A failed fetch is
// not remembered.
func (c *cache[K, V]) load(k K, fetch func() (V, error)) (V, error) {
	s := c.shard(k)
	s.mu.RLock()
	v, ok := s.entries[k]
	seen := s.changes
	s.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := fetch()
	if err != nil {
		return v, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changes == seen {
		if other, ok := s.entries[k]; ok {
			return other, nil // loaded twice at once: one value for all
		}
		s.add(c.keep(k), v, c.bound)
	}
	return v, nil
}

// replace puts a fuller form of a value that is here. Nothing is put where it
// has been dropped meanwhile.
func (c *cache[K, V]) replace(k K, v V) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[k]; ok {
		s.entries[k] = v
	}
}

// alter changes a value that is here, after a commit that did.
func (c *cache[K, V]) alter(k K, change func(V) V) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	if v, ok := s.entries[k]; ok {
		s.entries[k] = change(v)
	}
}

// drop forgets what has just been deleted, or may have changed.
func (c *cache[K, V]) drop(k K) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	delete(s.entries, k)
}

// clear forgets everything.
func (c *cache[K, V]) clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.changes++
		clear(s.entries)
		s.mu.Unlock()
	}
}

// add makes room by dropping any other entry: Go's maps start their iteration
// anywhere, which is random replacement at no cost in bookkeeping on a hit.
func (s *shard[K, V]) add(k K, v V, bound int) {
	if _, ok := s.entries[k]; !ok && len(s.entries) >= bound {
		for victim := range s.entries {
			delete(s.entries, victim)
			break
		}
	}
	s.entries[k] = v
}
