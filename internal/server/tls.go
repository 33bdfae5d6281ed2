package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"trent/internal/config"
)

// tlsFrom makes the TLS settings, or nil where there are none.
func tlsFrom(o config.Serve) (*tls.Config, error) {
	if o.TLSCert == "" && o.TLSKey == "" {
		return nil, nil
	}
	if o.TLSCert == "" || o.TLSKey == "" {
		return nil, errors.New("tls-cert and tls-key go together: one of them is missing")
	}
	return TLS(o.TLSCert, o.TLSKey)
}

// TLS makes the settings of a server from the PEM files of a certificate chain and its key, which are read again
// when the certificate file changes.
func TLS(certFile, keyFile string) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if _, err := c.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, nil
}

// certificate reads its files again when the certificate file has changed, so
// that renewing it needs no restart.
type certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	changed time.Time
	looked  time.Time
	current *tls.Certificate
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.current != nil && now.Sub(c.looked) < time.Second {
		return c.current, nil
	}
	c.looked = now
	info, err := os.Stat(c.certFile)
	if err == nil && c.current != nil && info.ModTime().Equal(c.changed) {
		return c.current, nil
	}
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile); err == nil {
			c.current, c.changed = &pair, info.ModTime()
			return c.current, nil
		}
	}
	if c.current != nil {
		return c.current, nil // half-written files: the old pair serves until they are whole
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the TLS certificate: %w", err)
	}
	return nil, fmt.Errorf("the TLS certificate %s and its key %s: %w", c.certFile, c.keyFile, err)
}
