// Package iam is the policy language of AWS IAM: principals, policy documents,
// and what a document says of a request. It knows nothing of keys, stores or
// clocks.
//
// A text becomes a document (document.go), the document a compiled Policy
// (compile.go and its neighbours), and a Policy answers requests (evaluate.go).
// What the published rules leave open, and how Trent chose, is in
// docs/policy-language.md. Whoever is in doubt here denies: what cannot be
// evaluated makes an Allow statement fail and a Deny statement match.
package iam

import "time"

// A Kind is what sort of principal somebody is.
type Kind uint8

// The kinds of principals.
const (
	Nobody      Kind = iota // allowed nothing
	RootUser                // of an account
	User                    // an IAM user
	RoleSession             // temporary credentials of a role
)

// A Principal is who a verified request comes from. The zero value is nobody
// and is allowed nothing. Principals are immutable and shared.
type Principal struct {
	Kind              Kind
	Partition         string
	Account           string    // 12 digits
	ARN               string    // as messages show it: of the user, of root, or arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	UniqueID          string    // aws:userid: AIDA…; the account id for root; AROA…:SESSION for a session
	Name              string    // aws:username, of users alone; a session keeps its session name here and has no aws:username
	RoleARN           string    // of a session: arn:aws:iam::ACCOUNT:role/path/NAME
	RoleID            string    // of a session: AROA…
	AccessKeyID       string    // the key that signed
	Tags              []Tag     // aws:PrincipalTag
	TransitiveTags    []string  // of a session: keys of those tags that pass on to the sessions that it makes
	SourceIdentity    string    // aws:SourceIdentity
	FederatedProvider string    // of a web identity: the provider's ARN, or its name where it has none
	TokenIssued       time.Time // zero: no temporary credentials
	Policies          []*Policy // identity policies, those of groups too
	Boundary          *Policy   // permissions boundary, or nil
	SessionPolicies   []*Policy // nil: none was passed; else each request must be allowed by one of them
}

// A Tag is a pair that somebody attached to a principal.
type Tag struct{ Key, Value string }

// IsRoot reports whether p is the root user of its account.
func (p *Principal) IsRoot() bool { return p.Kind == RootUser && p.Account != "" }
