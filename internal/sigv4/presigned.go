package sigv4

import (
	"context"
	"strconv"
	"strings"
	"time"

	"trent/internal/fault"
)

// PresignedAge is how old the signature of a presigned request may be. STS accepts one
// for fifteen minutes, whatever its X-Amz-Expires says, and clients build upon that: they
// write 60 there and use it for longer.
const PresignedAge = 15 * time.Minute

const maxExpires = 7 * 24 * 60 * 60 // seconds, that X-Amz-Expires may say

// presigned is the query of a presigned request: these parameters and no other, each
// of them once. Some SDKs leave out X-Amz-Expires; only sessions have a token.
type presigned struct {
	action, version, algorithm, credential, date, expires, token, signedHeaders, signature string
}

// named lists the parameters in the order of the canonical query, which is that of their
// names. The signature comes last, since it has no place there.
func (p *presigned) named() [9]parameter {
	return [...]parameter{
		{"Action", &p.action}, {"Version", &p.version}, {"X-Amz-Algorithm", &p.algorithm}, {"X-Amz-Credential", &p.credential}, {"X-Amz-Date", &p.date},
		{expiry, &p.expires}, {securityToken, &p.token}, {"X-Amz-SignedHeaders", &p.signedHeaders}, {"X-Amz-Signature", &p.signature},
	}
}

type parameter struct {
	name  string
	value *string
}

const (
	securityToken = "X-Amz-Security-Token"
	expiry        = "X-Amz-Expires"
)

// VerifyPresigned checks the signature that r has in its query, at the time now. The
// request is GET / or POST /, without a body. What it asks for, Action and Version, is
// signed with the rest; the caller sees to it that only what may be presigned is.
func (v *Verifier) VerifyPresigned(ctx context.Context, r *Request, now time.Time) (Verified, error) {
	switch {
	case r.Method != "GET" && r.Method != "POST", r.Path != "/", len(r.Body) > 0:
		return Verified{}, fault.New(MissingAuthenticationToken, "Missing Authentication Token")
	case len(r.Header["Authorization"]) > 0, len(r.Header[securityToken]) > 0:
		return Verified{}, incomplete("A request is signed in its query or in its headers, and not in both.")
	}
	p, err := parsePresigned(r.RawQuery)
	if err != nil {
		return Verified{}, err
	}
	auth := authorization{signed: p.signedHeaders, signature: p.signature, stamp: p.date, query: p.canonical()}
	if err := auth.split(p.credential); err != nil {
		return Verified{}, err
	}
	var token []string
	if p.token != "" {
		token = []string{p.token}
	}
	return v.verify(ctx, r, auth, token, PresignedAge, now)
}

// parsePresigned reads the query. A name is compared as it was sent: one that is written
// in another way is another one.
func parsePresigned(query string) (presigned, error) {
	var p presigned
	known := p.named()
	for rest, more := query, true; more; {
		var pair, value string
		pair, rest, more = strings.Cut(rest, "&")
		name, escaped, _ := strings.Cut(pair, "=")
		value, ok := unescape(escaped)
		if !ok || value == "" {
			return p, incomplete("A parameter of the query has no value, or is not percent-encoded.")
		}
		var field *string
		for _, k := range known {
			if k.name == name {
				field = k.value
			}
		}
		if field == nil || *field != "" {
			return p, incomplete("A presigned request has Action, Version and the parameters of its signature in its query, each of them once, and no other.")
		}
		*field = value
	}
	for _, k := range known {
		if *k.value == "" && k.name != securityToken && k.name != expiry {
			return p, incomplete("A presigned request requires the parameter '" + k.name + "'.")
		}
	}
	if p.algorithm != algorithm {
		return p, incomplete("X-Amz-Algorithm must be 'AWS4-HMAC-SHA256'.")
	}
	seconds, err := strconv.Atoi(p.expires)
	if p.expires != "" && (err != nil || seconds < 1 || seconds > maxExpires || strconv.Itoa(seconds) != p.expires) {
		return p, incomplete("X-Amz-Expires must be a number of seconds, of a week at most.")
	}
	return p, nil
}

// canonical is the query as it is signed.
func (p *presigned) canonical() string {
	var b strings.Builder
	for _, k := range p.named() {
		if *k.value == "" || k.name == "X-Amz-Signature" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(k.name)
		b.WriteByte('=')
		escape(&b, *k.value)
	}
	return b.String()
}

// escape writes a value as RFC 3986 (2.3) has it.
func escape(b *strings.Builder, s string) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
}

// unescape reads a percent-encoded value of printable ASCII. A plus is refused, which
// some take for a blank.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", false
			}
			c, i = byte(n), i+2
		} else if c == '+' {
			return "", false
		}
		if c <= ' ' || c > '~' {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

func incomplete(text string) error { return fault.New(IncompleteSignature, text) }
