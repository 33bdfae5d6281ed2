// Package authz decides, and is the only mint of Permits. Nothing that this
// package does not allow explicitly is allowed.
//
// The procedure is that of AWS KMS (contract of the API, "Decision procedure"),
// as far as policies go in this first cut: an explicit deny anywhere wins; in
// its own account a principal needs the key policy to allow it by name, or the
// key policy to delegate to the account and an identity policy to allow it;
// from another account it needs both sides. Grants come later and stand here.
package authz

import (
	"trent/internal/fault"
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

// OnKey decides whether caller may do action with the key r.
func OnKey(caller *iam.Principal, action iam.Action, r *key.Record) (Permit, error) {
	req := iam.Request{Principal: caller, Action: action, Resource: r.ARN}
	keySide := r.Policy.EvaluateResource(req)
	identity := identitySide(req)
	home := caller.Account == r.Account()
	switch {
	case caller.Account == "":
		return Permit{}, denied(caller, action, r.ARN, "")
	case keySide.Deny && home:
		return Permit{}, denied(caller, action, r.ARN, " with an explicit deny in a resource-based policy")
	case !home:
		// One text for all refusals of foreign keys, so that none tells what exists.
		if !keySide.Deny && !identity.Deny && (keySide.Allow || keySide.Delegates) && identity.Allow {
			return Permit{r, action}, nil
		}
		return Permit{}, ForeignKey(caller, action)
	case identity.Deny:
		return Permit{}, denied(caller, action, r.ARN, " with an explicit deny in an identity-based policy")
	case keySide.Allow, keySide.Delegates && identity.Allow:
		return Permit{r, action}, nil
	case keySide.Delegates:
		return Permit{}, denied(caller, action, r.ARN, " because no identity-based policy allows the "+action.Name+" action")
	}
	return Permit{}, denied(caller, action, r.ARN, " because no resource-based policy allows the "+action.Name+" action")
}

// OnAccount decides what is asked of the caller's own account and of no key:
// CreateKey, the lists, aliases as such. Resource is "*" or an alias ARN of
// that account. The root user is the account.
func OnAccount(caller *iam.Principal, action iam.Action, resource string) error {
	identity := identitySide(iam.Request{Principal: caller, Action: action, Resource: resource})
	switch {
	case caller.Account == "":
		return denied(caller, action, resource, "")
	case identity.Deny:
		return denied(caller, action, resource, " with an explicit deny in an identity-based policy")
	case identity.Allow, caller.IsRoot():
		return nil
	}
	return denied(caller, action, resource, " because no identity-based policy allows the "+action.Name+" action")
}

// ForeignKey is the one answer about keys of other accounts that the caller
// may not use, whether they exist or not.
func ForeignKey(caller *iam.Principal, action iam.Action) error {
	return fault.Newf(AccessDenied, "User: %s is not authorized to perform: %s on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access", caller.ARN, action.Name)
}

// KeepsControl reports whether, under policy, caller could still change the
// policy of r: the lockout check of CreateKey and PutKeyPolicy.
func KeepsControl(caller *iam.Principal, r *key.Record, policy *iam.Policy) bool {
	changed := *r
	changed.Policy = policy
	_, err := OnKey(caller, iam.NewAction("kms:PutKeyPolicy"), &changed)
	return err == nil
}

// identitySide joins what the caller's identity policies say, within its
// permissions boundary. All of them are asked, so that none hides another's deny.
func identitySide(req iam.Request) iam.Outcome {
	var out iam.Outcome
	for _, p := range req.Principal.Policies {
		o := p.EvaluateIdentity(req)
		out.Deny = out.Deny || o.Deny
		out.Allow = out.Allow || o.Allow
	}
	if b := req.Principal.Boundary; b != nil {
		o := b.EvaluateIdentity(req)
		out.Deny = out.Deny || o.Deny
		out.Allow = out.Allow && o.Allow
	}
	return out
}

func denied(caller *iam.Principal, action iam.Action, resource, tail string) error {
	return fault.Newf(AccessDenied, "User: %s is not authorized to perform: %s on resource: %s%s", caller.ARN, action.Name, resource, tail)
}
