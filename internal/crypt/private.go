package crypt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"

	"trent/internal/api"
	"trent/internal/secret"
)

// A privateKind is how the private keys of a spec are made, written as PKCS #8 (RFC 5958),
// read, and used. Values of type any are the key types of the packages that know them.
type privateKind struct {
	generate func() (any, error)
	marshal  func(private any) ([]byte, error)
	parse    func(der []byte) (any, error)
	// open makes the key. It refuses a private key of another spec.
	open func(id MaterialID, private any) (Key, error)
}

var privateKinds = map[api.KeySpec]*privateKind{
	api.KeySpecRSA2048: rsaKind(2048),
	api.KeySpecRSA3072: rsaKind(3072),
	api.KeySpecRSA4096: rsaKind(4096),

	api.KeySpecECCNISTP256:         ecdsaKind(elliptic.P256()),
	api.KeySpecECCNISTP384:         ecdsaKind(elliptic.P384()),
	api.KeySpecECCNISTP521:         ecdsaKind(elliptic.P521()),
	api.KeySpecECCSECGP256K1:       {generateSecp256k1, marshalSecp256k1, parseSecp256k1, openSecp256k1},
	api.KeySpecECCNISTEdwards25519: {generateEd25519, x509.MarshalPKCS8PrivateKey, x509.ParsePKCS8PrivateKey, openEd25519},

	api.KeySpecMLDSA44: mldsaKind(mldsa.MLDSA44()),
	api.KeySpecMLDSA65: mldsaKind(mldsa.MLDSA65()),
	api.KeySpecMLDSA87: mldsaKind(mldsa.MLDSA87()),

	api.KeySpecMLKEM512:  mlkemKind(mlkem512),
	api.KeySpecMLKEM768:  mlkemKind(mlkem768),
	api.KeySpecMLKEM1024: mlkemKind(mlkem1024),

	api.KeySpecSM2: sm2Kind, // nil: this binary has none
}

func generatePrivate(spec api.KeySpec) (secret.Bytes, error) {
	kind := privateKinds[spec]
	private, err := kind.generate()
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("crypt: generate a key of spec %s: %w", spec, err)
	}
	der, err := kind.marshal(private)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("crypt: encode a key of spec %s: %w", spec, err)
	}
	return secret.New(der), nil
}

// newPrivate reads a private key and forgets its encoding. What the parsers say is
// left out of the error: it may tell of the key.
func newPrivate(spec api.KeySpec, id MaterialID, m secret.Bytes) (Key, error) {
	defer m.Wipe()
	kind := privateKinds[spec]
	private, err := kind.parse(m.Expose())
	if err != nil {
		return nil, fmt.Errorf("crypt: the material is no private key of spec %s", spec)
	}
	return kind.open(id, private)
}

func errOtherKey(want string, got any) error {
	return fmt.Errorf("crypt: the material is a %T and not a private key of %s", got, want)
}

func rsaKind(bits int) *privateKind {
	return &privateKind{
		generate: func() (any, error) { return rsa.GenerateKey(rand.Reader, bits) },
		marshal:  x509.MarshalPKCS8PrivateKey,
		parse:    x509.ParsePKCS8PrivateKey,
		open: func(id MaterialID, private any) (Key, error) {
			k, ok := private.(*rsa.PrivateKey)
			if !ok || k.N.BitLen() != bits {
				return nil, errOtherKey(fmt.Sprintf("RSA with %d bits", bits), private)
			}
			return &rsaKey{material{id}, k}, nil
		},
	}
}

func ecdsaKind(curve elliptic.Curve) *privateKind {
	return &privateKind{
		generate: func() (any, error) { return ecdsa.GenerateKey(curve, rand.Reader) },
		marshal:  x509.MarshalPKCS8PrivateKey,
		parse:    x509.ParsePKCS8PrivateKey,
		open: func(id MaterialID, private any) (Key, error) {
			k, ok := private.(*ecdsa.PrivateKey)
			if !ok || k.Curve != curve {
				return nil, errOtherKey(curve.Params().Name, private)
			}
			return &ecdsaKey{material{id}, k}, nil
		},
	}
}

func generateEd25519() (any, error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	return k, err
}

func openEd25519(id MaterialID, private any) (Key, error) {
	k, ok := private.(ed25519.PrivateKey)
	if !ok {
		return nil, errOtherKey("Ed25519", private)
	}
	return &ed25519Key{material{id}, k}, nil
}

func mldsaKind(params mldsa.Parameters) *privateKind {
	return &privateKind{
		generate: func() (any, error) { return mldsa.GenerateKey(params) },
		marshal:  mldsax509.MarshalPKCS8PrivateKey,
		parse:    mldsax509.ParsePKCS8PrivateKey,
		open: func(id MaterialID, private any) (Key, error) {
			k, ok := private.(*mldsa.PrivateKey)
			if !ok || k.PublicKey().Parameters() != params {
				return nil, errOtherKey(params.String(), private)
			}
			return &mldsaKey{material{id}, k}, nil
		},
	}
}

// GeneratePair makes an asymmetric key of a spec and gives both halves: PKCS #8 and
// SubjectPublicKeyInfo.
func GeneratePair(spec api.KeySpec) (private secret.Bytes, public []byte, err error) {
	if err := CheckSpec(spec); err != nil {
		return secret.Bytes{}, nil, err
	}
	kind := privateKinds[spec]
	if kind == nil {
		return secret.Bytes{}, nil, fmt.Errorf("crypt: keys of spec %s have no public half", spec)
	}
	made, err := kind.generate()
	if err != nil {
		return secret.Bytes{}, nil, fmt.Errorf("crypt: generate a key of spec %s: %w", spec, err)
	}
	k, err := kind.open(MaterialID{}, made)
	if err != nil {
		return secret.Bytes{}, nil, err
	}
	if public, err = k.(Public).PublicKey(); err != nil {
		return secret.Bytes{}, nil, fmt.Errorf("crypt: encode a public key of spec %s: %w", spec, err)
	}
	der, err := kind.marshal(made)
	if err != nil {
		return secret.Bytes{}, nil, fmt.Errorf("crypt: encode a key of spec %s: %w", spec, err)
	}
	return secret.New(der), public, nil
}

// PublicKeyOf is the SubjectPublicKeyInfo of a private key that Generate has made. The private
// key is left as it is.
func PublicKeyOf(spec api.KeySpec, private secret.Bytes) ([]byte, error) {
	k, err := New(spec, nil, MaterialID{}, secret.New(bytes.Clone(private.Expose())))
	if err != nil {
		return nil, err
	}
	public, ok := k.(Public)
	if !ok {
		return nil, fmt.Errorf("crypt: keys of spec %s have no public half", spec)
	}
	return public.PublicKey()
}
