package xksproxy_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"trent/internal/fault"
	"trent/internal/secret"
	"trent/internal/xksproxy"
)

// memory is a Manager that has its keys in memory.
type memory struct {
	mu    sync.Mutex
	keys  map[string][]byte
	fails error
	wait  time.Duration
	asked int
}

func (m *memory) key(ctx context.Context, id string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.wait > 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if m.fails != nil {
		return nil, m.fails
	}
	k, ok := m.keys[id]
	switch {
	case !ok:
		return nil, fault.New(xksproxy.KeyNotFound, "")
	case k == nil:
		return nil, fault.New(xksproxy.InvalidKeyUsage, "")
	}
	return k, nil
}

// Describe implements xksproxy.Manager.
func (m *memory) Describe(ctx context.Context, id string) (xksproxy.Description, error) {
	_, err := m.key(ctx, id)
	return xksproxy.Description{Spec: "AES_256", Usage: []string{"ENCRYPT", "DECRYPT"}, Enabled: true}, err
}

// Derive implements xksproxy.Manager.
func (m *memory) Derive(ctx context.Context, id string, input []byte) (secret.Bytes, error) {
	k, err := m.key(ctx, id)
	if err != nil {
		return secret.Bytes{}, err
	}
	h := hmac.New(sha256.New, k)
	h.Write(input)
	return secret.New(h.Sum(nil)), nil
}

// Healthy implements xksproxy.Manager.
func (m *memory) Healthy(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fails
}

// lines keeps audit records.
type lines struct {
	mu    sync.Mutex
	all   []string
	fails error
}

// Append implements audit.Sink.
func (l *lines) Append(line []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails != nil {
		return l.fails
	}
	l.all = append(l.all, string(line))
	return nil
}

// last is the newest record.
func (l *lines) last(t *testing.T) map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var m map[string]any
	if err := json.Unmarshal([]byte(l.all[len(l.all)-1]), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// world is a proxy at a loopback address, and a client with its credential.
type world struct {
	t       *testing.T
	server  *httptest.Server
	manager *memory
	audit   *lines
	file    string // of the credentials
	own     xksproxy.Credential
	now     func() time.Time // of the client
}

const prefix = "/example/uri/path/prefix"

func newWorld(t *testing.T, alter ...func(*xksproxy.Options)) *world {
	w := &world{t: t, manager: &memory{keys: map[string][]byte{"foo": make([]byte, 32), "impotent_key": nil}}, audit: new(lines),
		file: filepath.Join(t.TempDir(), "credentials.json"), own: xksproxy.NewCredential(), now: time.Now}
	rand.Read(w.manager.keys["foo"])
	w.write(w.own)
	log := slog.New(slog.DiscardHandler)
	keys, err := xksproxy.OpenCredentials(w.file, log)
	if err != nil {
		t.Fatal(err)
	}
	o := xksproxy.Options{
		Prefix: prefix, Keys: keys, Manager: w.manager, Audit: w.audit, Version: "test", Timeout: time.Second, Log: log, Now: time.Now,
	}
	for _, alter := range alter {
		alter(&o)
	}
	p := xksproxy.New(o)
	w.server = httptest.NewTLSServer(p)
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) write(list ...xksproxy.Credential) {
	w.t.Helper()
	content, err := xksproxy.FormatCredentials(list)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.file, content, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	status int
	text   string
	body   map[string]any
}

func (a answer) name() string { s, _ := a.body["errorName"].(string); return s }

func (a answer) bytes(t *testing.T, name string) []byte {
	t.Helper()
	s, _ := a.body[name].(string)
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

// post signs with the signer of the SDK, which shares nothing with the verifier.
func (w *world) post(as xksproxy.Credential, path, body string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256([]byte(body))
	own := aws.Credentials{AccessKeyID: as.AccessKeyID, SecretAccessKey: as.Secret}
	if err := v4.NewSigner().SignHTTP(w.t.Context(), own, r, hex.EncodeToString(sum[:]), "kms-xks-proxy", "us-east-1", w.now()); err != nil {
		w.t.Fatal(err)
	}
	return w.do(r)
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	got, err := w.server.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer got.Body.Close()
	content, err := io.ReadAll(got.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: got.StatusCode, text: string(content)}
	if err := json.Unmarshal(content, &a.body); err != nil {
		w.t.Errorf("%s: %q is no JSON object", r.URL.Path, content)
	}
	if got.Header.Get("Content-Type") != "application/json" {
		w.t.Errorf("%s: Content-Type %q", r.URL.Path, got.Header.Get("Content-Type"))
	}
	return a
}

// api posts to a path of the API.
func (w *world) api(path string, body map[string]any) answer {
	w.t.Helper()
	return w.post(w.own, prefix+"/kms/xks/v1/"+path, text(w.t, body))
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// about is requestMetadata as the published test client sends it: the ARN of its key has a slash too many.
func about(operation string) map[string]any {
	return map[string]any{
		"awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice", "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:/key/1234abcd-12ab-34cd-56ef-1234567890ab",
		"kmsOperation": operation, "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae", "kmsViaService": "ebs",
	}
}

func encryptBody(plaintext, aad []byte, more ...string) map[string]any {
	m := map[string]any{"requestMetadata": about("Encrypt"), "encryptionAlgorithm": "AES_GCM"}
	if plaintext != nil {
		m["plaintext"] = b64(plaintext)
	}
	if aad != nil {
		m["additionalAuthenticatedData"] = b64(aad)
	}
	if len(more) > 0 {
		m["ciphertextDataIntegrityValueAlgorithm"] = more[0]
	}
	return m
}

func decryptBody(a answer, aad []byte) map[string]any {
	m := map[string]any{"requestMetadata": about("Decrypt"), "encryptionAlgorithm": "AES_GCM"}
	for _, name := range []string{"ciphertext", "initializationVector", "authenticationTag", "ciphertextMetadata"} {
		if a.body[name] != nil {
			m[name] = a.body[name]
		}
	}
	if aad != nil {
		m["additionalAuthenticatedData"] = b64(aad)
	}
	return m
}

// TestPublishedClient performs the calls of the published test client of AWS (aws-kms-xksproxy-test-client 1.0.4), with
// what it expects of their answers. Its keys that do but one of two things are left out: a key here does both.
func TestPublishedClient(t *testing.T) {
	w := newWorld(t)
	badID, badSecret := w.own, w.own
	badID.AccessKeyID = "Invalid" + badID.AccessKeyID
	badSecret.Secret = "Invalid" + badSecret.Secret
	health := map[string]any{"requestMetadata": map[string]any{"kmsOperation": "KmsHealthCheck", "kmsRequestId": "1124f4d6-db54-4af4-ae30-c55a22a8abcd"}}
	empty, none := map[string]any{"requestMetadata": map[string]any{}}, map[string]any{}
	plaintext := []byte("plaintext\n")

	for _, c := range []struct {
		what, path string
		as         xksproxy.Credential
		body       map[string]any
		status     int
		want       string // in the answer
	}{
		{"health", "health", w.own, health, 200, `"healthStatus":`},
		{"health without metadata", "health", w.own, none, 400, "ValidationException"},
		{"health with empty metadata", "health", w.own, empty, 400, "ValidationException"},
		{"health, bad id", "health", badID, health, 401, "AuthenticationFailedException"},
		{"health, bad secret", "health", badSecret, health, 401, "AuthenticationFailedException"},

		{"metadata for DescribeKey", "keys/foo/metadata", w.own, map[string]any{"requestMetadata": about("DescribeKey")}, 200, `"keyStatus":`},
		{"metadata for CreateKey", "keys/foo/metadata", w.own, map[string]any{"requestMetadata": about("CreateKey")}, 200, `"keyStatus":`},
		{"metadata without metadata", "keys/foo/metadata", w.own, none, 400, "ValidationException"},
		{"metadata with empty metadata", "keys/foo/metadata", w.own, empty, 400, "ValidationException"},
		{"metadata of no key", "keys/non_existing_key/metadata", w.own, map[string]any{"requestMetadata": about("DescribeKey")}, 404, "KeyNotFoundException"},
		{"metadata, bad id", "keys/foo/metadata", badID, map[string]any{"requestMetadata": about("DescribeKey")}, 401, "AuthenticationFailedException"},
		{"metadata, bad secret", "keys/foo/metadata", badSecret, map[string]any{"requestMetadata": about("DescribeKey")}, 401, "AuthenticationFailedException"},

		{"encrypt with no key", "keys/non_existing_key/encrypt", w.own, encryptBody(plaintext, nil), 404, "KeyNotFoundException"},
		{"encrypt without plaintext", "keys/foo/encrypt", w.own, encryptBody(nil, nil), 400, "ValidationException"},
		{"encrypt, bad id", "keys/foo/encrypt", badID, encryptBody(plaintext, nil), 401, "AuthenticationFailedException"},
		{"encrypt, bad secret", "keys/foo/encrypt", badSecret, encryptBody(plaintext, nil), 401, "AuthenticationFailedException"},
		{"encrypt with a key that does not", "keys/impotent_key/encrypt", w.own, encryptBody(plaintext, nil), 400, "InvalidKeyUsageException"},
		{"the same with data and checksum", "keys/impotent_key/encrypt", w.own, encryptBody(plaintext, []byte("aad"), "SHA_256"), 400, "InvalidKeyUsageException"},
	} {
		a := w.post(c.as, prefix+"/kms/xks/v1/"+c.path, text(t, c.body))
		if a.status != c.status || !strings.Contains(a.text, c.want) {
			t.Errorf("%s: %d %s", c.what, a.status, a.text)
		}
	}
	for _, path := range []string{"health", "keys/foo/metadata", "keys/foo/encrypt"} {
		if a := w.post(w.own, prefix+"/invalid/kms/xks/v1/"+path, text(t, encryptBody(plaintext, nil))); a.status != 404 || a.name() != "InvalidUriPathException" {
			t.Errorf("%s under another prefix: %d %s", path, a.status, a.text)
		}
	}

	large, largeData := make([]byte, 4096), make([]byte, 8192)
	rand.Read(large)
	rand.Read(largeData)
	aad, other := []byte("project=nile,department=marketing"), []byte("project=blue,department=finance")
	for _, c := range []struct {
		what            string
		plaintext       []byte
		sealed, opened  []byte
		checksum, fails bool
	}{
		{"with data, then without", plaintext, aad, nil, false, true},
		{"with data, then other data", plaintext, aad, other, false, true},
		{"without data", []byte("Hello World!"), nil, nil, false, false},
		{"with data", []byte("Hello World!"), aad, aad, false, false},
		{"with data and checksum", []byte("Hello World!"), aad, aad, true, false},
		{"with checksum", []byte("Hello World!"), nil, nil, true, false},
		{"large", large, largeData, largeData, false, false},
	} {
		body := encryptBody(c.plaintext, c.sealed)
		if c.checksum {
			body["ciphertextDataIntegrityValueAlgorithm"] = "SHA_256"
		}
		a := w.api("keys/foo/encrypt", body)
		if a.status != 200 {
			t.Errorf("%s: %d %s", c.what, a.status, a.text)
			continue
		}
		w.checkSealed(c.what, a, c.plaintext, c.sealed, c.checksum)
		b := w.api("keys/foo/decrypt", decryptBody(a, c.opened))
		switch {
		case c.fails && b.name() != "InvalidCiphertextException":
			t.Errorf("%s: decrypted as %d %s", c.what, b.status, b.text)
		case !c.fails && !bytes.Equal(b.bytes(t, "plaintext"), c.plaintext):
			t.Errorf("%s: decrypted as %d %s", c.what, b.status, b.text)
		}
	}
}

// checkSealed holds the parts of a ciphertext against what the API says of them.
func (w *world) checkSealed(what string, a answer, plaintext, aad []byte, checksum bool) {
	w.t.Helper()
	cipher, iv, tag, metadata := a.bytes(w.t, "ciphertext"), a.bytes(w.t, "initializationVector"), a.bytes(w.t, "authenticationTag"), a.bytes(w.t, "ciphertextMetadata")
	if len(cipher) != len(plaintext) || len(iv) != 12 || len(tag) != 16 || len(metadata) > 20 || bytes.Equal(cipher, plaintext) {
		w.t.Errorf("%s: parts of %d, %d, %d and %d bytes", what, len(cipher), len(iv), len(tag), len(metadata))
	}
	sum := sha256.Sum256(bytes.Join([][]byte{aad, metadata, iv, cipher, tag}, nil))
	switch got := a.bytes(w.t, "ciphertextDataIntegrityValue"); {
	case checksum && !bytes.Equal(got, sum[:]):
		w.t.Errorf("%s: checksum %x, want %x", what, got, sum)
	case !checksum && a.body["ciphertextDataIntegrityValue"] != nil:
		w.t.Errorf("%s: there is a checksum that was not asked for", what)
	}
}

// Every part of a ciphertext is authenticated, and so is where one ends and the next begins.
func TestSEC_D04_PartsAreBound(t *testing.T) {
	w := newWorld(t)
	w.manager.keys["bar"] = make([]byte, 32)
	aad := []byte("data")
	a := w.api("keys/foo/encrypt", encryptBody([]byte("plaintext"), aad))
	if b := w.api("keys/foo/decrypt", decryptBody(a, aad)); string(b.bytes(t, "plaintext")) != "plaintext" {
		t.Fatalf("decrypted as %s", b.text)
	}
	for _, name := range []string{"ciphertext", "initializationVector", "authenticationTag", "ciphertextMetadata", "additionalAuthenticatedData"} {
		body := decryptBody(a, aad)
		b, err := base64.StdEncoding.DecodeString(body[name].(string))
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 0x80
			body[name] = b64(b)
			b[i] ^= 0x80
			if got := w.api("keys/foo/decrypt", body); got.name() != "InvalidCiphertextException" {
				t.Fatalf("%s, byte %d: %d %s", name, i, got.status, got.text)
			}
		}
	}
	metadata := a.bytes(t, "ciphertextMetadata")
	for what, alter := range map[string]func(map[string]any){
		"no data":               func(m map[string]any) { delete(m, "additionalAuthenticatedData") },
		"no metadata":           func(m map[string]any) { delete(m, "ciphertextMetadata") },
		"metadata moved":        func(m map[string]any) { m["additionalAuthenticatedData"] = b64(append(bytes.Clone(aad), metadata...)) },
		"a longer vector":       func(m map[string]any) { m["initializationVector"] = b64(make([]byte, 16)) },
		"a byte less of cipher": func(m map[string]any) { m["ciphertext"] = b64(a.bytes(t, "ciphertext")[1:]) },
	} {
		body := decryptBody(a, aad)
		alter(body)
		if got := w.api("keys/foo/decrypt", body); got.name() != "InvalidCiphertextException" {
			t.Errorf("%s: %d %s", what, got.status, got.text)
		}
	}
	if got := w.api("keys/bar/decrypt", decryptBody(a, aad)); got.name() != "InvalidCiphertextException" {
		t.Errorf("under another key: %d %s", got.status, got.text)
	}
	again := w.api("keys/foo/encrypt", encryptBody([]byte("plaintext"), aad))
	if maps.Equal(again.body, a.body) || again.body["ciphertextMetadata"] == a.body["ciphertextMetadata"] {
		t.Error("two encryptions have the same key")
	}
}
