package httpd

import (
	"errors"
	"io"
	"net"
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

// firstPiece is how much of a body is charged and made room for before any of
// it has arrived, in bytes. More is only when more has come: who announces much
// and sends nothing must not hold what others need.
const firstPiece = maxPooled

// read reads the body, of at most limit bytes. It is there until forget.
func (v *visit) read(limit int64) ([]byte, error) {
	r := v.http
	if r.ContentLength > limit {
		return nil, tooLarge()
	}
	want := r.ContentLength
	if want < 0 {
		want = limit + 1 // of unknown length: one more than it may have is too many
	}
	if err := v.grow(min(want, firstPiece)); err != nil {
		return nil, err
	}
	v.conn.allow(v.conn.server.o.Limits.RequestTimeout)
	if want > 0 && r.ProtoAtLeast(1, 1) && strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		if _, err := io.WriteString(v.conn.stream, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return nil, bodyFault(err)
		}
	}
	n := 0
	for int64(n) < want {
		if n == len(*v.body) {
			if err := v.grow(min(want, 2*int64(n))); err != nil {
				return nil, err
			}
		}
		m, err := r.Body.Read((*v.body)[n:])
		n += m
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, bodyFault(err)
		}
	}
	if int64(n) > limit {
		return nil, tooLarge()
	}
	return (*v.body)[:n], nil
}

// grow makes the body's buffer so long, within the budget of all connections.
func (v *visit) grow(size int64) error {
	s := v.conn.server
	more := size - v.size
	if s.inFlight.Add(more) > s.o.Limits.BodyBytes {
		s.inFlight.Add(-more)
		return fault.New(wire.Unavailable, "The server holds as many request bodies as it may. Try again.")
	}
	v.size = size
	bigger := s.pool.take(int(size))
	if v.body != nil {
		copy(*bigger, *v.body)
		s.pool.give(v.body)
	}
	v.body = bigger
	return nil
}

// forget wipes the body and gives its bytes back to the budget.
func (v *visit) forget() {
	if v.body == nil {
		return
	}
	s := v.conn.server
	v.road.Body = nil
	s.pool.give(v.body)
	s.inFlight.Add(-v.size)
	v.body, v.size = nil, 0
}

func tooLarge() error {
	return fault.New(wire.TooLarge, "The request body is larger than this operation can need.")
}

func bodyFault(err error) error {
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return fault.New(wire.RequestTimeout, "The request body did not arrive in time.").Because(err)
	}
	return because(fault.New("SerializationException", "The request body is cut off or not well-formed."), err)
}
