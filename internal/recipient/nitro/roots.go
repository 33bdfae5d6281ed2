package nitro

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// A Root is a certificate that documents are believed by.
type Root struct {
	// Label names it in audit records: letters, digits and - . _
	Label string
	// SHA256 is the digest of the certificate's DER. Documents bring the certificate
	// itself along.
	SHA256 [sha256.Size]byte
	// Development says that it is made by hand, to try things out with: it vouches for
	// nothing.
	Development bool
}

// AWS is the root of Nitro Enclaves and NitroTPM in the partition aws, G1, by the
// fingerprint that AWS publishes ("Validating attestation documents", Nitro Enclaves
// User Guide). It is valid until October 2049.
func AWS() Root {
	r := Root{Label: "aws-g1"}
	const fingerprint = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
	if n, err := hex.Decode(r.SHA256[:], []byte(fingerprint)); err != nil || n != len(r.SHA256) {
		panic("nitro: internal error: the fingerprint of the root")
	}
	return r
}

// DevelopmentName is the common name of development roots, so that everybody who
// meets one knows it.
const DevelopmentName = "Trent development root: attests nothing"

func isDevelopment(c *x509.Certificate) bool { return c.Subject.CommonName == DevelopmentName }

// LoadRoot reads a root certificate, PEM or DER. It refuses what documents could not
// be verified by, and development roots.
func LoadRoot(label string, content []byte) (Root, error) {
	c, err := loadCertificate(content)
	if err != nil {
		return Root{}, err
	}
	if isDevelopment(c) {
		return Root{}, errors.New("this is a development root, which attests nothing; to try things out with it, give it as --attestation-dev-root")
	}
	return newRoot(label, c, false)
}

// LoadDevelopmentRoot reads a development root from what trent attest dev-root wrote.
// The key, if it is in there, is not looked at.
func LoadDevelopmentRoot(content []byte) (Root, error) {
	c, err := loadCertificate(content)
	if err != nil {
		return Root{}, err
	}
	if !isDevelopment(c) {
		return Root{}, errors.New("this is not a development root; give the root of real documents as --attestation-root LABEL=FILE, or make a development root by trent attest dev-root")
	}
	return newRoot("development", c, true)
}

func newRoot(label string, c *x509.Certificate, development bool) (Root, error) {
	if err := checkLabel(label); err != nil {
		return Root{}, err
	}
	if err := checkCA(c, 0); err != nil {
		return Root{}, fmt.Errorf("this cannot be the root of attestation documents: %w", err)
	}
	if !bytes.Equal(c.RawSubject, c.RawIssuer) || checkSignature(c, c) != nil {
		return Root{}, errors.New("this is not a root: it is not signed by itself")
	}
	return Root{Label: label, SHA256: sha256.Sum256(c.Raw), Development: development}, nil
}

// loadCertificate reads the one certificate of a file.
func loadCertificate(content []byte) (*x509.Certificate, error) {
	der := content
	if bytes.Contains(content, []byte("-----BEGIN ")) {
		der = nil
		for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "CERTIFICATE" {
				continue
			}
			if der != nil {
				return nil, errors.New("there is more than one certificate; a root is one")
			}
			der = block.Bytes
		}
		if der == nil {
			return nil, errors.New("there is no certificate in it")
		}
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("this is no certificate, PEM or DER: %w", err)
	}
	return c, nil
}

const maxLabel = 64

func checkLabel(label string) error {
	odd := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._", r)
	}
	if label == "" || len(label) > maxLabel || strings.ContainsFunc(label, odd) {
		return fmt.Errorf("the label of a root has 1 to %d letters, digits and - . _", maxLabel)
	}
	return nil
}
