package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/textproto"
	"strings"

	"trent/internal/fault"
)

const algorithm = "AWS4-HMAC-SHA256"

// maxSigned bounds the number of signed headers; no client signs more than a
// dozen.
const maxSigned = 64

// authorization is the header taken apart. Nothing in it is verified.
type authorization struct {
	accessKey, date, region, service, terminator string

	scope     string // date/region/service/terminator
	signed    string // SignedHeaders, as sent
	signature string
	raw       string // the header, as sent

	stamp string // when it was made, as sent
	query string // canonical; of a presigned request
}

// parseAuthorization reads the one Authorization header.
func parseAuthorization(r *Request) (authorization, error) {
	sent := r.Header["Authorization"]
	if len(sent) == 0 || sent[0] == "" {
		return authorization{}, fault.New(MissingAuthenticationToken, "Missing Authentication Token")
	}
	if len(sent) > 1 {
		return authorization{}, fault.New(IncompleteSignature, "There must be one Authorization header.")
	}
	a := authorization{raw: sent[0]}
	params, ok := strings.CutPrefix(sent[0], algorithm+" ")
	if !ok {
		return a, fault.New(IncompleteSignature, "Authorization header requires the algorithm 'AWS4-HMAC-SHA256'. Authorization="+a.shown())
	}
	var credential string
	for params != "" {
		var one string
		one, params, _ = strings.Cut(params, ",")
		name, value, _ := strings.Cut(strings.Trim(one, " "), "=")
		var field *string
		switch name {
		case "Credential":
			field = &credential
		case "SignedHeaders":
			field = &a.signed
		case "Signature":
			field = &a.signature
		}
		if field == nil || *field != "" || value == "" {
			return a, fault.New(IncompleteSignature, "Authorization header has an unknown, an empty or a repeated parameter. Authorization="+a.shown())
		}
		*field = value
	}
	if missing := missingParams(credential, a); missing != "" {
		return a, fault.New(IncompleteSignature, missing+"Authorization="+a.shown())
	}
	err := a.split(credential)
	return a, err
}

func missingParams(credential string, a authorization) string {
	var text string
	for _, p := range []struct{ name, value string }{{"Credential", credential}, {"Signature", a.signature}, {"SignedHeaders", a.signed}} {
		if p.value == "" {
			text += "Authorization header requires '" + p.name + "' parameter. "
		}
	}
	return text
}

// split takes the credential apart: an access key id and a scope of four parts.
func (a *authorization) split(credential string) error {
	rest, ok := credential, false
	for _, field := range []*string{&a.accessKey, &a.date, &a.region, &a.service} {
		if *field, rest, ok = strings.Cut(rest, "/"); !ok {
			return fault.New(IncompleteSignature, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
		}
	}
	a.terminator = rest
	if !validAccessKey(a.accessKey) {
		return fault.New(UnrecognizedClient, "The security token included in the request is invalid.")
	}
	a.scope = credential[len(a.accessKey)+1:]
	return nil
}

// validAccessKey is the shape of every access key id (AccessKeyIdType of IAM).
// It is checked before the id is looked up anywhere.
func validAccessKey(id string) bool {
	if len(id) < 16 || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}

// checkSignedHeaders insists on a sorted list of lower-case names, each once,
// with host in it, and with every x-amz-* header that the request carries; and
// on those headers being there once.
func checkSignedHeaders(r *Request, a authorization) error {
	host, last, count := false, "", 0
	for rest, more := a.signed, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, ";")
		if name <= last || !lowerName(name) {
			return fault.New(InvalidSignature, "SignedHeaders must be lower-case names in order, each of them once.")
		}
		if count++; count > maxSigned {
			return fault.New(InvalidSignature, "SignedHeaders lists too many headers.")
		}
		host = host || name == "host"
		last = name
	}
	if !host {
		return fault.New(InvalidSignature, "'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name, values := range r.Header {
		if !strings.HasPrefix(name, "X-Amz-") {
			continue
		}
		if len(values) != 1 {
			return fault.New(InvalidSignature, "An x-amz-* header may be there only once.")
		}
		if !isSigned(a.signed, name) {
			return fault.New(InvalidSignature, "There were x-amz-* headers present in the request which were not signed.")
		}
	}
	return nil
}

// lowerName reports whether s is a header name in lower case. Other letters
// than those of ASCII have no place in one, and would confuse EqualFold.
func lowerName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == ':' || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// isSigned looks for a canonical header name in the list of lower-case ones.
func isSigned(list, name string) bool {
	for list != "" {
		var one string
		one, list, _ = strings.Cut(list, ";")
		if strings.EqualFold(one, name) {
			return true
		}
	}
	return false
}

// appendCanonical appends the canonical request. It reports false where a
// header is listed as signed and is not there, or has a line break in it, with
// which one header could pass for two.
func appendCanonical(b []byte, r *Request, a authorization, payload *[sha256.Size]byte) ([]byte, bool) {
	b = append(append(b, r.Method...), '\n')
	b = append(append(b, r.Path...), '\n')
	b = append(append(b, a.query...), '\n')
	top := len(b)
	lines := 0
	for rest := a.signed; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ";")
		b = append(b, name...)
		b = append(b, ':')
		switch name {
		case "host":
			b = appendTrimmed(b, r.Host)
		case "content-length":
			b = append(b, r.ContentLength...)
		default:
			values := r.Header[canonicalName(name)]
			if len(values) == 0 {
				return b, false
			}
			for i, v := range values {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendTrimmed(b, v)
			}
		}
		b = append(b, '\n')
		lines++
	}
	whole := bytes.Count(b[top:], []byte{'\n'}) == lines
	b = append(b, '\n')
	b = append(b, a.signed...)
	b = append(b, '\n')
	return hex.AppendEncode(b, payload[:]), whole
}

// appendTrimmed drops outer blanks and makes inner runs of them one.
func appendTrimmed(b []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	if !strings.Contains(v, "  ") {
		return append(b, v...)
	}
	for i := range len(v) {
		if v[i] != ' ' || v[i-1] != ' ' {
			b = append(b, v[i])
		}
	}
	return b
}

// canonicalName is the name under which net/http keeps a header. The names
// that SDKs sign are spelled out, since computing one allocates.
func canonicalName(lower string) string {
	switch lower {
	case "content-type":
		return "Content-Type"
	case "x-amz-date":
		return "X-Amz-Date"
	case "x-amz-target":
		return "X-Amz-Target"
	case "amz-sdk-invocation-id":
		return "Amz-Sdk-Invocation-Id"
	case "amz-sdk-request":
		return "Amz-Sdk-Request"
	case "x-amz-user-agent":
		return "X-Amz-User-Agent"
	case "x-amz-security-token":
		return "X-Amz-Security-Token"
	case "x-amz-content-sha256":
		return "X-Amz-Content-Sha256"
	}
	return textproto.CanonicalMIMEHeaderKey(lower)
}

// shown is what messages quote of the header: it is the caller's own, but it is
// cut and kept printable.
func (a authorization) shown() string {
	s := a.raw[:min(len(a.raw), 512)]
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
}
