package keyring

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/secret"
	"trent/internal/store"
)

// A material's record is two sealed parts in one value, so that a ciphertext can
// be led to its key without unsealing what encrypts: first the owner (who has
// it), then the material itself. docs/spec/records.md has the layout.
//
//	version(1) ‖ length of the owner part(2) ‖ owner part ‖ material part
const materialVersion = 1

// The parts are sealed to paths of their own, so that they cannot be swapped.
func ownerPath(path string) string  { return path + "#owner" }
func secretPath(path string) string { return path + "#material" }

// material is a cached material: its owner, the sealed rest, and the opened key
// once somebody was permitted to have it.
type material struct {
	id             crypt.MaterialID
	account, keyID string
	opened         atomic.Pointer[crypt.Symmetric]
}

type encodedOwner struct {
	Account string `cbor:"1,keyasint"`
	KeyID   string `cbor:"2,keyasint"`
}

func (r *Ring) material(ctx context.Context, id crypt.MaterialID) (*material, error) {
	return r.materials.load(id, func() (*material, error) {
		path := materialPath(id)
		owner, _, err := r.readMaterial(ctx, path)
		if err != nil {
			return nil, err
		}
		content, err := r.seal.Open(ownerPath(path), owner)
		if err != nil {
			return nil, fmt.Errorf("unseal %s: %w", path, err)
		}
		var e encodedOwner
		if err := decode(content, &e); err != nil {
			return nil, err
		}
		return &material{id: id, account: e.Account, keyID: e.KeyID}, nil
	})
}

// unseal opens the material part. Two may do it at once; both get a good key.
func (r *Ring) unseal(ctx context.Context, m *material, rec *key.Record) (*crypt.Symmetric, error) {
	if m.account != rec.Account || m.keyID != rec.ID {
		return nil, fault.New(fault.Internal, "").Because(errors.New("keyring: a material that belongs to another key"))
	}
	path := materialPath(m.id)
	_, sealed, err := r.readMaterial(ctx, path)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	content, err := r.seal.Open(secretPath(path), sealed)
	if err != nil {
		return nil, unavailable(ctx, fmt.Errorf("unseal %s: %w", path, err))
	}
	k, err := crypt.NewSymmetric(r.cluster(), m.id, secret.New(content))
	if err != nil {
		return nil, fault.From(err)
	}
	m.opened.Store(k)
	return k, nil
}

func (r *Ring) readMaterial(ctx context.Context, path string) (owner, sealed []byte, err error) {
	rec, err := r.store.Get(ctx, path)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, errNoRecord
	} else if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	v := rec.Value
	if len(v) < 3 || v[0] != materialVersion {
		return nil, nil, errRecordVersion
	}
	n := int(binary.BigEndian.Uint16(v[1:]))
	if len(v) < 3+n {
		return nil, nil, errRecordVersion
	}
	return v[3 : 3+n], v[3+n:], nil
}

func (r *Ring) encodeMaterial(rec *key.Record, id crypt.MaterialID, m secret.Bytes) ([]byte, error) {
	path := materialPath(id)
	content, err := encode(encodedOwner{rec.Account, rec.ID})
	if err != nil {
		return nil, err
	}
	owner, err := r.seal.Seal(ownerPath(path), content)
	if err != nil {
		return nil, err
	}
	sealed, err := r.seal.Seal(secretPath(path), m.Expose())
	if err != nil {
		return nil, err
	}
	v := binary.BigEndian.AppendUint16([]byte{materialVersion}, uint16(len(owner)))
	return append(append(v, owner...), sealed...), nil
}
