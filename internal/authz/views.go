package authz

import "trent/internal/iam"

// views is what every policy that has a say says of a question. All of them are
// asked, so that none hides another's deny.
type views struct {
	aboutKey bool
	key      iam.Outcome // of the key policy; nothing where there is no key
	keyDeny  bool
	identity iam.Outcome // of all identity policies together
	boundary bound
	session  bound
}

// A bound can only cut down: where there is one, it must allow too.
type bound struct{ set, deny, allow bool }

func (b bound) permits() bool { return !b.set || b.allow }

// request makes what a policy is asked. Whether a key's aliases are a condition
// key depends on who asks: key policies do not see them.
func (q *Question) request(resource string, keyPolicy bool) *iam.Request {
	r := &iam.Request{Principal: q.Caller, Action: q.Action, Resource: resource, Context: q.Conditions}
	if keyPolicy {
		r.Context = (*seenByKeyPolicy)(q.Conditions)
	}
	return r
}

// ask asks every policy about resource; keyPolicy is nil where there is no key.
func (q *Question) ask(resource string, keyPolicy *iam.Policy) (v views) {
	if keyPolicy != nil {
		v.key = keyPolicy.EvaluateResource(q.request(resource, true))
		v.aboutKey, v.keyDeny = true, v.key.Deny
	}
	req := q.request(resource, false)
	for _, p := range q.Caller.Policies {
		o := p.EvaluateIdentity(req)
		v.identity.Deny = v.identity.Deny || o.Deny
		v.identity.Allow = v.identity.Allow || o.Allow
	}
	if q.Caller.Boundary != nil {
		o := q.Caller.Boundary.EvaluateIdentity(req)
		v.boundary = bound{true, o.Deny, o.Allow}
	}
	v.session.set = q.Caller.SessionPolicies != nil
	for _, p := range q.Caller.SessionPolicies {
		o := p.EvaluateIdentity(req)
		v.session = bound{true, v.session.deny || o.Deny, v.session.allow || o.Allow}
	}
	return v
}

// denies: an explicit deny anywhere wins.
func (v *views) denies() bool {
	return v.keyDeny || v.identity.Deny || v.boundary.deny || v.session.deny
}

// withinBounds: neither bound cuts the request off.
func (v *views) withinBounds() bool { return v.boundary.permits() && v.session.permits() }

// allows is the decision without the grants.
//
// A key policy that names a user or a session itself is not cut down by what a
// boundary or a session policy leaves unsaid (IAM User Guide, "Policy evaluation
// logic"). One that names a role or everybody is.
func (v *views) allows(home bool) bool {
	if v.denies() {
		return false
	}
	if home {
		return v.key.Direct || v.withinBounds() && (v.key.Allow || v.key.Delegates && v.identity.Allow)
	}
	return v.withinBounds() && v.identity.Allow && (v.key.Direct || v.key.Allow || v.key.Delegates)
}

// tail says why not, as AWS KMS says it. It is told of the caller's own account
// alone.
func (v *views) tail(action iam.Action) string {
	const explicit = " with an explicit deny in "
	switch {
	case v.keyDeny:
		return explicit + "a resource-based policy"
	case v.identity.Deny:
		return explicit + "an identity-based policy"
	case v.boundary.deny:
		return explicit + "a permissions boundary"
	case v.session.deny:
		return explicit + "a session policy"
	}
	return " because no " + v.missing() + " allows the " + action.Name + " action"
}

// missing is the kind of policy whose silence decided. A bound is named only
// where all the rest allows.
func (v *views) missing() string {
	switch {
	case v.aboutKey && !v.key.Allow && !v.key.Delegates:
		return "resource-based policy"
	case !v.identity.Allow && !v.key.Allow:
		return "identity-based policy"
	case !v.boundary.permits():
		return "permissions boundary"
	}
	return "session policy"
}
