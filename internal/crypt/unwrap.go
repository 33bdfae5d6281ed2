package crypt

import (
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"hash"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/secret"
)

// CheckWrapping refuses a wrapping algorithm that no import takes, or that is outside of the
// FIPS 140-3 module in a process that keeps to it.
func CheckWrapping(alg api.AlgorithmSpec) error {
	if alg == api.AlgorithmSpecSM2PKE && HasSM2() {
		return CheckSpec(api.KeySpecSM2)
	}
	newHash, ok := wrappingHashes[alg]
	if !ok {
		return fault.New(api.UnsupportedOperationException, "WrappingAlgorithm "+string(alg)+" is not supported.")
	}
	if FIPS() && newHash().Size() == sha1.Size {
		return errOutside("WrappingAlgorithm " + string(alg))
	}
	return nil
}

// wrappingHashes are those of OAEP and of its mask in each wrapping algorithm.
var wrappingHashes = map[api.AlgorithmSpec]func() hash.Hash{
	api.AlgorithmSpecRSAESOAEPSHA1:       sha1.New, // where collisions do no harm (RFC 8017, appendix B.1)
	api.AlgorithmSpecRSAESOAEPSHA256:     sha256.New,
	api.AlgorithmSpecRSAAESKeyWrapSHA1:   sha1.New,
	api.AlgorithmSpecRSAAESKeyWrapSHA256: sha256.New,
}

// IsKeyWrap reports whether the algorithm wraps under an AES key of its own, which alone is
// encrypted with RSA.
func IsKeyWrap(alg api.AlgorithmSpec) bool {
	return alg == api.AlgorithmSpecRSAAESKeyWrapSHA1 || alg == api.AlgorithmSpecRSAAESKeyWrapSHA256
}

// wrapKeySize is the size of that AES key, in bytes.
const wrapKeySize = 32

// Unwrap decrypts what was encrypted to the public half of private, a PKCS #8 of RSA: by OAEP
// (RFC 8017, section 7.1, without a label), or as an AES key under OAEP and behind it the content
// under AES-KWP (RFC 5649). It fails with InvalidCiphertextException, whatever is wrong.
func Unwrap(alg api.AlgorithmSpec, private secret.Bytes, wrapped []byte) (secret.Bytes, error) {
	if err := CheckWrapping(alg); err != nil {
		return secret.Bytes{}, err
	}
	if alg == api.AlgorithmSpecSM2PKE {
		return unwrapSM2(private, wrapped)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private.Expose())
	if err != nil {
		return secret.Bytes{}, errors.New("crypt: the wrapping key cannot be read")
	}
	k, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return secret.Bytes{}, fmt.Errorf("crypt: the wrapping key is a %T", parsed)
	}
	newHash := wrappingHashes[alg]
	if !IsKeyWrap(alg) {
		return unwrapOAEP(newHash, k, wrapped)
	}
	if len(wrapped) <= k.Size() {
		return secret.Bytes{}, errInvalid()
	}
	key, err := unwrapOAEP(newHash, k, wrapped[:k.Size()])
	if err != nil {
		return secret.Bytes{}, err
	}
	defer key.Wipe()
	return unwrapKWP(key, wrapped[k.Size():])
}

func unwrapOAEP(newHash func() hash.Hash, k *rsa.PrivateKey, wrapped []byte) (secret.Bytes, error) {
	plain, err := rsa.DecryptOAEP(newHash(), nil, k, wrapped, nil)
	if err != nil {
		return secret.Bytes{}, errInvalid()
	}
	return secret.New(plain), nil
}

func unwrapKWP(key secret.Bytes, wrapped []byte) (secret.Bytes, error) {
	if key.Len() != wrapKeySize {
		return secret.Bytes{}, errInvalid()
	}
	w, err := subtle.NewKWP(key.Expose())
	if err != nil {
		return secret.Bytes{}, errInvalid()
	}
	plain, err := w.Unwrap(wrapped)
	if err != nil {
		return secret.Bytes{}, errInvalid()
	}
	return secret.New(plain), nil
}
