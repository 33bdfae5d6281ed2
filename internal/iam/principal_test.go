package iam_test

import (
	"fmt"
	"strings"
	"testing"

	"trent/internal/iam"
)

const (
	aliceID = "AIDA2222222222222222"
	ciID    = "AROA2222222222222222"
	idp     = "arn:aws:iam::111122223333:oidc-provider/idp.example.com/main"
)

// A session of the role team/ci, as aws:userid has it.
func session(name string) *iam.Principal {
	return &iam.Principal{
		Kind: iam.RoleSession, Partition: "aws", Account: "111122223333", ARN: "arn:aws:sts::111122223333:assumed-role/ci/" + name, Name: name,
		UniqueID: ciID + ":" + name, RoleARN: "arn:aws:iam::111122223333:role/team/ci", RoleID: ciID,
	}
}

func user(name, id string) *iam.Principal {
	return &iam.Principal{Kind: iam.User, Partition: "aws", Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/" + name, Name: name, UniqueID: id}
}

// says is what a statement for all actions says, in the words of words.
func says(t testing.TB, element, value, effect string, who *iam.Principal) string {
	t.Helper()
	p := mustParse(t, policy(fmt.Sprintf(`"Effect":%q,%q:%s,"Action":"*","Resource":"*"`, effect, element, value)))
	return words(p.EvaluateResource(ask(who, "kms:Decrypt", keyARN)))
}

// A role's name is no session's: it is cut by boundaries and session policies.
func TestPrincipalForms(t *testing.T) {
	build, alice := session("build"), user("alice", aliceID)
	for _, c := range []struct {
		value string
		who   *iam.Principal
		want  string
	}{
		{`"arn:aws:iam::111122223333:role/team/ci"`, build, "allow"},
		{`"arn:aws:iam::111122223333:role/ci"`, build, ""},
		{`"` + ciID + `"`, build, "allow"},
		{`"arn:aws:sts::111122223333:assumed-role/ci/build"`, build, "direct allow"},
		{`"arn:aws:sts::111122223333:assumed-role/ci/Build"`, build, ""},
		{`"arn:aws:sts::111122223333:assumed-role/ci/test"`, build, ""},
		{`"` + ciID + `:build"`, build, "direct allow"},
		{`"` + ciID + `:test"`, build, ""},
		{`"AROA3333333333333333"`, build, ""},
		{`["` + ciID + `","arn:aws:iam::111122223333:root"]`, build, "allow delegates"},
		{`["` + ciID + `:build","*"]`, build, "direct allow"},
		{`"111122223333"`, build, "delegates"},
		{`"` + aliceID + `"`, alice, "direct allow"},
		{`"arn:aws:iam::111122223333:user/alice"`, alice, "direct allow"},
		{`"AIDA3333333333333333"`, alice, ""},
		{`"` + ciID + `"`, alice, ""},
		{`"*"`, alice, "allow"},
		{`"arn:aws:sts::111122223333:federated-user/alice"`, alice, ""},
		// The names of one kind are not those of another.
		{`"arn:aws:iam::111122223333:user/alice"`, &iam.Principal{Kind: iam.RoleSession, Account: "111122223333", Partition: "aws", ARN: alice.ARN}, ""},
		{`"` + aliceID + `"`, &iam.Principal{Kind: iam.RoleSession, Account: "111122223333", Partition: "aws", UniqueID: aliceID}, ""},
		{`"arn:aws:sts::111122223333:assumed-role/ci/build"`, &iam.Principal{Kind: iam.User, Account: "111122223333", Partition: "aws", ARN: build.ARN}, ""},
		{`"arn:aws:iam::111122223333:role/team/ci"`, &iam.Principal{Kind: iam.User, Account: "111122223333", Partition: "aws", RoleARN: build.RoleARN}, ""},
	} {
		if got := says(t, "Principal", `{"AWS":`+c.value+`}`, "Allow", c.who); got != c.want {
			t.Errorf("%s, asked by %s: %q, want %q", c.value, c.who.ARN, got, c.want)
		}
		deny := ""
		if c.want != "" {
			deny = "deny"
		}
		if got := says(t, "Principal", `{"AWS":`+c.value+`}`, "Deny", c.who); got != deny {
			t.Errorf("deny of %s, asked by %s: %q", c.value, c.who.ARN, got)
		}
	}
	for _, value := range []string{`{"Service":"lambda.amazonaws.com"}`, `{"Federated":"` + idp + `"}`} {
		if got := says(t, "Principal", value, "Allow", build); got != "" {
			t.Errorf("%s is %s", value, got)
		}
	}
}

// Nobody is allowed anything, and denied whatever everyone is.
func TestNobody(t *testing.T) {
	for _, who := range []*iam.Principal{nil, {}, {Account: "111122223333", Partition: "aws", ARN: alice.ARN, UniqueID: aliceID, RoleARN: session("x").RoleARN}} {
		r := &iam.Request{Principal: who, Action: iam.NewAction("kms:Decrypt"), Resource: keyARN}
		for _, value := range []string{`"*"`, `{"AWS":["*","111122223333","` + alice.ARN + `","` + aliceID + `"]}`} {
			p := mustParse(t, policy(`"Effect":"Allow","Principal":`+value+`,"Action":"*","Resource":"*"`))
			for _, o := range []iam.Outcome{p.EvaluateResource(r), p.EvaluateTrust(r), p.EvaluateIdentity(r)} {
				if o != (iam.Outcome{}) {
					t.Errorf("%+v: %s allows nobody %+v", who, value, o)
				}
			}
		}
		for _, element := range []string{`"Principal":"*",`, `"NotPrincipal":{"AWS":["111122223333","` + alice.ARN + `"]},`} {
			p := mustParse(t, policy(`"Effect":"Deny",`+element+`"Action":"*","Resource":"*"`))
			if !p.EvaluateResource(r).Deny || !p.EvaluateTrust(r).Deny || !p.EvaluateIdentity(r).Deny {
				t.Errorf("%+v: %s does not deny nobody", who, element)
			}
		}
		if o := mustParse(t, policy(`"Effect":"Allow","NotPrincipal":{"AWS":"444455556666"},"Action":"*","Resource":"*"`)).EvaluateResource(r); o != (iam.Outcome{}) {
			t.Errorf("%+v: NotPrincipal allows nobody %+v", who, o)
		}
		if o := mustParse(t, policy(`"Effect":"Allow","Action":"*","Resource":"*"`)).EvaluateIdentity(r); o != (iam.Outcome{}) {
			t.Errorf("%+v: an identity policy allows nobody %+v", who, o)
		}
	}
}

// A Deny with NotPrincipal spares whom it lists with the whole chain behind; an
// Allow reaches whoever has no link in it.
func TestNotPrincipal(t *testing.T) {
	build, alice := session("build"), user("alice", aliceID)
	root := &iam.Principal{Kind: iam.RootUser, Partition: "aws", Account: "111122223333", ARN: "arn:aws:iam::111122223333:root"}
	const account, role, here, alic = `"arn:aws:iam::111122223333:root"`, `"arn:aws:iam::111122223333:role/team/ci"`, `"arn:aws:sts::111122223333:assumed-role/ci/build"`, `"arn:aws:iam::111122223333:user/alice"`
	for _, c := range []struct {
		list        []string
		who         *iam.Principal
		deny, allow bool
	}{
		{[]string{alic, account}, alice, false, false},
		{[]string{alic, `"111122223333"`}, alice, false, false},
		{[]string{`"` + aliceID + `"`, account}, alice, false, false},
		{[]string{alic}, alice, true, false},
		{[]string{account}, alice, true, false},
		{[]string{`"arn:aws:iam::111122223333:user/bob"`, account}, alice, true, false},
		{[]string{`"444455556666"`}, alice, true, true},
		{[]string{`"*"`}, alice, false, false},
		{[]string{here, role, account}, build, false, false},
		{[]string{`"` + ciID + `:build"`, `"` + ciID + `"`, account}, build, false, false},
		{[]string{here, role}, build, true, false},
		{[]string{here, account}, build, true, false},
		{[]string{role, account}, build, true, false},
		{[]string{role}, build, true, false},
		{[]string{`"arn:aws:sts::111122223333:assumed-role/ci/test"`, role, account}, build, true, false},
		{[]string{alic}, build, true, true},
		{[]string{account}, root, false, false},
		{[]string{alic}, root, true, true},
		{[]string{`"arn:aws-cn:iam::111122223333:root"`}, root, true, true},
	} {
		value := `{"AWS":[` + strings.Join(c.list, ",") + `]}`
		if got := says(t, "NotPrincipal", value, "Deny", c.who); (got == "deny") != c.deny {
			t.Errorf("%s is denied by all but %s: %q", c.who.ARN, value, got)
		}
		want := ""
		if c.allow {
			want = "allow"
		}
		if got := says(t, "NotPrincipal", value, "Allow", c.who); got != want {
			t.Errorf("%s is allowed by all but %s: %q", c.who.ARN, value, got)
		}
	}
	if got := says(t, "NotPrincipal", `"*"`, "Deny", alice); got != "" {
		t.Errorf("all but everyone: %q", got)
	}
}

func TestTrust(t *testing.T) {
	web := &iam.Principal{FederatedProvider: idp}
	google := &iam.Principal{FederatedProvider: "accounts.google.com"}
	trust := func(effect, members string, who *iam.Principal) string {
		p := mustParse(t, policy(`"Effect":"`+effect+`",`+members))
		return words(p.EvaluateTrust(ask(who, "sts:AssumeRoleWithWebIdentity", "arn:aws:iam::111122223333:role/x")))
	}
	federated := func(v string) string {
		return `"Principal":{"Federated":` + v + `},"Action":"sts:AssumeRoleWithWebIdentity"`
	}
	for _, c := range []struct {
		effect, members string
		who             *iam.Principal
		want            string
	}{
		{"Allow", federated(`"` + idp + `"`), web, "allow"},
		{"Allow", federated(`["x.example.com","` + idp + `"]`), web, "allow"},
		{"Allow", federated(`"` + idp + `2"`), web, ""},
		{"Allow", federated(`"accounts.google.com"`), google, "allow"},
		{"Allow", federated(`"accounts.google.com"`), web, ""},
		{"Deny", federated(`"` + idp + `"`), web, "deny"},
		{"Allow", `"Principal":"*","Action":"sts:*"`, web, ""},
		{"Deny", `"Principal":"*","Action":"sts:*"`, web, "deny"},
		{"Deny", `"NotPrincipal":{"Federated":"` + idp + `"},"Action":"sts:*"`, web, ""},
		{"Deny", `"NotPrincipal":{"Federated":"` + idp + `"},"Action":"sts:*"`, google, "deny"},
		{"Allow", `"NotPrincipal":{"Federated":"` + idp + `"},"Action":"sts:*"`, google, ""},
		{"Allow", federated(`"` + idp + `"`), alice, ""},
		{"Allow", `"Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"sts:*"`, alice, "delegates"},
		{"Allow", `"Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"sts:*"`, alice, "direct allow"},
		{"Allow", `"Principal":{"AWS":"` + ciID + `"},"Action":"sts:*"`, session("build"), "allow"},
		{"Allow", `"Principal":"*","Action":"sts:*","Resource":"*"`, alice, ""},
		{"Deny", `"Principal":"*","Action":"sts:*","Resource":"other"`, alice, "deny"},
		{"Deny", `"Principal":"*","Action":"sts:*","NotResource":"*"`, alice, "deny"},
		{"Allow", `"Principal":"*"`, alice, ""},
		{"Allow", `"Action":"sts:*"`, alice, ""},
	} {
		if got := trust(c.effect, c.members, c.who); got != c.want {
			t.Errorf("%s %s, asked by %s%s: %q, want %q", c.effect, c.members, c.who.ARN, c.who.FederatedProvider, got, c.want)
		}
	}
}

// A name with a wildcard, of a group, or of nothing that can sign a request is
// no principal.
func TestInvalidPrincipals(t *testing.T) {
	for kind, values := range map[string][]string{
		"AWS": {"", "alice", "11112222333", "1111222233334", "11112222333a", "arn:aws:iam::111122223333:user/", "arn:aws:iam::111122223333:user", "arn:aws:iam::111122223333:user/*", "arn:aws:iam::111122223333:user/al?ce", "arn:aws:iam::*:root",
			"arn:*:iam::111122223333:root", "arn:aws:iam::111122223333:*", "arn:aws:iam::111122223333:group/all", "arn:aws:iam:us-east-1:111122223333:root", "arn:aws:iam::111122223333:root/x", "arn:aws:iam::111122223333:rootx", "arn:aws:s3::111122223333:root",
			"arn:aws:iam::11112222333:user/a", "arn:aws:iam::111122223333:role/a/", "arn:aws:iam::111122223333:role//a", "arn:aws:sts::111122223333:assumed-role/ci", "arn:aws:sts::111122223333:assumed-role/ci/", "arn:aws:sts::111122223333:assumed-role/ci/*",
			"arn:aws:sts::111122223333:assumed-role/team/ci/build", "arn:aws:sts::111122223333:assumed-role/ci/b", "arn:aws:sts::111122223333:federated-user/", "arn:aws:sts::111122223333:role/ci", "arn:aws:iam::111122223333:assumed-role/ci/build",
			" *", "**", "arn:aws:iam::111122223333:user/a b", "arn:aws:iam::111122223333:user/ä", "AIDA", "AIDA222222222222222a", "AIDA2222222222222222:build", "AROA2222222222222222:", "AROA2222222222222222:*", "AGPA2222222222222222", "aida2222222222222222", "lambda.amazonaws.com"},
		"Service":       {"", "*", "lambda", "lambda.amazonaws.*", ".com", "a.", "lambda amazonaws.com", "https://a.b"},
		"Federated":     {"", "*", "google", "arn:aws:iam::111122223333:oidc-provider/*", "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:oidc-provider/", "arn:aws:iam:us-east-1:111122223333:oidc-provider/a.b", "arn:aws:iam::1:oidc-provider/a.b", "https://a.b"},
		"CanonicalUser": {"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}, "aws": {"*"}, "*": {"*"}, "Group": {"x"},
	} {
		for _, v := range values {
			for _, element := range []string{"Principal", "NotPrincipal"} {
				isInvalidPrincipal(t, policy(fmt.Sprintf(`"Effect":"Deny",%q:{%q:%q},"Action":"*","Resource":"*"`, element, kind, v)))
				isInvalidPrincipal(t, policy(fmt.Sprintf(`"Effect":"Deny",%q:{"AWS":"111122223333",%q:["arn:aws:iam::111122223333:user/a",%q]},"Action":"*","Resource":"*"`, element, kind+" ", v)))
			}
		}
	}
	for _, v := range []string{`{}`, `{"AWS":[]}`, `{"AWS":"*","Service":[]}`} {
		isInvalidPrincipal(t, policy(`"Effect":"Deny","Principal":`+v+`,"Action":"*","Resource":"*"`))
	}
}
