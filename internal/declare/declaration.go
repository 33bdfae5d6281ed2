// Package declare makes a deployment what one file says: accounts, principals,
// policies, keys, aliases and grants. docs/spec/declaration.md has the format.
//
// A text becomes a Declaration (parse.go), the declaration and the present state a
// plan (plan.go and its neighbours), and the plan is carried out change by
// change. The present state is read, and every change made, by requests down the
// road, each as the root user of the account that it is about: the same rules,
// limits and commits hold as for anybody, and each has its line in the audit. There
// is no second way into the store.
package declare

import (
	"trent/internal/api"
	"trent/internal/secret"
)

// A Declaration is a file that has been read and found well-formed.
type Declaration struct {
	Accounts []Account

	fixedAt int // the line of the first thing that dev mode alone takes; zero: none
}

// Fixed reports whether there is something in it that dev mode alone takes.
func (d *Declaration) Fixed() bool { return d.fixedAt > 0 }

// An Account and what is wished for in it.
type Account struct {
	ID    string
	Name  string
	Alias string // empty: left alone

	Policies  []ManagedPolicy
	Providers []Provider
	Groups    []Entity
	Users     []Entity
	Roles     []Entity
	Keys      []Key
}

// label is what plans call the account.
func (a *Account) label() string {
	if a.Name != "" {
		return a.Name
	}
	return a.ID
}

// An Entity is a user, a group or a role. What a kind does not have is empty.
type Entity struct {
	Name        string
	Path        string // empty: as it is, or / for a new one
	Tags        []Pair
	Policies    []Named // inline
	Attached    []string
	Boundary    string   // empty: as it is; Unbounded: none
	Groups      []string // of a user
	Description *string  // of a role; nil: as it is
	Trust       string   // of a role
	MaxSession  int      // of a role, in seconds; zero: as it is

	AccessKeys    int // of a user: how many it has at least
	AccessKeyFile string
	Fixed         []FixedAccessKey
}

// Unbounded is the boundary of whom none is to bound.
const Unbounded = "none"

// A Pair is a tag.
type Pair struct{ Key, Value string }

// A Named policy document, as JSON.
type Named struct{ Name, Document string }

// A ManagedPolicy stands for itself.
type ManagedPolicy struct {
	Name, Path, Description, Document string
}

// A Provider is an OpenID Connect provider.
type Provider struct {
	URL                    string // with https://
	ClientIDs, Thumbprints []string
}

// A Key is known by its alias, or by its id where that is fixed.
type Key struct {
	Alias       string
	Aliases     []string // further ones
	Region      string
	Description *string // nil: as it is
	Policy      string  // empty: as it is
	Tags        []Pair
	Enabled     *bool // nil: as it is
	Grants      []Grant

	ID        string         // fixed; empty: drawn
	Materials []secret.Bytes // fixed, oldest first; none: drawn
}

// A Grant is known by its name.
type Grant struct {
	Name, Grantee, Retiring string
	Operations              []api.GrantOperation
	Equals, Subset          []Pair // encryption context; at most one of them
}

// A FixedAccessKey has been chosen by whoever wrote the file.
type FixedAccessKey struct {
	ID     string
	Secret secret.Bytes
}
