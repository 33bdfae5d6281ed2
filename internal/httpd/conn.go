package httpd

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trent/internal/fault"
	"trent/internal/wire"
)

// maxHeader bounds a request's header, in bytes.
const maxHeader = 16 << 10

// conn is one connection.
type conn struct {
	server *Server
	net    net.Conn // what was accepted
	stream net.Conn // net, or TLS over it
	addr   string   // host of the peer
	remote string   // host and port of the peer
	peer   netip.Addr

	limit  io.LimitedReader // over stream: bounds a header
	reader *bufio.Reader    // over limit

	// deadline is when the peer has had enough time, on the server's own clock
	// (Server.uptime), or never, or expired. It is noted here and acted upon by
	// reap: a deadline of the connection itself would have to be moved several
	// times a request, each time at the price of a timer, and all that is asked of
	// it is to end, some seconds on, what has stalled.
	deadline  atomic.Int64
	expiring  sync.Mutex    // held while expire acts
	firstWait time.Duration // for the first byte of the next request

	// busy is 1 from the first byte of a request to the last of its answer, and -1
	// once the connection may take no more of them.
	busy atomic.Int32
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, net: nc, stream: nc, remote: nc.RemoteAddr().String()}
	c.addr, c.peer = c.remote, addrOf(c.remote)
	if host, _, err := net.SplitHostPort(c.remote); err == nil {
		c.addr = host
	}
	return c
}

// Two values of a deadline that are no points in time.
const (
	never   = 0
	expired = -1
)

// allow gives the peer so much time for what comes next. A deadline that has
// passed counts no more: what failed by it may still be answered, and
// what took long in the house is not charged to the peer.
func (c *conn) allow(d time.Duration) {
	if c.deadline.Swap(int64(c.server.uptime()+d)) != expired {
		return
	}
	c.expiring.Lock() // until expire has done its part
	defer c.expiring.Unlock()
	_ = c.net.SetDeadline(time.Time{}) // it fails only on a closed connection
}

// expire fails what the connection waits for, if its time is up.
func (c *conn) expire(now time.Duration) {
	d := c.deadline.Load()
	if d <= never || int64(now) <= d {
		return
	}
	c.expiring.Lock()
	defer c.expiring.Unlock()
	if c.deadline.CompareAndSwap(d, expired) {
		_ = c.net.SetDeadline(longAgo) // it fails only on a closed connection
	}
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// closeIfIdle ends a connection that is between two requests.
func (c *conn) closeIfIdle() {
	if c.busy.CompareAndSwap(0, -1) {
		_ = c.net.Close()
	}
}

// serve answers requests until the peer or the server has had enough. A panic
// in here is an incident of ours that costs this connection and no other; it is
// logged without any value.
func (c *conn) serve() {
	defer c.server.leave(c)
	defer c.net.Close()
	defer func() {
		if p := recover(); p != nil {
			c.server.o.Log.Error("panic at the door", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		}
	}()
	if !c.shakeHands() {
		return
	}
	c.limit = io.LimitedReader{R: c.stream}
	c.reader = bufio.NewReader(&c.limit)
	c.firstWait = c.server.o.Limits.HeaderTimeout
	for c.next() && c.exchange() {
		c.firstWait = c.server.o.Limits.IdleTimeout
	}
}

// shakeHands sets TLS up, where it is wanted.
func (c *conn) shakeHands() bool {
	if c.server.o.TLS == nil {
		return true
	}
	c.allow(c.server.o.Limits.HeaderTimeout)
	t := tls.Server(c.net, c.server.o.TLS)
	c.stream = t
	if err := t.Handshake(); err != nil {
		c.server.o.Log.Debug("TLS handshake", "peer", c.remote, "error", err)
		return false
	}
	return true
}

// next waits for the first byte of a request. Blank lines before a request are
// passed over, as RFC 9112 (2.2) asks for the sake of old clients.
func (c *conn) next() bool {
	c.allow(c.firstWait)
	c.limit.N = maxHeader
	for blank := 0; blank < 4; blank++ {
		b, err := c.reader.Peek(1)
		if err != nil {
			return false
		}
		if b[0] != '\r' && b[0] != '\n' {
			break
		}
		_, _ = c.reader.Discard(1) // it has just been peeked at
	}
	return c.busy.CompareAndSwap(0, 1)
}

// exchange answers one request and reports whether there may be another.
func (c *conn) exchange() bool {
	c.allow(c.server.o.Limits.HeaderTimeout)
	r, err := http.ReadRequest(c.reader)
	more := c.answer(r, c.headerFault(r, err))
	return more && c.busy.CompareAndSwap(1, 0) && !c.server.closing.Load()
}

// headerFault says what is wrong with a header, in the order in which it would
// be found out.
func (c *conn) headerFault(r *http.Request, err error) error {
	if err != nil {
		return c.readFault(err)
	}
	c.limit.N = 1 << 62 // the body has a limit of its own
	if !r.ProtoAtLeast(1, 0) || r.ProtoAtLeast(2, 0) {
		return fault.New(wire.BadRequest, "The server speaks HTTP/1.1.")
	}
	if r.Host == "" {
		return fault.New(wire.BadRequest, "The request has no Host header.")
	}
	for name := range r.Header {
		// net/http refuses all that has no place in a name or a value, but for a
		// blank in front of the colon, and then does not see a Content-Length or
		// Transfer-Encoding that has one (RFC 9112, 5.1).
		if strings.Contains(name, " ") {
			return fault.New(wire.BadRequest, "A header has a blank in its name.")
		}
	}
	return nil
}

func (c *conn) readFault(err error) error {
	if c.deadline.Load() == expired { // a line that was cut off by it may be given as a whole one, without an error
		return because(fault.New(wire.RequestTimeout, "The request did not arrive in time."), err)
	}
	if c.limit.N <= 0 {
		return fault.Newf(wire.HeaderTooLarge, "The header of the request is larger than %d bytes.", maxHeader)
	}
	return because(fault.New(wire.BadRequest, "The request is not HTTP/1.1."), err)
}

// because attaches the cause to a fault if it is one of the connection. What a
// parser says quotes what it choked on, which may be part of a body, and would
// end up in the audit.
func because(f *fault.Error, err error) error {
	_, network := errors.AsType[net.Error](err)
	if network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return f.Because(err)
	}
	return f
}
