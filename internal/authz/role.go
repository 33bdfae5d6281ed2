package authz

import (
	"trent/internal/fault"
	"trent/internal/iam"
)

// A Role is what a caller wants to act as.
type Role struct {
	ARN     string
	Account string
	Trust   *iam.Policy // says who may
}

// OnRole decides whether the caller may assume Question.Role, which it named as
// resource, or may do to that session what the action says (tag it, set its source
// identity). The trust policy stands in the place of a key policy: who is named in it in
// the role's own account needs nothing else; what it leaves to an account, or to anyone
// of another one, the account's own policies must allow too.
//
// A web identity has no account and no policies: a trust policy that names its provider
// decides alone. All refusals are one text, which does not tell whether there is such a role.
func OnRole(q *Question, resource string) error {
	switch {
	case q.Caller.Kind == iam.RootUser:
		return fault.New(AccessDenied, "Roles may not be assumed by root accounts.")
	case q.Role == nil:
		return q.untrusted(resource)
	}
	v := q.ask(q.Role.ARN, nil)
	v.key = q.Role.Trust.EvaluateTrust(q.request(q.Role.ARN, false))
	v.aboutKey, v.keyDeny = true, v.key.Deny
	allowed := v.allows(q.Caller.Account == q.Role.Account)
	if q.Caller.Kind == iam.Nobody {
		allowed = v.key.Allow && !v.denies()
	}
	if allowed {
		return nil
	}
	return q.explained(q.untrusted(resource), q.Role.ARN)
}

func (q *Question) untrusted(resource string) *fault.Error {
	if q.Caller.Kind == iam.Nobody {
		return fault.New(AccessDenied, "Not authorized to perform "+q.Action.Name)
	}
	return denied(q.Caller, q.Action, resource, "")
}
