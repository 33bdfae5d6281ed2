package trenttest

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// WithKeyStoreProxy lets the server reach the proxy of external key stores whose endpoint is https://example.com
// at a test's own TLS server, whose certificate it trusts.
func WithKeyStoreProxy(proxy *httptest.Server) Option {
	return func(o *options) { o.proxy = proxy }
}

// trustProxy writes the certificate of the proxy for the server.
func (s *Server) trustProxy(t testing.TB) (file, where string) {
	t.Helper()
	file = filepath.Join(filepath.Dir(s.Dir), "xks-ca.pem")
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.o.proxy.Certificate().Raw})
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatalf("trenttest: %v", err)
	}
	return file, "example.com=" + s.o.proxy.Listener.Addr().String()
}
