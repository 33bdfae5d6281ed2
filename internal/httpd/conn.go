package httpd

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
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

	limit  io.LimitedReader // over stream: bounds a header
	reader *bufio.Reader    // over limit

	// deadline is when the peer has had enough time, in Unix nanoseconds; zero is
	// never. It is noted here and acted upon by reap: a deadline of the
	// connection itself would have to be moved several times a request, each time
	// at the price of a timer, and all that is asked of it is to end, some
	// seconds on, what has stalled.
	deadline atomic.Int64

	// busy is 1 from the first byte of a request to the last of its answer, and -1
	// once the connection may take no more of them.
	busy atomic.Int32
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{server: s, net: nc, stream: nc, remote: nc.RemoteAddr().String()}
	c.addr = c.remote
	if host, _, err := net.SplitHostPort(c.remote); err == nil {
		c.addr = host
	}
	return c
}

// allow gives the peer so much time for what comes next.
func (c *conn) allow(d time.Duration) {
	c.deadline.Store(time.Now().Add(d).UnixNano())
}

// expire breaks the connection off if its time is up: what it waits for fails,
// and it ends as it would for any other failure.
func (c *conn) expire(now time.Time) {
	if d := c.deadline.Load(); d != 0 && now.UnixNano() > d {
		_ = c.net.SetDeadline(now) // it fails only on a closed connection
	}
}

// closeIfIdle ends a connection that is between two requests.
func (c *conn) closeIfIdle() {
	if c.busy.CompareAndSwap(0, -1) {
		_ = c.net.Close()
	}
}

// serve answers requests until the peer or the server has had enough.
func (c *conn) serve() {
	defer c.server.leave(c)
	defer c.net.Close()
	if !c.shakeHands() {
		return
	}
	c.limit = io.LimitedReader{R: c.stream}
	c.reader = bufio.NewReader(&c.limit)
	for c.next() && c.exchange() {
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
	c.allow(c.server.o.Limits.IdleTimeout)
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
	return more && c.busy.CompareAndSwap(1, 0) && !c.server.isClosing()
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
	for _, values := range r.Header {
		for _, v := range values {
			if !validValue(v) {
				return fault.New(wire.BadRequest, "A header has a control character in its value.")
			}
		}
	}
	return nil
}

func (c *conn) readFault(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fault.New(wire.RequestTimeout, "The request did not arrive in time.").Because(err)
	}
	if c.limit.N <= 0 {
		return fault.Newf(wire.HeaderTooLarge, "The header of the request is larger than %d bytes.", maxHeader)
	}
	return fault.New(wire.BadRequest, "The request is not HTTP/1.1.").Because(err)
}

// validValue knows the bytes that a header's value may have (RFC 9110, 5.5).
func validValue(v string) bool {
	for i := range len(v) {
		if b := v[i]; b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}
