package seal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"trent/internal/root"
	"trent/internal/secret"
)

// New root keys come in four steps, each of which is one container: a key is added, and every
// node learns of it; it is made the current one; what is sealed under the old one is sealed again, which is
// not the container's business; and the old one is dropped. docs/spec/sealed-record.md.

// Rekeying is how far the root keys of a container have come.
type Rekeying struct {
	Newest  uint32 // id of the newest key
	Current uint32 // what is new is sealed under it
	Keys    int    // 1: nothing is under way
}

// RekeyingOf reads that.
func RekeyingOf(stored []byte) (Rekeying, error) {
	c, err := parseContainer(stored)
	if err != nil {
		return Rekeying{}, err
	}
	return Rekeying{Newest: c.newest().ID, Current: c.Current, Keys: len(c.Keys)}, nil
}

func (c container) newest() rootKey {
	return slices.MaxFunc(c.Keys, func(a, b rootKey) int { return int(int64(a.ID) - int64(b.ID)) })
}

// AddKey is the container with a new root key, wrapped by all of the store's roots of trust, which
// must be at hand, except for those that are given up. It is not the current one yet.
func (s *Sealer) AddKey(ctx context.Context, stored []byte, roots []root.Root, givenUp []string) ([]byte, error) {
	c, err := parseContainer(stored)
	if err != nil {
		return nil, err
	}
	if len(c.Keys) != 1 {
		return nil, errors.New("seal: the container has more than one root key already")
	}
	stay := slices.DeleteFunc(c.roots(), func(name string) bool { return slices.Contains(givenUp, name) })
	if missing := unreached(stay, roots); len(missing) > 0 {
		return nil, fmt.Errorf("every root of trust must wrap the new root key, and %s cannot be reached: bring it back, or give it up", strings.Join(missing, ", "))
	}
	if len(stay) == 0 {
		return nil, errors.New("every root of trust of the store would be given up, and nothing could be read any more")
	}
	fresh := rootKey{ID: c.newest().ID + 1}
	key := newRootKey()
	for _, r := range roots {
		if !slices.Contains(stay, r.ID()) {
			continue
		}
		blob, err := s.wrapKey(ctx, fresh.ID, key, r)
		if err != nil {
			return nil, err
		}
		fresh.Wraps = append(fresh.Wraps, wrapping{r.ID(), blob})
	}
	if fresh.Handed, err = s.Seal(handedPath(fresh.ID), key.Expose()); err != nil {
		return nil, err
	}
	c.Keys = append(c.Keys, fresh)
	return encode(c)
}

// unreached names those of names that none of roots has.
func unreached(names []string, roots []root.Root) (missing []string) {
	for _, name := range names {
		if !slices.ContainsFunc(roots, func(r root.Root) bool { return r.ID() == name }) {
			missing = append(missing, name)
		}
	}
	return missing
}

// handedPath is what a root key is bound to under the one before it. Nothing lies there.
func handedPath(id uint32) string { return "sys/rootkeys#" + strconv.FormatUint(uint64(id), 10) }

// SwitchKey is the container whose newest root key is the current one.
func SwitchKey(stored []byte) ([]byte, error) {
	c, err := parseContainer(stored)
	if err != nil {
		return nil, err
	}
	c.Current = c.newest().ID
	return encode(c)
}

// SettleKeys is the container without what new root keys were handed over by: every node has them.
func SettleKeys(stored []byte) ([]byte, error) {
	c, err := parseContainer(stored)
	if err != nil {
		return nil, err
	}
	for i := range c.Keys {
		c.Keys[i].Handed = nil
	}
	return encode(c)
}

// DropKeys is the container with the current root key alone. What is sealed under another one cannot
// be read by anybody any more.
func DropKeys(stored []byte) ([]byte, error) {
	c, err := parseContainer(stored)
	if err != nil {
		return nil, err
	}
	c.Keys = slices.DeleteFunc(c.Keys, func(k rootKey) bool { return k.ID != c.Current })
	c.Keys[0].Handed = nil
	return encode(c)
}

// Follow makes the sealer have the keys of a newer container, and no others. New ones are
// opened with those that it has, so that no root of trust is needed.
func (s *Sealer) Follow(stored []byte) error {
	c, err := parseContainer(stored)
	if err != nil {
		return err
	}
	if ClusterID(c.Cluster) != s.cluster {
		return errors.New("seal: the container of root keys is another store's")
	}
	had := s.keys.Load()
	byID := make(map[uint32]secret.Bytes)
	for _, k := range c.Keys {
		key, known := had.byID[k.ID]
		if !known {
			opened, err := s.Open(handedPath(k.ID), k.Handed)
			if err != nil || len(opened) != root.KeySize {
				return fmt.Errorf("seal: root key %d was not handed over: start the server anew: %w", k.ID, ErrUnreadable)
			}
			key = secret.New(opened)
		}
		byID[k.ID] = key
	}
	same := func(a, b secret.Bytes) bool { return a.Equal(b) }
	if c.Current == had.current && maps.EqualFunc(byID, had.byID, same) {
		return nil
	}
	if !s.keys.CompareAndSwap(had, &keys{byID: byID, current: c.Current, generation: had.generation + 1}) {
		return s.Follow(stored)
	}
	return nil
}
