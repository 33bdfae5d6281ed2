package awskms_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"trent/internal/root"
	"trent/internal/root/awskms"
	"trent/internal/root/roottest"
	"trent/internal/secret"
	"trent/trenttest"
)

func open(t *testing.T, text string) root.Root {
	t.Helper()
	l, err := root.ParseLocator(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := awskms.Open(l)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// newKey makes a key in another Trent, and is its locator.
func newKey(t *testing.T, far *trenttest.Server) (id, locator string) {
	t.Helper()
	out, err := far.Client(t).CreateKey(context.Background(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	settings := url.Values{"endpoint": {far.URL}, "credentials": {filepath.Join(far.Dir, "admin.credentials")}}
	return *out.KeyMetadata.KeyId, "awskms:" + *out.KeyMetadata.Arn + "?" + settings.Encode()
}

func TestSuite(t *testing.T) {
	far := trenttest.Start(t)
	var locator string
	roottest.Run(t,
		func(t *testing.T) root.Root { _, locator = newKey(t, far); return open(t, locator) },
		func(t *testing.T) root.Root { return open(t, locator) })
}

// The three kinds of failure call for three different acts.
func TestFailures(t *testing.T) {
	ctx, key, aad := context.Background(), secret.New(make([]byte, root.KeySize)), []byte("aad")
	far := trenttest.Start(t)
	id, locator := newKey(t, far)
	r := open(t, locator)
	blob, err := r.Wrap(ctx, key, aad)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := far.Client(t).DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Unwrap(ctx, blob, aad); !errors.Is(err, root.ErrRefused) || !strings.Contains(err.Error(), "DisabledException") {
		t.Errorf("a disabled key: %v", err)
	}
	if _, err := open(t, strings.Replace(locator, id, "11111111-1111-1111-1111-111111111111", 1)).Unwrap(ctx, blob, aad); !errors.Is(err, root.ErrRefused) {
		t.Errorf("no such key: %v", err)
	}
	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + nowhere.Addr().String()
	if err := nowhere.Close(); err != nil {
		t.Fatal(err)
	}
	ill := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer ill.Close()
	for name, endpoint := range map[string]string{"nobody there": gone, "ill": ill.URL} {
		if _, err := open(t, strings.Replace(locator, url.QueryEscape(far.URL), url.QueryEscape(endpoint), 1)).Unwrap(ctx, blob, aad); !errors.Is(err, root.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, time.Nanosecond)
	defer cancel()
	if _, err := r.Unwrap(short, blob, aad); !errors.Is(err, root.ErrUnavailable) {
		t.Errorf("no time: %v", err)
	}
}

// The KMS writes down what its key is used for.
func TestEncryptionContextIsAudited(t *testing.T) {
	far := trenttest.Start(t)
	_, locator := newKey(t, far)
	if _, err := open(t, locator).Wrap(context.Background(), secret.New(make([]byte, root.KeySize)), []byte("cluster")); err != nil {
		t.Fatal(err)
	}
	if log := strings.Join(far.AuditLog(t), "\n"); !strings.Contains(log, `"trent:bound-to":"636c7573746572"`) {
		t.Errorf("audit log: %s", log)
	}
}

func TestLocators(t *testing.T) {
	const arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	shut := filepath.Join(t.TempDir(), "open.credentials")
	if err := os.WriteFile(shut, []byte("aws_access_key_id=a\naws_secret_access_key=b\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{
		"awskms:" + arn: true,
		"awskms:" + arn + "?endpoint=https://kms.example":   true,
		"awskms:" + arn + "?endpoint=http://127.0.0.1:7666": true,
		"awskms:" + arn + "?endpoint=http://10.0.0.1:7666":  false,
		"awskms:" + arn + "?endpoint=kms.example":           false,
		"awskms:" + arn + "?ca=/none":                       false,
		"awskms:" + arn + "?region=us-east-1":               false,
		"awskms:arn:aws:kms:eu-west-1:111122223333:alias/a": false,
		"awskms:1234abcd-12ab-34cd-56ef-1234567890ab":       false,
		"awskms": false,
	} {
		l, err := root.ParseLocator(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := awskms.Open(l); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
	r := open(t, "awskms:"+arn+"?endpoint=http://127.0.0.1:1&credentials="+shut)
	if _, err := r.Unwrap(context.Background(), []byte{1, 2}, nil); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("an access key for all to read: %v", err)
	}
}
