package pipeline

import (
	"context"
	"errors"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/recipient"
)

// Evidence verifies what attested environments prove of themselves.
type Evidence interface {
	// Verify is recipient.Verifier's; who is the access key that signed.
	Verify(ctx context.Context, who string, evidence []byte, now time.Time) (*recipient.Attested, error)
}

// attest is room 4½: it verifies the evidence that comes with a request, so that the
// decision can depend on it. It comes after the signature, since it costs hundreds of
// times as much, and once for a request, however often the rest is walked.
func (w *walk) attest(ctx context.Context) error {
	holder, ok := w.in.(api.RecipientHolder)
	if !ok || holder.RecipientMember() == nil {
		return nil
	}
	r := holder.RecipientMember()
	switch {
	case w.evidence == nil:
		return fault.New(api.UnsupportedOperationException, "This server takes no Recipient.")
	case len(r.AttestationDocument) == 0, r.KeyEncryptionAlgorithm == "":
		return fault.New(api.ValidationException, "Recipient requires both AttestationDocument and KeyEncryptionAlgorithm.")
	}
	attested, err := w.evidence.Verify(ctx, w.who.Principal.AccessKeyID, r.AttestationDocument, w.now)
	if err != nil {
		return err
	}
	w.attested = attested
	return nil
}

// attestationKey is the condition key of all measurements; which one is the rest of it.
const attestationKey = "kms:recipientattestation"

// measured is what a condition key says of a caller's environment. It is absent
// without verified evidence, and of actions that take none.
func (w *walk) measured(k iam.Key) iam.Value {
	digest, ok := w.attested.Measurement(k.Sub)
	if !ok {
		return iam.Value{}
	}
	return iam.Text(digest)
}

// enclose makes the answer one that only the attested environment can read. The entry
// knows nothing of it and cannot forget it.
func (w *walk) enclose(out api.Output) error {
	if w.attested == nil {
		return nil
	}
	e, ok := out.(api.Encloser)
	if !ok {
		return fault.New(fault.Internal, "").Because(errors.New("the answer has no place for what a recipient alone may read"))
	}
	return e.Enclose(w.attested.Key.Seal)
}
