package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"trent/internal/config"
	"trent/internal/keyring"
	"trent/internal/keystore"
	"trent/internal/xks"
)

// externalProxies is what asks the proxies of external key stores.
func externalProxies(c config.Serve, log *slog.Logger, now func() time.Time) (*xks.Client, error) {
	o := xks.Options{Timeout: c.XKSTimeout, Log: log, Now: now, Addresses: make(map[string]string)}
	for _, pair := range c.XKSProxies {
		name, address, _ := strings.Cut(pair, "=")
		if host, port, err := net.SplitHostPort(address); err != nil || name == "" || host == "" || port == "" {
			return nil, fmt.Errorf("xks-proxy: %q is not HOST=ADDRESS:PORT, such as xks.example.com=10.0.0.7:8443", pair)
		}
		o.Addresses[strings.ToLower(name)] = address
	}
	for _, name := range c.XKSHosts {
		o.Hosts = append(o.Hosts, strings.ToLower(name))
	}
	if c.XKSCA == "" {
		return xks.New(o), nil
	}
	pem, err := os.ReadFile(c.XKSCA)
	if err != nil {
		return nil, fmt.Errorf("xks-ca: %w", err)
	}
	if o.Roots, err = x509.SystemCertPool(); err != nil {
		return nil, fmt.Errorf("xks-ca: the certificates of the system: %w", err)
	}
	if !o.Roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("xks-ca: there is no certificate in %s", c.XKSCA)
	}
	return xks.New(o), nil
}

// probeEvery is how often proxies that nobody uses are asked how they are.
const probeEvery = time.Minute

// probe keeps asking the proxies of connected key stores how they are, for the log alone: whether a key can
// be used is found out each time that one is.
func (s *Server) probe(proxies keystore.Proxies) {
	t := time.NewTicker(probeEvery)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		if err := s.probeOnce(context.Background(), proxies); err != nil {
			s.log.Error("probe of external key store proxies", "error", err)
		}
	}
}

func (s *Server) probeOnce(ctx context.Context, proxies keystore.Proxies) error {
	return s.ring.ConnectedProxies(ctx, func(region string, p *keystore.Proxy) {
		// What comes of it is noted where it is asked.
		_ = proxies.Health(ctx, p, keystore.Asked{Region: region, Operation: "KmsHealthCheck", RequestID: keyring.NewKeyID()})
	})
}
