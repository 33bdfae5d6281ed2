package identity

import (
	"slices"
	"strings"
	"time"

	"trent/internal/iam"
	"trent/internal/secret"
)

// Values of this package are immutable once they are in a View: who changes one
// changes a clone.

// A Tag of an entity.
type Tag struct {
	_     struct{} `cbor:",toarray"`
	Key   string
	Value string
}

// Permissions are the policies of a user, a group or a role.
type Permissions struct {
	Inline   []InlinePolicy // by name
	Attached []string       // ARNs of managed policies, the newest last
}

// An InlinePolicy belongs to one user, group or role and goes with it.
type InlinePolicy struct {
	Name   string
	Policy *iam.Policy
}

// Find looks for an inline policy.
func (p *Permissions) Find(name string) (InlinePolicy, bool) {
	for _, i := range p.Inline {
		if i.Name == name {
			return i, true
		}
	}
	return InlinePolicy{}, false
}

// Put adds an inline policy, or replaces the one of its name.
func (p *Permissions) Put(policy InlinePolicy) {
	p.Drop(policy.Name)
	p.Inline = append(p.Inline, policy)
	slices.SortFunc(p.Inline, func(a, b InlinePolicy) int { return strings.Compare(a.Name, b.Name) })
}

// Drop removes an inline policy.
func (p *Permissions) Drop(name string) {
	p.Inline = slices.DeleteFunc(p.Inline, func(i InlinePolicy) bool { return i.Name == name })
}

// Attach attaches a managed policy, if it is not attached already.
func (p *Permissions) Attach(arn string) {
	if !slices.Contains(p.Attached, arn) {
		p.Attached = append(p.Attached, arn)
	}
}

// Detach detaches a managed policy.
func (p *Permissions) Detach(arn string) {
	p.Attached = slices.DeleteFunc(p.Attached, func(a string) bool { return a == arn })
}

func (p Permissions) clone() Permissions {
	return Permissions{slices.Clone(p.Inline), slices.Clone(p.Attached)}
}

// A User of an account. The root user is none: it is its account.
type User struct {
	Account  string
	ID       string // AIDA…
	Name     string
	Path     string // begins and ends with a slash
	Created  time.Time
	Tags     []Tag
	Boundary string   // ARN of the policy that bounds its permissions; empty: none
	Groups   []string // ids
	Permissions
}

// Clone copies the user, to be changed.
func (u *User) Clone() *User {
	c := *u
	c.Tags, c.Groups, c.Permissions = slices.Clone(u.Tags), slices.Clone(u.Groups), u.Permissions.clone()
	return &c
}

// A Group of users.
type Group struct {
	Account string
	ID      string // AGPA…
	Name    string
	Path    string
	Created time.Time
	Permissions
}

// Clone copies the group, to be changed.
func (g *Group) Clone() *Group {
	c := *g
	c.Permissions = g.Permissions.clone()
	return &c
}

// A Role is assumed by whom its trust policy allows.
type Role struct {
	Account     string
	ID          string // AROA…
	Name        string
	Path        string
	Created     time.Time
	Description string
	MaxSession  time.Duration
	Trust       *iam.Policy
	Tags        []Tag
	Boundary    string
	Permissions
}

// Clone copies the role, to be changed.
func (r *Role) Clone() *Role {
	c := *r
	c.Tags, c.Permissions = slices.Clone(r.Tags), r.Permissions.clone()
	return &c
}

// A ManagedPolicy stands for itself and is attached to users, groups and roles.
type ManagedPolicy struct {
	Account     string // "aws" for those that every account has
	ID          string // ANPA…
	Name        string
	Path        string
	Description string
	Created     time.Time
	Updated     time.Time
	Versions    []PolicyVersion // the oldest first
	Default     int             // number of the version that counts
	Newest      int             // number given last; numbers are not given twice
	Tags        []Tag
}

// A PolicyVersion is one text of a managed policy.
type PolicyVersion struct {
	Number  int
	Created time.Time
	Policy  *iam.Policy
}

// Version finds a version by its number.
func (p *ManagedPolicy) Version(number int) (PolicyVersion, bool) {
	for _, v := range p.Versions {
		if v.Number == number {
			return v, true
		}
	}
	return PolicyVersion{}, false
}

// Clone copies the policy, to be changed.
func (p *ManagedPolicy) Clone() *ManagedPolicy {
	c := *p
	c.Versions, c.Tags = slices.Clone(p.Versions), slices.Clone(p.Tags)
	return &c
}

// A Provider is an OpenID Connect provider that an account trusts to tell who
// somebody is.
type Provider struct {
	Account     string
	ID          string // of the record
	URL         string // without https://
	ClientIDs   []string
	Thumbprints []string
	Created     time.Time
	Tags        []Tag
}

// Clone copies the provider, to be changed.
func (p *Provider) Clone() *Provider {
	c := *p
	c.ClientIDs, c.Thumbprints, c.Tags = slices.Clone(p.ClientIDs), slices.Clone(p.Thumbprints), slices.Clone(p.Tags)
	return &c
}

// An AccessKey signs for a user, or for the root user of its account.
type AccessKey struct {
	Account  string
	ID       string // AKIA…
	UserID   string // empty: the root user
	Secret   secret.Bytes
	Created  time.Time
	Inactive bool
}

// An AccountAlias is a name for an account, unique in the whole store.
type AccountAlias struct {
	Account string
	Name    string
}

// NewUserID draws the id of a user. An id never comes again.
func NewUserID() string { return uniqueID("AIDA") }

// NewGroupID draws the id of a group.
func NewGroupID() string { return uniqueID("AGPA") }

// NewRoleID draws the id of a role.
func NewRoleID() string { return uniqueID("AROA") }

// NewPolicyID draws the id of a managed policy.
func NewPolicyID() string { return uniqueID("ANPA") }

// NewProviderID draws the name of a provider's record.
func NewProviderID() string { return uniqueID("OIDC") }

// NewAccessKey draws an access key and its secret.
func NewAccessKey(account, userID string, now time.Time) *AccessKey {
	return &AccessKey{Account: account, ID: uniqueID("AKIA"), UserID: userID, Secret: newSecret(), Created: now}
}

// FixedAccessKey is an access key that somebody else has chosen: of dev mode alone.
func FixedAccessKey(account, userID, id string, chosen secret.Bytes, now time.Time) *AccessKey {
	return &AccessKey{Account: account, ID: id, UserID: userID, Secret: chosen, Created: now.UTC().Truncate(time.Millisecond)}
}
