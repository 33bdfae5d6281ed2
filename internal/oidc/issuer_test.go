package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"trent/internal/oidc"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// issuer is an OpenID Connect provider on a loopback port, over TLS.
type issuer struct {
	t      testing.TB
	server *httptest.Server
	url    string // as a provider is registered

	mu      sync.Mutex
	keys    map[string]crypto.PrivateKey // by kid
	extra   []any                        // further members of the key set
	asked   int                          // how often the key set was fetched
	down    bool
	handler http.HandlerFunc // in the place of all others, if not nil
}

func newIssuer(t testing.TB) *issuer {
	i := &issuer{t: t, keys: make(map[string]crypto.PrivateKey)}
	i.server = httptest.NewTLSServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.server.Close)
	i.url = strings.TrimPrefix(i.server.URL, "https://") + "/id/AB"
	i.add("one")
	return i
}

// set alters the issuer.
func (i *issuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// add makes a key of P-256.
func (i *issuer) add(kid string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.set(func() { i.keys[kid] = k })
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.down:
		http.Error(w, "down", http.StatusServiceUnavailable)
	case i.handler != nil:
		i.handler(w, r)
	case r.URL.Path == "/id/AB/.well-known/openid-configuration":
		writeJSON(w, map[string]any{"issuer": "https://" + i.url, "jwks_uri": "https://" + i.url + "/jwks", "other": []int{1}})
	case r.URL.Path == "/id/AB/jwks":
		i.asked++
		list := append([]any{}, i.extra...)
		for kid, k := range i.keys {
			list = append(list, jose.JSONWebKey{Key: k.(crypto.Signer).Public(), KeyID: kid, Use: "sig"})
		}
		writeJSON(w, map[string]any{"keys": list})
	default:
		http.NotFound(w, r)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

func (i *issuer) fetches() (n int) {
	i.set(func() { n = i.asked })
	return n
}

// roots trust the issuer's certificate.
func (i *issuer) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(i.server.Certificate())
	return p
}

// verifier is one that trusts the issuer.
func (i *issuer) verifier() *oidc.Verifier {
	return oidc.New(oidc.Options{Roots: i.roots(), Loopback: true})
}

func (i *issuer) provider() oidc.Provider {
	return oidc.Provider{URL: i.url, ClientIDs: []string{"sts.amazonaws.com", "other"}}
}

// find is how an account knows the issuer alone.
func (i *issuer) find(url string) (oidc.Provider, bool) { return i.provider(), url == i.url }

// claims are those of a good token.
func (i *issuer) claims() map[string]any {
	return map[string]any{
		"iss": "https://" + i.url, "sub": "system:serviceaccount:ns:app", "aud": []string{"sts.amazonaws.com"},
		"iat": noon.Add(-time.Minute).Unix(), "nbf": noon.Add(-time.Minute).Unix(), "exp": noon.Add(time.Hour).Unix(),
	}
}

// token signs claims with a key.
func (i *issuer) token(kid string, claims map[string]any) string {
	i.mu.Lock()
	key := i.keys[kid]
	i.mu.Unlock()
	alg := jose.ES256
	if _, isRSA := key.(*rsa.PrivateKey); isRSA {
		alg = jose.RS256
	}
	return sign(i.t, alg, key, kid, claims)
}

func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// compact puts a token together by hand.
func compact(header, payload, signature string) string {
	b := base64.RawURLEncoding
	return b.EncodeToString([]byte(header)) + "." + b.EncodeToString([]byte(payload)) + "." + b.EncodeToString([]byte(signature))
}
