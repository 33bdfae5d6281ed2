package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"unique"

	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/secret"
	"trent/internal/store"
)

// The record of a material says in clear which key it belongs to, so that a
// ciphertext can be led to its key without unsealing what encrypts; then comes
// the sealed material. The clear part is a hint and no more: it counts only if
// the key's own record, which is sealed, lists this material.
// docs/spec/records.md has the layout.
//
//	version(1) ‖ length of the owner(1) ‖ owner: account "/" key id ‖ sealed material
const materialVersion = 1

// material is a cached material: its owner, and the opened key once somebody
// was permitted to have it.
type material struct {
	account, keyID string

	opened atomic.Bool // key is there; set after it, and never unset
	mu     sync.Mutex  // held while key is being made
	key    crypt.Symmetric
}

// material returns what is known of a material, from the store if need be. If
// the caller holds the record of its key already, that is the owner, and
// nothing of the stored one is kept.
func (r *Ring) material(ctx context.Context, id crypt.MaterialID) (*material, error) {
	return r.materials.load(id, func() (*material, error) {
		owner, _, err := r.readMaterial(ctx, id)
		if err != nil {
			return nil, err
		}
		account, keyID, _ := strings.Cut(string(owner), "/")
		return &material{account: account, keyID: keyID}, nil
	})
}

// open returns the key of a material of rec, unsealing it if nobody has.
func (r *Ring) open(ctx context.Context, id crypt.MaterialID, rec *key.Record) (*crypt.Symmetric, error) {
	m, err := r.materials.load(id, func() (*material, error) {
		return &material{account: unique.Make(rec.Account()).Value(), keyID: rec.ID()}, nil
	})
	if err != nil {
		return nil, err
	}
	if m.opened.Load() {
		return &m.key, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opened.Load() {
		return &m.key, nil
	}
	_, sealed, err := r.readMaterial(ctx, id)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	path := materialPath(id)
	content, err := r.seal.Open(path, sealed)
	if err != nil {
		return nil, unavailable(ctx, fmt.Errorf("unseal %s: %w", path, err))
	}
	k, err := crypt.NewSymmetric(&r.cluster, id, secret.New(content))
	if err != nil {
		return nil, fault.From(err)
	}
	m.key = *k
	m.opened.Store(true)
	return &m.key, nil
}

func (r *Ring) readMaterial(ctx context.Context, id crypt.MaterialID) (owner, sealed []byte, err error) {
	path := materialPath(id)
	rec, err := r.store.Get(ctx, path)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, errNoRecord
	} else if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	v := rec.Value
	if len(v) < 2 || v[0] != materialVersion || len(v) < 2+int(v[1]) {
		return nil, nil, fmt.Errorf("%s: %w", path, errRecordVersion)
	}
	n := 2 + int(v[1])
	return v[2:n], v[n:], nil
}

func (r *Ring) encodeMaterial(rec *key.Record, id crypt.MaterialID, m secret.Bytes) ([]byte, error) {
	sealed, err := r.seal.Seal(materialPath(id), m.Expose())
	if err != nil {
		return nil, err
	}
	owner := rec.Account() + "/" + rec.ID()
	v := append([]byte{materialVersion, byte(len(owner))}, owner...)
	return append(v, sealed...), nil
}
