package iam_test

import (
	"errors"
	"strings"
	"testing"

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
	action := func(v string) string {
		return policy(`"Effect":"Allow","Principal":"*","Action":` + v + `,"Resource":"*"`)
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"nothing", "", iam.ErrMalformed},
		{"no JSON", "hello", iam.ErrMalformed},
		{"null", "null", iam.ErrMalformed},
		{"an array", "[]", iam.ErrMalformed},
		{"a string", `"*"`, iam.ErrMalformed},
		{"an empty object", "{}", iam.ErrMalformed},
		{"two documents", policy(allowAll) + policy(allowAll), iam.ErrMalformed},
		{"something behind", policy(allowAll) + "x", iam.ErrMalformed},
		{"cut", policy(allowAll)[:60], iam.ErrMalformed},
		{"a byte order mark", "\ufeff" + policy(allowAll), iam.ErrMalformed},
		{"bad UTF-8", policy(`"Sid":"` + "\xff" + `",` + allowAll), iam.ErrMalformed},
		{"half a surrogate", policy(`"Sid":"\ud800",` + allowAll), iam.ErrMalformed},
		{"a comment", "{/**/" + policy(allowAll)[1:], iam.ErrMalformed},
		{"a comma too many", policy(allowAll + ","), iam.ErrMalformed},

		{"another version", strings.Replace(policy(allowAll), "2012-10-17", "2012-10-18", 1), iam.ErrMalformed},
		{"version as a number", strings.Replace(policy(allowAll), `"2012-10-17"`, "2012", 1), iam.ErrMalformed},
		{"no statement", `{"Version":"2012-10-17"}`, iam.ErrMalformed},
		{"an empty list of statements", `{"Statement":[]}`, iam.ErrMalformed},
		{"statements null", `{"Statement":null}`, iam.ErrMalformed},
		{"a statement null", `{"Statement":[null]}`, iam.ErrMalformed},
		{"an empty statement", `{"Statement":{}}`, iam.ErrMalformed},
		{"an unknown member of the document", `{"Statemnt":[],"Statement":[{` + allowAll + `}]}`, iam.ErrMalformed},
		{"an unknown member of a statement", policy(`"Conditions":{},` + allowAll), iam.ErrMalformed},
		{"a member in lower case", strings.Replace(policy(allowAll), `"Effect"`, `"effect"`, 1), iam.ErrMalformed},
		{"statement in lower case", strings.Replace(policy(allowAll), `"Statement"`, `"statement"`, 1), iam.ErrMalformed},
		{"statements twice", `{"Statement":[{` + allowAll + `}],"Statement":[{` + allowAll + `}]}`, iam.ErrMalformed},
		{"effect twice", policy(`"Effect":"Deny",` + allowAll), iam.ErrMalformed},
		{"effect twice, once escaped", policy(`"\u0045ffect":"Deny",` + allowAll), iam.ErrMalformed},
		{"a principal twice", principal(`{"AWS":"111122223333","AWS":"*"}`), iam.ErrMalformed},

		{"no effect", policy(`"Principal":"*","Action":"kms:*","Resource":"*"`), iam.ErrMalformed},
		{"effect null", policy(`"Effect":null,"Principal":"*","Action":"kms:*","Resource":"*"`), iam.ErrMalformed},
		{"deny in lower case", policy(`"Effect":"deny","Principal":"*","Action":"kms:*","Resource":"*"`), iam.ErrMalformed},
		{"allow in capitals", policy(`"Effect":"ALLOW","Principal":"*","Action":"kms:*","Resource":"*"`), iam.ErrMalformed},
		{"effect with a blank", policy(`"Effect":"Deny ","Principal":"*","Action":"kms:*","Resource":"*"`), iam.ErrMalformed},
		{"effect true", policy(`"Effect":true,"Principal":"*","Action":"kms:*","Resource":"*"`), iam.ErrMalformed},

		{"an action without a service", action(`"Encrypt"`), iam.ErrMalformed},
		{"an action that is empty", action(`""`), iam.ErrMalformed},
		{"an action without a name", action(`"kms:"`), iam.ErrMalformed},
		{"an action without a service's name", action(`":Encrypt"`), iam.ErrMalformed},
		{"an action with two colons", action(`"kms:a:b"`), iam.ErrMalformed},
		{"an action with a blank", action(`"kms: Encrypt"`), iam.ErrMalformed},
		{"an action with a letter that folds to k", action(`"\u212ams:*"`), iam.ErrMalformed},
		{"an action null", action(`[null]`), iam.ErrMalformed},
		{"a number for an action", action(`1`), iam.ErrMalformed},
		{"an object for an action", action(`{"kms":"*"}`), iam.ErrMalformed},
		{"lists in lists of actions", action(`[["kms:*"]]`), iam.ErrMalformed},

		{"not principal", policy(`"Effect":"Allow","NotPrincipal":"*","Action":"kms:*","Resource":"*"`), iam.ErrUnsupported},
		{"not action", policy(`"Effect":"Allow","Principal":"*","NotAction":"kms:*","Resource":"*"`), iam.ErrUnsupported},
		{"action and not action", policy(`"NotAction":[],` + allowAll), iam.ErrUnsupported},
		{"not action null", policy(`"NotAction":null,` + allowAll), iam.ErrUnsupported},
		{"not resource", policy(`"Effect":"Allow","Principal":"*","Action":"kms:*","NotResource":"*"`), iam.ErrUnsupported},
		{"condition", policy(`"Condition":{"Bool":{"aws:SecureTransport":"true"}},` + allowAll), iam.ErrUnsupported},
		{"an empty condition", policy(`"Condition":{},` + allowAll), iam.ErrUnsupported},
		{"a variable", policy(`"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"arn:aws:kms:*:*:alias/${aws:username}"`), iam.ErrUnsupported},
		{"a service", principal(`{"Service":"lambda.amazonaws.com"}`), iam.ErrUnsupported},
		{"a federated principal", principal(`{"Federated":"x"}`), iam.ErrUnsupported},
		{"a canonical user", principal(`{"CanonicalUser":"x"}`), iam.ErrUnsupported},
		{"an account and a service", principal(`{"AWS":"*","Service":"lambda.amazonaws.com"}`), iam.ErrUnsupported},

		{"over the size", strings.Repeat(" ", iam.MaxPolicySize+1-len(policy(allowAll))) + policy(allowAll), iam.ErrMalformed},
		{"nested a thousand deep", policy(`"Condition":` + nested(1000) + `,` + allowAll), iam.ErrMalformed},
		{"nested as deep as it goes", nested(iam.MaxPolicySize / 2), iam.ErrMalformed},
		{"opened a thousand times", strings.Repeat(`{"Statement":`, 1000), iam.ErrMalformed},
		{"brackets in a string, then nested", policy(`"Sid":"]]]]]]]]]]]]]]]]]]]]]]]]","Condition":` + nested(20) + `,` + allowAll), iam.ErrMalformed},
	} {
		p, err := iam.Parse(c.text)
		if !errors.Is(err, c.want) || p != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	// Brackets in strings are no nesting.
	if _, err := iam.Parse(policy(`"Sid":"` + strings.Repeat(`[\"{`, 100) + `",` + allowAll)); err != nil {
		t.Errorf("brackets in a string: %v", err)
	}
}

func TestInvalidPrincipals(t *testing.T) {
	for _, v := range []string{
		`null`, `""`, `"**"`, `"arn:aws:iam::111122223333:root"`, `[]`, `["*"]`, `1`, `{}`, `{"AWS":null}`, `{"AWS":[]}`, `{"AWS":""}`, `{"AWS":[""]}`, `{"AWS":[null]}`,
		`{"AWS":{"AWS":"*"}}`, `{"AWS":1}`, `{"aws":"*"}`, `{"AWS ":"*"}`, `{"Anyone":"*"}`,
		`{"AWS":"admin"}`, `{"AWS":"11112222333"}`, `{"AWS":"1111222233334"}`, `{"AWS":"１11122223333"}`, `{"AWS":" 111122223333"}`,
		`{"AWS":"arn:aws:iam::111122223333:*"}`, `{"AWS":"arn:aws:iam::*:root"}`, `{"AWS":"arn:aws:iam::111122223333:user/*"}`, `{"AWS":"arn:aws:iam::111122223333:role/a?"}`,
		`{"AWS":"arn:aws:iam::111122223333:group/admins"}`, `{"AWS":"arn:aws:iam::111122223333:user/"}`, `{"AWS":"arn:aws:iam::111122223333:user"}`,
		`{"AWS":"arn:aws:iam::111122223333:Root"}`, `{"AWS":"arn:aws:iam::111122223333:root/x"}`, `{"AWS":"arn:aws:iam::111122223333:USER/a"}`,
		`{"AWS":"arn:aws:iam:us-east-1:111122223333:root"}`, `{"AWS":"arn:aws:kms::111122223333:root"}`, `{"AWS":"arn:aws:iam::11112222333:root"}`, `{"AWS":"arn:aws:iam:::root"}`,
		`{"AWS":"ARN:aws:iam::111122223333:root"}`, `{"AWS":"arn::iam::111122223333:root"}`, `{"AWS":"arn:aws:iam::111122223333:"}`, `{"AWS":"arn:aws:iam::111122223333:user/a b"}`,
		`{"AWS":["arn:aws:iam::111122223333:root","x"]}`, `{"AWS":"*","Robot":"x"}`,
	} {
		p, err := iam.Parse(policy(`"Effect":"Allow","Principal":` + v + `,"Action":"kms:*","Resource":"*"`))
		if !errors.Is(err, iam.ErrMalformed) || p != nil {
			t.Errorf("%s: %v", v, err)
		}
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
// is the same when parsed again, and allows nothing to nobody.
func FuzzParse(f *testing.F) {
	f.Add(policy(allowAll))
	f.Add(policy(`"Effect":"Deny","Principal":{"AWS":["111122223333","arn:aws:iam::111122223333:user/a"]},"Action":["kms:*"],"Resource":["*"]`))
	f.Add(`{"Statement":{"Effect":"Allow"}}`)
	f.Add(strings.Repeat("[", 100))
	f.Add(policy(`"Sid":"\ud83d\ude00",` + allowAll))
	f.Fuzz(func(t *testing.T, text string) {
		p, err := iam.Parse(text)
		if err != nil {
			if p != nil || !errors.Is(err, iam.ErrMalformed) && !errors.Is(err, iam.ErrUnsupported) {
				t.Fatalf("%v with %v", err, p)
			}
			return
		}
		if len(text) > iam.MaxPolicySize || len(p.Statements) == 0 {
			t.Fatal("taken")
		}
		again, err := iam.Parse(p.Source)
		if err != nil || len(again.Statements) != len(p.Statements) {
			t.Fatalf("not again: %v", err)
		}
		someone := &iam.Principal{Partition: "aws", Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/a"}
		for _, who := range []*iam.Principal{someone, {}} {
			r := iam.Request{Principal: who, Action: iam.NewAction("kms:Encrypt"), Resource: "arn:aws:kms:us-east-1:111122223333:key/1"}
			if p.EvaluateResource(r) != again.EvaluateResource(r) || p.EvaluateIdentity(r) != again.EvaluateIdentity(r) {
				t.Fatal("two readings of one document")
			}
		}
	})
}
