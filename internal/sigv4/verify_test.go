package sigv4_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"trent/internal/fault"
	"trent/internal/sigv4"
)

const (
	mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	badToken = "The security token included in the request is invalid."
	good     = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261124/us-east-1/kms/aws4_request, SignedHeaders=host;x-amz-date, Signature=" +
		"0123456789012345678901234567890123456789012345678901234567890123"
)

func TestVerifiedSaysWhoAndWhen(t *testing.T) {
	r := plain()
	s := newSigner()
	s.region = "eu-central-1"
	s.sign(r)
	got := mustVerify(t, newVerifier(), r)
	want := sigv4.Verified{Principal: admin, Region: "eu-central-1", Signed: noon, Signature: got.Signature}
	if got != want || !strings.HasSuffix(r.Header["Authorization"][0], "Signature="+got.Signature) || len(got.Signature) != 64 {
		t.Errorf("Verify = %+v", got)
	}
}

// Nothing but POST / without a query has a signature that counts; a credential
// in the query never does.
func TestSEC_A01_OnlyPostToTheRoot(t *testing.T) {
	for name, change := range map[string]func(r *sigv4.Request){
		"GET":              func(r *sigv4.Request) { r.Method = "GET" },
		"lower-case post":  func(r *sigv4.Request) { r.Method = "post" },
		"no method":        func(r *sigv4.Request) { r.Method = "" },
		"another path":     func(r *sigv4.Request) { r.Path = "/x" },
		"two slashes":      func(r *sigv4.Request) { r.Path = "//" },
		"an escaped slash": func(r *sigv4.Request) { r.Path = "/%2f" },
		"no path":          func(r *sigv4.Request) { r.Path = "" },
		"a query":          func(r *sigv4.Request) { r.RawQuery = "a=b" },
		"a signed query": func(r *sigv4.Request) {
			r.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + knownID + "%2F20261124%2Fus-east-1%2Fkms%2Faws4_request&X-Amz-Date=20261124T120000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := plain()
			change(r)
			newSigner().sign(r) // by all the rules
			mustRefuse(t, newVerifier(), r, noon, sigv4.MissingAuthenticationToken, "Missing Authentication Token")
		})
	}
}

func TestSEC_A01_MalformedAuthorization(t *testing.T) {
	id := func(s string) string { return strings.Replace(good, knownID, s, 1) }
	for _, c := range []struct {
		name, header string
		code         fault.Code
		parts        []string
	}{
		{"empty", "", sigv4.MissingAuthenticationToken, []string{"Missing Authentication Token"}},
		{"blank", " ", sigv4.IncompleteSignature, []string{"AWS4-HMAC-SHA256", "Authorization= "}},
		{"Bearer", "Bearer eyJhbGciOi", sigv4.IncompleteSignature, []string{"AWS4-HMAC-SHA256", "Authorization=Bearer eyJhbGciOi"}},
		{"Basic", "Basic dXNlcjpwYXNz", sigv4.IncompleteSignature, []string{"AWS4-HMAC-SHA256"}},
		{"version 2", "AWS " + knownID + ":frJIUN8DYpKDtOLCwo//yllqDzg=", sigv4.IncompleteSignature, []string{"AWS4-HMAC-SHA256"}},
		{"SigV4a", strings.Replace(good, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", 1), sigv4.IncompleteSignature, []string{"AWS4-HMAC-SHA256"}},
		{"SHA-1", strings.Replace(good, "SHA256", "SHA1", 1), sigv4.IncompleteSignature, []string{"AWS4-HMAC-SHA256"}},
		{"lower case", strings.ToLower(good), sigv4.IncompleteSignature, []string{"AWS4-HMAC-SHA256"}},
		{"the algorithm alone", "AWS4-HMAC-SHA256", sigv4.IncompleteSignature, []string{"AWS4-HMAC-SHA256"}},
		{"nothing behind it", "AWS4-HMAC-SHA256 ", sigv4.IncompleteSignature, []string{
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 "}},
		{"no credential", "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00", sigv4.IncompleteSignature, []string{"requires 'Credential' parameter. Authorization=AWS4"}},
		{"no signature", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host", sigv4.IncompleteSignature, []string{"requires 'Signature' parameter. Authorization=AWS4"}},
		{"no signed headers", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, Signature=00", sigv4.IncompleteSignature, []string{"requires 'SignedHeaders' parameter. Authorization=AWS4"}},
		{"two signatures", good + ", Signature=00", sigv4.IncompleteSignature, []string{"repeated"}},
		{"an empty signature first", strings.Replace(good, "SignedHeaders", "Signature=, SignedHeaders", 1), sigv4.IncompleteSignature, []string{"empty"}},
		{"two credentials", good + ", Credential=x", sigv4.IncompleteSignature, []string{"repeated"}},
		{"an unknown parameter", good + ", Region=us-east-1", sigv4.IncompleteSignature, []string{"unknown"}},
		{"parameters in lower case", strings.Replace(good, "Signature=", "signature=", 1), sigv4.IncompleteSignature, []string{"unknown"}},
		{"an empty parameter", strings.Replace(good, ", ", ", , ", 1), sigv4.IncompleteSignature, []string{"unknown"}},
		{"no slash in the credential", strings.Replace(good, "/20261124/us-east-1/kms/aws4_request", "", 1), sigv4.IncompleteSignature, []string{"exactly 5 slash-delimited elements"}},
		{"four elements", strings.Replace(good, "/kms/", "/", 1), sigv4.IncompleteSignature, []string{"exactly 5 slash-delimited elements"}},
		{"six elements", strings.Replace(good, "/kms/", "/kms/kms/", 1), sigv4.InvalidSignature, []string{"valid terminator"}},
		{"an id that is too short", id("AKIA"), sigv4.UnrecognizedClient, []string{badToken}},
		{"an id that is too long", id(strings.Repeat("A", 129)), sigv4.UnrecognizedClient, []string{badToken}},
		{"an id with a star in it", id("AKIAIOSFODNN7EXAMPL*"), sigv4.UnrecognizedClient, []string{badToken}},
		{"an id with a path in it", id("..%2f..%2fAKIAIOSFODNN7"), sigv4.UnrecognizedClient, []string{badToken}},
		{"no id", id(""), sigv4.UnrecognizedClient, []string{badToken}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := plain()
			r.Header["Authorization"] = []string{c.header}
			mustRefuse(t, newVerifier(), r, noon, c.code, c.parts...)
		})
	}
	r := plain()
	mustRefuse(t, newVerifier(), r, noon, sigv4.MissingAuthenticationToken, "Missing Authentication Token")
}

// What a message quotes of a caller's header must not become a line of its own
// in somebody's log or terminal.
func TestSEC_A01_QuotedHeaderIsHarmless(t *testing.T) {
	r := plain()
	r.Header["Authorization"] = []string{"\x1b[2J\r\nüser " + strings.Repeat("A", 4096)}
	_, err := newVerifier().Verify(context.Background(), r, noon)
	text := fault.From(err).Message
	if len(text) > 1024 {
		t.Errorf("%d bytes of text", len(text))
	}
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			t.Fatalf("byte %#x in %q", c, text)
		}
	}
}

// A malformed access key id is never looked up; what is looked up has the shape.
func TestSEC_A10_ShapeBeforeLookup(t *testing.T) {
	asked := asking{}
	v := sigv4.NewVerifier(asked, sigv4.Regions{Any: true})
	for _, id := range []string{"AKIA", "", "AKIAIOSFODNN7EXAMPL*", "AKIAIOSFODNN7EXAM)(", "AKIA IOSFODNN7EXAMP", "AKIAIOSFODNN7EXÄMPLE", strings.Repeat("A", 129)} {
		s, r := newSigner(), plain()
		s.id = id
		s.sign(r)
		mustRefuse(t, v, r, noon, sigv4.UnrecognizedClient, badToken)
	}
	for _, id := range []string{strings.Repeat("A", 16), strings.Repeat("z", 128), "abc_DEF_0123456789"} {
		s, r := newSigner(), plain()
		s.id = id
		s.sign(r)
		mustRefuse(t, v, r, noon, sigv4.UnrecognizedClient, badToken)
		if asked[id] != 1 {
			t.Errorf("%s was looked up %d times", id, asked[id])
		}
	}
	if len(asked) != 3 {
		t.Errorf("looked up: %v", asked)
	}
}

type asking map[string]int

func (a asking) Credential(_ context.Context, id, _ string) (sigv4.Credential, error) {
	a[id]++
	return sigv4.Credential{}, sigv4.ErrUnknownKey
}

// An unknown id, a malformed one and a session token that nobody issued are one
// answer. Whether the signature would have been right makes no difference.
func TestSEC_A10_UnknownKey(t *testing.T) {
	for name, s := range map[string]signer{
		"any secret":       {unknownID, "whatever", "20261124", "us-east-1", "kms", "aws4_request"},
		"an empty secret":  {unknownID, "", "20261124", "us-east-1", "kms", "aws4_request"},
		"forty zero bytes": {unknownID, strings.Repeat("\x00", 40), "20261124", "us-east-1", "kms", "aws4_request"},
	} {
		t.Run(name, func(t *testing.T) {
			r := plain()
			s.sign(r)
			mustRefuse(t, newVerifier(), r, noon, sigv4.UnrecognizedClient, badToken)
		})
	}
	r := plain()
	r.Header["X-Amz-Security-Token"] = []string{"IQoJb3JpZ2luX2VjEXAMPLE"}
	newSigner().sign(r)
	mustRefuse(t, newVerifier(), r, noon, sigv4.UnrecognizedClient, badToken)
	r.Header["X-Amz-Security-Token"] = []string{""}
	newSigner().sign(r)
	mustRefuse(t, newVerifier(), r, noon, sigv4.UnrecognizedClient, badToken)
}

// A directory that fails is our fault, not the caller's, and never a pass.
func TestDirectoryFailure(t *testing.T) {
	down := errors.New("the disk is gone")
	v := sigv4.NewVerifier(failing{down}, sigv4.Regions{Any: true})
	got, err := v.Verify(context.Background(), signed(), noon)
	if !errors.Is(err, down) || fault.From(err).Code != fault.Internal || got != (sigv4.Verified{}) {
		t.Errorf("Verify = %+v, %v", got, err)
	}
}

type failing struct{ err error }

func (f failing) Credential(context.Context, string, string) (sigv4.Credential, error) {
	return credential(knownSecret, 1), f.err
}

// Leaving a header out of the signature is refused where it matters: host, and
// each x-amz-* header. What is left out otherwise carries no meaning for us.
func TestSEC_A03_DropFromSignedHeaders(t *testing.T) {
	all := plain()
	all.Header["X-Amz-Content-Sha256"] = []string{hexSHA256(all.Body)}
	all.Header["X-Amz-User-Agent"] = []string{"aws-sdk-js/3.0"}
	all.Header["X-Amz-Something-New"] = []string{"1"}
	names := []string{"host"}
	for name := range all.Header {
		names = append(names, strings.ToLower(name))
	}
	newSigner().sign(all)
	mustVerify(t, newVerifier(), all)
	for i, dropped := range names {
		t.Run(dropped, func(t *testing.T) {
			var rest []string
			rest = append(append(rest, names[:i]...), names[i+1:]...)
			newSigner().sign(all, rest...)
			switch {
			case dropped == "host":
				mustRefuse(t, newVerifier(), all, noon, sigv4.InvalidSignature, "'Host' must be a 'SignedHeader'")
			case strings.HasPrefix(dropped, "x-amz-"):
				mustRefuse(t, newVerifier(), all, noon, sigv4.InvalidSignature, "x-amz-* headers present in the request which were not signed")
			default:
				mustVerify(t, newVerifier(), all)
			}
		})
	}
}

func TestSEC_A03_AddAfterSigning(t *testing.T) {
	for _, name := range []string{
		"x-amz-target", "X-AMZ-TARGET", "x-amz-security-token", "x-amz-content-sha256", "x-amz-user-agent",
		"x-amz-account-id", "x-amz-source-arn", "x-amz-z", "x-amz-",
	} {
		t.Run(name, func(t *testing.T) {
			r := plain()
			delete(r.Header, "X-Amz-Target")
			newSigner().sign(r)
			mustVerify(t, newVerifier(), r)
			r.Header[http.CanonicalHeaderKey(name)] = []string{"TrentService.Decrypt"}
			mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, "which were not signed")
		})
	}
	t.Run("under a letter that folds to another", func(t *testing.T) {
		r := plain()
		r.Header["X-Amz-Content-Sha256"] = []string{hexSHA256(r.Body)}
		newSigner().sign(r, "host", "x-amz-content-\u017fha256", "x-amz-date", "x-amz-target")
		mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature)
	})
}

// A captured request must not become another by adding a header twice.
func TestSEC_A07_OnceOnly(t *testing.T) {
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Target", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-User-Agent"} {
		for _, order := range []string{"first", "last"} {
			t.Run(name+" "+order, func(t *testing.T) {
				r := plain()
				newSigner().sign(r)
				if _, ok := r.Header[name]; !ok {
					r.Header[name] = []string{"x"}
					newSigner().sign(r)
				}
				had := r.Header[name][0]
				if order == "first" {
					r.Header[name] = []string{"TrentService.Decrypt", had}
				} else {
					r.Header[name] = []string{had, had}
				}
				if name != "Authorization" {
					newSigner().sign(r) // even where both are signed
				}
				code := sigv4.InvalidSignature
				if name == "Authorization" || name == "X-Amz-Date" {
					code = sigv4.IncompleteSignature
				}
				mustRefuse(t, newVerifier(), r, noon, code)
			})
		}
	}
}

// A line break in a value could make one header pass for two. The door lets
// none in; the verifier does not rely on it.
func TestSEC_A07_LineBreakInAValue(t *testing.T) {
	honest := plain()
	honest.Header["My-A"], honest.Header["My-B"] = []string{"1"}, []string{"2\nmy-c:3"}
	honest.Header["My-C"] = []string{"4"}
	newSigner().sign(honest)
	mustRefuse(t, newVerifier(), honest, noon, sigv4.InvalidSignature, mismatch)
	host := plain()
	host.Host = "kms\nmy-a:1"
	newSigner().sign(host)
	mustRefuse(t, newVerifier(), host, noon, sigv4.InvalidSignature, mismatch)
}

// The list of signed headers has one form. Two readings of one list would be
// two requests under one signature.
func TestSEC_A05_SignedHeadersList(t *testing.T) {
	for _, list := range []string{
		"x-amz-date;x-amz-target;host", "host;host;x-amz-date;x-amz-target", "Host;x-amz-date;x-amz-target",
		"host;X-Amz-Date;x-amz-target", ";host;x-amz-date;x-amz-target", "host;;x-amz-date;x-amz-target",
		"host; x-amz-date;x-amz-target", "host;x-amz-date;x-amz-target;x-amz-target", "host:x;x-amz-date;x-amz-target",
		"host;x-amz-date;x-amz-target;",
	} {
		t.Run(list, func(t *testing.T) {
			r := plain()
			s := newSigner()
			r.Header["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=" + s.id + "/" + s.scope() + ", SignedHeaders=" + list + ", Signature=" + s.signature(r, list)}
			mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, "lower-case names in order")
		})
	}
	t.Run("a header that is not there", func(t *testing.T) {
		r := plain()
		newSigner().sign(r, "host", "my-absent", "x-amz-date", "x-amz-target")
		mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, mismatch)
	})
	for _, n := range []int{40, 80} {
		r := plain()
		for i := range n {
			r.Header[fmt.Sprintf("My-%02d", i)] = []string{"x"}
		}
		newSigner().sign(r)
		if n < 60 {
			mustVerify(t, newVerifier(), r)
		} else {
			mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, "too many headers")
		}
	}
}

// Blanks between parameters differ from client to client, as does their order.
func TestParameterForms(t *testing.T) {
	r := signed()
	had := r.Header["Authorization"][0]
	parts := strings.Split(strings.TrimPrefix(had, "AWS4-HMAC-SHA256 "), ", ")
	for _, form := range []string{
		"AWS4-HMAC-SHA256 " + strings.Join(parts, ","),
		"AWS4-HMAC-SHA256   " + strings.Join(parts, " ,  "),
		"AWS4-HMAC-SHA256 " + parts[2] + ", " + parts[0] + ", " + parts[1],
	} {
		r.Header["Authorization"] = []string{form}
		mustVerify(t, newVerifier(), r)
	}
	// The signature has one form, since it also tells a repetition from a first sight.
	for _, form := range []string{strings.ToUpper(parts[2][len("Signature="):]), parts[2][len("Signature="):] + "00", parts[2][len("Signature=") : len(parts[2])-2], " " + parts[2][len("Signature="):]} {
		r.Header["Authorization"] = []string{"AWS4-HMAC-SHA256 " + parts[0] + ", " + parts[1] + ", Signature=" + form}
		mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, mismatch)
	}
}

// What a value loses on its way is what canonicalisation takes off it; nothing
// else may change.
func TestSEC_A05_ValuesOnTheWay(t *testing.T) {
	r := plain()
	r.Header["My-A"] = []string{"a b  c"}
	r.Header["My-B"] = []string{"x", "y"}
	r.Header["My-C"] = []string{"Case"}
	newSigner().sign(r)
	for _, c := range []struct {
		name, header string
		values       []string
		ok           bool
	}{
		{"as it was", "My-A", []string{"a b  c"}, true},
		{"outer blanks", "My-A", []string{" \ta b c \t"}, true},
		{"more blanks inside", "My-A", []string{"a   b    c"}, true},
		{"blanks gone", "My-A", []string{"ab c"}, false},
		{"a tab inside", "My-A", []string{"a\tb c"}, false},
		{"joined by a proxy", "My-B", []string{"x,y"}, true},
		{"joined with a blank", "My-B", []string{"x, y"}, false},
		{"other order", "My-B", []string{"y", "x"}, false},
		{"one left out", "My-B", []string{"x"}, false},
		{"one added", "My-B", []string{"x", "y", ""}, false},
		{"all gone", "My-B", nil, false},
		{"other case", "My-C", []string{"case"}, false},
		{"not quite blank", "My-C", []string{"Case\u00a0"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			had := r.Header[c.header]
			r.Header[c.header] = c.values
			defer func() { r.Header[c.header] = had }()
			if c.ok {
				mustVerify(t, newVerifier(), r)
			} else {
				mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, mismatch)
			}
		})
	}
}

// The body is always hashed by us; what the client says of it can only refuse.
func TestSEC_A06_ContentSHA256(t *testing.T) {
	body := plain().Body
	for _, c := range []struct {
		name, sent string
		body       []byte
		ok         bool
	}{
		{"the hash", hexSHA256(body), body, true},
		{"of an empty body", hexSHA256(nil), nil, true},
		{"of an empty body, for another", hexSHA256(nil), body, false},
		{"of another body", hexSHA256([]byte("x")), body, false},
		{"upper case", strings.ToUpper(hexSHA256(body)), body, false},
		{"cut", hexSHA256(body)[:63], body, false},
		{"empty", "", body, false},
		{"unsigned", "UNSIGNED-PAYLOAD", body, false},
		{"unsigned, empty body", "UNSIGNED-PAYLOAD", nil, false},
		{"streaming", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", body, false},
		{"streaming with a trailer", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", body, false},
		{"streaming, unsigned, with a trailer", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", body, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := plain()
			r.Body, r.Header["X-Amz-Content-Sha256"] = c.body, []string{c.sent}
			newSigner().sign(r)
			if c.ok {
				mustVerify(t, newVerifier(), r)
			} else {
				mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, mismatch)
				// Nor where the literal stands in the hash's place, as S3 signs it.
				text := strings.Replace(canonical(r, "host;x-amz-content-sha256;x-amz-date;x-amz-target"), hexSHA256(c.body), c.sent, 1)
				signText(r, "host;x-amz-content-sha256;x-amz-date;x-amz-target", text)
				mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, mismatch)
			}
		})
	}
	r := signed()
	for _, other := range [][]byte{nil, []byte("{}"), append([]byte(" "), r.Body...), r.Body[:len(r.Body)-1]} {
		r.Body = other
		mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, mismatch)
	}
}

// signText signs a canonical request that is given as text.
func signText(r *sigv4.Request, list, text string) {
	s := newSigner()
	toSign := "AWS4-HMAC-SHA256\n" + r.Header["X-Amz-Date"][0] + "\n" + s.scope() + "\n" + hexSHA256([]byte(text))
	k := []byte("AWS4" + s.key)
	for _, part := range strings.Split(s.scope(), "/") {
		k = hmacSHA256(k, part)
	}
	r.Header["Authorization"] = []string{fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", s.id, s.scope(), list, hmacSHA256(k, toSign))}
}

// The window is five minutes either way, to the second, and the text says what
// SDKs need to correct their clock.
func TestSEC_A11_Window(t *testing.T) {
	for _, c := range []struct {
		late time.Duration // our clock, ahead of the signature
		want string
	}{
		{0, ""},
		{5 * time.Minute, ""},
		{5*time.Minute + time.Nanosecond, "Signature expired: 20261124T120000Z is now earlier than 20261124T120000Z (20261124T120500Z - 5 min.)"},
		{5*time.Minute + time.Second, "Signature expired: 20261124T120000Z is now earlier than 20261124T120001Z (20261124T120501Z - 5 min.)"},
		{24 * time.Hour, "Signature expired: 20261124T120000Z is now earlier than 20261125T115500Z (20261125T120000Z - 5 min.)"},
		{-5 * time.Minute, ""},
		{-5*time.Minute - time.Second, "Signature not yet current: 20261124T120000Z is still later than 20261124T115959Z (20261124T115459Z + 5 min.)"},
		{-365 * 24 * time.Hour, "Signature not yet current: 20261124T120000Z is still later than 20251124T120500Z (20251124T120000Z + 5 min.)"},
	} {
		for _, zone := range []*time.Location{time.UTC, time.FixedZone("east", 9*3600)} {
			now := noon.Add(c.late).In(zone)
			if c.want != "" {
				mustRefuse(t, newVerifier(), signed(), now, sigv4.InvalidSignature, c.want)
			} else if _, err := newVerifier().Verify(context.Background(), signed(), now); err != nil {
				t.Errorf("%v late: %v", c.late, err)
			}
		}
	}
}

func TestSEC_A11_Stamp(t *testing.T) {
	for _, stamp := range []string{
		"", "20261124T120000", "20261124T120000z", "20261124t120000Z", "20261124 120000Z", "2026-11-24T12:00:00Z", "20261124T120000.0Z", "20261124T120000,0Z",
		"20261124T120000+0000", "20261324T120000Z", "20261131T120000Z", "20261124T250000Z", "20261124T120060Z", "Tue, 24 Nov 2026 12:00:00 GMT", "1795521600", "２０２６1124T120000Z",
	} {
		r := plain()
		r.Header["X-Amz-Date"] = []string{stamp}
		newSigner().sign(r)
		mustRefuse(t, newVerifier(), r, noon, sigv4.IncompleteSignature, "Date must be in ISO-8601 'basic format'")
	}
	r := plain()
	delete(r.Header, "X-Amz-Date")
	r.Header["Date"] = []string{"Tue, 24 Nov 2026 12:00:00 GMT"}
	newSigner().sign(r)
	mustRefuse(t, newVerifier(), r, noon, sigv4.IncompleteSignature, "existence of one 'X-Amz-Date' header. Authorization=AWS4-HMAC-SHA256 Credential=")
}

// A signature across midnight carries the day of its own stamp.
func TestSEC_A11_Midnight(t *testing.T) {
	r := plain()
	r.Header["X-Amz-Date"] = []string{"20261124T235959Z"}
	s := newSigner()
	s.sign(r)
	after := time.Date(2026, 11, 25, 0, 2, 0, 0, time.UTC)
	if _, err := newVerifier().Verify(context.Background(), r, after); err != nil {
		t.Error(err)
	}
	s.date = "20261125"
	s.sign(r)
	mustRefuse(t, newVerifier(), r, after, sigv4.InvalidSignature, "Date in Credential scope does not match")
}

func TestSEC_A11_Scope(t *testing.T) {
	any := sigv4.NewVerifier(directory{knownID: credential(knownSecret, 1)}, sigv4.Regions{Any: true})
	for _, c := range []struct {
		name   string
		change func(s *signer)
		want   string // "" passes
		any    string // where any region is taken
	}{
		{"as it should be", func(*signer) {}, "", ""},
		{"another date", func(s *signer) { s.date = "20261123" }, "Date in Credential scope does not match", "Date in Credential scope does not match"},
		{"a longer date", func(s *signer) { s.date = "20261124T" }, "Date in Credential scope does not match", "Date in Credential scope does not match"},
		{"the other region of the list", func(s *signer) { s.region = "eu-central-1" }, "", ""},
		{"a region that is not in the list", func(s *signer) { s.region = "us-west-2" }, "valid region", ""},
		{"a region in upper case", func(s *signer) { s.region = "US-EAST-1" }, "valid region", "valid region"},
		{"a region with a star", func(s *signer) { s.region = "*" }, "valid region", "valid region"},
		{"a region with a colon", func(s *signer) { s.region = "us:east" }, "valid region", "valid region"},
		{"a region with dots", func(s *signer) { s.region = ".." }, "valid region", "valid region"},
		{"no region", func(s *signer) { s.region = "" }, "valid region", "valid region"},
		{"an option for a region", func(s *signer) { s.region = "-x" }, "valid region", "valid region"},
		{"a region without end", func(s *signer) { s.region = strings.Repeat("a", 33) }, "valid region", "valid region"},
		{"another service", func(s *signer) { s.service = "sts" }, "correct service: 'kms'", "correct service: 'kms'"},
		{"the service in upper case", func(s *signer) { s.service = "KMS" }, "correct service: 'kms'", "correct service: 'kms'"},
		{"no service", func(s *signer) { s.service = "" }, "correct service: 'kms'", "correct service: 'kms'"},
		{"another terminator", func(s *signer) { s.last = "aws5_request" }, "valid terminator", "valid terminator"},
		{"no terminator", func(s *signer) { s.last = "" }, "valid terminator", "valid terminator"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, r := newSigner(), plain()
			c.change(&s)
			s.sign(r)
			for v, want := range map[*sigv4.Verifier]string{newVerifier(): c.want, any: c.any} {
				if want == "" {
					mustVerify(t, v, r)
				} else {
					mustRefuse(t, v, r, noon, sigv4.InvalidSignature, want)
				}
			}
		})
	}
	none := sigv4.NewVerifier(directory{knownID: credential(knownSecret, 1)}, sigv4.Regions{})
	mustRefuse(t, none, signed(), noon, sigv4.InvalidSignature, "valid region")
}

// A signing key of one scope signs for no other, cached or not.
func TestSEC_A11_KeyOfAnotherScope(t *testing.T) {
	v := newVerifier()
	r := signed()
	mustVerify(t, v, r)
	r.Header["Authorization"] = []string{strings.Replace(r.Header["Authorization"][0], "us-east-1", "eu-central-1", 1)}
	mustRefuse(t, v, r, noon, sigv4.InvalidSignature, mismatch)
}

// Clients differ in whether they name the port. The literal Host counts.
func TestHostIsLiteral(t *testing.T) {
	hosts := []string{"kms.example", "kms.example:443", "kms.example:8080", "KMS.Example", "127.0.0.1:8080", "[::1]:8080", "[::1]"}
	for _, sent := range hosts {
		for _, as := range hosts {
			r := plain()
			r.Host = as
			newSigner().sign(r)
			r.Host = sent
			if sent == as {
				mustVerify(t, newVerifier(), r)
			} else {
				mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, mismatch)
			}
		}
	}
}

// TestSEC_A11: a signature is good for the service that the request is for. What
// has no Region may be signed for the home Region too.
func TestSEC_A11_ServiceOfTheScope(t *testing.T) {
	v := sigv4.NewVerifier(directory{knownID: credential(knownSecret, 1)}, sigv4.Regions{Names: []string{"eu-west-1"}, Home: "us-east-1"})
	for _, c := range []struct{ signed, wanted, region, text string }{
		{"kms", "kms", "eu-west-1", ""},
		{"iam", "iam", "eu-west-1", ""},
		{"iam", "iam", "us-east-1", ""},
		{"sts", "sts", "us-east-1", ""},
		{"kms", "kms", "us-east-1", "Credential should be scoped to a valid region."},
		{"iam", "iam", "us-west-1", "Credential should be scoped to a valid region."},
		{"iam", "kms", "eu-west-1", "Credential should be scoped to correct service: 'kms'."},
		{"kms", "iam", "eu-west-1", "Credential should be scoped to correct service: 'iam'."},
		{"iam", "sts", "eu-west-1", "Credential should be scoped to correct service: 'sts'."},
		{"sts", "", "eu-west-1", "Credential should be scoped to correct service: ''."},
	} {
		r, s := plain(), newSigner()
		s.service, s.region = c.signed, c.region
		s.sign(r)
		r.Service = c.wanted
		if c.text == "" {
			mustVerify(t, v, r)
		} else {
			mustRefuse(t, v, r, noon, sigv4.InvalidSignature, c.text)
		}
	}
	none := sigv4.NewVerifier(directory{knownID: credential(knownSecret, 1)}, sigv4.Regions{Names: []string{"eu-west-1"}})
	r, s := plain(), newSigner()
	s.service, s.region = "iam", ""
	s.sign(r)
	r.Service = "iam"
	mustRefuse(t, none, r, noon, sigv4.InvalidSignature, "Credential should be scoped to a valid region.")
}
