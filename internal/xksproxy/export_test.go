package xksproxy

import (
	"log/slog"
	"testing"
	"time"

	"trent/internal/audit"
)

// Handle performs a request behind its signature, about the key foo.
func Handle(t *testing.T, m Manager, sink audit.Sink, operation string, body []byte) (code int, content []byte) {
	t.Helper()
	p := New(Options{Manager: m, Audit: sink, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	v := &visit{Proxy: p, body: body}
	answer, err := v.route(t.Context(), "/keys/foo/"+operation)
	if err := v.writeDown(200, err); err != nil {
		t.Fatal(err)
	}
	return v.encode(answer, err)
}
