package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"trent/trenttest/process"
)

// clientCertificate is a certificate of a name, which is its own authority.
func clientCertificate(t *testing.T, name string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// With client-ca and client-name the proxy talks to nobody but AWS KMS of one Region.
func TestXksProxyClientCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key, err := process.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	const name = "cks.kms.eu-west-1.amazonaws.com"
	right, rightCA := clientCertificate(t, name)
	neighbour, neighbourCA := clientCertificate(t, "cks.kms.us-east-1.amazonaws.com")
	impostor, _ := clientCertificate(t, name)
	files := map[string][]byte{"cert.pem": cert, "key.pem": key, "ca.pem": append(rightCA, neighbourCA...)}
	for file, content := range files {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := xksServeCmd{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem"), ClientCA: filepath.Join(dir, "ca.pem"), ClientName: name}
	settings, err := c.tls()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx := t.Context()
	go func() {
		done <- serveXKS(ctx, l, settings, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }), slog.New(slog.DiscardHandler))
	}()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	for what, c := range map[string]struct {
		shown []tls.Certificate
		ok    bool
	}{
		"the right one": {[]tls.Certificate{right}, true}, "none": {nil, false}, "of another name": {[]tls.Certificate{neighbour}, false}, "of another authority": {[]tls.Certificate{impostor}, false},
	} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: c.shown}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
		res, err := client.Get("https://" + l.Addr().String() + "/ping")
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil {
			continue
		}
		if text, _ := io.ReadAll(res.Body); string(text) != "HTTP/1.1" {
			t.Errorf("spoken is %s", text)
		}
		_ = res.Body.Close()
	}
}

// A connection has a place until it ends, and without a free one nothing is accepted.
func TestXksProxyConnectionsAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := bounded{l, make(chan struct{}, 1)}
	for range 3 {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := b.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if len(b.slots) != cap(b.slots) {
			t.Errorf("%d places are taken by a connection", len(b.slots))
		}
		_ = c.Close()
		_ = c.Close() // once more frees no second place
		if len(b.slots) != 0 {
			t.Errorf("%d places are taken by none", len(b.slots))
		}
		_ = client.Close()
	}
}
