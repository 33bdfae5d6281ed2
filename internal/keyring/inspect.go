package keyring

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"trent/internal/arn"
	"trent/internal/crypt"
	"trent/internal/record"
	"trent/internal/seal"
	"trent/internal/store"
)

// An Inspector opens the records of keys, one by one, to see that they can be opened, and
// that those belong together that must. Nothing is cached, and no material is kept.
type Inspector struct {
	ring      *Ring
	aliases   map[recordKey]string           // to the id of the key that each is for
	materials map[crypt.MaterialID]recordKey // that a key has and that have not been met yet
}

// A Discrepancy is something that is missing at a path, or too much.
type Discrepancy struct{ Path, What string }

// NewInspector makes an inspector of a store. The partition is that of its settings.
func NewInspector(s *seal.Sealer, t Tenants, partition string) (*Inspector, error) {
	r, err := New(nil, s, Options{Tenants: t, Partition: partition, CacheKeys: 1})
	if err != nil {
		return nil, err
	}
	return &Inspector{ring: r, aliases: make(map[recordKey]string), materials: make(map[crypt.MaterialID]recordKey)}, nil
}

// errForeign says that nobody writes to such a path.
var errForeign = errors.New("it is of a kind that this Trent does not know")

// Inspect opens a record. Records must come in the order of their paths.
func (i *Inspector) Inspect(rec store.Record) error {
	kind, at := placeOfPath(rec.Path)
	account, region, name := at.account, at.region, at.name
	if slices.Contains([]string{"alias", "key", "grant", "keystores", "lastuse"}, kind) {
		if _, err := i.ring.tenants.Sealer(account); err != nil {
			return unlessShredded(err)
		}
	}
	switch kind {
	case "material":
		return i.inspectMaterial(rec, account)
	case "alias":
		at.name = arn.AliasPrefix + name
		return i.inspectAlias(rec, at)
	case "key":
		return i.inspectKey(rec, at)
	case "grant":
		id, _, _ := strings.Cut(name, "/")
		_, err := i.ring.unsealGrant(recordKey{account, region, id}, rec)
		return err
	case "keystores":
		return i.open(rec, account, new(encodedStores))
	case "lastuse":
		return i.open(rec, account, new(encodedLastUse))
	case "external", "grantid", "grantname", "retirable", "due", "expiry", "rotation", "seen":
		if len(rec.Value) == 0 || rec.Value[0] != recordVersion {
			return record.ErrVersion
		}
		return nil
	}
	return errForeign
}

// unlessShredded passes over what a shredded account has left: it cannot be opened, and waits to be
// deleted.
func unlessShredded(err error) error {
	if errors.Is(err, seal.ErrShredded) {
		return nil
	}
	return err
}

func (i *Inspector) open(rec store.Record, account string, content any) error {
	plain, err := i.ring.unseal(account, rec.Path, rec.Value)
	if err != nil {
		return err
	}
	return record.Decode(recordVersion, plain, content)
}

func (i *Inspector) inspectAlias(rec store.Record, at recordKey) error {
	content, err := i.ring.unseal(at.account, rec.Path, rec.Value)
	if err != nil {
		return err
	}
	a, err := i.ring.decodeAlias(at, content, rec.Rev)
	if err != nil {
		return err
	}
	i.aliases[at.own()] = a.TargetID
	return nil
}

func (i *Inspector) inspectKey(rec store.Record, at recordKey) error {
	content, err := i.ring.unseal(at.account, rec.Path, rec.Value)
	if err != nil {
		return err
	}
	k, err := i.ring.decodeRecord(at, content, rec.Rev)
	if err != nil {
		return err
	}
	own := at.own()
	for _, m := range k.Materials {
		i.materials[m.ID] = own
	}
	if k.Pending != nil {
		i.materials[k.Pending.ID] = own
	}
	var missing []error
	for _, name := range k.Aliases {
		a := recordKey{at.account, at.region, name}
		if i.aliases[a] != at.name {
			missing = append(missing, fmt.Errorf("it lists the alias %s, and %s is not there or is for another key", name, a.aliasPath()))
			continue
		}
		delete(i.aliases, a)
	}
	return errors.Join(missing...)
}

func (i *Inspector) inspectMaterial(rec store.Record, name string) error {
	raw, err := base64.RawURLEncoding.DecodeString(name)
	if err != nil || len(raw) != len(crypt.MaterialID{}) {
		return errMaterialID
	}
	delete(i.materials, crypt.MaterialID(raw))
	v := rec.Value
	if len(v) < 2 || v[0] != materialVersion || len(v) < 2+int(v[1]) {
		return record.ErrVersion
	}
	owner, sealed := v[2:2+int(v[1])], v[2+int(v[1]):]
	if len(sealed) == 0 {
		return nil // imported material that was taken away
	}
	account, _, _ := strings.Cut(string(owner), "/")
	if _, err := i.ring.tenants.Sealer(account); err != nil {
		return unlessShredded(err)
	}
	_, err = i.ring.unseal(account, rec.Path, sealed)
	return err
}

// Rest is what has not been met after the last record.
func (i *Inspector) Rest() (all []Discrepancy) {
	for id, at := range i.materials {
		all = append(all, Discrepancy{materialPath(id), "this material is missing, and the key at " + at.keyPath() + " has it"})
	}
	for a, target := range i.aliases {
		all = append(all, Discrepancy{a.aliasPath(), "this alias is for the key " + target + ", which is not there or does not list it"})
	}
	return all
}
