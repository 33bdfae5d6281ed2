package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"trent/internal/config"
	"trent/internal/fault"
	"trent/internal/secret"
	"trent/internal/xksproxy"
)

// conformanceProxy is a proxy of external key stores for the conformance steps, which say what it must do. It is at
// a loopback port, under a certificate of its own.
type conformanceProxy struct {
	listener net.Listener
	tls      *tls.Config
	cert     string // file
	own      xksproxy.Credential
	proxies  map[string]http.Handler // by prefix
}

// newConformanceProxy makes the proxy. Its files lie in dir.
func newConformanceProxy(dir string) (*conformanceProxy, error) {
	p := &conformanceProxy{cert: filepath.Join(dir, "proxy.pem"), own: xksproxy.NewCredential(), proxies: make(map[string]http.Handler)}
	if err := p.certify(); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "proxy.credentials.json")
	content, err := xksproxy.FormatCredentials([]xksproxy.Credential{p.own})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return nil, err
	}
	keys, err := xksproxy.OpenCredentials(file, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	master := secret.New(make([]byte, 32))
	rand.Read(master.Expose())
	prefixes := []string{"/failing"}
	for i := 1; i <= 11; i++ {
		prefixes = append(prefixes, "/s"+strconv.Itoa(i))
	}
	for _, prefix := range prefixes {
		p.proxies[prefix] = xksproxy.New(xksproxy.Options{
			Prefix: prefix, Keys: keys, Manager: anyKey{master}, Audit: nowhere{}, Version: version(), Timeout: time.Second,
			Log: slog.New(slog.DiscardHandler), Now: time.Now,
		})
	}
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	return p, err
}

// certify makes the certificate, good for a day.
func (p *conformanceProxy) certify() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Trent conformance"}, DNSNames: []string{conformanceProxyName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0), BasicConstraintsValid: true, IsCA: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	p.tls = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return os.WriteFile(p.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

const conformanceProxyName = "proxy.example"

// settings lead a server to the proxy.
func (p *conformanceProxy) settings(o *config.Serve) {
	o.XKSCA, o.XKSProxies, o.XKSTimeout = p.cert, []string{conformanceProxyName + "=" + p.listener.Addr().String()}, 5*time.Second
}

// variables are those that the steps name.
func (p *conformanceProxy) variables() map[string]string {
	return map[string]string{"xks_endpoint": "https://" + conformanceProxyName, "xks_access_key": p.own.AccessKeyID, "xks_secret": p.own.Secret}
}

// serve answers until ctx ends.
func (p *conformanceProxy) serve(ctx context.Context) error {
	return serveXKS(ctx, p.listener, p.tls, p, slog.New(slog.DiscardHandler))
}

// ServeHTTP implements http.Handler. It fails where the steps want it to.
func (p *conformanceProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	prefix, _, _ := strings.Cut(r.RequestURI, "/kms/")
	h := p.proxies[prefix]
	if h == nil {
		h = p.proxies["/s1"] // which knows no such path
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil || prefix == "/broken" || prefix == "/failing" && bytes.Contains(body, []byte(`"ConnectCustomKeyStore"`)) {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.ServeHTTP(w, r)
}

// anyKey has every key but one.
type anyKey struct{ master secret.Bytes }

// Describe implements xksproxy.Manager.
func (anyKey) Describe(_ context.Context, id string) (xksproxy.Description, error) {
	if id == "absent" {
		return xksproxy.Description{}, fault.New(xksproxy.KeyNotFound, "")
	}
	return xksproxy.Description{Spec: "AES_256", Usage: []string{"ENCRYPT", "DECRYPT"}, Enabled: id != "disabled"}, nil
}

// Derive implements xksproxy.Manager. The input names the key.
func (k anyKey) Derive(_ context.Context, id string, input []byte) (secret.Bytes, error) {
	if id == "absent" {
		return secret.Bytes{}, fault.New(xksproxy.KeyNotFound, "")
	}
	h := hmac.New(sha256.New, k.master.Expose())
	h.Write(input)
	return secret.New(h.Sum(nil)), nil
}

// Healthy implements xksproxy.Manager.
func (anyKey) Healthy(context.Context) error { return nil }

// nowhere keeps no audit: nothing in a conformance run is anybody's.
type nowhere struct{}

// Append implements audit.Sink.
func (nowhere) Append([]byte) error { return nil }

// withConformanceProxy runs f while the proxy serves.
func withConformanceProxy(ctx context.Context, dir string, f func(*conformanceProxy) error) error {
	p, err := newConformanceProxy(dir)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.serve(ctx) }()
	err = f(p)
	stop()
	return errors.Join(err, <-done)
}
