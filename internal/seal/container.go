package seal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"trent/internal/record"
	"trent/internal/root"
	"trent/internal/secret"
)

// The container holds the root keys of a store, each wrapped by each root of
// trust. It lies in the store in clear: what it says is of use only to who has
// a root of trust. Its first byte is its version.
const containerVersion = 1

const maxContainer = 64 << 10

type container struct {
	Cluster []byte    `cbor:"1,keyasint"`
	Keys    []rootKey `cbor:"2,keyasint"`
	Current uint32    `cbor:"3,keyasint"`
}

type rootKey struct {
	ID    uint32     `cbor:"1,keyasint"`
	Wraps []wrapping `cbor:"2,keyasint"`
	// Handed is the key once more, sealed under the one before it: whoever has the store open
	// learns of it without a root of trust. It goes with the one before it.
	Handed []byte `cbor:"3,keyasint,omitempty"`
}

type wrapping struct {
	Root string `cbor:"1,keyasint"` // root.Root.ID
	Blob []byte `cbor:"2,keyasint"`
}

// A WrongRootError says that none of the roots at hand wraps the root keys of
// this store, and which would.
type WrongRootError struct {
	Have []string // ids of the roots at hand
	Want []string // ids of the roots that the store was made with
}

// Error implements error.
func (e *WrongRootError) Error() string {
	return fmt.Sprintf("this store belongs to another root of trust: it was made with %q, at hand is %q", e.Want, e.Have)
}

// Create draws a cluster id and a first root key, wraps the key with every
// root, and returns the container to store and the sealer.
func Create(ctx context.Context, roots []root.Root) ([]byte, *Sealer, error) {
	if len(roots) == 0 {
		return nil, nil, errors.New("seal: no root of trust")
	}
	const first = 1
	var cluster ClusterID
	rand.Read(cluster[:])
	fresh := newRootKey()
	s := newSealer(cluster, first, map[uint32]secret.Bytes{first: fresh})
	c := container{Cluster: cluster[:], Current: first, Keys: []rootKey{{ID: first}}}
	for _, r := range roots {
		blob, err := r.Wrap(ctx, fresh, wrapAAD(cluster, first))
		if err != nil {
			return nil, nil, fmt.Errorf("wrap the root key with %s: %w", r.ID(), err)
		}
		c.Keys[0].Wraps = append(c.Keys[0].Wraps, wrapping{r.ID(), blob})
	}
	stored, err := record.Encode(containerVersion, c)
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	return stored, s, nil
}

func newRootKey() secret.Bytes {
	fresh := make([]byte, root.KeySize)
	rand.Read(fresh)
	return secret.New(fresh)
}

// Open unwraps every root key of the container with the first root that can.
func Open(ctx context.Context, stored []byte, roots []root.Root) (*Sealer, error) {
	c, err := parseContainer(stored)
	if err != nil {
		return nil, err
	}
	cluster, byID := ClusterID(c.Cluster), make(map[uint32]secret.Bytes)
	for _, k := range c.Keys {
		key, err := unwrap(ctx, cluster, k, roots)
		if err != nil {
			return nil, err
		}
		byID[k.ID] = key
	}
	return newSealer(cluster, c.Current, byID), nil
}

func parseContainer(stored []byte) (container, error) {
	var c container
	if len(stored) == 0 || len(stored) > maxContainer {
		return c, errors.New("seal: the container of root keys is missing or too large: the store is damaged")
	}
	if stored[0] != containerVersion {
		return c, fmt.Errorf("seal: the container of root keys has version %d, this Trent reads version %d", stored[0], containerVersion)
	}
	if err := record.DecodeKnown(containerVersion, stored, &c); err != nil || len(c.Cluster) != len(ClusterID{}) || len(c.Keys) == 0 {
		return c, errors.New("seal: the container of root keys cannot be read: the store is damaged")
	}
	current := 0
	for i, k := range c.Keys {
		if slices.ContainsFunc(c.Keys[:i], func(other rootKey) bool { return other.ID == k.ID }) {
			return c, errors.New("seal: the container of root keys has two keys of one id: the store is damaged")
		}
		if k.ID == c.Current {
			current++
		}
	}
	if current == 0 {
		return c, errors.New("seal: the container of root keys lacks its current key: the store is damaged")
	}
	return c, nil
}

func unwrap(ctx context.Context, cluster ClusterID, k rootKey, roots []root.Root) (secret.Bytes, error) {
	wrong := &WrongRootError{}
	var failed error
	for _, r := range roots {
		wrong.Have = append(wrong.Have, r.ID())
		i := slices.IndexFunc(k.Wraps, func(w wrapping) bool { return w.Root == r.ID() })
		if i < 0 {
			continue
		}
		key, err := r.Unwrap(ctx, k.Wraps[i].Blob, wrapAAD(cluster, k.ID))
		if err == nil && key.Len() == root.KeySize {
			return key, nil
		}
		if err == nil {
			err = fmt.Errorf("a key of %d bytes: %w", key.Len(), root.ErrBadData)
		}
		failed = errors.Join(failed, fmt.Errorf("unwrap the root key with %s: %w", r.ID(), err))
	}
	if failed != nil {
		return secret.Bytes{}, failed
	}
	for _, w := range k.Wraps {
		wrong.Want = append(wrong.Want, w.Root)
	}
	return secret.Bytes{}, wrong
}

func wrapAAD(cluster ClusterID, id uint32) []byte {
	aad := append([]byte("trent root key v1\x00"), cluster[:]...)
	return binary.BigEndian.AppendUint32(aad, id)
}
