package action

import (
	"context"
	"errors"
	"slices"
	"time"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/keyring"
	"trent/internal/secret"
)

// keys is the family of a key's own life.
func keys() []*Entry {
	return []*Entry{
		entry(Action[api.CreateKeyInput, api.CreateKeyOutput]{
			Name: "CreateKey",
			Uses: []Use[api.CreateKeyInput]{
				{Kind: OnAccount, Permit: "kms:CreateKey", CallerAccount: true, Keys: createKeyKeys()},
				{
					Kind: OnEntity, Permit: "kms:TagResource", CallerAccount: true, Keys: tagKeys(tagsOfCreateKey), Entity: anyKey,
					When: func(in *api.CreateKeyInput) bool { return len(in.Tags) > 0 },
				},
			},
			Rules:   createKeyRules,
			Mutates: true,
			Audit:   []string{"Description", "KeyUsage", "KeySpec", "CustomerMasterKeySpec", "Origin", "MultiRegion", "CustomKeyStoreId", "XksKeyId", "BypassPolicyLockoutSafetyCheck", "Policy", "Tags"},
			Run:     createKey,
		}),
		entry(Action[api.DescribeKeyInput, api.DescribeKeyOutput]{
			Name: "DescribeKey",
			Uses: []Use[api.DescribeKeyInput]{{
				Kind: OnKey, Permit: "kms:DescribeKey", Abroad: true, Ref: func(in *api.DescribeKeyInput) string { return in.KeyId },
				Keys: requestAlias(func(in *api.DescribeKeyInput) string { return in.KeyId }),
			}},
			Audit: []string{"KeyId"},
			Run: func(_ context.Context, c *Call, _ *api.DescribeKeyInput) (*api.DescribeKeyOutput, error) {
				return &api.DescribeKeyOutput{KeyMetadata: metadata(c.Held[0].Record, c.Now)}, nil
			},
		}),
		entry(Action[api.ListKeysInput, api.ListKeysOutput]{
			Name:  "ListKeys",
			Uses:  []Use[api.ListKeysInput]{{Kind: OnAccount, Permit: "kms:ListKeys"}},
			Audit: []string{"Limit"},
			Run:   listKeys,
		}),
		entry(Action[api.EnableKeyInput, None]{
			Name:    "EnableKey",
			Uses:    manage("kms:EnableKey", key.Manageable, func(in *api.EnableKeyInput) string { return in.KeyId }),
			Mutates: true,
			Audit:   []string{"KeyId"},
			Run: func(ctx context.Context, c *Call, _ *api.EnableKeyInput) (*None, error) {
				return c.setEnabled(ctx, true)
			},
		}),
		entry(Action[api.DisableKeyInput, None]{
			Name:    "DisableKey",
			Uses:    unused(manageUnder("kms:DisableKey", key.Manageable, func(in *api.DisableKeyInput) string { return in.KeyId }, Keys[api.DisableKeyInput]{})),
			Mutates: true,
			Audit:   []string{"KeyId"},
			Run: func(ctx context.Context, c *Call, _ *api.DisableKeyInput) (*None, error) {
				return c.setEnabled(ctx, false)
			},
		}),
		entry(Action[api.UpdateKeyDescriptionInput, None]{
			Name:    "UpdateKeyDescription",
			Uses:    manage("kms:UpdateKeyDescription", key.NotDeleting, func(in *api.UpdateKeyDescriptionInput) string { return in.KeyId }),
			Mutates: true,
			Audit:   []string{"KeyId", "Description"},
			Run: func(_ context.Context, c *Call, in *api.UpdateKeyDescriptionInput) (*None, error) {
				return c.change(c.Held[0].Record, func(r *key.Record) { r.Description = in.Description })
			},
		}),
		entry(Action[api.ScheduleKeyDeletionInput, api.ScheduleKeyDeletionOutput]{
			Name:    "ScheduleKeyDeletion",
			Uses:    unused(manageUnder("kms:ScheduleKeyDeletion", key.Schedulable, func(in *api.ScheduleKeyDeletionInput) string { return in.KeyId }, scheduleKeys())),
			Rules:   scheduleRules,
			Mutates: true,
			Audit:   []string{"KeyId", "PendingWindowInDays"},
			Run:     scheduleKeyDeletion,
		}),
		entry(Action[api.CancelKeyDeletionInput, api.CancelKeyDeletionOutput]{
			Name:    "CancelKeyDeletion",
			Uses:    manage("kms:CancelKeyDeletion", key.DeletingOnly, func(in *api.CancelKeyDeletionInput) string { return in.KeyId }),
			Mutates: true,
			Audit:   []string{"KeyId"},
			Run:     cancelKeyDeletion,
		}),
	}
}

// manage is the one use of actions that administer one key of the caller's own
// account and take no alias for it.
func manage[In any](permit string, state key.StateRule, ref func(*In) string) []Use[In] {
	return manageUnder(permit, state, ref, nil)
}

// manageUnder is manage with condition keys of the action's own.
func manageUnder[In any](permit string, state key.StateRule, ref func(*In) string, keys Keys[In]) []Use[In] {
	return []Use[In]{{Kind: OnKey, Permit: permit, Ref: ref, State: state, Alias: AliasUnsupported, Keys: keys}}
}

// change wishes for an altered copy of a record.
func (c *Call) change(was *key.Record, alter func(*key.Record)) (*None, error) {
	now := was.Clone()
	alter(now)
	c.Wish(keyring.PutKey{Was: was, Now: now})
	return nil, nil
}

// setEnabled is idempotent: what is so already is not written again.
func (c *Call) setEnabled(ctx context.Context, on bool) (*None, error) {
	rec := c.Held[0].Record
	if rec.Enabled == on {
		c.Wish(keyring.Unchanged{Key: rec}) // in the store too: what is known here may be from before another node's change
		return nil, nil
	}
	now := rec.Clone()
	now.Enabled = on
	if now.RotationDue(c.Now) { // while it was disabled
		if err := c.rotate(ctx, now, api.RotationTypeAutomatic); err != nil {
			return nil, err
		}
		return nil, c.wishShared(ctx, rec, now)
	}
	c.Wish(keyring.PutKey{Was: rec, Now: now})
	return nil, nil
}

// anyKey is the ARN of a key that has no id yet. It stands where a policy is about all
// keys of the account, and a Deny there must not be passed by.
func anyKey(c *Call, _ *api.CreateKeyInput) string {
	return arn.Key(c.Lists.Partition(), c.Region, c.Caller.Account, "*")
}

func tagsOfCreateKey(in *api.CreateKeyInput) []api.Tag { return in.Tags }

// createKeyKeys tell of the key to be, with what is meant where nothing was sent.
func createKeyKeys() Keys[api.CreateKeyInput] {
	return tagKeys(tagsOfCreateKey).and(Keys[api.CreateKeyInput]{
		"aws:resourcetag": func(in *api.CreateKeyInput, _ []Held, sub string) iam.Value { return tagValue(in.Tags, sub) },
		"kms:bypasspolicylockoutsafetycheck": func(in *api.CreateKeyInput, _ []Held, _ string) iam.Value {
			return flag(in.Has("BypassPolicyLockoutSafetyCheck"), in.BypassPolicyLockoutSafetyCheck)
		},
		"kms:keyorigin": func(in *api.CreateKeyInput, _ []Held, _ string) iam.Value { return or(in.Origin, api.OriginAWSKMS) },
		"kms:keyspec":   func(in *api.CreateKeyInput, _ []Held, _ string) iam.Value { return iam.Text(string(requestedSpec(in))) },
		"kms:keyusage": func(in *api.CreateKeyInput, _ []Held, _ string) iam.Value {
			return or(in.KeyUsage, api.KeyUsageEncryptDecrypt)
		},
		"kms:multiregion": func(in *api.CreateKeyInput, _ []Held, _ string) iam.Value { return iam.Flag(in.MultiRegion) },
		"kms:multiregionkeytype": func(in *api.CreateKeyInput, _ []Held, _ string) iam.Value {
			if !in.MultiRegion {
				return iam.Value{}
			}
			return iam.Text(string(api.MultiRegionKeyTypePrimary))
		},
	})
}

func createKeyRules(in *api.CreateKeyInput) error {
	if in.Has("KeySpec") && in.Has("CustomerMasterKeySpec") {
		return invalid("You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.")
	}
	spec := requestedSpec(in)
	if spec != api.KeySpecSymmetricDefault && in.KeyUsage == "" {
		return invalid("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
	}
	switch {
	case spec == api.KeySpecSM2 && !crypt.HasSM2():
		return errSM2("KeySpec")
	case !key.Fits(spec, requestedUsage(in)):
		return invalid("KeyUsage " + string(in.KeyUsage) + " is not compatible with KeySpec " + string(spec))
	case crypt.CheckSpec(spec) != nil:
		return crypt.CheckSpec(spec)
	}
	if inStore, err := keyStoreRules(in); err != nil {
		return err
	} else if inStore {
		return checkTags(in.Tags)
	}
	switch {
	case in.Origin != "" && in.Origin != api.OriginAWSKMS && in.Origin != api.OriginExternal:
		return notYet("Origin " + string(in.Origin))
	}
	return checkTags(in.Tags)
}

// notYet refuses what the API has and this version does not: saying so is
// better than half of it.
func notYet(what string) error {
	return fault.New(api.UnsupportedOperationException, what+" is not supported by this version of Trent.")
}

func invalid(message string) error { return fault.New(api.ValidationException, message) }

func requestedSpec(in *api.CreateKeyInput) api.KeySpec {
	switch {
	case in.KeySpec != "":
		return in.KeySpec
	case in.CustomerMasterKeySpec != "":
		return api.KeySpec(in.CustomerMasterKeySpec)
	}
	return api.KeySpecSymmetricDefault
}

// requestedOrigin is the origin that was sent, or the one that is meant.
func requestedOrigin(in *api.CreateKeyInput) api.Origin {
	if in.Origin == "" {
		return api.OriginAWSKMS
	}
	return in.Origin
}

// requestedUsage is the usage that was sent, or the one that symmetric keys have.
func requestedUsage(in *api.CreateKeyInput) api.KeyUsage {
	if in.KeyUsage == "" {
		return api.KeyUsageEncryptDecrypt
	}
	return in.KeyUsage
}

func createKey(ctx context.Context, c *Call, in *api.CreateKeyInput) (*api.CreateKeyOutput, error) {
	if err := c.checkSM2("KeySpec", string(requestedSpec(in))); err != nil {
		return nil, err
	}
	id := newKeyID(in)
	rec := &key.Record{
		ARN:     arn.Key(c.Lists.Partition(), c.Region, c.Caller.Account, id),
		Created: key.MomentOf(c.Now), Description: in.Description,
		Kind:    key.KindOf(requestedSpec(in), requestedUsage(in), requestedOrigin(in)),
		Enabled: true, Tags: recordTags(in.Tags),
	}
	if in.MultiRegion {
		rec.Regions = []string{c.Region}
	}
	policy, err := c.checkedPolicy(ctx, rec, in.Policy, in.BypassPolicyLockoutSafetyCheck)
	if err != nil {
		return nil, err
	}
	rec.Policy = policy
	if in.CustomKeyStoreId != "" {
		if err := c.attachExternal(ctx, rec, in); err != nil {
			return nil, err
		}
	}
	c.Wish(keyring.PutKey{Now: rec})
	if err := c.firstMaterial(ctx, rec); err != nil {
		return nil, err
	}
	return &api.CreateKeyOutput{KeyMetadata: metadata(rec, c.Now)}, nil
}

// newKeyID draws an id of the form that tells single-Region keys from others.
func newKeyID(in *api.CreateKeyInput) string {
	if in.MultiRegion {
		return keyring.NewMultiRegionKeyID()
	}
	return keyring.NewKeyID()
}

func recordTags(tags []api.Tag) (all []key.Tag) {
	for _, t := range tags {
		all = append(all, key.Tag{Key: t.TagKey, Value: t.TagValue})
	}
	return all
}

// firstMaterial makes the material of a new key, unless somebody is to import it.
func (c *Call) firstMaterial(ctx context.Context, rec *key.Record) error {
	if rec.Origin == api.OriginExternal {
		return nil
	}
	id, material, err := c.newMaterial(ctx, rec.ID(), rec.Spec)
	if err != nil {
		return err
	}
	rec.SetMaterials(key.Material{ID: id})
	c.Wish(keyring.PutMaterial{Key: rec, ID: id, Material: material})
	return nil
}

// newMaterial makes material for a key and names it.
func (c *Call) newMaterial(ctx context.Context, keyID string, spec api.KeySpec) (crypt.MaterialID, secret.Bytes, error) {
	m, err := c.NewKeys.Generate(ctx, spec)
	if err != nil {
		return crypt.MaterialID{}, m, err
	}
	id, err := crypt.MaterialIDOf(keyID, m)
	return id, m, err
}

// checkedPolicy compiles a policy for rec, or the default one where none is
// given, and sees to it that the caller stays able to change it.
func (c *Call) checkedPolicy(ctx context.Context, rec *key.Record, text string, bypass bool) (*iam.Policy, error) {
	if text == "" {
		text = key.DefaultPolicy(c.Lists.Partition(), rec.Account())
	}
	if len(text) > iam.MaxPolicySize {
		return nil, fault.New(api.LimitExceededException, "The key policy exceeds the limit of 32768 bytes.")
	}
	bound, err := iam.Bind(text, c.Identities.UniqueID)
	var policy *iam.Policy
	if err == nil {
		policy, err = c.Lists.ParsePolicy(bound)
	}
	if err == nil {
		err = iam.Check(policy, iam.KeyPolicy)
	}
	switch {
	case errors.Is(err, iam.ErrInvalidPrincipal):
		return nil, fault.New(api.MalformedPolicyDocumentException, "Policy contains a statement with one or more invalid principals.")
	case err != nil:
		return nil, fault.New(api.MalformedPolicyDocumentException, "The policy document is not valid ("+err.Error()+").")
	case !bypass && !c.Decisions.KeepsControl(ctx, rec, policy):
		return nil, fault.New(api.MalformedPolicyDocumentException, "The new key policy will not allow you to update the key policy in the future.")
	}
	return policy, nil
}

func listKeys(ctx context.Context, c *Call, in *api.ListKeysInput) (*api.ListKeysOutput, error) {
	if len(in.ResourceOwners) > 0 && !slices.Contains(in.ResourceOwners, api.ResourceOwnerSelf) {
		return &api.ListKeysOutput{}, nil // nothing is shared by way of other accounts
	}
	list := c.listName("ListKeys", "")
	after, err := c.Lists.OpenMarker(list, in.Marker)
	if err != nil {
		return nil, err
	}
	ids, more, err := c.Lists.ListKeys(ctx, c.Where(), after, limit(in.Limit, 100, 1000), c.Now)
	if err != nil {
		return nil, err
	}
	out := &api.ListKeysOutput{Truncated: more}
	for _, id := range ids {
		out.Keys = append(out.Keys, api.KeyListEntry{KeyId: id, KeyArn: arn.Key(c.Lists.Partition(), c.Region, c.Caller.Account, id)})
	}
	if more {
		out.NextMarker = c.Lists.SealMarker(list, ids[len(ids)-1])
	}
	return out, nil
}

// listName names a list for its markers: one made for another operation,
// account, Region or key does not open.
func (c *Call) listName(op, of string) string {
	return op + "\x00" + c.Caller.Account + "\x00" + c.Region + "\x00" + of
}

// limit is how many items a page may have: the default where none was asked
// for, the action's own maximum at most.
func limit(asked, byDefault, most int) int {
	if asked == 0 {
		return byDefault
	}
	return min(asked, most)
}

// The waiting period of a deletion, in days.
const (
	minWindow     = 7
	maxWindow     = 30
	defaultWindow = 30
)

// scheduleKeys: a window that was not sent is the one that it stands for, so that
// a policy that wants a long one is not passed by.
func scheduleKeys() Keys[api.ScheduleKeyDeletionInput] {
	return Keys[api.ScheduleKeyDeletionInput]{
		"kms:schedulekeydeletionpendingwindowindays": func(in *api.ScheduleKeyDeletionInput, _ []Held, _ string) iam.Value {
			if !in.Has("PendingWindowInDays") {
				return iam.Number(defaultWindow)
			}
			return iam.Number(int64(in.PendingWindowInDays))
		},
	}
}

func scheduleRules(in *api.ScheduleKeyDeletionInput) error {
	if in.Has("PendingWindowInDays") && (in.PendingWindowInDays < minWindow || in.PendingWindowInDays > maxWindow) {
		return invalid("PendingWindowInDays must be between 7 and 30")
	}
	return nil
}

func scheduleKeyDeletion(_ context.Context, c *Call, in *api.ScheduleKeyDeletionInput) (*api.ScheduleKeyDeletionOutput, error) {
	days := in.PendingWindowInDays
	if days == 0 {
		days = defaultWindow
	}
	was := c.Held[0].Record
	now := was.Clone()
	now.ScheduleDeletion(int32(days), c.Now)
	c.Wish(keyring.PutKey{Was: was, Now: now})
	return &api.ScheduleKeyDeletionOutput{KeyId: now.ARN, DeletionDate: now.DeletionDate.Time(), KeyState: now.State(c.Now), PendingWindowInDays: days}, nil
}

func cancelKeyDeletion(_ context.Context, c *Call, _ *api.CancelKeyDeletionInput) (*api.CancelKeyDeletionOutput, error) {
	was := c.Held[0].Record
	now := was.Clone()
	now.DeletionDate, now.DeletionWindow = key.Never, 0
	now.Enabled = false // never straight back to use
	c.Wish(keyring.PutKey{Was: was, Now: now})
	return &api.CancelKeyDeletionOutput{KeyId: now.ARN}, nil
}

// metadata is a key as DescribeKey shows it.
func metadata(r *key.Record, now time.Time) *api.KeyMetadata {
	state := r.State(now)
	m := &api.KeyMetadata{
		AWSAccountId: r.Account(), KeyId: r.ID(), Arn: r.ARN, CreationDate: r.Created.Time(),
		Enabled: state == api.KeyStateEnabled, Description: r.Description,
		KeyUsage: r.Usage, KeyState: state, Origin: r.Origin, KeyManager: api.KeyManagerCustomer,
		CustomerMasterKeySpec: api.CustomerMasterKeySpec(r.Spec), KeySpec: r.Spec,
		EncryptionAlgorithms: r.Encryption, SigningAlgorithms: r.Signing, MacAlgorithms: r.Mac,
		KeyAgreementAlgorithms: r.Agreement, EncapsulationAlgorithms: r.Encapsulation,
		MultiRegion: r.IsMultiRegion(), MultiRegionConfiguration: multiRegionConfiguration(r),
		DeletionDate: r.DeletionDate.Time(),
	}
	if state == api.KeyStatePendingReplicaDeletion {
		m.PendingDeletionWindowInDays = int(r.DeletionWindow)
	}
	if x := r.External; x != nil {
		m.CustomKeyStoreId, m.XksKeyConfiguration = x.StoreID, &api.XksKeyConfiguration{Id: x.KeyID}
	}
	if id, ok := r.Current(); ok && r.IsSymmetric() {
		m.CurrentKeyMaterialId = crypt.HexID(id)
	}
	if until, ok := r.ImportedUntil(now); ok {
		m.ValidTo, m.ExpirationModel = until.Time(), expirationModel(until)
	}
	return m
}
