package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"
	"sync/atomic"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/seal"
)

// A marker tells where a list goes on. To a client it is opaque: the position
// is encrypted and bound to the list that it belongs to, so that it can be
// neither read, made up, nor used on another list. docs/spec/marker.md.
const markerVersion = 1

// A box keeps what we hand out and get back, such as markers, from being read or
// made up. It goes with the root keys: what was sealed under one of them opens as long as it
// is there.
type box struct {
	sealer  *seal.Sealer
	purpose string
	made    atomic.Pointer[ciphers]
}

// ciphers are those of one generation of root keys; the first one seals.
type ciphers struct {
	generation uint64
	all        []cipher.AEAD
}

func newBox(s *seal.Sealer, purpose string) (*box, error) {
	b := &box{sealer: s, purpose: purpose}
	return b, b.derive()
}

// derive makes the ciphers of the root keys that are there now.
func (b *box) derive() error {
	made := &ciphers{generation: b.sealer.Generation()} // read before the keys: if they change meanwhile they are derived again
	keys, err := b.sealer.Derive(b.purpose)
	if err != nil {
		return err
	}
	for _, k := range keys {
		block, err := aes.NewCipher(k.Expose())
		if err != nil {
			return fmt.Errorf("keyring: %s: %w", b.purpose, err)
		}
		// One is made in a call at most; 2^32 of them under one root key, the bound for
		// random nonces, are out of reach.
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return fmt.Errorf("keyring: %s: %w", b.purpose, err)
		}
		made.all = append(made.all, aead)
	}
	b.made.Store(made)
	return nil
}

func (b *box) ciphers() []cipher.AEAD {
	if b.made.Load().generation != b.sealer.Generation() {
		_ = b.derive() // it has worked before; else those of before go on
	}
	return b.made.Load().all
}

// seal appends what is sealed to dst.
func (b *box) seal(dst, content, bound []byte) []byte {
	return b.ciphers()[0].Seal(dst, nil, content, bound)
}

func (b *box) open(sealed, bound []byte) (content []byte, err error) {
	for _, aead := range b.ciphers() {
		if content, err = aead.Open(nil, nil, sealed, bound); err == nil {
			return content, nil
		}
	}
	return nil, err
}

// SealMarker makes the marker after which list goes on; list names the
// operation, the account, the Region and the key.
func (r *Ring) SealMarker(list, after string) string {
	sealed := r.markers.seal([]byte{markerVersion}, []byte(after), []byte(list))
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// OpenMarker gives the position in a marker of the same list. No marker is the
// position at the start.
func (r *Ring) OpenMarker(list, marker string) (string, error) {
	if marker == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(marker)
	if err != nil || len(raw) == 0 || raw[0] != markerVersion {
		return "", fault.New(api.InvalidMarkerException, "")
	}
	after, err := r.markers.open(raw[1:], []byte(list))
	if err != nil {
		return "", fault.New(api.InvalidMarkerException, "")
	}
	return string(after), nil
}
