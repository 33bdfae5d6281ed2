package iam

import (
	"errors"
	"strings"

	"trent/internal/arn"
)

// naming is by what a statement names the one who asks: a set of bits.
type naming uint8

const (
	itself   naming = 1 << iota // the user, the session; the account, of its root user
	role                        // the role behind the session
	account                     // the account as such
	provider                    // the identity provider that vouches for a web identity
	anyone                      // "*"

	nobody naming = 0
)

// principals is a Principal or NotPrincipal element.
type principals struct {
	list             []principalPattern
	present, negated bool
}

// A principalPattern is one value of such an element.
type principalPattern struct {
	form      principalForm
	partition string // of an account's root ARN; none with a bare id
	value     string // account, ARN, unique id, or name
}

type principalForm uint8

const (
	anyPrincipal    principalForm = iota + 1 // "*"
	byAccount                                // 111122223333, or the ARN of its root
	byUserARN                                // arn:aws:iam::111122223333:user/…
	byRoleARN                                // arn:aws:iam::111122223333:role/…
	bySessionARN                             // arn:aws:sts::111122223333:assumed-role/ROLE/SESSION
	byUserID                                 // AIDA…
	byRoleID                                 // AROA…
	bySessionID                              // AROA…:SESSION
	byProvider                               // Federated
	byService                                // Service: nobody is one yet
	byFederatedUser                          // arn:aws:sts::111122223333:federated-user/…: nobody is one yet
)

// match says by what the element names the one who asks, and nobody where it
// does not. For a Deny any bit will do.
func (p *principals) match(e *evaluation, effect Effect) naming {
	who := e.request.Principal
	if who == nil {
		who = &Principal{}
	}
	switch {
	case e.kind == IdentityPolicy:
		return implied(who, effect, p.present)
	case !p.present:
		return nobody
	case p.negated && effect == Deny:
		return spareNone(p.names(e, who), chain(e, who))
	case p.negated:
		if who.Kind == Nobody || p.names(e, who) != nobody {
			return nobody
		}
		return anyone
	}
	named := p.names(e, who)
	if effect == Allow && who.Kind == Nobody {
		named &= provider
	}
	return named
}

// implied is who an identity policy speaks of: whoever it is attached to.
func implied(who *Principal, effect Effect, named bool) naming {
	if effect == Allow && (named || who.Kind == Nobody) {
		return nobody
	}
	return anyone
}

// names collects by what the listed values name who.
func (p *principals) names(e *evaluation, who *Principal) naming {
	named := nobody
	for i := range p.list {
		named |= p.list[i].names(e, who)
	}
	return named
}

func (p *principalPattern) names(e *evaluation, who *Principal) naming {
	switch p.form {
	case anyPrincipal:
		return anyone
	case byAccount:
		if p.value != who.Account || p.partition != "" && p.partition != who.Partition {
			return nobody
		}
		if who.Kind == RootUser {
			return itself | account
		}
		return account
	case byUserARN:
		return when(who.Kind == User && p.value == who.ARN, itself)
	case byUserID:
		return when(who.Kind == User && p.value == who.UniqueID, itself)
	case byRoleARN:
		return when(who.Kind == RoleSession && p.value == who.RoleARN, role)
	case byRoleID:
		return when(who.Kind == RoleSession && p.value == who.RoleID, role)
	case bySessionARN:
		return when(who.Kind == RoleSession && p.value == who.ARN, itself)
	case bySessionID:
		return when(who.Kind == RoleSession && p.value == who.UniqueID, itself)
	case byProvider:
		return when(e.kind == TrustPolicy && p.value == who.FederatedProvider, provider)
	}
	return nobody
}

func when(is bool, n naming) naming {
	if is {
		return n
	}
	return nobody
}

// chain is all that a NotPrincipal must list for a Deny to spare who (IAM User
// Guide, "NotPrincipal with Deny"): a session, its role and their account.
func chain(e *evaluation, who *Principal) naming {
	switch who.Kind {
	case RootUser, User:
		return itself | account
	case RoleSession:
		return itself | role | account
	}
	return when(e.kind == TrustPolicy && who.FederatedProvider != "", provider)
}

// spareNone is what a Deny with NotPrincipal says: everyone, unless all links
// of the chain are listed. Whoever has no chain is denied.
func spareNone(listed, chain naming) naming {
	if listed&anyone != 0 || chain != nobody && listed&chain == chain {
		return nobody
	}
	return anyone
}

// compilePrincipals makes one element of the pair.
func compilePrincipals(is, not optional[jsonPrincipal]) (principals, error) {
	out := principals{present: is.present || not.present, negated: not.present}
	switch {
	case is.present && not.present:
		return out, errors.New("Principal and NotPrincipal exclude each other")
	case not.present:
		is = not
	}
	if is.value.anyone {
		out.list = []principalPattern{{form: anyPrincipal}}
		return out, nil
	}
	if out.present && len(is.value.kinds) == 0 {
		return out, ErrInvalidPrincipal
	}
	for _, kind := range is.value.kinds {
		if len(kind.value) == 0 {
			return out, ErrInvalidPrincipal
		}
		for _, value := range kind.value {
			p, ok := compilePrincipal(kind.name, value)
			if !ok {
				return out, ErrInvalidPrincipal
			}
			out.list = append(out.list, p)
		}
	}
	return out, nil
}

// compilePrincipal reads one value of one kind of principal. There is no
// wildcard within a name: "*" stands for everyone, and alone.
func compilePrincipal(kind, value string) (principalPattern, bool) {
	switch kind {
	case "AWS":
		if p, ok := compileUniqueID(value); ok {
			return p, true
		}
		return compileAWS(value)
	case "Federated":
		return principalPattern{form: byProvider, value: value}, validProvider(value)
	case "Service":
		return principalPattern{form: byService, value: value}, validDomain(value)
	}
	return principalPattern{}, false
}

func compileAWS(value string) (principalPattern, bool) {
	if value == "*" {
		return principalPattern{form: anyPrincipal}, true
	}
	if arn.IsAccount(value) {
		return principalPattern{form: byAccount, value: value}, true
	}
	a, ok := arn.Parse(value)
	if !ok || a.Region != "" || !arn.IsAccount(a.Account) || strings.ContainsAny(value, "*?") {
		return principalPattern{}, false
	}
	kind, name, _ := strings.Cut(a.Resource, "/")
	switch a.Service + ":" + kind {
	case "iam:root":
		return principalPattern{form: byAccount, partition: a.Partition, value: a.Account}, a.Resource == "root"
	case "iam:user":
		return principalPattern{form: byUserARN, value: value}, validName(name)
	case "iam:role":
		return principalPattern{form: byRoleARN, value: value}, validName(name)
	case "sts:assumed-role":
		role, session, _ := strings.Cut(name, "/")
		return principalPattern{form: bySessionARN, value: value}, validName(role) && ValidSession(session)
	case "sts:federated-user":
		return principalPattern{form: byFederatedUser, value: value}, validName(name)
	}
	return principalPattern{}, false
}

// validName takes a name with a path before it.
func validName(s string) bool {
	return s != "" && s[0] != '/' && s[len(s)-1] != '/'
}

// compileUniqueID takes the id of a user or role, or of a role's session.
func compileUniqueID(value string) (principalPattern, bool) {
	id, session, isSession := strings.Cut(value, ":")
	if len(id) < 16 || len(id) > 128 || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return principalPattern{}, false
	}
	switch id[:4] {
	case "AIDA":
		return principalPattern{form: byUserID, value: value}, !isSession
	case "AROA":
		if isSession {
			return principalPattern{form: bySessionID, value: value}, ValidSession(session)
		}
		return principalPattern{form: byRoleID, value: value}, true
	}
	return principalPattern{}, false
}

// ValidSession reports whether s can be the name of a session: what STS takes for a
// RoleSessionName, 2 to 64 characters of letters, digits and _+=,.@- (API reference,
// "AssumeRole").
func ValidSession(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte("_+=,.@-", c) < 0 {
			return false
		}
	}
	return len(s) >= 2 && len(s) <= 64
}

// validProvider takes the ARN of an OIDC or SAML provider, or the name of one
// of those that have no ARN, such as accounts.google.com.
func validProvider(value string) bool {
	if !strings.HasPrefix(value, "arn:") {
		return validDomain(value)
	}
	a, ok := arn.Parse(value)
	kind, name, _ := strings.Cut(a.Resource, "/")
	return ok && a.Service == "iam" && a.Region == "" && arn.IsAccount(a.Account) && !strings.ContainsAny(value, "*?") &&
		(kind == "oidc-provider" || kind == "saml-provider") && validName(name)
}

func validDomain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '.' {
			return false
		}
	}
	return strings.Contains(s, ".") && s[0] != '.' && s[len(s)-1] != '.'
}
