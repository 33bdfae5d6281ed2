package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/fips140"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Options of a Verifier.
type Options struct {
	// Roots are trusted to certify issuers; nil: those of the system.
	Roots *x509.CertPool
	// Loopback lets issuers be on loopback addresses, and there also without TLS.
	Loopback bool
}

// What an issuer may cost.
const (
	fetchTime    = 5 * time.Second // for both documents
	maxDocument  = 256 << 10       // of each, in bytes
	maxKeys      = 100
	minRSA       = 2048 // in bits
	maxRSA       = 8192
	maxHeaderLen = 16 << 10
)

// fetcher asks issuers for their keys (OpenID Connect Discovery 1.0, section 4).
type fetcher struct{ o Options }

// keys gives the public keys of an issuer that can verify a token.
func (f *fetcher) keys(ctx context.Context, s source, now time.Time) ([]jose.JSONWebKey, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	var config struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	at := strings.TrimSuffix(s.issuer, "/") + "/.well-known/openid-configuration"
	if err := f.get(ctx, at, s.thumbprints, now, &config); err != nil {
		return nil, err
	}
	if config.Issuer != s.issuer {
		return nil, fmt.Errorf("oidc: %s is the configuration of another issuer", at)
	}
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := f.get(ctx, config.JWKSURI, s.thumbprints, now, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("oidc: %s has more than %d keys", config.JWKSURI, maxKeys)
	}
	var list []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) == nil && usable(&k) {
			list = append(list, k)
		}
	}
	return list, nil
}

// usable passes over what verifies no token, or none that is worth it: shared secrets,
// keys for encryption, short keys, keys without a name.
func usable(k *jose.JSONWebKey) bool {
	if k.KeyID == "" || k.Use != "" && k.Use != "sig" {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= minRSA && key.N.BitLen() <= maxRSA
	case *ecdsa.PublicKey:
		return true
	}
	return false
}

// get fetches a JSON document. Redirects are not followed.
func (f *fetcher) get(ctx context.Context, at string, thumbprints []string, now time.Time, to any) error {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.User != nil {
		return errors.New("oidc: the identity provider names an address that is none")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !f.o.Loopback || !isLoopback(u.Host)) {
		return fmt.Errorf("oidc: %s is not https", at)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return fmt.Errorf("oidc: %w", err)
	}
	r.Header.Set("Accept", "application/json")
	answer, err := f.transport(u.Hostname(), thumbprints, now).RoundTrip(r)
	if err != nil {
		return fmt.Errorf("oidc: fetch %s: %w", at, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("oidc: %s answered %d", at, answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxDocument+1))
	if err != nil {
		return fmt.Errorf("oidc: fetch %s: %w", at, err)
	}
	if len(body) > maxDocument {
		return fmt.Errorf("oidc: %s has more than %d bytes", at, maxDocument)
	}
	if err := json.Unmarshal(body, to); err != nil {
		return fmt.Errorf("oidc: %s is not the JSON that was expected", at)
	}
	return nil
}

// transport is for one request: what a connection is trusted by depends on the account.
func (f *fetcher) transport(host string, thumbprints []string, now time.Time) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Control: f.checkAddress}).DialContext,
		TLSClientConfig:        f.tlsConfig(host, thumbprints, now),
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: maxHeaderLen,
	}
}

// checkAddress keeps issuers from leading us to where only this machine, or its
// cloud, should be asked. It sees the address that is dialled, whatever name led there.
func (f *fetcher) checkAddress(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("oidc: %w", err)
	}
	a := ap.Addr().Unmap()
	switch {
	case a.IsLoopback() && f.o.Loopback:
		return nil
	case a.IsLoopback(), a.IsLinkLocalUnicast(), a.IsMulticast(), a.IsUnspecified(), a == cloudMetadata:
		return fmt.Errorf("oidc: no identity provider is asked at %s", a)
	}
	return nil
}

// cloudMetadata is where instances of EC2 are told their secrets by IPv6. By IPv4 it is a
// link-local address.
var cloudMetadata = netip.MustParseAddr("fd00:ec2::254")

func isLoopback(hostAndPath string) bool {
	host, _, _ := strings.Cut(hostAndPath, "/")
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && a.IsLoopback()
}

// tlsConfig verifies a connection as ever, and where that fails, with the certificate
// of one of the thumbprints in the place of a trusted root.
func (f *fetcher) tlsConfig(host string, thumbprints []string, now time.Time) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: f.o.Roots, Time: func() time.Time { return now }}
	if len(thumbprints) == 0 {
		return c
	}
	c.InsecureSkipVerify = true // VerifyConnection does it
	c.VerifyConnection = func(s tls.ConnectionState) error {
		return verifyChain(s.PeerCertificates, host, f.o.Roots, thumbprints, now)
	}
	return c
}

func verifyChain(chain []*x509.Certificate, host string, roots *x509.CertPool, thumbprints []string, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("oidc: the identity provider has no certificate")
	}
	o := x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, cert := range chain[1:] {
		o.Intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(o)
	if err == nil {
		return nil
	}
	o.Roots = x509.NewCertPool()
	for _, cert := range chain {
		if slices.ContainsFunc(thumbprints, func(t string) bool { return strings.EqualFold(t, thumbprint(cert)) }) {
			o.Roots.AddCert(cert)
		}
	}
	if _, err2 := chain[0].Verify(o); err2 == nil {
		return nil
	}
	return err
}

// thumbprint is how IAM names a certificate: by SHA-1. That is weak against who makes two
// certificates of one thumbprint, not against who has to find another one to a given
// one. It is no cryptography of ours to choose, so it is outside FIPS mode.
func thumbprint(cert *x509.Certificate) string {
	var sum [sha1.Size]byte
	fips140.WithoutEnforcement(func() { sum = sha1.Sum(cert.Raw) })
	return hex.EncodeToString(sum[:])
}
