package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/secret"
	"trent/internal/sigv4"
)

const (
	knownID     = "AKIAIOSFODNN7EXAMPLE"
	knownSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	unknownID   = "AKIANOBODYKNOWSTHIS1"
)

var (
	noon  = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	admin = &iam.Principal{Partition: "aws", Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/admin"}
)

// directory is the access keys of the tests; of temporary ones, with the token behind
// a slash.
type directory map[string]sigv4.Credential

func (d directory) Credential(_ context.Context, id, token string) (sigv4.Credential, error) {
	if token != "" {
		id += "/" + token
	}
	c, ok := d[id]
	if !ok {
		return sigv4.Credential{}, sigv4.ErrUnknownKey
	}
	return c, nil
}

func credential(key string, revision uint64) sigv4.Credential {
	return sigv4.Credential{Secret: secret.New([]byte(key)), Revision: revision, Principal: admin}
}

func newVerifier() *sigv4.Verifier {
	return sigv4.NewVerifier(directory{knownID: credential(knownSecret, 1)}, sigv4.Regions{Names: []string{"us-east-1", "eu-central-1"}})
}

// A signer follows the public description of Signature Version 4 and shares no
// code with what it tests. Each field can be made wrong.
type signer struct {
	id, key, date, region, service, last string
}

func newSigner() signer {
	return signer{knownID, knownSecret, "20261124", "us-east-1", "kms", "aws4_request"}
}

var blanks = regexp.MustCompile(" +")

// canonical is the canonical request over the named headers.
func canonical(r *sigv4.Request, names string) string {
	var headers strings.Builder
	for _, name := range strings.Split(names, ";") {
		var values []string
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{r.ContentLength}
		default:
			for as, v := range r.Header {
				if strings.ToLower(as) == name {
					values = v
				}
			}
		}
		var trimmed []string
		for _, v := range values {
			trimmed = append(trimmed, blanks.ReplaceAllString(strings.Trim(v, " \t"), " "))
		}
		headers.WriteString(name + ":" + strings.Join(trimmed, ",") + "\n")
	}
	return r.Method + "\n" + r.Path + "\n" + r.RawQuery + "\n" + headers.String() + "\n" + names + "\n" + hexSHA256(r.Body)
}

func (s signer) signature(r *sigv4.Request, names string) string {
	stamp := ""
	if v := r.Header["X-Amz-Date"]; len(v) > 0 {
		stamp = v[0]
	}
	toSign := "AWS4-HMAC-SHA256\n" + stamp + "\n" + s.scope() + "\n" + hexSHA256([]byte(canonical(r, names)))
	k := hmacSHA256([]byte("AWS4"+s.key), s.date)
	k = hmacSHA256(k, s.region)
	k = hmacSHA256(k, s.service)
	k = hmacSHA256(k, s.last)
	return hex.EncodeToString(hmacSHA256(k, toSign))
}

func (s signer) scope() string { return s.date + "/" + s.region + "/" + s.service + "/" + s.last }

// sign signs host and all headers, or the names given.
func (s signer) sign(r *sigv4.Request, names ...string) {
	if len(names) == 0 {
		names = append(slices.Collect(maps.Keys(r.Header)), "host")
	}
	for i := range names {
		names[i] = strings.ToLower(names[i])
	}
	slices.Sort(names)
	list := strings.Join(slices.Compact(names), ";")
	r.Header["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=" + s.id + "/" + s.scope() +
		", SignedHeaders=" + list + ", Signature=" + s.signature(r, list)}
}

func hexSHA256(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// hmacSHA256 takes keys of any length: an attacker's may be short.
func hmacSHA256(key []byte, text string) (sum []byte) {
	fips140.WithoutEnforcement(func() {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, text)
		sum = h.Sum(nil)
	})
	return sum
}

// plain is what an SDK sends, not signed yet.
func plain() *sigv4.Request {
	body := []byte(`{"KeyId":"alias/app","Plaintext":"aGVsbG8="}`)
	return &sigv4.Request{Service: "kms",
		Method: "POST", Path: "/", Host: "kms.us-east-1.amazonaws.com", ContentLength: strconv.Itoa(len(body)), Body: body,
		Header: map[string][]string{
			"Content-Type":          {"application/x-amz-json-1.1"},
			"X-Amz-Date":            {"20261124T120000Z"},
			"X-Amz-Target":          {"TrentService.Encrypt"},
			"Amz-Sdk-Invocation-Id": {"6b1e3e0e-5f8c-4a8e-9a64-1d4a5b0b4c11"},
			"Amz-Sdk-Request":       {"attempt=1; max=3"},
		},
	}
}

func signed() *sigv4.Request {
	r := plain()
	newSigner().sign(r)
	return r
}

// overTheWire sends what a client has made as bytes, reads it as a server does,
// and hands it on as the door does.
func overTheWire(t testing.TB, r *http.Request) *sigv4.Request {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return read(t, b.String())
}

func read(t testing.TB, raw string) *sigv4.Request {
	t.Helper()
	got, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &sigv4.Request{Service: "kms",
		Method: got.Method, Path: got.URL.EscapedPath(), RawQuery: got.URL.RawQuery, Host: got.Host,
		ContentLength: strconv.Itoa(len(body)), Header: got.Header, Body: body,
	}
}

func mustVerify(t testing.TB, v *sigv4.Verifier, r *sigv4.Request) sigv4.Verified {
	t.Helper()
	got, err := v.Verify(context.Background(), r, noon)
	if err != nil {
		t.Fatalf("refused: %v\nsigned was\n%s", err, canonical(r, "host"))
	}
	return got
}

// mustRefuse wants this code, a text with each of these parts in it, and
// nothing proven.
func mustRefuse(t testing.TB, v *sigv4.Verifier, r *sigv4.Request, now time.Time, code fault.Code, parts ...string) {
	t.Helper()
	got, err := v.Verify(context.Background(), r, now)
	if !fault.Is(err, code) {
		t.Errorf("got %v, want %s", err, code)
		return
	}
	if got != (sigv4.Verified{}) {
		t.Errorf("a refusal came with a result: %+v", got)
	}
	for _, part := range parts {
		if !strings.Contains(fault.From(err).Message, part) {
			t.Errorf("text %q lacks %q", fault.From(err).Message, part)
		}
	}
}
