package keyring

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/fxamacker/cbor/v2"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/key"
	"trent/internal/record"
	"trent/internal/store"
)

// A grant lies under its key and its grantee, so that a decision reads those of
// one caller however many there are:
//
//	grant/<account>/<region>/<key id>/<grantee>/<grant id>
//
// Three indexes lead to it by its id, by who may retire it, and by the words in
// which it was asked for. They hold the grantee in clear, as a hint: only the
// grant itself is believed. docs/spec/records.md.

// granteeKey addresses what one principal was granted on one key.
type granteeKey struct {
	key     address
	grantee string
}

// own is the same place with strings that are held once for all: few principals use many keys.
func (k granteeKey) own() granteeKey {
	return granteeKey{k.key.shared(), unique.Make(k.grantee).Value()}
}

func (at recordKey) grantPath() string {
	return "grant" + strings.TrimPrefix(at.keyPath(), "key") + "/"
}

func (at recordKey) grantIDPath(id string) string {
	return "grantid" + strings.TrimPrefix(at.keyPath(), "key") + "/" + id
}

func retirablePath(party string, region string) string {
	return "retirable/" + party + "/" + region + "/"
}

// encodedGrant is the content of a grant's record. Key, grantee and id are in
// its path, to which the content is sealed.
type encodedGrant struct {
	Name        string       `cbor:"1,keyasint,omitempty"`
	GranteeARN  string       `cbor:"2,keyasint"`
	Retiring    string       `cbor:"3,keyasint,omitempty"`
	RetiringARN string       `cbor:"4,keyasint,omitempty"`
	Operations  uint32       `cbor:"5,keyasint"` // bits in the order of grant.Operations
	Constraint  uint8        `cbor:"6,keyasint,omitempty"`
	Pairs       []encodedTag `cbor:"7,keyasint,omitempty"` // by key
	SourceArn   string       `cbor:"8,keyasint,omitempty"`
	Issuer      string       `cbor:"9,keyasint"`
	Created     key.Moment   `cbor:"10,keyasint"`
}

func encodedGrantOf(g *grant.Grant) encodedGrant {
	e := encodedGrant{
		Name: g.Name, GranteeARN: g.Grantee.ARN, Retiring: g.Retiring.ID, RetiringARN: g.Retiring.ARN,
		Operations: uint32(g.Operations), Constraint: uint8(g.Constraint.Kind), SourceArn: g.Constraint.SourceArn,
		Issuer: g.Issuer, Created: key.MomentOf(g.Created),
	}
	for _, k := range slices.Sorted(maps.Keys(g.Constraint.Pairs)) {
		e.Pairs = append(e.Pairs, encodedTag{Key: k, Value: g.Constraint.Pairs[k]})
	}
	return e
}

func (r *Ring) decodeGrant(at recordKey, grantee, id string, content []byte, rev store.Rev) (*grant.Grant, error) {
	var e encodedGrant
	if err := record.DecodeKnown(recordVersion, content, &e); err != nil {
		return nil, err
	}
	g := &grant.Grant{
		ID: id, Key: arn.Key(r.partition, at.region, at.account, at.name), Name: e.Name,
		Grantee: grant.Party{ID: grantee, ARN: e.GranteeARN}, Retiring: grant.Party{ID: e.Retiring, ARN: e.RetiringARN},
		Operations: grant.Operations(e.Operations),
		Constraint: grant.Constraint{Kind: grant.ConstraintKind(e.Constraint), SourceArn: e.SourceArn},
		Issuer:     e.Issuer, Created: e.Created.Time(), Rev: uint64(rev),
	}
	if !g.Operations.Known() || g.Constraint.Kind > grant.ContextSubset {
		return nil, record.ErrVersion // a limit that is not understood must not be no limit
	}
	if g.Constraint.Kind != grant.Unconstrained {
		g.Constraint.Pairs = make(map[string]string, len(e.Pairs))
		for _, p := range e.Pairs {
			g.Constraint.Pairs[p.Key] = p.Value
		}
	}
	return g, nil
}

// placeOfKeyARN is the place of the key that an ARN of ours names.
func placeOfKeyARN(keyARN string) recordKey {
	ref := arn.ParseRef(keyARN)
	return recordKey{ref.Account, ref.Region, ref.Name}
}

// PutGrant makes a grant. Its key must still be what it was decided upon.
type PutGrant struct {
	Key *key.Record
	Now *grant.Grant
}

// DeleteGrant ends a grant.
type DeleteGrant struct{ Was *grant.Grant }

// requestHash names a request for a grant: equal requests, one name. The encoding
// is injective, being CBOR.
func requestHash(g *grant.Grant) (string, error) {
	e := encodedGrantOf(g)
	e.Created, e.GranteeARN, e.RetiringARN = 0, "", ""
	body, err := cbor.Marshal([]any{g.Key, g.Grantee.ID, e})
	if err != nil {
		return "", fmt.Errorf("keyring: encode: %w", err)
	}
	sum := sha256.Sum256(body)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// namePath is where a grant with a name is found by the request for it; a
// grant without one is not.
func namePath(g *grant.Grant) (string, error) {
	if g.Name == "" {
		return "", nil
	}
	hash, err := requestHash(g)
	return "grantname" + strings.TrimPrefix(placeOfKeyARN(g.Key).keyPath(), "key") + "/" + hash, err
}

// hint is the value of an index: version, then grantee "/" grant id.
func hint(g *grant.Grant) []byte {
	return append([]byte{recordVersion}, g.Grantee.ID+"/"+g.ID...)
}

func parseHint(v []byte) (grantee, id string, err error) {
	if len(v) == 0 || v[0] != recordVersion {
		return "", "", record.ErrVersion
	}
	grantee, id, _ = strings.Cut(string(v[1:]), "/")
	return grantee, id, nil
}

func (c PutGrant) add(r *Ring, b *store.Batch) error {
	g, at := c.Now, placeOf(c.Key)
	content, err := record.Encode(recordVersion, encodedGrantOf(g))
	if err != nil {
		return err
	}
	if err := r.put(b, at.account, at.grantPath()+g.Grantee.ID+"/"+g.ID, content, 0); err != nil {
		return err
	}
	b.If = append(b.If, store.Condition{Path: at.keyPath(), Rev: store.Rev(c.Key.Rev)})
	b.Put = append(b.Put, store.Put{Path: at.grantIDPath(g.ID), Value: hint(g)})
	if g.Retiring.ID != "" {
		b.Put = append(b.Put, store.Put{Path: retirable(at, g), Value: hint(g)})
	}
	byName, err := namePath(g)
	if err != nil || byName == "" {
		return err
	}
	b.If = append(b.If, store.Condition{Path: byName}) // of two equal requests at once, one makes the grant
	b.Put = append(b.Put, store.Put{Path: byName, Value: hint(g)})
	return nil
}

func retirable(at recordKey, g *grant.Grant) string {
	return retirablePath(g.Retiring.ID, at.region) + at.account + "/" + at.name + "/" + g.ID
}

func (c PutGrant) forget(r *Ring, committed bool) {
	r.forgetGrant(c.Now, 1, committed)
	if !committed {
		r.forgetKey(placeOf(c.Key)) // on whose revision it was made
	}
}

func (c DeleteGrant) add(_ *Ring, b *store.Batch) error {
	at := placeOfKeyARN(c.Was.Key)
	path := at.grantPath() + c.Was.Grantee.ID + "/" + c.Was.ID
	b.If = append(b.If, store.Condition{Path: path, Rev: store.Rev(c.Was.Rev)})
	paths, err := grantPaths(at, c.Was)
	b.Delete = append(b.Delete, paths...)
	return err
}

// pathsOfGrant is how many paths a grant has at the most.
const pathsOfGrant = 4

// grantPaths are all paths at which something is stored of a grant.
func grantPaths(at recordKey, g *grant.Grant) ([]string, error) {
	paths := []string{at.grantPath() + g.Grantee.ID + "/" + g.ID, at.grantIDPath(g.ID)}
	if g.Retiring.ID != "" {
		paths = append(paths, retirable(at, g))
	}
	byName, err := namePath(g)
	if byName != "" {
		paths = append(paths, byName)
	}
	return paths, err
}

func (c DeleteGrant) forget(r *Ring, committed bool) { r.forgetGrant(c.Was, -1, committed) }

// forgetGrant drops what is cached for a grant that has come or gone. The number of
// grants on its key is not read anew each time; it may be off by those that were
// committed while it was counted, and is a bound of no precision.
func (r *Ring) forgetGrant(g *grant.Grant, more int, committed bool) {
	at, ok := addressOf(placeOfKeyARN(g.Key))
	if !ok {
		return
	}
	r.grants.drop(granteeKey{at, g.Grantee.ID})
	if committed {
		r.grantCounts.alter(at, func(n int) int { return n + more })
	} else {
		r.grantCounts.drop(at)
	}
}

// NewGrantID draws the id of a grant.
func NewGrantID() string {
	var b [grant.IDSize / 2]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// CountGrants tells how many grants a key has. They are counted once, and then
// with each that comes or goes.
func (r *Ring) CountGrants(ctx context.Context, rec *key.Record) (int, error) {
	at := placeOf(rec)
	where, ok := addressOf(at)
	if !ok {
		return 0, errNoRecord
	}
	n, err := r.grantCounts.load(where, func() (n int, err error) {
		for after := ""; ; {
			recs, err := r.store.List(ctx, at.grantPath(), after, countPage, true)
			if err != nil {
				return 0, fmt.Errorf("count grants: %w", err)
			}
			n += len(recs)
			if len(recs) < countPage {
				return n, nil
			}
			after = recs[len(recs)-1].Path
		}
	})
	return n, unavailable(ctx, err)
}

// countPage is how many grants are counted at once.
const countPage = 1024

// GrantsTo returns what a party was granted on a key.
func (r *Ring) GrantsTo(ctx context.Context, rec *key.Record, party string) (*grant.Set, error) {
	at := placeOf(rec)
	where, ok := addressOf(at)
	if !ok || party == "" {
		return nil, nil
	}
	set, err := r.grants.load(granteeKey{where, party}, func() (*grant.Set, error) {
		all, err := r.readGrants(ctx, at, at.grantPath()+party+"/")
		if err != nil || len(all) == 0 {
			return nil, err
		}
		return grant.NewSet(all), nil
	})
	return set, unavailable(ctx, err)
}

// grantPage is how many grants are read at once.
const grantPage = 256

func (r *Ring) readGrants(ctx context.Context, at recordKey, prefix string) (all []*grant.Grant, err error) {
	after := ""
	for {
		recs, err := r.store.List(ctx, prefix, after, grantPage, false)
		if err != nil {
			return nil, fmt.Errorf("read grants: %w", err)
		}
		for _, rec := range recs {
			after = rec.Path
			g, err := r.unsealGrant(at, rec)
			if err != nil {
				return nil, err
			}
			all = append(all, g)
		}
		if len(recs) < grantPage {
			return all, nil
		}
	}
}

func (r *Ring) unsealGrant(at recordKey, rec store.Record) (*grant.Grant, error) {
	content, err := r.unseal(at.account, rec.Path, rec.Value)
	if err != nil {
		return nil, err
	}
	grantee, id, _ := strings.Cut(strings.TrimPrefix(rec.Path, at.grantPath()), "/")
	return r.decodeGrant(at, grantee, id, content, rec.Rev)
}

// FindGrant finds a grant on a key by its id, or returns NotFoundException.
func (r *Ring) FindGrant(ctx context.Context, rec *key.Record, id string) (*grant.Grant, error) {
	at := placeOf(rec)
	g, err := r.followHint(ctx, at, at.grantIDPath(id))
	if err == nil && (g == nil || g.ID != id) {
		return nil, fault.Newf(api.NotFoundException, "Grant ID %s not found", id)
	}
	return g, err
}

// FindEqualGrant finds the grant that was made by an equal request with the same
// name, or nil.
func (r *Ring) FindEqualGrant(ctx context.Context, wanted *grant.Grant) (*grant.Grant, error) {
	path, err := namePath(wanted)
	if err != nil || path == "" {
		return nil, err
	}
	g, err := r.followHint(ctx, placeOfKeyARN(wanted.Key), path)
	if err != nil || g == nil {
		return nil, err
	}
	if !g.SameRequest(wanted) {
		return nil, fault.New(fault.Internal, "").Because(fmt.Errorf("keyring: %s leads to another grant", path))
	}
	// Whoever made it may not have been told yet, nor the cache. Who is told of it now
	// may use it now.
	r.forgetGrant(g, 0, true)
	return g, nil
}

// followHint reads the grant that an index leads to; nil if there is none.
func (r *Ring) followHint(ctx context.Context, at recordKey, path string) (*grant.Grant, error) {
	rec, err := r.store.Get(ctx, path)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, unavailable(ctx, fmt.Errorf("read %s: %w", path, err))
	}
	grantee, id, err := parseHint(rec.Value)
	if err != nil {
		return nil, unavailable(ctx, fmt.Errorf("%s: %w", path, err))
	}
	return r.readGrant(ctx, at, grantee, id)
}

func (r *Ring) readGrant(ctx context.Context, at recordKey, grantee, id string) (*grant.Grant, error) {
	path := at.grantPath() + grantee + "/" + id
	rec, err := r.store.Get(ctx, path)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, unavailable(ctx, fmt.Errorf("read %s: %w", path, err))
	}
	g, err := r.unsealGrant(at, rec)
	return g, unavailable(ctx, err)
}

// ListGrants returns grants on a key in the order of their positions, after the
// position after; to one grantee alone, if party is not empty. The position of
// a grant is its grantee "/" its id.
func (r *Ring) ListGrants(ctx context.Context, rec *key.Record, party, after string, limit int) (page []*grant.Grant, more bool, err error) {
	at := placeOf(rec)
	prefix := at.grantPath()
	start := ""
	if after != "" {
		start = prefix + after
	}
	if party != "" {
		prefix += party + "/"
	}
	recs, err := r.store.List(ctx, prefix, start, limit+1, false)
	if err != nil {
		return nil, false, unavailable(ctx, err)
	}
	for _, rec := range recs[:min(limit, len(recs))] {
		g, err := r.unsealGrant(at, rec)
		if err != nil {
			return nil, false, unavailable(ctx, err)
		}
		page = append(page, g)
	}
	return page, len(recs) > limit, nil
}

// GrantPosition is where a grant stands in ListGrants.
func GrantPosition(g *grant.Grant) string { return g.Grantee.ID + "/" + g.ID }

// ListRetirableGrants returns the grants on keys of a Region, of any account,
// that a party may retire, after the position after. Grants on keys that are
// gone are left out.
func (r *Ring) ListRetirableGrants(ctx context.Context, party, region, after string, limit int, now time.Time) (page []*grant.Grant, next string, err error) {
	prefix := retirablePath(party, region)
	for {
		start := ""
		if after != "" {
			start = prefix + after
		}
		recs, err := r.store.List(ctx, prefix, start, limit+1-len(page), false)
		if err != nil {
			return nil, "", unavailable(ctx, err)
		}
		for _, rec := range recs {
			if len(page) == limit {
				return page, after, nil
			}
			after = strings.TrimPrefix(rec.Path, prefix)
			g, err := r.retirableGrant(ctx, region, party, after, rec, now)
			if err != nil {
				return nil, "", err
			}
			if g != nil {
				page = append(page, g)
			}
		}
		if len(recs) == 0 {
			return page, "", nil
		}
	}
}

// retirableGrant reads the grant of one entry of the index, or nil if it is over.
func (r *Ring) retirableGrant(ctx context.Context, region, party, position string, rec store.Record, now time.Time) (*grant.Grant, error) {
	parts := strings.Split(position, "/")
	grantee, id, err := parseHint(rec.Value)
	if err != nil || len(parts) != 3 || parts[2] != id {
		return nil, unavailable(ctx, fmt.Errorf("%s: %w", rec.Path, record.ErrVersion))
	}
	at := recordKey{parts[0], region, parts[1]}
	k, err := r.record(ctx, at)
	if IsAbsent(err) || err == nil && k.Gone(now) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	g, err := r.readGrant(ctx, at, grantee, id)
	if err != nil || g == nil || g.Retiring.ID != party {
		return nil, err
	}
	return g, nil
}

// deleteGrants ends all grants on a key that is about to be deleted.
func (r *Ring) deleteGrants(ctx context.Context, at recordKey) error {
	for {
		recs, err := r.store.List(ctx, at.grantPath(), "", store.MaxBatch/pathsOfGrant, false)
		if err != nil || len(recs) == 0 {
			return err
		}
		var b store.Batch
		var ended []*grant.Grant
		for _, rec := range recs {
			g, err := r.unsealGrant(at, rec)
			if err != nil {
				return err
			}
			paths, err := grantPaths(at, g)
			if err != nil {
				return err
			}
			b.Delete = append(b.Delete, paths...)
			ended = append(ended, g)
		}
		if _, err := r.store.Commit(ctx, b); err != nil {
			return fmt.Errorf("delete grants: %w", err)
		}
		for _, g := range ended {
			r.forgetGrant(g, -1, true)
		}
	}
}
