// Package crypt holds the algorithms of KMS keys and the format of what they
// encrypt. No I/O, no clock, no policy: material and input in, output out.
//
// A symmetric key never encrypts with its material. For each message it derives
// a key of its own and a commitment from the material and a fresh random
// nonce (HKDF-Expand of RFC 5869, the expansion step of the two-step KDF that
// NIST SP 800-56C approves), and seals with AES-256-GCM under a random nonce
// (SP 800-38D, RBG-based construction). There is no counter to keep and no
// practical limit to the number of messages. docs/spec/ciphertext-blob.md has
// the layout, the reasons and test vectors.
package crypt

import (
	"encoding/hex"

	"trent/internal/fault"
)

// The layout of a ciphertext blob, version 1, in bytes:
// version(1) ‖ material id(32) ‖ derivation nonce(16) ‖ commitment(32) ‖
// GCM nonce(12) ‖ ciphertext(as long as the plaintext) ‖ tag(16).
const (
	blobVersion = 1

	atMaterial   = 1
	atNonce      = atMaterial + 32
	atCommitment = atNonce + nonceSize
	atSealed     = atCommitment + commitmentSize // GCM nonce, ciphertext, tag

	nonceSize      = 16
	commitmentSize = 32
	gcmOverhead    = 12 + 16

	// Overhead is what a blob is longer than its plaintext, in bytes.
	Overhead = atSealed + gcmOverhead
	// MaxPlaintext is the longest plaintext of a blob, in bytes (PlaintextType of the API).
	MaxPlaintext = 4096
)

// InvalidCiphertext is the code of every failure to read a blob.
const InvalidCiphertext fault.Code = "InvalidCiphertextException"

// errInvalid is the one answer to whatever is wrong with a ciphertext: no text,
// no difference between a bad length, a foreign key, a wrong context and a
// flipped bit, so that it tells nothing to who probes.
func errInvalid() error { return fault.New(InvalidCiphertext, "") }

// MaterialID names one material of one key; see MaterialIDOf.
type MaterialID = [32]byte

// A Blob is a ciphertext of which the header has been read and nothing been
// verified. Its material id is a hint for look-up, no more.
type Blob struct {
	Material MaterialID
	raw      []byte
}

// ParseBlob reads the header. It keeps b.
func ParseBlob(b []byte) (Blob, error) {
	if len(b) > 0 && b[0] == wrappedVersion {
		return parseWrapped(b)
	}
	if len(b) <= Overhead || len(b) > Overhead+MaxPlaintext || b[0] != blobVersion {
		return Blob{}, errInvalid()
	}
	return Blob{Material: MaterialID(b[atMaterial:atNonce]), raw: b}, nil
}

// HexID is a material id as the API shows it (KeyMaterialId): 64 digits.
func HexID(id MaterialID) string { return hex.EncodeToString(id[:]) }
