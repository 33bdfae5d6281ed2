package server

import (
	"crypto/fips140"
	"errors"

	"trent/internal/config"
)

// checkFIPS refuses to promise what the binary does not do.
func checkFIPS(o config.Serve) error {
	if o.FIPS && !fips140.Enabled() {
		return errors.New("fips: this process does not use the FIPS 140-3 module of Go: run the binary that make build-fips builds, or set GODEBUG=fips140=on")
	}
	return nil
}

// sayFIPS names the module that cryptography is done with, if it is one.
func (s *Server) sayFIPS() {
	if fips140.Enabled() {
		s.log.Info("keeping to the FIPS 140-3 module", "version", fips140.Version(), "asked", s.config.FIPS)
	}
}
