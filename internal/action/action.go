// Package action is the table: every operation of KMS that Trent performs,
// declared once, in a file per family. Its subfolders have the tables of IAM and
// STS, in the same form. An entry says what the operation touches and under
// which permission, and holds the one function that does it. The function has
// no effects: it gets records and opened keys, and returns an answer and the
// changes it wishes for. Who may, in which state, and in what order, is for the
// pipeline; it asks the entry and never the name.
package action

import (
	"context"
	"fmt"
	"time"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/crypt"
	"trent/internal/grant"
	"trent/internal/iam"
	"trent/internal/identity"
	"trent/internal/key"
	"trent/internal/keyring"
	"trent/internal/keystore"
	"trent/internal/secret"
	"trent/internal/vitals"
)

// An Action is everything the server knows about one API action.
type Action[In, Out any] struct {
	Name    string                  // as in X-Amz-Target, or in Action
	Uses    []Use[In]               // what it touches, in the order it is decided
	Rules   func(*In) error         // what the model cannot say and needs no key; or nil
	Fit     func([]Held, *In) error // algorithm and sizes against the keys, no material; or nil
	Mutates bool                    // it changes state: it cannot be replayed
	Once    bool                    // not even within the grace for replays: its answer is a secret
	Audit   []string                // input members copied into the audit record
	Digests []Digest[In]            // of which the audit record has a hash alone
	// Compound says that Run does its work by further requests down the road, each of
	// which is decided, committed and written down by itself. It alone may have effects.
	Compound bool
	// Dev says that the action puts into the store what others may know: it exists
	// in dev mode alone, and the store remembers that it was performed.
	Dev bool
	// Presigned says that the request may have its signature in its query, as in a link that
	// is handed on.
	Presigned bool
	// Federates says that the request needs no signature: that somebody else vouches for
	// the caller, in a token that is a member of the input, to assume a role.
	Federates func(*In) (role string, token secret.Bytes)
	Run       func(context.Context, *Call, *In) (*Out, error)
}

// A Digest is a part of a request that is too large or too delicate for the audit
// record, which has its SHA-256 under this name instead.
type Digest[In any] struct {
	Name string
	Of   func(*In) []byte
}

// A Use is one resource that an action touches under one permission.
type Use[In any] struct {
	Kind   Kind
	Permit string           // such as "kms:Decrypt"; empty: looked up, and not decided
	Ref    func(*In) string // the KeyId or the alias name; nil for OnAccount
	Blob   func(*In) []byte // the ciphertext whose header names the key, where Ref gives nothing
	When   func(*In) bool   // nil: always
	Usage  api.KeyUsage     // that the key must have; empty: any
	State  key.StateRule    // that the key must satisfy
	Opens  Opening          // which material is wanted
	Abroad bool             // the key may belong to another account
	Alias  AliasRule        // what an alias means here

	// Region is the one that the use is about, where that is not the one that is called; or nil.
	Region func(*In) string

	// Keys are the condition keys of this action in this decision.
	Keys Keys[In]
	// Operator says that only principals of the deployment's first account may be
	// allowed this; of OnAccount.
	Operator bool
	// LastUse says that the last use of the key is to be looked up.
	LastUse bool
	// CallerAccount says that a decision that is not about a key has
	// kms:CallerAccount all the same.
	CallerAccount bool
	// Context is the encryption context, which a grant may insist on.
	Context func(*In) map[string]string
	// Passes is the grant that the request asks for: whoever may make it by a grant
	// of its own must stay within that one. An error refuses the request.
	Passes func(*Call, *key.Record, *In) (*grant.Grant, error)
	// Grant names the grant of OnGrant: by a token, or by its id on the key of Ref.
	Grant func(*In) (token, id string)

	// Entity is the ARN of a user, a role or another thing of IAM's, or of a key to be,
	// whether it is there or not; of OnEntity and OnRole. One of OnRole that is empty
	// says that the use does not apply.
	Entity func(*Call, *In) string
}

// A Kind of resource.
type Kind int

// The kinds.
const (
	OnAccount  Kind = iota // the caller's account as such: the resource is *
	OnKey                  // a key
	OnAlias                // an alias by its name, which must exist
	OnNewAlias             // an alias by its name, which may exist
	OnGrant                // a grant, and its key
	OnEntity               // a thing by its ARN, which may exist: a user, a role, a key to be
	OnReplica              // the key of another Region that is related to that of the first use, if that is a primary
	OnRole                 // a role that is to be assumed, of any account, which may exist
)

// An Opening says which material of a key is opened, once that is permitted.
type Opening int

// The openings.
const (
	OpensNothing Opening = iota
	OpensCurrent         // the one that encrypts
	OpensBlob            // the one that the ciphertext names
)

// An AliasRule says what happens where a key is named through an alias.
type AliasRule int

// The rules.
const (
	AliasResolves     AliasRule = iota
	AliasUnsupported            // "Key Aliases are not supported for this operation."
	AliasNoAliasToKey           // "Aliases must refer to keys. Not aliases"
)

// A Held is a key as an action holds it: the record that was decided upon,
// and, where the entry asked for it, what encrypts. A use that did not apply
// leaves a zero Held in its place.
type Held struct {
	Record *key.Record
	Alias  *key.Alias   // of OnAlias and OnNewAlias; nil where there is none yet
	Grant  *grant.Grant // of OnGrant
	Role   *identity.Role
	Key    crypt.Key
	Blob   crypt.Blob

	// Where the entry asked for it: the last use of the key, and how long it has gone without
	// one, if never used since it was made.
	LastUse keyring.LastUse
	Unused  time.Duration
}

// A Call is the world as one run of an action sees it.
type Call struct {
	Caller     *iam.Principal
	Region     string
	HasRegion  func(string) bool // whether a Region is one of the deployment's
	Now        time.Time
	Held       []Held // one for each use, in order
	Lists      Lists
	Decisions  Decisions
	Identities identity.View // as they were when the walk began
	NewKeys    NewKeys
	Proxies    keystore.Proxies // of external key stores
	Asker      crypt.Asker      // the caller, as such a proxy is told
	// WebIdentity is who was vouched for; of an entry that Federates.
	WebIdentity WebIdentity

	Changes         []keyring.Change  // wished for so far
	IdentityChanges []identity.Change // the same, of users, roles and so on
	Issued          string            // id of the access key that the answer gives out, for the audit
}

// A WebIdentity is somebody for whom an identity provider of an account vouches.
type WebIdentity struct {
	Provider string // ARN
	Subject  string
	Audience string

	// What the provider wants the session to have.

	Tags           []identity.Tag
	TransitiveTags []string
	SourceIdentity string
}

// Decisions are those of room 5 that an action asks for itself.
type Decisions interface {
	// KeepsControl tells whether the caller could still change the key's policy
	// under this one.
	KeepsControl(context.Context, *key.Record, *iam.Policy) bool
	// Explain decides a case that is not the caller's own, and says why: a value
	// that encodes to JSON.
	Explain(context.Context, Case) (allowed bool, why any, err error)
	// Vitals are what the safety of this server's keys rests on, and how it stands with it.
	Vitals() []vitals.Vital
	// Rekey begins to bring in new root keys, and Rekeying is how far that has come; the first of
	// actions that are Compound.
	Rekey(ctx context.Context, giveUp []string, dropOldNow bool) error
	Rekeying(context.Context) (Rekeying, error)
	// ReadBackup is a page of a backup of the store, from 0 up; without an id, the first one of a
	// backup that begins now. The same page may be asked for twice.
	ReadBackup(ctx context.Context, id string, page int) (BackupPage, error)
	// Declare carries out a declaration, or only says what it would change; of
	// actions that are Compound.
	Declare(ctx context.Context, document secret.Bytes, planOnly bool) (*Declared, error)
}

// A Case is a question that somebody asks about somebody else.
type Case struct {
	Caller   *iam.Principal
	Action   string // a permission, such as kms:Decrypt
	Key      string // in any of the four forms; or
	Resource string // an ARN, or nothing for *
	Region   string
	Context  map[string][]string // condition keys as the request would have them
}

// Lists is what an action may read beside the records that it holds.
type Lists interface {
	Partition() string
	Find(ctx context.Context, ref arn.Ref, here keyring.Where, now time.Time) (*key.Record, error)
	Related(ctx context.Context, rec *key.Record) ([]*key.Record, error)
	MaterialTaken(ctx context.Context, id crypt.MaterialID) (bool, error)
	ParsePolicy(text string) (*iam.Policy, error)
	ListKeys(ctx context.Context, w keyring.Where, after string, limit int, now time.Time) ([]string, bool, error)
	ListAliases(ctx context.Context, w keyring.Where, after string, limit int, now time.Time) ([]*key.Alias, bool, error)
	AliasesOf(ctx context.Context, rec *key.Record, now time.Time) ([]*key.Alias, error)
	FindGrant(ctx context.Context, rec *key.Record, id string) (*grant.Grant, error)
	FindEqualGrant(ctx context.Context, wanted *grant.Grant) (*grant.Grant, error)
	CountGrants(ctx context.Context, rec *key.Record) (int, error)
	ListGrants(ctx context.Context, rec *key.Record, party, after string, limit int) ([]*grant.Grant, bool, error)
	ListRetirableGrants(ctx context.Context, party, region, after string, limit int, now time.Time) ([]*grant.Grant, string, error)
	KeyStores(ctx context.Context, w keyring.Where) (*keystore.Set, error)
	ExternalTaken(ctx context.Context, w keyring.Where, storeID, externalID string) (bool, error)
	SealGrantToken(g *grant.Grant) string
	SealImportToken(rec *key.Record, t keyring.ImportToken) ([]byte, error)
	OpenImportToken(rec *key.Record, token []byte, now time.Time) (keyring.ImportToken, error)
	SealMarker(list, after string) string
	OpenMarker(list, marker string) (string, error)
}

// NewKeys makes private keys and others, in the form that crypt.New takes. It is
// keypool.Pool.
type NewKeys interface {
	Generate(ctx context.Context, spec api.KeySpec) (secret.Bytes, error)
	// GeneratePair is crypt.GeneratePair.
	GeneratePair(ctx context.Context, spec api.KeySpec) (private secret.Bytes, public []byte, err error)
}

// Wish notes changes to be committed if the call succeeds.
func (c *Call) Wish(changes ...keyring.Change) { c.Changes = append(c.Changes, changes...) }

// WishIdentity notes changes of identities to be committed if the call succeeds.
func (c *Call) WishIdentity(changes ...identity.Change) {
	c.IdentityChanges = append(c.IdentityChanges, changes...)
}

// Where is the caller's account in the called Region.
func (c *Call) Where() keyring.Where {
	return keyring.Where{Account: c.Caller.Account, Region: c.Region}
}

// None is the output of actions that answer with an empty body.
type None struct{}

// An Entry is an Action with its types taken off, as the pipeline walks it.
type Entry struct {
	Op      *api.Operation
	Uses    []Resource
	Rules   func(api.Input) error
	Fit     func([]Held, api.Input) error
	Mutates bool
	Once    bool
	Audit   []string
	Digests []Digest[api.Input]
	Run     func(context.Context, *Call, api.Input) (api.Output, error)
	// Condition gives the condition keys of a decision about a resource, where the
	// uses do not: those that all actions of a service have alike. Or it is nil.
	Condition func(c *Call, in api.Input, resource string, k iam.Key) iam.Value

	// Tracked says that success is a use of the keys that were opened.
	Tracked bool

	Presigned     bool
	Federates     func(api.Input) (role string, token secret.Bytes) // nil: it needs a signature
	Compound, Dev bool
}

// A Resource is a Use with its types taken off.
type Resource struct {
	Kind   Kind
	Permit iam.Action
	Ref    func(api.Input) string
	Blob   func(api.Input) []byte
	When   func(api.Input) bool
	Usage  api.KeyUsage
	State  key.StateRule
	Opens  Opening
	Abroad bool
	Alias  AliasRule
	Entity func(*Call, api.Input) string
	Region func(api.Input) string

	CallerAccount bool
	Operator      bool
	LastUse       bool
	Operation     api.GrantOperation // that stands for Permit in a grant, if one can give it
	Context       func(api.Input) map[string]string
	Passes        func(*Call, *key.Record, api.Input) (*grant.Grant, error)
	Grant         func(api.Input) (token, id string)

	keys map[string]func(in api.Input, h []Held, sub string) iam.Value
}

// entry declares an action of KMS.
func entry[In, Out any](a Action[In, Out]) *Entry { return Declare(api.KMS(), a) }

// Declare takes the types off an action of a service. It panics where the literal
// and the model do not fit, which any test that makes the table sees.
func Declare[In, Out any](service *api.Service, a Action[In, Out]) *Entry {
	op, ok := service.Lookup(a.Name)
	if !ok {
		panic("action: internal error: no operation " + a.Name)
	}
	if _, ok := op.New().(any).(*In); !ok {
		panic(fmt.Sprintf("action: internal error: %s does not take %T", a.Name, new(In)))
	}
	if _, ok := any(new(Out)).(api.Encloser); ok != op.Recipient {
		panic(fmt.Sprintf("action: internal error: a Recipient of %s and %T do not fit together", a.Name, new(Out)))
	}
	e := &Entry{Op: op, Mutates: a.Mutates, Once: a.Once, Presigned: a.Presigned, Audit: a.Audit, Compound: a.Compound, Dev: a.Dev, Tracked: tracked(op)}
	for _, d := range a.Digests {
		e.Digests = append(e.Digests, Digest[api.Input]{d.Name, func(in *api.Input) []byte { return d.Of((*in).(any).(*In)) }})
	}
	for _, u := range a.Uses {
		e.Uses = append(e.Uses, resource(u))
	}
	if a.Rules != nil {
		e.Rules = func(in api.Input) error { return a.Rules(in.(any).(*In)) }
	}
	if a.Federates != nil {
		e.Federates = func(in api.Input) (string, secret.Bytes) { return a.Federates(in.(any).(*In)) }
	}
	if a.Fit != nil {
		e.Fit = func(h []Held, in api.Input) error { return a.Fit(h, in.(any).(*In)) }
	}
	e.Run = func(ctx context.Context, c *Call, in api.Input) (api.Output, error) {
		out, err := a.Run(ctx, c, in.(any).(*In))
		if err != nil || out == nil {
			return nil, err
		}
		return out, nil
	}
	return e
}

func resource[In any](u Use[In]) Resource {
	r := Resource{Kind: u.Kind, Usage: u.Usage, State: u.State, Opens: u.Opens, Abroad: u.Abroad, Alias: u.Alias, CallerAccount: u.CallerAccount, Operator: u.Operator, LastUse: u.LastUse}
	if u.Permit != "" {
		r.Permit = iam.NewAction(u.Permit)
		r.Operation = grant.OfPermission(u.Permit)
	}
	if u.Context != nil {
		r.Context = func(in api.Input) map[string]string { return u.Context(in.(any).(*In)) }
	}
	if u.Passes != nil {
		r.Passes = func(c *Call, rec *key.Record, in api.Input) (*grant.Grant, error) {
			return u.Passes(c, rec, in.(any).(*In))
		}
	}
	if u.Grant != nil {
		r.Grant = func(in api.Input) (token, id string) { return u.Grant(in.(any).(*In)) }
	}
	r.keys = make(map[string]func(api.Input, []Held, string) iam.Value, len(u.Keys))
	for name, read := range u.Keys {
		r.keys[name] = func(in api.Input, h []Held, sub string) iam.Value { return read(in.(any).(*In), h, sub) }
	}
	if u.Ref != nil {
		r.Ref = func(in api.Input) string { return u.Ref(in.(any).(*In)) }
	}
	if u.Blob != nil {
		r.Blob = func(in api.Input) []byte { return u.Blob(in.(any).(*In)) }
	}
	if u.Region != nil {
		r.Region = func(in api.Input) string { return u.Region(in.(any).(*In)) }
	}
	if u.Entity != nil {
		r.Entity = func(c *Call, in api.Input) string { return u.Entity(c, in.(any).(*In)) }
	}
	if u.When != nil {
		r.When = func(in api.Input) bool { return u.When(in.(any).(*In)) }
	}
	return r
}
