package declare

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"trent/internal/action"
)

// A step is one change and the requests that make it.
type step struct {
	action.DeclaredChange
	do func(ctx context.Context) error
}

// A planner compares a declaration with the present state. Its steps come in the
// order in which they must be made: what is named by something is there before it,
// in whichever account.
type planner struct {
	*courier

	accounts, policies, groups, roles, users, trusts, keys, aliases, grants []step

	made *action.Declared // what the steps leave behind
	keep func(action.DeclaredKey) error
}

func (p *planner) steps() []step {
	var all []step
	for _, phase := range [][]step{p.accounts, p.policies, p.groups, p.roles, p.users, p.trusts, p.keys, p.aliases, p.grants} {
		all = append(all, phase...)
	}
	return all
}

// add notes a step of a phase.
func add(phase *[]step, effect action.Effect, entity, aspect string, do func(ctx context.Context) error) {
	*phase = append(*phase, step{action.DeclaredChange{Effect: effect, Entity: shown(entity), Aspect: shown(aspect)}, do})
}

// shown is a name as a terminal may have it.
func shown(s string) string {
	if strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return strconv.QuoteToASCII(s)
	}
	return s
}

// plan reads the present state and notes what is to be done. It changes nothing.
func (p *planner) plan(ctx context.Context, d *Declaration) error {
	there, err := p.presentAccounts(ctx)
	if err != nil {
		return err
	}
	for i := range d.Accounts {
		a := &d.Accounts[i]
		status, exists := there[a.ID]
		if exists && status != "Open" {
			return fmt.Errorf("account %s is closed: open it again first (trent account reopen %s)", a.label(), a.ID)
		}
		if err := p.account(ctx, a, !exists); err != nil {
			return fmt.Errorf("account %s: %w", a.label(), err)
		}
	}
	return nil
}

// presentAccounts maps the accounts that there are to whether they are open.
func (p *planner) presentAccounts(ctx context.Context) (map[string]string, error) {
	all := make(map[string]string)
	err := list(func(marker string) (string, error) {
		var page result[struct {
			Accounts []struct {
				AccountID string `xml:"AccountId"`
				Status    string
			} `xml:"Accounts>member"`
			Marker string
		}]
		err := p.admin(ctx, "ListAccounts", &page, given("Marker", marker, "MaxItems", "1000")...)
		for _, a := range page.Is.Accounts {
			all[a.AccountID] = a.Status
		}
		return page.Is.Marker, err
	})
	return all, err
}

// account plans all of one account. Of a new one nothing is there to be read.
func (p *planner) account(ctx context.Context, a *Account, fresh bool) error {
	if fresh {
		add(&p.accounts, action.Creates, "account "+a.label(), "", func(ctx context.Context) error { return p.makeAccount(ctx, a) })
	}
	for _, part := range []func(context.Context, *Account, bool) error{
		p.accountAlias, p.managedPolicies, p.providers, p.entities, p.accountKeys,
	} {
		if err := part(ctx, a, fresh); err != nil {
			return err
		}
	}
	return nil
}

// makeAccount makes an account without an access key of its root user: nobody is to
// get that one, so it goes at once.
func (p *planner) makeAccount(ctx context.Context, a *Account) error {
	var made result[struct {
		AccessKeyID string `xml:"AccessKeyId"`
	}]
	if err := p.admin(ctx, "CreateAccount", &made, given("AccountId", a.ID, "AccountName", a.Name)...); err != nil {
		return err
	}
	return p.iam(ctx, a.ID, "DeleteAccessKey", nil, "AccessKeyId", made.Is.AccessKeyID)
}

func (p *planner) accountAlias(ctx context.Context, a *Account, fresh bool) error {
	if a.Alias == "" {
		return nil
	}
	effect := action.Creates
	if !fresh {
		var now result[struct {
			Aliases []string `xml:"AccountAliases>member"`
		}]
		if err := p.iam(ctx, a.ID, "ListAccountAliases", &now); err != nil {
			return err
		}
		if len(now.Is.Aliases) > 0 {
			if now.Is.Aliases[0] == a.Alias {
				return nil
			}
			effect = action.Updates
		}
	}
	add(&p.accounts, effect, "account "+a.label(), "alias "+a.Alias, func(ctx context.Context) error {
		return p.iam(ctx, a.ID, "CreateAccountAlias", nil, "AccountAlias", a.Alias)
	})
	return nil
}
