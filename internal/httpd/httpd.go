// Package httpd is the door: it takes connections and bytes, bounds them in
// number, size and time, asks sigv4 who it is, and hands what is left to the
// pipeline. It writes answers and decides nothing.
package httpd

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"trent/internal/fault"
	"trent/internal/pipeline"
	"trent/internal/sigv4"
	"trent/internal/wire"
)

// Limits bound what a peer may cost before it is known.
type Limits struct {
	HeaderTimeout     time.Duration // to send a request's header
	RequestTimeout    time.Duration // to send a whole request
	IdleTimeout       time.Duration // between two requests of a connection
	Connections       int           // open at once
	ConnectionsByAddr int           // open at once from one address; 0: as many as Connections
	BodyBytes         int64         // of bodies in memory at once, over all connections
}

// maxHeader bounds a request's header, in bytes.
const maxHeader = 16 << 10

// Options of a Server.
type Options struct {
	Road     *pipeline.Road
	Verifier *sigv4.Verifier
	Limits   Limits
	TLS      *tls.Config // nil: plain TCP
	// Ready says why the server should get no requests at the moment, or nil.
	Ready func() error
	Log   *slog.Logger
	Now   func() time.Time
}

// Server is the door. Make it with New.
type Server struct {
	o        Options
	http     *http.Server
	pool     bodies
	inFlight atomic.Int64 // bytes of bodies

	// Header values that are the same in every answer. They are shared by all
	// answers and never written to.
	contentType []string
}

// New makes a server.
func New(o Options) *Server {
	s := &Server{o: o, contentType: []string{wire.ContentType}}
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: o.Limits.HeaderTimeout,
		ReadTimeout:       o.Limits.RequestTimeout,
		WriteTimeout:      2 * o.Limits.RequestTimeout,
		IdleTimeout:       o.Limits.IdleTimeout,
		MaxHeaderBytes:    maxHeader,
		TLSConfig:         o.TLS,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	// AWS KMS speaks HTTP/1.1, so its clients do: HTTP/2 would only add surface.
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	return s
}

// Serve answers on l until Shutdown, then returns nil.
func (s *Server) Serve(l net.Listener) error {
	l = limitListener(l, s.o.Limits.Connections, s.o.Limits.ConnectionsByAddr)
	var err error
	if s.o.TLS != nil {
		err = s.http.ServeTLS(l, "", "")
	} else {
		err = s.http.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops taking requests and waits until those in flight are answered,
// or until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

// visit is one request at the door, as the road and the verifier see it, in one
// piece of memory. It is not pooled: net/http reads the header of the answer
// after the handler has returned.
type visit struct {
	server *Server
	http   *http.Request
	road   pipeline.Request
	sigv4  sigv4.Request
	id     [1]string // the value of the header x-amzn-RequestId
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && (r.URL.Path == "/health" || r.URL.Path == "/ready") {
		s.probe(w, r.URL.Path)
		return
	}
	v := &visit{server: s, http: r, id: [1]string{newRequestID()}}
	v.road = pipeline.Request{
		ID: v.id[0], Received: s.o.Now(), Target: r.Header.Get("X-Amz-Target"),
		Source: r.RemoteAddr, UserAgent: r.UserAgent(), Who: v,
	}
	v.road.Refused = s.admit(r)
	if v.road.Refused == nil {
		body, err := s.read(w, r, s.o.Road.BodyLimit(v.road.Target))
		defer s.forget(body)
		v.road.Refused = err
		if body != nil {
			v.road.Body = *body
		}
	}
	room := s.pool.take(0)
	v.road.Room = *room
	a := s.o.Road.Walk(r.Context(), &v.road)
	s.write(w, v, a)
	s.pool.give(room)
}

// admit refuses what can be no request of the API.
func (s *Server) admit(r *http.Request) error {
	switch {
	case r.URL.Path != "/":
		return fault.New(wire.NoSuchPath, "There is nothing at this path. Requests of the API are POST /.")
	case r.Method != http.MethodPost:
		return fault.New(wire.MethodNotAllowed, "Requests of the API are POST /.")
	case r.Header.Get("Content-Encoding") != "":
		return fault.New("SerializationException", "An encoded body is not accepted.")
	}
	return nil
}

// Authenticate implements pipeline.Authenticator.
func (v *visit) Authenticate(ctx context.Context, body []byte, now time.Time) (pipeline.Identity, error) {
	r := v.http
	v.sigv4 = sigv4.Request{
		Method: r.Method, Path: pathOf(r), RawQuery: r.URL.RawQuery, Host: r.Host,
		ContentLength: r.Header.Get("Content-Length"), Header: r.Header, Body: body,
	}
	if v.sigv4.ContentLength == "" {
		v.sigv4.ContentLength = strconv.Itoa(len(body))
	}
	who, err := v.server.o.Verifier.Verify(ctx, &v.sigv4, now)
	if err != nil {
		return pipeline.Identity{}, err
	}
	return pipeline.Identity{
		Principal: who.Principal, Region: who.Region, Signature: who.Signature,
		Signed: who.Signed, Expires: who.Signed.Add(sigv4.Window),
	}, nil
}

// pathOf is the path as it was sent. Only the one path of the API matters, so
// whatever needed an escape is as good as any other wrong one.
func pathOf(r *http.Request) string {
	if r.URL.RawPath != "" {
		return r.URL.RawPath
	}
	return r.URL.Path
}

// write lets an answer out and forgets it: it may hold a plaintext, and may have
// outgrown the room that was given for it.
func (s *Server) write(w http.ResponseWriter, v *visit, a pipeline.Answer) {
	h := w.Header()
	h["x-amzn-RequestId"] = v.id[:]
	if len(a.Body) > countedByServer {
		h["Content-Length"] = []string{strconv.Itoa(len(a.Body))}
	}
	if len(a.Body) > 0 {
		h["Content-Type"] = s.contentType
	}
	switch a.Status {
	case http.StatusMethodNotAllowed:
		h["Allow"] = []string{http.MethodPost}
	case http.StatusRequestTimeout, http.StatusRequestEntityTooLarge:
		h["Connection"] = []string{"close"} // the rest of the body is not waited for
	}
	w.WriteHeader(a.Status)
	// A peer that is gone by now has its record in the audit all the same.
	_, _ = w.Write(a.Body)
	clear(a.Body)
}

// countedByServer is how long a body may be, in bytes, for net/http to find out
// its length by itself; a longer one it would send in chunks.
const countedByServer = 1024

// probe answers whether the process lives, and whether it should get requests.
// Probes are not requests of the API, and are not in the audit.
func (s *Server) probe(w http.ResponseWriter, path string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if path == "/ready" {
		if err := s.o.Ready(); err != nil {
			s.o.Log.Warn("not ready", "error", err)
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("not ready\n")) // why is in the log: a stranger may ask
			return
		}
	}
	_, _ = w.Write([]byte("ok\n"))
}

// newRequestID makes a UUID. It names a request and protects nothing, so the
// runtime's fast generator will do.
func newRequestID() string {
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
