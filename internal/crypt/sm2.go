//go:build sm2

package crypt

import (
	"crypto/ecdsa"
	"crypto/rand"
	"fmt"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"trent/internal/api"
	"trent/internal/secret"
)

// sm2Kind is SM2 (GB/T 32918), which AWS KMS has in the China Regions. It is in binaries that are
// built with the tag sm2: its library is served by exact version alone.
var sm2Kind = &privateKind{
	generate: func() (any, error) { return sm2.GenerateKey(rand.Reader) },
	marshal:  smx509.MarshalPKCS8PrivateKey,
	parse:    smx509.ParsePKCS8PrivateKey,
	open: func(id MaterialID, private any) (Key, error) {
		k, ok := private.(*sm2.PrivateKey)
		if !ok {
			return nil, errOtherKey("SM2", private)
		}
		return &sm2Key{material{id}, k}, nil
	},
}

// sm2Key signs (SM2DSA), encrypts (SM2PKE) or agrees (ECDH on the curve sm2p256v1).
type sm2Key struct {
	material
	private *sm2.PrivateKey
}

// PublicKey implements Public.
func (k *sm2Key) PublicKey() ([]byte, error) { return smx509.MarshalPKIXPublicKey(k.public()) }

func (k *sm2Key) public() *ecdsa.PublicKey { return &k.private.PublicKey }

// digest is what is signed of a message: SM3 over the hash of the default distinguishing id and the
// public key, and the message (GB/T 32918.2, 5.5 and 6.1). A digest that is sent is that.
func (k *sm2Key) digest(form api.MessageType, message []byte) ([]byte, error) {
	if form == api.MessageTypeDigest {
		return message, nil
	}
	return sm2.CalculateSM2Hash(k.public(), message, nil)
}

// Sign implements Signer. The signature is the DER of both numbers.
func (k *sm2Key) Sign(alg api.SigningAlgorithm, form api.MessageType, message []byte) ([]byte, error) {
	if alg != api.SigningAlgorithmSM2DSA {
		return nil, fmt.Errorf("crypt: SM2 does not sign with %s", alg)
	}
	digest, err := k.digest(form, message)
	if err != nil {
		return nil, fmt.Errorf("crypt: digest: %w", err)
	}
	return sm2.SignASN1(rand.Reader, k.private, digest, nil)
}

// Verify implements Signer.
func (k *sm2Key) Verify(_ api.SigningAlgorithm, form api.MessageType, message, signature []byte) error {
	digest, err := k.digest(form, message)
	if err != nil || !sm2.VerifyASN1(k.public(), digest, signature) {
		return errSignature()
	}
	return nil
}

// Encrypt implements Cipher. The ciphertext is the DER of GM/T 0009, 7.2.
func (k *sm2Key) Encrypt(_ api.EncryptionAlgorithm, plaintext secret.Bytes) ([]byte, error) {
	return sm2.EncryptASN1(rand.Reader, k.public(), plaintext.Expose())
}

// Decrypt implements Cipher.
func (k *sm2Key) Decrypt(_ api.EncryptionAlgorithm, ciphertext []byte) (secret.Bytes, error) {
	plain, err := sm2.Decrypt(k.private, ciphertext)
	if err != nil {
		return secret.Bytes{}, errInvalid()
	}
	return secret.New(plain), nil
}

// Agree implements Agreer: the x-coordinate, 32 bytes.
func (k *sm2Key) Agree(peer []byte) (secret.Bytes, error) {
	parsed, err := smx509.ParsePKIXPublicKey(peer)
	if err != nil {
		return secret.Bytes{}, ErrPeer
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok || public.Curve != sm2.P256() {
		return secret.Bytes{}, ErrPeer
	}
	theirs, err := sm2.PublicKeyToECDH(public)
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

// unwrapSM2 decrypts material that was encrypted to the public half of an SM2 key.
func unwrapSM2(private secret.Bytes, wrapped []byte) (secret.Bytes, error) {
	parsed, err := smx509.ParsePKCS8PrivateKey(private.Expose())
	k, ok := parsed.(*sm2.PrivateKey)
	if err != nil || !ok {
		return secret.Bytes{}, fmt.Errorf("crypt: the wrapping key is no SM2 key")
	}
	plain, err := sm2.Decrypt(k, wrapped)
	if err != nil {
		return secret.Bytes{}, errInvalid()
	}
	return secret.New(plain), nil
}
