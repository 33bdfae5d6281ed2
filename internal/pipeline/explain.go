package pipeline

import (
	"context"

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
	e, err := authz.Explain(ctx, q, resource)
	return e.Allowed, e, err
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
