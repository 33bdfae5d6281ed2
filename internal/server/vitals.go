package server

import "trent/internal/vitals"

// allVitals are those that were reported, and those that are known when they are asked for.
func (s *Server) allVitals() []vitals.Vital {
	return append(s.anchors.vitals(s.now()), s.vitals.All()...)
}
