package recipient

import "trent/internal/lane"

// NewVerifierOn makes a verifier for a machine with so many processors.
func NewVerifierOn(processors int, kinds ...Evidence) *Verifier {
	return newVerifier(processors, kinds)
}

const (
	MaxWaiting  = lane.MaxWaiting
	MaxSuspects = maxSuspects
	Patience    = lane.Patience
)
