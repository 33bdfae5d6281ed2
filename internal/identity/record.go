package identity

import (
	"fmt"
	"strings"
	"time"

	"trent/internal/iam"
	"trent/internal/record"
	"trent/internal/seal"
	"trent/internal/secret"
	"trent/internal/store"
)

// An Entity is a thing with a record of its own (docs/spec/records.md).
type Entity interface {
	home() string    // the account that it belongs to
	path() string    // of its record
	content() any    // of its record, to be encoded
	put(a *Account)  // into the account, in the place of what it was before
	drop(a *Account) // out of the account
}

// The paths of records.
const (
	prefix          = "identity/"
	accountPrefix   = prefix + "account/"
	userPrefix      = prefix + "user/"
	groupPrefix     = prefix + "group/"
	rolePrefix      = prefix + "role/"
	policyPrefix    = prefix + "policy/"
	providerPrefix  = prefix + "oidc/"
	accessKeyPrefix = prefix + "accesskey/"
	aliasPrefix     = prefix + "alias/"
	usedPrefix      = prefix + "used/"
)

// recordVersion is the first byte of every record's content.
const recordVersion = 1

func (u *User) home() string { return u.Account }

func (u *User) path() string { return userPrefix + u.Account + "/" + u.ID }

func (u *User) put(a *Account) { a.Users.put(u.ID, u.Name, u) }

func (u *User) drop(a *Account) { a.Users.drop(u.ID) }

func (g *Group) home() string { return g.Account }

func (g *Group) path() string { return groupPrefix + g.Account + "/" + g.ID }

func (g *Group) put(a *Account) { a.Groups.put(g.ID, g.Name, g) }

func (g *Group) drop(a *Account) { a.Groups.drop(g.ID) }

func (r *Role) home() string { return r.Account }

func (r *Role) path() string { return rolePrefix + r.Account + "/" + r.ID }

func (r *Role) put(a *Account) { a.Roles.put(r.ID, r.Name, r) }

func (r *Role) drop(a *Account) { a.Roles.drop(r.ID) }

func (p *ManagedPolicy) home() string { return p.Account }

func (p *ManagedPolicy) path() string { return policyPrefix + p.Account + "/" + p.ID }

func (p *ManagedPolicy) put(a *Account) { a.Policies.put(p.ID, p.Name, p) }

func (p *ManagedPolicy) drop(a *Account) { a.Policies.drop(p.ID) }

func (p *Provider) home() string { return p.Account }

func (p *Provider) path() string { return providerPrefix + p.Account + "/" + p.ID }

func (p *Provider) put(a *Account) { a.Providers.put(p.ID, p.URL, p) }

func (p *Provider) drop(a *Account) { a.Providers.drop(p.ID) }

func (k *AccessKey) home() string { return k.Account }

func (k *AccessKey) path() string { return accessKeyPrefix + k.Account + "/" + k.ID }

func (k *AccessKey) put(a *Account) { a.Keys.put(k.ID, k.ID, k) }

func (k *AccessKey) drop(a *Account) { a.Keys.drop(k.ID) }

func (n *AccountAlias) home() string { return n.Account }

func (n *AccountAlias) path() string { return aliasPrefix + n.Name }

func (n *AccountAlias) put(a *Account) { a.Alias = n.Name }

func (n *AccountAlias) drop(a *Account) { a.Alias = "" }

// moment is a time on disk: Unix milliseconds.
type moment int64

func momentOf(t time.Time) moment { return moment(t.UnixMilli()) }

func (m moment) time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// text is a name and a policy's text.
type text struct {
	_    struct{} `cbor:",toarray"`
	Name string
	Text string
}

// The contents of records. Numbers are docs/spec/records.md's.

type encodedAccount struct {
	Changes uint64 `cbor:"1,keyasint"`
	Created moment `cbor:"2,keyasint"`
	Name    string `cbor:"3,keyasint,omitempty"`
	Key     []byte `cbor:"4,keyasint,omitempty"`
	Closed  moment `cbor:"5,keyasint,omitempty"`

	KeyID  uint32       `cbor:"6,keyasint,omitempty"`
	Others []encodedKey `cbor:"7,keyasint,omitempty"`

	Shred    moment `cbor:"8,keyasint,omitempty"`
	Shredded moment `cbor:"9,keyasint,omitempty"`
	Cleared  bool   `cbor:"10,keyasint,omitempty"`
}

type encodedKey struct {
	_   struct{} `cbor:",toarray"`
	ID  uint32
	Key []byte
}

func (a *Account) content() any {
	s := a.standing
	e := encodedAccount{Changes: a.changes, Created: momentOf(s.created), Name: s.name, KeyID: s.key.ID}
	if s.shredded.IsZero() {
		e.Key = s.key.Key.Expose()
	}
	for _, k := range s.others {
		e.Others = append(e.Others, encodedKey{ID: k.ID, Key: k.Key.Expose()})
	}
	if !s.closed.IsZero() {
		e.Closed = momentOf(s.closed)
	}
	if !s.shred.IsZero() {
		e.Shred = momentOf(s.shred)
	}
	if !s.shredded.IsZero() {
		e.Shredded, e.Cleared = momentOf(s.shredded), s.cleared
	}
	return e
}

func (e *encodedAccount) standing() standing {
	s := standing{name: e.Name, created: e.Created.time(), cleared: e.Cleared}
	if e.Shred != 0 {
		s.shred = e.Shred.time()
	}
	if e.Closed != 0 {
		s.closed = e.Closed.time()
	}
	if e.Shredded != 0 {
		s.shredded = e.Shredded.time()
		return s
	}
	s.key = seal.PartKey{ID: e.KeyID, Key: secret.New(e.Key)}
	for _, k := range e.Others {
		s.others = append(s.others, seal.PartKey{ID: k.ID, Key: secret.New(k.Key)})
	}
	return s
}

// ownerOf is the account under whose key the record at a path is sealed, or nothing.
func ownerOf(path string) string {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(path, prefix), "/")
	if prefix+kind+"/" == aliasPrefix {
		return ""
	}
	account, _, _ := strings.Cut(rest, "/")
	return account
}

type encodedUser struct {
	Name     string   `cbor:"1,keyasint"`
	Path     string   `cbor:"2,keyasint"`
	Created  moment   `cbor:"3,keyasint"`
	Tags     []Tag    `cbor:"4,keyasint,omitempty"`
	Boundary string   `cbor:"5,keyasint,omitempty"`
	Groups   []string `cbor:"6,keyasint,omitempty"`
	Inline   []text   `cbor:"7,keyasint,omitempty"`
	Attached []string `cbor:"8,keyasint,omitempty"`
}

type encodedGroup struct {
	Name     string   `cbor:"1,keyasint"`
	Path     string   `cbor:"2,keyasint"`
	Created  moment   `cbor:"3,keyasint"`
	Inline   []text   `cbor:"7,keyasint,omitempty"`
	Attached []string `cbor:"8,keyasint,omitempty"`
}

type encodedRole struct {
	Name        string   `cbor:"1,keyasint"`
	Path        string   `cbor:"2,keyasint"`
	Created     moment   `cbor:"3,keyasint"`
	Tags        []Tag    `cbor:"4,keyasint,omitempty"`
	Boundary    string   `cbor:"5,keyasint,omitempty"`
	Inline      []text   `cbor:"7,keyasint,omitempty"`
	Attached    []string `cbor:"8,keyasint,omitempty"`
	Description string   `cbor:"9,keyasint,omitempty"`
	MaxSession  int64    `cbor:"10,keyasint"` // seconds
	Trust       string   `cbor:"11,keyasint"`
}

type encodedPolicy struct {
	Name        string           `cbor:"1,keyasint"`
	Path        string           `cbor:"2,keyasint"`
	Created     moment           `cbor:"3,keyasint"`
	Tags        []Tag            `cbor:"4,keyasint,omitempty"`
	Description string           `cbor:"9,keyasint,omitempty"`
	Updated     moment           `cbor:"12,keyasint"`
	Versions    []encodedVersion `cbor:"13,keyasint"`
	Default     int              `cbor:"14,keyasint"`
	Newest      int              `cbor:"15,keyasint"`
}

type encodedVersion struct {
	_       struct{} `cbor:",toarray"`
	Number  int
	Created moment
	Text    string
}

type encodedProvider struct {
	URL         string   `cbor:"1,keyasint"`
	Created     moment   `cbor:"3,keyasint"`
	Tags        []Tag    `cbor:"4,keyasint,omitempty"`
	ClientIDs   []string `cbor:"16,keyasint,omitempty"`
	Thumbprints []string `cbor:"17,keyasint,omitempty"`
}

type encodedAccessKey struct {
	User     string `cbor:"2,keyasint,omitempty"` // its id; absent: the root user
	Created  moment `cbor:"3,keyasint"`
	Secret   []byte `cbor:"4,keyasint"`
	Inactive bool   `cbor:"5,keyasint,omitempty"`
}

type encodedAlias struct {
	Account string `cbor:"1,keyasint"`
}

func (u *User) content() any {
	return encodedUser{u.Name, u.Path, momentOf(u.Created), u.Tags, u.Boundary, u.Groups, texts(u.Inline), u.Attached}
}

func (g *Group) content() any {
	return encodedGroup{g.Name, g.Path, momentOf(g.Created), texts(g.Inline), g.Attached}
}

func (r *Role) content() any {
	return encodedRole{r.Name, r.Path, momentOf(r.Created), r.Tags, r.Boundary, texts(r.Inline), r.Attached,
		r.Description, int64(r.MaxSession / time.Second), r.Trust.Source}
}

func (p *ManagedPolicy) content() any {
	e := encodedPolicy{Name: p.Name, Path: p.Path, Created: momentOf(p.Created), Tags: p.Tags, Description: p.Description,
		Updated: momentOf(p.Updated), Default: p.Default, Newest: p.Newest}
	for _, v := range p.Versions {
		e.Versions = append(e.Versions, encodedVersion{Number: v.Number, Created: momentOf(v.Created), Text: v.Policy.Source})
	}
	return e
}

func (p *Provider) content() any {
	return encodedProvider{p.URL, momentOf(p.Created), p.Tags, p.ClientIDs, p.Thumbprints}
}

func (k *AccessKey) content() any {
	return encodedAccessKey{k.UserID, momentOf(k.Created), k.Secret.Expose(), k.Inactive}
}

func (n *AccountAlias) content() any { return encodedAlias{n.Account} }

func texts(list []InlinePolicy) []text {
	var out []text
	for _, i := range list {
		out = append(out, text{Name: i.Name, Text: i.Policy.Source})
	}
	return out
}

func permissions(inline []text, attached []string) Permissions {
	p := Permissions{Attached: attached}
	for _, t := range inline {
		p.Inline = append(p.Inline, InlinePolicy{t.Name, compiled(t.Text)})
	}
	return p
}

// denyAll stands for a stored policy that does not parse, as one of a newer Trent
// might not: whoever has it may do nothing, since it may have denied anything.
var denyAll = func() *iam.Policy {
	p, err := iam.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`)
	if err != nil {
		panic("identity: internal error: " + err.Error())
	}
	return p
}()

// compiled compiles a stored text.
func compiled(text string) *iam.Policy {
	p, err := iam.Parse(text)
	if err != nil {
		deny := *denyAll
		deny.Source = text
		return &deny
	}
	return p
}

// encode encodes and seals the content of a record. It and decodeInto are the two
// ways between memory and store.
func encode(s *seal.Sealer, path string, content any) ([]byte, error) {
	body, err := record.Encode(recordVersion, content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s.Seal(path, body)
}

// decodeInto unseals and decodes the content of a record.
func decodeInto(s *seal.Sealer, rec store.Record, content any) error {
	body, err := s.Open(rec.Path, rec.Value)
	if err != nil {
		return fmt.Errorf("unseal %s: %w", rec.Path, err)
	}
	if err := record.Decode(recordVersion, body, content); err != nil {
		return fmt.Errorf("%s: %w", rec.Path, err)
	}
	return nil
}

// decode reads the record of any entity.
func decode(s *seal.Sealer, rec store.Record) (Entity, error) {
	kind, place, _ := strings.Cut(strings.TrimPrefix(rec.Path, prefix), "/")
	account, id, _ := strings.Cut(place, "/")
	switch prefix + kind + "/" {
	case userPrefix:
		var e encodedUser
		err := decodeInto(s, rec, &e)
		return &User{account, id, e.Name, e.Path, e.Created.time(), e.Tags, e.Boundary, e.Groups, permissions(e.Inline, e.Attached)}, err
	case groupPrefix:
		var e encodedGroup
		err := decodeInto(s, rec, &e)
		return &Group{account, id, e.Name, e.Path, e.Created.time(), permissions(e.Inline, e.Attached)}, err
	case rolePrefix:
		var e encodedRole
		err := decodeInto(s, rec, &e)
		return &Role{account, id, e.Name, e.Path, e.Created.time(), e.Description, time.Duration(e.MaxSession) * time.Second,
			compiled(e.Trust), e.Tags, e.Boundary, permissions(e.Inline, e.Attached)}, err
	case policyPrefix:
		var e encodedPolicy
		err := decodeInto(s, rec, &e)
		return e.policy(account, id), err
	case providerPrefix:
		var e encodedProvider
		err := decodeInto(s, rec, &e)
		return &Provider{account, id, e.URL, e.ClientIDs, e.Thumbprints, e.Created.time(), e.Tags}, err
	case accessKeyPrefix:
		var e encodedAccessKey
		err := decodeInto(s, rec, &e)
		return &AccessKey{account, id, e.User, secret.New(e.Secret), e.Created.time(), e.Inactive}, err
	case aliasPrefix:
		var e encodedAlias
		err := decodeInto(s, rec, &e)
		return &AccountAlias{e.Account, place}, err
	}
	return nil, fmt.Errorf("%s is of a kind that this Trent does not know", rec.Path)
}

func (e *encodedPolicy) policy(account, id string) *ManagedPolicy {
	p := &ManagedPolicy{Account: account, ID: id, Name: e.Name, Path: e.Path, Description: e.Description, Created: e.Created.time(),
		Updated: e.Updated.time(), Default: e.Default, Newest: e.Newest, Tags: e.Tags}
	for _, v := range e.Versions {
		p.Versions = append(p.Versions, PolicyVersion{v.Number, v.Created.time(), compiled(v.Text)})
	}
	return p
}
