package server

import (
	"crypto/x509"
	"fmt"
	"os"

	"trent/internal/config"
	"trent/internal/oidc"
)

// webIdentities is what verifies the tokens of OpenID Connect issuers.
func webIdentities(c config.Serve) (*oidc.Verifier, error) {
	o := oidc.Options{Loopback: c.OIDCAllowHTTPLoopback}
	if c.OIDCCA == "" {
		return oidc.New(o), nil
	}
	pem, err := os.ReadFile(c.OIDCCA)
	if err != nil {
		return nil, fmt.Errorf("oidc-ca: %w", err)
	}
	if o.Roots, err = x509.SystemCertPool(); err != nil {
		return nil, fmt.Errorf("oidc-ca: the certificates of the system: %w", err)
	}
	if !o.Roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("oidc-ca: there is no certificate in %s", c.OIDCCA)
	}
	return oidc.New(o), nil
}
