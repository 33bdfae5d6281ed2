package seal

import (
	"context"
	"fmt"
	"slices"

	"trent/internal/record"
	"trent/internal/root"
	"trent/internal/secret"
)

// MaxRoots bounds how many roots of trust wrap the keys of one store.
const MaxRoots = 16

// Roots are the names of the roots of trust that open the container: those that
// wrap each of its keys.
func Roots(stored []byte) ([]string, error) {
	c, err := parseContainer(stored)
	if err != nil {
		return nil, err
	}
	return c.roots(), nil
}

func (c container) roots() (names []string) {
	for _, w := range c.Keys[0].Wraps {
		everywhere := !slices.ContainsFunc(c.Keys, func(k rootKey) bool { return !k.wrappedBy(w.Root) })
		if everywhere && !slices.Contains(names, w.Root) {
			names = append(names, w.Root)
		}
	}
	return names
}

func (k rootKey) wrappedBy(name string) bool {
	return slices.ContainsFunc(k.Wraps, func(w wrapping) bool { return w.Root == name })
}

// AddRoot is the container in which r, too, wraps every root key. Each wrapping has
// been unwrapped again and is right.
func (s *Sealer) AddRoot(ctx context.Context, stored []byte, r root.Root) ([]byte, error) {
	c, err := parseContainer(stored)
	if err != nil {
		return nil, err
	}
	if slices.Contains(c.roots(), r.ID()) {
		return nil, fmt.Errorf("%s is a root of trust of this store already", r.ID())
	}
	if len(c.roots()) >= MaxRoots {
		return nil, fmt.Errorf("this store has %d roots of trust, and cannot have more", MaxRoots)
	}
	for i := range c.Keys {
		blob, err := s.wrap(ctx, c.Keys[i].ID, r)
		if err != nil {
			return nil, err
		}
		// What an act that was cut off has left of it goes.
		c.Keys[i].Wraps = append(without(c.Keys[i].Wraps, r.ID()), wrapping{r.ID(), blob})
	}
	return encode(c)
}

func (s *Sealer) wrap(ctx context.Context, id uint32, r root.Root) ([]byte, error) {
	key, ok := s.keys.Load().byID[id]
	if !ok {
		return nil, ErrUnreadable
	}
	return s.wrapKey(ctx, id, key, r)
}

func (s *Sealer) wrapKey(ctx context.Context, id uint32, key secret.Bytes, r root.Root) ([]byte, error) {
	blob, err := r.Wrap(ctx, key, wrapAAD(s.cluster, id))
	if err != nil {
		return nil, fmt.Errorf("wrap the root key with %s: %w", r.ID(), err)
	}
	back, err := r.Unwrap(ctx, blob, wrapAAD(s.cluster, id))
	if err == nil && !back.Equal(key) {
		err = root.ErrBadData
	}
	if err != nil {
		return nil, fmt.Errorf("%s does not unwrap what it has just wrapped, so it was not added: %w", r.ID(), err)
	}
	return blob, nil
}

// RemoveRoot is the container without the wrappings of the named root of trust. The
// last one is not removed.
func RemoveRoot(stored []byte, name string) ([]byte, error) {
	c, err := parseContainer(stored)
	if err != nil {
		return nil, err
	}
	names := c.roots()
	there := slices.ContainsFunc(c.Keys, func(k rootKey) bool { return k.wrappedBy(name) })
	if !there {
		return nil, fmt.Errorf("%q is no root of trust of this store: it has %q", name, names)
	}
	if !slices.ContainsFunc(names, func(n string) bool { return n != name }) {
		return nil, fmt.Errorf("%s is the last root of trust of this store: without it nothing in the store could be read. Add another one first", name)
	}
	for i := range c.Keys {
		c.Keys[i].Wraps = without(c.Keys[i].Wraps, name)
	}
	return encode(c)
}

func without(wraps []wrapping, name string) []wrapping {
	return slices.DeleteFunc(slices.Clone(wraps), func(w wrapping) bool { return w.Root == name })
}

func encode(c container) ([]byte, error) {
	stored, err := record.Encode(containerVersion, c)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if len(stored) > maxContainer {
		return nil, fmt.Errorf("seal: the container of root keys would have %d bytes; it may have %d", len(stored), maxContainer)
	}
	return stored, nil
}
