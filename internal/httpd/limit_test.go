package httpd

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// short are limits whose ends can be waited for.
func short(o *Options, _ *paper) {
	o.Limits.HeaderTimeout, o.Limits.RequestTimeout, o.Limits.IdleTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
}

// A peer that has begun a request and stalls is told so, and is not waited for
// any longer; one that has said nothing is hung up on.
func TestSEC_F01_StalledRequests(t *testing.T) {
	for name, c := range map[string]struct {
		raw  string
		code string
	}{
		"nothing sent":            {"", ""},
		"request line":            {"POST / HT", "RequestTimeoutException"},
		"header":                  {head, "RequestTimeoutException"},
		"body not begun":          {head + "Content-Length: 9\r\n\r\n", "RequestTimeoutException"},
		"body begun":              {head + "Content-Length: 9\r\n\r\n{", "RequestTimeoutException"},
		"large body":              {head + "Content-Length: 90000\r\n\r\n" + strings.Repeat("x", 50000), "RequestTimeoutException"},
		"chunk not whole":         {head + "Transfer-Encoding: chunked\r\n\r\n9\r\n{", "RequestTimeoutException"},
		"chunks without end":      {head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "RequestTimeoutException"},
		"blank lines":             {"\r\n\r\n", "RequestTimeoutException"},
		"body that was asked for": {head + "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", "RequestTimeoutException"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t, short)
			p := d.dial()
			p.t = t
			p.send(c.raw)
			if c.code != "" {
				if strings.Contains(c.raw, "Expect") {
					if a := p.answer("POST"); a.StatusCode != 100 {
						t.Fatalf("%d instead of 100", a.StatusCode)
					}
				}
				a := p.answer("POST")
				checkAnswer(t, a, 408, c.code, "POST")
				if len(d.paper.of(a.id())) != 1 {
					t.Error("not written down")
				}
			}
			p.gone()
			d.idle()
			if c.code == "" && len(d.paper.all()) > 0 {
				t.Errorf("nothing was asked, and this written down: %q", d.paper.all())
			}
		})
	}
}

// A request that is cut off is refused, and frees what it held.
func TestSEC_F01_CutOffRequests(t *testing.T) {
	d := open(t, nil)
	for _, c := range []struct {
		raw, code string
	}{
		{"POST / HT", "BadRequestException"},
		{head, "BadRequestException"},
		{head + "Content-Length: 9\r\n\r\n{}", "SerializationException"},
		{head + "Content-Length: 90000\r\n\r\n" + strings.Repeat("x", 50000), "SerializationException"},
		{head + "Transfer-Encoding: chunked\r\n\r\n9\r\n{}", "SerializationException"},
		{head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n", "SerializationException"},
	} {
		p := d.dial().send(c.raw)
		if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		checkAnswer(t, p.answer("POST"), 400, c.code, "POST")
		p.gone()
		d.idle()
	}
}

// The largest body is known before it is read, and holds for chunks as well.
func TestSEC_C01_BodyLimits(t *testing.T) {
	d := open(t, nil)
	for _, c := range []struct {
		target string
		limit  int
	}{
		{"", 64 << 10}, {"TrentService.NoSuch", 64 << 10}, {"TrentService.ListAliases", 64 << 10},
		{"TrentService.PutKeyPolicy", 256 << 10}, {"TrentService.GenerateRandom", 512 << 10},
	} {
		for _, chunked := range []bool{false, true} {
			for _, over := range []int{0, 1} {
				body, size := strings.Repeat(" ", c.limit+over), c.limit+over
				raw := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: %s\r\nContent-Length: %d\r\n\r\n%s", c.target, size, body)
				if chunked {
					raw = fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: %s\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", c.target, size, body)
				}
				p := d.dial()
				go func() { _, _ = io.WriteString(p.Conn, raw) }()
				if a := p.answer("POST"); (a.StatusCode == 413) != (over == 1) {
					t.Errorf("%q, limit %d%+d, chunked %v: %d %s", c.target, c.limit, over, chunked, a.StatusCode, a.body)
				}
			}
		}
	}
}

// A body is asked for only if it will be read, and not of those who send it
// anyway.
func TestSEC_C01_ExpectContinue(t *testing.T) {
	d := open(t, nil)
	p := d.dial()
	body := `{"NumberOfBytes":32}`
	whole := signed(t, "GenerateRandom", body)
	header := strings.Replace(strings.TrimSuffix(whole, body), "\r\nHost", "\r\nExpect: 100-continue\r\nHost", 1)
	if a := p.send(header).answer("POST"); a.StatusCode != 100 {
		t.Fatalf("%d instead of 100", a.StatusCode)
	}
	if a := p.send(body).answer("POST"); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	for _, raw := range []string{
		strings.Replace(header, "POST / ", "POST /x ", 1),
		strings.Replace(header, "HTTP/1.1", "HTTP/1.0", 1) + body,
		head + "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
	} {
		if a := d.dial().send(raw).answer("POST"); a.StatusCode == 100 {
			t.Errorf("a body was asked for by %q", raw)
		}
	}
}

// Bodies take from the budget what has arrived of them, and give it back.
// Peers that announce much and send little cannot use it up.
func TestSEC_C01_BudgetOfBodies(t *testing.T) {
	d := open(t, func(o *Options, _ *paper) { o.Limits.BodyBytes = 256 << 10 })
	var slow []*peer
	for range 12 {
		slow = append(slow, d.dial().send(head+"Content-Length: 500000\r\n\r\n{"))
	}
	d.await("the slow ones", func() bool { return d.inFlight.Load() == 12*firstPiece })
	d.dial().works()
	// One that does send is served until the budget is spent, and then refused.
	p := d.dial()
	go func() {
		_, _ = io.WriteString(p.Conn, head+"Content-Length: 500000\r\n\r\n"+strings.Repeat(" ", 500000))
	}()
	checkAnswer(t, p.answer("POST"), 503, "ServiceUnavailableException", "POST")
	d.await("its bytes to be given back", func() bool { return d.inFlight.Load() == 12*firstPiece })
	for range 4 {
		slow = append(slow, d.dial().send(head+"Content-Length: 500000\r\n\r\n{"))
	}
	d.await("the budget to be spent", func() bool { return d.inFlight.Load() == 256<<10 })
	if a := d.dial().send(goodRequest(t)).answer("POST"); a.StatusCode != 503 {
		t.Fatalf("over the budget: %d", a.StatusCode)
	}
	for _, p := range slow {
		_ = p.Close()
	}
	d.await("the budget to be given back", func() bool { return d.inFlight.Load() == 0 })
	d.dial().works()
}

// Thousands of peers that send nothing, or little by little, do not keep one
// that does from being served.
func TestSEC_F01_SlowPeersBesideAGoodOne(t *testing.T) {
	const crowd = 2000
	d := open(t, func(o *Options, _ *paper) {
		o.Limits.Connections, o.Limits.BodyBytes = crowd+8, 256<<20
	})
	starts := []string{"", "P", head, head + "Content-Length: 500000\r\n\r\n{", goodRequest(t)}
	var all []net.Conn
	defer func() {
		for _, c := range all {
			_ = c.Close()
		}
	}()
	for i := range crowd {
		c, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		if _, err := io.WriteString(c, starts[i%len(starts)]); err != nil {
			t.Fatal(err)
		}
	}
	good := d.dial()
	var worst time.Duration
	for range 200 {
		began := time.Now()
		good.works()
		worst = max(worst, time.Since(began))
	}
	t.Logf("slowest of 200 requests beside %d slow peers: %v", crowd, worst)
	if worst > time.Second {
		t.Errorf("a good request took %v", worst)
	}
	d.dial().works() // nor from coming in
}

// Over the bound of its address a peer is hung up on; over that of the server it
// waits for a slot.
func TestSEC_F01_ConnectionCaps(t *testing.T) {
	t.Run("by address", func(t *testing.T) {
		d := open(t, func(o *Options, _ *paper) { o.Limits.ConnectionsByAddr = 3 })
		var in []*peer
		for range 3 {
			p := d.dial()
			p.works()
			in = append(in, p)
		}
		d.dial().gone()
		for _, p := range in {
			p.works()
		}
		_ = in[0].Close()
		d.await("the slot", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return d.byAddr["127.0.0.1"] == 2 })
		d.dial().works()
	})
	t.Run("in all", func(t *testing.T) {
		d := open(t, func(o *Options, _ *paper) { o.Limits.Connections = 2 })
		first, second := d.dial(), d.dial()
		first.works()
		second.works()
		third := d.dial().send(goodRequest(t))
		_ = third.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := third.in.Peek(1); err == nil {
			t.Error("a third connection is served where two may be open")
		}
		_ = third.SetReadDeadline(time.Now().Add(patience))
		third.in.Reset(third.Conn)
		_ = first.Close()
		if a := third.answer("POST"); a.StatusCode != 200 {
			t.Errorf("with a free slot: %d", a.StatusCode)
		}
	})
}

// A peer that asks and does not take the answers is broken off.
func TestSEC_F01_PeerThatStopsReading(t *testing.T) {
	d := open(t, func(o *Options, _ *paper) { o.Limits.RequestTimeout = 100 * time.Millisecond })
	c, s := net.Pipe()
	defer c.Close()
	d.slots <- struct{}{}
	d.admitConn(s)
	if _, err := io.WriteString(c, goodRequest(t)); err != nil {
		t.Fatal(err)
	}
	d.idle()
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("the connection is still there")
	}
}

// What is slow in the house is not charged to the peer.
func TestSlowWorkIsNotThePeersFault(t *testing.T) {
	d := open(t, func(o *Options, p *paper) {
		short(o, p)
		p.gate, p.reached = make(chan struct{}), make(chan struct{}, 1)
	})
	p := d.dial().send(goodRequest(t))
	<-d.paper.reached
	for range 3 { // turns of reap, each of which would break the connection off
		time.Sleep(reapEvery)
	}
	close(d.paper.gate)
	if a := p.answer("POST"); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// slowConn is slow to take a deadline.
type slowConn struct {
	net.Conn
	taking func()
	last   time.Time
}

func (c *slowConn) SetDeadline(t time.Time) error {
	if t.Equal(longAgo) {
		c.taking()
	}
	c.last = t
	return nil
}

// A deadline that passes while the connection moves on does not break what
// comes after it, in whichever order the two are done.
func TestDeadlineActsForNothingButItsOwn(t *testing.T) {
	slow := &slowConn{}
	slow.Conn, _ = net.Pipe()
	c := newConn(New(Options{Limits: limits()}), slow)
	c.deadline.Store(1) // long over
	allowed := make(chan struct{})
	slow.taking = func() {
		go func() { c.allow(time.Hour); close(allowed) }()
		select {
		case <-allowed: // and then the old deadline is taken
		case <-time.After(50 * time.Millisecond): // it waits for its turn
		}
	}
	c.expire(time.Minute)
	<-allowed
	if !slow.last.IsZero() {
		t.Error("the next request inherits a deadline that is over")
	}
	c.expire(time.Minute)
	if !slow.last.IsZero() {
		t.Error("an hour is over after a minute")
	}
}

// A peer that is refused may send on for a while: its answer must not be lost to
// a reset. It sees the end at once.
func TestRefusalIsNotLostToAReset(t *testing.T) {
	for name, raw := range map[string]string{
		"request": head + "Content-Length: 524289\r\n\r\n",
		"probe":   "GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 524289\r\n\r\n",
	} {
		p := open(t, nil).dial().send(raw)
		p.answer("POST")
		if rest, err := io.ReadAll(p.in); len(rest) > 0 || err != nil {
			t.Errorf("%s: %q %v", name, rest, err)
		}
		for i := range 64 {
			if _, err := p.Write(make([]byte, 1024)); err != nil {
				t.Fatalf("%s: reset after %d KiB: %v", name, i, err)
			}
		}
		_ = p.Close()
	}
}
