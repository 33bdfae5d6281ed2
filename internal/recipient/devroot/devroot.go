// Package devroot makes attestation documents that attest nothing: a development root,
// and documents under it that look in every other way like those of AWS Nitro, so that
// the whole road can be tried, tested and measured on any machine. A server takes them
// only if it was given that very root, as a development root, and says so in each
// audit record.
package devroot

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"trent/internal/recipient/nitro"
)

// A Root is a development root with its key.
type Root struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes a root that is valid from an hour before now and for ten years.
func New(now time.Time) (*Root, error) {
	name := pkix.Name{Organization: []string{"Trent"}, OrganizationalUnit: []string{"for development alone"}, CommonName: nitro.DevelopmentName}
	r, err := issue(nil, authority(name, now.Add(-time.Hour), now.AddDate(10, 0, 0), noPathLen))
	if err != nil {
		return nil, fmt.Errorf("make a development root: %w", err)
	}
	return r, nil
}

const (
	certificateType = "CERTIFICATE"
	keyType         = "PRIVATE KEY"

	notice = `Trent development root. Documents under it attest nothing: whoever has this file
makes them say what they like.
`
)

// PEM is the root as a file, key included.
func (r *Root) PEM() ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(r.key)
	if err != nil {
		return nil, fmt.Errorf("encode a development root: %w", err)
	}
	out := []byte(notice)
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: certificateType, Bytes: r.cert.Raw})...)
	return append(out, pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: key})...), nil
}

// Parse reads what PEM wrote.
func Parse(content []byte) (*Root, error) {
	if _, err := nitro.LoadDevelopmentRoot(content); err != nil {
		return nil, err
	}
	r := new(Root)
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		var err error
		switch block.Type {
		case certificateType:
			r.cert, err = x509.ParseCertificate(block.Bytes)
		case keyType:
			r.key, err = parseKey(block.Bytes)
		}
		if err != nil {
			return nil, fmt.Errorf("the development root is damaged: %w", err)
		}
	}
	if r.cert == nil || r.key == nil || !r.key.PublicKey.Equal(r.cert.PublicKey) {
		return nil, errors.New("the development root has no key, or that of another; make a new one by trent attest dev-root")
	}
	return r, nil
}

func parseKey(der []byte) (*ecdsa.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not an EC key")
	}
	return k, nil
}

// Trusted is the root as a verifier is told of it.
func (r *Root) Trusted() nitro.Root {
	var cert bytes.Buffer
	_ = pem.Encode(&cert, &pem.Block{Type: certificateType, Bytes: r.cert.Raw}) // to memory
	root, err := nitro.LoadDevelopmentRoot(cert.Bytes())
	if err != nil {
		panic("devroot: internal error: " + err.Error())
	}
	return root
}

const noPathLen = -1

// authority is the template of a certificate authority.
func authority(name pkix.Name, from, until time.Time, pathLen int) *x509.Certificate {
	return &x509.Certificate{
		Subject: name, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLen: pathLen, MaxPathLenZero: pathLen == 0,
	}
}

// issue makes a key and a certificate for it, signed by parent or, if that is nil, by itself.
func issue(parent *Root, template *x509.Certificate) (*Root, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial := make([]byte, 16)
	rand.Read(serial)
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always of 16 bytes
	template.SerialNumber = new(big.Int).SetBytes(serial)
	template.SignatureAlgorithm = x509.ECDSAWithSHA384
	above, signer := template, key
	if parent != nil {
		above, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Root{cert, key}, nil
}
