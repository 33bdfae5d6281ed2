package server

import (
	"context"
	"errors"
	"time"

	"trent/internal/root"
	"trent/internal/vitals"
)

// rootTimeout bounds how long one probe of a root of trust may take.
const rootTimeout = 30 * time.Second

// probeRoots opens the store again and again with each root of trust that needs no
// person for it, and logs a change: a root that is lost should be known of before the
// next start.
func (s *Server) probeRoots(every time.Duration) {
	if every <= 0 {
		return
	}
	t := time.NewTicker(every)
	defer t.Stop()
	lost, refused := make(map[string]bool), make(map[string]bool)
	for {
		s.probeRootsOnce(lost, refused)
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
	}
}

// probeRootsOnce probes each root once. lost has those that failed the last time, by
// locator, and refused those that are not to be asked again.
func (s *Server) probeRootsOnce(lost, refused map[string]bool) {
	for _, l := range s.roots {
		if !unattended(l) || refused[l.String()] {
			continue
		}
		name, err := s.probeRoot(l)
		s.vitals.Report(vitals.Root, l.String(), s.now(), err)
		switch {
		case err != nil && !lost[l.String()]:
			s.log.Error("a root of trust would not open the store at the next start", "root", l.String(), "error", err)
		case err == nil && lost[l.String()]:
			s.log.Info("a root of trust opens the store again", "root", l.String(), "name", name)
		}
		lost[l.String()] = err != nil
		// A token counts wrong PINs, and locks itself: it is not asked again.
		if l.Kind == "pkcs11" && errors.Is(err, root.ErrRefused) {
			refused[l.String()] = true
		}
	}
}

func (s *Server) probeRoot(l root.Locator) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), rootTimeout)
	defer cancel()
	ctx, end := s.untilClosed(ctx) // the end of the server does not wait for a root that does not answer
	defer end()
	rec, err := s.store.Get(ctx, rootKeysPath)
	if err != nil {
		return "", err
	}
	u, err := unsealWith(ctx, s.store, s.files, rec.Value, l)
	return u.root, err
}
