package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"trent/internal/fault"
	"trent/internal/oidc"
)

func refused(t *testing.T, name string, v *oidc.Verifier, token string, find func(string) (oidc.Provider, bool), now time.Time, code fault.Code, text string) {
	t.Helper()
	got, err := v.Verify(context.Background(), []byte(token), find, now)
	if !fault.Is(err, code) || !strings.Contains(fault.From(err).Message, text) || got != nil {
		t.Errorf("%s: %v, %v", name, got, err)
	}
}

func TestVerify(t *testing.T) {
	i := newIssuer(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i.set(func() { i.keys["rsa"] = rsaKey })
	claims := i.claims()
	maps.Copy(claims, map[string]any{"Env": "prod", "n": 7, "yes": true, "groups": []string{"a", "b"}, "nested": map[string]any{"x": 1}, "mixed": []any{"a", 1}})
	v := i.verifier()
	for _, kid := range []string{"one", "rsa"} {
		got, err := v.Verify(context.Background(), []byte(i.token(kid, claims)), i.find, noon)
		if err != nil {
			t.Fatal(err)
		}
		if got.Issuer != i.url || got.Subject != "system:serviceaccount:ns:app" || got.Audience != "sts.amazonaws.com" {
			t.Errorf("%+v", got)
		}
		for name, want := range map[string][]string{
			"sub": {"system:serviceaccount:ns:app"}, "aud": {"sts.amazonaws.com"}, "env": {"prod"}, "n": {"7"}, "yes": {"true"}, "groups": {"a", "b"},
			"nested": nil, "mixed": nil, "absent": nil, "Env": nil,
		} {
			if values := got.Claim(name); !slices.Equal(values, want) {
				t.Errorf("claim %s: %q", name, values)
			}
		}
	}
	if n := i.fetches(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

// TestSEC_A13: a token that anybody could have made, or that is for somebody else or
// another time, is refused with the code that says so.
func TestSEC_A13_Tokens(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	with := func(name string, value any) string {
		c := i.claims()
		c[name] = value
		if value == nil {
			delete(c, name)
		}
		return i.token("one", c)
	}
	good := i.token("one", i.claims())
	if _, err := v.Verify(context.Background(), []byte(good), i.find, noon); err != nil {
		t.Fatal(err)
	}
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(i.keys["one"].(crypto.Signer).Public())
	if err != nil {
		t.Fatal(err)
	}
	hs := func(key []byte) string { // HMAC with the public key for a secret
		body := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"one"}`)) + "." + payload
		m := hmac.New(sha256.New, key)
		m.Write([]byte(body))
		return body + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	twice := func() string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.keys["one"], KeyID: "one"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(i.claims())
		if err != nil {
			t.Fatal(err)
		}
		signed, err := s.Sign([]byte(`{"sub":"admin",` + string(body[1:])))
		if err != nil {
			t.Fatal(err)
		}
		out, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}()
	body, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	in := oidc.InvalidIdentityToken
	for name, c := range map[string]struct {
		token string
		code  fault.Code
		text  string
	}{
		"alg none":            {compact(`{"alg":"none","kid":"one"}`, string(body), ""), in, "no JSON Web Token"},
		"alg None":            {compact(`{"alg":"None","kid":"one"}`, string(body), ""), in, "no JSON Web Token"},
		"no alg":              {compact(`{"kid":"one"}`, string(body), ""), in, "no JSON Web Token"},
		"HMAC, DER":           {hs(public), in, "no JSON Web Token"},
		"HMAC, PEM":           {hs(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), in, "no JSON Web Token"},
		"another algorithm":   {compact(`{"alg":"RS256","kid":"one"}`, string(body), strings.Repeat("x", 64)), in, "signature is not right"},
		"a stranger's key":    {sign(t, jose.ES256, stranger, "one", i.claims()), in, "signature is not right"},
		"a stranger's, named": {sign(t, jose.ES256, stranger, "two", i.claims()), in, "no key of the name"},
		"a key of its own":    {embedded(t, stranger, i.claims()), in, "no JSON Web Token|no key|signature is not right|name its key"},
		"no kid":              {sign(t, jose.ES256, stranger, "", i.claims()), in, "does not name its key"},
		"no signature":        {header + "." + payload + ".", in, ""},
		"a cut signature":     {header + "." + payload + "." + signature[:len(signature)-2], in, ""},
		"another payload":     {header + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(body), "ns:app", "ns:adm", 1))) + "." + signature, in, "signature is not right"},
		"another issuer":      {with("iss", "https://evil.example"), in, "No OpenIDConnect provider found in your account for https://evil.example"},
		"issuer with a slash": {with("iss", "https://"+i.url+"/"), in, "No OpenIDConnect provider"},
		"issuer in capitals":  {with("iss", "https://"+strings.ToUpper(i.url)), in, "No OpenIDConnect provider"},
		"no issuer":           {with("iss", nil), in, "must be an https URL"},
		"a list of issuers":   {with("iss", []string{"https://" + i.url}), in, "must be an https URL"},
		"another audience":    {with("aud", "somebody-else"), in, "Incorrect token audience"},
		"audience in part":    {with("aud", "sts.amazonaws.com.evil"), in, "Incorrect token audience"},
		"no audience":         {with("aud", nil), in, "Incorrect token audience"},
		"an object audience":  {with("aud", map[string]string{"a": "sts.amazonaws.com"}), in, "Incorrect token audience"},
		"no subject":          {with("sub", nil), in, "Missing a required claim: sub"},
		"an empty subject":    {with("sub", ""), in, "Missing a required claim: sub"},
		"a numeric subject":   {with("sub", 7), in, "Missing a required claim: sub"},
		"a long subject":      {with("sub", strings.Repeat("x", 256)), in, "Missing a required claim: sub"},
		"a subject of lines":  {with("sub", "a\nb"), in, "Missing a required claim: sub"},
		"expired":             {with("exp", noon.Unix()), oidc.ExpiredToken, "Token expired"},
		"no expiry":           {with("exp", nil), in, "Missing a required claim: exp"},
		"expiry as text":      {with("exp", "9999999999"), in, "Missing a required claim: exp"},
		"expiry of ages":      {with("exp", 1e300), in, "Missing a required claim: exp"},
		"negative expiry":     {with("exp", -1), in, "Missing a required claim: exp"},
		"no iat":              {with("iat", nil), in, "Missing a required claim: iat"},
		"made in the future":  {with("iat", noon.Add(2*time.Minute).Unix()), oidc.RejectedClaim, "not valid yet"},
		"not valid yet":       {with("nbf", noon.Add(2*time.Minute).Unix()), oidc.RejectedClaim, "not valid yet"},
		"nbf as text":         {with("nbf", "soon"), in, "nbf"},
		"a claim twice":       {twice, in, "no JSON object"},
		"too long":            {with("x", strings.Repeat("x", 20000)), in, "too long"},
		"nothing":             {"", in, "no JSON Web Token"},
		"JSON serialisation":  {`{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`, in, "no JSON Web Token"},
	} {
		got, err := v.Verify(context.Background(), []byte(c.token), i.find, noon)
		said := slices.ContainsFunc(strings.Split(c.text, "|"), func(part string) bool { return strings.Contains(fault.From(err).Message, part) })
		if !fault.Is(err, c.code) || !said || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if err != nil && len(c.token) > 100 && strings.Contains(err.Error(), c.token[len(c.token)-20:]) {
			t.Errorf("%s: the refusal quotes the token", name)
		}
	}
	byHTTP := with("iss", "http://"+i.url)
	refused(t, "issuer by http", oidc.New(oidc.Options{Roots: i.roots()}), byHTTP, i.find, noon, in, "must be an https URL")
	if _, err := v.Verify(context.Background(), []byte(with("nbf", noon.Add(50*time.Second).Unix())), i.find, noon); err != nil {
		t.Errorf("a clock that is ahead by less than a minute: %v", err)
	}
}

// embedded is a token that brings the key to verify it with.
func embedded(t *testing.T, key *ecdsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, &jose.SignerOptions{EmbedJWK: true, ExtraHeaders: map[jose.HeaderKey]any{"kid": "one"}})
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

// TestSEC_A13: of what an issuer publishes, nothing verifies a token that could be known
// to others, or is meant for something else.
func TestSEC_A13_KeySets(t *testing.T) {
	i := newIssuer(t)
	var short *rsa.PrivateKey
	var err error
	fips140.WithoutEnforcement(func() { short, err = rsa.GenerateKey(rand.Reader, 1024) })
	if err != nil {
		t.Fatal(err)
	}
	enc, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.set(func() {
		i.extra = []any{
			map[string]string{"kty": "oct", "kid": "oct", "k": "c2VjcmV0", "alg": "HS256"}, map[string]string{"kty": "new", "kid": "new"}, "nonsense", 7,
			jose.JSONWebKey{Key: &short.PublicKey, KeyID: "short", Use: "sig"}, jose.JSONWebKey{Key: enc.Public(), KeyID: "enc", Use: "enc"},
			jose.JSONWebKey{Key: other.Public(), KeyID: "other-alg", Algorithm: "ES384"},
		}
	})
	v := i.verifier()
	var weak string
	fips140.WithoutEnforcement(func() { weak = sign(t, jose.RS256, short, "short", i.claims()) })
	refused(t, "a short key", v, weak, i.find, noon, oidc.InvalidIdentityToken, "no key of the name")
	refused(t, "a key for encryption", v, sign(t, jose.ES256, enc, "enc", i.claims()), i.find, noon, oidc.InvalidIdentityToken, "no key of the name")
	refused(t, "a key for another algorithm", v, sign(t, jose.ES256, other, "other-alg", i.claims()), i.find, noon, oidc.InvalidIdentityToken, "signature is not right")
	if _, err := v.Verify(context.Background(), []byte(i.token("one", i.claims())), i.find, noon); err != nil {
		t.Errorf("a good key among them: %v", err)
	}
}

func TestWishes(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	const tags, source = "https://aws.amazon.com/tags", "https://aws.amazon.com/source_identity"
	with := func(claim string, value any) (*oidc.Token, error) {
		c := i.claims()
		c[claim] = value
		return v.Verify(context.Background(), []byte(i.token("one", c)), i.find, noon)
	}
	one := func(key, value string) any {
		return map[string]any{"principal_tags": map[string]any{key: []string{value}}}
	}
	got, err := with(tags, map[string]any{"principal_tags": map[string]any{"b": []string{"2"}, "a": []string{""}}, "transitive_tag_keys": []string{"B"}})
	if err != nil || !slices.Equal(got.Tags, []oidc.Tag{{Key: "a"}, {Key: "b", Value: "2"}}) || !slices.Equal(got.TransitiveTags, []string{"B"}) || got.SourceIdentity != "" {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := with(source, "a.b@c-d_e=f"); err != nil || got.SourceIdentity != "a.b@c-d_e=f" || got.Tags != nil {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := with(tags, one(strings.Repeat("ä", 128), strings.Repeat("ö", 256))); err != nil {
		t.Error(err)
	}
	many := map[string]any{}
	for n := range 51 {
		many[strings.Repeat("k", n+1)] = []string{"v"}
	}
	for name, value := range map[string]any{
		"a text": "x", "a list": []string{"x"}, "no list": map[string]any{"principal_tags": map[string]any{"a": "1"}}, "two values": map[string]any{"principal_tags": map[string]any{"a": []string{"1", "2"}}},
		"no value": map[string]any{"principal_tags": map[string]any{"a": []string{}}}, "an empty key": one("", "1"), "a long key": one(strings.Repeat("k", 129), "1"),
		"a long value": one("k", strings.Repeat("v", 257)), "a reserved key": one("AWS:x", "1"), "a line break": one("k", "a\nb"), "a quote": one("k", `"`),
		"in two cases": map[string]any{"principal_tags": map[string]any{"a": []string{"1"}, "A": []string{"2"}}}, "51": map[string]any{"principal_tags": many},
		"transitive alone": map[string]any{"transitive_tag_keys": []string{"a"}},
	} {
		if got, err := with(tags, value); !fault.Is(err, oidc.RejectedClaim) || got != nil {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	for _, value := range []any{"", "a", strings.Repeat("a", 65), "a b", "ä-ä", 7, nil, []string{"ab"}} {
		if got, err := with(source, value); !fault.Is(err, oidc.RejectedClaim) || got != nil {
			t.Errorf("%v: %+v %v", value, got, err)
		}
	}
}
