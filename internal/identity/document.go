package identity

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"trent/internal/iam"
)

// What a document is refused with, beside the errors of package iam: its form is
// right, and it is no policy of the kind that was asked for.
var (
	ErrPrincipal   = errors.New("policy document should not specify a principal")
	ErrNoPrincipal = errors.New("policy document must specify a principal")
	ErrResource    = errors.New("policy document should not specify a resource")
	ErrIncomplete  = errors.New("policy statement must contain actions and resources")
)

// An UnknownPrincipal is a principal of a trust policy that does not exist.
type UnknownPrincipal string

// Error implements error.
func (p UnknownPrincipal) Error() string {
	return `invalid principal in policy: "AWS":"` + string(p) + `"`
}

// ParsePolicy compiles an identity policy, which speaks for whom it belongs to.
func ParsePolicy(text string) (*iam.Policy, error) {
	p, err := iam.Parse(text)
	if err != nil {
		return nil, err
	}
	if p.NamesPrincipals() {
		return nil, ErrPrincipal
	}
	for i := range p.Statements {
		if s := &p.Statements[i]; len(s.Actions) == 0 || len(s.Resources) == 0 {
			return nil, ErrIncomplete
		}
	}
	return p, nil
}

// ParseTrust compiles the trust policy of a role, which says who may assume it.
// The users and roles that it names have to exist. This is where their ARNs become
// unique ids, once the language can hold those.
func (v View) ParseTrust(text string) (*iam.Policy, error) {
	p, err := iam.Parse(text)
	if err != nil {
		return nil, err
	}
	for i := range p.Statements {
		s := &p.Statements[i]
		switch {
		case len(s.Principals) == 0:
			return nil, ErrNoPrincipal
		case len(s.Resources) > 0:
			return nil, ErrResource
		case len(s.Actions) == 0:
			return nil, fmt.Errorf("%w: a trust policy names no resource", ErrIncomplete)
		}
		for _, named := range s.Principals {
			if _, known := v.UniqueID(named.ARN); named.ARN != "" && !known {
				return nil, UnknownPrincipal(named.ARN)
			}
		}
	}
	return p, nil
}

// TrustText is the trust policy of a role as it is shown.
func (v View) TrustText(r *Role) string { return r.Trust.Source }

// Size is the length of a document as the quotas of IAM count it: in characters,
// without white space.
func Size(text string) int {
	n := 0
	for _, c := range text {
		if !unicode.IsSpace(c) {
			n++
		}
	}
	return n
}

// InlineSize is the size of all inline policies together.
func (p *Permissions) InlineSize() int {
	var all strings.Builder
	for _, i := range p.Inline {
		all.WriteString(i.Policy.Source)
	}
	return Size(all.String())
}
