package iam_test

import (
	"errors"
	"strings"
	"testing"

	"trent/internal/iam"
)

func isInvalidPrincipal(t testing.TB, text string) {
	t.Helper()
	if p, err := iam.Parse(text); p != nil || !errors.Is(err, iam.ErrInvalidPrincipal) || !errors.Is(err, iam.ErrMalformed) {
		t.Errorf("%s: %v", text, err)
	}
}

// ids is a directory of one user and one role, both ways.
var ids = map[string]string{
	"arn:aws:iam::111122223333:user/alice":            aliceID,
	"arn:aws:iam::111122223333:role/team/ci":          ciID,
	"arn:aws:sts::111122223333:assumed-role/ci/build": ciID + ":build",
}

func resolve(arn string) (string, bool) {
	id, ok := ids[arn]
	return id, ok
}

func lookup(id string) (string, bool) {
	for arn, known := range ids {
		if known == id {
			return arn, true
		}
	}
	return "", false
}

// Only names of principals are replaced, and nothing else of the text.
func TestBind(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{policy(`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"*","Resource":"*"`),
			policy(`"Effect":"Allow","Principal":{"AWS":"` + aliceID + `"},"Action":"*","Resource":"*"`)},
		{"{\n\t\"Statement\" : [ {\"Effect\":\"Deny\" ,\r\n\"NotPrincipal\": { \"AWS\" :[ \"arn:aws:iam::111122223333:role/team/ci\" , \"arn:aws:sts::111122223333:assumed-role/ci/build\",\"111122223333\"] } } ]\n}\n",
			"{\n\t\"Statement\" : [ {\"Effect\":\"Deny\" ,\r\n\"NotPrincipal\": { \"AWS\" :[ \"" + ciID + "\" , \"" + ciID + ":build\",\"111122223333\"] } } ]\n}\n"},
		{`{"Statement":{"Effect":"Allow","Principal":{"\u0041WS":"\u0061rn:aws:iam::111122223333:user/alice"}}}`,
			`{"Statement":{"Effect":"Allow","Principal":{"\u0041WS":"` + aliceID + `"}}}`},
		{`{"Statement":[{"Effect":"Allow","Principal":"*"},{"Effect":"Allow","Principal":{"AWS":["*","arn:aws:iam::111122223333:root","arn:aws:sts::111122223333:federated-user/bob"],"Service":"lambda.amazonaws.com","Federated":"accounts.google.com"}}]}`, ""},
		{`{"Id":"arn:aws:iam::111122223333:user/alice","Statement":[{"Sid":"arn:aws:iam::111122223333:user/alice","Effect":"Allow","Resource":"arn:aws:iam::111122223333:user/alice","Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/alice"}}}]}`, ""},
		{`{"Statement":{"Effect":"Allow","Condition":{"StringEquals":{"a:Principal":"x","a:AWS":"arn:aws:iam::111122223333:user/alice"}}}}`, ""},
	} {
		want := c.want
		if want == "" {
			want = c.text
		}
		bound, err := iam.Bind(c.text, resolve)
		if err != nil || bound != want {
			t.Errorf("%s\nbecame %s (%v)", c.text, bound, err)
		}
		if _, err := iam.Parse(bound); err != nil {
			t.Errorf("%s: %v", bound, err)
		}
		if plain := strings.NewReplacer(`\u0061`, "a").Replace(c.text); iam.Unbind(bound, lookup) != plain {
			t.Errorf("%s\ncame back as %s", plain, iam.Unbind(bound, lookup))
		}
	}
}

// What cannot be bound is refused whole.
func TestBindRefuses(t *testing.T) {
	principal := func(v string) string { return `{"Statement":{"Effect":"Allow","Principal":{"AWS":` + v + `}}}` }
	for _, v := range []string{
		`"arn:aws:iam::111122223333:user/Alice"`, `["*","arn:aws:iam::111122223333:role/ci"]`, `"arn:aws:sts::111122223333:assumed-role/ci/test"`, `"arn:aws-cn:iam::111122223333:user/alice"`,
		`"` + aliceID + `"`, `"` + ciID + `"`, `["arn:aws:iam::111122223333:user/alice","` + ciID + `:build"]`, `"AIDA9999999999999999"`,
	} {
		if bound, err := iam.Bind(principal(v), resolve); bound != "" || !errors.Is(err, iam.ErrInvalidPrincipal) {
			t.Errorf("%s: %s, %v", v, bound, err)
		}
	}
	// An id of the wrong kind, or none, binds nobody.
	for _, id := range []string{"", "alice", ciID, aliceID + ":x", "*", "arn:aws:iam::111122223333:user/bob", "111122223333"} {
		if bound, err := iam.Bind(principal(`"arn:aws:iam::111122223333:user/alice"`), func(string) (string, bool) { return id, true }); bound != "" || !errors.Is(err, iam.ErrInvalidPrincipal) {
			t.Errorf("bound to %q: %s, %v", id, bound, err)
		}
	}
	for _, text := range []string{"", "{}", "hello", principal(`"bob"`), principal(`{}`)} {
		if bound, err := iam.Bind(text, resolve); bound != "" || !errors.Is(err, iam.ErrMalformed) {
			t.Errorf("%s: %s, %v", text, bound, err)
		}
		if iam.Unbind(text, lookup) != text {
			t.Errorf("%s was changed", text)
		}
	}
	deleted := principal(`["AIDA9999999999999999","` + aliceID + `"]`)
	if got := iam.Unbind(deleted, lookup); got != principal(`["AIDA9999999999999999","arn:aws:iam::111122223333:user/alice"]`) {
		t.Errorf("a deleted user is shown as %s", got)
	}
}

// Who is created again under the name of a deleted user or role inherits
// nothing from policies that named those.
func TestSEC_B07_RecreatedPrincipal(t *testing.T) {
	text := `{"Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/alice","arn:aws:iam::111122223333:role/team/ci","arn:aws:sts::111122223333:assumed-role/ci/build"]},"Action":"kms:*","Resource":"*"}]}`
	bound, err := iam.Bind(text, resolve)
	if err != nil {
		t.Fatal(err)
	}
	p := mustParse(t, bound)
	again := session("build")
	again.UniqueID, again.RoleID = "AROA7777777777777777:build", "AROA7777777777777777"
	for _, c := range []struct {
		who  *iam.Principal
		want string
	}{
		{user("alice", aliceID), "direct allow"}, {user("alice", "AIDA7777777777777777"), ""},
		{session("build"), "direct allow"}, {session("test"), "allow"}, {again, ""},
		{user("renamed", aliceID), "direct allow"},
	} {
		if got := words(p.EvaluateResource(ask(c.who, "kms:Decrypt", keyARN))); got != c.want {
			t.Errorf("%s (%s): %q, want %q", c.who.ARN, c.who.UniqueID, got, c.want)
		}
	}
}

// FuzzBind: a document that is bound and unbound is the one that it was, but
// for the quoting of the names themselves.
func FuzzBind(f *testing.F) {
	f.Add(policy(`"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/alice","*"]},"Action":"*","Resource":"*"`))
	f.Add(`{"Statement":{"Effect":"Deny","NotPrincipal":{"Service":"a.b","AWS":"arn:aws:sts::111122223333:assumed-role/ci/build"}}}`)
	f.Add(`{"Statement":[{"Effect":"Allow","Condition":{"StringEquals":{"a:Principal":"x"}}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		bound, err := iam.Bind(text, resolve)
		if err != nil {
			if bound != "" || !errors.Is(err, iam.ErrMalformed) {
				t.Fatalf("%q, %v", bound, err)
			}
			return
		}
		p, err := iam.Parse(bound)
		if err != nil {
			t.Fatalf("%s\nbecame %s: %v", text, bound, err)
		}
		for _, o := range []iam.Outcome{p.EvaluateResource(ask(user("alice", "AIDA7777777777777777"), "kms:Decrypt", keyARN)), p.EvaluateTrust(ask(user("alice", ""), "sts:AssumeRole", "*"))} {
			if o.Direct {
				t.Fatalf("%s allows the namesake", bound)
			}
		}
		back := iam.Unbind(bound, lookup)
		again, err := iam.Bind(back, resolve)
		if err != nil || again != bound {
			t.Fatalf("%s\nbecame %s\nand then %s: %v", text, bound, again, err)
		}
	})
}
