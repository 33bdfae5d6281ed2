package iam_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/iam"
)

// policy puts one statement's members into a document.
func policy(members string) string {
	return `{"Version":"2012-10-17","Statement":[{` + members + `}]}`
}

const allowAll = `"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"`

func TestParseTakes(t *testing.T) {
	for name, text := range map[string]string{
		"one statement, no array":       `{"Version":"2012-10-17","Statement":{` + allowAll + `}}`,
		"no version":                    `{"Statement":[{` + allowAll + `}]}`,
		"the older version":             `{"Version":"2008-10-17","Statement":[{` + allowAll + `}]}`,
		"id and sid, with blanks":       `{"Version":"2012-10-17","Id":"key-default-1","Statement":[{"Sid":"Enable IAM User Permissions",` + allowAll + `}]}`,
		"lists":                         policy(`"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:root","444455556666","*"]},"Action":["kms:Encrypt","kms:De*"],"Resource":["*","arn:aws:kms:*"]`),
		"no action":                     policy(`"Effect":"Allow","Principal":"*","Resource":"*"`),
		"no resource":                   policy(`"Effect":"Allow","Principal":"*","Action":"kms:*"`),
		"no principal, as for a user":   policy(`"Effect":"Allow","Action":"*","Resource":"*"`),
		"actions of other services":     policy(`"Effect":"Allow","Principal":"*","Action":["s3:GetObject","a4b:x","*:*","kms:?ncrypt"],"Resource":"*"`),
		"blanks around":                 " \t\r\n" + policy(allowAll) + "\n",
		"escapes":                       policy(`"Effect":"\u0041llow","Principal":"\u002a","Action":"kms:\u002a","Resource":"*"`),
		"a user with a path":            policy(`"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:user/a/b/c"},"Action":"*","Resource":"*"`),
		"the largest document there is": strings.Repeat(" ", iam.MaxPolicySize-len(policy(allowAll))) + policy(allowAll),
	} {
		p, err := iam.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if p.Source != text {
			t.Errorf("%s: the source is not what was given", name)
		}
	}
}

// What is not understood whole is not taken at all: a statement that is stored
// and not evaluated would be a lie.
func TestSEC_B01_ParseRefuses(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	principal := func(v string) string {
		return policy(`"Effect":"Allow","Principal":` + v + `,"Action":"kms:*","Resource":"*"`)
	}
	resource := func(v string) string {
		return policy(`"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"arn:aws:kms:us-east-1:111122223333:alias/` + v + `"`)
	}
	action := func(v string) string {
		return policy(`"Effect":"Allow","Principal":"*","Action":` + v + `,"Resource":"*"`)
	}
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"no JSON", "hello"},
		{"null", "null"},
		{"an array", "[]"},
		{"a string", `"*"`},
		{"an empty object", "{}"},
		{"two documents", policy(allowAll) + policy(allowAll)},
		{"something behind", policy(allowAll) + "x"},
		{"cut", policy(allowAll)[:60]},
		{"a byte order mark", "\ufeff" + policy(allowAll)},
		{"bad UTF-8", policy(`"Sid":"` + "\xff" + `",` + allowAll)},
		{"half a surrogate", policy(`"Sid":"\ud800",` + allowAll)},
		{"a comment", "{/**/" + policy(allowAll)[1:]},
		{"a comma too many", policy(allowAll + ",")},

		{"another version", strings.Replace(policy(allowAll), "2012-10-17", "2012-10-18", 1)},
		{"no version's name", strings.Replace(policy(allowAll), "2012-10-17", "", 1)},
		{"version as a number", strings.Replace(policy(allowAll), `"2012-10-17"`, "2012", 1)},
		{"no statement", `{"Version":"2012-10-17"}`},
		{"an empty list of statements", `{"Statement":[]}`},
		{"statements null", `{"Statement":null}`},
		{"a statement null", `{"Statement":[null]}`},
		{"an empty statement", `{"Statement":{}}`},
		{"an unknown member of the document", `{"Statemnt":[],"Statement":[{` + allowAll + `}]}`},
		{"an unknown member of a statement", policy(`"Conditions":{},` + allowAll)},
		{"a member in lower case", strings.Replace(policy(allowAll), `"Effect"`, `"effect"`, 1)},
		{"statement in lower case", strings.Replace(policy(allowAll), `"Statement"`, `"statement"`, 1)},
		{"statements twice", `{"Statement":[{` + allowAll + `}],"Statement":[{` + allowAll + `}]}`},
		{"effect twice", policy(`"Effect":"Deny",` + allowAll)},
		{"effect twice, once escaped", policy(`"\u0045ffect":"Deny",` + allowAll)},
		{"a principal twice", principal(`{"AWS":"111122223333","AWS":"*"}`)},

		{"no effect", policy(`"Principal":"*","Action":"kms:*","Resource":"*"`)},
		{"effect null", policy(`"Effect":null,"Principal":"*","Action":"kms:*","Resource":"*"`)},
		{"deny in lower case", policy(`"Effect":"deny","Principal":"*","Action":"kms:*","Resource":"*"`)},
		{"allow in capitals", policy(`"Effect":"ALLOW","Principal":"*","Action":"kms:*","Resource":"*"`)},
		{"effect with a blank", policy(`"Effect":"Deny ","Principal":"*","Action":"kms:*","Resource":"*"`)},
		{"effect true", policy(`"Effect":true,"Principal":"*","Action":"kms:*","Resource":"*"`)},

		{"an action without a service", action(`"Encrypt"`)},
		{"an action that is empty", action(`""`)},
		{"an action without a name", action(`"kms:"`)},
		{"an action without a service's name", action(`":Encrypt"`)},
		{"an action with two colons", action(`"kms:a:b"`)},
		{"an action with a blank", action(`"kms: Encrypt"`)},
		{"an action with a letter that folds to k", action(`"\u212ams:*"`)},
		{"an action null", action(`[null]`)},
		{"a number for an action", action(`1`)},
		{"an object for an action", action(`{"kms":"*"}`)},
		{"lists in lists of actions", action(`[["kms:*"]]`)},

		{"principal and not principal", policy(`"NotPrincipal":"*",` + allowAll)},
		{"action and not action", policy(`"NotAction":[],` + allowAll)},
		{"resource and not resource", policy(`"NotResource":"x",` + allowAll)},
		{"not action null", policy(`"Effect":"Allow","Principal":"*","NotAction":null,"Resource":"*"`)},
		{"not action empty", policy(`"Effect":"Allow","Principal":"*","NotAction":[],"Resource":"*"`)},
		{"not resource empty", policy(`"Effect":"Allow","Principal":"*","Action":"kms:*","NotResource":[]`)},
		{"action null", policy(`"Effect":"Allow","Principal":"*","Action":null,"Resource":"*"`)},
		{"resource null", policy(`"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":null`)},
		{"principal null", policy(`"Effect":"Allow","Principal":null,"Action":"kms:*","Resource":"*"`)},
		{"sid null", policy(`"Sid":null,` + allowAll)},
		{"id a number", `{"Id":1,"Statement":[{` + allowAll + `}]}`},
		{"resource a number", policy(`"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":1`)},

		{"a principal that is a name", principal(`"111122223333"`)},
		{"a principal that is a list", principal(`["*"]`)},
		{"a principal that is true", principal(`true`)},
		{"a principal that lists numbers", principal(`{"AWS":[111122223333]}`)},

		{"a variable without a brace", resource("${aws:username")},
		{"a variable without a name", resource("${}")},
		{"a variable without a service", resource("${username}")},
		{"a variable without a word", resource("${aws:}")},
		{"a variable with a blank", resource("${aws:user name}")},
		{"a variable with a default without quotes", resource("${aws:username, x}")},
		{"a variable with a default that does not end", resource("${aws:username, 'x}")},
		{"a variable with something behind the default", resource("${aws:username, 'x'y}")},
		{"a variable before the fifth colon", policy(`"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"arn:aws:kms:${aws:RequestedRegion}:111122223333:key/*"`)},
		{"a variable for the account", policy(`"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"arn:aws:kms:us-east-1:${aws:PrincipalAccount}:key/*"`)},
		{"a variable for all", policy(`"Effect":"Deny","Principal":"*","Action":"kms:*","NotResource":"${aws:username}"`)},

		{"over the size", strings.Repeat(" ", iam.MaxPolicySize+1-len(policy(allowAll))) + policy(allowAll)},
		{"nested a thousand deep", policy(`"Condition":` + nested(1000) + `,` + allowAll)},
		{"nested as deep as it goes", nested(iam.MaxPolicySize / 2)},
		{"opened a thousand times", strings.Repeat(`{"Statement":`, 1000)},
		{"brackets in a string, then nested", policy(`"Sid":"]]]]]]]]]]]]]]]]]]]]]]]]","Condition":` + nested(20) + `,` + allowAll)},
	} {
		p, err := iam.Parse(c.text)
		if !errors.Is(err, iam.ErrMalformed) || p != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// Brackets in strings are no nesting.
	if _, err := iam.Parse(policy(`"Sid":"` + strings.Repeat(`[\"{`, 100) + `",` + allowAll)); err != nil {
		t.Errorf("brackets in a string: %v", err)
	}
}

// The text of a refusal is for the caller, and names elements only: a document
// may have anything in it.
func TestRefusalsQuoteNothing(t *testing.T) {
	for _, text := range []string{
		policy(`"Effect":"hunter2","Principal":"*"`), policy(`"hunter2":1,` + allowAll), policy(`"Effect":"Allow","Principal":{"hunter2":"x"}`),
		policy(`"Effect":"Allow","Principal":{"AWS":"hunter2"}`), policy(`"Effect":"Allow","Action":"hunter2"`), `{"Version":"hunter2"}`, "hunter2",
		policy(`"Condition":{"hunter2":{}},` + allowAll), policy(`"Effect":"Allow","Action":"*","Resource":"${hunter2}"`),
	} {
		if _, err := iam.Parse(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// The same document is refused with the same words each time.
func TestRefusalIsDeterministic(t *testing.T) {
	text := policy(`"Effect":"Allow","Principal":{"AWS":"x","Robot":"x","Service":"x","Federated":"x","CanonicalUser":"x"},"Action":"*","Resource":"*"`)
	_, first := iam.Parse(text)
	for range 50 {
		if _, err := iam.Parse(text); err == nil || err.Error() != first.Error() {
			t.Fatalf("%v, and before %v", err, first)
		}
	}
}

// FuzzParse: no text makes the parser panic; what it takes is not over the size,
// is the same when parsed again, is evaluated, explained and looked over
// without a panic, and allows nothing to nobody.
func FuzzParse(f *testing.F) {
	f.Add(policy(allowAll))
	f.Add(policy(`"Effect":"Deny","Principal":{"AWS":["111122223333","arn:aws:iam::111122223333:user/a"]},"Action":["kms:*"],"Resource":["*"]`))
	f.Add(`{"Statement":{"Effect":"Allow"}}`)
	f.Add(strings.Repeat("[", 100))
	f.Add(policy(`"Sid":"\ud83d\ude00",` + allowAll))
	f.Add(policy(`"Condition":{"ForAnyValue:StringLikeIfExists":{"aws:TagKeys":["a?*${aws:username, 'x'}${*}",1,true]},"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00.5+01:00"},"IpAddress":{"aws:SourceIp":"::/0"}},` + allowAll))
	f.Add(policy(`"Effect":"Allow","NotPrincipal":{"Federated":"a.b"},"NotAction":"kms:?*","NotResource":"a:b:c:d:e:${aws:username}","Condition":{"ArnLike":{"aws:SourceArn":"*:*:*:*:*:*"},"Null":{"a:b":false},"BinaryEquals":{"a:b/c":"YQ=="}}`))
	values := fixed{{Name: "aws:tagkeys"}: iam.Texts([]string{"a", ""}), {Name: "aws:username"}: iam.Text("*"), {Name: "aws:sourceip"}: iam.Text("::1"), {Name: "aws:currenttime"}: iam.Number(1), {Name: "a:b"}: iam.Text("\xff")}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := iam.Parse(text)
		if err != nil {
			if p != nil || !errors.Is(err, iam.ErrMalformed) {
				t.Fatalf("%v with %v", err, p)
			}
			return
		}
		if len(text) > iam.MaxPolicySize || len(p.Statements) == 0 {
			t.Fatal("taken")
		}
		again, err := iam.Parse(p.Source)
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("not again: %v", err)
		}
		for _, who := range []*iam.Principal{alice, session("build"), {}} {
			r := &iam.Request{Principal: who, Action: iam.NewAction("kms:Encrypt"), Resource: keyARN, Context: values}
			for _, kind := range []iam.PolicyKind{iam.KeyPolicy, iam.IdentityPolicy, iam.TrustPolicy} {
				o := evaluate(p, r, kind)
				if who.Kind == iam.Nobody && (o.Allow || o.Direct || o.Delegates) || o.Direct && !o.Allow {
					t.Fatalf("kind %d: %+v", kind, o)
				}
				p.Explain(r, kind)
				iam.Lint(p, kind)
				if err := iam.Check(p, kind); err != nil && !errors.Is(err, iam.ErrMalformed) {
					t.Fatal(err)
				}
			}
		}
	})
}

// quoted is a string as JSON has it.
func quoted(t testing.TB, s string) string {
	t.Helper()
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
