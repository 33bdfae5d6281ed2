package anchor

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"trent/internal/ledger"
	"trent/internal/root"
	"trent/internal/seal"
	"trent/internal/secret"
)

type plainRoot struct{}

func (plainRoot) ID() string { return "plain" }
func (plainRoot) Wrap(_ context.Context, key secret.Bytes, _ []byte) ([]byte, error) {
	return bytes.Clone(key.Expose()), nil
}
func (plainRoot) Unwrap(_ context.Context, blob, _ []byte) (secret.Bytes, error) {
	return secret.New(bytes.Clone(blob)), nil
}

func newSealer(t *testing.T) *seal.Sealer {
	t.Helper()
	_, s, err := seal.Create(t.Context(), []root.Root{plainRoot{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func position(s *seal.Sealer, epoch, entry uint64) ledger.Position {
	return ledger.Position{Cluster: s.Cluster(), Epoch: epoch, Entry: entry, Chain: ledger.Digest{byte(entry)}, Time: time.UnixMilli(1_700_000_000_123).UTC()}
}

// suite is what every kind of anchor must do. text names a place in which there is nothing.
func suite(t *testing.T, text string) {
	open := func() *Anchor {
		a, err := Open(text)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	s, a := newSealer(t), open()
	if _, there, err := a.Read(t.Context(), s); err != nil || there {
		t.Fatalf("an empty place: %v, %v", there, err)
	}
	want := func(a *Anchor, p ledger.Position) {
		t.Helper()
		if got, there, err := a.Read(t.Context(), s); err != nil || !there || got != p {
			t.Fatalf("it holds %+v, %v, %v; want %+v", got, there, err, p)
		}
	}
	to := func(a *Anchor, p ledger.Position) {
		t.Helper()
		if err := a.advance(t.Context(), s, p, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	to(a, position(s, 1, 7))
	want(open(), position(s, 1, 7))
	other := open() // another node
	to(other, position(s, 1, 9))
	to(a, position(s, 1, 8)) // behind: it stays
	want(a, position(s, 1, 9))
	to(a, position(s, 2, 3)) // a new epoch counts more than many entries
	want(other, position(s, 2, 3))
	if st := a.State(); st.Err != nil || st.Entry != 3 || st.Known.IsZero() {
		t.Errorf("its state is %+v", st)
	}
	// Who has read an older value does not replace a newer one.
	_, version, err := a.place.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to(other, position(s, 2, 4))
	if err := a.place.write(t.Context(), []byte("late"), version); !errors.Is(err, errMoved) {
		t.Errorf("a late write: %v", err)
	}
	// Nobody else's sealer opens it, and it is not overwritten for that.
	if _, _, err := a.Read(t.Context(), newSealer(t)); err == nil {
		t.Error("it opens for another store")
	}
	stranger := newSealer(t)
	if err := a.advance(t.Context(), stranger, position(stranger, 9, 9), time.Now()); err == nil {
		t.Error("another store has written over it")
	}
	want(a, position(s, 2, 4))
}

func TestSEC_E03_File(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trent.anchor")
	suite(t, "file:"+path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 1 {
		t.Errorf("there are %v, %v", left, err)
	}
}

// What was altered in the anchor is not believed.
func TestSEC_E03_Forged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trent.anchor")
	s := newSealer(t)
	a, err := Open("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.advance(t.Context(), s, position(s, 1, 7), time.Now()); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, there, err := a.Read(t.Context(), s); err == nil || there {
			t.Errorf("byte %d: it is believed", i)
		}
	}
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "write KIND:PLACE",
		"file":                       "name a file on another volume",
		"file:x?y=z":                 "no setting",
		"s3":                         "name an object",
		"s3://bucket":                "name an object",
		"s3://b/k?endpoint=http://x": "neither https nor on this machine",
		"tpm:x?index=5":              "no NV index",
		"paper:x":                    "there is no kind",
	} {
		if _, err := Open(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// objects stands for a service with the protocol of S3: it checks the signature of each
// request, and keeps If-Match and If-None-Match. How such a
// service counts ETags is its own affair: here they are numbers.
type objects struct {
	t *testing.T

	mu      sync.Mutex
	version int
	value   []byte
}

const (
	testKeyID  = "AKIAIOSFODNN7EXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

// signature is what Signature Version 4 (AWS, "Signature Calculations for the Authorization
// Header") gives for a request as it arrived, computed by the page.
func signature(r *http.Request, secretKey string) (want, got string) {
	auth := r.Header.Get("Authorization")
	part := func(name string) string {
		_, rest, _ := strings.Cut(auth, name+"=")
		value, _, _ := strings.Cut(rest, ",")
		return value
	}
	scope := strings.TrimPrefix(part("Credential"), testKeyID+"/")
	var headers strings.Builder
	for name := range strings.SplitSeq(part("SignedHeaders"), ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, headers.String(), part("SignedHeaders"), r.Header.Get("X-Amz-Content-Sha256")}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	key := []byte("AWS4" + secretKey)
	for step := range strings.SplitSeq(scope, "/") {
		key = mac(key, step)
	}
	return hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+r.Header.Get("X-Amz-Date")+"\n"+scope+"\n"+hex.EncodeToString(sum[:]))), part("Signature")
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (o *objects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		o.t.Error(err)
	}
	sum := sha256.Sum256(body)
	want, got := signature(r, testSecret)
	signed := strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/s3/aws4_request") && want == got
	if !signed || r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
		http.Error(w, "SignatureDoesNotMatch", http.StatusForbidden)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	etag := ""
	if o.version > 0 {
		etag = `"` + strconv.Itoa(o.version) + `"`
	}
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case r.Method == http.MethodGet && etag == "":
		http.Error(w, "NoSuchKey", http.StatusNotFound)
	case r.Method == http.MethodGet:
		w.Header().Set("ETag", etag)
		_, _ = w.Write(o.value)
	case match == "" && none == "":
		o.t.Error("a write without a condition")
	case none == "*" && etag != "" || match != "" && match != etag:
		http.Error(w, "PreconditionFailed", http.StatusPreconditionFailed)
	default:
		o.version, o.value = o.version+1, body
	}
}

func TestSEC_E03_ObjectStore(t *testing.T) {
	srv := httptest.NewServer(&objects{t: t})
	defer srv.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", testKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	t.Setenv("AWS_SESSION_TOKEN", "")
	place := "s3://bucket/trent/anchor-1?region=eu-west-1&endpoint=" + srv.URL
	suite(t, place)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "another secret, as long as those of AWS are")
	a, err := Open(place)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Read(t.Context(), newSealer(t)); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("with a wrong secret: %v", err)
	}
	srv.Close()
	if _, _, err := a.Read(t.Context(), newSealer(t)); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a store that does not answer: %v", err)
	}
}

func TestSEC_E03_TPM(t *testing.T) {
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("swtpm is missing, and there is no other TPM to try this with (on Debian: apt-get install swtpm)")
	}
	// Not t.TempDir: the path of a socket may have 107 bytes.
	dir, err := os.MkdirTemp("", "tpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	c := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	place := "tpm:" + socket + "?index=0x01800123"
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		a, err := Open(place)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err = a.Read(t.Context(), newSealer(t)); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	suite(t, place)
}

// A failure to write is logged when it begins, and what the anchor holds is told.
func TestFollowSaysWhatFails(t *testing.T) {
	s := newSealer(t)
	a, err := Open("file:" + filepath.Join(t.TempDir(), "gone", "anchor"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if err := a.advance(t.Context(), s, position(s, 1, 1), time.Now()); err == nil {
		t.Fatal("it was written into a directory that is not there")
	}
	slog.New(slog.NewTextHandler(&log, nil)).Info("state", "of", a.State().Err)
	if st := a.State(); st.Err == nil || !st.Known.IsZero() || !strings.Contains(log.String(), "cannot be read") {
		t.Errorf("its state is %+v", st)
	}
}
