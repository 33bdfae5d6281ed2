package nitro

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"
)

// A chain is what certificates are good for: whoever has them verified may keep it.
type chain struct {
	root      *Root
	leaf      *ecdsa.PublicKey // on P-384
	notBefore time.Time        // the latest of all
	notAfter  time.Time        // the earliest
}

// The chain is not built, it is given: cabundle from the root down, and then the
// certificate, each signed by the one before it. There is no other order to try, so the
// work is bounded by the number of certificates and no two verifiers can disagree on
// which path was taken. For that x509.Verify, which searches, is not used; what it
// would check is checked here by name, and what it would pass over is refused.

// parse reads the certificates of a document, the root first and the leaf last.
func (d *document) parse() ([]*x509.Certificate, error) {
	certs := make([]*x509.Certificate, 0, maxBundle+1)
	for _, der := range append(d.bundle[:len(d.bundle):len(d.bundle)], d.leaf) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, flawf("%s is no certificate", position(len(certs), len(d.bundle))).because(err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// position names a certificate of a chain by its place.
func position(i, leaf int) string {
	switch i {
	case leaf:
		return "the leaf"
	case 0:
		return "the root"
	}
	return fmt.Sprintf("intermediate %d", i)
}

// checkForms checks all that one can see of certificates, before any signature: what
// each may be used for, and that each names the one above it.
func checkForms(certs []*x509.Certificate) error {
	leaf := len(certs) - 1
	for i, c := range certs {
		var err error
		if i == leaf {
			err = checkLeaf(c)
		} else {
			err = checkCA(c, leaf-1-i)
		}
		if err != nil {
			return flawf("%s %v", position(i, leaf), err)
		}
		if i == 0 {
			continue
		}
		if !bytes.Equal(c.RawIssuer, certs[i-1].RawSubject) {
			return flawf("%s is not issued by %s, which stands above it", position(i, leaf), position(i-1, leaf))
		}
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			return flawf("%s is issued by itself", position(i, leaf))
		}
	}
	return nil
}

// checkSignatures checks that each certificate is signed by the one above it. That of
// the root proves nothing: the root is believed because it is ours.
func checkSignatures(certs []*x509.Certificate) error {
	for i := 1; i < len(certs); i++ {
		if err := checkSignature(certs[i], certs[i-1]); err != nil {
			return flawf("the signature of %s is not that of %s", position(i, len(certs)-1), position(i-1, len(certs)-1)).because(err)
		}
	}
	return nil
}

// checkSignature wants a parent that has passed checkCA.
func checkSignature(child, parent *x509.Certificate) error {
	return parent.CheckSignature(x509.ECDSAWithSHA384, child.RawTBSCertificate, child.Signature)
}

// checkCA checks a certificate that has so many other authorities below it (RFC 5280,
// sections 4.2.1.3, 4.2.1.9 and 6.1.4).
func checkCA(c *x509.Certificate, below int) error {
	if err := checkAny(c); err != nil {
		return err
	}
	switch {
	case !c.BasicConstraintsValid || !c.IsCA || !isCritical(c, oidBasicConstraints):
		return fmt.Errorf("is no certificate authority")
	case c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("may not sign certificates")
	case c.MaxPathLen >= 0 && c.MaxPathLen < below:
		return fmt.Errorf("allows a path of %d below it, and there are %d", c.MaxPathLen, below)
	}
	return nil
}

func checkLeaf(c *x509.Certificate) error {
	if err := checkAny(c); err != nil {
		return err
	}
	switch {
	case c.IsCA:
		return fmt.Errorf("is a certificate authority")
	case c.BasicConstraintsValid && c.MaxPathLen >= 0:
		return fmt.Errorf("has a path length")
	case c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return fmt.Errorf("may not sign documents")
	case c.KeyUsage&x509.KeyUsageCertSign != 0:
		return fmt.Errorf("may sign certificates")
	}
	return nil
}

// checkAny checks what holds for every certificate of a chain. Only what is checked
// here may be critical: the parser also knows extensions, such as name constraints,
// that nobody here would enforce.
func checkAny(c *x509.Certificate) error {
	if key, ok := c.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P384() {
		return fmt.Errorf("has a key that is not of P-384")
	}
	if c.SignatureAlgorithm != x509.ECDSAWithSHA384 {
		return fmt.Errorf("is not signed by ECDSA with SHA-384")
	}
	for _, e := range c.Extensions {
		if e.Critical && !e.Id.Equal(oidBasicConstraints) && !e.Id.Equal(oidKeyUsage) {
			return fmt.Errorf("has a critical extension that is not known, %v", e.Id)
		}
	}
	return nil
}

var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
)

func isCritical(c *x509.Certificate, id asn1.ObjectIdentifier) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Critical
		}
	}
	return false
}

// window is when all certificates are valid.
func window(certs []*x509.Certificate) (notBefore, notAfter time.Time) {
	notBefore, notAfter = certs[0].NotBefore, certs[0].NotAfter
	for _, c := range certs[1:] {
		if c.NotBefore.After(notBefore) {
			notBefore = c.NotBefore
		}
		if c.NotAfter.Before(notAfter) {
			notAfter = c.NotAfter
		}
	}
	return notBefore, notAfter
}
