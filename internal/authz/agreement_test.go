package authz_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"trent/internal/api"
	"trent/internal/authz"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/iam"
	"trent/internal/iam/iamtest"
	"trent/internal/key"
)

// The whole decision is that of a second, plain evaluator, written in Python from
// the published rules: same account and other accounts, key policy and delegation,
// identity policies, boundary, session policies, grants.
func TestSEC_B10_AgreesWithSecondEvaluator(t *testing.T) {
	count, seed := iamtest.Draw(t, 20_000, 1_000)
	naive, r, seen := iamtest.Start(t), rand.New(rand.NewPCG(seed, 0)), make(map[string]int)
	for done := 0; done < count && !t.Failed(); {
		cases := make([]*iamtest.Case, min(1_000, count-done))
		for i := range cases {
			cases[i] = decidable(iamtest.Generate(r))
		}
		for i, want := range naive.Ask(t, cases) {
			seen[want.Decision]++
			if want.Decision == "" {
				continue // a malformed document, which is never stored
			}
			got := decision(t, cases[i])
			if cases[i].Principal.Account == "" && got == "implicit deny" && want.Decision == "explicit deny" {
				continue // nobody is refused before any policy is asked
			}
			if got != want.Decision {
				text, _ := json.Marshal(cases[i])
				t.Errorf("%s\nsays %s\nwant %s", text, got, want.Decision)
			}
		}
		done += len(cases)
	}
	t.Logf("%d cases: %v", count, seen)
	for _, kind := range []string{"allow", "explicit deny", "implicit deny"} {
		if seen[kind] < count/100 {
			t.Errorf("%q came out of %d cases of %d only", kind, seen[kind], count)
		}
	}
}

// decidable makes a case be about its key, as questions here are.
func decidable(c *iamtest.Case) *iamtest.Case {
	if c.Key != nil {
		c.Resource = strings.Replace(keyARN, home, c.Key.Account, 1)
	}
	return c
}

// decision is what this package decides, in the words of the second evaluator.
func decision(t *testing.T, c *iamtest.Case) string {
	caller := c.Principal.IAM()
	for _, text := range c.Identity {
		caller.Policies = append(caller.Policies, parse(t, text))
	}
	if c.Boundary != nil {
		caller.Boundary = parse(t, *c.Boundary)
	}
	if c.Session != nil {
		caller.SessionPolicies = []*iam.Policy{}
		for _, text := range c.Session {
			caller.SessionPolicies = append(caller.SessionPolicies, parse(t, text))
		}
	}
	q := &authz.Question{
		Caller: caller, Action: iam.NewAction(c.Action),
		Conditions: &authz.Conditions{Caller: caller, Now: noon, Assumed: c.Assumed()},
	}
	if c.Key == nil {
		return inWords(authz.OnAccount(q, c.Resource))
	}
	q.Record = &key.Record{ARN: c.Resource, Policy: parse(t, c.Key.Policy)}
	q.Conditions.Record = q.Record
	q.Grants, q.Use = grantsOf(c, caller), use(c)
	_, err := authz.OnKey(context.Background(), q)
	return inWords(err)
}

// inWords tells an explicit deny from an implicit one by what is written down, since
// callers from other accounts are told neither.
func inWords(err error) string {
	switch {
	case err == nil:
		return "allow"
	case strings.Contains(fault.From(err).Error(), "explicit deny in "), strings.Contains(fault.From(err).Error(), "denied by statement"):
		return "explicit deny"
	}
	return "implicit deny"
}

func use(c *iamtest.Case) grant.Use {
	u := grant.Use{Context: c.EncryptionContext}
	for _, op := range api.GrantOperation("").Values() {
		if strings.EqualFold(c.Action, "kms:"+string(op)) {
			u.Operation = op
		}
	}
	for _, v := range c.Context {
		if text, ok := v.Value.(string); ok && v.Name == "aws:sourcearn" {
			u.SourceArn = text
		}
	}
	return u
}

// grantsOf are the grants of a case, under the ids of those whom they name.
func grantsOf(c *iamtest.Case, caller *iam.Principal) grants {
	all := make(grants)
	for _, g := range c.Grants {
		party := "nobody " + g.Grantee
		switch account := strings.TrimSuffix(strings.TrimPrefix(g.Grantee, "arn:aws:iam::"), ":root"); {
		case g.Grantee == caller.ARN:
			party = caller.UniqueID
		case g.Grantee == caller.RoleARN:
			party = caller.RoleID
		case strings.HasSuffix(g.Grantee, ":root") && caller.Partition == "aws":
			party = account
		}
		ops := make([]api.GrantOperation, len(g.Operations))
		for i, op := range g.Operations {
			ops[i] = api.GrantOperation(op)
		}
		made := &grant.Grant{Key: c.Resource, Grantee: grant.Party{ID: party}, Constraint: grant.Constraint{SourceArn: g.SourceARN}}
		made.Operations, _ = grant.OperationsOf(ops...)
		switch {
		case g.Equals != nil:
			made.Constraint.Kind, made.Constraint.Pairs = grant.ContextEquals, g.Equals
		case g.Subset != nil:
			made.Constraint.Kind, made.Constraint.Pairs = grant.ContextSubset, g.Subset
		}
		all[party] = append(all[party], made)
	}
	return all
}
