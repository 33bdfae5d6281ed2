package declare_test

import (
	"strings"
	"testing"

	"trent/internal/declare"
)

const head = "version: 1\nregion: eu-central-1\n"

// in is a declaration with this in its one account.
func in(account string) string {
	return head + "accounts:\n- id: 111122223333\n" + account
}

// What is wrong is told with its line and with what to write instead, and before
// anything is done.
func TestRefusals(t *testing.T) {
	const allow = "{Version: 2012-10-17, Statement: {Effect: Allow, Action: '*', Resource: '*'}}"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "it begins with version: 1"},
		{"a comment", "# nothing\n", "it begins with version: 1"},
		{"no version", "accounts: []\n", "line 1: a declaration begins with version: 1"},
		{"version later", "accounts: []\nversion: 1\n", "line 1: a declaration begins with version: 1"},
		{"another version", "version: 2\n", "line 1: this is a declaration of a version that is not known: the one that is known is 1"},
		{"a list", "- version: 1\n", "line 1: a declaration begins with version: 1"},
		{"two documents", "version: 1\n---\nversion: 1\n", "more than one YAML document"},
		{"no YAML", "version: 1\naccounts: [\n", "this is not YAML"},
		{"unknown field", head + "users: []\n", `line 3: the declaration has no field "users": its fields are version, region, accounts`},
		{"field twice", head + "accounts: []\naccounts: []\n", `line 4: the declaration has "accounts" twice: keep one`},
		{"merge key", in("  <<: {name: x}\n"), `line 5: an account has no field "<<"`},
		{"anchor", "version: 1\naccounts: &a []\n", "line 2: anchors and aliases"},
		{"alias", "version: 1\naccounts: [&a {id: 111122223333}, *a]\n", "line 2: anchors and aliases"},
		{"tag", "version: 1\naccounts: !!seq []\n", "line 2: tags (!) are not taken"},
		{"deep", "version: 1\naccounts: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "nested more than 32 deep"},
		{"very deep", "version: 1\naccounts: " + strings.Repeat("[", 100_000), "this is not YAML"},
		{"large", "version: 1\n#" + strings.Repeat("x", declare.MaxSize), "has more than 1048576 bytes"},
		{"no value", in("  name:\n"), `line 5: the name of an account has no value: write one, or "" for an empty text`},
		{"too many groups", in("  users: [{name: a, groups: [" + strings.Repeat("g,", 11) + "]}]\n"), "line 5: groups of user a has more than 10 items"},
		{"no list", in("  users: {}\n"), "line 5: users is to be a list"},
		{"no mapping", in("  users: [app]\n"), "line 5: a user is to be a mapping"},
		{"account id", head + "accounts: [{id: 12}]", "line 3: the id of an account is 12 digits"},
		{"no account id", head + "accounts: [{name: x}]", "line 3: the id of an account is missing"},
		{"account twice", head + "accounts: [{id: 111122223333}, {id: '111122223333'}]", "account 111122223333 is there twice"},
		{"user twice", in("  users: [{name: app}, {name: APP}]\n"), "line 5: user APP is there twice"},
		{"user without name", in("  users: [{path: /}]\n"), "line 5: the name of a user is missing"},
		{"user's name", in("  users: [{name: a b}]\n"), "the name of a user is not of the form"},
		{"group with trust", in("  groups: [{name: g, trust: {}}]\n"), `a group has no field "trust": its fields are name, path, policies, attached`},
		{"group with tags", in("  groups: [{name: g, tags: {}}]\n"), `a group has no field "tags"`},
		{"path", in("  users: [{name: a, path: x}]\n"), "it begins and ends with a slash"},
		{"role without trust", in("  roles: [{name: r}]\n"), "role r has no trust"},
		{"maxSession", in("  roles: [{name: r, trust: {}, maxSession: 60}]\n"), "maxSession of role r is to be a number from 3600 to 43200"},
		{"boundary", in("  users: [{name: a, boundary: keys}]\n"), "the boundary of user a is an ARN, or policy/PATH/NAME"},
		{"policy with principal", in("  users: [{name: a, policies: {p: {Version: 2012-10-17, Statement: {Effect: Allow, Principal: '*', Action: '*', Resource: '*'}}}}]\n"), "policy p of user a is no policy that can be stored: malformed policy document: statement 1"},
		{"policy of nothing", in("  users: [{name: a, policies: {p: x}}]\n"), "is to be a policy document"},
		{"policy with null", in("  users: [{name: a, policies: {p: {Version: 2012-10-17, Statement: }}}]\n"), "has an element without a value"},
		{"policy twice", in("  users:\n  - name: a\n    policies:\n      p: " + allow + "\n      p: " + allow + "\n"), `line 9: policies of user a has "p" twice`},
		{"policy element twice", in("  users: [{name: a, policies: {p: {Version: 2012-10-17, Version: 2012-10-17}}}]\n"), `has "Version" twice`},
		{"no document", in("  managedPolicies: [{name: p}]\n"), "managed policy p has no document"},
		{"trust with resource", in("  roles: [{name: r, trust: " + allow + "}]\n"), "trust of role r is no policy that can be stored"},
		{"key without alias", in("  keys: [{tags: {}}]\n"), "a key has no alias"},
		{"key's alias", in("  keys: [{alias: app}]\n"), "an alias is not of the form that it must have: alias/"},
		{"reserved alias", in("  keys: [{alias: alias/aws/x}]\n"), "alias/aws/x belongs to the service"},
		{"alias of two", in("  keys: [{alias: alias/a}, {alias: alias/b, aliases: [alias/a]}]\n"), "alias/a is of two keys"},
		{"no region", "version: 1\naccounts: [{id: 111122223333, keys: [{alias: alias/a}]}]", "key alias/a has no region"},
		{"enabled", in("  keys: [{alias: alias/a, enabled: maybe}]\n"), "enabled is to be true or false"},
		{"enabled yes", in("  keys: [{alias: alias/a, enabled: yes}]\n"), "enabled is to be true or false"},
		{"grant without name", in("  keys: [{alias: alias/a, grants: [{grantee: user/a, operations: [Decrypt]}]}]\n"), "the name of a grant is missing"},
		{"grant twice", in("  keys: [{alias: alias/a, grants: [{name: g, grantee: user/a, operations: [Decrypt]}, {name: g, grantee: user/a, operations: [Decrypt]}]}]\n"), "key alias/a has two grants g"},
		{"grant's operations", in("  keys: [{alias: alias/a, grants: [{name: g, grantee: user/a, operations: [Drcrypt]}]}]\n"), "wants operations that a grant can give"},
		{"grantee", in("  keys: [{alias: alias/a, grants: [{name: g, grantee: app, operations: [Decrypt]}]}]\n"), "an ARN, or user/PATH/NAME or role/PATH/NAME"},
		{"both constraints", in("  keys: [{alias: alias/a, grants: [{name: g, grantee: user/a, operations: [Decrypt], constraint: {encryptionContextEquals: {a: b}, encryptionContextSubset: {a: b}}}]}]\n"), "has either encryptionContextEquals or encryptionContextSubset"},
		{"tags of AWS", in("  keys: [{alias: alias/a, tags: {'aws:x': y}}]\n"), "begins with aws:, which is reserved"},
		{"tag in two cases", in("  users: [{name: a, tags: {x: y, X: y}}]\n"), "is there twice, in another case"},
		{"access keys without a file", in("  users: [{name: a, accessKeys: 1}]\n"), "name the file that their secrets are written to"},
		{"three access keys", in("  users: [{name: a, accessKeys: 3, accessKeyFile: f}]\n"), "accessKeys of user a is to be a number from 0 to 2"},
		{"provider", in("  oidcProviders: [{url: 'http://x'}]\n"), "begins with https://"},
		{"fixed id alone", in("  keys: [{alias: alias/a, id: bc436485-5092-42b8-92a3-0aa8b93536dc}]\n"), "has a fixed id or fixed materials, and not the other"},
		{"fixed id", in("  keys: [{id: BC436485, materials: []}]\n"), "a UUID in lower case"},
		{"fixed and other access keys", in("  users: [{name: a, accessKeys: 1, accessKeyFile: f, fixedAccessKeys: [{id: AKIAIOSFODNN7EXAMPLE, secret: 0123456789abcdef}]}]\n"), "two of one kind are the most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := declare.Parse([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// Everything that is wrong is told at once, in the order of the lines.
func TestAllProblemsAreTold(t *testing.T) {
	_, err := declare.Parse([]byte(in("  users:\n  - {name: a, enabled: true}\n  - {nme: b}\n  keys:\n  - {}\n")))
	if err == nil {
		t.Fatal("taken")
	}
	last := ""
	n := 0
	for line := range strings.Lines(err.Error()) {
		if line[:6] < last {
			t.Errorf("out of order:\n%v", err)
		}
		last = line[:6]
		n++
	}
	if n != 4 {
		t.Errorf("%d problems:\n%v", n, err)
	}
}

// TestSEC_G01: what is said of a file that is refused holds nothing that is a secret in
// it, wherever the mistake is.
func TestSEC_G01_RefusalsQuoteNoSecret(t *testing.T) {
	const canary = "Q0FOQVJZQ0FOQVJZQ0FOQVJZQ0FOQVJZQ0FOQVI=" // 29 bytes
	for _, text := range []string{
		in("  keys: [{id: bc436485-5092-42b8-92a3-0aa8b93536dc, materials: [" + canary + "]}]\n"),
		in("  keys: [{id: bc436485-5092-42b8-92a3-0aa8b93536dc, materials: " + canary + "}]\n"),
		in("  keys: [{id: bc436485-5092-42b8-92a3-0aa8b93536dc, materials: [" + canary + "]"),
		in("  keys: [{id: bc436485-5092-42b8-92a3-0aa8b93536dc, materials: [*" + canary[:20] + "]}]\n"),
		in("  users: [{name: a, fixedAccessKeys: [{id: " + canary + ", secret: " + canary + "}]}]\n"),
		in("  users: [{name: a, fixedAccessKeys: [{id: x, secret: {" + canary + ": x}}]}]\n"),
		in("  users: [{name: a, fixedAccessKeys: " + canary + "}]\n"),
		in("  users: [{name: a, accessKeys: " + canary + "}]\n"),
		in("  keys: [{id: bc436485-5092-42b8-92a3-0aa8b93536dc, " + canary + "}]\n"),
		in("  users: [{name: a, tags: {" + canary + ": x, " + canary + ": x}}]\n"),
		"version: " + canary + "\n",
	} {
		_, err := declare.Parse([]byte(text))
		if err == nil || strings.Contains(err.Error(), canary[:20]) {
			t.Errorf("%v", err)
		}
	}
}

// Texts are what is written: no number, no date, no truth.
func TestTextsAreAsWritten(t *testing.T) {
	d, err := declare.Parse([]byte(head + "accounts:\n- id: 012345678901\n  name: 1.50\n  users:\n  - {name: 007, tags: {a: true, b: 2012-10-17, c: 1_000, d: ~x, e: ''}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := d.Accounts[0]
	want := []declare.Pair{{"a", "true"}, {"b", "2012-10-17"}, {"c", "1_000"}, {"d", "~x"}, {"e", ""}}
	if a.ID != "012345678901" || a.Name != "1.50" || a.Users[0].Name != "007" {
		t.Errorf("read as %+v", a)
	}
	for i, tag := range a.Users[0].Tags {
		if tag != want[i] {
			t.Errorf("tag %v, want %v", tag, want[i])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(example(f)))
	f.Add([]byte(in("  keys: [{id: bc436485-5092-42b8-92a3-0aa8b93536dc, materials: [QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=]}]\n")))
	f.Add([]byte("version: 1\naccounts: &a [*a]\n"))
	f.Add([]byte("version: 1\naccounts: [[[{{:"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := declare.Parse(text)
		if d == nil && err == nil {
			t.Fatal("neither a declaration nor an error")
		}
		if err != nil && len(err.Error()) > 1<<16 {
			t.Fatalf("an error of %d bytes", len(err.Error()))
		}
	})
}
