package iam

import (
	"errors"
	"slices"
	"strings"
)

// MaxPolicySize bounds a document, in bytes (the quota of AWS KMS on key policies).
const MaxPolicySize = 32 << 10

// Effect is what a statement does where it matches.
type Effect bool

// The two effects.
const (
	Deny  Effect = false
	Allow Effect = true
)

// A Policy is a compiled document. It is immutable, and shared by all keys
// that have the same text.
type Policy struct {
	Source     string // the document as it was given
	Version    string
	ID         string
	Statements []Statement
}

// NamesPrincipals reports whether a statement has a Principal, as those of
// resource policies do and those of identity policies must not.
func (p *Policy) NamesPrincipals() bool {
	return slices.ContainsFunc(p.Statements, func(s Statement) bool { return len(s.Principals) > 0 })
}

// A Statement in the form in which it is evaluated.
type Statement struct {
	SID        string
	Effect     Effect
	Principals []PrincipalPattern // of a resource policy; none in an identity policy
	Actions    []string           // lower case, wildcards kept
	Resources  []string           // wildcards kept
}

// A PrincipalPattern is one value of the Principal element.
type PrincipalPattern struct {
	Anyone    bool   // "*"
	Account   string // the account as such: its root ARN or its bare id
	Partition string // of the root ARN; none with a bare id
	ARN       string // one user or role
}

// What a document is refused with.
var (
	// ErrMalformed: the text is no policy document.
	ErrMalformed = errors.New("iam: malformed policy document")
	// ErrUnsupported: the document is legal, but uses an element that is not
	// evaluated yet. Wrapped with a sentence that names it.
	ErrUnsupported = errors.New("iam: policy element not supported")
)

// An Action is the name of a permission in both of its forms: as written, for
// messages, and folded, for comparison. Make it once, with NewAction.
type Action struct{ Name, folded string }

// NewAction prepares a permission such as "kms:GenerateDataKey".
func NewAction(name string) Action { return Action{name, strings.ToLower(name)} }

// A Request is what a policy is asked.
type Request struct {
	Principal *Principal
	Action    Action
	Resource  string // an ARN, or "*"
}

// An Outcome is what one document says of a request. The three are
// independent: a document may allow and deny the same request.
type Outcome struct {
	Deny bool // an explicit deny matched
	// Allow: an allow matched the principal itself ("*" included).
	Allow bool
	// Delegates: an allow matched the principal's account as such, which leaves the
	// decision to the account's identity policies.
	Delegates bool
}

// EvaluateResource asks a resource policy (a key policy). The Resource element
// of a key policy means the key that carries it: "*" or that key's ARN; any
// other makes the statement inert. No statement is skipped once one matched:
// a short circuit could hide a deny.
func (p *Policy) EvaluateResource(r Request) Outcome {
	var out Outcome
	for i := range p.Statements {
		s := &p.Statements[i]
		if !s.matches(r.Action.folded, r.Resource) {
			continue
		}
		itself, account := s.principal(r.Principal)
		switch {
		case s.Effect == Deny:
			out.Deny = out.Deny || itself || account
		default:
			out.Allow = out.Allow || itself
			out.Delegates = out.Delegates || account
		}
	}
	return out
}

// EvaluateIdentity asks an identity policy, which speaks for the principal that
// it is attached to. The Principal element has no place in one: a statement with
// it allows nothing, and what it denies stays denied.
func (p *Policy) EvaluateIdentity(r Request) Outcome {
	var out Outcome
	for i := range p.Statements {
		s := &p.Statements[i]
		if !s.matches(r.Action.folded, r.Resource) {
			continue
		}
		switch {
		case s.Effect == Deny:
			out.Deny = true
		case len(s.Principals) == 0:
			out.Allow = true
		}
	}
	return out
}

// matches says whether the statement is about this action on this resource. A
// statement without either element is stored and has no effect.
func (s *Statement) matches(action, resource string) bool {
	return anyGlob(s.Actions, action) && anyGlob(s.Resources, resource)
}

// principal says whether the statement names p itself, and whether it names
// p's account. The root user is its account.
func (s *Statement) principal(p *Principal) (itself, account bool) {
	for _, pat := range s.Principals {
		switch {
		case pat.Anyone:
			itself = true
		case pat.Account != "":
			if pat.Account == p.Account && (pat.Partition == "" || pat.Partition == p.Partition) {
				account = true
				itself = itself || p.IsRoot()
			}
		case pat.ARN == p.ARN:
			itself = true
		}
	}
	return itself, account
}

func anyGlob(patterns []string, s string) bool {
	for _, p := range patterns {
		if glob(p, s) {
			return true
		}
	}
	return false
}

// glob matches * (any run, empty too) and ? (any one byte). It remembers only
// the last star, so it takes at most len(pattern) × len(s) steps, never more.
func glob(pattern, s string) bool {
	if pattern == "*" || pattern == s {
		return true
	}
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
