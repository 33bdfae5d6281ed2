package pipeline

import (
	"context"
	"errors"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/audit"
	"trent/internal/fault"
	"trent/internal/secret"
	"trent/internal/vitals"
)

// Declare implements action.Decisions. It hands a declaration to whoever makes requests of it.
func (w *walk) Declare(ctx context.Context, document secret.Bytes, planOnly bool) (*action.Declared, error) {
	if !w.entry.Compound {
		return nil, fault.New(fault.Internal, "").Because(errors.New("an action that is not Compound asks for a declaration"))
	}
	if w.declare == nil {
		return nil, fault.New(api.UnsupportedOperationException, "This server takes no declarations.")
	}
	return w.declare(ctx, w.Road, Declaration{Document: document, Digest: audit.Digest(document.Expose()), Request: w.req.ID, PlanOnly: planOnly})
}

// Vitals implements action.Decisions.
func (w *walk) Vitals() []vitals.Vital {
	if w.vitals == nil {
		return nil
	}
	return w.vitals()
}

// remember commits the sighting of the request alone.
func (w *walk) remember(ctx context.Context) error {
	if w.seen == nil {
		return nil
	}
	err := w.keys.Commit(ctx, nil, w.seen)
	if err == nil {
		w.seen = nil
	}
	return err
}
