package server

import "trent/internal/vitals"

// allVitals are those that were reported, and those that are known when they are asked for.
func (s *Server) allVitals() []vitals.Vital {
	now := s.now()
	return append(append(s.anchors.vitals(now), s.backups.vital(now)), s.vitals.All()...)
}
