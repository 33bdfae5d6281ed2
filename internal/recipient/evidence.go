package recipient

import "time"

// Evidence is one kind of evidence: a format, and whom to believe. Another kind, such as
// the reports of SEV-SNP or TDX or the quotes of a TPM, is another implementation beside
// nitro; it binds an RSA key to what it measures in its own way. Implementations are
// used by many goroutines.
type Evidence interface {
	// Knows tells at a glance whether evidence looks like this kind. It may be wrong
	// in saying yes, and costs nothing.
	Knows(evidence []byte) bool

	// Verify says what evidence proves at a time. Every signature that it verifies is
	// handed to run; what is left costs a fraction of a millisecond at most. The error is
	// a ValidationException that names in one sentence what was wrong, never what would
	// have been right, or that of run.
	Verify(evidence []byte, now time.Time, run Run) (*Attested, error)
}

// Run waits for its turn to do work of a cost, and does it. The error says that the work
// was not done: there is too much of it, or nobody waits for it any more.
type Run func(cost Cost, work func()) error

// Cost is what a piece of verification costs.
type Cost int

const (
	// Warm is the one signature that each piece of evidence costs: about a millisecond.
	Warm Cost = iota
	// Cold is all that is kept for the next time: a chain of certificates, several
	// milliseconds.
	Cold
)
