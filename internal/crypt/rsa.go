package crypt

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"hash"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/secret"
)

// rsaKey signs (RFC 8017, sections 8.1 and 8.2) and decrypts (section 7.1).
type rsaKey struct {
	material
	private *rsa.PrivateKey
}

// PublicKey implements Public.
func (k *rsaKey) PublicKey() ([]byte, error) { return x509.MarshalPKIXPublicKey(&k.private.PublicKey) }

// Sign implements Signer.
func (k *rsaKey) Sign(alg api.SigningAlgorithm, form api.MessageType, message []byte) ([]byte, error) {
	h, digest, err := digestOf(alg, form, message)
	if err != nil {
		return nil, err
	}
	if isPSS(alg) {
		return rsa.SignPSS(rand.Reader, k.private, h, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	return rsa.SignPKCS1v15(rand.Reader, k.private, h, digest)
}

// Verify implements Signer.
func (k *rsaKey) Verify(alg api.SigningAlgorithm, form api.MessageType, message, signature []byte) error {
	h, digest, err := digestOf(alg, form, message)
	if err != nil {
		return err
	}
	if isPSS(alg) {
		err = rsa.VerifyPSS(&k.private.PublicKey, h, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		err = rsa.VerifyPKCS1v15(&k.private.PublicKey, h, digest, signature)
	}
	if err != nil {
		return errSignature()
	}
	return nil
}

func isPSS(alg api.SigningAlgorithm) bool {
	switch alg {
	case api.SigningAlgorithmRSASSAPSSSHA256, api.SigningAlgorithmRSASSAPSSSHA384, api.SigningAlgorithmRSASSAPSSSHA512:
		return true
	}
	return false
}

// Encrypt implements Cipher. The label is empty and the hash is that of MGF1 too.
func (k *rsaKey) Encrypt(alg api.EncryptionAlgorithm, plaintext secret.Bytes) ([]byte, error) {
	h, err := oaepHash(alg)
	if err != nil {
		return nil, err
	}
	return rsa.EncryptOAEP(h, rand.Reader, &k.private.PublicKey, plaintext.Expose(), nil)
}

// Decrypt implements Cipher.
func (k *rsaKey) Decrypt(alg api.EncryptionAlgorithm, ciphertext []byte) (secret.Bytes, error) {
	h, err := oaepHash(alg)
	if err != nil {
		return secret.Bytes{}, err
	}
	plain, err := rsa.DecryptOAEP(h, nil, k.private, ciphertext, nil)
	if err != nil {
		return secret.Bytes{}, errInvalid()
	}
	return secret.New(plain), nil
}

func oaepHash(alg api.EncryptionAlgorithm) (hash.Hash, error) {
	if err := CheckEncryption(alg); err != nil {
		return nil, err
	}
	switch alg {
	case api.EncryptionAlgorithmRSAESOAEPSHA1:
		return sha1.New(), nil // of OAEP, where collisions do no harm (RFC 8017, appendix B.1)
	case api.EncryptionAlgorithmRSAESOAEPSHA256:
		return sha256.New(), nil
	}
	return nil, fmt.Errorf("crypt: RSA does not encrypt with %s", alg)
}

// signatureHashes are the hashes of signatures over digests.
var signatureHashes = map[api.SigningAlgorithm]crypto.Hash{
	api.SigningAlgorithmRSASSAPSSSHA256:      crypto.SHA256,
	api.SigningAlgorithmRSASSAPSSSHA384:      crypto.SHA384,
	api.SigningAlgorithmRSASSAPSSSHA512:      crypto.SHA512,
	api.SigningAlgorithmRSASSAPKCS1V15SHA256: crypto.SHA256,
	api.SigningAlgorithmRSASSAPKCS1V15SHA384: crypto.SHA384,
	api.SigningAlgorithmRSASSAPKCS1V15SHA512: crypto.SHA512,
	api.SigningAlgorithmECDSASHA256:          crypto.SHA256,
	api.SigningAlgorithmECDSASHA384:          crypto.SHA384,
	api.SigningAlgorithmECDSASHA512:          crypto.SHA512,
}

// digestOf is what is signed of a message: its hash, or the message where it is one.
func digestOf(alg api.SigningAlgorithm, form api.MessageType, message []byte) (crypto.Hash, []byte, error) {
	h, ok := signatureHashes[alg]
	if !ok {
		return 0, nil, fmt.Errorf("crypt: signing algorithm %s has no digest", alg)
	}
	if form == api.MessageTypeDigest {
		return h, message, nil
	}
	w := h.New()
	w.Write(message)
	return h, w.Sum(nil), nil
}

func errSignature() error { return fault.New(InvalidSignature, "") }
