package action

import (
	"context"
	"slices"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/keyring"
)

// regions is the family of keys that are in several Regions: related keys, with the same id and the
// same materials, one of which decides what all of them share. None of them is in a custom key store, so
// that whether such a store is there has no part in it.
func regions() []*Entry {
	return []*Entry{
		entry(Action[api.ReplicateKeyInput, api.ReplicateKeyOutput]{
			Name: "ReplicateKey",
			Uses: []Use[api.ReplicateKeyInput]{
				{
					Kind: OnKey, Permit: "kms:ReplicateKey", State: key.Grantable, Alias: AliasUnsupported, Ref: func(in *api.ReplicateKeyInput) string { return in.KeyId },
					Keys: Keys[api.ReplicateKeyInput]{"kms:replicaregion": func(in *api.ReplicateKeyInput, _ []Held, _ string) iam.Value { return said(in.ReplicaRegion) }},
				},
				{Kind: OnAccount, Permit: "kms:CreateKey", CallerAccount: true, Region: replicaRegion, Keys: replicaKeys()},
				{
					Kind: OnEntity, Permit: "kms:TagResource", CallerAccount: true, Region: replicaRegion, Keys: tagKeys(tagsOfReplica),
					Entity: func(c *Call, in *api.ReplicateKeyInput) string {
						return arn.Key(c.Lists.Partition(), in.ReplicaRegion, c.Caller.Account, "*")
					},
					When: func(in *api.ReplicateKeyInput) bool { return len(in.Tags) > 0 },
				},
			},
			Rules:   func(in *api.ReplicateKeyInput) error { return checkTags(in.Tags) },
			Fit:     func(h []Held, _ *api.ReplicateKeyInput) error { return key.CheckPrimary(h[0].Record) },
			Mutates: true,
			Audit:   []string{"KeyId", "ReplicaRegion", "Policy", "BypassPolicyLockoutSafetyCheck", "Description", "Tags"},
			Run:     replicateKey,
		}),
		entry(Action[api.UpdatePrimaryRegionInput, None]{
			Name: "UpdatePrimaryRegion",
			Uses: []Use[api.UpdatePrimaryRegionInput]{
				{
					Kind: OnKey, Permit: "kms:UpdatePrimaryRegion", State: key.Grantable, Alias: AliasUnsupported, Ref: func(in *api.UpdatePrimaryRegionInput) string { return in.KeyId },
					Keys: primaryKeys(),
				},
				{Kind: OnReplica, Permit: "kms:UpdatePrimaryRegion", State: key.NotDeleting, Region: func(in *api.UpdatePrimaryRegionInput) string { return in.PrimaryRegion }, Keys: primaryKeys()},
			},
			Fit:     fitsPrimary,
			Mutates: true,
			Audit:   []string{"KeyId", "PrimaryRegion"},
			Run: func(ctx context.Context, c *Call, in *api.UpdatePrimaryRegionInput) (*None, error) {
				return c.changeShared(ctx, c.Held[0].Record, func(r *key.Record) { r.MovePrimary(in.PrimaryRegion) })
			},
		}),
	}
}

func replicaRegion(in *api.ReplicateKeyInput) string { return in.ReplicaRegion }

func tagsOfReplica(in *api.ReplicateKeyInput) []api.Tag { return in.Tags }

// replicaKeys tell CreateKey of the replica to be, which is what its primary is.
func replicaKeys() Keys[api.ReplicateKeyInput] {
	of := func(read func(r *key.Record) iam.Value) func(*api.ReplicateKeyInput, []Held, string) iam.Value {
		return func(_ *api.ReplicateKeyInput, h []Held, _ string) iam.Value { return read(h[0].Record) }
	}
	return tagKeys(tagsOfReplica).and(Keys[api.ReplicateKeyInput]{
		"aws:resourcetag": func(in *api.ReplicateKeyInput, _ []Held, sub string) iam.Value { return tagValue(in.Tags, sub) },
		"kms:bypasspolicylockoutsafetycheck": func(in *api.ReplicateKeyInput, _ []Held, _ string) iam.Value {
			return flag(in.Has("BypassPolicyLockoutSafetyCheck"), in.BypassPolicyLockoutSafetyCheck)
		},
		"kms:keyorigin":          of(func(r *key.Record) iam.Value { return said(r.Origin) }),
		"kms:keyspec":            of(func(r *key.Record) iam.Value { return said(r.Spec) }),
		"kms:keyusage":           of(func(r *key.Record) iam.Value { return said(r.Usage) }),
		"kms:multiregion":        of(func(r *key.Record) iam.Value { return iam.Flag(r.IsMultiRegion()) }),
		"kms:multiregionkeytype": of(func(*key.Record) iam.Value { return said(api.MultiRegionKeyTypeReplica) }),
	})
}

func primaryKeys() Keys[api.UpdatePrimaryRegionInput] {
	return Keys[api.UpdatePrimaryRegionInput]{
		"kms:primaryregion": func(in *api.UpdatePrimaryRegionInput, _ []Held, _ string) iam.Value { return said(in.PrimaryRegion) },
	}
}

func replicateKey(ctx context.Context, c *Call, in *api.ReplicateKeyInput) (*api.ReplicateKeyOutput, error) {
	was := c.Held[0].Record
	replica := &key.Record{
		ARN: was.ARNIn(in.ReplicaRegion), Kind: was.Kind, Created: key.MomentOf(c.Now), Description: in.Description, Enabled: true, Tags: recordTags(in.Tags),
	}
	switch {
	case slices.Contains(was.Regions, in.ReplicaRegion):
		return nil, fault.New(api.AlreadyExistsException, "The key "+replica.ARN+" already exists.")
	case !c.HasRegion(in.ReplicaRegion):
		return nil, invalid("The Region " + in.ReplicaRegion + " is none of this deployment's.")
	case len(was.Regions) >= key.MaxRegions:
		return nil, fault.Newf(api.LimitExceededException, "A multi-Region key can be in %d Regions.", key.MaxRegions)
	}
	policy, err := c.checkedPolicy(ctx, replica, in.Policy, in.BypassPolicyLockoutSafetyCheck)
	if err != nil {
		return nil, err
	}
	replica.Policy = policy
	now := was.Clone()
	now.Regions = append(now.Regions, in.ReplicaRegion)
	replica.Follow(now)
	if err := c.wishShared(ctx, was, now); err != nil {
		return nil, err
	}
	c.Wish(keyring.PutKey{Now: replica})
	return &api.ReplicateKeyOutput{ReplicaKeyMetadata: metadata(replica, c.Now), ReplicaPolicy: policy.Source, ReplicaTags: in.Tags}, nil
}

// fitsPrimary refuses to move what is no primary, or to where it is.
func fitsPrimary(h []Held, _ *api.UpdatePrimaryRegionInput) error {
	if err := key.CheckPrimary(h[0].Record); err != nil {
		return err
	}
	if h[1].Record == nil {
		return fault.New(api.UnsupportedOperationException, h[0].Record.ARN+" is the primary key already.")
	}
	return nil
}

// changeShared is change of what related keys have in common.
func (c *Call) changeShared(ctx context.Context, was *key.Record, alter func(*key.Record)) (*None, error) {
	now := was.Clone()
	alter(now)
	return nil, c.wishShared(ctx, was, now)
}

// wishShared wishes for a key that has changed, and that its related keys follow it.
func (c *Call) wishShared(ctx context.Context, was, now *key.Record) error {
	c.Wish(keyring.PutKey{Was: was, Now: now})
	related, err := c.Lists.Related(ctx, was)
	for _, r := range related {
		follows := r.Clone()
		follows.Follow(now)
		c.Wish(keyring.PutKey{Was: r, Now: follows})
	}
	return err
}

// multiRegionConfiguration tells of all related keys.
func multiRegionConfiguration(r *key.Record) *api.MultiRegionConfiguration {
	if !r.IsMultiRegion() {
		return nil
	}
	m := &api.MultiRegionConfiguration{MultiRegionKeyType: r.MultiRegionKeyType()}
	for i, region := range r.Regions {
		k := api.MultiRegionKey{Arn: r.ARNIn(region), Region: region}
		if i == 0 {
			m.PrimaryKey = &k
			continue
		}
		m.ReplicaKeys = append(m.ReplicaKeys, k)
	}
	return m
}
