package recipient

// NewVerifierOn makes a verifier for a machine with so many processors.
func NewVerifierOn(processors int, kinds ...Evidence) *Verifier {
	return newVerifier(processors, kinds)
}

const (
	MaxWaiting  = maxWaiting
	MaxSuspects = maxSuspects
	Patience    = patience
)
