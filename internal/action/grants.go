package action

import (
	"context"
	"maps"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/keyring"
)

// grants is the family of permissions that are handed on key by key.
func grants() []*Entry {
	return []*Entry{
		entry(Action[api.CreateGrantInput, api.CreateGrantOutput]{
			Name: "CreateGrant",
			Uses: []Use[api.CreateGrantInput]{{
				Kind: OnKey, Permit: "kms:CreateGrant", Abroad: true, Ref: func(in *api.CreateGrantInput) string { return in.KeyId },
				State: key.Grantable, Alias: AliasUnsupported, Keys: createGrantKeys(), Passes: requestedGrant,
			}},
			Rules:   createGrantRules,
			Fit:     fitGrant,
			Mutates: true,
			Audit: []string{"KeyId", "GranteePrincipal", "RetiringPrincipal", "Operations", "Constraints", "Name", "DryRun",
				"GranteeServicePrincipal", "RetiringServicePrincipal"},
			Run: createGrant,
		}),
		entry(Action[api.ListGrantsInput, api.ListGrantsOutput]{
			Name: "ListGrants",
			Uses: []Use[api.ListGrantsInput]{{
				Kind: OnKey, Permit: "kms:ListGrants", Abroad: true, Ref: func(in *api.ListGrantsInput) string { return in.KeyId },
				Alias: AliasUnsupported, Keys: forAWSResource[api.ListGrantsInput](),
			}},
			Rules: listGrantsRules,
			Audit: []string{"KeyId", "GrantId", "GranteePrincipal", "GranteeServicePrincipal", "Limit"},
			Run:   listGrants,
		}),
		entry(Action[api.ListRetirableGrantsInput, api.ListGrantsOutput]{
			Name:  "ListRetirableGrants",
			Uses:  []Use[api.ListRetirableGrantsInput]{{Kind: OnAccount, Permit: "kms:ListRetirableGrants"}},
			Rules: listRetirableRules,
			Audit: []string{"RetiringPrincipal", "RetiringServicePrincipal", "Limit"},
			Run:   listRetirableGrants,
		}),
		entry(Action[api.RevokeGrantInput, None]{
			Name: "RevokeGrant",
			Uses: []Use[api.RevokeGrantInput]{{
				Kind: OnKey, Permit: "kms:RevokeGrant", Abroad: true, Ref: func(in *api.RevokeGrantInput) string { return in.KeyId },
				Alias: AliasUnsupported, Keys: forAWSResource[api.RevokeGrantInput](),
			}},
			Rules:   func(in *api.RevokeGrantInput) error { return checkGrantID(in.GrantId) },
			Mutates: true,
			Audit:   []string{"KeyId", "GrantId", "DryRun"},
			Run: func(ctx context.Context, c *Call, in *api.RevokeGrantInput) (*None, error) {
				g, err := c.Lists.FindGrant(ctx, c.Held[0].Record, in.GrantId)
				if err != nil {
					return nil, err
				}
				c.Wish(keyring.DeleteGrant{Was: g})
				return nil, nil
			},
		}),
		entry(Action[api.RetireGrantInput, None]{
			Name: "RetireGrant",
			Uses: []Use[api.RetireGrantInput]{{
				Kind: OnGrant, Permit: "kms:RetireGrant", Abroad: true, Ref: func(in *api.RetireGrantInput) string { return in.KeyId },
				Grant: func(in *api.RetireGrantInput) (token, id string) { return in.GrantToken, in.GrantId },
				Alias: AliasUnsupported, Keys: retireGrantKeys(),
			}},
			Rules:   retireGrantRules,
			Mutates: true,
			Audit:   []string{"KeyId", "GrantId", "DryRun"},
			Run: func(_ context.Context, c *Call, _ *api.RetireGrantInput) (*None, error) {
				c.Wish(keyring.DeleteGrant{Was: c.Held[0].Grant})
				return nil, nil
			},
		}),
	}
}

// Limits of one constraint (AWS KMS Developer Guide, "Using grant constraints").
const (
	maxConstraintPairs = 8
	maxConstraintValue = 384 // characters
)

// serviceOnly refuses what only services of AWS may use: no caller here is one.
func serviceOnly(member, value string) error {
	if value == "" {
		return nil
	}
	return invalid(member + " can be used by AWS service principals alone.")
}

func createGrantRules(in *api.CreateGrantInput) error {
	for member, value := range map[string]string{"GranteeServicePrincipal": in.GranteeServicePrincipal, "RetiringServicePrincipal": in.RetiringServicePrincipal} {
		if err := serviceOnly(member, value); err != nil {
			return err
		}
	}
	if in.GranteePrincipal == "" {
		return invalid("GranteePrincipal is required.")
	}
	set, ok := grant.OperationsOf(in.Operations...)
	switch only, _ := grant.OperationsOf(api.GrantOperationCreateGrant); {
	case !ok || set == 0:
		return invalid("Operations must not be empty.")
	case set == only:
		return invalid("Grants must not contain only the CreateGrant operation.")
	}
	return constraintRules(in.Constraints)
}

func constraintRules(c *api.GrantConstraints) error {
	if c == nil {
		return nil
	}
	if c.Has("EncryptionContextEquals") && c.Has("EncryptionContextSubset") {
		return invalid("More than one constraint supplied")
	}
	for _, pairs := range []map[string]string{c.EncryptionContextEquals, c.EncryptionContextSubset} {
		if len(pairs) > maxConstraintPairs {
			return invalid("A grant constraint can have up to 8 pairs.")
		}
		for _, v := range pairs {
			if len(v) > maxConstraintValue {
				return invalid("A value in a grant constraint can have up to 384 characters.")
			}
		}
	}
	return nil
}

// fitGrant: the operations must be those of the key's kind, and only symmetric
// keys have an encryption context to constrain.
func fitGrant(h []Held, in *api.CreateGrantInput) error {
	rec := h[0].Record
	set, _ := grant.OperationsOf(in.Operations...) // checked by the rules
	if unfit := set &^ grant.Fitting(rec.Usage, rec.Spec); unfit != 0 {
		return invalid("The operation " + string(unfit.List()[0]) + " is not supported for keys with usage " + string(rec.Usage) + " and spec " + string(rec.Spec) + ".")
	}
	if constraintOf(in.Constraints).Kind != grant.Unconstrained && rec.Spec != api.KeySpecSymmetricDefault {
		return invalid("Constraints on the encryption context are for symmetric encryption keys alone.")
	}
	return nil
}

func constraintOf(c *api.GrantConstraints) grant.Constraint {
	switch {
	case c == nil:
		return grant.Constraint{}
	case c.Has("EncryptionContextEquals"):
		return grant.Constraint{Kind: grant.ContextEquals, Pairs: c.EncryptionContextEquals, SourceArn: c.SourceArn}
	case c.Has("EncryptionContextSubset"):
		return grant.Constraint{Kind: grant.ContextSubset, Pairs: c.EncryptionContextSubset, SourceArn: c.SourceArn}
	}
	return grant.Constraint{SourceArn: c.SourceArn}
}

// requestedGrant is the grant that a request asks for, without an id. The
// principals are found when the grant is made: for the decision they do not matter.
func requestedGrant(c *Call, rec *key.Record, in *api.CreateGrantInput) (*grant.Grant, error) {
	set, _ := grant.OperationsOf(in.Operations...) // unknown ones are refused by the rules
	return &grant.Grant{
		Key: rec.ARN, Name: in.Name, Operations: set, Constraint: constraintOf(in.Constraints),
		Issuer: c.Caller.Account, Created: c.Now,
	}, nil
}

func createGrant(ctx context.Context, c *Call, in *api.CreateGrantInput) (*api.CreateGrantOutput, error) {
	rec := c.Held[0].Record
	g, err := requestedGrant(c, rec, in)
	if err != nil {
		return nil, err
	}
	if g.Grantee, err = c.party(in.GranteePrincipal); err != nil {
		return nil, err
	}
	if in.RetiringPrincipal != "" {
		if g.Retiring, err = c.party(in.RetiringPrincipal); err != nil {
			return nil, err
		}
	}
	equal, err := c.Lists.FindEqualGrant(ctx, g)
	if err != nil {
		return nil, err
	}
	if equal != nil {
		return &api.CreateGrantOutput{GrantId: equal.ID, GrantToken: c.Lists.SealGrantToken(equal)}, nil
	}
	switch n, err := c.Lists.CountGrants(ctx, rec); {
	case err != nil:
		return nil, err
	case n >= grant.MaxPerKey:
		return nil, fault.Newf(api.LimitExceededException, "The key %s has the most grants that a key can have (%d).", rec.ARN, grant.MaxPerKey)
	}
	g.ID = keyring.NewGrantID()
	c.Wish(keyring.PutGrant{Key: rec, Now: g})
	return &api.CreateGrantOutput{GrantId: g.ID, GrantToken: c.Lists.SealGrantToken(g)}, nil
}

// party finds the principal that an ARN names: it must exist. An account goes by the
// ARN of its root alone: a second name for it would pass by policies that speak of
// the first.
func (c *Call) party(name string) (grant.Party, error) {
	id, ok := c.Identities.UniqueID(name)
	if _, isARN := arn.Parse(name); !ok || !isARN {
		return grant.Party{}, fault.New(api.InvalidArnException, "ARN does not refer to a valid principal: "+name)
	}
	return grant.Party{ID: id, ARN: name}, nil
}

func checkGrantID(id string) error {
	if !grant.ValidID(id) {
		return fault.New(api.InvalidGrantIdException, "Invalid grant id")
	}
	return nil
}

func listGrantsRules(in *api.ListGrantsInput) error {
	if in.GranteePrincipal != "" && in.GranteeServicePrincipal != "" {
		return invalid("You can specify GranteePrincipal or GranteeServicePrincipal, not both.")
	}
	if err := serviceOnly("GranteeServicePrincipal", in.GranteeServicePrincipal); err != nil {
		return err
	}
	if in.GrantId != "" {
		return checkGrantID(in.GrantId)
	}
	return nil
}

func listGrants(ctx context.Context, c *Call, in *api.ListGrantsInput) (*api.ListGrantsOutput, error) {
	rec := c.Held[0].Record
	list := c.listName("ListGrants", rec.ID()+"\x00"+in.GranteePrincipal)
	after, err := c.Lists.OpenMarker(list, in.Marker)
	if err != nil {
		return nil, err
	}
	party, known := "", true
	if in.GranteePrincipal != "" {
		party, known = c.Identities.UniqueID(in.GranteePrincipal)
	}
	switch {
	case !known:
		return &api.ListGrantsOutput{}, nil // nobody of that name has been granted anything
	case in.GrantId != "":
		return c.oneGrant(ctx, rec, party, in.GrantId)
	}
	page, more, err := c.Lists.ListGrants(ctx, rec, party, after, limit(in.Limit, 50, 100))
	if err != nil {
		return nil, err
	}
	out := &api.ListGrantsOutput{Truncated: more}
	for _, g := range page {
		out.Grants = append(out.Grants, c.listed(g))
	}
	if more {
		out.NextMarker = c.Lists.SealMarker(list, keyring.GrantPosition(page[len(page)-1]))
	}
	return out, nil
}

// oneGrant is the list of at most one grant.
func (c *Call) oneGrant(ctx context.Context, rec *key.Record, party, id string) (*api.ListGrantsOutput, error) {
	g, err := c.Lists.FindGrant(ctx, rec, id)
	if err != nil {
		return nil, err
	}
	out := &api.ListGrantsOutput{}
	if party == "" || party == g.Grantee.ID {
		out.Grants = append(out.Grants, c.listed(g))
	}
	return out, nil
}

func listRetirableRules(in *api.ListRetirableGrantsInput) error {
	if err := serviceOnly("RetiringServicePrincipal", in.RetiringServicePrincipal); err != nil {
		return err
	}
	if in.RetiringPrincipal == "" {
		return invalid("RetiringPrincipal is required.")
	}
	return nil
}

func listRetirableGrants(ctx context.Context, c *Call, in *api.ListRetirableGrantsInput) (*api.ListGrantsOutput, error) {
	if a, ok := arn.Parse(in.RetiringPrincipal); ok && a.Account != c.Caller.Account {
		return nil, fault.New(api.InvalidArnException, "The retiring principal must be of the caller's own account.")
	}
	retiring, err := c.party(in.RetiringPrincipal)
	if err != nil {
		return nil, err
	}
	list := c.listName("ListRetirableGrants", retiring.ID)
	after, err := c.Lists.OpenMarker(list, in.Marker)
	if err != nil {
		return nil, err
	}
	page, next, err := c.Lists.ListRetirableGrants(ctx, retiring.ID, c.Region, after, limit(in.Limit, 50, 100), c.Now)
	if err != nil {
		return nil, err
	}
	out := &api.ListGrantsOutput{Truncated: next != ""}
	for _, g := range page {
		out.Grants = append(out.Grants, c.listed(g))
	}
	if next != "" {
		out.NextMarker = c.Lists.SealMarker(list, next)
	}
	return out, nil
}

// listed is a grant as the lists show it. A principal that is gone is shown by its
// unique id, as in policies.
func (c *Call) listed(g *grant.Grant) api.GrantListEntry {
	name := func(p grant.Party) string {
		if p.ID == "" {
			return ""
		}
		if now, ok := c.Identities.ARNOf(p.ID); ok {
			return now
		}
		return p.ID
	}
	e := api.GrantListEntry{
		KeyId: g.Key, GrantId: g.ID, Name: g.Name, CreationDate: g.Created, GranteePrincipal: name(g.Grantee), RetiringPrincipal: name(g.Retiring),
		IssuingAccount: arn.AccountRoot(c.Lists.Partition(), g.Issuer), Operations: g.Operations.List(),
	}
	constraint := api.GrantConstraints{SourceArn: g.Constraint.SourceArn}
	switch g.Constraint.Kind {
	case grant.ContextEquals:
		constraint.EncryptionContextEquals = maps.Clone(g.Constraint.Pairs)
	case grant.ContextSubset:
		constraint.EncryptionContextSubset = maps.Clone(g.Constraint.Pairs)
	}
	if g.Constraint.Kind != grant.Unconstrained || g.Constraint.SourceArn != "" {
		e.Constraints = &constraint
	}
	return e
}

func retireGrantRules(in *api.RetireGrantInput) error {
	byID := in.KeyId != "" || in.GrantId != ""
	switch {
	case in.GrantToken != "" && byID:
		return invalid("You can specify GrantToken, or KeyId and GrantId, not both.")
	case in.GrantToken == "" && (in.KeyId == "" || in.GrantId == ""):
		return invalid("You must specify GrantToken, or KeyId and GrantId.")
	case in.GrantId != "":
		return checkGrantID(in.GrantId)
	}
	return nil
}

// forAWSResource is kms:GrantIsForAWSResource: no caller here is a service of AWS.
func forAWSResource[In any]() Keys[In] {
	return Keys[In]{"kms:grantisforawsresource": func(*In, []Held, string) iam.Value { return iam.Flag(false) }}
}

func createGrantKeys() Keys[api.CreateGrantInput] {
	constraint := func(in *api.CreateGrantInput, _ []Held) grant.Constraint { return constraintOf(in.Constraints) }
	return forAWSResource[api.CreateGrantInput]().and(constraintKeys(constraint)).and(Keys[api.CreateGrantInput]{
		"kms:grantconstraintsourcearn": func(in *api.CreateGrantInput, _ []Held, _ string) iam.Value {
			return said(constraintOf(in.Constraints).SourceArn)
		},
		"kms:grantoperations": func(in *api.CreateGrantInput, _ []Held, _ string) iam.Value {
			names := make([]string, len(in.Operations))
			for i, op := range in.Operations {
				names[i] = string(op)
			}
			return iam.Texts(names)
		},
		"kms:granteeprincipal":         func(in *api.CreateGrantInput, _ []Held, _ string) iam.Value { return said(in.GranteePrincipal) },
		"kms:retiringprincipal":        func(in *api.CreateGrantInput, _ []Held, _ string) iam.Value { return said(in.RetiringPrincipal) },
		"kms:granteeserviceprincipal":  func(in *api.CreateGrantInput, _ []Held, _ string) iam.Value { return said(in.GranteeServicePrincipal) },
		"kms:retiringserviceprincipal": func(in *api.CreateGrantInput, _ []Held, _ string) iam.Value { return said(in.RetiringServicePrincipal) },
	})
}

func retireGrantKeys() Keys[api.RetireGrantInput] {
	return constraintKeys(func(_ *api.RetireGrantInput, h []Held) grant.Constraint {
		if len(h) == 0 || h[0].Grant == nil {
			return grant.Constraint{}
		}
		return h[0].Grant.Constraint
	})
}

// constraintKeys are the keys about the constraint of a grant: its kind, and the
// pairs as if they were an encryption context.
func constraintKeys[In any](of func(*In, []Held) grant.Constraint) Keys[In] {
	return contextKeys(func(in *In, h []Held) map[string]string { return of(in, h).Pairs }).and(Keys[In]{
		"kms:grantconstrainttype": func(in *In, h []Held, _ string) iam.Value {
			switch of(in, h).Kind {
			case grant.ContextEquals:
				return iam.Text("EncryptionContextEquals")
			case grant.ContextSubset:
				return iam.Text("EncryptionContextSubset")
			}
			return iam.Value{}
		},
	})
}
