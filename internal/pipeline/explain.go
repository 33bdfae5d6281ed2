package pipeline

import (
	"context"
	"maps"
	"slices"
	"strings"

	"trent/internal/action"
	"trent/internal/arn"
	"trent/internal/authz"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/iam"
	"trent/internal/keyring"
)

// Explain implements action.Decisions. It decides a case that somebody asks about, just as room 5 would decide it,
// and says why. Nothing is opened and nothing changes.
func (w *walk) Explain(ctx context.Context, c action.Case) (allowed bool, why any, err error) {
	assumed, context, err := assume(c.Context)
	if err != nil {
		return false, nil, err
	}
	q := &authz.Question{
		Caller: c.Caller, Action: iam.NewAction(c.Action), Grants: w.keys,
		Use: grant.Use{Operation: grant.OfPermission(c.Action), Context: context},
		Conditions: &authz.Conditions{
			Caller: c.Caller, Now: w.now, Region: c.Region, Account: true, Assumed: assumed,
		},
	}
	if c.Key != "" {
		q.Record, err = w.keys.Find(ctx, arn.ParseRef(c.Key), keyring.Where{Account: c.Caller.Account, Region: c.Region}, w.now)
		if err != nil {
			return false, nil, err
		}
		q.Conditions.Record = q.Record
	}
	resource := c.Resource
	if resource == "" {
		resource = "*"
	}
	asks := w.asking(c.Action)
	if asks != nil {
		q.Action, q.Use.Operation = asks.Permit, asks.Operation
	}
	e, err := authz.Explain(ctx, q, resource)
	if err == nil && asks != nil {
		err = w.beyondPolicies(asks, q, &e)
	}
	return e.Allowed, e, err
}

// asking is a use that some action asks the permission for, or nil.
func (r *Road) asking(permission string) *action.Resource {
	for _, s := range append(slices.Collect(maps.Values(r.forms)), r.kms) {
		for _, entry := range s.table {
			for i := range entry.Uses {
				if u := &entry.Uses[i]; strings.EqualFold(u.Permit.Name, permission) {
					return u
				}
			}
		}
	}
	return nil
}

// beyondPolicies is what the road insists on whatever policies and grants say.
func (w *walk) beyondPolicies(u *action.Resource, q *authz.Question, e *authz.Explanation) error {
	var refusal error
	switch {
	case u.Kind == action.OnGrant:
		return fault.Newf("InvalidInput", "%s is decided by the grant that is meant, and a policy can only deny it.", u.Permit.Name)
	case u.Operator:
		refusal = authz.OnDeployment(q, w.first)
	case q.Record != nil && !u.Abroad && q.Record.Account() != q.Caller.Account:
		refusal = authz.ForeignKey(q.Caller, q.Action)
	}
	if refusal != nil {
		e.Allowed, e.Why = false, fault.From(refusal).Message
	}
	return nil
}

// assume reads condition keys as somebody writes them, and the encryption context
// among them.
func assume(written map[string][]string) (map[iam.Key]iam.Value, map[string]string, error) {
	source := iam.Key{Name: "aws:sourceip"}
	assumed, context := map[iam.Key]iam.Value{source: {}}, make(map[string]string)
	for name, values := range written {
		k, ok := iam.NewKey(name)
		if !ok {
			return nil, nil, fault.Newf("InvalidInput", "%q is not the name of a condition key, such as aws:SourceIp.", name)
		}
		assumed[k] = iam.Texts(values)
		if len(values) == 1 {
			assumed[k] = iam.Text(values[0])
		}
		const pair = len("kms:EncryptionContext:")
		if k.Name == "kms:encryptioncontext" && k.Sub != "" && len(values) == 1 {
			context[name[pair:]] = values[0]
		}
	}
	return assumed, context, nil
}
