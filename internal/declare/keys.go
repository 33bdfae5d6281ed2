package declare

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"

	"trent/internal/action"
	"trent/internal/crypt"
)

// presentKey is a key as it is.
type presentKey struct {
	KeyID       string `json:"KeyId"`
	Description string
	KeyState    string
	Enabled     bool
	Material    string `json:"CurrentKeyMaterialId"`
}

// A tag of a key as the API has it.
type keyTag struct {
	TagKey   string
	TagValue string
}

// keyPlan plans one key.
type keyPlan struct {
	*planner
	account, label string
	wanted         *Key
	id             string // once it is known
	aliases        map[string]string
	fresh          bool
	now            presentKey
}

func (p *planner) accountKeys(ctx context.Context, a *Account, fresh bool) error {
	byRegion := make(map[string]map[string]string) // aliases and the keys that they are of
	for i := range a.Keys {
		w := &a.Keys[i]
		if byRegion[w.Region] == nil {
			aliases, err := p.presentAliases(ctx, a.ID, w.Region, fresh)
			if err != nil {
				return err
			}
			byRegion[w.Region] = aliases
		}
		k := &keyPlan{planner: p, account: a.ID, wanted: w, aliases: byRegion[w.Region]}
		k.label = "key " + a.label() + "/" + w.Region + "/" + w.name()
		if err := k.plan(ctx, fresh); err != nil {
			return fmt.Errorf("key %s in %s: %w", w.name(), w.Region, err)
		}
	}
	return nil
}

func (p *planner) presentAliases(ctx context.Context, account, region string, fresh bool) (map[string]string, error) {
	all := make(map[string]string)
	if fresh {
		return all, nil
	}
	err := list(func(marker string) (string, error) {
		in := map[string]any{"Limit": 100}
		if marker != "" {
			in["Marker"] = marker
		}
		var page struct {
			Aliases []struct {
				AliasName   string
				TargetKeyID string `json:"TargetKeyId"`
			}
			NextMarker string
		}
		err := p.kms(ctx, account, region, "ListAliases", in, &page)
		for _, a := range page.Aliases {
			all[a.AliasName] = a.TargetKeyID
		}
		return page.NextMarker, err
	})
	return all, err
}

// call makes a request about this key.
func (k *keyPlan) call(ctx context.Context, operation string, in map[string]any, out any) error {
	if k.id != "" && in["KeyId"] == nil {
		in = maps.Clone(in)
		if in == nil {
			in = make(map[string]any)
		}
		in["KeyId"] = k.id
	}
	return k.kms(ctx, k.account, k.wanted.Region, operation, in, out)
}

// note is add for this key, with one request. Its id is known when it is made.
func (k *keyPlan) note(phase *[]step, effect action.Effect, aspect, operation string, in map[string]any) {
	add(phase, effect, k.label, aspect, func(ctx context.Context) error { return k.call(ctx, operation, in, nil) })
}

func (k *keyPlan) plan(ctx context.Context, freshAccount bool) error {
	if err := k.find(ctx, freshAccount); err != nil {
		return err
	}
	if k.fresh {
		k.create()
	} else if err := k.change(ctx); err != nil {
		return err
	}
	for _, name := range append([]string{k.wanted.Alias}, k.wanted.Aliases...) {
		k.alias(name)
	}
	if on := k.wanted.Enabled; on != nil && *on && !k.fresh && k.now.KeyState == "Disabled" {
		k.note(&k.planner.keys, action.Updates, "enabled", "EnableKey", nil)
	}
	if err := k.grants(ctx); err != nil {
		return err
	}
	// Last of all: nothing can be granted on a key that is disabled.
	if on := k.wanted.Enabled; on != nil && !*on && (k.fresh || k.now.KeyState == "Enabled") {
		k.note(&k.planner.grants, action.Updates, "disabled", "DisableKey", nil)
	}
	return nil
}

// find looks for the key: by its id where that is fixed, else by its alias.
func (k *keyPlan) find(ctx context.Context, freshAccount bool) error {
	k.id = k.wanted.ID
	if k.id == "" {
		k.id = k.aliases[k.wanted.Alias]
	}
	if k.fresh = freshAccount || k.id == ""; k.fresh {
		return nil
	}
	var got struct{ KeyMetadata presentKey }
	err := k.call(ctx, "DescribeKey", nil, &got)
	switch {
	case refusedAs(err, "NotFoundException") && k.wanted.ID != "":
		k.fresh = true
		return nil
	case err != nil:
		return err
	}
	k.now = got.KeyMetadata
	switch k.now.KeyState {
	case "PendingDeletion", "PendingReplicaDeletion":
		return fmt.Errorf("it is in the state %s: cancel its deletion first, or give the alias to another key", k.now.KeyState)
	}
	return k.sameMaterial(ctx)
}

// sameMaterial refuses a fixed key that is there without the material that was to be its current
// one: a key's material is not replaced. It may have been rotated since.
func (k *keyPlan) sameMaterial(ctx context.Context) error {
	n := len(k.wanted.Materials)
	if n == 0 {
		return nil
	}
	id, err := crypt.MaterialIDOf(k.wanted.ID, k.wanted.Materials[n-1])
	if err != nil || crypt.HexID(id) == k.now.Material {
		return err
	}
	has, err := k.hasMaterial(ctx, crypt.HexID(id))
	if err == nil && !has {
		err = fmt.Errorf("it is there with another material, which cannot be replaced: take another id")
	}
	return err
}

func (k *keyPlan) hasMaterial(ctx context.Context, id string) (has bool, err error) {
	err = list(func(marker string) (string, error) {
		in := map[string]any{"IncludeKeyMaterial": "ALL_KEY_MATERIAL"}
		if marker != "" {
			in["Marker"] = marker
		}
		var page struct {
			Rotations []struct {
				KeyMaterialID string `json:"KeyMaterialId"`
			}
			NextMarker string
		}
		err := k.call(ctx, "ListKeyRotations", in, &page)
		for _, r := range page.Rotations {
			has = has || r.KeyMaterialID == id
		}
		return page.NextMarker, err
	})
	return has, err
}

func (k *keyPlan) create() {
	w := k.wanted
	if w.ID != "" {
		k.createFixed()
		return
	}
	in := map[string]any{}
	if w.Description != nil && *w.Description != "" {
		in["Description"] = *w.Description
	}
	if w.Policy != "" {
		in["Policy"] = w.Policy
	}
	if len(w.Tags) > 0 {
		in["Tags"] = keyTags(w.Tags)
	}
	add(&k.planner.keys, action.Creates, k.label, "", func(ctx context.Context) error {
		var made struct{ KeyMetadata presentKey }
		err := k.call(ctx, "CreateKey", in, &made)
		k.id = made.KeyMetadata.KeyID
		return err
	})
}

// createFixed makes a key with the default policy, and then what else it is to have
// by the same requests as for one that is there.
func (k *keyPlan) createFixed() {
	w := k.wanted
	var raw []byte
	for _, m := range w.Materials {
		raw = append(raw, m.Expose()...)
	}
	materials := base64.StdEncoding.EncodeToString(raw)
	clear(raw)
	add(&k.planner.keys, action.Creates, k.label, "fixed id and material", func(ctx context.Context) error {
		return k.admin(ctx, "CreateFixedKey", nil, "AccountId", k.account, "Region", w.Region, "KeyId", w.ID, "Materials", materials)
	})
	k.describe()
	k.tag(nil)
	if w.Policy != "" {
		k.putPolicy()
	}
}

func (k *keyPlan) describe() {
	if d := k.wanted.Description; d != nil && *d != k.now.Description {
		k.note(&k.planner.keys, action.Updates, "description", "UpdateKeyDescription", map[string]any{"Description": *d})
	}
}

func (k *keyPlan) putPolicy() {
	k.note(&k.planner.keys, action.Updates, "policy", "PutKeyPolicy", map[string]any{"PolicyName": "default", "Policy": k.wanted.Policy})
}

func (k *keyPlan) tag(now []Pair) {
	set, gone := tagDifference(now, k.wanted.Tags, func(a, b string) bool { return a == b })
	if len(gone) > 0 {
		k.note(&k.planner.keys, action.Removes, "tags "+strings.Join(gone, ", "), "UntagResource", map[string]any{"TagKeys": gone})
	}
	if len(set) > 0 {
		k.note(&k.planner.keys, action.Updates, "tags "+tagKeys(set), "TagResource", map[string]any{"Tags": keyTags(set)})
	}
}

func keyTags(tags []Pair) []keyTag {
	var all []keyTag
	for _, t := range tags {
		all = append(all, keyTag{t.Key, t.Value})
	}
	return all
}

func (k *keyPlan) change(ctx context.Context) error {
	k.describe()
	now, err := k.presentTags(ctx)
	if err != nil {
		return err
	}
	k.tag(now)
	if k.wanted.Policy == "" {
		return nil
	}
	var got struct{ Policy string }
	if err := k.call(ctx, "GetKeyPolicy", map[string]any{"PolicyName": "default"}, &got); err != nil {
		return err
	}
	if !sameDocument(got.Policy, k.wanted.Policy) {
		k.putPolicy()
	}
	return nil
}

func (k *keyPlan) presentTags(ctx context.Context) ([]Pair, error) {
	var all []Pair
	err := list(func(marker string) (string, error) {
		in := map[string]any{}
		if marker != "" {
			in["Marker"] = marker
		}
		var page struct {
			Tags       []keyTag
			NextMarker string
		}
		err := k.call(ctx, "ListResourceTags", in, &page)
		for _, t := range page.Tags {
			all = append(all, Pair{t.TagKey, t.TagValue})
		}
		return page.NextMarker, err
	})
	return all, err
}

// alias gives the key an alias, and takes it from another key where it has to.
func (k *keyPlan) alias(name string) {
	of, exists := k.aliases[name]
	switch {
	case name == "" || exists && of == k.id:
		return
	case exists:
		add(&k.planner.aliases, action.Updates, k.label, name, func(ctx context.Context) error {
			return k.kms(ctx, k.account, k.wanted.Region, "UpdateAlias", map[string]any{"AliasName": name, "TargetKeyId": k.id}, nil)
		})
	default:
		add(&k.planner.aliases, action.Creates, k.label, name, func(ctx context.Context) error {
			return k.kms(ctx, k.account, k.wanted.Region, "CreateAlias", map[string]any{"AliasName": name, "TargetKeyId": k.id}, nil)
		})
	}
}
