package identity

import (
	"strings"
	"unicode"

	"trent/internal/iam"
)

// An UnknownPrincipal is the ARN of a principal of a trust policy that does not exist.
type UnknownPrincipal string

// Error implements error.
func (p UnknownPrincipal) Error() string {
	return `invalid principal in policy: "AWS":"` + string(p) + `"`
}

// ParsePolicy compiles an identity policy, which speaks for whom it belongs to. Its
// errors are those of iam.Parse and iam.Check.
func ParsePolicy(text string) (*iam.Policy, error) {
	return parse(text, iam.IdentityPolicy)
}

// ParseTrust compiles the trust policy of a role, which says who may assume it.
// The users and roles that it names have to exist; it is kept with their unique ids.
func (v View) ParseTrust(text string) (*iam.Policy, error) {
	var unknown UnknownPrincipal
	bound, err := iam.Bind(text, func(arn string) (string, bool) {
		id, ok := v.UniqueID(arn)
		if !ok {
			unknown = UnknownPrincipal(arn)
		}
		return id, ok
	})
	if unknown != "" {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	return parse(bound, iam.TrustPolicy)
}

func parse(text string, kind iam.PolicyKind) (*iam.Policy, error) {
	p, err := iam.Parse(text)
	if err != nil {
		return nil, err
	}
	return p, iam.Check(p, kind)
}

// TrustText is the trust policy of a role as it is shown: with the ARNs of those who
// are there, and the unique ids of those who were.
func (v View) TrustText(r *Role) string { return iam.Unbind(r.Trust.Source, v.ARNOf) }

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
