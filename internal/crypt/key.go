package crypt

import (
	"fmt"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/secret"
)

// Codes of refusals that only the arithmetic can give.
const (
	InvalidSignature fault.Code = "KMSInvalidSignatureException"
	InvalidMac       fault.Code = "KMSInvalidMacException"
)

// A Key is material that has been opened. It is immutable and may be used by many
// goroutines. What else it can do follows from its spec: each kind implements those of the
// interfaces below that its usages need.
type Key interface {
	// MaterialID is the name of the material behind the key.
	MaterialID() MaterialID
}

// A Public key has a half that may be known.
type Public interface {
	Key
	// PublicKey is the DER of the SubjectPublicKeyInfo (RFC 5280).
	PublicKey() ([]byte, error)
}

// A Signer makes signatures and verifies them. Messages are of the size and form that
// the algorithm takes; that has been checked before the key was opened.
type Signer interface {
	Public
	Sign(alg api.SigningAlgorithm, form api.MessageType, message []byte) ([]byte, error)
	// Verify fails with InvalidSignature, whatever is wrong with the signature.
	Verify(alg api.SigningAlgorithm, form api.MessageType, message, signature []byte) error
}

// A Cipher encrypts to the public half of a key.
type Cipher interface {
	Public
	Encrypt(alg api.EncryptionAlgorithm, plaintext secret.Bytes) ([]byte, error)
	// Decrypt fails with InvalidCiphertext, whatever is wrong with the ciphertext.
	Decrypt(alg api.EncryptionAlgorithm, ciphertext []byte) (secret.Bytes, error)
}

// An Authenticator makes message authentication codes and verifies them.
type Authenticator interface {
	Key
	Mac(alg api.MacAlgorithm, message []byte) ([]byte, error)
	// VerifyMac fails with InvalidMac.
	VerifyMac(alg api.MacAlgorithm, message, mac []byte) error
}

// An Agreer agrees on a secret with the holder of another key.
type Agreer interface {
	Public
	// Agree takes the peer's SubjectPublicKeyInfo. What is no key on the same curve
	// is refused.
	Agree(peer []byte) (secret.Bytes, error)
}

// An Encapsulator is a key encapsulation mechanism.
type Encapsulator interface {
	Public
	// Encapsulate gives a shared secret of 32 bytes and what carries it.
	Encapsulate() (shared secret.Bytes, ciphertext []byte, err error)
	// Decapsulate gives the secret again. A ciphertext that is not one gives another
	// secret (FIPS 203, implicit rejection); only a wrong length fails, with
	// InvalidCiphertext.
	Decapsulate(ciphertext []byte) (secret.Bytes, error)
}

// Generate draws material for a key of a spec, in the form that New takes.
func Generate(spec api.KeySpec) (secret.Bytes, error) {
	if err := CheckSpec(spec); err != nil {
		return secret.Bytes{}, err
	}
	switch family(spec) {
	case symmetric:
		return NewMaterial(), nil
	case mac:
		return Random(macSizes[spec]), nil
	case asymmetric:
		return generatePrivate(spec)
	}
	return secret.Bytes{}, fmt.Errorf("crypt: no keys of spec %s are made", spec)
}

// New opens material of a spec: SymmetricSize bytes; those of a MAC key; or a private key,
// as PKCS #8 (RFC 5958). It takes ownership of material. The cluster is one to which symmetric
// ciphertexts are bound.
func New(spec api.KeySpec, cluster *ClusterID, id MaterialID, material secret.Bytes) (Key, error) {
	if err := CheckSpec(spec); err != nil {
		return nil, err
	}
	switch family(spec) {
	case symmetric:
		return NewSymmetric(cluster, id, material)
	case mac:
		return newMac(id, material)
	case asymmetric:
		return newPrivate(spec, id, material)
	}
	return nil, fmt.Errorf("crypt: no keys of spec %s are opened", spec)
}

// HasSM2 reports whether this binary was built with SM2.
func HasSM2() bool { return sm2Kind != nil }

// Costly tells of a spec whether its keys keep a processor busy for long: a fifth of a millisecond
// and more for a signature, where most of what is asked takes a tenth of that.
func Costly(spec api.KeySpec) bool {
	switch spec {
	case api.KeySpecRSA2048, api.KeySpecRSA3072, api.KeySpecRSA4096, api.KeySpecECCNISTP384, api.KeySpecECCNISTP521,
		api.KeySpecMLDSA44, api.KeySpecMLDSA65, api.KeySpecMLDSA87:
		return true
	}
	return false
}

// Families of specs, by the form of their material.
const (
	unknown = iota
	symmetric
	mac
	asymmetric
)

func family(spec api.KeySpec) int {
	if spec == api.KeySpecSymmetricDefault {
		return symmetric
	}
	if _, ok := macSizes[spec]; ok {
		return mac
	}
	if privateKinds[spec] != nil {
		return asymmetric
	}
	return unknown
}

// material is the name of what an opened key is made of.
type material struct{ id MaterialID }

// MaterialID implements Key.
func (m material) MaterialID() MaterialID { return m.id }
