package xks

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"trent/internal/keystore"
)

// Options of a Client.
type Options struct {
	// Roots are trusted to certify proxies; nil: those of the system.
	Roots *x509.CertPool
	// Addresses are of proxies that the operator of Trent vouches for, by the host name of their
	// endpoint in lower case: host and port. Such a proxy may be anywhere, on a loopback address too.
	Addresses map[string]string
	// Hosts are those that endpoints may name, in lower case; none: any.
	Hosts []string
	// Timeout bounds each request; zero: DefaultTimeout.
	Timeout time.Duration
	// Log is told when a proxy begins to fail, and when it is well again; nil: nobody is.
	Log *slog.Logger
	Now func() time.Time // nil: time.Now
}

func (o *Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// What the proxies may have of us.
const (
	maxConnections = 64 // open to one proxy
	idleTime       = 90 * time.Second
	maxHeader      = 16 << 10 // bytes
)

// transport keeps connections to proxies. There is no way around TLS, no proxy of HTTP in between, and
// redirects are answers like any other.
func (o *Options) transport() *http.Transport {
	return &http.Transport{
		DialContext:            o.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots, Time: o.now},
		MaxConnsPerHost:        maxConnections,
		MaxIdleConnsPerHost:    maxConnections,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}
}

// mayAsk reports whether an endpoint may name a host.
func (o *Options) mayAsk(host string) bool {
	return len(o.Hosts) == 0 || slices.Contains(o.Hosts, strings.ToLower(host))
}

func (o *Options) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("xks: %w", err)
	}
	if vouched, ok := o.Addresses[strings.ToLower(host)]; ok {
		return new(net.Dialer).DialContext(ctx, network, vouched)
	}
	return (&net.Dialer{Control: checkAddress}).DialContext(ctx, network, address)
}

// checkAddress keeps whoever may name a proxy from leading us to where only this machine, or
// its cloud, should be asked. It sees the address that is dialled, whatever name led there. Private
// networks are no such place: that is where key managers are.
func checkAddress(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("xks: %w", err)
	}
	a := ap.Addr().Unmap()
	if a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a == cloudMetadata {
		return fmt.Errorf("xks: no proxy is asked at %s", a)
	}
	return nil
}

// cloudMetadata is where instances of EC2 are told their secrets by IPv6. By IPv4 it is a
// link-local address.
var cloudMetadata = netip.MustParseAddr("fd00:ec2::254")

// failure says what kind of failure the transport has met.
func failure(ctx context.Context, err error) *keystore.Failure {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return keystore.Fail(keystore.Unreachable, err)
	}
	if isTLS(err) {
		return keystore.Fail(keystore.BadTLS, err)
	}
	if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return keystore.Fail(keystore.TimedOut, err)
	}
	return keystore.Fail(keystore.Unreachable, err)
}

func isTLS(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, opError := errors.AsType[*net.OpError](err)
	return certificate || alert || record || opError && strings.Contains(err.Error(), "tls: ")
}
