// Package trenttest runs a whole Trent inside a test: the real server with a
// root of trust and a store of its own in a temporary directory, on a loopback
// port, gone when the test ends.
package trenttest

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"trent/internal/config"
	"trent/internal/recipient/devroot"
	"trent/internal/server"
)

// Account is the account that the administrator of a Server belongs to.
const Account = "111122223333"

// Server is a Trent that is serving.
type Server struct {
	URL             string // of the endpoint
	AccessKeyID     string // of the administrator
	SecretAccessKey string
	Region          string // that Client works in
	Dir             string // the data directory

	t     testing.TB
	o     options
	users map[string]aws.Credentials
	stop  func() // ends what is running now

	module *devroot.Module // of WithEnclaves
}

type options struct {
	region    string
	partition string
	now       func() time.Time
	users     []user
	issuer    bool
	enclaves  bool
	proxy     *httptest.Server
}

// An Option alters a Server before it starts.
type Option func(*options)

// WithRegion sets the Region that Client works in; the default is us-east-1. The
// server accepts any.
func WithRegion(name string) Option { return func(o *options) { o.region = name } }

// InChina puts the server into the partition aws-cn, and Client into cn-north-1.
func InChina() Option {
	return func(o *options) { o.region, o.partition = "cn-north-1", "aws-cn" }
}

// WithClock gives the server another clock, to which its clients keep too. It
// must be fit for use by many goroutines.
func WithClock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// WithLoopbackIssuers lets the server ask OpenID Connect issuers on loopback addresses for
// their keys, by HTTP: an issuer that a test makes. It is registered as https://127.0.0.1:PORT
// and says http://127.0.0.1:PORT of itself.
func WithLoopbackIssuers() Option { return func(o *options) { o.issuer = true } }

// WithUser adds a user, also of another account, with identity policies. The
// name must be unique among the users of the server. ClientAs acts as the user.
func WithUser(account, name string, policies ...string) Option {
	return func(o *options) { o.users = append(o.users, user{account, name, policies}) }
}

// Start starts a server and has it closed when the test ends.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := options{region: "us-east-1", partition: "aws", now: time.Now}
	for _, opt := range opts {
		opt(&o)
	}
	s := &Server{Region: o.region, Dir: filepath.Join(t.TempDir(), "data"), t: t, o: o}
	where := config.Store{Dir: s.Dir}
	if err := server.Init(t.Context(), where, config.Init{Account: Account, Partition: o.partition}, o.now()); err != nil {
		t.Fatalf("trenttest: %v", err)
	}
	admin, err := readCredentials(server.CredentialsFile(where))
	if err != nil {
		t.Fatalf("trenttest: %v", err)
	}
	s.AccessKeyID, s.SecretAccessKey = admin.AccessKeyID, admin.SecretAccessKey
	if s.users, err = addUsers(t.Context(), s.Dir, o.users, o.now()); err != nil {
		t.Fatalf("trenttest: %v", err)
	}
	if o.enclaves {
		if err := s.makeEnclaves(o.now()); err != nil {
			t.Fatalf("trenttest: %v", err)
		}
	}
	s.start("127.0.0.1:0")
	t.Cleanup(func() { s.stop() })
	return s
}

// Restart stops the server in good order and opens what it left, at the same
// address.
func (s *Server) Restart() {
	s.t.Helper()
	s.stop()
	s.start(strings.TrimPrefix(s.URL, "http://"))
}

// start opens the data directory and serves it.
func (s *Server) start(address string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	where := settings(address)
	where.OIDCAllowHTTPLoopback = s.o.issuer
	if s.o.enclaves {
		where.AttestationDevRoot = s.attestationRoot()
	}
	if s.o.proxy != nil {
		file, address := s.trustProxy(s.t)
		where.XKSCA, where.XKSProxies = file, []string{address}
	}
	srv, err := server.Open(ctx, config.Store{Dir: s.Dir}, where, slog.New(slog.DiscardHandler), s.o.now)
	if err != nil {
		cancel()
		s.t.Fatalf("trenttest: open: %v", err)
	}
	l, err := srv.Listen()
	if err != nil {
		cancel()
		_ = srv.Close()
		s.t.Fatalf("trenttest: %v", err)
	}
	s.URL = "http://" + l.Addr().String()
	done := make(chan error, 1)
	go func(l net.Listener) { done <- srv.Serve(ctx, l) }(l)
	s.stop = func() {
		s.stop = func() {}
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("trenttest: serve: %v", err)
		}
		if err := srv.Close(); err != nil {
			s.t.Errorf("trenttest: close: %v", err)
		}
	}
}

// settings are those of trent serve, with less room: a test is small.
func settings(address string) config.Serve {
	return config.Serve{
		Listen: address, Regions: []string{"*"}, CacheKeys: 1024,
		HeaderTimeout: 5 * time.Second, RequestTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxConnections: 1024, ShutdownGrace: 10 * time.Second,
		AttestationMaxAge: 5 * time.Minute, AttestationSkew: time.Minute, XKSTimeout: 10 * time.Second,
	}
}

// Client makes an SDK client that acts as the administrator.
func (s *Server) Client(t testing.TB) *kms.Client {
	t.Helper()
	return s.client(t, aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}, s.Region)
}

// ClientIn is Client in another Region.
func (s *Server) ClientIn(t testing.TB, region string) *kms.Client {
	t.Helper()
	return s.client(t, aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey}, region)
}

// ClientAs makes an SDK client that acts as a user of WithUser.
func (s *Server) ClientAs(t testing.TB, name string) *kms.Client {
	t.Helper()
	c, ok := s.users[name]
	if !ok {
		t.Fatalf("trenttest: there is no user %s", name)
	}
	return s.client(t, c, s.Region)
}

func (s *Server) client(t testing.TB, c aws.Credentials, region string) *kms.Client {
	h := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(h.CloseIdleConnections)
	return kms.New(kms.Options{
		Region: region, BaseEndpoint: aws.String(s.URL), HTTPClient: h,
		Credentials:  credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, ""),
		HTTPSignerV4: clockSigner{v4.NewSigner(), s.o.now},
	})
}

// clockSigner signs at the time of the server's clock.
type clockSigner struct {
	*v4.Signer
	now func() time.Time
}

// SignHTTP implements kms.HTTPSignerV4.
func (c clockSigner) SignHTTP(ctx context.Context, cred aws.Credentials, r *http.Request, hash, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) error {
	return c.Signer.SignHTTP(ctx, cred, r, hash, service, region, c.now(), opts...)
}

// AuditLog is what the server has written down so far, a line for each request
// that it answered.
func (s *Server) AuditLog(t testing.TB) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.Dir, "audit.log"))
	if err != nil {
		t.Fatalf("trenttest: %v", err)
	}
	text := strings.TrimSuffix(string(b), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
