// Package pipeline is the road that every request walks, of every action, read
// or write, allowed or refused. walk.go is the walk, in one function of named
// steps; docs/life-of-a-request.md names the rooms. Nothing here knows an action
// by its name.
package pipeline

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"trent/internal/action"
	"trent/internal/action/adminaction"
	"trent/internal/action/iamaction"
	"trent/internal/action/stsaction"
	"trent/internal/api"
	"trent/internal/api/adminapi"
	"trent/internal/api/iamapi"
	"trent/internal/api/stsapi"
	"trent/internal/audit"
	"trent/internal/authz"
	"trent/internal/crypt"
	"trent/internal/iam"
	"trent/internal/identity"
	"trent/internal/key"
	"trent/internal/keyring"
	"trent/internal/keystore"
	"trent/internal/lane"
	"trent/internal/oidc"
	"trent/internal/secret"
	"trent/internal/vitals"
	"trent/internal/wire"
)

// A Request is what the door lets in.
type Request struct {
	ID        string // of this request, a UUID
	Received  time.Time
	Target    string     // X-Amz-Target
	Form      bool       // the body is a form: what is asked for stands in it, if there is no Target
	Query     string     // of a presigned request, which has all that it asks for there
	Body      []byte     // whole; the road keeps no part of it
	Source    string     // address of the peer, and its port
	Address   netip.Addr // of the caller, as policies see it
	Secure    bool       // it came by TLS
	UserAgent string
	Who       Authenticator
	Unsigned  bool   // nothing in it claims a signature
	Refused   error  // why the door itself refuses it; then the road only writes it down
	Room      []byte // where the answer may be put, if it has room
}

// Authenticator finds out who made a request. It is asked before anything of the body
// is parsed, and again when the request is walked again after a lost race.
type Authenticator interface {
	// The service is the one that the request is for, as in a credential's scope.
	Authenticate(ctx context.Context, service string, body []byte, now time.Time) (Identity, error)
}

// An Identity is what a verified signature proves.
type Identity struct {
	Principal *iam.Principal
	Region    string // of the credential scope: the one that is called
	Signature string
	Signed    time.Time
	Expires   time.Time // when the signature is too old to be accepted
}

// An Answer is ready to leave: it has been written down.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte // holds secrets; it belongs to the receiver, who forgets it
}

// Keys is the keyring as the road uses it.
type Keys interface {
	action.Lists
	authz.Grants
	finder
	opener
	CheckGrantToken(token string) error
	// Used notes that a key's material was used, and LastUse gives the last time.
	Used(rec *key.Record, u keyring.LastUse)
	LastUse(ctx context.Context, rec *key.Record) (keyring.LastUse, error)
	Commit(ctx context.Context, changes []keyring.Change, seen *keyring.Sighting) error
	Replay(ctx context.Context, s keyring.Sighting) (replayed, first bool, err error)
}

// Identities are users, roles and all that belongs to them, as the road uses them.
type Identities interface {
	View() identity.View
	// Used notes that a request signed by an access key was authentic.
	Used(accessKeyID, service, region string, now time.Time)
	// Commit makes changes that were decided on a view durable, or none, together
	// with an addition that may be nil.
	Commit(ctx context.Context, v identity.View, changes []identity.Change, with identity.Addition) error
}

// WebIdentities verifies tokens of identity providers.
type WebIdentities interface {
	// Verify is oidc.Verifier's.
	Verify(ctx context.Context, token []byte, find func(url string) (oidc.Provider, bool), now time.Time) (*oidc.Token, error)
}

// A service is a table of actions, and the protocol that it speaks.
type service struct {
	*api.Service
	codec  wire.Codec
	table  map[string]*action.Entry
	notYet map[string]string
	// longTerm: a user calls it with a long-term key. A session of a user, which may
	// have been made with a stolen one, is to leave nothing behind that outlives it.
	longTerm bool
}

// A Road leads to the keys of one ring and to the identities of one directory. It
// may be walked by many goroutines.
type Road struct {
	kms        *service
	forms      map[string]*service // by version: the services of the query protocol
	keys       Keys
	identities Identities
	web        WebIdentities
	evidence   Evidence // nil: none is taken
	newKeys    action.NewKeys
	costly     *lane.Lane // for what takes long with a key
	others     others     // the requests that do not
	proxies    keystore.Proxies
	first      string // account of the deployment
	audit      audit.Sink
	open       bool // answer although the audit record could not be written
	declare    Declarer
	vitals     func() []vitals.Vital
	rekey      Rekeyer
	readBackup func(ctx context.Context, id string, page int) (action.BackupPage, error)
	beforeDev  func(context.Context) error
	fresh      func(context.Context) error
	hasRegion  func(string) bool
	log        *slog.Logger
	now        func() time.Time
	lines      sync.Pool // *lineBuffers
	walks      sync.Pool // *walk, all zero
}

// others are the requests that take no lane. While there are any, the lane rests after its work for
// as long as the work took, so that they have half of the processors; else it has them all.
type others struct{ now, seen atomic.Uint64 }

func (o *others) note() { o.now.Add(1) }

func (o *others) pause(took time.Duration) time.Duration {
	if now := o.now.Load(); o.seen.Swap(now) != now {
		return took
	}
	return 0
}

// lineBuffers are for making an audit record, which holds no secret.
type lineBuffers struct{ params, recipient, line []byte }

// A Declaration is a state that somebody wishes for.
type Declaration struct {
	Document secret.Bytes
	Digest   string // SHA-256 of the document, in hexadecimal digits
	Request  string // id of the request that brought it; empty: it came with the start
	PlanOnly bool
}

// A Declarer carries out a declaration by requests down the road. What is wrong with
// the document is a fault; that a change failed is in the result.
type Declarer func(ctx context.Context, road *Road, d Declaration) (*action.Declared, error)

// Options of a Road.
type Options struct {
	Keys       Keys
	Identities Identities
	// WebIdentities are verified by it; nil: by one with the roots of the system.
	WebIdentities WebIdentities
	// Evidence verifies attestation documents; nil: no Recipient is taken.
	Evidence Evidence
	// NewKeys makes keys; nil: each when it is asked for.
	NewKeys action.NewKeys
	// Proxies asks the proxies of external key stores; nil: none can be reached.
	Proxies keystore.Proxies
	// FirstAccount is the one whose principals may be allowed to operate the
	// deployment; empty: nobody may.
	FirstAccount string
	Audit        audit.Sink
	// FailOpen lets answers leave when the audit record cannot be written. The
	// default is to refuse.
	FailOpen bool
	// HasRegion tells which Regions the deployment has, for keys that are in several; nil: all.
	HasRegion func(string) bool
	// Declare carries out declarations; nil: none are taken.
	Declare Declarer
	// Vitals tell how it stands with what the safety of the keys rests on; nil: there are none.
	Vitals func() []vitals.Vital
	// Rekey brings in new root keys; nil: nobody does.
	Rekey Rekeyer
	// ReadBackup is a page of a backup; nil: there are none.
	ReadBackup func(ctx context.Context, id string, page int) (action.BackupPage, error)
	// Fresh is called before anything that is remembered of the store is believed, and
	// refuses where it may be too old (see follow); nil: nobody else writes to the store.
	Fresh func(context.Context) error
	// Dev opens the actions of dev mode. BeforeDev is called before what they do is
	// committed, so that the store remembers; an error refuses the request.
	Dev       bool
	BeforeDev func(context.Context) error
	Log       *slog.Logger
	Now       func() time.Time
}

// New lays the road.
func New(o Options) *Road {
	r := &Road{
		kms:   &service{api.KMS(), wire.JSON{}, action.Table(), action.NotYet(), false},
		forms: make(map[string]*service),
		keys:  o.Keys, identities: o.Identities, web: o.WebIdentities, evidence: o.Evidence, newKeys: o.NewKeys, proxies: o.Proxies, first: o.FirstAccount, audit: o.Audit, open: o.FailOpen, log: o.Log, now: o.Now,
		declare: o.Declare, beforeDev: o.BeforeDev, fresh: o.Fresh, vitals: o.Vitals, rekey: o.Rekey, readBackup: o.ReadBackup,
	}
	r.costly = lane.New(runtime.GOMAXPROCS(0), r.others.pause, "Rate exceeded: more requests with keys of slow kinds are waiting than the server takes on at a time. Try again.")
	if r.hasRegion = o.HasRegion; r.hasRegion == nil {
		r.hasRegion = func(string) bool { return true }
	}
	if r.web == nil {
		r.web = oidc.New(oidc.Options{})
	}
	if r.proxies == nil {
		r.proxies = keystore.NoProxies{}
	}
	if r.newKeys == nil {
		r.newKeys = madeAtOnce{}
	}
	for _, s := range []*service{
		{iamapi.IAM(), wire.Query{Service: iamapi.IAM()}, iamaction.Table(), iamaction.NotYet(), true},
		{stsapi.STS(), wire.Query{Service: stsapi.STS()}, stsaction.Table(), stsaction.NotYet(), false},
		{adminapi.Admin(), wire.Query{Service: adminapi.Admin()}, adminaction.Table(o.Dev), nil, true},
	} {
		r.forms[s.Version] = s
	}
	return r
}

// madeAtOnce makes each key when it is asked for.
type madeAtOnce struct{}

// Generate implements action.NewKeys.
func (madeAtOnce) Generate(_ context.Context, spec api.KeySpec) (secret.Bytes, error) {
	return crypt.Generate(spec)
}

// GeneratePair implements action.NewKeys.
func (madeAtOnce) GeneratePair(_ context.Context, spec api.KeySpec) (secret.Bytes, []byte, error) {
	return crypt.GeneratePair(spec)
}

// The largest body of a request, in bytes, by what its operation may carry.
const (
	maxBody          = 64 << 10
	maxBodyTokens    = 128 << 10 // ten grant tokens of 8 KiB
	maxBodyPolicy    = 256 << 10 // and every form: the policies in them grow when they are escaped
	maxBodyRecipient = 512 << 10 // an attestation document of 256 KiB, in base64
)

// BodyLimit is how large the body of a request with this target, or of a form, may
// be. The door asks it before it reads the body, and long before it hashes it.
func (r *Road) BodyLimit(target string, form bool) int64 {
	if target == "" && form {
		return maxBodyPolicy
	}
	op, ok := api.Lookup(operation(target))
	switch {
	case !ok:
		return maxBody
	case op.Recipient:
		return maxBodyRecipient
	case op.Policy:
		return maxBodyPolicy
	case op.GrantTokens:
		return maxBodyTokens
	}
	return maxBody
}

const targetPrefix = "TrentService."

// operation is the name of the operation in a target, or nothing.
func operation(target string) string {
	if len(target) <= len(targetPrefix) || target[:len(targetPrefix)] != targetPrefix {
		return ""
	}
	return target[len(targetPrefix):]
}
