package action

import (
	"context"
	"errors"
	"time"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/keyring"
	"trent/internal/secret"
)

// imports is the family of material that comes from elsewhere, wrapped under a key that is made
// for the journey.
func imports() []*Entry {
	return []*Entry{
		entry(Action[api.GetParametersForImportInput, api.GetParametersForImportOutput]{
			Name:  "GetParametersForImport",
			Uses:  manageUnder("kms:GetParametersForImport", key.Importable, func(in *api.GetParametersForImportInput) string { return in.KeyId }, wrappingKeys()),
			Fit:   func(h []Held, in *api.GetParametersForImportInput) error { return fitsWrapping(h[0].Record, in) },
			Audit: []string{"KeyId", "WrappingAlgorithm", "WrappingKeySpec"},
			Run:   getParametersForImport,
		}),
		entry(Action[api.ImportKeyMaterialInput, api.ImportKeyMaterialOutput]{
			Name:    "ImportKeyMaterial",
			Uses:    manageUnder("kms:ImportKeyMaterial", key.Importable, func(in *api.ImportKeyMaterialInput) string { return in.KeyId }, importKeys()),
			Rules:   importRules,
			Fit:     func(h []Held, in *api.ImportKeyMaterialInput) error { return fitsImport(h[0].Record, in) },
			Mutates: true,
			Audit:   []string{"KeyId", "ValidTo", "ExpirationModel", "ImportType", "KeyMaterialDescription", "KeyMaterialId"},
			Run:     importKeyMaterial,
		}),
		entry(Action[api.DeleteImportedKeyMaterialInput, api.DeleteImportedKeyMaterialOutput]{
			Name:    "DeleteImportedKeyMaterial",
			Uses:    manage("kms:DeleteImportedKeyMaterial", key.Imported, func(in *api.DeleteImportedKeyMaterialInput) string { return in.KeyId }),
			Mutates: true,
			Audit:   []string{"KeyId", "KeyMaterialId"},
			Run:     deleteImportedKeyMaterial,
		}),
	}
}

func wrappingKeys() Keys[api.GetParametersForImportInput] {
	return Keys[api.GetParametersForImportInput]{
		"kms:wrappingalgorithm": func(in *api.GetParametersForImportInput, _ []Held, _ string) iam.Value {
			return said(in.WrappingAlgorithm)
		},
		"kms:wrappingkeyspec": func(in *api.GetParametersForImportInput, _ []Held, _ string) iam.Value {
			return said(in.WrappingKeySpec)
		},
	}
}

// importKeys: what was not sent is absent, the default of the model included.
func importKeys() Keys[api.ImportKeyMaterialInput] {
	return Keys[api.ImportKeyMaterialInput]{
		"kms:expirationmodel": func(in *api.ImportKeyMaterialInput, _ []Held, _ string) iam.Value { return said(in.ExpirationModel) },
		"kms:validto": func(in *api.ImportKeyMaterialInput, _ []Held, _ string) iam.Value {
			if in.ValidTo.IsZero() {
				return iam.Value{}
			}
			return iam.Moment(in.ValidTo)
		},
	}
}

func fitsWrapping(r *key.Record, in *api.GetParametersForImportInput) error {
	if in.WrappingKeySpec == api.WrappingKeySpecSM2 && !crypt.HasSM2() && in.WrappingAlgorithm != api.AlgorithmSpecSM2PKE {
		return errSM2("WrappingKeySpec")
	}
	if err := crypt.CheckWrapping(in.WrappingAlgorithm); err != nil {
		return err
	}
	return key.CheckWrapping(r, in.WrappingAlgorithm, in.WrappingKeySpec)
}

// parametersLast is how long a wrapping key and its token are good for.
const parametersLast = 24 * time.Hour

func getParametersForImport(ctx context.Context, c *Call, in *api.GetParametersForImportInput) (*api.GetParametersForImportOutput, error) {
	rec := c.Held[0].Record
	if err := c.checkSM2("WrappingKeySpec", string(in.WrappingKeySpec)); err != nil {
		return nil, err
	}
	spec := api.KeySpec(in.WrappingKeySpec) // which are named as those of keys
	private, err := c.NewKeys.Generate(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer private.Wipe()
	public, err := crypt.PublicKeyOf(spec, private)
	if err != nil {
		return nil, err
	}
	until := key.MomentOf(c.Now.Add(parametersLast))
	token, err := c.Lists.SealImportToken(rec, keyring.ImportToken{Algorithm: in.WrappingAlgorithm, ValidTo: until, Private: private})
	if err != nil {
		return nil, err
	}
	return &api.GetParametersForImportOutput{KeyId: rec.ARN, ImportToken: token, PublicKey: secret.New(public), ParametersValidTo: until.Time()}, nil
}

// importRules are those of the dates and of what is said about the material.
func importRules(in *api.ImportKeyMaterialInput) error {
	forGood := in.ExpirationModel == api.ExpirationModelKeyMaterialDoesNotExpire
	switch {
	case !forGood && in.ValidTo.IsZero():
		return invalid("A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")
	case forGood && !in.ValidTo.IsZero():
		return invalid("A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE")
	case in.ImportType == api.ImportTypeNewKeyMaterial && in.KeyMaterialId != "":
		return invalid("A KeyMaterialId must not be set if the ImportType is NEW_KEY_MATERIAL")
	}
	return nil
}

// fitsImport refuses what only keys with several materials can have, and new ones for a replica.
func fitsImport(r *key.Record, in *api.ImportKeyMaterialInput) error {
	if r.IsSymmetric() {
		if in.ImportType == api.ImportTypeNewKeyMaterial {
			return key.CheckDecides(r)
		}
		return nil
	}
	for _, member := range []string{"ImportType", "KeyMaterialDescription", "KeyMaterialId"} {
		if in.Has(member) {
			return invalid(member + " can be used with symmetric encryption keys only")
		}
	}
	return nil
}

// maxValid is how far ahead imported material may expire.
const maxValid = 365 * 24 * time.Hour

func importKeyMaterial(ctx context.Context, c *Call, in *api.ImportKeyMaterialInput) (*api.ImportKeyMaterialOutput, error) {
	switch {
	case in.ValidTo.IsZero():
	case !in.ValidTo.After(c.Now):
		return nil, invalid("ValidTo must be in the future")
	case in.ValidTo.After(c.Now.Add(maxValid)):
		return nil, invalid("ValidTo must be at most 365 days ahead")
	}
	was := c.Held[0].Record
	id, material, err := c.unwrap(was, in)
	if err != nil {
		return nil, err
	}
	now, facts := was.Clone(), key.Import{ValidTo: key.MomentOf(in.ValidTo), Description: in.KeyMaterialDescription}
	known := was.Find(id)
	if known != nil && !in.Has("KeyMaterialDescription") {
		facts.Description = known.Imported.Description
	}
	if err := now.Admit(id, in.ImportType, facts, c.Now); err != nil {
		material.Wipe()
		return nil, err
	}
	c.Wish(keyring.PutMaterial{Key: now, ID: id, Material: material, Again: known != nil})
	return &api.ImportKeyMaterialOutput{KeyId: now.ARN, KeyMaterialId: crypt.HexID(id)}, c.wishImport(ctx, was, now)
}

// wishImport wishes for a key whose material has changed. What a primary has, its replicas are to have;
// what a replica has is its own affair, but the others may be about to take the same material away.
func (c *Call) wishImport(ctx context.Context, was, now *key.Record) error {
	if !was.IsReplica() {
		return c.wishShared(ctx, was, now)
	}
	related, err := c.Lists.Related(ctx, was)
	for _, r := range related {
		c.Wish(keyring.Unchanged{Key: r})
	}
	c.Wish(keyring.PutKey{Was: was, Now: now})
	return err
}

// unwrap gives the material that a request brings, in the form in which it is kept, and its id.
func (c *Call) unwrap(rec *key.Record, in *api.ImportKeyMaterialInput) (crypt.MaterialID, secret.Bytes, error) {
	token, err := c.Lists.OpenImportToken(rec, in.ImportToken, c.Now)
	if err != nil {
		return crypt.MaterialID{}, secret.Bytes{}, err
	}
	defer token.Private.Wipe()
	material, err := crypt.Unwrap(token.Algorithm, token.Private, in.EncryptedKeyMaterial)
	if err != nil {
		return crypt.MaterialID{}, secret.Bytes{}, err
	}
	if material, err = crypt.Admit(rec.Spec, material); err != nil {
		return crypt.MaterialID{}, secret.Bytes{}, key.ErrOtherMaterial(err)
	}
	id, err := crypt.MaterialIDOf(rec.ID(), material)
	if err == nil && in.KeyMaterialId != "" && in.KeyMaterialId != crypt.HexID(id) {
		err = key.ErrOtherMaterial(errors.New("its id is not the one that was sent"))
	}
	if err != nil {
		material.Wipe()
	}
	return id, material, err
}

// deleteImportedKeyMaterial has no effect where the material is not there.
func deleteImportedKeyMaterial(ctx context.Context, c *Call, in *api.DeleteImportedKeyMaterialInput) (*api.DeleteImportedKeyMaterialOutput, error) {
	was := c.Held[0].Record
	out := &api.DeleteImportedKeyMaterialOutput{KeyId: was.ARN}
	id, ok := was.Current()
	if in.KeyMaterialId != "" {
		if id, ok = was.Named(in.KeyMaterialId); !ok {
			return nil, fault.Newf(api.NotFoundException, "Key material %s is not associated with %s.", in.KeyMaterialId, was.ARN)
		}
	}
	if !ok {
		return out, nil
	}
	out.KeyMaterialId = crypt.HexID(id)
	now := was.Clone()
	if !was.Has(id) && !was.IsReplica() { // it awaits rotation, and has encrypted nothing: nothing is to be remembered
		now.Pending = nil
		c.Wish(keyring.DeleteMaterial{ID: id})
		return out, c.wishShared(ctx, was, now)
	}
	if !was.Holds(id) {
		return out, nil
	}
	now.Remove(id)
	related, err := c.Lists.Related(ctx, was)
	c.Wish(keyring.PutKey{Was: was, Now: now})
	c.Wish(keyring.TakeMaterials(now, related, id)...)
	return out, err
}
