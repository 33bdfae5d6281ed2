package identity

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"trent/internal/arn"
	"trent/internal/iam"
	"trent/internal/seal"
	"trent/internal/sigv4"
	"trent/internal/store"
)

// A View is all identities as they were at one moment. It is immutable.
type View struct {
	snap      *snapshot
	partition string
	uses      *lastUses
	seal      *seal.Sealer // of session tokens
}

// snapshot is what a View shows. It is replaced, never changed.
type snapshot struct {
	number   uint64 // one more than the last one's
	accounts map[string]*Account
	signers  map[string]*signer // by access key id
	aliases  map[string]string  // account aliases, to their accounts
}

// An Account with all that belongs to it.
type Account struct {
	ID        string
	Alias     string // empty: none
	Users     Table[*User]
	Groups    Table[*Group]
	Roles     Table[*Role]
	Policies  Table[*ManagedPolicy]
	Providers Table[*Provider] // by URL
	Keys      Table[*AccessKey]

	standing standing
	sealer   *seal.Sealer // of all that belongs to it

	rev     store.Rev // of its record, which every change rewrites
	changes uint64
	keyRevs map[string]uint64 // when the record of an access key was last written
}

// Account gives an account, which is empty if nothing is known of it.
func (v View) Account(id string) *Account {
	if a := v.snap.accounts[id]; a != nil {
		return a
	}
	return &Account{ID: id}
}

// AliasTaken reports whether some account has the alias.
func (v View) AliasTaken(alias string) bool { return v.snap.aliases[alias] != "" }

// Partition is the partition of all ARNs.
func (v View) Partition() string { return v.partition }

// A Table is entities of one kind in one account, by id, and by name without
// regard to case.
type Table[E any] struct {
	byID, byName map[string]E
	nameOf       map[string]string // by id: the key in byName
	own          bool              // not shared with a snapshot: may be changed
}

// ByID finds an entity by its id.
func (t *Table[E]) ByID(id string) (E, bool) { e, ok := t.byID[id]; return e, ok }

// Named finds an entity by its name.
func (t *Table[E]) Named(name string) (E, bool) { e, ok := t.byName[fold(name)]; return e, ok }

// All lists the entities in the order of their names.
func (t *Table[E]) All() []E {
	all := make([]E, 0, len(t.byName))
	for _, name := range slices.Sorted(maps.Keys(t.byName)) {
		all = append(all, t.byName[name])
	}
	return all
}

// Len is the number of entities.
func (t *Table[E]) Len() int { return len(t.byID) }

func (t *Table[E]) put(id, name string, e E) {
	t.drop(id)
	t.byID[id], t.byName[fold(name)], t.nameOf[id] = e, e, fold(name)
}

func (t *Table[E]) drop(id string) {
	t.edit()
	delete(t.byName, t.nameOf[id])
	delete(t.byID, id)
	delete(t.nameOf, id)
}

// edit makes the table one that may be changed.
func (t *Table[E]) edit() {
	switch {
	case t.own:
		return
	case t.byID == nil:
		t.byID, t.byName, t.nameOf = make(map[string]E), make(map[string]E), make(map[string]string)
	default:
		t.byID, t.byName, t.nameOf = maps.Clone(t.byID), maps.Clone(t.byName), maps.Clone(t.nameOf)
	}
	t.own = true
}

// fold is what names are compared by: IAM does not tell names apart by case.
func fold(name string) string { return strings.ToLower(name) }

// freeze shares all tables, so that the next change copies what it touches.
func (a *Account) freeze() {
	a.Users.own, a.Groups.own, a.Roles.own = false, false, false
	a.Policies.own, a.Providers.own, a.Keys.own = false, false, false
}

// A signer is an access key that is in use, with whom it signs for.
type signer struct {
	key       *AccessKey
	account   *Account
	partition string
	revision  uint64
	used      *lastUse
	principal atomic.Pointer[iam.Principal] // made when it is first asked for
}

func (s *signer) credential() sigv4.Credential {
	p := s.principal.Load()
	if p == nil {
		s.principal.CompareAndSwap(nil, s.account.principal(s.partition, s.key))
		p = s.principal.Load() // the same one for all
	}
	return sigv4.Credential{Secret: s.key.Secret, Revision: s.revision, Principal: p}
}

// signers adds the active keys of an account. A key whose user is gone signs for
// nobody.
func (a *Account) signers(to map[string]*signer, partition string, uses *lastUses) {
	if !a.IsOpen() {
		return
	}
	for id, k := range a.Keys.byID {
		_, there := a.Users.ByID(k.UserID)
		if !k.Inactive && (there || k.UserID == "") {
			to[id] = &signer{key: k, account: a, partition: partition, revision: a.keyRevs[id], used: uses.of(id)}
		}
	}
}

// principal is who an access key signs for, with all policies that apply. It is
// the one place in which principals of long-term keys are made.
func (a *Account) principal(partition string, k *AccessKey) *iam.Principal {
	p := &iam.Principal{Partition: partition, Account: a.ID, AccessKeyID: k.ID}
	if k.UserID == "" { // the root user, to whom no policies apply
		p.Kind, p.ARN, p.UniqueID = iam.RootUser, arn.AccountRoot(partition, a.ID), a.ID
		return p
	}
	u, ok := a.Users.ByID(k.UserID)
	if !ok { // signers admits no such key; if it came here all the same, it is nobody
		return &iam.Principal{}
	}
	p.Kind, p.ARN, p.UniqueID, p.Name = iam.User, arn.IAM(partition, a.ID, u.Resource()), u.ID, u.Name
	p.Tags = iamTags(u.Tags)
	p.Policies = a.policies(partition, &u.Permissions)
	for _, id := range u.Groups {
		if g, ok := a.Groups.ByID(id); ok {
			p.Policies = append(p.Policies, a.policies(partition, &g.Permissions)...)
		}
	}
	p.Boundary = a.boundary(partition, u.Boundary)
	return p
}

func iamTags(tags []Tag) (out []iam.Tag) {
	for _, t := range tags {
		out = append(out, iam.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

// RolePolicies are the policies of a role and its boundary, or nil, for the
// sessions of that role.
func (v View) RolePolicies(r *Role) (policies []*iam.Policy, boundary *iam.Policy) {
	a := v.Account(r.Account)
	return a.policies(v.partition, &r.Permissions), a.boundary(v.partition, r.Boundary)
}

func (a *Account) policies(partition string, p *Permissions) []*iam.Policy {
	var list []*iam.Policy
	for _, i := range p.Inline {
		list = append(list, i.Policy)
	}
	for _, arn := range p.Attached {
		list = append(list, a.inForce(partition, arn))
	}
	return list
}

func (a *Account) boundary(partition, arn string) *iam.Policy {
	if arn == "" {
		return nil
	}
	return a.inForce(partition, arn)
}

// inForce is the default version of a managed policy. A policy that is attached
// cannot be deleted; should it be missing all the same, it denies.
func (a *Account) inForce(partition, arn string) *iam.Policy {
	if p, ok := a.policy(partition, arn); ok {
		if v, ok := p.Version(p.Default); ok {
			return v.Policy
		}
	}
	return denyAll
}

// Policy finds a managed policy of an account, or one that every account has.
func (v View) Policy(account, arn string) (*ManagedPolicy, bool) {
	return v.Account(account).policy(v.partition, arn)
}

func (a *Account) policy(partition, name string) (*ManagedPolicy, bool) {
	if p := builtIn(partition, name); p != nil {
		return p, true
	}
	parsed, ok := arn.Parse(name)
	resource, isPolicy := strings.CutPrefix(parsed.Resource, "policy/")
	if !ok || !isPolicy || parsed.Service != "iam" || parsed.Partition != partition || parsed.Region != "" || parsed.Account != a.ID {
		return nil, false
	}
	p, ok := a.Policies.Named(resource[strings.LastIndexByte(resource, '/')+1:])
	if !ok || p.Resource() != parsed.Resource {
		return nil, false
	}
	return p, true
}

// Provider finds an OpenID Connect provider of an account by its ARN.
func (v View) Provider(account, name string) (*Provider, bool) {
	parsed, ok := arn.Parse(name)
	url, isProvider := strings.CutPrefix(parsed.Resource, "oidc-provider/")
	if !ok || !isProvider || parsed.Service != "iam" || parsed.Partition != v.partition || parsed.Region != "" || parsed.Account != account {
		return nil, false
	}
	p, ok := v.Account(account).Providers.Named(url)
	return p, ok && p.URL == url
}

// A Named entity has an ARN.
type Named interface {
	Entity
	// Resource is the last part of the ARN, such as user/team/bob.
	Resource() string
}

// Resource implements Named.
func (u *User) Resource() string { return "user" + u.Path + u.Name }

// Resource implements Named.
func (g *Group) Resource() string { return "group" + g.Path + g.Name }

// Resource implements Named.
func (r *Role) Resource() string { return "role" + r.Path + r.Name }

// Resource implements Named.
func (p *ManagedPolicy) Resource() string { return "policy" + p.Path + p.Name }

// Resource implements Named.
func (p *Provider) Resource() string { return "oidc-provider/" + p.URL }

// Find finds a user, a role, a policy of an account or a provider by its ARN.
func (v View) Find(name string) (Named, bool) {
	parsed, ok := arn.Parse(name)
	if !ok {
		return nil, false
	}
	a := v.Account(parsed.Account)
	if id, ok := v.UniqueID(name); ok {
		if u, ok := a.Users.ByID(id); ok {
			return u, true
		}
		if r, ok := a.Roles.ByID(id); ok {
			return r, true
		}
		return nil, false
	}
	if p, ok := v.Policy(a.ID, name); ok {
		return p, true
	}
	if p, ok := v.Provider(a.ID, name); ok {
		return p, true
	}
	return nil, false
}

// ARN is the name of an entity.
func (v View) ARN(e Named) string { return arn.IAM(v.partition, e.home(), e.Resource()) }

// UniqueID finds the id of a principal, of any account, by its ARN: of a user or a
// role its own, of a session that of its role with ":" and its name, of an account's
// root, or the bare account, the account. It is what a policy or a grant that
// names one is stored with, so that a namesake that is made later inherits nothing.
func (v View) UniqueID(name string) (id string, ok bool) {
	if arn.IsAccount(name) {
		return name, v.Account(name).IsOpen()
	}
	parsed, ok := arn.Parse(name)
	if !ok || parsed.Partition != v.partition || parsed.Region != "" {
		return "", false
	}
	a := v.Account(parsed.Account)
	if session, isSession := strings.CutPrefix(parsed.Resource, "assumed-role/"); isSession && parsed.Service == "sts" {
		role, session, _ := strings.Cut(session, "/")
		r, ok := a.Roles.Named(role)
		if !ok || r.Name != role || !iam.ValidSession(session) {
			return "", false // a slash in it would reach over the id in the path of a grant
		}
		return r.ID + ":" + session, true
	}
	if parsed.Service != "iam" {
		return "", false
	}
	if parsed.Resource == "root" {
		return a.ID, a.IsOpen()
	}
	last := parsed.Resource[strings.LastIndexByte(parsed.Resource, '/')+1:]
	if u, ok := a.Users.Named(last); ok && u.Resource() == parsed.Resource {
		return u.ID, true
	}
	if r, ok := a.Roles.Named(last); ok && r.Resource() == parsed.Resource {
		return r.ID, true
	}
	return "", false
}

// ARNOf is the reverse of UniqueID. It does not know what is deleted.
func (v View) ARNOf(id string) (name string, ok bool) {
	if arn.IsAccount(id) {
		return arn.AccountRoot(v.partition, id), true
	}
	id, session, isSession := strings.Cut(id, ":")
	for _, a := range v.snap.accounts {
		if u, ok := a.Users.ByID(id); ok && !isSession {
			return v.ARN(u), true
		}
		r, ok := a.Roles.ByID(id)
		switch {
		case ok && isSession:
			return arn.Session(v.partition, a.ID, r.Name, session), true
		case ok:
			return v.ARN(r), true
		}
	}
	return "", false
}

// Uses counts, by ARN, how often managed policies are attached to users, groups
// and roles of the account, and how often they are boundaries.
func (a *Account) Uses() (attached, boundaries map[string]int) {
	attached, boundaries = make(map[string]int), make(map[string]int)
	count := func(p *Permissions, boundary string) {
		for _, arn := range p.Attached {
			attached[arn]++
		}
		if boundary != "" {
			boundaries[boundary]++
		}
	}
	for _, u := range a.Users.byID {
		count(&u.Permissions, u.Boundary)
	}
	for _, g := range a.Groups.byID {
		count(&g.Permissions, "")
	}
	for _, r := range a.Roles.byID {
		count(&r.Permissions, r.Boundary)
	}
	return attached, boundaries
}

// KeysOf lists the access keys of a user, or of the root user where the id is
// empty, the oldest first.
func (a *Account) KeysOf(userID string) []*AccessKey {
	var keys []*AccessKey
	for _, k := range a.Keys.byID {
		if k.UserID == userID {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(x, y *AccessKey) int {
		if c := x.Created.Compare(y.Created); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	return keys
}

// Members lists the users of a group in the order of their names.
func (a *Account) Members(g *Group) []*User {
	return slices.DeleteFunc(a.Users.All(), func(u *User) bool { return !slices.Contains(u.Groups, g.ID) })
}
