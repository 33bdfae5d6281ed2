package httpd

import (
	"net/http"
	"net/netip"
	"strings"
)

// origin is where a request comes from, as far as it can be believed.
type origin struct {
	addr   netip.Addr // the zero Addr: unknown
	secure bool
	shown  string // for the audit record
}

// origin looks past proxies that are trusted, and believes nobody else: an
// X-Forwarded-For of any other peer is only what it claims. The list is read from
// the right, where the nearest proxy wrote; the first address that is no
// trusted proxy's is the caller. One that cannot be read leaves the caller unknown, so
// that no condition on addresses can be told: it allows nothing, and denies.
func (c *conn) origin(r *http.Request) origin {
	o := origin{addr: c.peer, secure: c.server.o.TLS != nil, shown: c.remote}
	if r == nil || !c.server.trusts(c.peer) {
		return o
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && c.server.trusts(o.addr); i-- {
		hop := strings.TrimSpace(hops[i])
		if hop == "" {
			break
		}
		addr, err := netip.ParseAddr(hop)
		if err != nil {
			o.addr, o.shown = netip.Addr{}, "unknown"
			break
		}
		o.addr = addr.Unmap().WithZone("")
		o.shown = o.addr.String()
	}
	if proto := r.Header["X-Forwarded-Proto"]; len(proto) > 0 {
		o.secure = strings.EqualFold(strings.TrimSpace(proto[len(proto)-1]), "https")
	}
	return o
}

func (s *Server) trusts(a netip.Addr) bool {
	for _, p := range s.o.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// addrOf is the address in what a connection calls its peer.
func addrOf(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
