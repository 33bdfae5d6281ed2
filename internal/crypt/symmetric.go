package crypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"trent/internal/secret"
)

// SymmetricSize is the size of symmetric material, in bytes.
const SymmetricSize = 32

// Labels keep the derivations from one material apart. Everything that follows
// a label has a fixed length, so that no two inputs collide.
const (
	labelMessage    = "trent kms message v1\x00"
	labelMaterialID = "trent kms material id v1\x00"
)

// A ClusterID tells one deployment from another, so that a ciphertext of one is
// never read in another, even under the same material.
type ClusterID [16]byte

// NewMaterial draws material for a symmetric key.
func NewMaterial() secret.Bytes { return Random(SymmetricSize) }

// Random draws n bytes from the system's generator.
func Random(n int) secret.Bytes {
	b := make([]byte, n)
	rand.Read(b)
	return secret.New(b)
}

// MaterialIDOf names a material of a key. The name follows from both, so that
// the same material imported again has the same name, and tells nothing of
// the material: it is an output of the same KDF under another label.
func MaterialIDOf(keyID string, material secret.Bytes) (MaterialID, error) {
	b, err := hkdf.Expand(sha256.New, material.Expose(), labelMaterialID+keyID, len(MaterialID{}))
	if err != nil {
		return MaterialID{}, fmt.Errorf("crypt: material id: %w", err)
	}
	return MaterialID(b), nil
}

// Symmetric is a key that encrypts and decrypts, and does nothing else. It is
// immutable and may be used by many goroutines.
type Symmetric struct {
	cluster  *ClusterID // shared by all keys of a store
	id       MaterialID
	material secret.Bytes
}

// NewSymmetric takes ownership of material, which must be of SymmetricSize.
func NewSymmetric(cluster *ClusterID, id MaterialID, material secret.Bytes) (*Symmetric, error) {
	if material.Len() != SymmetricSize {
		return nil, fmt.Errorf("crypt: symmetric material of %d bytes", material.Len())
	}
	return &Symmetric{cluster, id, material}, nil
}

// MaterialID is the name of the material behind the key.
func (k *Symmetric) MaterialID() MaterialID { return k.id }

// Seal encrypts plaintext (1 to MaxPlaintext bytes) bound to context, as one
// new blob.
func (k *Symmetric) Seal(plaintext secret.Bytes, context map[string]string) ([]byte, error) {
	n := plaintext.Len()
	if n == 0 || n > MaxPlaintext {
		return nil, fmt.Errorf("crypt: plaintext of %d bytes", n)
	}
	blob := make([]byte, atSealed, n+Overhead)
	blob[0] = blobVersion
	copy(blob[atMaterial:], k.id[:])
	rand.Read(blob[atNonce:atCommitment])
	aead, commitment, err := k.derive(blob[atNonce:atCommitment])
	if err != nil {
		return nil, err
	}
	copy(blob[atCommitment:], commitment)
	ad := associatedData(blob[:atSealed], context)
	return aead.Seal(blob, nil, plaintext.Expose(), ad), nil
}

// Open decrypts a blob of this material, under the context that it was sealed
// with. Every failure is the same InvalidCiphertextException.
func (k *Symmetric) Open(b Blob, context map[string]string) (secret.Bytes, error) {
	if b.Material != k.id || len(b.raw) <= Overhead || b.raw[0] != blobVersion {
		return secret.Bytes{}, errInvalid()
	}
	aead, commitment, err := k.derive(b.raw[atNonce:atCommitment])
	if err != nil {
		return secret.Bytes{}, err
	}
	// The commitment comes first: GCM alone would let one ciphertext open under
	// two keys, which matters once materials are imported.
	if !hmac.Equal(commitment, b.raw[atCommitment:atSealed]) {
		return secret.Bytes{}, errInvalid()
	}
	ad := associatedData(b.raw[:atSealed], context)
	plain, err := aead.Open(nil, nil, b.raw[atSealed:], ad)
	if err != nil {
		return secret.Bytes{}, errInvalid()
	}
	return secret.New(plain), nil
}

// derive makes the key of one message and the commitment to it.
func (k *Symmetric) derive(nonce []byte) (cipher.AEAD, []byte, error) {
	var room [len(labelMessage) + len(ClusterID{}) + len(MaterialID{}) + nonceSize]byte
	info := append(room[:0], labelMessage...)
	info = append(info, k.cluster[:]...)
	info = append(info, k.id[:]...)
	info = append(info, nonce...)
	okm, err := hkdf.Expand(sha256.New, k.material.Expose(), string(info), 32+commitmentSize)
	if err != nil {
		return nil, nil, fmt.Errorf("crypt: derive: %w", err)
	}
	block, err := aes.NewCipher(okm[:32])
	if err != nil {
		return nil, nil, fmt.Errorf("crypt: derive: %w", err)
	}
	// The nonce is drawn inside and put in front: the one form of GCM that
	// fips140=only takes, and the cheaper one.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, nil, fmt.Errorf("crypt: derive: %w", err)
	}
	return aead, okm[32:], nil
}
