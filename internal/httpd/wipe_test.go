package httpd

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"trent/internal/pipeline"
)

// keeper keeps what it is given to write, as a careless reader of memory would.
type keeper struct {
	net.Conn
	kept [][]byte
}

func (k *keeper) Write(p []byte) (int, error) {
	k.kept = append(k.kept, p)
	return len(p), nil
}

// An answer is forgotten as soon as it has left, also one that has outgrown the
// pooled buffers.
func TestSEC_G07_AnswersAreForgotten(t *testing.T) {
	for _, size := range []int{0, 10, 2000, maxPooled, 100 << 10} {
		k := &keeper{}
		k.Conn, _ = net.Pipe()
		s := New(Options{Limits: limits(), Now: time.Now})
		v := &visit{conn: newConn(s, k), more: true}
		body := make([]byte, size)
		_, _ = rand.Read(body)
		if !v.write(pipeline.Answer{Status: 200, Body: body}) || len(k.kept) != 1 || len(k.kept[0]) <= size {
			t.Fatalf("%d bytes: %d writes", size, len(k.kept))
		}
		if len(bytes.Trim(body, "\x00")) > 0 || len(bytes.Trim(k.kept[0], "\x00")) > 0 {
			t.Errorf("an answer of %d bytes is still in memory", size)
		}
	}
}

// FuzzConnection sends anything, followed by the end: every answer is whole, has
// an id and its line, and nothing is left behind.
func FuzzConnection(f *testing.F) {
	for _, c := range malformed {
		f.Add(c.raw)
	}
	f.Add(head + "Content-Length: 2\r\n\r\n{}" + head + "Content-Length: 0\r\n\r\n")
	f.Add(head + "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	d := open(f, func(o *Options, _ *paper) { o.Limits.ConnectionsByAddr, o.Limits.Connections = 1<<20, 1<<20 })
	f.Fuzz(func(t *testing.T, raw string) {
		d.t = t
		defer func() { d.t = f }()
		p := d.dial()
		defer p.Close()
		_ = p.Conn.(*net.TCPConn).SetLinger(0) // ports are few
		go func() {
			_, _ = io.WriteString(p.Conn, raw)
			_ = p.Conn.(*net.TCPConn).CloseWrite()
		}()
		in, probes := p.in, strings.Contains(raw, "/health") || strings.Contains(raw, "/ready")
		for {
			if _, err := in.Peek(1); err != nil {
				break
			}
			// A HEAD may hide anywhere: read the headers, and what is announced unless
			// the connection brings something else.
			r, err := http.ReadResponse(in, &http.Request{Method: "HEAD"})
			if err != nil {
				t.Fatalf("%q: no answer: %v", raw, err)
			}
			if start, _ := in.Peek(1); len(start) == 1 && start[0] != 'H' {
				if n, err := io.CopyN(io.Discard, in, r.ContentLength); err != nil {
					t.Fatalf("%q: %d of %d bytes: %v", raw, n, r.ContentLength, err)
				}
			}
			if id := r.Header.Get("X-Amzn-Requestid"); r.StatusCode >= 400 && !probes && len(d.paper.of(id)) != 1 {
				t.Fatalf("%q: status %d is written down %d times", raw, r.StatusCode, len(d.paper.of(id)))
			}
		}
		d.paper.mu.Lock()
		d.paper.lines = nil
		d.paper.mu.Unlock()
		d.await("the end", func() bool { return d.inFlight.Load() == 0 })
	})
}

// BenchmarkRequest is a signed request from the door to the door, over memory,
// of an operation that needs no key.
func BenchmarkRequest(b *testing.B) {
	benchmark(b, goodRequest(b), "HTTP/1.1 200")
}

// BenchmarkRefused is a request without a signature, which costs a stranger as
// little as may be.
func BenchmarkRefused(b *testing.B) {
	benchmark(b, head+"Content-Length: 2\r\n\r\n{}", "HTTP/1.1 400")
}

func BenchmarkProbe(b *testing.B) {
	benchmark(b, "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200")
}

func benchmark(b *testing.B, raw, want string) {
	d := open(b, nil)
	c, far := net.Pipe()
	d.slots <- struct{}{}
	d.admitConn(far)
	req, buf := []byte(raw), make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(req); err != nil {
			b.Fatal(err)
		}
		if n, err := c.Read(buf); err != nil || !bytes.HasPrefix(buf[:n], []byte(want)) {
			b.Fatalf("%q %v", buf[:n], err)
		}
	}
	_ = c.Close()
}
