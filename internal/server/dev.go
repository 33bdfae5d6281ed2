package server

import (
	"context"
	"fmt"
	"time"

	"trent/internal/config"
)

// checkDev refuses dev mode where others could reach it, with TLS too: what it takes is
// known to whoever has read the file.
func checkDev(o config.Serve) error {
	if !o.Dev {
		return nil
	}
	loopback, err := isLoopback(o.Listen)
	if err == nil && !loopback {
		err = fmt.Errorf("dev mode listens on a loopback address alone, and %s is none: leave out --dev, or listen on 127.0.0.1", o.Listen)
	}
	return err
}

// mode is what every answer says of the mode; nothing of the one that is meant for
// use.
func (s *Server) mode() string {
	if s.config.Dev {
		return "dev"
	}
	return ""
}

// warnOfDev says what mode this is, and what the store has been through.
func (s *Server) warnOfDev() {
	if s.config.Dev {
		s.log.Warn("DEV MODE: keys and access keys may be fixed, and known to others. Nothing of value belongs into this store")
		return
	}
	if s.set.Fixed != 0 {
		s.log.Warn("this store has taken fixed keys in dev mode: whoever has read the declaration may know them", "since", time.UnixMilli(s.set.Fixed).UTC().Format(time.RFC3339))
	}
}

// rememberFixed writes into the store's settings, which it cannot do without, that
// it has taken what others may know. It is called before that is committed.
func (s *Server) rememberFixed(ctx context.Context) error {
	s.setLock.Lock()
	defer s.setLock.Unlock()
	if s.set.Fixed != 0 {
		return nil
	}
	set := s.set
	set.Fixed = s.now().UnixMilli()
	rev, err := putSettings(ctx, s.store, s.sealer, set, s.setRev)
	if err != nil {
		return fmt.Errorf("remember dev mode: %w", err)
	}
	s.set, s.setRev = set, rev
	return nil
}
