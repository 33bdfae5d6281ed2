package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"fmt"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/seal"
)

// A marker tells where a list goes on. To a client it is opaque: the position
// is encrypted and bound to the list that it belongs to, so that it can be
// neither read, made up, nor used on another list. docs/spec/marker.md.
const markerVersion = 1

// A box keeps what we hand out and get back, such as markers, from being read or
// made up.
type box struct{ aead cipher.AEAD }

func newBox(s *seal.Sealer, purpose string) (*box, error) {
	k, err := s.Derive(purpose)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k.Expose())
	if err != nil {
		return nil, fmt.Errorf("keyring: %s: %w", purpose, err)
	}
	// One is made in a call at most; 2^32 of them under one root key, the bound for
	// random nonces, are out of reach.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("keyring: %s: %w", purpose, err)
	}
	return &box{aead}, nil
}

// SealMarker makes the marker after which list goes on; list names the
// operation, the account, the Region and the key.
func (r *Ring) SealMarker(list, after string) string {
	sealed := r.markers.aead.Seal([]byte{markerVersion}, nil, []byte(after), []byte(list))
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
	after, err := r.markers.aead.Open(nil, nil, raw[1:], []byte(list))
	if err != nil {
		return "", fault.New(api.InvalidMarkerException, "")
	}
	return string(after), nil
}
