package adminaction

import (
	"context"
	"encoding/base64"
	"slices"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/api/adminapi"
	"trent/internal/arn"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/identity"
	"trent/internal/key"
	"trent/internal/keyring"
	"trent/internal/secret"
)

// fixed is the family of dev mode: keys and access keys that somebody else has
// chosen, and may have told others.
func fixed() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[adminapi.CreateFixedKeyInput, action.None]{
			Name:    "CreateFixedKey",
			Uses:    operate[adminapi.CreateFixedKeyInput]("trent:CreateFixedKey"),
			Mutates: true,
			Dev:     true,
			Audit:   []string{"AccountId", "Region", "KeyId"},
			Run:     createFixedKey,
		}),
		entry(action.Action[adminapi.CreateFixedAccessKeyInput, action.None]{
			Name:    "CreateFixedAccessKey",
			Uses:    operate[adminapi.CreateFixedAccessKeyInput]("trent:CreateFixedAccessKey"),
			Mutates: true,
			Dev:     true,
			Audit:   []string{"AccountId", "UserName", "AccessKeyId"},
			Run:     createFixedAccessKey,
		}),
	}
}

// createFixedKey makes a symmetric key of this id and these materials, with the
// default policy.
func createFixedKey(ctx context.Context, c *action.Call, in *adminapi.CreateFixedKeyInput) (*action.None, error) {
	if err := mustBeOpen(c, in.AccountId); err != nil {
		return nil, err
	}
	ref := arn.ParseRef(in.KeyId)
	if ref.Kind != arn.KeyID || !isUUID(in.KeyId) {
		return nil, fault.New(adminapi.InvalidInput, "A fixed key id is a UUID in lower case.")
	}
	policy, err := c.Lists.ParsePolicy(key.DefaultPolicy(c.Lists.Partition(), in.AccountId))
	if err != nil {
		return nil, err
	}
	rec := &key.Record{
		ARN:     arn.Key(c.Lists.Partition(), in.Region, in.AccountId, in.KeyId),
		Created: key.MomentOf(c.Now), Kind: key.KindOf(api.KeySpecSymmetricDefault, api.KeyUsageEncryptDecrypt, api.OriginAWSKMS),
		Enabled: true, Policy: policy,
	}
	switch _, err := c.Lists.Find(ctx, ref, keyring.Where{Account: in.AccountId, Region: in.Region}, c.Now); {
	case err == nil:
		return nil, fault.Newf(adminapi.EntityAlreadyExists, "There is a key %s.", rec.ARN)
	case !fault.Is(err, api.NotFoundException):
		return nil, err
	}
	return nil, wishForFixed(ctx, c, rec, in.Materials)
}

// wishForFixed wishes for a key with materials, the oldest first.
func wishForFixed(ctx context.Context, c *action.Call, rec *key.Record, encoded secret.Bytes) error {
	raw := make([]byte, base64.StdEncoding.DecodedLen(encoded.Len()))
	n, err := base64.StdEncoding.Strict().Decode(raw, encoded.Expose())
	if err != nil || n == 0 || n%crypt.SymmetricSize != 0 {
		clear(raw)
		return fault.Newf(adminapi.InvalidInput, "Materials is base64 of one or more materials of %d bytes, one after another.", crypt.SymmetricSize)
	}
	var materials []key.Material
	c.Wish(keyring.PutKey{Now: rec})
	for at := 0; at < n; at += crypt.SymmetricSize {
		material := secret.New(raw[at : at+crypt.SymmetricSize : at+crypt.SymmetricSize])
		id, err := crypt.MaterialIDOf(rec.ID(), material)
		if err != nil {
			return err
		}
		taken, err := c.Lists.MaterialTaken(ctx, id)
		if err != nil {
			return err
		}
		if taken || slices.Contains(materials, key.Material{ID: id}) {
			return fault.New(adminapi.EntityAlreadyExists, "A key of this id has this material already, here or in another Region or account.")
		}
		materials = append(materials, key.Material{ID: id})
		c.Wish(keyring.PutMaterial{Key: rec, ID: id, Material: material})
	}
	rec.SetMaterials(materials...)
	return nil
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f'
		if dash != (s[i] == '-') || !dash && !hex {
			return false
		}
	}
	return true
}

// maxAccessKeys is how many access keys a user may have (a quota of IAM).
const maxAccessKeys = 2

// createFixedAccessKey gives a user an access key of this id and secret.
func createFixedAccessKey(_ context.Context, c *action.Call, in *adminapi.CreateFixedAccessKeyInput) (*action.None, error) {
	if err := mustBeOpen(c, in.AccountId); err != nil {
		return nil, err
	}
	a := c.Identities.Account(in.AccountId)
	u, ok := a.Users.Named(in.UserName)
	switch {
	case !ok:
		return nil, fault.Newf(adminapi.NoSuchEntity, "The user with name %s cannot be found.", in.UserName)
	case c.Identities.AccessKeyTaken(in.AccessKeyId):
		return nil, fault.Newf(adminapi.EntityAlreadyExists, "There is an access key %s.", in.AccessKeyId)
	case len(a.KeysOf(u.ID)) >= maxAccessKeys:
		return nil, fault.Newf(adminapi.LimitExceeded, "Cannot exceed quota for AccessKeysPerUser: %d", maxAccessKeys)
	}
	k := identity.FixedAccessKey(a.ID, u.ID, in.AccessKeyId, in.SecretAccessKey, c.Now)
	c.WishIdentity(identity.Create(k))
	return nil, nil
}

func mustBeOpen(c *action.Call, account string) error {
	a, err := existing(c, account)
	if err == nil && !a.IsOpen() {
		err = fault.Newf(adminapi.NoSuchAccount, "The account %s is closed.", account)
	}
	return err
}
