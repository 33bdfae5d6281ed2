// Package grant is what a grant of AWS KMS is: who may do what with one key,
// under which constraint, and who may end it. A grant only ever allows. The
// package is pure: it compares, and neither reads nor writes.
//
// Source: AWS KMS Developer Guide, "Grants in AWS KMS", and the contract of the
// API.
package grant

import (
	"slices"
	"strings"
	"time"

	"trent/internal/api"
)

// A Grant as it stood at one revision. Grants are immutable: they are made, and
// they end.
type Grant struct {
	ID         string // 64 hexadecimal digits
	Key        string // ARN of the key
	Name       string // or none
	Grantee    Party
	Retiring   Party // who may end it; the zero Party: nobody by name
	Operations Operations
	Constraint Constraint
	Issuer     string // the 12-digit account whose principal made it
	Created    time.Time
	Rev        uint64 // of the store; zero for a grant that was never stored
}

// A Party is a principal that a grant names.
type Party struct {
	// ID is what is compared: the unique id of a user or a role, that of a role
	// with ":" and the name of a session, or an account. A namesake that is made
	// after the principal was deleted has another one.
	ID string
	// ARN is how the party was named.
	ARN string
}

// MaxPerKey is how many grants a key may have (quota of AWS KMS).
const MaxPerKey = 50000

// IDSize is the length of a grant id, in hexadecimal digits.
const IDSize = 64

// ValidID reports whether s has the form of a grant id.
func ValidID(s string) bool {
	return len(s) == IDSize && strings.Trim(s, "0123456789abcdef") == ""
}

// A Use is what somebody wants to do with a key.
type Use struct {
	Operation api.GrantOperation
	Context   map[string]string // encryption context
	SourceArn string            // the resource on whose behalf a service calls; empty: none
}

// Covers reports whether the grant allows a use by its grantee.
func (g *Grant) Covers(u Use) bool {
	return g.Operations.Has(u.Operation) && g.Constraint.allows(u)
}

// LetsGranteeRetire reports whether the grantee may end the grant.
func (g *Grant) LetsGranteeRetire() bool {
	return g.Covers(Use{Operation: api.GrantOperationRetireGrant})
}

// A Constraint limits a grant to some encryption contexts, or to calls on
// behalf of one resource. The zero value limits nothing.
type Constraint struct {
	Kind      ConstraintKind
	Pairs     map[string]string
	SourceArn string
}

// A ConstraintKind says how Pairs limit the encryption context.
type ConstraintKind uint8

// The kinds. The numbers are on disk.
const (
	Unconstrained ConstraintKind = 0
	ContextEquals ConstraintKind = 1 // the context is Pairs and no more
	ContextSubset ConstraintKind = 2 // Pairs are among the context's
)

// allows compares as exactly as the AEAD does: case counts in keys and values.
// Operations without an encryption context are not limited by one.
func (c *Constraint) allows(u Use) bool {
	if c.SourceArn != "" && u.Operation != api.GrantOperationRetireGrant && c.SourceArn != u.SourceArn {
		return false
	}
	if !limitedByContext(u.Operation) {
		return true
	}
	switch c.Kind {
	case Unconstrained:
		return true
	case ContextEquals:
		return len(c.Pairs) == len(u.Context) && contains(u.Context, c.Pairs)
	case ContextSubset:
		return contains(u.Context, c.Pairs)
	}
	return false
}

// limitedByContext reports whether the operation has an encryption context that a
// constraint is about. What a grant may pass on is for Within to say.
func limitedByContext(op api.GrantOperation) bool {
	switch op {
	case api.GrantOperationDescribeKey, api.GrantOperationRetireGrant, api.GrantOperationCreateGrant:
		return false
	}
	return true
}

// Within reports whether g gives nothing that parent does not give: who holds
// CreateGrant by a grant can pass on that much and no more.
func (g *Grant) Within(parent *Grant) bool {
	return g.Key == parent.Key && g.Operations&^parent.Operations == 0 && g.Constraint.within(&parent.Constraint)
}

func (c *Constraint) within(parent *Constraint) bool {
	if parent.SourceArn != "" && c.SourceArn != parent.SourceArn {
		return false
	}
	switch parent.Kind {
	case Unconstrained:
		return true
	case ContextEquals:
		return c.Kind == ContextEquals && len(c.Pairs) == len(parent.Pairs) && contains(c.Pairs, parent.Pairs)
	case ContextSubset:
		return c.Kind != Unconstrained && contains(c.Pairs, parent.Pairs)
	}
	return false
}

// contains reports whether all pairs of part are in whole.
func contains(whole, part map[string]string) bool {
	for k, v := range part {
		if have, ok := whole[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// SameRequest reports whether two grants were asked for in the same words, so
// that, if they have a name, the one stands for the other.
func (g *Grant) SameRequest(other *Grant) bool {
	a, b := &g.Constraint, &other.Constraint
	return g.Key == other.Key && g.Name == other.Name && g.Grantee.ID == other.Grantee.ID && g.Retiring.ID == other.Retiring.ID &&
		g.Operations == other.Operations && g.Issuer == other.Issuer &&
		a.Kind == b.Kind && a.SourceArn == b.SourceArn && len(a.Pairs) == len(b.Pairs) && contains(a.Pairs, b.Pairs)
}

// Operations is a set of operations.
type Operations uint32

// known are the operations in the order of their bits, which are on disk:
// append only.
var known = [...]api.GrantOperation{
	api.GrantOperationDecrypt, api.GrantOperationEncrypt,
	api.GrantOperationGenerateDataKey, api.GrantOperationGenerateDataKeyWithoutPlaintext,
	api.GrantOperationReEncryptFrom, api.GrantOperationReEncryptTo,
	api.GrantOperationSign, api.GrantOperationVerify, api.GrantOperationGetPublicKey,
	api.GrantOperationCreateGrant, api.GrantOperationRetireGrant, api.GrantOperationDescribeKey,
	api.GrantOperationGenerateDataKeyPair, api.GrantOperationGenerateDataKeyPairWithoutPlaintext,
	api.GrantOperationGenerateMac, api.GrantOperationVerifyMac, api.GrantOperationDeriveSharedSecret,
	api.GrantOperationEncapsulate, api.GrantOperationDecapsulate,
}

// OperationsOf makes a set. It reports false if one of ops is unknown.
func OperationsOf(ops ...api.GrantOperation) (set Operations, ok bool) {
	for _, op := range ops {
		i := slices.Index(known[:], op)
		if i < 0 {
			return 0, false
		}
		set |= 1 << i
	}
	return set, true
}

// Known reports whether all bits of a stored set mean something to us.
func (s Operations) Known() bool { return s>>len(known) == 0 }

// Has reports whether op is in the set.
func (s Operations) Has(op api.GrantOperation) bool {
	one, ok := OperationsOf(op)
	return ok && s&one != 0
}

// List is the set in the order of the model.
func (s Operations) List() (list []api.GrantOperation) {
	for i, op := range known {
		if s>>i&1 == 1 {
			list = append(list, op)
		}
	}
	return list
}

// OfPermission is the operation of a grant that stands for a permission such as
// "kms:Decrypt", or nothing where no grant can give it.
func OfPermission(permission string) api.GrantOperation {
	op := api.GrantOperation(strings.TrimPrefix(permission, "kms:"))
	if _, ok := OperationsOf(op); !ok {
		return ""
	}
	return op
}
