package crypt

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/secret"
)

// macSizes are the sizes of HMAC keys in bytes: as long as the output of their hash
// (RFC 2104, section 3).
var macSizes = map[api.KeySpec]int{
	api.KeySpecHMAC224: 28, api.KeySpecHMAC256: 32, api.KeySpecHMAC384: 48, api.KeySpecHMAC512: 64,
}

var macHashes = map[api.MacAlgorithm]func() hash.Hash{
	api.MacAlgorithmHMACSHA224: sha256.New224, api.MacAlgorithmHMACSHA256: sha256.New,
	api.MacAlgorithmHMACSHA384: sha512.New384, api.MacAlgorithmHMACSHA512: sha512.New,
}

// macKey is HMAC (FIPS 198-1) under one key.
type macKey struct {
	material
	secret secret.Bytes
}

func newMac(id MaterialID, m secret.Bytes) (Key, error) {
	if m.Len() == 0 {
		return nil, fmt.Errorf("crypt: empty MAC key")
	}
	return &macKey{material{id}, m}, nil
}

// Mac implements Authenticator. The code is not shortened.
func (k *macKey) Mac(alg api.MacAlgorithm, message []byte) ([]byte, error) {
	newHash, ok := macHashes[alg]
	if !ok {
		return nil, fmt.Errorf("crypt: MAC algorithm %s", alg)
	}
	h := hmac.New(newHash, k.secret.Expose())
	h.Write(message)
	return h.Sum(nil), nil
}

// VerifyMac implements Authenticator.
func (k *macKey) VerifyMac(alg api.MacAlgorithm, message, mac []byte) error {
	want, err := k.Mac(alg, message)
	if err != nil {
		return err
	}
	if !hmac.Equal(want, mac) {
		return fault.New(InvalidMac, "")
	}
	return nil
}
