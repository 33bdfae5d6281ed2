package action

import (
	"context"
	"slices"
	"strings"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/keyring"
)

// aliases is the family of names for keys. A key's record lists its aliases, so
// that deleting it frees them in one commit; so every change of an alias is a
// change of one or two keys as well.
func aliases() []*Entry {
	return []*Entry{
		entry(Action[api.CreateAliasInput, None]{
			Name: "CreateAlias",
			Uses: []Use[api.CreateAliasInput]{
				{Kind: OnNewAlias, Permit: "kms:CreateAlias", CallerAccount: true, Ref: func(in *api.CreateAliasInput) string { return in.AliasName }},
				{Kind: OnKey, Permit: "kms:CreateAlias", State: key.NotDeleting, Alias: AliasNoAliasToKey, Ref: func(in *api.CreateAliasInput) string { return in.TargetKeyId }},
			},
			Rules:   func(in *api.CreateAliasInput) error { return aliasNameRules(in.AliasName) },
			Mutates: true,
			Audit:   []string{"AliasName", "TargetKeyId"},
			Run:     createAlias,
		}),
		entry(Action[api.UpdateAliasInput, None]{
			Name: "UpdateAlias",
			Uses: []Use[api.UpdateAliasInput]{
				{Kind: OnAlias, Permit: "kms:UpdateAlias", CallerAccount: true, Ref: func(in *api.UpdateAliasInput) string { return in.AliasName }},
				{Kind: OnKey, Permit: "kms:UpdateAlias", Ref: func(in *api.UpdateAliasInput) string { return in.AliasName }},
				{Kind: OnKey, Permit: "kms:UpdateAlias", State: key.NewTarget, Alias: AliasNoAliasToKey, Ref: func(in *api.UpdateAliasInput) string { return in.TargetKeyId }},
			},
			Rules:   func(in *api.UpdateAliasInput) error { return aliasNameRules(in.AliasName) },
			Fit:     sameKind,
			Mutates: true,
			Audit:   []string{"AliasName", "TargetKeyId"},
			Run:     updateAlias,
		}),
		entry(Action[api.DeleteAliasInput, None]{
			Name: "DeleteAlias",
			Uses: []Use[api.DeleteAliasInput]{
				{Kind: OnAlias, Permit: "kms:DeleteAlias", CallerAccount: true, Ref: func(in *api.DeleteAliasInput) string { return in.AliasName }},
				{Kind: OnKey, Permit: "kms:DeleteAlias", Ref: func(in *api.DeleteAliasInput) string { return in.AliasName }},
			},
			Rules:   func(in *api.DeleteAliasInput) error { return aliasNameRules(in.AliasName) },
			Mutates: true,
			Audit:   []string{"AliasName"},
			Run: func(_ context.Context, c *Call, in *api.DeleteAliasInput) (*None, error) {
				c.Wish(keyring.DeleteAlias{Was: c.Held[0].Alias})
				return c.change(c.Held[1].Record, func(r *key.Record) { withoutAlias(r, in.AliasName) })
			},
		}),
		entry(Action[api.ListAliasesInput, api.ListAliasesOutput]{
			Name: "ListAliases",
			Uses: []Use[api.ListAliasesInput]{
				{Kind: OnAccount, Permit: "kms:ListAliases"},
				{Kind: OnKey, Alias: AliasUnsupported, Ref: func(in *api.ListAliasesInput) string { return in.KeyId }, When: func(in *api.ListAliasesInput) bool { return in.KeyId != "" }},
			},
			Audit: []string{"KeyId", "Limit"},
			Run:   listAliases,
		}),
	}
}

// reservedAliases belong to the service.
const reservedAliases = "alias/aws/"

func aliasNameRules(name string) error {
	switch {
	case strings.HasPrefix(name, reservedAliases):
		return fault.New(api.NotAuthorizedException, "")
	case strings.Contains(name, ":") || name == arn.AliasPrefix:
		return invalid(name + " contains invalid characters for an alias")
	}
	return nil
}

func createAlias(_ context.Context, c *Call, in *api.CreateAliasInput) (*None, error) {
	target := c.Held[1].Record
	alias := &key.Alias{
		Region: target.Region(), Account: target.Account(),
		Name: in.AliasName, ARN: arn.Alias(c.Lists.Partition(), target.Region(), target.Account(), in.AliasName),
		TargetID: target.ID(), Created: key.MomentOf(c.Now), Updated: key.MomentOf(c.Now),
	}
	if c.Held[0].Alias != nil {
		return nil, keyring.AliasExists(alias)
	}
	if err := roomForAlias(target); err != nil {
		return nil, err
	}
	c.Wish(keyring.PutAlias{Now: alias})
	return c.change(target, func(r *key.Record) { r.Aliases = append(r.Aliases, in.AliasName) })
}

func updateAlias(_ context.Context, c *Call, in *api.UpdateAliasInput) (*None, error) {
	was, from, to := c.Held[0].Alias, c.Held[1].Record, c.Held[2].Record
	now := *was
	now.TargetID, now.Updated = to.ID(), key.MomentOf(c.Now)
	c.Wish(keyring.PutAlias{Was: was, Now: &now})
	if from.ARN == to.ARN {
		return nil, nil
	}
	if err := roomForAlias(to); err != nil {
		return nil, err
	}
	if _, err := c.change(from, func(r *key.Record) { withoutAlias(r, in.AliasName) }); err != nil {
		return nil, err
	}
	return c.change(to, func(r *key.Record) { r.Aliases = append(r.Aliases, in.AliasName) })
}

func roomForAlias(r *key.Record) error {
	if len(r.Aliases) >= key.MaxAliases {
		return fault.Newf(api.LimitExceededException, "The key %s has the most aliases that a key can have (%d).", r.ARN, key.MaxAliases)
	}
	return nil
}

func withoutAlias(r *key.Record, name string) {
	r.Aliases = slices.DeleteFunc(r.Aliases, func(a string) bool { return a == name })
}

// sameKind keeps an alias from being moved to a key that its users could not use.
func sameKind(h []Held, in *api.UpdateAliasInput) error {
	from, to := h[1].Record, h[2].Record
	if from.Usage != to.Usage {
		return fault.Newf(api.ValidationException, "Alias %s cannot be changed from a CMK with key usage %s to a CMK with key usage %s. The key usage of the current CMK and the new CMK must be the same.", in.AliasName, from.Usage, to.Usage)
	}
	return nil
}

func listAliases(ctx context.Context, c *Call, in *api.ListAliasesInput) (*api.ListAliasesOutput, error) {
	list := c.listName("ListAliases", in.KeyId)
	after, err := c.Lists.OpenMarker(list, in.Marker)
	if err != nil {
		return nil, err
	}
	page, more, err := c.aliasPage(ctx, after, limit(in.Limit, 50, 100))
	if err != nil {
		return nil, err
	}
	out := &api.ListAliasesOutput{Truncated: more}
	for _, a := range page {
		out.Aliases = append(out.Aliases, api.AliasListEntry{
			AliasName: a.Name, AliasArn: a.ARN, TargetKeyId: a.TargetID, CreationDate: a.Created.Time(), LastUpdatedDate: a.Updated.Time(),
		})
	}
	if more {
		out.NextMarker = c.Lists.SealMarker(list, page[len(page)-1].Name)
	}
	return out, nil
}

// aliasPage is a page of the account's aliases, or of one key's.
func (c *Call) aliasPage(ctx context.Context, after string, n int) ([]*key.Alias, bool, error) {
	rec := c.Held[1].Record
	if rec == nil {
		return c.Lists.ListAliases(ctx, c.Where(), after, n, c.Now)
	}
	all, err := c.Lists.AliasesOf(ctx, rec, c.Now)
	if err != nil {
		return nil, false, err
	}
	slices.SortFunc(all, func(a, b *key.Alias) int { return strings.Compare(a.Name, b.Name) })
	all = slices.DeleteFunc(all, func(a *key.Alias) bool { return a.Name <= after })
	return all[:min(n, len(all))], len(all) > n, nil
}
