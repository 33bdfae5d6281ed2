package httpd

import (
	"net/http"
	"net/netip"
	"testing"
)

// An address is believed from a trusted proxy alone, and of a chain, the part
// that trusted proxies wrote.
func TestOrigin(t *testing.T) {
	for _, c := range []struct {
		name, peer, forwarded, proto string
		want                         string
		secure                       bool
	}{
		{"no proxy", "203.0.113.7:1", "", "", "203.0.113.7", false},
		{"a stranger's claim", "203.0.113.7:1", "10.0.0.1", "https", "203.0.113.7", false},
		{"a proxy", "10.0.0.9:1", "203.0.113.7", "https", "203.0.113.7", true},
		{"a proxy that ends no TLS", "10.0.0.9:1", "203.0.113.7", "http", "203.0.113.7", false},
		{"a proxy that says nothing", "10.0.0.9:1", "", "", "10.0.0.9", false},
		{"a claim before the proxy's word", "10.0.0.9:1", "127.0.0.1, 203.0.113.7", "https", "203.0.113.7", true},
		{"two proxies", "10.0.0.9:1", "198.51.100.1, 203.0.113.7, 10.1.2.3", "https", "203.0.113.7", true},
		{"all of them proxies", "10.0.0.9:1", "10.1.1.1, 10.1.2.3", "https", "10.1.1.1", true},
		{"a single address is trusted", "192.0.2.1:1", "203.0.113.7", "https", "203.0.113.7", true},
		{"its neighbour is not", "192.0.2.2:1", "203.0.113.7", "https", "192.0.2.2", false},
		{"IPv6", "[2001:db8::1]:1", "2001:db8:ffff::5", "https", "2001:db8:ffff::5", true},
		{"IPv4 within IPv6", "[::ffff:10.0.0.9]:1", "::ffff:203.0.113.7", "https", "203.0.113.7", true},
		{"unreadable", "10.0.0.9:1", "203.0.113.7, nonsense", "https", "unknown", true},
		{"with a port", "10.0.0.9:1", "203.0.113.7:80", "https", "unknown", true},
	} {
		s := &Server{o: Options{TrustedProxies: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/48"),
		}}}
		conn := &conn{server: s, remote: c.peer, peer: addrOf(c.peer)}
		r := &http.Request{Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		o := conn.origin(r)
		if got := o.addr.String(); o.secure != c.secure || got != c.want && (c.want != "unknown" || o.addr.IsValid()) {
			t.Errorf("%s: %s, secure %v", c.name, got, o.secure)
		}
	}
}
