package httpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"trent/internal/iam"
	"trent/internal/identity"
	"trent/internal/keyring"
	"trent/internal/pipeline"
	"trent/internal/secret"
	"trent/internal/sigv4"
)

const (
	accessKey = "AKIAIOSFODNN7EXAMPLE"
	secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	patience  = 10 * time.Second // for what should take milliseconds
)

// noKeys is a ring without keys. What would need one panics, as a bug would.
type noKeys struct{ pipeline.Keys }

func (noKeys) Replay(context.Context, keyring.Sighting) (bool, bool, error) { return false, false, nil }
func (noKeys) Partition() string                                            { return "aws" }

// nobody stands for identities that no request asks about.
type nobody struct{ pipeline.Identities }

func (nobody) View() identity.View              { return identity.View{} }
func (nobody) Used(_, _, _ string, _ time.Time) {}

// directory knows one access key, of the root user.
type directory struct{ cred sigv4.Credential }

func newDirectory() directory {
	return directory{sigv4.Credential{Secret: secret.New([]byte(secretKey)), Revision: 1, Principal: &iam.Principal{
		Kind:      iam.RootUser,
		Partition: "aws", Account: "111122223333", ARN: "arn:aws:iam::111122223333:root", AccessKeyID: accessKey,
	}}}
}

func (d directory) Credential(_ context.Context, id, _ string) (sigv4.Credential, error) {
	if id != accessKey {
		return sigv4.Credential{}, sigv4.ErrUnknownKey
	}
	return d.cred, nil
}

// paper is an audit sink in memory. gate, if any, holds every line up.
type paper struct {
	mu    sync.Mutex
	lines []string
	gate  chan struct{}
	// reached gets a token for each line that arrives at the gate.
	reached chan struct{}
}

func (p *paper) Append(line []byte) error {
	if p.gate != nil {
		p.reached <- struct{}{}
		<-p.gate
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, string(line))
	return nil
}

func (p *paper) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[:len(p.lines):len(p.lines)]
}

// of finds the lines of a request.
func (p *paper) of(id string) (found []record) {
	for _, line := range p.all() {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err == nil && r.RequestID == id {
			found = append(found, r)
		}
	}
	return found
}

type record struct {
	RequestID, Operation, Error, Reason, UserAgent string
	Status                                         int
}

// door is a server on a loopback port, with what the tests look at.
type door struct {
	*Server
	t     testing.TB
	addr  string
	paper *paper
	log   *syncBuffer
	tls   *tls.Config // of clients
	ended chan error  // what Serve returned
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func limits() Limits {
	return Limits{
		HeaderTimeout: patience, RequestTimeout: patience, IdleTimeout: patience,
		Connections: 64, BodyBytes: 1 << 20,
	}
}

// open opens a door and shuts it when the test is over; then nothing may be
// left of any connection.
func open(t testing.TB, alter func(*Options, *paper)) *door {
	t.Helper()
	d := &door{t: t, paper: &paper{}, log: &syncBuffer{}, ended: make(chan error, 1)}
	o := Options{
		Verifier: sigv4.NewVerifier(newDirectory(), sigv4.Regions{Names: []string{"us-east-1"}}),
		Limits:   limits(), Ready: func() error { return nil },
		Log: slog.New(slog.NewTextHandler(d.log, nil)), Now: time.Now,
	}
	if alter != nil {
		alter(&o, d.paper)
	}
	o.Road = pipeline.New(pipeline.Options{Keys: noKeys{}, Identities: nobody{}, Audit: d.paper, Log: o.Log, Now: o.Now})
	d.Server = New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.addr = l.Addr().String()
	go func() { d.ended <- d.Serve(l) }()
	t.Cleanup(d.close)
	return d
}

func (d *door) close() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := d.Shutdown(ctx); err != nil {
		d.t.Errorf("Shutdown: %v", err)
	}
	if err := <-d.ended; err != nil {
		d.t.Errorf("Serve: %v", err)
	}
	d.idle()
}

// idle insists that every account is settled: no connection, no slot, no byte.
func (d *door) idle() {
	d.t.Helper()
	d.await("the accounts to be settled", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.conns) == 0 && len(d.byAddr) == 0 && len(d.slots) <= 1 && d.inFlight.Load() == 0
	})
}

func (d *door) await(what string, done func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("waited for %s in vain", what)
		}
	}
}

// A peer is the far end of a connection.
type peer struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func (d *door) dial() *peer {
	d.t.Helper()
	c, err := net.Dial("tcp", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(3 * patience))
	if d.tls != nil {
		c = tls.Client(c, d.tls)
	}
	return &peer{c, d.t, bufio.NewReader(c)}
}

func (p *peer) send(text string) *peer {
	p.t.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
	return p
}

// An answer is what came back.
type answer struct {
	*http.Response
	body string
}

func (a answer) id() string { return a.Header.Get("X-Amzn-Requestid") }

func (a answer) code() string {
	var e struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal([]byte(a.body), &e)
	return e.Type
}

func (p *peer) answer(method string) answer {
	p.t.Helper()
	r, err := http.ReadResponse(p.in, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer{r, string(body)}
}

// gone insists that the server ends the connection without another byte.
func (p *peer) gone() {
	p.t.Helper()
	rest, err := io.ReadAll(p.in)
	if len(rest) > 0 || errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatalf("instead of its end, the connection brought %q %v", rest, err)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		p.t.Fatal("the connection was left open")
	}
	_ = p.Close()
}

// signed is a request as a client of AWS sends it.
func signed(t testing.TB, operation, body string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://kms.test/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "TrentService."+operation)
	r.Header.Set("User-Agent", "test/1.0")
	sum := sha256.Sum256([]byte(body))
	cred := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}
	if err := v4.NewSigner().SignHTTP(context.Background(), cred, r, hex.EncodeToString(sum[:]), "kms", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func goodRequest(t testing.TB) string { return signed(t, "GenerateRandom", `{"NumberOfBytes":32}`) }

// works insists that a good request on this connection is served.
func (p *peer) works() answer {
	p.t.Helper()
	a := p.send(goodRequest(p.t)).answer("POST")
	if a.StatusCode != 200 || !strings.Contains(a.body, `"Plaintext"`) {
		p.t.Fatalf("a good request got %d %s", a.StatusCode, a.body)
	}
	return a
}
