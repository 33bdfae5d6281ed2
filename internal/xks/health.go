package xks

import (
	"errors"
	"log/slog"
	"sync"

	"trent/internal/keystore"
)

// maxWatched bounds how many proxies are remembered as failing.
const maxWatched = 1024

// health remembers which proxies fail, from every exchange with them. A store whose proxy fails stays
// connected, as with AWS KMS: each request asks anew, so it is in use again as soon as it can be.
type health struct {
	log *slog.Logger

	mu      sync.Mutex
	failing map[string]keystore.Kind // by address
}

// note learns from an exchange, and says what has changed.
func (h *health) note(address string, err error) {
	f, failed := errors.AsType[*keystore.Failure](err)
	failed = failed && f.IsOutage()
	h.mu.Lock()
	was, before := h.failing[address]
	switch {
	case !failed:
		delete(h.failing, address)
	case before || len(h.failing) < maxWatched:
		if h.failing == nil {
			h.failing = make(map[string]keystore.Kind)
		}
		h.failing[address] = f.Kind
	}
	h.mu.Unlock()
	switch {
	case h.log == nil:
	case failed && (!before || was != f.Kind):
		h.log.Warn("an external key store proxy fails", "proxy", address, "error", f.Error())
	case !failed && before:
		h.log.Info("an external key store proxy is well again", "proxy", address)
	}
}
