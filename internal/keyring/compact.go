package keyring

import (
	"slices"
	"unique"

	"trent/internal/arn"
	"trent/internal/crypt"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/secret"
)

// What is cached of keys and materials is made so that the garbage collector
// has next to nothing to do with it: fixed sizes, held by value, and pointers
// only to what many share. A hundred thousand keys as values of their own were six
// hundred thousand objects, and to look at them took a third of the processor.
// A record is made anew each time that its key is found, which costs far less.

// keyID is a key id: a UUID, or mrk- and 32 digits; both have 36 bytes.
type keyID [36]byte

// address is the place of a key. Account and Region are shared strings in what
// is kept, and any strings in what is looked for.
type address struct {
	account, region string
	id              keyID
}

// addressOf packs a place. It reports false for what is no key id.
func addressOf(at recordKey) (address, bool) {
	a := address{account: at.account, region: at.region}
	if len(at.name) != len(a.id) {
		return a, false
	}
	copy(a.id[:], at.name)
	return a, true
}

// shared is the same place with strings that are held once for all.
func (a address) shared() address {
	a.account, a.region = unique.Make(a.account).Value(), unique.Make(a.region).Value()
	return a
}

// compactKey is a key's record as it is cached.
type compactKey struct {
	kind        *key.Kind   // shared
	policy      *iam.Policy // shared
	description string
	more        *moreOfKey // nil for most
	rev         uint64
	created     key.Moment
	deletion    key.Moment
	window      int32
	enabled     bool
	current     bool // there is a material
	material    crypt.MaterialID
}

// moreOfKey is what few keys have.
type moreOfKey struct {
	materials []key.Material // all of them, if more is to be said of them than one id
	pending   *key.Material
	rotation  key.Rotation
	regions   []string
	aliases   []string
	tags      []key.Tag

	external *key.External
}

func compact(rec *key.Record) compactKey {
	c := compactKey{
		kind: rec.Kind, policy: rec.Policy, description: rec.Description, rev: rec.Rev, created: rec.Created,
		deletion: rec.DeletionDate, window: rec.DeletionWindow, enabled: rec.Enabled,
	}
	c.material, c.current = rec.Current()
	more := moreOfKey{regions: rec.Regions, pending: rec.Pending, rotation: rec.Rotation, aliases: rec.Aliases, tags: rec.Tags, external: rec.External}
	if n := len(rec.Materials); n > 1 || n == 1 && !isPlain(&rec.Materials[0]) {
		more.materials = slices.Clone(rec.Materials) // which may lie in the record
	}
	if len(more.materials)+len(more.aliases)+len(more.tags)+len(more.regions) > 0 || more.pending != nil || more.rotation != (key.Rotation{}) || more.external != nil {
		c.more = &more
	}
	return c
}

// expand makes the record of the key at a place. Records are immutable, so the
// slices may be those of the cache.
func (r *Ring) expand(at recordKey, c *compactKey) *key.Record {
	rec := &key.Record{
		Kind: c.kind, ARN: arn.Key(r.partition, at.region, at.account, at.name), Policy: c.policy, Description: c.description,
		Rev: c.rev, Created: c.created, DeletionDate: c.deletion, DeletionWindow: c.window, Enabled: c.enabled,
	}
	if c.more != nil {
		rec.Aliases, rec.Tags, rec.Regions, rec.External = c.more.aliases, c.more.tags, c.more.regions, c.more.external
		rec.Pending, rec.Rotation = c.more.pending, c.more.rotation
	}
	switch {
	case c.more != nil && c.more.materials != nil:
		rec.Materials = slices.Clip(c.more.materials)
	case c.current:
		rec.SetMaterials(key.Material{ID: c.material})
	}
	return rec
}

// compactMaterial is a material as it is cached: whose it is and, once somebody
// was permitted to have it, the material itself. It lies here as plain bytes,
// for the sake of the collector, and is seen by this file alone.
type compactMaterial struct {
	account string // shared
	id      keyID
	opened  bool
	bytes   [crypt.SymmetricSize]byte
}

// symmetric makes the key of an opened material. It has a copy of its own: the
// cache may drop the material while the key is in use.
func (r *Ring) symmetric(id crypt.MaterialID, m *compactMaterial) (*crypt.Symmetric, error) {
	own := m.bytes
	return crypt.NewSymmetric(&r.cluster, id, secret.New(own[:]))
}
