// Package keyring is the one way to keys: it finds them, opens them for whoever
// holds a permit, and commits changes. It keeps them sealed in a store, with a
// cache in front that is never ahead of the store nor behind what this process
// has acknowledged.
//
// A key is met at two depths. Find gives its record: immutable, at one
// revision, without material. Open gives what encrypts, for a Permit on exactly
// that record. docs/spec/records.md has the paths and the encoding.
package keyring

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unique"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/authz"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/keystore"
	"trent/internal/seal"
	"trent/internal/store"
)

// Tenants knows the accounts, each of which has a key of its own.
type Tenants interface {
	// Sealer is what seals the records of an account, or an error where there is no
	// such account or it is closed.
	Sealer(account string) (*seal.Sealer, error)
}

// Options of a Ring.
type Options struct {
	Tenants   Tenants
	Partition string // of all ARNs: aws, aws-cn, aws-us-gov
	// CacheKeys bounds the keys, and separately the materials and the aliases,
	// that are kept unsealed in memory. About 700 bytes each.
	CacheKeys int
	// Proxies asks the proxies of external key stores; nil: their keys cannot be used.
	Proxies keystore.Proxies
}

// A Ring is all keys of a store. It may be used by many goroutines.
type Ring struct {
	store     store.Store
	tenants   Tenants
	partition string
	cluster   crypt.ClusterID // to which ciphertexts are bound
	markers   *box
	tokens    *box // grant tokens
	imports   *box // import tokens
	policies  *policies

	records   *cache[address, compactKey]
	aliases   *cache[recordKey, *key.Alias]
	materials *cache[crypt.MaterialID, compactMaterial]
	opened    *cache[crypt.MaterialID, crypt.Key] // those that are not symmetric

	grants      *cache[granteeKey, *grant.Set] // all of one grantee on one key; most have none
	grantCounts *cache[address, int]

	uses *lastUses // that are not stored yet

	stores  *cache[Where, *keystore.Set]
	proxies keystore.Proxies
}

// recordKey addresses a key by its id, or an alias by its name.
type recordKey struct{ account, region, name string }

// own is the same place with strings that hold on to nothing, such as a request
// of which they were a part.
func (at recordKey) own() recordKey {
	return recordKey{unique.Make(at.account).Value(), unique.Make(at.region).Value(), strings.Clone(at.name)}
}

// Where is the account and the Region that short references mean.
type Where struct{ Account, Region string }

// own is the same place with strings that hold on to nothing.
func (w Where) own() Where {
	return Where{unique.Make(w.Account).Value(), unique.Make(w.Region).Value()}
}

// New makes a ring over a store that s unseals.
func New(st store.Store, s *seal.Sealer, o Options) (*Ring, error) {
	markers, err := newBox(s, "pagination marker v1")
	if err != nil {
		return nil, err
	}
	tokens, err := newBox(s, "grant token v1")
	if err != nil {
		return nil, err
	}
	imports, err := newBox(s, "import token v1")
	if err != nil {
		return nil, err
	}
	return &Ring{
		store: st, tenants: o.Tenants, partition: o.Partition, cluster: crypt.ClusterID(s.Cluster()), markers: markers, tokens: tokens, imports: imports, policies: newPolicies(),
		records:   newCache[address, compactKey](o.CacheKeys, address.shared),
		aliases:   newCache[recordKey, *key.Alias](o.CacheKeys, recordKey.own),
		materials: newCache[crypt.MaterialID, compactMaterial](o.CacheKeys, sameMaterial),
		opened:    newCache[crypt.MaterialID, crypt.Key](o.CacheKeys/asymmetricShare, sameMaterial),

		grants:      newCache[granteeKey, *grant.Set](o.CacheKeys, granteeKey.own),
		grantCounts: newCache[address, int](o.CacheKeys/16, address.shared),

		uses: newLastUses(),

		stores:  newCache[Where, *keystore.Set](o.CacheKeys/16, Where.own),
		proxies: proxiesOf(o),
	}, nil
}

// asymmetricShare is how many times fewer keys than symmetric ones are kept opened, if they are
// not symmetric: an RSA key has ten kilobytes.
const asymmetricShare = 16

func sameMaterial(id crypt.MaterialID) crypt.MaterialID { return id }

// Partition is the partition of all ARNs.
func (r *Ring) Partition() string { return r.partition }

// ParsePolicy compiles the text of a key policy; see iam.Parse for its errors. A
// text that some key has already costs nothing.
func (r *Ring) ParsePolicy(text string) (*iam.Policy, error) { return r.policies.parse(text) }

// Find resolves a reference to the record that it means now. Its refusals are
// those of the API for a key that is not there; whether the caller may learn
// that is for the pipeline to say.
func (r *Ring) Find(ctx context.Context, ref arn.Ref, here Where, now time.Time) (*key.Record, error) {
	at, err := r.locate(ref, here)
	if err != nil {
		return nil, err
	}
	if ref.IsAlias() {
		alias, err := r.alias(ctx, at)
		if err != nil {
			return nil, err
		}
		at.name = alias.TargetID
	}
	rec, err := r.record(ctx, at)
	if err == nil && rec.Gone(now) {
		err = errNoRecord
	}
	if errors.Is(err, errNoRecord) {
		if ref.IsAlias() {
			return nil, r.noAlias(recordKey{at.account, at.region, ref.Name})
		}
		return nil, fault.Newf(api.NotFoundException, "Key '%s' does not exist", arn.Key(r.partition, at.region, at.account, at.name))
	}
	return rec, err
}

// FindAlias resolves an alias name or ARN to the alias itself. An alias of a
// key that is gone is gone with it.
func (r *Ring) FindAlias(ctx context.Context, ref arn.Ref, here Where, now time.Time) (*key.Alias, error) {
	at, err := r.locate(ref, here)
	if err != nil {
		return nil, err
	}
	a, err := r.liveAlias(ctx, at, now)
	if err == nil && a == nil {
		return nil, r.noAlias(at)
	}
	return a, err
}

// FindByMaterial finds the key, in this Region, that a ciphertext names in its
// header. The refusal is the same whatever is missing: the header is a hint
// from outside.
func (r *Ring) FindByMaterial(ctx context.Context, id crypt.MaterialID, region string, now time.Time) (*key.Record, error) {
	m, err := r.ownerOf(ctx, id)
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	rec, err := r.record(ctx, recordKey{m.account, region, string(m.id[:])})
	if err == nil && (rec.Gone(now) || !rec.Has(id)) {
		return nil, errNoRecord
	}
	return rec, err
}

// IsAbsent reports whether err says that nothing was found by FindByMaterial.
func IsAbsent(err error) bool { return errors.Is(err, errNoRecord) }

// Open gives the key of one material of rec. It wants a permit for exactly this
// record, so nothing is unsealed before it has been allowed.
func (r *Ring) Open(ctx context.Context, permit authz.Permit, rec *key.Record, id crypt.MaterialID) (crypt.Key, error) {
	if !permit.Allows(rec) || !rec.Has(id) {
		return nil, fault.New(fault.Internal, "").Because(errors.New("keyring: open without a permit for this key and material"))
	}
	return r.open(ctx, id, rec)
}

// locate turns a reference into the place of a key or an alias.
func (r *Ring) locate(ref arn.Ref, here Where) (recordKey, error) {
	switch ref.Kind {
	case arn.KeyID, arn.AliasName:
		return recordKey{here.Account, here.Region, canonical(ref)}, nil
	case arn.KeyARN, arn.AliasARN:
		if ref.Partition == r.partition {
			if ref.Region != here.Region {
				return recordKey{}, fault.New(api.NotFoundException, "Invalid arn "+ref.Region)
			}
			return recordKey{ref.Account, ref.Region, canonical(ref)}, nil
		}
	}
	if ref.Account != "" {
		if ref.Region != here.Region {
			return recordKey{}, fault.New(api.NotFoundException, "Invalid arn "+ref.Region)
		}
		return recordKey{}, fault.New(api.NotFoundException, "Invalid keyId "+ref.Name)
	}
	return recordKey{}, fault.Newf(api.NotFoundException, "Invalid keyId '%s'", ref.Raw)
}

// canonical folds key ids, which the service takes in either case; alias names
// are taken as they are.
func canonical(ref arn.Ref) string {
	if ref.IsAlias() {
		return ref.Name
	}
	return lower(ref.Name)
}

// lower is ASCII lower case without a copy where there is nothing to change.
func lower(s string) string {
	for i := range len(s) {
		if s[i] >= 'A' && s[i] <= 'Z' {
			b := []byte(s)
			for i, c := range b {
				if c >= 'A' && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

func (r *Ring) alias(ctx context.Context, at recordKey) (*key.Alias, error) {
	a, err := r.aliases.load(at, func() (*key.Alias, error) { return r.readAlias(ctx, at) })
	if errors.Is(err, errNoRecord) {
		return nil, r.noAlias(at)
	}
	return a, unavailable(ctx, err)
}

func (r *Ring) noAlias(at recordKey) error {
	return fault.Newf(api.NotFoundException, "Alias %s is not found.", arn.Alias(r.partition, at.region, at.account, at.name))
}

func (r *Ring) record(ctx context.Context, at recordKey) (*key.Record, error) {
	where, ok := addressOf(at)
	if _, err := r.tenants.Sealer(at.account); !ok || err != nil {
		return nil, errNoRecord // nothing of a closed account is there, cached or not
	}
	c, err := r.records.load(where, func() (compactKey, error) {
		rec, err := r.readRecord(ctx, at)
		if err != nil {
			return compactKey{}, err
		}
		return compact(rec), nil
	})
	if err != nil {
		return nil, unavailable(ctx, err)
	}
	rec := r.expand(at, &c)
	if err := r.available(ctx, rec); err != nil {
		return nil, err
	}
	return rec, nil
}

// errNoRecord says that a well-formed path has nothing at it.
var errNoRecord = errors.New("keyring: no such record")

// unavailable turns what a store or a seal fails with into what a client may
// retry. A record that is not authentic is an incident, not an outage.
func unavailable(ctx context.Context, err error) error {
	switch {
	case err == nil, errors.Is(err, errNoRecord):
		return err
	case errors.Is(err, seal.ErrUnreadable):
		return fault.New(fault.Internal, "").Because(err)
	case ctx.Err() != nil:
		return fault.New(api.DependencyTimeoutException, "The system timed out while trying to fulfill the request.").Because(err)
	}
	if f := fault.From(err); f.Code != fault.Internal {
		return f
	}
	return fault.New(api.KeyUnavailableException, "The key is not available at the moment.").Because(err)
}

// read fetches and unseals one record of an account.
func (r *Ring) read(ctx context.Context, account, path string) ([]byte, store.Rev, error) {
	rec, err := r.store.Get(ctx, path)
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, fmt.Errorf("%w: %s", errNoRecord, path)
	} else if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", path, err)
	}
	content, err := r.unseal(account, path, rec.Value)
	return content, rec.Rev, err
}

// unseal opens what is sealed under an account's own key.
func (r *Ring) unseal(account, path string, sealed []byte) ([]byte, error) {
	s, err := r.tenants.Sealer(account)
	if err != nil {
		return nil, errNoRecord
	}
	content, err := s.Open(path, sealed)
	if err != nil {
		return nil, fmt.Errorf("unseal %s: %w", path, err)
	}
	return content, nil
}

// sealed seals content under an account's own key.
func (r *Ring) sealed(account, path string, content []byte) ([]byte, error) {
	s, err := r.tenants.Sealer(account)
	if err != nil {
		return nil, fmt.Errorf("keyring: seal %s: %w", path, err)
	}
	return s.Seal(path, content)
}

func (r *Ring) readRecord(ctx context.Context, at recordKey) (*key.Record, error) {
	content, rev, err := r.read(ctx, at.account, at.keyPath())
	if err != nil {
		return nil, err
	}
	return r.decodeRecord(at, content, rev)
}

func (r *Ring) readAlias(ctx context.Context, at recordKey) (*key.Alias, error) {
	content, rev, err := r.read(ctx, at.account, at.aliasPath())
	if err != nil {
		return nil, err
	}
	return r.decodeAlias(at, content, rev)
}

// NewMultiRegionKeyID draws the id of a multi-Region key.
func NewMultiRegionKeyID() string {
	var b [16]byte
	rand.Read(b[:])
	return "mrk-" + hex.EncodeToString(b[:])
}

// NewKeyID draws the id of a single-Region key: a random UUID (RFC 9562,
// version 4).
func NewKeyID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
