package conformance

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// sum is the SHA-256 of a body, as signatures have it.
func sum(body string) string {
	h := sha256.Sum256([]byte(body))
	return hex.EncodeToString(h[:])
}

// wrap encrypts material to the public key of GetParametersForImport, by one of the algorithms that
// need no more than RSA.
func wrap(algorithm, publicKey, material string) (string, error) {
	der, err := base64.StdEncoding.DecodeString(publicKey)
	if err != nil {
		return "", fmt.Errorf("wrapping key: %w", err)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return "", fmt.Errorf("wrapping key: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return "", errors.New("the wrapping key is not an RSA key")
	}
	plain, err := hex.DecodeString(material)
	if err != nil {
		return "", fmt.Errorf("material: %w", err)
	}
	var h hash.Hash
	switch algorithm {
	case "RSAES_OAEP_SHA_1":
		h = sha1.New()
	case "RSAES_OAEP_SHA_256":
		h = sha256.New()
	default:
		return "", fmt.Errorf("this client does not wrap by %s", algorithm)
	}
	wrapped, err := rsa.EncryptOAEP(h, rand.Reader, key, plain, nil)
	return base64.StdEncoding.EncodeToString(wrapped), err
}
