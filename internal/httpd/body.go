package httpd

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"

	"trent/internal/fault"
	"trent/internal/wire"
)

// buffers are for bodies and answers, which may hold plaintexts: a buffer is
// wiped before it goes back.
type buffers struct{ pool sync.Pool }

// maxPooled is the largest buffer that is kept, in bytes.
const maxPooled = 16 << 10

// take gives a buffer of length n.
func (b *buffers) take(n int) *[]byte {
	if buf, ok := b.pool.Get().(*[]byte); ok && cap(*buf) >= n {
		*buf = (*buf)[:n]
		return buf
	}
	fresh := make([]byte, n, max(n, 1024))
	return &fresh
}

func (b *buffers) give(buf *[]byte) {
	clear((*buf)[:cap(*buf)])
	if cap(*buf) <= maxPooled {
		b.pool.Put(buf)
	}
}

// read reads the body, of at most limit bytes. What it returns goes back with
// forget, also beside an error.
func (v *visit) read(limit int64) (*[]byte, error) {
	r, s := v.http, v.conn.server
	if r.ContentLength > limit {
		return nil, tooLarge()
	}
	// A body of unknown length is charged in full: it may turn out that long.
	size := r.ContentLength
	if size < 0 {
		size = limit
	}
	if s.inFlight.Add(size) > s.o.Limits.BodyBytes {
		s.inFlight.Add(-size)
		return nil, fault.New(wire.Unavailable, "The server holds as many request bodies as it may. Try again.")
	}
	v.conn.allow(s.o.Limits.RequestTimeout)
	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		if _, err := io.WriteString(v.conn.stream, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			s.inFlight.Add(-size)
			return nil, bodyFault(err)
		}
	}
	if r.ContentLength >= 0 {
		buf := s.pool.take(int(size))
		_, err := io.ReadFull(r.Body, *buf)
		return buf, bodyFault(err)
	}
	defer s.inFlight.Add(-size)
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
	s.inFlight.Add(int64(len(data)))
	return &data, bodyFault(err)
}

// forget wipes a body and gives its bytes back to the budget.
func (s *Server) forget(body *[]byte) {
	if body == nil {
		return
	}
	s.inFlight.Add(-int64(len(*body)))
	s.pool.give(body)
}

func tooLarge() error {
	return fault.New(wire.TooLarge, "The request body is larger than this operation can need.")
}

func bodyFault(err error) error {
	if err == nil {
		return nil
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return tooLarge()
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fault.New(wire.RequestTimeout, "The request body did not arrive in time.").Because(err)
	}
	return fault.New("SerializationException", "The request body is cut off.").Because(err)
}
