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

// A Rekeyer brings in new root keys.
type Rekeyer interface {
	// Rekey begins it. giveUp names roots of trust that need not wrap the new key.
	Rekey(ctx context.Context, giveUp []string, dropOldNow bool) error
	Rekeying(context.Context) (action.Rekeying, error)
}

// Rekey implements action.Decisions.
func (w *walk) Rekey(ctx context.Context, giveUp []string, dropOldNow bool) error {
	if !w.entry.Compound {
		return fault.New(fault.Internal, "").Because(errors.New("an action that is not Compound asks for new root keys"))
	}
	if w.rekey == nil {
		return fault.New(api.UnsupportedOperationException, "This server brings in no new root keys.")
	}
	return w.rekey.Rekey(ctx, giveUp, dropOldNow)
}

// Rekeying implements action.Decisions.
func (w *walk) Rekeying(ctx context.Context) (action.Rekeying, error) {
	if w.rekey == nil {
		return action.Rekeying{}, nil
	}
	return w.rekey.Rekeying(ctx)
}

// ReadBackup implements action.Decisions.
func (w *walk) ReadBackup(ctx context.Context, id string, page int) (action.BackupPage, error) {
	if w.readBackup == nil {
		return action.BackupPage{}, fault.New(api.UnsupportedOperationException, "This server makes no backups.")
	}
	return w.readBackup(ctx, id, page)
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
