package crypt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"

	"trent/internal/api"
	"trent/internal/secret"
)

// ecdsaKey is a key on a NIST curve: it signs (FIPS 186-5) or agrees (SP 800-56A).
type ecdsaKey struct {
	material
	private *ecdsa.PrivateKey
}

// PublicKey implements Public.
func (k *ecdsaKey) PublicKey() ([]byte, error) {
	return x509.MarshalPKIXPublicKey(&k.private.PublicKey)
}

// Sign implements Signer. The signature is the DER of both numbers (RFC 3279).
func (k *ecdsaKey) Sign(alg api.SigningAlgorithm, form api.MessageType, message []byte) ([]byte, error) {
	_, digest, err := digestOf(alg, form, message)
	if err != nil {
		return nil, err
	}
	return ecdsa.SignASN1(rand.Reader, k.private, digest)
}

// Verify implements Signer.
func (k *ecdsaKey) Verify(alg api.SigningAlgorithm, form api.MessageType, message, signature []byte) error {
	_, digest, err := digestOf(alg, form, message)
	if err != nil {
		return err
	}
	if !ecdsa.VerifyASN1(&k.private.PublicKey, digest, signature) {
		return errSignature()
	}
	return nil
}

// ErrPeer says that what was sent is no public key to agree with.
var ErrPeer = errors.New("crypt: the peer's public key is not one on the same curve")

// Agree implements Agreer. The secret is the x-coordinate, in as many bytes as the field
// has; the curves have cofactor 1. The peer's point is checked to be on the curve.
func (k *ecdsaKey) Agree(peer []byte) (secret.Bytes, error) {
	parsed, err := x509.ParsePKIXPublicKey(peer)
	if err != nil {
		return secret.Bytes{}, ErrPeer
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok || public.Curve != k.private.Curve {
		return secret.Bytes{}, ErrPeer
	}
	theirs, err := public.ECDH()
	if err != nil {
		return secret.Bytes{}, ErrPeer
	}
	ours, err := k.private.ECDH()
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("crypt: agree: %w", err)
	}
	shared, err := ours.ECDH(theirs)
	if err != nil {
		return secret.Bytes{}, ErrPeer
	}
	return secret.New(shared), nil
}

// ed25519Key signs with Ed25519 and Ed25519ph (RFC 8032).
type ed25519Key struct {
	material
	private ed25519.PrivateKey
}

// PublicKey implements Public.
func (k *ed25519Key) PublicKey() ([]byte, error) {
	return x509.MarshalPKIXPublicKey(k.private.Public())
}

// Sign implements Signer.
func (k *ed25519Key) Sign(alg api.SigningAlgorithm, _ api.MessageType, message []byte) ([]byte, error) {
	options, err := ed25519Options(alg)
	if err != nil {
		return nil, err
	}
	return k.private.Sign(nil, message, options)
}

// Verify implements Signer.
func (k *ed25519Key) Verify(alg api.SigningAlgorithm, _ api.MessageType, message, signature []byte) error {
	options, err := ed25519Options(alg)
	if err != nil {
		return err
	}
	if ed25519.VerifyWithOptions(k.private.Public().(ed25519.PublicKey), message, signature, options) != nil {
		return errSignature()
	}
	return nil
}

// ed25519Options: of Ed25519ph the message is a digest, with an empty context.
func ed25519Options(alg api.SigningAlgorithm) (*ed25519.Options, error) {
	switch alg {
	case api.SigningAlgorithmED25519SHA512:
		return &ed25519.Options{}, nil
	case api.SigningAlgorithmED25519PHSHA512:
		return &ed25519.Options{Hash: crypto.SHA512}, nil
	}
	return nil, fmt.Errorf("crypt: Ed25519 does not sign with %s", alg)
}
