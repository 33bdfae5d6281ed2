package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unique"

	"trent/internal/crypt"
	"trent/internal/key"
	"trent/internal/record"
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
//
// Nothing is sealed in that of an imported material which was taken away.
const materialVersion = 1

// ownerOf finds out whose a material is, by the hint in its record.
func (r *Ring) ownerOf(ctx context.Context, id crypt.MaterialID) (compactMaterial, error) {
	return r.materials.load(id, func() (compactMaterial, error) {
		owner, _, err := r.readMaterial(ctx, id)
		if err != nil {
			return compactMaterial{}, err
		}
		account, name, _ := strings.Cut(string(owner), "/")
		return newMaterial(account, name), nil
	})
}

// MaterialTaken reports whether there is a material of this id, whosever it is.
func (r *Ring) MaterialTaken(ctx context.Context, id crypt.MaterialID) (bool, error) {
	switch _, err := r.ownerOf(ctx, id); {
	case err == nil:
		return true, nil
	case errors.Is(err, errNoRecord):
		return false, nil
	default:
		return false, unavailable(ctx, err)
	}
}

func newMaterial(account, name string) compactMaterial {
	m := compactMaterial{account: unique.Make(account).Value()}
	copy(m.id[:], name)
	return m
}

// open returns the key of a material of rec, unsealing it if nobody has. Two may
// unseal it at once; both get a good key.
func (r *Ring) open(ctx context.Context, id crypt.MaterialID, rec *key.Record) (crypt.Key, error) {
	if !rec.IsSymmetric() {
		return r.opened.load(id, func() (crypt.Key, error) { return r.openOther(ctx, id, rec) })
	}
	if rec.External != nil {
		return r.openExternal(ctx, id, rec)
	}
	return r.openOwn(ctx, id, rec)
}

// openOwn opens symmetric material.
func (r *Ring) openOwn(ctx context.Context, id crypt.MaterialID, rec *key.Record) (*crypt.Symmetric, error) {
	m, err := r.materials.load(id, func() (compactMaterial, error) { return newMaterial(rec.Account(), rec.ID()), nil })
	if err != nil {
		return nil, err
	}
	if m.opened {
		return r.symmetric(id, &m)
	}
	content, err := r.unsealMaterial(ctx, id, rec)
	if err != nil {
		return nil, err
	}
	if copy(m.bytes[:], content) != len(content) || len(content) != len(m.bytes) {
		return nil, unavailable(ctx, fmt.Errorf("%s: %w", materialPath(id), record.ErrVersion))
	}
	m.opened = true
	r.materials.replace(id, m)
	return r.symmetric(id, &m)
}

// openOther opens what is not symmetric. Such keys are few and costly to read, and kept as
// they are used.
func (r *Ring) openOther(ctx context.Context, id crypt.MaterialID, rec *key.Record) (crypt.Key, error) {
	content, err := r.unsealMaterial(ctx, id, rec)
	if err != nil {
		return nil, err
	}
	k, err := crypt.New(rec.Spec, &r.cluster, id, secret.New(content))
	if err != nil {
		return nil, unavailable(ctx, fmt.Errorf("%s: %w", materialPath(id), err))
	}
	return k, nil
}

func (r *Ring) unsealMaterial(ctx context.Context, id crypt.MaterialID, rec *key.Record) ([]byte, error) {
	_, sealed, err := r.readMaterial(ctx, id)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	content, err := r.unseal(rec.Account(), materialPath(id), sealed)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	return content, nil
}

// forgetMaterial drops what is kept of a material.
func (r *Ring) forgetMaterial(id crypt.MaterialID) {
	r.materials.drop(id)
	r.opened.drop(id)
}

func (r *Ring) readMaterial(ctx context.Context, id crypt.MaterialID) (owner, sealed []byte, err error) {
	path := materialPath(id)
	rec, err := r.store.Get(ctx, path)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, fmt.Errorf("%w: %s", errNoRecord, path)
	} else if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return splitMaterial(path, rec.Value)
}

// splitMaterial takes the record of a material apart.
func splitMaterial(path string, v []byte) (owner, sealed []byte, err error) {
	if len(v) < 2 || v[0] != materialVersion || len(v) < 2+int(v[1]) {
		return nil, nil, fmt.Errorf("%s: %w", path, record.ErrVersion)
	}
	n := 2 + int(v[1])
	return v[2:n], v[n:], nil
}

func (r *Ring) encodeMaterial(rec *key.Record, id crypt.MaterialID, m secret.Bytes) ([]byte, error) {
	sealed, err := r.sealed(rec.Account(), materialPath(id), m.Expose())
	if err != nil {
		return nil, err
	}
	return append(ownerOnly(rec), sealed...), nil
}

// ownerOnly is the record of a material that is not there: whose it was.
func ownerOnly(rec *key.Record) []byte {
	owner := rec.Account() + "/" + rec.ID()
	return append([]byte{materialVersion, byte(len(owner))}, owner...)
}
