package iam

import (
	"errors"
	"fmt"
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

// String is the effect as documents write it.
func (e Effect) String() string {
	if e == Allow {
		return "Allow"
	}
	return "Deny"
}

// A PolicyKind is the place of a document, which decides what may be in it and
// what it speaks of.
type PolicyKind uint8

// The kinds of policies.
const (
	KeyPolicy      PolicyKind = iota + 1 // of a key: says who, and its Resource is that key
	IdentityPolicy                       // of a user or role, a boundary or a session policy: speaks of whoever has it
	TrustPolicy                          // of a role: says who may assume it, and has no Resource
)

// A Policy is a compiled document. It is immutable, and shared by all keys
// that have the same text. The zero Policy says nothing of any request.
type Policy struct {
	Source     string // the document as it was given
	Version    string
	ID         string
	Statements []Statement
}

// A Statement in the form in which it is evaluated.
type Statement struct {
	SID        string
	Effect     Effect
	principal  principals
	action     patterns // in lower case
	resource   patterns
	conditions []condition
}

// NamesPrincipals reports whether a statement has a Principal or NotPrincipal,
// as those of resource policies do and those of identity policies must not.
func (p *Policy) NamesPrincipals() bool {
	return slices.ContainsFunc(p.Statements, func(s Statement) bool { return s.principal.present })
}

// What a document is refused with. Texts name the statement and the element,
// and quote nothing of the document.
var (
	// ErrMalformed: the text is no policy document. The errors below are kinds of it.
	ErrMalformed = errors.New("iam: malformed policy document")
	// ErrInvalidPrincipal: a value of Principal or NotPrincipal is not the name of
	// a principal, or of none that exists. AWS KMS says of it: "Policy contains a
	// statement with one or more invalid principals."
	ErrInvalidPrincipal = fmt.Errorf("%w: invalid principal", ErrMalformed)
	// ErrOverlyPermissive: a key policy has ForAllValues on a key with one value,
	// which is true where the key is absent.
	ErrOverlyPermissive error = malformation("OverlyPermissiveCondition")
)

// A malformation is an ErrMalformed with a text of its own.
type malformation string

func (m malformation) Error() string { return string(m) }
func (m malformation) Unwrap() error { return ErrMalformed }

// An Action is the name of a permission in both of its forms: as written, for
// messages, and folded, for comparison. Make it once, with NewAction.
type Action struct{ Name, folded string }

// NewAction prepares a permission such as "kms:GenerateDataKey".
func NewAction(name string) Action { return Action{name, strings.ToLower(name)} }

// A Request is what a policy is asked.
type Request struct {
	Principal *Principal // nil is nobody
	Action    Action
	Resource  string  // an ARN, or "*"
	Context   Context // nil: no condition key is present
}

// An Outcome is what one document says of a request. The fields are
// independent, save that Direct implies Allow: a document may allow and deny
// the same request.
type Outcome struct {
	// Deny: a Deny statement matches, or cannot be shown not to.
	Deny bool
	// Direct: an Allow names the principal itself: its user ARN, its session ARN
	// or, of a root user, its account.
	Direct bool
	// Allow: an Allow names the principal, the role behind its session, its web
	// identity provider or anyone ("*"), or stands in an identity policy.
	Allow bool
	// Delegates: an Allow names the principal's account as such, which leaves the
	// decision to the account's identity policies.
	Delegates bool
}
