// Package httpd is the door: it takes connections and bytes, bounds them in
// number, size and time, asks sigv4 who it is, and hands what is left to the
// pipeline. It writes answers and decides nothing.
//
// Requests are parsed by net/http's own reader. The loop around it is ours, for
// two reasons: every answer, to a malformed request too, walks the road and is
// written down; and a good part of what http.Server does for a request serves
// handlers of another kind (docs/decisions/0004-the-door.md has the figures).
package httpd

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"trent/internal/pipeline"
	"trent/internal/sigv4"
)

// Limits bound what a peer may cost before it is known.
type Limits struct {
	HeaderTimeout     time.Duration // to send a request's header, or to shake hands
	RequestTimeout    time.Duration // to send the rest of a request, and to take an answer
	IdleTimeout       time.Duration // between two requests of a connection
	Connections       int           // open at once
	ConnectionsByAddr int           // open at once from one address; 0: as many as Connections
	BodyBytes         int64         // of bodies in memory at once, over all connections
}

// Options of a Server.
type Options struct {
	Road     *pipeline.Road
	Verifier *sigv4.Verifier
	Limits   Limits
	TLS      *tls.Config // nil: plain TCP
	// TrustedProxies are the networks of proxies whose X-Forwarded-For and
	// X-Forwarded-Proto are believed.
	TrustedProxies []netip.Prefix
	// Mode is said in every answer, in the header x-trent-mode; empty: it is not.
	Mode string
	// Ready says why the server should get no requests at the moment, or nil.
	Ready func() error
	// Details is what /ready says further of the state of the server, in lines, to who asks
	// from this machine and not by way of a proxy; nil: nothing.
	Details func() string
	Log     *slog.Logger
	Now     func() time.Time
}

// Server is the door. Make it with New.
type Server struct {
	o        Options
	mode     string // a line of the header of every answer, with the break before it
	pool     buffers
	inFlight atomic.Int64 // bytes of bodies
	date     atomic.Pointer[date]
	start    time.Time
	slots    chan struct{} // one for each open connection

	closing atomic.Bool // set with mu held

	mu     sync.Mutex
	conns  map[*conn]struct{}
	byAddr map[string]int // open connections
	listen net.Listener
	gone   sync.WaitGroup // connections
}

// New makes a server.
func New(o Options) *Server {
	if o.Limits.ConnectionsByAddr == 0 {
		o.Limits.ConnectionsByAddr = o.Limits.Connections
	}
	mode := ""
	if o.Mode != "" {
		mode = "\r\nx-trent-mode: " + o.Mode
	}
	return &Server{
		o: o, mode: mode, start: time.Now(), slots: make(chan struct{}, o.Limits.Connections),
		conns: make(map[*conn]struct{}), byAddr: make(map[string]int),
	}
}

// Serve answers on l until Shutdown, then returns nil.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listen = l
	late := s.closing.Load()
	s.mu.Unlock()
	if late {
		return l.Close()
	}
	go s.reap()
	for {
		// Without a slot nothing is accepted, which leaves callers in the kernel's
		// queue.
		s.slots <- struct{}{}
		nc, err := l.Accept()
		if err == nil {
			s.admitConn(nc)
			continue
		}
		<-s.slots
		if s.closing.Load() {
			return nil
		}
		if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() || isTemporary(err) {
			s.o.Log.Warn("accept", "error", err)
			time.Sleep(acceptPause)
			continue
		}
		return err
	}
}

// acceptPause is how long to wait after an accept that failed for want of
// descriptors: there is nothing to be done but to let some go.
const acceptPause = 20 * time.Millisecond

// isTemporary knows the errors of accept that pass: out of descriptors or
// memory, or a connection that was gone before it was taken.
func isTemporary(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && !errors.Is(op, net.ErrClosed) && op.Temporary() //nolint:staticcheck // the one place where it says just this
}

// uptime is the time of deadlines. Setting the clock of the machine does not
// move it.
func (s *Server) uptime() time.Duration { return time.Since(s.start) }

// admitConn starts serving a connection, or hangs up where its address has as
// many as it may.
func (s *Server) admitConn(nc net.Conn) {
	c := newConn(s, nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() || s.byAddr[c.addr] >= s.o.Limits.ConnectionsByAddr {
		_ = nc.Close() // nothing was promised to it
		<-s.slots
		return
	}
	s.byAddr[c.addr]++
	s.conns[c] = struct{}{}
	s.gone.Go(c.serve)
}

// leave is called once by each connection that was admitted, when it is over.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	if s.byAddr[c.addr]--; s.byAddr[c.addr] == 0 {
		delete(s.byAddr, c.addr)
	}
	delete(s.conns, c)
	s.mu.Unlock()
	<-s.slots
}

// Shutdown stops taking requests and waits until those in flight are answered.
// When ctx ends first, it breaks what is left and returns its error, even if
// some of it is stuck elsewhere than with its peer.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing.Store(true)
	if s.listen != nil {
		_ = s.listen.Close()
	}
	for c := range s.conns {
		c.closeIfIdle()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.gone.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		_ = c.net.Close()
	}
	s.mu.Unlock()
	select {
	case <-done:
	case <-time.After(breakTime):
	}
	return ctx.Err()
}

// breakTime is how long connections that were broken off may take to end.
const breakTime = time.Second

// reapEvery is how late a deadline may act.
const reapEvery = 100 * time.Millisecond

// reap acts on the deadlines of all connections, until the last one is gone
// after Shutdown.
func (s *Server) reap() {
	t := time.NewTicker(reapEvery)
	defer t.Stop()
	for range t.C {
		now := s.uptime()
		s.mu.Lock()
		for c := range s.conns {
			c.expire(now)
		}
		over := s.closing.Load() && len(s.conns) == 0
		s.mu.Unlock()
		if over {
			return
		}
	}
}
