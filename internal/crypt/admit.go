package crypt

import (
	"bytes"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"

	"trent/internal/api"
	"trent/internal/secret"
)

// macRanges are the sizes of HMAC keys that can be imported, in bytes: the least, and the block
// of the hash, beyond which a key is hashed first (RFC 2104).
var macRanges = map[api.KeySpec][2]int{
	api.KeySpecHMAC224: {28, 64}, api.KeySpecHMAC256: {32, 64}, api.KeySpecHMAC384: {48, 128}, api.KeySpecHMAC512: {64, 128},
}

// Admit takes material that somebody else has made, and gives it in the form that New takes, which is
// the same however the numbers were encoded. It refuses what Generate would not make: another size,
// another kind of key, one that is not valid, or whose halves do not fit together. It takes ownership
// of material. The error tells nothing of it.
func Admit(spec api.KeySpec, material secret.Bytes) (secret.Bytes, error) {
	if err := CheckSpec(spec); err != nil {
		return secret.Bytes{}, err
	}
	n := material.Len()
	switch family(spec) {
	case symmetric:
		if n != SymmetricSize {
			return secret.Bytes{}, fmt.Errorf("crypt: symmetric material of %d bytes", n)
		}
		return material, nil
	case mac:
		if r := macRanges[spec]; n < r[0] || n > r[1] {
			return secret.Bytes{}, fmt.Errorf("crypt: a key of %d bytes for spec %s", n, spec)
		}
		return material, nil
	case asymmetric:
		defer material.Wipe()
		return admitPrivate(spec, material)
	}
	return secret.Bytes{}, fmt.Errorf("crypt: no keys of spec %s are imported", spec)
}

func admitPrivate(spec api.KeySpec, material secret.Bytes) (secret.Bytes, error) {
	kind, refused := privateKinds[spec], fmt.Errorf("crypt: the material is no private key of spec %s", spec)
	der := material.Expose()
	// The parsers of the standard library pass over what follows.
	var whole asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &whole); err != nil || len(rest) > 0 {
		return secret.Bytes{}, refused
	}
	private, err := kind.parse(der)
	if err != nil {
		return secret.Bytes{}, refused
	}
	if k, ok := private.(*rsa.PrivateKey); ok && (len(k.Primes) != 2 || k.E < minExponent) {
		return secret.Bytes{}, refused
	}
	k, err := kind.open(MaterialID{}, private)
	if err != nil {
		return secret.Bytes{}, refused
	}
	if err := fitTogether(k); err != nil {
		return secret.Bytes{}, err
	}
	form, err := kind.marshal(private)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("crypt: encode a key of spec %s: %w", spec, err)
	}
	return secret.New(form), nil
}

// minExponent is the least public exponent of RSA that is taken (FIPS 186-5, appendix A.1.1).
const minExponent = 65537

// errHalves says that one half of a key does not undo what the other did.
var errHalves = errors.New("crypt: the halves of the private key do not fit together")

// fitTogether uses both halves of a key, as SP 800-56A and FIPS 140-3 have it of keys that come
// from outside: a signature must verify, what was encapsulated must come out again.
func fitTogether(k Key) error {
	switch k := k.(type) {
	case *mlkemKey:
		shared, ciphertext, err := k.Encapsulate()
		if err != nil {
			return errHalves
		}
		again, err := k.Decapsulate(ciphertext)
		if err != nil || !shared.Equal(again) {
			return errHalves
		}
		return nil
	case Signer:
		return signs(k)
	}
	return errHalves
}

func signs(k Signer) error {
	alg := api.SigningAlgorithmECDSASHA256
	switch k.(type) {
	case *rsaKey:
		alg = api.SigningAlgorithmRSASSAPSSSHA256
	case *ed25519Key:
		alg = api.SigningAlgorithmED25519SHA512
	case *mldsaKey:
		alg = api.SigningAlgorithmMLDSASHAKE256
	}
	message := bytes.Repeat([]byte{0xa5}, 32)
	signature, err := k.Sign(alg, api.MessageTypeRaw, message)
	if err != nil || k.Verify(alg, api.MessageTypeRaw, message, signature) != nil {
		return errHalves
	}
	return nil
}
