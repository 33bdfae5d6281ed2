package sigv4

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"trent/internal/secret"
)

// The requests and signatures of the published test suite of Signature Version
// 4 (aws-signing-test-suite v4, as in awslabs/aws-c-auth), as far as they are
// POST / or differ from it in the method alone. They are for a service named
// "service", which Verify refuses, so they are put to what is inside it.
// Credentials: AKIDEXAMPLE, 20150830T123600Z, us-east-1.
var suite = []struct{ name, method, headers, body, signed, signature string }{
	{"post-vanilla", "POST", "Host:example.amazonaws.com\nX-Amz-Date:20150830T123600Z\n", "",
		"host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	{"post-header-key-case", "POST", "HOST:example.amazonaws.com\nx-amz-DATE:20150830T123600Z\n", "",
		"host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	{"post-header-key-sort", "POST", "Host:example.amazonaws.com\nMy-Header1:value1\nX-Amz-Date:20150830T123600Z\n", "",
		"host;my-header1;x-amz-date", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
	{"post-header-value-case", "POST", "Host:example.amazonaws.com\nMy-Header1:VALUE1\nX-Amz-Date:20150830T123600Z\n", "",
		"host;my-header1;x-amz-date", "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
	{"post-x-www-form-urlencoded", "POST", "Content-Type:application/x-www-form-urlencoded\nHost:example.amazonaws.com\nContent-Length:13\n" +
		"x-amz-content-sha256:9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e\nX-Amz-Date:20150830T123600Z\n", "Param1=value1",
		"content-length;content-type;host;x-amz-content-sha256;x-amz-date", "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
	{"post-x-www-form-urlencoded-parameters", "POST", "Content-Type:application/x-www-form-urlencoded; charset=utf-8\nHost:example.amazonaws.com\nContent-Length:13\n" +
		"x-amz-content-sha256:9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e\nX-Amz-Date:20150830T123600Z\n", "Param1=value1",
		"content-length;content-type;host;x-amz-content-sha256;x-amz-date", "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"},
	{"post-sts-header-before", "POST", "Host:example.amazonaws.com\nX-Amz-Date:20150830T123600Z\nX-Amz-Security-Token:" +
		"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==\n", "",
		"host;x-amz-date;x-amz-security-token", "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
	{"get-header-value-trim", "GET", "Host:example.amazonaws.com\nMy-Header1: value1\nMy-Header2: \"a   b   c\"\nX-Amz-Date:20150830T123600Z\n", "",
		"host;my-header1;my-header2;x-amz-date", "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"get-header-key-duplicate", "GET", "Host:example.amazonaws.com\nMy-Header1:value2\nMy-Header1:value2\nMy-Header1:value1\nX-Amz-Date:20150830T123600Z\n", "",
		"host;my-header1;x-amz-date", "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
	{"get-header-value-order", "GET", "Host:example.amazonaws.com\nMy-Header1:value4\nMy-Header1:value1\nMy-Header1:value3\nMy-Header1:value2\nX-Amz-Date:20150830T123600Z\n", "",
		"host;my-header1;x-amz-date", "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
	{"get-vanilla-with-session-token", "GET", "Host:example.amazonaws.com\nX-Amz-Date:20150830T123600Z\nX-Amz-Security-Token:6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267\n", "",
		"host;x-amz-date;x-amz-security-token", "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
}

func TestSEC_A04_PublishedSuite(t *testing.T) {
	cred := Credential{Secret: secret.New([]byte("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))}
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			raw := c.method + " / HTTP/1.1\n" + c.headers + "Authorization:AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=" +
				c.signed + ", Signature=" + c.signature + "\n\n" + c.body
			h, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(h.Body)
			if err != nil {
				t.Fatal(err)
			}
			r := &Request{Path: "/", Host: h.Host, ContentLength: strconv.Itoa(len(body)), Header: h.Header, Body: body}
			a, err := parseAuthorization(r)
			if a.signed != c.signed || a.signature != c.signature {
				t.Fatalf("parsed as %+v", a)
			}
			// The access key id of the suite is shorter than any real one.
			if err == nil {
				t.Fatal("an access key id of eleven bytes was taken")
			}
			a.scope = "20150830/us-east-1/service/aws4_request"
			payload := sha256.Sum256(body)
			got, ok := appendCanonical(nil, r, a, &payload)
			if !ok {
				t.Fatal("a signed header was not found")
			}
			text := c.method + strings.TrimPrefix(string(got), "POST")
			toSign := fmt.Sprintf("AWS4-HMAC-SHA256\n20150830T123600Z\n%s\n%x", a.scope, sha256.Sum256([]byte(text)))
			m := hmac.New(sha256.New, derive(cred, a))
			m.Write([]byte(toSign))
			if s := hex.EncodeToString(m.Sum(nil)); s != c.signature {
				t.Errorf("signature %s, want %s, of\n%s", s, c.signature, text)
			}
		})
	}
}

// The cache of signing keys stays within its bound, whatever scopes and ids a
// stranger invents.
func TestSigningKeysAreBounded(t *testing.T) {
	s := newSigningKeys()
	cred := Credential{Secret: secret.New([]byte("a secret access key")), Revision: 1}
	for i := range 3 * maxSigningKeys {
		s.mac(fmt.Sprintf("AKIA%016d", i), authorization{scope: "20261124/us-east-1/kms/aws4_request", date: "20261124"}, cred).release()
		if n := len(s.keys); n > maxSigningKeys {
			t.Fatalf("%d keys after %d requests", n, i+1)
		}
	}
	v := NewVerifier(noKeys{}, Regions{Any: true})
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for i := range maxSigningKeys + 100 {
		r := &Request{Method: "POST", Path: "/", Host: "h", Header: map[string][]string{
			"X-Amz-Date":    {"20261124T120000Z"},
			"Authorization": {fmt.Sprintf("AWS4-HMAC-SHA256 Credential=AKIA%016d/20261124/r%d/kms/aws4_request, SignedHeaders=host;x-amz-date, Signature=0", i, i)},
		}}
		if _, err := v.Verify(context.Background(), r, now); err == nil {
			t.Fatal("verified")
		}
	}
	if n := len(v.signing.keys); n > maxSigningKeys {
		t.Errorf("%d keys", n)
	}
}

type noKeys struct{}

func (noKeys) Credential(context.Context, string, string) (Credential, error) {
	return Credential{}, ErrUnknownKey
}
