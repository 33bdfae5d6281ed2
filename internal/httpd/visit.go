package httpd

import (
	"context"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"trent/internal/fault"
	"trent/internal/pipeline"
	"trent/internal/sigv4"
	"trent/internal/wire"
)

// visit is one request at the door, as the road and the verifier see it, in one
// piece of memory.
type visit struct {
	conn  *conn
	http  *http.Request
	road  pipeline.Request
	sigv4 sigv4.Request
	body  *[]byte // from the pool; nil: none, or forgotten
	size  int64   // what the body is charged with, in bytes
	more  bool    // the connection can take another request after this one
}

// answer takes a request, or what could be read of one, down the road, and
// reports whether another may follow on this connection.
func (c *conn) answer(r *http.Request, refused error) bool {
	v := &visit{conn: c, http: r}
	from := c.origin(r)
	v.road = pipeline.Request{
		ID: NewRequestID(), Received: c.server.o.Now(), Source: from.shown, Address: from.addr, Secure: from.secure, Refused: refused, Who: v,
	}
	if r != nil {
		if isProbe(r) && refused == nil {
			return c.probe(r)
		}
		v.road.Target, v.road.UserAgent = r.Header.Get("X-Amz-Target"), r.Header.Get("User-Agent")
		v.road.Form = isForm(r.Header.Get("Content-Type"))
		if isPresigned(r) {
			v.road.Query = r.URL.RawQuery
		}
		v.road.Unsigned = len(r.Header["Authorization"]) == 0 && r.URL.RawQuery == ""
	}
	if v.road.Refused == nil {
		v.road.Refused = admit(r)
	}
	if v.road.Refused == nil {
		defer v.forget() // for a panic
		v.road.Body, v.road.Refused = v.read(c.server.o.Road.BodyLimit(v.road.Target, v.road.Form))
		// A request in chunks may have had a Content-Length as well, which net/http
		// drops. Then it must be the last one (RFC 9112, 6.1).
		v.more = v.road.Refused == nil && !r.Close && r.ProtoAtLeast(1, 1) && r.ContentLength >= 0
	}
	room := c.server.pool.take(0)
	v.road.Room = *room
	a := c.server.o.Road.Walk(context.Background(), &v.road)
	v.forget()
	v.more = v.more && !c.server.closing.Load()
	sent := v.write(a)
	c.server.pool.give(room)
	return sent && v.more
}

// admit refuses what can be no request of the API.
func admit(r *http.Request) error {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	switch {
	case path != "/":
		return fault.New(wire.NoSuchPath, "There is nothing at this path. Requests of the API are POST /.")
	case r.Method != http.MethodPost && !isPresigned(r):
		return fault.New(wire.MethodNotAllowed, "Requests of the API are POST /.")
	case r.Header.Get("Content-Encoding") != "":
		return fault.New("SerializationException", "An encoded body is not accepted.")
	}
	return nil
}

// isPresigned reports whether the request claims to have its signature in the query,
// and has nothing in its body.
func isPresigned(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodPost) && r.ContentLength == 0 &&
		r.Header.Get("X-Amz-Target") == "" && strings.Contains(r.URL.RawQuery, "X-Amz-Signature=")
}

// isForm reports whether this is the type of a form, whatever its charset.
func isForm(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
}

// Authenticate implements pipeline.Authenticator.
func (v *visit) Authenticate(ctx context.Context, service string, body []byte, now time.Time) (pipeline.Identity, error) {
	r := v.http
	v.sigv4 = sigv4.Request{
		Service: service, Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery, Host: r.Host,
		ContentLength: r.Header.Get("Content-Length"), Header: r.Header, Body: body,
	}
	if v.sigv4.ContentLength == "" {
		v.sigv4.ContentLength = strconv.Itoa(len(body))
	}
	verify, life := v.conn.server.o.Verifier.Verify, sigv4.Window
	if v.road.Query != "" {
		verify, life = v.conn.server.o.Verifier.VerifyPresigned, sigv4.PresignedAge
	}
	who, err := verify(ctx, &v.sigv4, now)
	if err != nil {
		return pipeline.Identity{}, err
	}
	return pipeline.Identity{
		Principal: who.Principal, Region: who.Region, Signature: who.Signature,
		Signed: who.Signed, Expires: who.Signed.Add(life),
	}, nil
}

// write lets an answer out in one piece and forgets it: it may hold a plaintext.
// It reports whether the peer took it.
func (v *visit) write(a pipeline.Answer) bool {
	c := v.conn
	buf := c.server.pool.take(0)
	defer c.server.pool.give(buf)
	b := append((*buf)[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(a.Status)...)
	b = append(b, "\r\nx-amzn-RequestId: "...)
	b = append(b, v.road.ID...)
	if len(a.Body) > 0 {
		b = append(b, "\r\nContent-Type: "...)
		b = append(b, a.ContentType...)
	}
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(a.Body)), 10)
	b = append(b, "\r\nDate: "...)
	b = append(b, c.server.now()...)
	b = append(b, c.server.mode...)
	if a.Status == http.StatusMethodNotAllowed {
		b = append(b, "\r\nAllow: POST"...)
	}
	if !v.more {
		b = append(b, "\r\nConnection: close"...)
	}
	b = append(b, "\r\n\r\n"...)
	if v.http == nil || v.http.Method != http.MethodHead {
		b = append(b, a.Body...)
	}
	clear(a.Body)
	c.allow(c.server.o.Limits.RequestTimeout)
	_, err := c.stream.Write(b)
	clear(b) // it may have outgrown the pooled buffer
	if err == nil && !v.more {
		c.linger()
	}
	return err == nil
}

// linger reads and drops what the peer is still sending, for a moment and up to
// a bound. Closing at once would reset the connection, and the answer with it.
func (c *conn) linger() {
	type halfCloser interface{ CloseWrite() error }
	if h, ok := c.stream.(halfCloser); ok {
		_ = h.CloseWrite() // a peer that is gone needs no end of stream
	}
	c.allow(lingerTime)
	_, _ = io.CopyN(io.Discard, c.stream, lingerBytes)
}

const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

func isProbe(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && (r.RequestURI == "/health" || r.RequestURI == "/ready")
}

// details is what only who is on this machine is told.
func (c *conn) details(r *http.Request) string {
	if c.server.o.Details == nil || !c.peer.Unmap().IsLoopback() || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
		return ""
	}
	return c.server.o.Details()
}

// probe answers whether the process lives, and whether it should get requests.
// Probes are not requests of the API, and are not in the audit.
func (c *conn) probe(r *http.Request) bool {
	status, text := "200 OK", "ok\n"
	if r.RequestURI == "/ready" {
		if err := c.server.o.Ready(); err != nil {
			c.server.o.Log.Warn("not ready", "error", err)
			status, text = "503 Service Unavailable", "not ready\n" // why is in the log: a stranger may ask
		}
		text += c.details(r)
	}
	more := r.ContentLength == 0 && !r.Close && r.ProtoAtLeast(1, 1) && !c.server.closing.Load()
	b := "HTTP/1.1 " + status + "\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nContent-Length: " + strconv.Itoa(len(text)) + "\r\nDate: " + c.server.now() + c.server.mode
	if !more {
		b += "\r\nConnection: close"
	}
	b += "\r\n\r\n"
	if r.Method == http.MethodGet {
		b += text
	}
	c.allow(c.server.o.Limits.RequestTimeout)
	_, err := io.WriteString(c.stream, b)
	if err == nil && !more {
		c.linger()
	}
	return err == nil && more
}

// date is a second of the clock as HTTP writes it. Clients correct their clocks
// by it when a signature was refused for its time.
type date struct {
	unix int64
	text string
}

// now is the value of the Date header.
func (s *Server) now() string {
	t := s.o.Now()
	if d := s.date.Load(); d != nil && d.unix == t.Unix() {
		return d.text
	}
	d := &date{t.Unix(), t.UTC().Format(http.TimeFormat)}
	s.date.Store(d)
	return d.text
}

// NewRequestID makes a UUID. It names a request and protects nothing, so the
// runtime's fast generator will do.
func NewRequestID() string {
	var b [16]byte
	for i := 0; i < len(b); i += 8 {
		n := rand.Uint64()
		for j := range 8 {
			b[i+j] = byte(n >> (8 * j))
		}
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
