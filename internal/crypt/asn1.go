package crypt

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

// What crypto/x509 does not encode is encoded here: the two containers of key pairs.

// oneAsymmetricKey is PrivateKeyInfo of RFC 5958, without attributes.
type oneAsymmetricKey struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	PrivateKey []byte
}

// subjectPublicKeyInfo is that of RFC 5280, section 4.1.
type subjectPublicKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	PublicKey asn1.BitString
}

func marshalPrivate(algorithm pkix.AlgorithmIdentifier, key []byte) ([]byte, error) {
	return asn1.Marshal(oneAsymmetricKey{Algorithm: algorithm, PrivateKey: key})
}

func parsePrivate(der []byte) (oneAsymmetricKey, error) {
	var p oneAsymmetricKey
	rest, err := asn1.Unmarshal(der, &p)
	if err != nil || len(rest) > 0 || p.Version != 0 {
		return p, errors.New("not a PrivateKeyInfo")
	}
	return p, nil
}

func marshalPublic(algorithm pkix.AlgorithmIdentifier, key []byte) ([]byte, error) {
	der, err := asn1.Marshal(subjectPublicKeyInfo{algorithm, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}})
	if err != nil {
		return nil, fmt.Errorf("crypt: encode a public key: %w", err)
	}
	return der, nil
}
