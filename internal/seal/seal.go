// Package seal keeps records readable to us alone while they lie in a store
// that we do not trust. Every record is sealed under a key of its own, derived
// from a root key and the record's path, with the path and the cluster bound
// to it: a record that was altered, moved to another path, or brought from
// another cluster does not open. docs/spec/sealed-record.md has the format.
//
// What this cannot see is a record that was deleted or put back to an older
// version; docs/threat-model.md says where that is caught.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"trent/internal/secret"
)

// The layout of a sealed record, version 1, in bytes: version(1) ‖ root key
// id(4) ‖ GCM nonce(12) ‖ ciphertext ‖ tag(16).
const (
	sealVersion = 1
	headerSize  = 1 + 4

	// Overhead is what a sealed record is longer than its content, in bytes.
	Overhead = headerSize + 12 + 16
)

const labelRecord = "trent sealed record v1\x00"

// ErrUnreadable is every failure to open a record: altered, moved, foreign, or
// sealed under a root key that this store does not have.
var ErrUnreadable = errors.New("seal: the record is not authentic")

// ErrShredded says that the key of an account was destroyed: nobody opens what is sealed under it, and
// nothing is sealed under it any more.
var ErrShredded = errors.New("seal: the account has been shredded: its keys are gone for ever")

// A ClusterID tells one store from another.
type ClusterID [16]byte

// A Sealer seals and opens records under the root keys of one store. It may be used by many
// goroutines, also while Follow gives it others.
type Sealer struct {
	cluster ClusterID
	keys    *atomic.Pointer[keys] // shared by the sealers of all epochs
	epoch   uint64                // 0: the first one
}

// keys are those that a Sealer has at one time. They do not change.
type keys struct {
	byID       map[uint32]secret.Bytes
	current    uint32
	generation uint64 // counts what Follow has changed
}

func newSealer(cluster ClusterID, current uint32, byID map[uint32]secret.Bytes) *Sealer {
	s := &Sealer{cluster: cluster, keys: new(atomic.Pointer[keys])}
	s.keys.Store(&keys{byID: byID, current: current})
	return s
}

// NewKey draws a key for Under.
func NewKey() secret.Bytes {
	b := make([]byte, 32)
	rand.Read(b)
	return secret.New(b)
}

// A PartKey is a key of a part of the store. Its id stands in the header of what is sealed under it;
// ids of different parts, and those of root keys, have nothing to do with each other.
type PartKey struct {
	ID  uint32
	Key secret.Bytes
}

// Under makes the sealer of a part of the store that has keys of its own, such as
// an account: whoever lets go of the keys has let go of the part. The records of one
// part do not open with another's keys. What is sealed is sealed under current; what was sealed under others
// opens as well.
func (s *Sealer) Under(current PartKey, others ...PartKey) *Sealer {
	byID := map[uint32]secret.Bytes{current.ID: current.Key}
	for _, k := range others {
		byID[k.ID] = k.Key
	}
	return newSealer(s.cluster, current.ID, byID)
}

// InEpoch is the sealer of an epoch of the store, from 1. Records are the same in all; keys for
// other purposes are not, so what they have made outside of the store, such as tokens, ends
// with an epoch.
func (s *Sealer) InEpoch(n uint64) *Sealer {
	e := *s
	e.epoch = n
	return &e
}

// Cluster is the id of the store that the sealer belongs to.
func (s *Sealer) Cluster() ClusterID { return s.cluster }

// Seal encrypts content for one path.
func (s *Sealer) Seal(path string, content []byte) ([]byte, error) {
	k := s.keys.Load()
	aead, err := s.aead(k, k.current, path)
	if err != nil {
		return nil, err
	}
	out := make([]byte, headerSize, len(content)+Overhead)
	out[0] = sealVersion
	binary.BigEndian.PutUint32(out[1:], k.current)
	return aead.Seal(out, nil, content, s.associatedData(out, path)), nil
}

// Open decrypts what Seal made for the same path.
func (s *Sealer) Open(path string, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != sealVersion {
		return nil, ErrUnreadable
	}
	header := sealed[:headerSize:headerSize]
	aead, err := s.aead(s.keys.Load(), binary.BigEndian.Uint32(header[1:]), path)
	if err != nil {
		return nil, err
	}
	content, err := aead.Open(nil, nil, sealed[headerSize:], s.associatedData(header, path))
	if err != nil {
		return nil, ErrUnreadable
	}
	return content, nil
}

// IsCurrent reports whether a record is sealed under the key that Seal would take.
func (s *Sealer) IsCurrent(sealed []byte) bool {
	return len(sealed) >= Overhead && sealed[0] == sealVersion && binary.BigEndian.Uint32(sealed[1:headerSize]) == s.keys.Load().current
}

// Reseal seals the content of a record under the current key.
func (s *Sealer) Reseal(path string, sealed []byte) ([]byte, error) {
	content, err := s.Open(path, sealed)
	if err != nil {
		return nil, err
	}
	defer clear(content)
	return s.Seal(path, content)
}

// Derive makes keys for another purpose, such as the one that keeps pagination
// markers from being forged: from the current root key the first, which what is new
// takes, and from each of the others. Purposes are constants of the callers. They
// are good until Generation changes.
func (s *Sealer) Derive(purpose string) ([]secret.Bytes, error) {
	k := s.keys.Load()
	first, err := s.derive(k, k.current, purpose)
	all := []secret.Bytes{first}
	for id := range k.byID {
		if err != nil || id == k.current {
			continue
		}
		var other secret.Bytes
		other, err = s.derive(k, id, purpose)
		all = append(all, other)
	}
	return all, err
}

// Generation grows when Follow changes the keys.
func (s *Sealer) Generation() uint64 { return s.keys.Load().generation }

func (s *Sealer) derive(k *keys, id uint32, purpose string) (secret.Bytes, error) {
	rootKey, ok := k.byID[id]
	if !ok {
		return secret.Bytes{}, ErrUnreadable
	}
	info := "trent purpose v1\x00" + string(s.cluster[:]) + purpose
	if s.epoch > 1 {
		info = "trent epoch purpose v1\x00" + string(s.cluster[:]) + string(binary.BigEndian.AppendUint64(nil, s.epoch)) + purpose
	}
	b, err := hkdf.Expand(sha256.New, rootKey.Expose(), info, 32)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("seal: derive: %w", err)
	}
	return secret.New(b), nil
}

// DeriveUnder makes a key for another purpose from the root key of an id, the same one in every
// epoch: for what is kept outside of the store and has to outlast a rollback of it, such as a backup.
func (s *Sealer) DeriveUnder(id uint32, purpose string) (secret.Bytes, error) {
	return s.InEpoch(0).derive(s.keys.Load(), id, purpose)
}

// DeriveFor makes a key for another purpose from the root key that sealed was sealed
// under. It is the same one as long as that root key is there, whichever is current.
func (s *Sealer) DeriveFor(sealed []byte, purpose string) (secret.Bytes, error) {
	if len(sealed) < Overhead || sealed[0] != sealVersion {
		return secret.Bytes{}, ErrUnreadable
	}
	return s.derive(s.keys.Load(), binary.BigEndian.Uint32(sealed[1:headerSize]), purpose)
}

// aead is the cipher for one path. A path is written a few times in its life,
// not 2^32 times, so random nonces under its key never meet in practice.
func (s *Sealer) aead(k *keys, id uint32, path string) (cipher.AEAD, error) {
	rootKey, ok := k.byID[id]
	if !ok {
		return nil, ErrUnreadable
	}
	own, err := hkdf.Expand(sha256.New, rootKey.Expose(), labelRecord+string(s.cluster[:])+path, 32)
	if err != nil {
		return nil, fmt.Errorf("seal: derive: %w", err)
	}
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return aead, nil
}

// associatedData binds header, cluster and path. Header and cluster have fixed
// lengths and the path comes last, so that no two inputs collide.
func (s *Sealer) associatedData(header []byte, path string) []byte {
	ad := make([]byte, 0, len(header)+len(s.cluster)+len(path))
	ad = append(ad, header...)
	ad = append(ad, s.cluster[:]...)
	return append(ad, path...)
}
