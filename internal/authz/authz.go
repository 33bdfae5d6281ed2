// Package authz decides, and is the only mint of Permits. Nothing that this
// package does not allow explicitly is allowed.
//
// The procedure is that of AWS KMS (contract of the API, "Decision procedure"): an
// explicit deny anywhere wins; a permissions boundary and a session policy,
// where there are any, must each allow too; in its own account a principal needs the key
// policy to allow it by name, or the key policy to delegate to the account and an identity
// policy to allow it, or a grant; from another account it needs both sides.
// docs/authorization.md tells it to users.
package authz

import (
	"context"

	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/iam"
	"trent/internal/key"
)

// AccessDenied is the code of every refusal of this room.
const AccessDenied fault.Code = "AccessDeniedException"

// A Permit says that one caller may do one thing with one key, as that key
// stood at one revision. Only this package makes valid ones; the zero Permit
// opens nothing.
type Permit struct {
	record *key.Record
	action iam.Action
}

// Allows reports whether the permit is for exactly this record: the same value,
// so the same key at the same revision.
func (p Permit) Allows(r *key.Record) bool { return r != nil && p.record == r }

// Action is what the permit was given for, such as "kms:Decrypt".
func (p Permit) Action() string { return p.action.Name }

// A Question is whether a caller may do one thing.
type Question struct {
	Caller     *iam.Principal
	Action     iam.Action
	Conditions *Conditions // what the request's condition keys say

	// The following are for OnKey.

	Record *key.Record
	Grants Grants    // nil: there are none
	Use    grant.Use // what a grant would have to cover; without an operation none can
	// Child is the grant that the caller wants to make. Who may make it by a grant of
	// its own can pass on what that one gives and no more.
	Child *grant.Grant

	Role *Role // of OnRole; nil: there is none of that name
}

// Grants knows what was granted.
type Grants interface {
	// GrantsTo returns what a party was granted on a key: a principal's unique id,
	// its role's, or an account.
	GrantsTo(ctx context.Context, rec *key.Record, party string) (*grant.Set, error)
}

// OnKey decides about the key Question.Record.
func OnKey(ctx context.Context, q *Question) (Permit, error) {
	caller, rec := q.Caller, q.Record
	if caller.Account == "" {
		return Permit{}, denied(caller, q.Action, rec.ARN, "")
	}
	v := q.ask(rec.ARN, rec.Policy)
	home := caller.Account == rec.Account()
	allowed := v.allows(home)
	if !allowed && !v.denies() && v.withinBounds() {
		granted, err := q.granted(ctx, home, v.identity.Allow)
		if err != nil {
			return Permit{}, err
		}
		allowed = granted
	}
	switch {
	case allowed:
		return Permit{rec, q.Action}, nil
	case home:
		return Permit{}, q.explained(denied(caller, q.Action, rec.ARN, v.tail(q.Action)), rec.ARN)
	}
	// One text for all refusals of foreign keys, so that none tells what exists.
	return Permit{}, q.explained(ForeignKey(caller, q.Action), rec.ARN)
}

// granted asks the grants. They only ever allow: it is called when nothing
// denies. What was granted to an account as such is for its own policies to pass
// on; and a caller from another account needs those policies in any case.
func (q *Question) granted(ctx context.Context, home, identityAllows bool) (bool, error) {
	if q.Grants == nil || q.Use.Operation == "" {
		return false, nil
	}
	if !home && !identityAllows {
		return false, nil
	}
	parties := [...]struct {
		id    string
		wants bool // an identity policy as well
	}{
		{q.Caller.UniqueID, false},
		{q.Caller.RoleID, false},
		{q.Caller.Account, q.Caller.Kind != iam.RootUser},
	}
	for _, p := range parties {
		if p.id == "" || p.wants && !identityAllows {
			continue
		}
		set, err := q.Grants.GrantsTo(ctx, q.Record, p.id)
		if err != nil {
			return false, err
		}
		if set.Covers(q.Use, q.Child) {
			return true, nil
		}
	}
	return false, nil
}

// OnAccount decides what is asked of the caller's own account and of no key:
// CreateKey, the lists, aliases as such, and all of IAM. Resource is "*" or an ARN
// of that account. The root user is the account.
func OnAccount(q *Question, resource string) error {
	if q.Caller.Account == "" {
		return denied(q.Caller, q.Action, resource, "")
	}
	v := q.ask(resource, nil)
	if !v.denies() && v.withinBounds() && (v.identity.Allow || q.Caller.Kind == iam.RootUser) {
		return nil
	}
	return q.explained(denied(q.Caller, q.Action, resource, v.tail(q.Action)), resource)
}

// OnDeployment decides what is asked of the deployment as a whole. Only principals
// of its first account can be allowed that.
func OnDeployment(q *Question, first string) error {
	if first == "" || q.Caller.Account != first {
		return denied(q.Caller, q.Action, "*", " because the action is for principals of the deployment's first account")
	}
	return OnAccount(q, "*")
}

// OnGrant decides whether a principal may retire the grant g on the key
// Question.Record: who is named for it, the grantee if that is among what was
// granted, and the account that made it: its root user, and whom its
// identity policies allow.
func OnGrant(q *Question, g *grant.Grant) error {
	caller := q.Caller
	if caller.Account == "" {
		return denied(caller, q.Action, g.Key, "")
	}
	v := q.ask(g.Key, nil)
	v.keyDeny = q.Record.Policy.EvaluateResource(q.request(g.Key, true)).Deny
	speaksFor := func(party string) bool {
		return party != "" && (party == caller.UniqueID || party == caller.RoleID || party == caller.Account && v.identity.Allow)
	}
	mayRetire := speaksFor(g.Retiring.ID) ||
		speaksFor(g.Grantee.ID) && g.LetsGranteeRetire() ||
		speaksFor(g.Issuer)
	switch {
	case mayRetire && !v.denies() && v.withinBounds():
		return nil
	case caller.Account == q.Record.Account():
		return q.explained(denied(caller, q.Action, g.Key, v.tail(q.Action)), g.Key)
	}
	return q.explained(ForeignKey(caller, q.Action), g.Key)
}

// ForeignKey is the one answer about keys of other accounts that the caller
// may not use, whether they exist or not.
func ForeignKey(caller *iam.Principal, action iam.Action) *fault.Error {
	return fault.Newf(AccessDenied, "User: %s is not authorized to perform: %s on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access", caller.ARN, action.Name)
}

// KeepsControl reports whether, under policy, the caller could still change the
// policy of r: the lockout check of CreateKey and PutKeyPolicy. q is the question
// whose caller and conditions these are.
func KeepsControl(ctx context.Context, q *Question, r *key.Record, policy *iam.Policy) bool {
	changed := *r
	changed.Policy = policy
	conditions := *q.Conditions
	conditions.Record, conditions.Own = &changed, laterOn{conditions.Own}
	_, err := OnKey(ctx, &Question{
		Caller: q.Caller, Action: iam.NewAction("kms:PutKeyPolicy"), Conditions: &conditions, Record: &changed,
	})
	return err == nil
}

// laterOn is what a request has of the condition keys of PutKeyPolicy. The tags
// that come with CreateKey will not be there when the policy is to be changed.
type laterOn struct{ own Own }

// Value implements Own.
func (l laterOn) Value(k iam.Key) iam.Value {
	if l.own == nil || k.Name != "kms:bypasspolicylockoutsafetycheck" {
		return iam.Value{}
	}
	return l.own.Value(k)
}

func denied(caller *iam.Principal, action iam.Action, resource, tail string) *fault.Error {
	return fault.Newf(AccessDenied, "User: %s is not authorized to perform: %s on resource: %s%s", caller.ARN, action.Name, resource, tail)
}
