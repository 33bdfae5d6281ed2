// Package kek is what the roots of trust have in common that end up with a key in
// memory: AES-256-GCM with a random nonce under a key-encryption key.
package kek

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"trent/internal/root"
	"trent/internal/secret"
)

// Overhead is what a wrapping is longer than the key in it, in bytes: nonce and tag.
const Overhead = 12 + 16

// A Key wraps a handful of keys in its life: its random nonces never meet.
type Key struct{ aead cipher.AEAD }

// New makes a Key of 32 bytes.
func New(key []byte) (Key, error) {
	if len(key) != root.KeySize {
		return Key{}, fmt.Errorf("a key-encryption key of %d bytes", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return Key{}, fmt.Errorf("key-encryption key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return Key{}, fmt.Errorf("key-encryption key: %w", err)
	}
	return Key{aead}, nil
}

// Wrap appends nonce, ciphertext and tag to dst.
func (k Key) Wrap(dst []byte, key secret.Bytes, aad []byte) []byte {
	return k.aead.Seal(dst, nil, key.Expose(), aad)
}

// Unwrap reverses Wrap. It fails with root.ErrBadData alone.
func (k Key) Unwrap(blob, aad []byte) (secret.Bytes, error) {
	key, err := k.aead.Open(nil, nil, blob, aad)
	if err != nil {
		return secret.Bytes{}, root.ErrBadData
	}
	return secret.New(key), nil
}

// Name is 16 hexadecimal digits that name a secret of full entropy and tell nothing
// of it: the first 8 bytes of SHA-256(label ‖ 00 ‖ secret). It is a checksum as well.
func Name(label string, secret []byte) string {
	h := sha256.New()
	h.Write([]byte(label + "\x00"))
	h.Write(secret)
	return hex.EncodeToString(h.Sum(nil)[:8])
}
