package httpd

import (
	"net"
	"sync"
)

// limitListener bounds the connections that are open at once, in all and from
// one address. At the first bound it stops accepting, which leaves callers in
// the kernel's queue; at the second it hangs up on that address alone.
func limitListener(l net.Listener, all, byAddr int) net.Listener {
	if byAddr == 0 {
		byAddr = all
	}
	return &limited{Listener: l, slots: make(chan struct{}, all), byAddr: byAddr, closed: make(chan struct{}), open: make(map[string]int)}
}

type limited struct {
	net.Listener
	slots  chan struct{}
	byAddr int

	closing sync.Once
	closed  chan struct{}

	mu   sync.Mutex
	open map[string]int // connections by address
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
		if l.enter(addr) {
			return &limitedConn{Conn: c, from: l, addr: addr}, nil
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

func (l *limited) enter(addr string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[addr] >= l.byAddr {
		return false
	}
	l.open[addr]++
	return true
}

func (l *limited) leave(addr string) {
	l.mu.Lock()
	if l.open[addr]--; l.open[addr] == 0 {
		delete(l.open, addr)
	}
	l.mu.Unlock()
	<-l.slots
}

type limitedConn struct {
	net.Conn
	from *limited
	addr string
	once sync.Once
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { c.from.leave(c.addr) })
	return err
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
