package httpd

import (
	"net"
	"sync"
	"time"
)

// limitListener bounds the connections that are open at once, in all and from
// one address. At the first bound it stops accepting, which leaves callers in
// the kernel's queue; at the second it hangs up on that address alone.
func limitListener(l net.Listener, all, byAddr int) net.Listener {
	if byAddr == 0 {
		byAddr = all
	}
	limited := &limited{
		Listener: l, slots: make(chan struct{}, all), byAddr: byAddr, closed: make(chan struct{}),
		open: make(map[string]int), conns: make(map[*limitedConn]struct{}),
	}
	go limited.reap()
	return limited
}

type limited struct {
	net.Listener
	slots  chan struct{}
	byAddr int

	closing sync.Once
	closed  chan struct{}

	mu    sync.Mutex
	open  map[string]int // connections by address
	conns map[*limitedConn]struct{}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		addr := hostOf(c.RemoteAddr())
		conn := &limitedConn{Conn: c, from: l, addr: addr}
		if l.enter(conn) {
			return conn, nil
		}
		_ = c.Close() // nothing was promised to it
		<-l.slots
	}
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.closing.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *limited) enter(c *limitedConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[c.addr] >= l.byAddr {
		return false
	}
	l.open[c.addr]++
	l.conns[c] = struct{}{}
	return true
}

func (l *limited) leave(c *limitedConn) {
	l.mu.Lock()
	if l.open[c.addr]--; l.open[c.addr] == 0 {
		delete(l.open, c.addr)
	}
	delete(l.conns, c)
	l.mu.Unlock()
	<-l.slots
}

// reapEvery is how late a deadline may act.
const reapEvery = 100 * time.Millisecond

// reap acts on the deadlines of all connections until the listener has been
// closed and the last of them with it.
func (l *limited) reap() {
	t := time.NewTicker(reapEvery)
	defer t.Stop()
	for now := range t.C {
		l.mu.Lock()
		for c := range l.conns {
			c.expire(now)
		}
		last := len(l.conns) == 0
		l.mu.Unlock()
		select {
		case <-l.closed:
			if last {
				return
			}
		default:
		}
	}
}

// limitedConn is a connection of a limited listener.
//
// Its deadlines are only noted, and acted upon by reap. net/http moves them
// some five times a request, and each move of a real one costs a timer in the
// kernel of the runtime; all that is asked of them is to end, some seconds on,
// what has stalled.
type limitedConn struct {
	net.Conn
	from *limited
	addr string
	once sync.Once

	mu    sync.Mutex
	read  deadline
	write deadline
}

type deadline struct {
	at   time.Time // zero: none
	real bool      // one has been set on the connection itself, in the past
}

// past is a deadline that has been over for long. net/http sets such a one to
// interrupt a read, so whatever lies before it must act at once.
var past = time.Unix(1, 0)

// SetReadDeadline implements net.Conn.
func (c *limitedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read.set(t, c.Conn.SetReadDeadline)
}

// SetWriteDeadline implements net.Conn.
func (c *limitedConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.write.set(t, c.Conn.SetWriteDeadline)
}

// SetDeadline implements net.Conn.
func (c *limitedConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

func (d *deadline) set(t time.Time, really func(time.Time) error) error {
	d.at = t
	now := !t.IsZero() && !t.After(past)
	if now == d.real && !now {
		return nil
	}
	d.real = now
	if now {
		return really(past)
	}
	return really(time.Time{})
}

// expire lets deadlines act that have passed.
func (c *limitedConn) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read.passed(now) {
		_ = c.Conn.SetReadDeadline(past) // it fails only on a closed connection
	}
	if c.write.passed(now) {
		_ = c.Conn.SetWriteDeadline(past)
	}
}

func (d *deadline) passed(now time.Time) bool {
	if d.real || d.at.IsZero() || now.Before(d.at) {
		return false
	}
	d.real = true
	return true
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.from.leave(c) })
	return err
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
