package oidc

import (
	"math"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/fault"
)

// claims is the content of a token: JSON, by name, each value as it was sent. A name that
// is there twice is refused.
type claims map[string]jsontext.Value

func parseClaims(payload []byte) (claims, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, invalid("The token's content is no JSON object.")
	}
	return c, nil
}

// text is the value of a claim that is a text.
func (c claims) text(name string) (string, bool) {
	v, ok := c[name]
	if !ok || v.Kind() != '"' {
		return "", false
	}
	var s string
	err := json.Unmarshal(v, &s)
	return s, err == nil
}

// values are those of a claim that is a text, a number, true, false, or a list of texts.
func (c claims) values(name string) []string {
	v := c[name]
	switch v.Kind() {
	case '"':
		s, _ := c.text(name)
		return []string{s}
	case '[':
		var list []string
		if json.Unmarshal(v, &list) != nil {
			return nil
		}
		return list
	case 't', 'f', '0':
		return []string{string(v)}
	}
	return nil
}

// moment reads seconds since 1970, which may have a fraction (RFC 7519, NumericDate).
func (c claims) moment(name string) (time.Time, bool) {
	v, ok := c[name]
	if !ok || v.Kind() != '0' {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(string(v), 64)
	if err != nil || seconds < 0 || seconds > math.MaxInt32*16 {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// checkTimes: a token says until when it is good and since when it is there.
func (c claims) checkTimes(now time.Time) error {
	expires, ok := c.moment("exp")
	if !ok {
		return invalid("Missing a required claim: exp")
	}
	if !now.Before(expires) {
		return fault.Newf(ExpiredToken, "Token expired: current date/time %d must be before the expiration date/time %d", now.Unix(), expires.Unix())
	}
	issued, ok := c.moment("iat")
	if !ok {
		return invalid("Missing a required claim: iat")
	}
	notBefore, ok := c.moment("nbf")
	if _, there := c["nbf"]; there && !ok {
		return invalid("The token's time nbf is none.")
	}
	if issued.After(now.Add(skew)) || notBefore.After(now.Add(skew)) {
		return fault.New(RejectedClaim, "The token is not valid yet (iat, nbf).")
	}
	return nil
}
