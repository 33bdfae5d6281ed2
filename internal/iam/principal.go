// Package iam is the policy language: principals, policy documents, and what
// a document says of a request. It knows nothing of keys, stores or clocks.
//
// This is its first cut. It evaluates Effect, Principal (AWS accounts, users,
// roots and "*"), Action and Resource, with wildcards, and it refuses to take
// in a document with any other element (ErrUnsupported): a statement that is
// stored but not evaluated would be a lie.
package iam

import "trent/internal/arn"

// A Principal is who a verified request comes from. The zero value is nobody
// and is allowed nothing. Principals are immutable and shared.
type Principal struct {
	Partition   string
	Account     string    // 12 digits
	ARN         string    // arn:aws:iam::111122223333:user/admin, or …:root
	UniqueID    string    // AIDA…; of the account's root user, the account id
	AccessKeyID string    // the key that signed
	Policies    []*Policy // identity policies, compiled
	Boundary    *Policy   // permissions boundary, or nil
}

// IsRoot reports whether p is the root user of its account.
func (p *Principal) IsRoot() bool {
	return p.Account != "" && p.ARN == arn.AccountRoot(p.Partition, p.Account)
}
