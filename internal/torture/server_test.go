package torture

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// server is the built binary on a data directory of its own.
type server struct {
	binary, data, addr string
	keyID, secret      string
	cmd                *exec.Cmd
	stderr             bytes.Buffer
}

func newServer(t *testing.T) *server {
	dir := t.TempDir()
	s := &server{binary: filepath.Join(dir, "trent"), data: filepath.Join(dir, "data")}
	if out, err := exec.Command("go", "build", "-o", s.binary, "trent/cmd/trent").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if out, err := exec.Command(s.binary, "init", "--dir", s.data).CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	text, err := os.ReadFile(filepath.Join(s.data, "admin.credentials"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)aws_access_key_id = (\S+).*aws_secret_access_key = (\S+)`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("no access key in %s", text)
	}
	s.keyID, s.secret = string(found[1]), string(found[2])
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.kill(t) })
	return s
}

// start starts the server, if it does not run, and waits until it is ready.
func (s *server) start(t *testing.T) {
	t.Helper()
	if s.cmd != nil {
		return
	}
	s.stderr.Reset()
	s.cmd = exec.Command(s.binary, "serve", "--dir", s.data, "--listen", s.addr)
	s.cmd.Stderr = &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	cmd := s.cmd
	go func() { ended <- cmd.Wait() }()
	for range 2000 {
		select {
		case err := <-ended:
			t.Fatalf("the server did not start after a kill: %v\n%s", err, s.stderr.String())
		default:
		}
		if r, err := http.Get("http://" + s.addr + "/ready"); err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("the server was not ready in time\n%s", s.stderr.String())
}

// kill ends the server as the kernel would for want of memory.
func (s *server) kill(t *testing.T) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	for range 5000 { // its port and its lock are free once it is gone
		if c, err := net.Dial("tcp", s.addr); err != nil {
			break
		} else if err := c.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
	s.cmd = nil
}

// client is an SDK client that does not try again: an answer that did not come
// is one that the journal must not count.
func (s *server) client() *kms.Client {
	return kms.New(kms.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("http://" + s.addr), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(s.keyID, s.secret, ""),
	})
}
