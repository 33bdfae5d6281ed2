package iamtest

import (
	"fmt"
	"testing"
)

// The second evaluator decides as AWS KMS is documented to, in the cases that
// are most often got wrong. Both sides of the comparison could share a mistake;
// they do not share these.
func TestDecisions(t *testing.T) {
	statement := func(effect, principal, action string) string {
		return fmt.Sprintf(`{"Statement":{"Effect":%q,"Principal":{"AWS":%q},"Action":%q,"Resource":"*"}}`, effect, principal, action)
	}
	identity := func(effect, action, resource string) string {
		return fmt.Sprintf(`{"Statement":{"Effect":%q,"Action":%q,"Resource":%q}}`, effect, action, resource)
	}
	const (
		accountRoot = "arn:aws:iam::111122223333:root"
		aliceARN    = "arn:aws:iam::111122223333:user/alice"
		roleARN     = "arn:aws:iam::111122223333:role/team/ci"
		sessionARN  = "arn:aws:sts::111122223333:assumed-role/ci/build"
		foreignARN  = "arn:aws:iam::444455556666:user/alice"
	)
	alice := Principal{Kind: "user", Partition: "aws", Account: home, ARN: aliceARN, ID: "AIDA2222222222222222"}
	foreign := Principal{Kind: "user", Partition: "aws", Account: abroad, ARN: foreignARN, ID: "AIDA4444444444444444"}
	session := Principal{Kind: "session", Partition: "aws", Account: home, ARN: sessionARN, ID: "AROA2222222222222222:build", RoleARN: roleARN, RoleID: "AROA2222222222222222"}
	root := Principal{Kind: "root", Partition: "aws", Account: home, ARN: accountRoot, ID: home}
	all, none := identity("Allow", "kms:*", "*"), identity("Allow", "s3:*", "*")
	silent := `{"Statement":{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"s3:*","Resource":"*"}}`
	grant := Grant{Grantee: aliceARN, Operations: []string{"Decrypt"}}
	with := func(g Grant, change func(*Grant)) []Grant { change(&g); return []Grant{g} }
	const allow, implicit, explicit = "allow", "implicit deny", "explicit deny"

	var cases []*Case
	var names, want []string
	for _, c := range []struct {
		name     string
		who      Principal
		key      string
		identity []string
		change   func(*Case)
		want     string
	}{
		{"IAM alone", alice, silent, []string{all}, nil, implicit},
		{"IAM deny without delegation", alice, statement("Allow", aliceARN, "kms:*"), []string{identity("Deny", "kms:*", "*")}, nil, explicit},
		{"root, not named", root, statement("Allow", aliceARN, "kms:*"), []string{all}, nil, implicit},
		{"root, named", root, statement("Allow", accountRoot, "kms:*"), nil, nil, allow},
		{"delegation alone", alice, statement("Allow", accountRoot, "kms:*"), nil, nil, implicit},
		{"delegation by the bare id", alice, statement("Allow", home, "kms:*"), []string{all}, nil, allow},
		{"delegation and another action", alice, statement("Allow", home, "kms:*"), []string{identity("Allow", "kms:Encrypt", "*")}, nil, implicit},
		{"delegation and an alias as resource", alice, statement("Allow", home, "kms:*"), []string{identity("Allow", "kms:*", aliasARN)}, nil, implicit},
		{"the user by name", alice, statement("Allow", aliceARN, "kms:Decrypt"), nil, nil, allow},
		{"everyone, at home", alice, statement("Allow", "*", "kms:*"), nil, nil, allow},
		{"everyone, from abroad", foreign, statement("Allow", "*", "kms:*"), nil, nil, implicit},
		{"everyone, from abroad with leave", foreign, statement("Allow", "*", "kms:*"), []string{identity("Allow", "kms:Decrypt", keyARN)}, nil, allow},
		{"a foreigner by name alone", foreign, statement("Allow", foreignARN, "kms:*"), nil, nil, implicit},
		{"a foreign account, with leave", foreign, statement("Allow", abroad, "kms:*"), []string{all}, nil, allow},
		{"leave alone, from abroad", foreign, silent, []string{all}, nil, implicit},
		{"deny of the key policy", alice, `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"kms:decrypt","Resource":"*"}]}`, []string{all}, nil, explicit},
		{"nobody", Principal{Kind: "nobody"}, statement("Allow", "*", "kms:*"), []string{all}, nil, implicit},

		{"a boundary cuts delegation", alice, statement("Allow", home, "kms:*"), []string{all}, func(c *Case) { c.Boundary = &none }, implicit},
		{"a boundary that allows", alice, statement("Allow", home, "kms:*"), []string{all}, func(c *Case) { c.Boundary = &all }, allow},
		{"a boundary does not cut the user by name", alice, statement("Allow", aliceARN, "kms:*"), nil, func(c *Case) { c.Boundary = &none }, allow},
		{"a boundary's deny does", alice, statement("Allow", aliceARN, "kms:*"), nil, func(c *Case) { c.Boundary = new(identity("Deny", "*", "*")) }, explicit},
		{"a boundary allows nothing by itself", alice, statement("Allow", home, "kms:*"), nil, func(c *Case) { c.Boundary = &all }, implicit},
		{"a session policy cuts the role by name", session, statement("Allow", roleARN, "kms:*"), nil, func(c *Case) { c.Session = []string{none} }, implicit},
		{"a session policy that allows", session, statement("Allow", roleARN, "kms:*"), nil, func(c *Case) { c.Session = []string{none, all} }, allow},
		{"a session policy does not cut the session by name", session, statement("Allow", sessionARN, "kms:*"), nil, func(c *Case) { c.Session = []string{none} }, allow},
		{"an empty list of session policies allows nothing", session, statement("Allow", roleARN, "kms:*"), nil, func(c *Case) { c.Session = []string{} }, implicit},
		{"the role by name", session, statement("Allow", roleARN, "kms:*"), nil, nil, allow},

		{"a grant alone", alice, silent, nil, func(c *Case) { c.Grants = []Grant{grant} }, allow},
		{"a grant and a deny", alice, silent, []string{identity("Deny", "kms:Decrypt", "*")}, func(c *Case) { c.Grants = []Grant{grant} }, explicit},
		{"a grant to another", session, silent, nil, func(c *Case) { c.Grants = []Grant{grant} }, implicit},
		{"a grant to the role", session, silent, nil, func(c *Case) { c.Grants = with(grant, func(g *Grant) { g.Grantee = roleARN }) }, allow},
		{"a grant of another operation", alice, silent, nil, func(c *Case) { c.Grants = with(grant, func(g *Grant) { g.Operations = []string{"Encrypt"} }) }, implicit},
		{"a grant for an equal context", alice, silent, nil, func(c *Case) {
			c.Grants = with(grant, func(g *Grant) { g.Equals = map[string]string{"App": "payroll"} })
		}, allow},
		{"a grant for another context", alice, silent, nil, func(c *Case) {
			c.Grants = with(grant, func(g *Grant) { g.Equals = map[string]string{"app": "payroll"} })
		}, implicit},
		{"a grant for part of the context", alice, silent, nil, func(c *Case) {
			c.EncryptionContext["Team"] = "x"
			c.Grants = with(grant, func(g *Grant) { g.Subset = map[string]string{"App": "payroll"} })
		}, allow},
		{"a grant for exactly part of the context", alice, silent, nil, func(c *Case) {
			c.EncryptionContext["Team"] = "x"
			c.Grants = with(grant, func(g *Grant) { g.Equals = map[string]string{"App": "payroll"} })
		}, implicit},
		{"a grant's context does not concern DescribeKey", alice, silent, nil, func(c *Case) {
			c.Action = "kms:DescribeKey"
			c.Grants = with(grant, func(g *Grant) { g.Operations, g.Subset = []string{"DescribeKey"}, map[string]string{"x": "y"} })
		}, allow},
		{"a grant to the account, without leave", alice, silent, nil, func(c *Case) { c.Grants = with(grant, func(g *Grant) { g.Grantee = accountRoot }) }, implicit},
		{"a grant to the account, with leave", alice, silent, []string{all}, func(c *Case) { c.Grants = with(grant, func(g *Grant) { g.Grantee = accountRoot }) }, allow},
		{"a grant to a foreigner, without leave", foreign, silent, nil, func(c *Case) { c.Grants = with(grant, func(g *Grant) { g.Grantee = foreignARN }) }, implicit},
		{"a grant to a foreigner, with leave", foreign, silent, []string{all}, func(c *Case) { c.Grants = with(grant, func(g *Grant) { g.Grantee = foreignARN }) }, allow},
		{"a grant within a boundary", alice, silent, nil, func(c *Case) { c.Grants, c.Boundary = []Grant{grant}, &none }, implicit},
		{"a grant by source, without one", alice, silent, nil, func(c *Case) { c.Grants = with(grant, func(g *Grant) { g.SourceARN = "arn:aws:s3:::b" }) }, implicit},
		{"a grant by source", alice, silent, nil, func(c *Case) {
			c.Context = []Value{{Name: "aws:sourcearn", Type: "text", Value: "arn:aws:s3:::b"}}
			c.Grants = with(grant, func(g *Grant) { g.SourceARN = "arn:aws:s3:::b" })
		}, allow},

		{"of the account, root", root, "", nil, nil, allow},
		{"of the account, silent", alice, "", nil, nil, implicit},
		{"of the account, with leave", alice, "", []string{all}, nil, allow},
	} {
		one := &Case{Principal: c.who, Action: "kms:Decrypt", Resource: keyARN, Context: []Value{}, Identity: c.identity, Grants: []Grant{}, EncryptionContext: map[string]string{"App": "payroll"}}
		if one.Identity == nil {
			one.Identity = []string{}
		}
		if c.key != "" {
			one.Key = &Key{Account: home, Policy: c.key}
		}
		if c.change != nil {
			c.change(one)
		}
		cases, names, want = append(cases, one), append(names, c.name), append(want, c.want)
	}
	for i, a := range Start(t).Ask(t, cases) {
		if a.Decision != want[i] {
			t.Errorf("%s: %q, want %q (%+v)", names[i], a.Decision, want[i], a)
		}
	}
}
