// Package adminaction is the table of what an operator of a deployment asks for
// and AWS has no name for here: accounts, and why a decision is what it is. It
// has the form of package action. Principals of the first account of the
// deployment may be allowed these actions, and nobody else.
package adminaction

import (
	"context"

	"strings"

	"github.com/go-json-experiment/json"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/api/adminapi"
	"trent/internal/api/query"
	"trent/internal/fault"
	"trent/internal/identity"
)

// Table returns every action of operators, by name; those of dev mode too, or not.
func Table(dev bool) map[string]*action.Entry {
	table := make(map[string]*action.Entry)
	for _, family := range [][]*action.Entry{accounts(), shredding(), decisions(), declarations(), deployment(), fixed()} {
		for _, e := range family {
			if dev || !e.Dev {
				table[e.Op.Name] = e
			}
		}
	}
	return table
}

func entry[In, Out any](a action.Action[In, Out]) *action.Entry {
	return action.Declare(adminapi.Admin(), a)
}

// operate is the one use of these actions.
func operate[In any](permit string) []action.Use[In] {
	return []action.Use[In]{{Kind: action.OnAccount, Permit: permit, Operator: true}}
}

// accounts is the family of tenants.
func accounts() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[adminapi.CreateAccountInput, adminapi.CreateAccountOutput]{
			Name:    "CreateAccount",
			Uses:    operate[adminapi.CreateAccountInput]("trent:CreateAccount"),
			Mutates: true,
			Once:    true,
			Audit:   []string{"AccountId", "AccountName"},
			Run:     createAccount,
		}),
		entry(action.Action[adminapi.ListAccountsInput, adminapi.ListAccountsOutput]{
			Name:  "ListAccounts",
			Uses:  operate[adminapi.ListAccountsInput]("trent:ListAccounts"),
			Audit: []string{"MaxItems"},
			Run:   listAccounts,
		}),
		entry(action.Action[adminapi.CloseAccountInput, action.None]{
			Name:    "CloseAccount",
			Uses:    operate[adminapi.CloseAccountInput]("trent:CloseAccount"),
			Mutates: true,
			Audit:   []string{"AccountId"},
			Run:     closeAccount,
		}),
		entry(action.Action[adminapi.ReopenAccountInput, action.None]{
			Name:    "ReopenAccount",
			Uses:    operate[adminapi.ReopenAccountInput]("trent:ReopenAccount"),
			Mutates: true,
			Audit:   []string{"AccountId"},
			Run: func(_ context.Context, c *action.Call, in *adminapi.ReopenAccountInput) (*action.None, error) {
				a, err := existing(c, in.AccountId)
				switch {
				case err != nil:
					return nil, err
				case a.IsShredded():
					return nil, shredded(a)
				case !a.IsOpen():
					c.WishIdentity(identity.Reopen(a.ID))
				}
				return nil, nil
			},
		}),
	}
}

// createAccount makes an account and an access key of its root user, which is
// given once.
func createAccount(_ context.Context, c *action.Call, in *adminapi.CreateAccountInput) (*adminapi.CreateAccountOutput, error) {
	id := in.AccountId
	if id == "" {
		id = c.Identities.FreeAccountID()
	}
	if c.Identities.Account(id).Exists() {
		return nil, fault.Newf(adminapi.AccountAlreadyExists, "There is an account %s.", id)
	}
	k := identity.NewAccessKey(id, "", c.Now)
	c.WishIdentity(identity.NewAccount(id, in.AccountName, c.Now), identity.Create(k))
	return &adminapi.CreateAccountOutput{
		Account:     &adminapi.Account{AccountId: id, AccountName: in.AccountName, Status: adminapi.AccountStatusTypeOpen, CreateDate: c.Now},
		AccessKeyId: k.ID, SecretAccessKey: k.Secret,
	}, nil
}

const defaultPage = 100

func listAccounts(_ context.Context, c *action.Call, in *adminapi.ListAccountsInput) (*adminapi.ListAccountsOutput, error) {
	const list = "admin\x00ListAccounts"
	after, err := c.Lists.OpenMarker(list, in.Marker)
	if err != nil {
		return nil, fault.New(query.ValidationError, "The Marker is none of this list's.")
	}
	most := in.MaxItems
	if most == 0 {
		most = defaultPage
	}
	out := new(adminapi.ListAccountsOutput)
	for _, a := range c.Identities.Accounts() {
		switch {
		case strings.Compare(a.ID, after) <= 0:
			continue
		case len(out.Accounts) == most:
			out.IsTruncated, out.Marker = true, c.Lists.SealMarker(list, out.Accounts[most-1].AccountId)
			return out, nil
		}
		out.Accounts = append(out.Accounts, adminapi.Account{
			AccountId: a.ID, AccountName: a.Name(), Status: statusOf(a), CreateDate: a.Created(), CloseDate: a.Closed(), ShredDate: a.ShredDate(),
		})
	}
	return out, nil
}

func statusOf(a *identity.Account) adminapi.AccountStatusType {
	switch {
	case a.IsOpen():
		return adminapi.AccountStatusTypeOpen
	case a.IsShredded():
		return adminapi.AccountStatusTypeShredded
	case !a.ShredDate().IsZero():
		return adminapi.AccountStatusTypePendingShredding
	}
	return adminapi.AccountStatusTypeClosed
}

// closeAccount refuses to close the account of those who could open it again.
func closeAccount(_ context.Context, c *action.Call, in *adminapi.CloseAccountInput) (*action.None, error) {
	a, err := existing(c, in.AccountId)
	switch {
	case err != nil:
		return nil, err
	case a.ID == c.Caller.Account:
		return nil, fault.New(adminapi.InvalidInput, "The first account of a deployment cannot be closed: nobody could open it again.")
	case a.IsOpen():
		c.WishIdentity(identity.Close(a.ID, c.Now))
	}
	return nil, nil
}

func existing(c *action.Call, id string) (*identity.Account, error) {
	a := c.Identities.Account(id)
	if !a.Exists() {
		return nil, fault.Newf(adminapi.NoSuchAccount, "There is no account %s.", id)
	}
	return a, nil
}

// decisions is the family of explanations.
func decisions() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[adminapi.ExplainDecisionInput, adminapi.ExplainDecisionOutput]{
			Name:  "ExplainDecision",
			Uses:  operate[adminapi.ExplainDecisionInput]("trent:ExplainDecision"),
			Rules: explainRules,
			Audit: []string{"PrincipalArn", "ActionName", "KeyId", "ResourceArn", "Region"},
			Run:   explainDecision,
		}),
	}
}

func explainRules(in *adminapi.ExplainDecisionInput) error {
	if in.KeyId != "" && in.ResourceArn != "" {
		return fault.New(adminapi.InvalidInput, "KeyId and ResourceArn exclude each other: a decision is about a key, or about a resource of an account.")
	}
	return nil
}

func explainDecision(ctx context.Context, c *action.Call, in *adminapi.ExplainDecisionInput) (*adminapi.ExplainDecisionOutput, error) {
	q := action.Case{Action: in.ActionName, Key: in.KeyId, Resource: in.ResourceArn, Region: in.Region, Context: make(map[string][]string)}
	if q.Region == "" {
		q.Region = c.Region
	}
	for _, e := range in.Context {
		q.Context[e.Key] = append(q.Context[e.Key], e.Values...)
	}
	var ok bool
	if q.Caller, ok = c.Identities.Principal(in.PrincipalArn); !ok {
		return nil, fault.Newf(adminapi.NoSuchEntity, "There is no principal %s.", in.PrincipalArn)
	}
	allowed, explanation, err := c.Decisions.Explain(ctx, q)
	if err != nil {
		return nil, hidden(err)
	}
	text, err := json.Marshal(explanation)
	return &adminapi.ExplainDecisionOutput{Allowed: allowed, Explanation: string(text)}, err
}

// hidden gives errors of KMS, as that a key is not there, a code of this service.
func hidden(err error) error {
	f := fault.From(err)
	if f.Code == api.NotFoundException || f.Code == api.InvalidArnException {
		return fault.New(adminapi.NoSuchEntity, f.Message)
	}
	return err
}
