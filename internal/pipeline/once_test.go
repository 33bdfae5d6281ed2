package pipeline_test

import (
	"context"
	"log/slog"
	"testing"

	"trent/internal/api/adminapi"
	"trent/internal/identity"
	"trent/internal/pipeline"
)

// raced is a directory in whose next commit something else comes first.
type raced struct {
	*identity.Directory
	first func()
}

func (r *raced) Commit(ctx context.Context, v identity.View, changes []identity.Change, with identity.Addition) error {
	if first := r.first; first != nil {
		r.first = nil
		first()
	}
	return r.Directory.Commit(ctx, v, changes, with)
}

// TestSEC_A11: a request whose answer is a secret is carried out once, also when it
// comes a second time while the first is on its way, and although the two touch nothing
// in common but their signature.
func TestSEC_A11_OnceAtOnce(t *testing.T) {
	w := newWorld(t)
	directory := &raced{Directory: w.identities}
	w.road = pipeline.New(pipeline.Options{Keys: w.ring, Identities: directory, FirstAccount: account, Audit: w.audit, Log: slog.New(slog.DiscardHandler), Now: w.clock})
	captured := user(account, "root")
	captured.signature = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	body := "Action=CreateAccount&Version=" + adminapi.Admin().Version
	var inner answer
	directory.first = func() { inner = w.post(captured, "", body) }
	outer := w.post(captured, "", body)
	if inner.status != 200 || outer.code != "SignatureDoesNotMatch" || outer.value("SecretAccessKey") != "" {
		t.Errorf("the one: %d %s; the other: %d %s", inner.status, inner.code, outer.status, outer.code)
	}
	if n := len(w.identities.View().Accounts()); n != 3 {
		t.Errorf("%d accounts", n)
	}
}
