package nitro

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"

	"trent/internal/recipient"
)

// The keys that answers are encrypted to, in bits. The member has room for no more than 4096.
const (
	minKeyBits = 2048
	maxKeyBits = 4096

	minExponent = 65537
)

// readPublicKey reads the SubjectPublicKeyInfo (RFC 5280) of an RSA key. There is one
// encoding of a key: what is not the encoding of what it decodes to is refused.
func readPublicKey(spki []byte) (*recipient.PublicKey, error) {
	const want = "public_key must be the DER SubjectPublicKeyInfo of an RSA key (rsaEncryption) of 2048 to 4096 bits"
	if spki == nil {
		return nil, flawf("it has none: " + want)
	}
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, flawf(want).because(err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, flawf(want)
	}
	again, err := x509.MarshalPKIXPublicKey(key)
	if err != nil || !bytes.Equal(again, spki) {
		return nil, flawf(want).because(err)
	}
	if bits := key.N.BitLen(); bits < minKeyBits || bits > maxKeyBits || key.N.Bit(0) == 0 {
		return nil, flawf(want)
	}
	if key.E < minExponent || key.E >= 1<<31 || key.E%2 == 0 {
		return nil, flawf("the exponent of public_key must be odd, and from 65537 up to 31 bits")
	}
	return &recipient.PublicKey{RSA: key, SPKI: spki}, nil
}
