package action

import (
	"context"
	"slices"
	"time"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/keyring"
)

// rotation is the family of replacing a key's material: the key stays, encrypts under the
// new one, and decrypts under all.
func rotation() []*Entry {
	return []*Entry{
		entry(Action[api.EnableKeyRotationInput, None]{
			Name:    "EnableKeyRotation",
			Uses:    manageUnder("kms:EnableKeyRotation", key.Rotatable, func(in *api.EnableKeyRotationInput) string { return in.KeyId }, rotationKeys()),
			Fit:     func(h []Held, _ *api.EnableKeyRotationInput) error { return rotatesAutomatically(h[0].Record) },
			Mutates: true,
			Audit:   []string{"KeyId", "RotationPeriodInDays"},
			Run: func(ctx context.Context, c *Call, in *api.EnableKeyRotationInput) (*None, error) {
				return c.changeShared(ctx, c.Held[0].Record, func(r *key.Record) { r.SetRotation(int32(rotationPeriod(in)), c.Now) })
			},
		}),
		entry(Action[api.DisableKeyRotationInput, None]{
			Name: "DisableKeyRotation",
			Uses: manage("kms:DisableKeyRotation", key.Rotatable, func(in *api.DisableKeyRotationInput) string { return in.KeyId }),
			Fit: func(h []Held, _ *api.DisableKeyRotationInput) error {
				if err := key.CheckOrigin(h[0].Record, api.OriginAWSKMS); err != nil {
					return err
				}
				return key.CheckDecides(h[0].Record)
			},
			Mutates: true,
			Audit:   []string{"KeyId"},
			Run: func(ctx context.Context, c *Call, _ *api.DisableKeyRotationInput) (*None, error) {
				return c.changeShared(ctx, c.Held[0].Record, func(r *key.Record) { r.Rotation = key.Rotation{} })
			},
		}),
		entry(Action[api.GetKeyRotationStatusInput, api.GetKeyRotationStatusOutput]{
			Name: "GetKeyRotationStatus",
			Uses: []Use[api.GetKeyRotationStatusInput]{{
				Kind: OnKey, Permit: "kms:GetKeyRotationStatus", Abroad: true, Alias: AliasUnsupported,
				Ref: func(in *api.GetKeyRotationStatusInput) string { return in.KeyId },
			}},
			Fit: func(h []Held, _ *api.GetKeyRotationStatusInput) error {
				return key.CheckOrigin(h[0].Record, api.OriginAWSKMS)
			},
			Audit: []string{"KeyId"},
			Run: func(_ context.Context, c *Call, _ *api.GetKeyRotationStatusInput) (*api.GetKeyRotationStatusOutput, error) {
				return rotationStatus(c.Held[0].Record), nil
			},
		}),
		entry(Action[api.RotateKeyOnDemandInput, api.RotateKeyOnDemandOutput]{
			Name:    "RotateKeyOnDemand",
			Uses:    manage("kms:RotateKeyOnDemand", key.RotatableNow, func(in *api.RotateKeyOnDemandInput) string { return in.KeyId }),
			Fit:     func(h []Held, _ *api.RotateKeyOnDemandInput) error { return rotatesOnDemand(h[0].Record) },
			Mutates: true,
			Audit:   []string{"KeyId"},
			Run:     rotateKeyOnDemand,
		}),
		entry(Action[api.ListKeyRotationsInput, api.ListKeyRotationsOutput]{
			Name:  "ListKeyRotations",
			Uses:  manage("kms:ListKeyRotations", key.AnyState, func(in *api.ListKeyRotationsInput) string { return in.KeyId }),
			Fit:   func(h []Held, _ *api.ListKeyRotationsInput) error { return hasRotations(h[0].Record) },
			Audit: []string{"KeyId", "IncludeKeyMaterial", "Limit"},
			Run:   listKeyRotations,
		}),
	}
}

// rotationPeriod is the period that was sent, or the one that is meant, in days.
func rotationPeriod(in *api.EnableKeyRotationInput) int {
	if !in.Has("RotationPeriodInDays") {
		return key.DefaultRotationPeriod
	}
	return in.RotationPeriodInDays
}

// rotationKeys: a period that was not sent is the one that it stands for, as with the window
// of a deletion.
func rotationKeys() Keys[api.EnableKeyRotationInput] {
	return Keys[api.EnableKeyRotationInput]{
		"kms:rotationperiodindays": func(in *api.EnableKeyRotationInput, _ []Held, _ string) iam.Value {
			return iam.Number(int64(rotationPeriod(in)))
		},
	}
}

// rotatesAutomatically refuses keys that the clock cannot rotate.
func rotatesAutomatically(r *key.Record) error {
	if err := key.CheckOrigin(r, api.OriginAWSKMS); err != nil {
		return err
	}
	if err := hasRotations(r); err != nil {
		return err
	}
	return key.CheckDecides(r)
}

// rotatesOnDemand refuses keys that nobody can rotate, or that have been rotated too often.
func rotatesOnDemand(r *key.Record) error {
	if err := hasRotations(r); err != nil {
		return err
	}
	if r.Origin != api.OriginExternal {
		if err := key.CheckOrigin(r, api.OriginAWSKMS); err != nil {
			return err
		}
	}
	if err := key.CheckDecides(r); err != nil {
		return err
	}
	if r.OnDemandRotations() >= key.MaxOnDemandRotations {
		return fault.New(api.LimitExceededException, "The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: "+r.ARN)
	}
	return nil
}

// hasRotations refuses keys that have one material for good.
func hasRotations(r *key.Record) error {
	if !r.IsSymmetric() {
		return fault.New(api.UnsupportedOperationException, "")
	}
	return nil
}

func rotationStatus(r *key.Record) *api.GetKeyRotationStatusOutput {
	out := &api.GetKeyRotationStatusOutput{KeyId: r.ARN}
	if r.Rotation.Period == 0 || r.IsDeleting() {
		return out // which comes back if the deletion is cancelled
	}
	out.KeyRotationEnabled = true
	out.RotationPeriodInDays, out.NextRotationDate = int(r.Rotation.Period), r.Rotation.Next.Time()
	return out
}

// beforeAutomatic is how long before a rotation of the clock's there is none on demand.
const beforeAutomatic = 20 * time.Minute

func rotateKeyOnDemand(ctx context.Context, c *Call, _ *api.RotateKeyOnDemandInput) (*api.RotateKeyOnDemandOutput, error) {
	was := c.Held[0].Record
	if was.RotationDue(c.Now.Add(beforeAutomatic)) {
		return nil, fault.New(api.ConflictException, "An automatic rotation of "+was.ARN+" is due within 20 minutes.")
	}
	now := was.Clone()
	if err := c.rotateOnDemand(ctx, now); err != nil {
		return nil, err
	}
	return &api.RotateKeyOnDemandOutput{KeyId: now.ARN}, c.wishShared(ctx, was, now)
}

// rotateOnDemand gives a key that is being changed its next material.
func (c *Call) rotateOnDemand(ctx context.Context, now *key.Record) error {
	if now.Origin == api.OriginExternal {
		related, err := c.Lists.Related(ctx, now)
		if err != nil {
			return err
		}
		return now.RotateToPending(c.Now, related...)
	}
	return c.rotate(ctx, now, api.RotationTypeOnDemand)
}

// rotate gives a key that is being changed a material that is new, and wishes for that; not for
// the key.
func (c *Call) rotate(ctx context.Context, now *key.Record, how api.RotationType) error {
	id, material, err := c.newMaterial(ctx, now.ID(), now.Spec)
	if err != nil {
		return err
	}
	now.Rotate(id, how, c.Now)
	c.Wish(keyring.PutMaterial{Key: now, ID: id, Material: material})
	return nil
}

// listKeyRotations lists materials, oldest first: those that a rotation made current, or all.
func listKeyRotations(ctx context.Context, c *Call, in *api.ListKeyRotationsInput) (*api.ListKeyRotationsOutput, error) {
	rec := c.Held[0].Record
	list := c.listName("ListKeyRotations", rec.ID()+"\x00"+string(in.IncludeKeyMaterial))
	after, err := c.Lists.OpenMarker(list, in.Marker)
	if err != nil {
		return nil, err
	}
	related, err := c.Lists.Related(ctx, rec)
	if err != nil {
		return nil, err
	}
	all := rotationsOf(rec, related, c.Now)
	if in.IncludeKeyMaterial != api.IncludeKeyMaterialAllKeyMaterial {
		all = slices.DeleteFunc(all, func(e api.RotationsListEntry) bool { return e.RotationType == "" })
	}
	if after != "" {
		all = all[1+slices.IndexFunc(all, func(e api.RotationsListEntry) bool { return e.KeyMaterialId == after }):]
	}
	n := limit(in.Limit, 100, 1000)
	out := &api.ListKeyRotationsOutput{Rotations: all[:min(n, len(all))], Truncated: len(all) > n}
	if out.Truncated {
		out.NextMarker = c.Lists.SealMarker(list, all[n-1].KeyMaterialId)
	}
	return out, nil
}

// rotationsOf tells of all materials of a key.
func rotationsOf(r *key.Record, related []*key.Record, now time.Time) []api.RotationsListEntry {
	current, _ := r.Current()
	var all []api.RotationsListEntry
	for _, m := range r.AllMaterials() {
		e := api.RotationsListEntry{
			KeyId: r.ARN, KeyMaterialId: crypt.HexID(m.ID), KeyMaterialState: api.KeyMaterialStateNonCurrent,
			RotationDate: m.Rotated.Time(), RotationType: m.How,
		}
		switch {
		case m.ID == current:
			e.KeyMaterialState = api.KeyMaterialStateCurrent
		case r.Has(m.ID):
		case len(related) > 0 && !r.CanRotate(now, related...):
			e.KeyMaterialState = api.KeyMaterialStatePendingMultiRegionImportAndRotation
		default:
			e.KeyMaterialState = api.KeyMaterialStatePendingRotation
		}
		if m.Imported != nil {
			tellOfImport(&e, m.Imported, now)
		}
		all = append(all, e)
	}
	return all
}

func tellOfImport(e *api.RotationsListEntry, i *key.Import, now time.Time) {
	e.KeyMaterialDescription, e.ImportState = i.Description, api.ImportStatePendingImport
	if i.IsHere(now) {
		e.ImportState, e.ValidTo = api.ImportStateImported, i.ValidTo.Time()
		e.ExpirationModel = expirationModel(i.ValidTo)
	}
}

// expirationModel is that of material which is there until a date, or for good.
func expirationModel(until key.Moment) api.ExpirationModel {
	if until == key.Never {
		return api.ExpirationModelKeyMaterialDoesNotExpire
	}
	return api.ExpirationModelKeyMaterialExpires
}
