package crypt

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"trent/internal/api"
)

// secp256k1Key signs on the curve of SEC 2, section 2.4.1, which crypto/x509 does not know.
// Nonces are those of RFC 6979, and the second number of a signature is the lesser of the two
// that there are.
type secp256k1Key struct {
	material
	private *secp256k1.PrivateKey
}

// Sign implements Signer. A signature that does not verify does not leave: a fault of
// the machine could else tell of the key.
func (k *secp256k1Key) Sign(alg api.SigningAlgorithm, form api.MessageType, message []byte) ([]byte, error) {
	_, digest, err := digestOf(alg, form, message)
	if err != nil {
		return nil, err
	}
	s := ecdsa.Sign(k.private, digest)
	if !s.Verify(digest, k.private.PubKey()) {
		return nil, errors.New("crypt: a signature that was just made does not verify")
	}
	return s.Serialize(), nil
}

// Verify implements Signer.
func (k *secp256k1Key) Verify(alg api.SigningAlgorithm, form api.MessageType, message, signature []byte) error {
	_, digest, err := digestOf(alg, form, message)
	if err != nil {
		return err
	}
	s, err := ecdsa.ParseDERSignature(signature)
	if err != nil || !s.Verify(digest, k.private.PubKey()) {
		return errSignature()
	}
	return nil
}

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
)

// secp256k1Algorithm is id-ecPublicKey with the name of the curve (RFC 5480).
func secp256k1Algorithm() (pkix.AlgorithmIdentifier, error) {
	curve, err := asn1.Marshal(oidSecp256k1)
	return pkix.AlgorithmIdentifier{Algorithm: oidECPublicKey, Parameters: asn1.RawValue{FullBytes: curve}}, err
}

// PublicKey implements Public. The point is not compressed.
func (k *secp256k1Key) PublicKey() ([]byte, error) {
	algorithm, err := secp256k1Algorithm()
	if err != nil {
		return nil, fmt.Errorf("crypt: encode a public key: %w", err)
	}
	return marshalPublic(algorithm, k.private.PubKey().SerializeUncompressed())
}

// ecPrivateKey is ECPrivateKey of RFC 5915.
type ecPrivateKey struct {
	Version    int
	PrivateKey []byte
	Curve      asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	PublicKey  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

func generateSecp256k1() (any, error) { return secp256k1.GeneratePrivateKey() }

func marshalSecp256k1(private any) ([]byte, error) {
	k := private.(*secp256k1.PrivateKey)
	scalar := k.Key.Bytes()
	defer clear(scalar[:])
	inner, err := asn1.Marshal(ecPrivateKey{
		Version: 1, PrivateKey: scalar[:],
		PublicKey: asn1.BitString{Bytes: k.PubKey().SerializeUncompressed(), BitLength: 8 * 65},
	})
	if err != nil {
		return nil, err
	}
	defer clear(inner)
	algorithm, err := secp256k1Algorithm()
	if err != nil {
		return nil, err
	}
	return marshalPrivate(algorithm, inner)
}

// parseSecp256k1 takes a scalar between 0 and the order. The public key in it, if there is
// one, must be that of the scalar.
func parseSecp256k1(der []byte) (any, error) {
	p, err := parsePrivate(der)
	if err != nil {
		return nil, err
	}
	var curve asn1.ObjectIdentifier
	if rest, err := asn1.Unmarshal(p.Algorithm.Parameters.FullBytes, &curve); err != nil || len(rest) > 0 ||
		!p.Algorithm.Algorithm.Equal(oidECPublicKey) || !curve.Equal(oidSecp256k1) {
		return nil, errors.New("not on secp256k1")
	}
	var inner ecPrivateKey
	if rest, err := asn1.Unmarshal(p.PrivateKey, &inner); err != nil || len(rest) > 0 || inner.Version != 1 {
		return nil, errors.New("not an ECPrivateKey")
	}
	var scalar secp256k1.ModNScalar
	if len(inner.PrivateKey) != 32 || scalar.SetByteSlice(inner.PrivateKey) || scalar.IsZero() {
		return nil, errors.New("the scalar is out of range")
	}
	k := secp256k1.NewPrivateKey(&scalar)
	if inner.PublicKey.BitLength > 0 {
		public, err := secp256k1.ParsePubKey(inner.PublicKey.Bytes)
		if err != nil || !public.IsEqual(k.PubKey()) {
			return nil, errors.New("the public key is not that of the private key")
		}
	}
	return k, nil
}

func openSecp256k1(id MaterialID, private any) (Key, error) {
	k, ok := private.(*secp256k1.PrivateKey)
	if !ok {
		return nil, errOtherKey("secp256k1", private)
	}
	return &secp256k1Key{material{id}, k}, nil
}
