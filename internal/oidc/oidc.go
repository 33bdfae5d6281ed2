// Package oidc verifies the tokens by which OpenID Connect issuers say who somebody
// is (OpenID Connect Core 1.0, section 2; RFC 7519), for AssumeRoleWithWebIdentity. It is
// told which issuers an account has registered, and asks no other.
//
// The signature is for go-jose. What is decided here: which algorithms and keys may
// have made it, that the token is for us, and now, and how often an issuer is asked
// for its keys (keys.go) over which connection (fetch.go).
package oidc

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"trent/internal/fault"
)

// The codes of this room, which the model of STS lists.
const (
	InvalidIdentityToken fault.Code = "InvalidIdentityToken"
	ExpiredToken         fault.Code = "ExpiredTokenException"
	RejectedClaim        fault.Code = "IDPRejectedClaim"
	CommunicationError   fault.Code = "IDPCommunicationError"
)

// algorithms are what a token may be signed with: public keys alone, so that neither
// "none" nor a public key in the place of a shared secret gets anywhere.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512}
}

// A Provider is an issuer as an account has registered it.
type Provider struct {
	URL         string // without https://
	ClientIDs   []string
	Thumbprints []string // SHA-1 of certificates, in hexadecimal
}

// MaxToken is the longest token that is looked at, in bytes.
const MaxToken = 20000

// skew is how far the clock of an issuer may be ahead of ours.
const skew = time.Minute

// A Verifier verifies tokens. It may be used by many goroutines.
type Verifier struct {
	keys     keySets
	loopback bool
}

// New makes a verifier.
func New(o Options) *Verifier {
	f := &fetcher{o}
	return &Verifier{keys: keySets{sets: make(map[string]*keySet), fetch: f.keys}, loopback: o.Loopback}
}

// Verify checks a token. find is given what the token, which nobody has checked yet,
// says of its issuer, without https://.
func (v *Verifier) Verify(ctx context.Context, token []byte, find func(url string) (Provider, bool), now time.Time) (*Token, error) {
	signed, claims, err := parse(token)
	if err != nil {
		return nil, err
	}
	issuer, ok := claims.text("iss")
	url, known := v.strip(issuer)
	if !ok || !known {
		return nil, invalid("The token's issuer (iss) must be an https URL.")
	}
	p, ok := find(url)
	if !ok {
		return nil, fault.Newf(InvalidIdentityToken, "No OpenIDConnect provider found in your account for %s", issuer)
	}
	if err := v.checkSignature(ctx, signed, issuer, p, now); err != nil {
		return nil, err
	}
	if err := claims.checkTimes(now); err != nil {
		return nil, err
	}
	return claims.token(p)
}

// strip takes the scheme off an issuer.
func (v *Verifier) strip(issuer string) (url string, ok bool) {
	if url, ok = strings.CutPrefix(issuer, "https://"); ok {
		return url, url != ""
	}
	url, ok = strings.CutPrefix(issuer, "http://")
	return url, ok && v.loopback && isLoopback(url)
}

// parse takes a token apart. Nothing in it is verified.
func parse(token []byte) (*jose.JSONWebSignature, claims, error) {
	if len(token) > MaxToken {
		return nil, nil, invalid("The token is too long.")
	}
	signed, err := jose.ParseSignedCompact(string(token), algorithms())
	if err != nil || len(signed.Signatures) != 1 {
		return nil, nil, invalid("The token is no JSON Web Token in compact form, signed with one of RS256, RS384, RS512, ES256, ES384 and ES512.")
	}
	c, err := parseClaims(signed.UnsafePayloadWithoutVerification())
	return signed, c, err
}

// checkSignature finds the key that a token names and verifies with it.
func (v *Verifier) checkSignature(ctx context.Context, signed *jose.JSONWebSignature, issuer string, p Provider, now time.Time) error {
	header := signed.Signatures[0].Protected
	if header.KeyID == "" {
		return invalid("The token does not name its key (kid).")
	}
	found, err := v.keys.find(ctx, source{issuer, p.Thumbprints}, header.KeyID, now)
	if err != nil {
		return err
	}
	for _, k := range found {
		if k.Algorithm != "" && k.Algorithm != header.Algorithm {
			continue
		}
		if _, err := signed.Verify(k.Key); err == nil {
			return nil
		}
	}
	return invalid("The token's signature is not right.")
}

// A Token is what a verified token says.
type Token struct {
	Issuer   string // as its provider is registered: without https://
	Subject  string
	Audience string // the client id that it was accepted for

	// What the session is to have.

	Tags           []Tag
	TransitiveTags []string // keys of those that pass on
	SourceIdentity string

	claims claims
}

// Claim gives the values of a claim that is a text, a number, true, false, or a list of
// texts. Names are told apart by case in tokens, and not in policies: name is in lower
// case, and has the values of all claims that are called so.
func (t *Token) Claim(name string) []string {
	var values []string
	for n := range t.claims {
		if strings.ToLower(n) == name {
			values = append(values, t.claims.values(n)...)
		}
	}
	return values
}

// token is what the claims say, if they are complete and for one of the provider's
// clients.
func (c claims) token(p Provider) (*Token, error) {
	subject, ok := c.text("sub")
	if !ok || subject == "" || len(subject) > maxSubject || strings.ContainsFunc(subject, isControl) {
		return nil, invalid("Missing a required claim: sub")
	}
	for _, audience := range c.values("aud") {
		if slices.Contains(p.ClientIDs, audience) {
			t := &Token{Issuer: p.URL, Subject: subject, Audience: audience, claims: c}
			if err := t.wishes(); err != nil {
				return nil, err
			}
			return t, nil
		}
	}
	return nil, invalid("Incorrect token audience")
}

// maxSubject is the longest subject, in bytes (OpenID Connect Core 1.0, section 2).
const maxSubject = 255

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// invalid never quotes the token.
func invalid(text string) *fault.Error { return fault.New(InvalidIdentityToken, text) }
