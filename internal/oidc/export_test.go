package oidc

import "crypto/x509"

// Thumbprint is how IAM names a certificate.
func Thumbprint(c *x509.Certificate) string { return thumbprint(c) }
