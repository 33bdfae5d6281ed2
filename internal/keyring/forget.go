package keyring

import (
	"context"
	"encoding/base64"
	"strings"

	"trent/internal/arn"
	"trent/internal/crypt"
	"trent/internal/store"
)

// Forget drops what is cached of records that have changed in the store, whoever has changed them.
func (r *Ring) Forget(_ context.Context, changed []store.Event) error {
	for _, e := range changed {
		r.forgetPath(e.Path)
	}
	return nil
}

// ForgetAll drops everything that is cached: nobody knows any more what has changed.
func (r *Ring) ForgetAll(context.Context) error {
	r.records.clear()
	r.aliases.clear()
	r.materials.clear()
	r.opened.clear()
	r.grants.clear()
	r.grantCounts.clear()
	r.stores.clear()
	return nil
}

// forgetPath drops what is cached of the record at a path; of most kinds nothing is.
func (r *Ring) forgetPath(path string) {
	kind, rest, _ := strings.Cut(path, "/")
	account, rest, _ := strings.Cut(rest, "/")
	if kind == "material" {
		r.forgetMaterialNamed(account)
		return
	}
	region, name, _ := strings.Cut(rest, "/")
	switch kind {
	case "key":
		r.forgetKey(recordKey{account, region, name})
	case "alias":
		r.aliases.drop(recordKey{account, region, arn.AliasPrefix + name})
	case "grant":
		r.forgetGrants(account, region, name)
	case "keystores":
		r.stores.drop(Where{account, region})
	}
}

// forgetMaterialNamed drops a material by its id as it is in paths.
func (r *Ring) forgetMaterialNamed(name string) {
	var id crypt.MaterialID
	if raw, err := base64.RawURLEncoding.DecodeString(name); err == nil && len(raw) == len(id) {
		copy(id[:], raw)
		r.forgetMaterial(id)
	}
}

// forgetGrants drops the grants of one grantee on one key; rest is key id, grantee and grant id.
func (r *Ring) forgetGrants(account, region, rest string) {
	id, rest, _ := strings.Cut(rest, "/")
	at, ok := addressOf(recordKey{account, region, id})
	if end := strings.LastIndexByte(rest, '/'); ok && end >= 0 {
		r.grants.drop(granteeKey{at, rest[:end]})
		r.grantCounts.drop(at)
	}
}
