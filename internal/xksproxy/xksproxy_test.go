package xksproxy_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"trent/internal/fault"
	"trent/internal/xksproxy"
)

func TestValidation(t *testing.T) {
	w := newWorld(t)
	sealed := w.api("keys/foo/encrypt", encryptBody([]byte("plaintext"), nil))
	without := func(name string) map[string]any {
		m := about("Decrypt")
		delete(m, name)
		return m
	}
	for what, c := range map[string]struct {
		path  string
		alter func(map[string]any)
		name  string
	}{
		"no principal":  {"encrypt", func(m map[string]any) { m["requestMetadata"] = without("awsPrincipalArn") }, "ValidationException"},
		"no key ARN":    {"decrypt", func(m map[string]any) { m["requestMetadata"] = without("kmsKeyArn") }, "ValidationException"},
		"no operation":  {"encrypt", func(m map[string]any) { m["requestMetadata"] = without("kmsOperation") }, "ValidationException"},
		"no request id": {"decrypt", func(m map[string]any) { m["requestMetadata"] = without("kmsRequestId") }, "ValidationException"},
		"a long principal": {"encrypt", func(m map[string]any) {
			m["requestMetadata"].(map[string]any)["awsPrincipalArn"] = strings.Repeat("a", 2049)
		}, "ValidationException"},
		"an unknown operation":        {"encrypt", func(m map[string]any) { m["requestMetadata"].(map[string]any)["kmsOperation"] = "BulkEncrypt" }, ""},
		"an unknown member":           {"encrypt", func(m map[string]any) { m["requestMetadata"].(map[string]any)["new"] = []int{1} }, ""},
		"another algorithm":           {"encrypt", func(m map[string]any) { m["encryptionAlgorithm"] = "AES_CBC" }, "ValidationException"},
		"no algorithm":                {"decrypt", func(m map[string]any) { delete(m, "encryptionAlgorithm") }, "ValidationException"},
		"another checksum":            {"encrypt", func(m map[string]any) { m["ciphertextDataIntegrityValueAlgorithm"] = "MD5" }, "ValidationException"},
		"no base64":                   {"encrypt", func(m map[string]any) { m["plaintext"] = "?" }, "ValidationException"},
		"base64 without padding":      {"encrypt", func(m map[string]any) { m["plaintext"] = "AA" }, "ValidationException"},
		"a number":                    {"encrypt", func(m map[string]any) { m["plaintext"] = 1 }, "ValidationException"},
		"4300 bytes":                  {"encrypt", func(m map[string]any) { m["plaintext"] = b64(make([]byte, 4300)) }, ""},
		"4301 bytes":                  {"encrypt", func(m map[string]any) { m["plaintext"] = b64(make([]byte, 4301)) }, "UnsupportedOperationException"},
		"8193 bytes of data":          {"encrypt", func(m map[string]any) { m["additionalAuthenticatedData"] = b64(make([]byte, 8193)) }, "UnsupportedOperationException"},
		"no vector":                   {"decrypt", func(m map[string]any) { delete(m, "initializationVector") }, "ValidationException"},
		"no tag":                      {"decrypt", func(m map[string]any) { m["authenticationTag"] = "" }, "ValidationException"},
		"no ciphertext":               {"decrypt", func(m map[string]any) { delete(m, "ciphertext") }, "ValidationException"},
		"21 bytes of metadata":        {"decrypt", func(m map[string]any) { m["ciphertextMetadata"] = b64(make([]byte, 21)) }, "ValidationException"},
		"data that is null":           {"decrypt", func(m map[string]any) { m["additionalAuthenticatedData"] = nil }, ""},
		"another version of metadata": {"decrypt", func(m map[string]any) { m["ciphertextMetadata"] = b64(make([]byte, 17)) }, "InvalidCiphertextException"},
	} {
		body := encryptBody([]byte("plaintext"), nil)
		if c.path == "decrypt" {
			body = decryptBody(sealed, nil)
		}
		c.alter(body)
		if a := w.api("keys/foo/"+c.path, body); a.name() != c.name {
			t.Errorf("%s: %d %s, want %q", what, a.status, a.text, c.name)
		}
	}
	for what, body := range map[string]string{"nothing": "", "no object": "[]", "twice": `{"plaintext":"AA==","plaintext":"AA=="}`, "deep": strings.Repeat("[", 20000)} {
		if a := w.post(w.own, prefix+"/kms/xks/v1/keys/foo/encrypt", body); a.name() != "ValidationException" {
			t.Errorf("%s: %d %s", what, a.status, a.text)
		}
	}
	if a := w.post(w.own, prefix+"/kms/xks/v1/keys/foo/encrypt", strings.Repeat(" ", 65<<10)); a.name() != "ValidationException" {
		t.Errorf("a large body: %d %s", a.status, a.text)
	}
}

func TestPaths(t *testing.T) {
	w := newWorld(t)
	body := text(t, encryptBody([]byte("plaintext"), nil))
	for _, path := range []string{"/", "/kms/xks/v1/health", prefix + "/kms/xks/v2/health", prefix + "/kms/xks/v1/keys/foo", prefix + "/kms/xks/v1/keys//encrypt",
		prefix + "/kms/xks/v1/keys/foo/encrypt/", prefix + "/kms/xks/v1/keys/foo/sign", prefix + "/kms/xks/v1/keys/foo/encrypt?x=1", prefix + "/kms/xks/v1/keys/f%6fo/encrypt", prefix + "/kms/xks/v1/health/"} {
		a := w.post(w.own, path, body)
		if a.name() != "InvalidUriPathException" && a.name() != "AuthenticationFailedException" || a.status == 200 {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		r, err := http.NewRequestWithContext(t.Context(), method, w.server.URL+prefix+"/kms/xks/v1/health", nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := w.do(r); a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, a.status)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/ping", nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.server.Client().Do(r)
	if err != nil || got.StatusCode != 200 {
		t.Errorf("ping: %v", err)
	} else {
		_ = got.Body.Close()
	}
	if w.manager.asked != 0 {
		t.Errorf("the manager was asked %d times", w.manager.asked)
	}
}

// Nobody gets to a key without a signature, over the path and the body too, that is not old.
func TestSEC_A03_SignatureCoversPathAndBody(t *testing.T) {
	w := newWorld(t)
	body := text(t, encryptBody([]byte("plaintext"), nil))
	signed := func() *http.Request {
		var kept *http.Request
		client := w.server.Client()
		transport := client.Transport
		client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			kept = r.Clone(r.Context())
			return transport.RoundTrip(r)
		})
		w.post(w.own, prefix+"/kms/xks/v1/keys/foo/encrypt", body)
		client.Transport = transport
		kept.Body, kept.ContentLength = http.NoBody, 0
		return kept
	}
	with := func(r *http.Request, body string) *http.Request {
		r.Body, r.ContentLength = readCloser{strings.NewReader(body)}, int64(len(body))
		return r
	}
	for what, r := range map[string]*http.Request{
		"another body": with(signed(), strings.Replace(body, "Encrypt", "Decrypt", 1)),
		"another path": func() *http.Request {
			r := with(signed(), body)
			r.URL.Path = prefix + "/kms/xks/v1/keys/foo/decrypt"
			return r
		}(),
		"no signature":     func() *http.Request { r := with(signed(), body); r.Header.Del("Authorization"); return r }(),
		"an unsigned date": func() *http.Request { r := with(signed(), body); r.Header.Set("X-Amz-Other", "1"); return r }(),
	} {
		if a := w.do(r); a.status != 401 || a.name() != "AuthenticationFailedException" {
			t.Errorf("%s: %d %s", what, a.status, a.text)
		}
	}
	for _, skew := range []time.Duration{-6 * time.Minute, 6 * time.Minute} {
		w.now = func() time.Time { return time.Now().Add(skew) }
		if a := w.api("keys/foo/encrypt", encryptBody([]byte("x"), nil)); a.name() != "AuthenticationFailedException" {
			t.Errorf("signed %s from now: %d %s", skew, a.status, a.text)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type readCloser struct{ *strings.Reader }

// Close implements io.Closer.
func (readCloser) Close() error { return nil }

func TestManagerFailures(t *testing.T) {
	w := newWorld(t)
	set := func(err error) {
		w.manager.mu.Lock()
		defer w.manager.mu.Unlock()
		w.manager.fails = err
	}
	for name, status := range map[string]int{"InvalidStateException": 400, "AccessDeniedException": 403, "ThrottlingException": 429, "InvalidKeyUsageException": 400, "DependencyTimeoutException": 503, "InternalException": 500} {
		set(fault.New(fault.Code(name), "a text"))
		if a := w.api("keys/foo/encrypt", encryptBody([]byte("x"), nil)); a.name() != name || a.status != status {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	set(errors.New("something with details"))
	if a := w.api("keys/foo/encrypt", encryptBody([]byte("x"), nil)); a.name() != "InternalException" || strings.Contains(a.text, "details") {
		t.Errorf("an error without a name: %d %s", a.status, a.text)
	}
	health := map[string]any{"requestMetadata": map[string]any{"kmsOperation": "KmsHealthCheck", "kmsRequestId": "1"}}
	if a := w.api("health", health); a.status != 200 || !strings.Contains(a.text, `"healthStatus":"UNAVAILABLE"`) {
		t.Errorf("health: %d %s", a.status, a.text)
	}
	set(nil)
	if a := w.api("health", health); a.status != 200 || !strings.Contains(a.text, `"healthStatus":"ACTIVE"`) {
		t.Errorf("health: %d %s", a.status, a.text)
	}
	w.manager.wait = time.Hour
	if a := w.api("keys/foo/encrypt", encryptBody([]byte("x"), nil)); a.name() != "DependencyTimeoutException" {
		t.Errorf("a manager that does not answer: %d %s", a.status, a.text)
	}
}

// The proxy may serve some principals and KMS keys alone, whatever its client's policies say.
func TestSecondDecision(t *testing.T) {
	w := newWorld(t, func(o *xksproxy.Options) {
		o.Principals, o.KMSKeys = []string{"arn:aws:iam::123456789012:role/app", "arn:aws:iam::123456789012:user/*"}, []string{"arn:aws:kms:us-east-2:123456789012:key/1"}
	})
	for _, c := range []struct{ principal, key, name string }{
		{"arn:aws:iam::123456789012:user/Alice", "arn:aws:kms:us-east-2:123456789012:key/1", ""},
		{"arn:aws:iam::123456789012:role/app", "arn:aws:kms:us-east-2:123456789012:key/1", ""},
		{"arn:aws:iam::123456789012:role/app2", "arn:aws:kms:us-east-2:123456789012:key/1", "AccessDeniedException"},
		{"arn:aws:iam::210987654321:user/Alice", "arn:aws:kms:us-east-2:123456789012:key/1", "AccessDeniedException"},
		{"arn:aws:iam::123456789012:user/Alice", "arn:aws:kms:us-east-2:123456789012:key/12", "AccessDeniedException"},
		{"ARN:aws:iam::123456789012:user/Alice", "arn:aws:kms:us-east-2:123456789012:key/1", "AccessDeniedException"},
	} {
		before := w.manager.asked
		body := encryptBody([]byte("x"), nil)
		m := body["requestMetadata"].(map[string]any)
		m["awsPrincipalArn"], m["kmsKeyArn"] = c.principal, c.key
		if a := w.api("keys/foo/encrypt", body); a.name() != c.name {
			t.Errorf("%s, %s: %d %s", c.principal, c.key, a.status, a.text)
		}
		if c.name != "" && w.manager.asked != before {
			t.Errorf("%s, %s: the key was used", c.principal, c.key)
		}
	}
	making := about("CreateKey")
	delete(making, "kmsKeyArn")
	if a := w.api("keys/foo/metadata", map[string]any{"requestMetadata": making}); a.status != 200 {
		t.Errorf("a KMS key that is to be made: %d %s", a.status, a.text)
	}
	if a := w.api("health", map[string]any{"requestMetadata": map[string]any{"kmsOperation": "KmsHealthCheck", "kmsRequestId": "1"}}); a.status != 200 {
		t.Errorf("health: %d %s", a.status, a.text)
	}
}

// Each answer has a record before it leaves, and no record has anything secret.
func TestSEC_E13_Audit(t *testing.T) {
	w := newWorld(t)
	a := w.api("keys/foo/encrypt", encryptBody([]byte("CANARY"), []byte("aad")))
	got := w.audit.last(t)
	params, _ := got["params"].(map[string]any)
	if got["operation"] != "Encrypt" || got["service"] != "kms-xks-proxy" || got["accessKeyId"] != w.own.AccessKeyID || got["status"] != 200.0 || got["region"] != "us-east-1" ||
		params["externalKeyId"] != "foo" || params["kmsRequestId"] != "4112f4d6-db54-4af4-ae30-c55a22a8dfae" || params["kmsOperation"] != "Encrypt" || params["awsPrincipalArn"] != "arn:aws:iam::123456789012:user/Alice" {
		t.Errorf("record %v", got)
	}
	w.api("keys/none/decrypt", decryptBody(a, []byte("aad")))
	if got := w.audit.last(t); got["error"] != "KeyNotFoundException" || got["status"] != 404.0 {
		t.Errorf("record %v", got)
	}
	bad := w.own
	bad.Secret = strings.Repeat("x", 43)
	w.post(bad, prefix+"/kms/xks/v1/keys/foo/encrypt", text(t, encryptBody([]byte("CANARY"), nil)))
	if got := w.audit.last(t); got["error"] != "AuthenticationFailedException" || got["accessKeyId"] != nil {
		t.Errorf("record %v", got)
	}
	for _, line := range w.audit.all {
		for _, secret := range []string{"CANARY", b64([]byte("CANARY")), w.own.Secret, a.body["ciphertext"].(string)} {
			if strings.Contains(line, secret) {
				t.Errorf("a record has %q: %s", secret, line)
			}
		}
	}
	w.audit.mu.Lock()
	w.audit.fails = errors.New("the disk is full")
	w.audit.mu.Unlock()
	if a := w.api("keys/foo/encrypt", encryptBody([]byte("x"), nil)); a.status != 500 || a.body["ciphertext"] != nil {
		t.Errorf("an answer without a record: %d %s", a.status, a.text)
	}
}

// Credentials change while the proxy runs: two are good at once, and the old one goes.
func TestCredentialRotation(t *testing.T) {
	w := newWorld(t)
	next := xksproxy.NewCredential()
	body := text(t, encryptBody([]byte("x"), nil))
	try := func(c xksproxy.Credential) int {
		return w.post(c, prefix+"/kms/xks/v1/keys/foo/encrypt", body).status
	}
	becomes := func(c xksproxy.Credential, want int) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); try(c) != want; {
			if time.Now().After(end) {
				t.Fatalf("the credential does not become %d", want)
			}
		}
	}
	if try(next) != 401 {
		t.Error("a credential that is not there is taken")
	}
	w.write(w.own, next)
	becomes(next, 200)
	if try(w.own) != 200 {
		t.Error("the old credential went with the new one")
	}
	w.write(next)
	becomes(w.own, 401)
	// The same id with another secret is another credential.
	changed := xksproxy.Credential{AccessKeyID: next.AccessKeyID, Secret: xksproxy.NewCredential().Secret}
	w.write(changed)
	becomes(next, 401)
	if try(changed) != 200 {
		t.Error("a changed secret is not taken")
	}
	if err := os.WriteFile(w.file, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if try(changed) != 200 {
		t.Error("a broken file takes away what was good")
	}
}

func TestCredentialsFile(t *testing.T) {
	path := t.TempDir() + "/credentials.json"
	good, err := xksproxy.FormatCredentials([]xksproxy.Credential{xksproxy.NewCredential()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := xksproxy.ParseCredentials(good); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, good, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := xksproxy.OpenCredentials(path, nil); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others may read: %v", err)
	}
	secret := strings.Repeat("s", 43)
	for what, content := range map[string]string{
		"nothing": "", "none": "[]", "an object": "{}", "an unknown member": `[{"AccessKeyId":"ABCDEFGHIJKLMNOPQRST","RawSecretAccessKey":"` + secret + `","x":1}]`,
		"a short id": `[{"AccessKeyId":"ABC","RawSecretAccessKey":"` + secret + `"}]`, "a short secret": `[{"AccessKeyId":"ABCDEFGHIJKLMNOPQRST","RawSecretAccessKey":"` + secret[1:] + `"}]`,
		"an id twice": `[{"AccessKeyId":"ABCDEFGHIJKLMNOPQRST","RawSecretAccessKey":"` + secret + `"},{"AccessKeyId":"ABCDEFGHIJKLMNOPQRST","RawSecretAccessKey":"` + secret + `"}]`,
	} {
		if _, err := xksproxy.ParseCredentials([]byte(content)); err == nil || strings.Contains(err.Error(), "sss") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPrefixes(t *testing.T) {
	for _, good := range []string{"", "/a", "/a/b-c_D9"} {
		if err := xksproxy.CheckPrefix(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"/", "a", "/a/", "/a//b", "/a.b", "/a b", "/" + strings.Repeat("a", 120)} {
		if xksproxy.CheckPrefix(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// FuzzRequest: of a body of anybody comes an answer of the API, and a record.
func FuzzRequest(f *testing.F) {
	f.Add("encrypt", []byte(`{"requestMetadata":{"awsPrincipalArn":"a","kmsKeyArn":"b","kmsOperation":"c","kmsRequestId":"d"},"plaintext":"AA==","encryptionAlgorithm":"AES_GCM"}`))
	f.Add("decrypt", []byte(`{"requestMetadata":null,"ciphertext":"AA==","initializationVector":"AAAAAAAAAAAAAAAA","authenticationTag":"AAAAAAAAAAAAAAAAAAAAAA=="}`))
	f.Add("metadata", []byte(`{}`))
	f.Fuzz(func(t *testing.T, operation string, body []byte) {
		code, content := xksproxy.Handle(t, &memory{keys: map[string][]byte{"foo": bytes.Repeat([]byte{7}, 32)}}, new(lines), operation, body)
		if code != 200 && !bytes.Contains(content, []byte(`"errorName":"`)) {
			t.Fatalf("%d %s", code, content)
		}
		if code >= 500 && code != 501 {
			t.Fatalf("%d %s", code, content)
		}
	})
}
