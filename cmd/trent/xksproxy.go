package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"trent/internal/audit"
	"trent/internal/config"
	"trent/internal/declare"
	"trent/internal/server"
	"trent/internal/xksproxy"
)

type xksProxyCmd struct {
	Serve      xksServeCmd      `cmd:"" default:"withargs" help:"Serve the XKS proxy API over keys of a Trent."`
	Credential xksCredentialCmd `cmd:"" help:"Make a credential that the proxy takes, for the key store that uses it."`
}

// xksServeCmd serves the XKS proxy API. It is a client of a Trent like any other, with an access key of its own.
type xksServeCmd struct {
	connection

	Listen      string `default:"127.0.0.1:7667" placeholder:"ADDR" env:"TRENT_XKS_LISTEN" help:"Address to listen on."`
	TLSCert     string `name:"tls-cert" required:"" placeholder:"FILE" env:"TRENT_XKS_TLS_CERT" help:"Certificate chain, PEM; it is read again when it changes."`
	TLSKey      string `name:"tls-key" required:"" placeholder:"FILE" env:"TRENT_XKS_TLS_KEY" help:"Key of the certificate, PEM."`
	Credentials string `required:"" placeholder:"FILE" env:"TRENT_XKS_CREDENTIALS" help:"Credentials that requests are signed with; it is read again when it changes."`
	PathPrefix  string `name:"path-prefix" placeholder:"PATH" env:"TRENT_XKS_PATH_PREFIX" help:"What stands before /kms/xks/v1 in paths, such as /example."`
	Aliases     string `default:"alias/xks/" placeholder:"PREFIX" env:"TRENT_XKS_ALIASES" help:"What the aliases of the keys that are served begin with."`

	ClientCA   string `name:"client-ca" placeholder:"FILE" env:"TRENT_XKS_CLIENT_CA" help:"Want certificates of clients, of these authorities, PEM."`
	ClientName string `name:"client-name" placeholder:"NAME" env:"TRENT_XKS_CLIENT_NAME" help:"Common name that they must have, such as cks.kms.eu-west-1.amazonaws.com."`

	AllowPrincipal []string `name:"allow-principal" placeholder:"ARN" env:"TRENT_XKS_ALLOW_PRINCIPAL" help:"Principals that may use keys, by their client's word; a * at the end is any rest. May be given again; default: any."`
	AllowKey       []string `name:"allow-key" placeholder:"ARN" env:"TRENT_XKS_ALLOW_KEY" help:"KMS keys that may use keys here, by the same rules."`

	AuditFile string        `name:"audit-file" default:"xks-audit.log" placeholder:"FILE" env:"TRENT_XKS_AUDIT_FILE" help:"Audit log of the proxy."`
	AuditSync bool          `name:"audit-sync" env:"TRENT_XKS_AUDIT_SYNC" help:"Sync the audit log before each answer."`
	Timeout   time.Duration `default:"200ms" env:"TRENT_XKS_PROXY_TIMEOUT" help:"Time for an answer of the Trent behind it. AWS KMS waits 250ms in all."`
	LogFormat string        `name:"log-format" default:"text" enum:"text,json" env:"TRENT_LOG_FORMAT" help:"Form of the log: text or json."`
	LogLevel  string        `name:"log-level" default:"info" enum:"debug,info,warn,error" env:"TRENT_LOG_LEVEL" help:"Least level to log: debug, info, warn or error."`
}

// Run implements the command.
func (c *xksServeCmd) Run(w *world) error {
	log, err := newLogger(w, config.Serve{LogFormat: c.LogFormat, LogLevel: c.LogLevel})
	if err != nil {
		return err
	}
	if err := harden(); err != nil {
		log.Warn("the process could not be kept from being dumped", "error", err)
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return err
	}
	sink, err := audit.OpenFile(c.AuditFile, c.AuditSync)
	if err != nil {
		return err
	}
	handler, err := c.proxy(log, sink)
	if err != nil {
		return errors.Join(err, sink.Close())
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), sink.Close())
	}
	log.Info("serving", "address", l.Addr().String(), "tls", true, "path", c.PathPrefix+"/kms/xks/v1", "trent", c.Endpoint, "keys", c.Aliases)
	return errors.Join(serveXKS(w.ctx, l, tlsConfig, handler, log), sink.Close())
}

func (c *xksServeCmd) proxy(log *slog.Logger, sink audit.Sink) (http.Handler, error) {
	if err := xksproxy.CheckPrefix(c.PathPrefix); err != nil {
		return nil, fmt.Errorf("path-prefix: %w", err)
	}
	keys, err := xksproxy.OpenCredentials(c.Credentials, log)
	if err != nil {
		return nil, err
	}
	own, err := c.connection.credentials()
	if err != nil {
		return nil, err
	}
	h, err := httpClient(c.CA)
	if err != nil {
		return nil, err
	}
	client := kms.New(kms.Options{
		Region: c.Region, BaseEndpoint: aws.String(c.Endpoint), HTTPClient: h, RetryMaxAttempts: 1,
		Credentials: credentials.StaticCredentialsProvider{Value: own},
	})
	return xksproxy.New(xksproxy.Options{
		Prefix: c.PathPrefix, Keys: keys, Manager: &xksproxy.Trent{Client: client, Prefix: c.Aliases},
		Principals: c.AllowPrincipal, KMSKeys: c.AllowKey,
		Audit: sink, Version: version(), Timeout: c.Timeout, Log: log, Now: time.Now,
	}), nil
}

// tls are the settings for the listener. The API has no form without TLS.
func (c *xksServeCmd) tls() (*tls.Config, error) {
	t, err := server.TLS(c.TLSCert, c.TLSKey)
	if err != nil || c.ClientCA == "" {
		if err == nil && c.ClientName != "" {
			err = errors.New("client-name needs client-ca")
		}
		return t, err
	}
	pem, err := os.ReadFile(c.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("client-ca: %w", err)
	}
	t.ClientAuth, t.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("client-ca: there is no certificate in %s", c.ClientCA)
	}
	if name := c.ClientName; name != "" {
		t.VerifyConnection = func(s tls.ConnectionState) error {
			if s.PeerCertificates[0].Subject.CommonName != name {
				return errors.New("the certificate of the client has another name")
			}
			return nil
		}
	}
	return t, nil
}

// What a client of the proxy may take, before it is known.
const (
	xksHeaderTime = 5 * time.Second
	xksTime       = 10 * time.Second
	xksIdleTime   = 2 * time.Minute
	xksMaxHeader  = 16 << 10 // bytes
	xksGrace      = 5 * time.Second

	xksConnections = 1024 // open at once; further ones wait
)

// bounded is a listener of so many connections at once.
type bounded struct {
	net.Listener
	slots chan struct{}
}

// Accept implements net.Listener.
func (b bounded) Accept() (net.Conn, error) {
	b.slots <- struct{}{}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &boundedConn{Conn: c, leave: sync.OnceFunc(func() { <-b.slots })}, nil
}

type boundedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// serveXKS answers until ctx ends, and then lets the requests in flight finish.
func serveXKS(ctx context.Context, l net.Listener, t *tls.Config, h http.Handler, log *slog.Logger) error {
	s := &http.Server{
		Handler: h, TLSConfig: t, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: xksHeaderTime, ReadTimeout: xksTime, WriteTimeout: xksTime, IdleTimeout: xksIdleTime, MaxHeaderBytes: xksMaxHeader,
	}
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true) // and no other: docs/decisions/0004-the-door.md
	done := make(chan error, 1)
	go func() { done <- s.ServeTLS(bounded{l, make(chan struct{}, xksConnections)}, "", "") }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), xksGrace)
	defer cancel()
	err := s.Shutdown(grace)
	<-done
	return err
}

type xksCredentialCmd struct {
	Credentials string `required:"" placeholder:"FILE" env:"TRENT_XKS_CREDENTIALS" help:"Credentials of the proxy; the file is made, or the new one added to it."`
	PathPrefix  string `name:"path-prefix" placeholder:"PATH" env:"TRENT_XKS_PATH_PREFIX" help:"What stands before /kms/xks/v1 in the proxy's paths."`
}

// Run implements the command. What it prints is the file that the console of AWS KMS takes.
func (c *xksCredentialCmd) Run(w *world) error {
	if err := xksproxy.CheckPrefix(c.PathPrefix); err != nil {
		return fmt.Errorf("path-prefix: %w", err)
	}
	var list []xksproxy.Credential
	content, err := os.ReadFile(c.Credentials)
	if err == nil {
		if list, err = xksproxy.ParseCredentials(content); err != nil {
			return fmt.Errorf("%s: %w", c.Credentials, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh := xksproxy.NewCredential()
	if content, err = xksproxy.FormatCredentials(append(list, fresh)); err != nil {
		return err
	}
	if _, err := xksproxy.ParseCredentials(content); err != nil {
		return fmt.Errorf("%s: %w: take an old one out first", c.Credentials, err)
	}
	if err := declare.ReplaceFile(c.Credentials, content); err != nil {
		return err
	}
	return printJSON(w.stdout, map[string]any{"XksProxyUriPath": c.PathPrefix + "/kms/xks/v1", "XksProxyAuthenticationCredential": fresh})
}
