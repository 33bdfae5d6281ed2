package pipeline

import (
	"context"

	"trent/internal/action"
	"trent/internal/authz"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/iam"
)

// permit is room 5: may who asks do this to what the use names.
func (w *walk) permit(ctx context.Context, i int) error {
	u := &w.uses[i]
	if u.skipped || u.entry.Permit.Name == "" {
		return nil
	}
	q, err := w.question(i)
	if err != nil {
		return err
	}
	switch u.entry.Kind {
	case action.OnKey, action.OnReplica:
		u.permit, err = authz.OnKey(ctx, q)
		if fault.Is(err, authz.AccessDenied) && u.byBlob {
			return errHiddenKey().Because(err)
		}
		return err
	case action.OnGrant:
		return authz.OnGrant(q, w.held[i].Grant)
	case action.OnRole:
		if r := w.held[i].Role; r != nil {
			q.Role = &authz.Role{ARN: u.resource, Account: r.Account, Trust: r.Trust}
			w.conditions.Owner = r.Account
		}
		return authz.OnRole(q, u.resource)
	}
	if u.entry.Operator {
		return authz.OnDeployment(q, w.first)
	}
	return authz.OnAccount(q, u.resource)
}

// question puts together what room 5 is asked about one use.
func (w *walk) question(i int) (*authz.Question, error) {
	u, rec := &w.uses[i], w.held[i].Record
	w.own = ownKeys{w, u}
	w.conditions = authz.Conditions{
		Caller: w.who.Principal, Now: w.now, Source: w.req.Address, Secure: w.req.Secure, UserAgent: w.req.UserAgent, Region: w.who.Region,
		Record: rec, Account: u.entry.CallerAccount, Own: &w.own,
	}
	w.asked = authz.Question{
		Caller: w.who.Principal, Action: u.entry.Permit, Conditions: &w.conditions,
		Record: rec, Grants: w.keys, Use: grant.Use{Operation: u.entry.Operation},
	}
	if u.entry.Region != nil {
		w.conditions.Region = u.entry.Region(w.in)
	}
	if u.entry.Context != nil {
		w.asked.Use.Context = u.entry.Context(w.in)
	}
	var err error
	if u.entry.Passes != nil {
		w.asked.Child, err = u.entry.Passes(&w.call, rec, w.in)
	}
	return &w.asked, err
}

// ownKeys gives room 5 the condition keys that the action declares.
type ownKeys struct {
	walk *walk
	use  *use
}

// Value implements authz.Own.
func (o *ownKeys) Value(k iam.Key) iam.Value {
	w := o.walk
	if v, ok := w.web.value(k); ok {
		return v
	}
	if k.Name == attestationKey {
		return w.measured(k)
	}
	if condition := w.entry.Condition; condition != nil {
		return condition(&w.call, w.in, o.use.resource, k)
	}
	return o.use.entry.Value(w.in, w.held, k)
}
