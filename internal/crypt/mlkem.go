package crypt

import (
	"bytes"
	"crypto/mlkem"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/kem"
	circl "github.com/cloudflare/circl/kem/mlkem/mlkem512"

	"trent/internal/secret"
)

// A kemKey is a private key of ML-KEM (FIPS 203) of one size.
type kemKey interface {
	seed() []byte
	public() []byte
	encapsulate() (shared, ciphertext []byte, err error)
	decapsulate(ciphertext []byte) (shared []byte, err error) // fails for a wrong length alone
}

// An mlkemSize is one of the three parameter sets.
type mlkemSize struct {
	oid      asn1.ObjectIdentifier // RFC 9935
	generate func() (kemKey, error)
	open     func(seed []byte) (kemKey, error)
}

var (
	oidMLKEM = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4}

	mlkem512  = mlkemSize{oidOf(1), generate512, open512}
	mlkem768  = mlkemSize{oidOf(2), generate768, open768}
	mlkem1024 = mlkemSize{oidOf(3), generate1024, open1024}
)

func oidOf(n int) asn1.ObjectIdentifier { return append(oidMLKEM[:len(oidMLKEM):len(oidMLKEM)], n) }

func mlkemKind(size mlkemSize) *privateKind {
	return &privateKind{
		generate: func() (any, error) { return size.generate() },
		marshal: func(private any) ([]byte, error) {
			return marshalPrivate(size.algorithm(), append([]byte(seedHead), private.(kemKey).seed()...))
		},
		parse: func(der []byte) (any, error) { return size.parse(der) },
		open: func(id MaterialID, private any) (Key, error) {
			k, ok := private.(kemKey)
			if !ok {
				return nil, errOtherKey("ML-KEM", private)
			}
			return &mlkemKey{material{id}, size, k}, nil
		},
	}
}

func (s mlkemSize) algorithm() pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: s.oid}
}

// seedHead is the head of a seed of 64 bytes, [0] IMPLICIT OCTET STRING: the form of a private
// key that is the same for all sizes.
const seedHead = "\x80\x40"

func (s mlkemSize) parse(der []byte) (kemKey, error) {
	p, err := parsePrivate(der)
	if err != nil {
		return nil, err
	}
	seed, ok := bytes.CutPrefix(p.PrivateKey, []byte(seedHead))
	if !ok || len(seed) != mlkem.SeedSize || !p.Algorithm.Algorithm.Equal(s.oid) || len(p.Algorithm.Parameters.FullBytes) > 0 {
		return nil, errors.New("no seed of this size of ML-KEM")
	}
	return s.open(seed)
}

// mlkemKey is ML-KEM as a key of KMS.
type mlkemKey struct {
	material
	size    mlkemSize
	private kemKey
}

// PublicKey implements Public.
func (k *mlkemKey) PublicKey() ([]byte, error) {
	return marshalPublic(k.size.algorithm(), k.private.public())
}

// Encapsulate implements Encapsulator.
func (k *mlkemKey) Encapsulate() (secret.Bytes, []byte, error) {
	shared, ciphertext, err := k.private.encapsulate()
	if err != nil {
		return secret.Bytes{}, nil, fmt.Errorf("crypt: encapsulate: %w", err)
	}
	return secret.New(shared), ciphertext, nil
}

// Decapsulate implements Encapsulator.
func (k *mlkemKey) Decapsulate(ciphertext []byte) (secret.Bytes, error) {
	shared, err := k.private.decapsulate(ciphertext)
	if err != nil {
		return secret.Bytes{}, errInvalid()
	}
	return secret.New(shared), nil
}

type kem768 struct{ *mlkem.DecapsulationKey768 }

func generate768() (kemKey, error) {
	k, err := mlkem.GenerateKey768()
	return kem768{k}, err
}

func open768(seed []byte) (kemKey, error) {
	k, err := mlkem.NewDecapsulationKey768(seed)
	return kem768{k}, err
}

func (k kem768) seed() []byte   { return k.Bytes() }
func (k kem768) public() []byte { return k.EncapsulationKey().Bytes() }
func (k kem768) encapsulate() (shared, ciphertext []byte, err error) {
	shared, ciphertext = k.EncapsulationKey().Encapsulate()
	return shared, ciphertext, nil
}
func (k kem768) decapsulate(ciphertext []byte) ([]byte, error) { return k.Decapsulate(ciphertext) }

type kem1024 struct{ *mlkem.DecapsulationKey1024 }

func generate1024() (kemKey, error) {
	k, err := mlkem.GenerateKey1024()
	return kem1024{k}, err
}

func open1024(seed []byte) (kemKey, error) {
	k, err := mlkem.NewDecapsulationKey1024(seed)
	return kem1024{k}, err
}

func (k kem1024) seed() []byte   { return k.Bytes() }
func (k kem1024) public() []byte { return k.EncapsulationKey().Bytes() }
func (k kem1024) encapsulate() (shared, ciphertext []byte, err error) {
	shared, ciphertext = k.EncapsulationKey().Encapsulate()
	return shared, ciphertext, nil
}
func (k kem1024) decapsulate(ciphertext []byte) ([]byte, error) { return k.Decapsulate(ciphertext) }

// kem512 is the size that the standard library does not have.
type kem512 struct {
	bytes   []byte // the seed
	private kem.PrivateKey
}

func generate512() (kemKey, error) {
	seed := Random(mlkem.SeedSize)
	return open512(seed.Expose())
}

func open512(seed []byte) (kemKey, error) {
	_, private := circl.Scheme().DeriveKeyPair(seed)
	return kem512{bytes.Clone(seed), private}, nil
}

func (k kem512) seed() []byte { return k.bytes }

func (k kem512) public() []byte {
	b, err := k.private.Public().MarshalBinary()
	if err != nil {
		panic("crypt: internal error: " + err.Error()) // of what was just derived
	}
	return b
}

func (k kem512) encapsulate() (shared, ciphertext []byte, err error) {
	ciphertext, shared, err = circl.Scheme().Encapsulate(k.private.Public())
	return shared, ciphertext, err
}

func (k kem512) decapsulate(ciphertext []byte) ([]byte, error) {
	return circl.Scheme().Decapsulate(k.private, ciphertext)
}
