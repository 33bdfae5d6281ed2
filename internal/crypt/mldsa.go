package crypt

import (
	"crypto"
	"fmt"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	mldsax509 "filippo.io/mldsa/x509"

	"trent/internal/api"
	"trent/internal/fault"
)

// mldsaKey signs with ML-DSA (FIPS 204), hedged, under the empty context.
type mldsaKey struct {
	material
	private *mldsa.PrivateKey
}

// PublicKey implements Public.
func (k *mldsaKey) PublicKey() ([]byte, error) {
	return mldsax509.MarshalPKIXPublicKey(k.private.PublicKey())
}

// externalMu says that the message is the representative µ, of 64 bytes (RFC 9881).
type externalMu struct{}

func (externalMu) HashFunc() crypto.Hash { return mldsacrypto.MLDSAMu }

// Sign implements Signer.
func (k *mldsaKey) Sign(_ api.SigningAlgorithm, form api.MessageType, message []byte) ([]byte, error) {
	var options crypto.SignerOpts = &mldsa.Options{}
	if form == api.MessageTypeExternalMU {
		options = externalMu{}
	}
	signature, err := k.private.Sign(nil, message, options)
	if err != nil {
		return nil, fmt.Errorf("crypt: %w", err)
	}
	return signature, nil
}

// Verify implements Signer. No library that is kept up verifies against µ alone.
func (k *mldsaKey) Verify(_ api.SigningAlgorithm, form api.MessageType, message, signature []byte) error {
	if form == api.MessageTypeExternalMU {
		return fault.New(api.UnsupportedOperationException, "This version of Trent does not verify ML-DSA signatures of a message representative: send the message with MessageType RAW.")
	}
	if mldsa.Verify(k.private.PublicKey(), message, signature, nil) != nil {
		return errSignature()
	}
	return nil
}
