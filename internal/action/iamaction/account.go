package iamaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/fault"
	"trent/internal/identity"
)

// accounts is the family of the account's own name.
func accounts() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.CreateAccountAliasInput, action.None]{
			Name:    "CreateAccountAlias",
			Uses:    onAccount[iamapi.CreateAccountAliasInput]("iam:CreateAccountAlias"),
			Mutates: true,
			Audit:   []string{"AccountAlias"},
			Run:     createAccountAlias,
		}),
		entry(action.Action[iamapi.DeleteAccountAliasInput, action.None]{
			Name:    "DeleteAccountAlias",
			Uses:    onAccount[iamapi.DeleteAccountAliasInput]("iam:DeleteAccountAlias"),
			Mutates: true,
			Audit:   []string{"AccountAlias"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DeleteAccountAliasInput) (*action.None, error) {
				if account(c).Alias != in.AccountAlias {
					return nil, fault.Newf(iamapi.NoSuchEntity, "The account alias %s cannot be found.", in.AccountAlias)
				}
				return done(c, identity.Delete(&identity.AccountAlias{Account: c.Caller.Account, Name: in.AccountAlias}))
			},
		}),
		entry(action.Action[iamapi.ListAccountAliasesInput, iamapi.ListAccountAliasesOutput]{
			Name: "ListAccountAliases",
			Uses: onAccount[iamapi.ListAccountAliasesInput]("iam:ListAccountAliases"),
			Run: func(_ context.Context, c *action.Call, _ *iamapi.ListAccountAliasesInput) (*iamapi.ListAccountAliasesOutput, error) {
				out := new(iamapi.ListAccountAliasesOutput)
				if alias := account(c).Alias; alias != "" {
					out.AccountAliases = []string{alias}
				}
				return out, nil
			},
		}),
	}
}

// createAccountAlias replaces the alias that the account has. Two accounts cannot
// have the same one.
func createAccountAlias(_ context.Context, c *action.Call, in *iamapi.CreateAccountAliasInput) (*action.None, error) {
	if c.Identities.AliasTaken(in.AccountAlias) {
		return nil, fault.Newf(iamapi.EntityAlreadyExists, "The account alias %s already exists.", in.AccountAlias)
	}
	if old := account(c).Alias; old != "" {
		c.WishIdentity(identity.Delete(&identity.AccountAlias{Account: c.Caller.Account, Name: old}))
	}
	return done(c, identity.Create(&identity.AccountAlias{Account: c.Caller.Account, Name: in.AccountAlias}))
}
