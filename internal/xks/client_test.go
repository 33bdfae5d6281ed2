package xks_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"trent/internal/crypt"
	"trent/internal/iam"
	"trent/internal/keystore"
	"trent/internal/secret"
	"trent/internal/sigv4"
	"trent/internal/xks"
)

const (
	keyID     = "ABCDEFGHIJKLMNOPQRST"
	secretKey = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="
)

// Credential implements sigv4.Keys.
func (p *proxy) Credential(_ context.Context, id, _ string) (sigv4.Credential, error) {
	if id != keyID {
		return sigv4.Credential{}, sigv4.ErrUnknownKey
	}
	return sigv4.Credential{Secret: secret.New([]byte(secretKey)), Principal: &iam.Principal{}}, nil
}

// proxy is an XKS proxy on a loopback port that verifies signatures, and answers as it is told.
type proxy struct {
	t      *testing.T
	server *httptest.Server

	mu     sync.Mutex
	answer func(path string, in map[string]any) (int, string)
	paths  []string
	bodies []map[string]any
	conns  int
	plain  http.HandlerFunc // in the place of all others, if not nil
}

func newProxy(t *testing.T, answer func(path string, in map[string]any) (int, string)) *proxy {
	p := &proxy{t: t, answer: answer}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			p.mu.Lock()
			p.conns++
			p.mu.Unlock()
		}
	}
	p.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	p.server.StartTLS()
	t.Cleanup(p.server.Close)
	return p
}

func (p *proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	plain := p.plain
	p.mu.Unlock()
	if plain != nil {
		plain(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	_, err = sigv4.NewVerifier(p, sigv4.Regions{Any: true}).VerifyPath(r.Context(), &sigv4.Request{
		Service: "kms-xks-proxy", Method: r.Method, Path: r.RequestURI, Host: r.Host, ContentLength: fmt.Sprint(len(body)), Header: r.Header, Body: body,
	}, time.Now())
	if err != nil {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"errorName":"AuthenticationFailedException"}`)
		return
	}
	var in map[string]any
	if err := json.Unmarshal(body, &in); err != nil {
		p.t.Errorf("the body is not JSON: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paths, p.bodies = append(p.paths, r.RequestURI), append(p.bodies, in)
	status, content := p.answer(r.RequestURI, in)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, content)
}

// where is the proxy as a key store has it.
func (p *proxy) where() *keystore.Proxy {
	return &keystore.Proxy{Endpoint: "https://example.com", Path: "/example/kms/xks/v1", AccessKeyID: keyID, Secret: secret.New([]byte(secretKey))}
}

// options lead to the proxy, whose certificate is of example.com.
func (p *proxy) options() xks.Options {
	roots := x509.NewCertPool()
	roots.AddCert(p.server.Certificate())
	return xks.Options{Roots: roots, Addresses: map[string]string{"example.com": p.server.Listener.Addr().String()}, Timeout: 10 * time.Second}
}

var about = keystore.Asked{
	Region: "eu-west-1", Principal: "arn:aws:iam::111122223333:user/alice", KeyARN: "arn:aws:kms:eu-west-1:111122223333:key/1", Operation: "Encrypt", RequestID: "r-1",
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// kind is the kind of failure of an error.
func kind(t *testing.T, err error) keystore.Kind {
	t.Helper()
	f, ok := errors.AsType[*keystore.Failure](err)
	if !ok {
		t.Fatalf("%v is no failure", err)
	}
	return f.Kind
}

// encrypted answers an Encrypt as the API wants it. The ciphertext is the plaintext, backwards.
func encrypted(in map[string]any) map[string]any {
	decode := func(name string) []byte {
		b, _ := base64.StdEncoding.DecodeString(in[name].(string))
		return b
	}
	plain, aad := decode("plaintext"), decode("additionalAuthenticatedData")
	cipher := bytes.Clone(plain)
	for i, j := 0, len(cipher)-1; i < j; i, j = i+1, j-1 {
		cipher[i], cipher[j] = cipher[j], cipher[i]
	}
	iv, tag, metadata := []byte("iv-of-12-byt"), []byte("tag-of-16-bytes!"), []byte("v=1")
	sum := sha256.Sum256(bytes.Join([][]byte{aad, metadata, iv, cipher, tag}, nil))
	return map[string]any{
		"ciphertext": b64(cipher), "initializationVector": b64(iv), "authenticationTag": b64(tag), "ciphertextMetadata": b64(metadata),
		"ciphertextDataIntegrityValue": b64(sum[:]),
	}
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestCalls(t *testing.T) {
	p := newProxy(t, func(path string, in map[string]any) (int, string) {
		switch path {
		case "/example/kms/xks/v1/health":
			return 200, `{"xksProxyFleetSize":1,"xksProxyVendor":"a","xksProxyModel":"b","ekmVendor":"c","ekmFleetDetails":[{"id":"1","model":"m","healthStatus":"UNAVAILABLE"},{"id":"2","model":"m","healthStatus":"DEGRADED"}]}`
		case "/example/kms/xks/v1/keys/k.1-_/metadata":
			return 200, `{"keySpec":"AES_256","keyUsage":["ENCRYPT","DECRYPT"],"keyStatus":"ENABLED"}`
		case "/example/kms/xks/v1/keys/k.1-_/encrypt":
			return 200, text(encrypted(in))
		case "/example/kms/xks/v1/keys/k.1-_/decrypt":
			return 200, `{"plaintext":"` + b64([]byte("plain")) + `"}`
		}
		return 404, `{"errorName":"InvalidUriPathException"}`
	})
	c := xks.New(p.options())
	ctx := t.Context()
	if err := c.Health(ctx, p.where(), about); err != nil {
		t.Errorf("health: %v", err)
	}
	k, err := c.Key(ctx, p.where(), "k.1-_", about)
	if err != nil || !k.IsUsable() {
		t.Errorf("key: %+v, %v", k, err)
	}
	w, err := c.Encrypt(ctx, p.where(), "k.1-_", about, []byte("plain"), []byte("aad"))
	if err != nil || string(w.Ciphertext) != "nialp" || string(w.IV) != "iv-of-12-byt" || string(w.Tag) != "tag-of-16-bytes!" || string(w.Metadata) != "v=1" {
		t.Errorf("encrypt: %+v, %v", w, err)
	}
	plain, err := c.Decrypt(ctx, p.where(), "k.1-_", about, w, []byte("aad"))
	if err != nil || string(plain) != "plain" {
		t.Errorf("decrypt: %q, %v", plain, err)
	}
	full := map[string]any{"awsPrincipalArn": about.Principal, "kmsKeyArn": about.KeyARN, "kmsOperation": "Encrypt", "kmsRequestId": "r-1"}
	want := []map[string]any{
		{"requestMetadata": map[string]any{"kmsOperation": "Encrypt", "kmsRequestId": "r-1"}},
		{"requestMetadata": full},
		{"requestMetadata": full, "plaintext": b64([]byte("plain")), "additionalAuthenticatedData": b64([]byte("aad")), "encryptionAlgorithm": "AES_GCM", "ciphertextDataIntegrityValueAlgorithm": "SHA_256"},
		{"requestMetadata": full, "ciphertext": b64([]byte("nialp")), "additionalAuthenticatedData": b64([]byte("aad")), "encryptionAlgorithm": "AES_GCM",
			"ciphertextMetadata": b64([]byte("v=1")), "initializationVector": b64([]byte("iv-of-12-byt")), "authenticationTag": b64([]byte("tag-of-16-bytes!"))},
	}
	if len(p.bodies) != len(want) {
		t.Fatalf("%d requests", len(p.bodies))
	}
	for i := range want {
		if got := text(p.bodies[i]); got != text(want[i]) {
			t.Errorf("request %d\ngot  %s\nwant %s", i, got, text(want[i]))
		}
	}
	if p.conns != 1 {
		t.Errorf("%d connections for four requests", p.conns)
	}
}

// A secret that is replaced under the same id is used from then on.
func TestSecretIsReplaced(t *testing.T) {
	p := newProxy(t, func(string, map[string]any) (int, string) {
		return 200, `{"ekmFleetDetails":[{"healthStatus":"ACTIVE"}]}`
	})
	c := xks.New(p.options())
	wrong := p.where()
	wrong.Secret = secret.New([]byte(strings.Repeat("x", 43)))
	if err := c.Health(t.Context(), p.where(), about); err != nil {
		t.Error(err)
	}
	if err := c.Health(t.Context(), wrong, about); err == nil || kind(t, err) != keystore.BadCredential {
		t.Errorf("another secret: %v", err)
	}
	if err := c.Health(t.Context(), p.where(), about); err != nil {
		t.Error(err)
	}
}

func TestErrorNames(t *testing.T) {
	for name, want := range map[string]keystore.Kind{
		"ValidationException": keystore.Rejected, "InvalidStateException": keystore.Disabled, "InvalidCiphertextException": keystore.BadCiphertext,
		"InvalidKeyUsageException": keystore.BadUsage, "AuthenticationFailedException": keystore.BadCredential, "AccessDeniedException": keystore.Denied,
		"KeyNotFoundException": keystore.NoKey, "InvalidUriPathException": keystore.BadPath, "ThrottlingException": keystore.Throttled,
		"UnsupportedOperationException": keystore.Unsupported, "DependencyTimeoutException": keystore.DependencyLate, "InternalException": keystore.Broken,
		"SomethingElseException": keystore.Malformed,
	} {
		p := newProxy(t, func(string, map[string]any) (int, string) {
			return 418, `{"errorName":"` + name + `","errorMessage":"a text of a stranger"}`
		})
		_, err := xks.New(p.options()).Decrypt(t.Context(), p.where(), "k", about, crypt.Wrapped{Ciphertext: []byte("x")}, nil)
		if got := kind(t, err); got != want {
			t.Errorf("%s: kind %d, want %d", name, got, want)
		}
		if said := keystore.OnUse(err); strings.Contains(said.Error(), "stranger") && !strings.Contains(said.Error(), "the proxy answered 418") {
			t.Errorf("%s: %v", name, said)
		}
	}
}

// What a proxy answers is checked before anything is done with it.
func TestSEC_C01_BadAnswers(t *testing.T) {
	with := func(name string, value any) func(map[string]any) string {
		return func(in map[string]any) string {
			a := encrypted(in)
			a[name] = value
			return text(a)
		}
	}
	for name, answer := range map[string]func(map[string]any) string{
		"nothing":      func(map[string]any) string { return "" },
		"no JSON":      func(map[string]any) string { return "<html>" },
		"another type": func(map[string]any) string { return "[]" },
		"a member twice": func(in map[string]any) string {
			return strings.Replace(text(encrypted(in)), "{", `{"ciphertext":"AA==",`, 1)
		},
		"no ciphertext":        with("ciphertext", nil),
		"a longer ciphertext":  with("ciphertext", b64([]byte("longer than it was"))),
		"no base64":            with("ciphertext", "====="),
		"a vector of 8 bytes":  with("initializationVector", b64([]byte("8 bytes!"))),
		"a tag of 8 bytes":     with("authenticationTag", b64([]byte("8 bytes!"))),
		"metadata of 21 bytes": with("ciphertextMetadata", b64(make([]byte, 21))),
		"no integrity value":   with("ciphertextDataIntegrityValue", nil),
		"a wrong one":          with("ciphertextDataIntegrityValue", b64(make([]byte, 32))),
		"33 KiB":               with("more", strings.Repeat("x", 33<<10)),
	} {
		p := newProxy(t, func(_ string, in map[string]any) (int, string) { return 200, answer(in) })
		_, err := xks.New(p.options()).Encrypt(t.Context(), p.where(), "k", about, []byte("plain"), []byte("aad"))
		if err == nil || kind(t, err) != keystore.Malformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, answer := range map[string]string{
		"shorter": `{"plaintext":"AA=="}`, "none": `{}`, "null": `{"plaintext":null}`,
	} {
		p := newProxy(t, func(string, map[string]any) (int, string) { return 200, answer })
		_, err := xks.New(p.options()).Decrypt(t.Context(), p.where(), "k", about, crypt.Wrapped{Ciphertext: []byte("five!")}, nil)
		if err == nil || kind(t, err) != keystore.Malformed {
			t.Errorf("a plaintext that is %s: %v", name, err)
		}
	}
	for answer, want := range map[string]keystore.Kind{
		`{"ekmFleetDetails":[]}`: keystore.Malformed, `{}`: keystore.Malformed, `{"ekmFleetDetails":[{"healthStatus":"FINE"}]}`: keystore.Malformed,
		`{"ekmFleetDetails":[{"healthStatus":"UNAVAILABLE"},{"healthStatus":"UNAVAILABLE"}]}`: keystore.Down,
	} {
		p := newProxy(t, func(string, map[string]any) (int, string) { return 200, answer })
		if err := xks.New(p.options()).Health(t.Context(), p.where(), about); err == nil || kind(t, err) != want {
			t.Errorf("health %s: %v", answer, err)
		}
	}
}

func TestWayToTheProxy(t *testing.T) {
	fine := func(string, map[string]any) (int, string) {
		return 200, `{"ekmFleetDetails":[{"healthStatus":"ACTIVE"}]}`
	}
	p := newProxy(t, fine)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	slow := newProxy(t, fine)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	slow.plain = func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	moved := newProxy(t, fine)
	moved.plain = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://example.com/elsewhere", http.StatusTemporaryRedirect)
	}
	for name, c := range map[string]struct {
		o    func() xks.Options
		who  func(*keystore.Proxy)
		want keystore.Kind
	}{
		"nobody listens":      {func() xks.Options { o := p.options(); o.Addresses["example.com"] = closed.Addr().String(); return o }, nil, keystore.Unreachable},
		"unknown certificate": {func() xks.Options { o := p.options(); o.Roots = x509.NewCertPool(); return o }, nil, keystore.BadTLS},
		"another name": {func() xks.Options {
			o := p.options()
			o.Addresses["other.example"] = p.server.Listener.Addr().String()
			return o
		},
			func(w *keystore.Proxy) { w.Endpoint = "https://other.example" }, keystore.BadTLS},
		"expired certificate": {func() xks.Options {
			o := p.options()
			o.Now = func() time.Time { return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }
			return o
		}, nil, keystore.BadTLS},
		"too late":                  {func() xks.Options { o := slow.options(); o.Timeout = 50 * time.Millisecond; return o }, nil, keystore.TimedOut},
		"a redirect":                {moved.options, nil, keystore.Malformed},
		"wrong secret":              {p.options, func(w *keystore.Proxy) { w.Secret = secret.New([]byte(strings.Repeat("x", 43))) }, keystore.BadCredential},
		"wrong key id":              {p.options, func(w *keystore.Proxy) { w.AccessKeyID = "ZZZZZZZZZZZZZZZZZZZZ" }, keystore.BadCredential},
		"plain HTTP":                {p.options, func(w *keystore.Proxy) { w.Endpoint = "http://example.com" }, keystore.Unreachable},
		"loopback":                  {func() xks.Options { o := p.options(); o.Addresses = nil; return o }, func(w *keystore.Proxy) { w.Endpoint = p.server.URL }, keystore.Unreachable},
		"a host that is not listed": {func() xks.Options { o := p.options(); o.Hosts = []string{"other.example"}; return o }, nil, keystore.Unreachable},
		"another wall clock": {func() xks.Options {
			o := p.options()
			o.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) }
			return o
		}, nil, keystore.BadCredential},
	} {
		t.Run(name, func(t *testing.T) {
			where := p.where()
			if c.who != nil {
				c.who(where)
			}
			err := xks.New(c.o()).Health(t.Context(), where, about)
			if err == nil || kind(t, err) != c.want {
				t.Errorf("got %v, want kind %d", err, c.want)
			}
		})
	}
}

// TestSEC_A13 of another room: whoever may name a proxy is not led to where only this machine is asked.
func TestSEC_A13_ProxyAddresses(t *testing.T) {
	for _, address := range []string{"127.0.0.1:443", "[::1]:443", "169.254.169.254:443", "[fe80::1]:443", "[fd00:ec2::254]:443", "0.0.0.0:443", "[::]:443", "224.0.0.1:443", "[::ffff:127.0.0.1]:443", "[::ffff:169.254.169.254]:443"} {
		if xks.CheckAddress(address) == nil {
			t.Errorf("%s is asked", address)
		}
	}
	for _, address := range []string{"10.0.0.7:443", "192.168.1.1:8443", "203.0.113.9:443", "[2001:db8::1]:443", "[fd12::1]:443"} {
		if err := xks.CheckAddress(address); err != nil {
			t.Error(err)
		}
	}
}

// The log has a line when a proxy begins to fail, and one when it is well again; none for each request.
func TestHealthIsLoggedWhenItChanges(t *testing.T) {
	var mu sync.Mutex
	status := 500
	p := newProxy(t, func(string, map[string]any) (int, string) {
		mu.Lock()
		defer mu.Unlock()
		return status, `{"errorName":"InternalException","ekmFleetDetails":[{"healthStatus":"ACTIVE"}]}`
	})
	var log bytes.Buffer
	o := p.options()
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	c := xks.New(o)
	for _, s := range []int{500, 500, 500, 200, 200} {
		mu.Lock()
		status = s
		mu.Unlock()
		_ = c.Health(t.Context(), p.where(), about)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "fails") || !strings.Contains(log.String(), "well again") {
		t.Errorf("the log has %d lines:\n%s", n, &log)
	}
}

// FuzzAnswer: whatever a proxy answers is read or refused; what is read was base64 in JSON.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"ciphertext":"AA==","initializationVector":"AA==","authenticationTag":"AA==","ciphertextMetadata":null}`))
	f.Add(404, []byte(`{"errorName":"KeyNotFoundException"}`))
	f.Add(500, []byte(`{"errorName":"\ud800"}`))
	f.Fuzz(func(t *testing.T, status int, content []byte) {
		parts, err := xks.ReadAnswer(status, content)
		if err != nil {
			if _, ok := errors.AsType[*keystore.Failure](err); !ok {
				t.Fatalf("%v is no failure", err)
			}
			return
		}
		if status != 200 {
			t.Fatalf("status %d was read", status)
		}
		for _, p := range parts {
			if len(p) > 0 && !bytes.Contains(content, []byte(b64(p))) && !bytes.Contains(content, []byte(`\`)) {
				t.Fatalf("%x was not in %q", p, content)
			}
		}
	})
}
