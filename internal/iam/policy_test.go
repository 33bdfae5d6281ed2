package iam_test

import (
	"strings"
	"testing"
	"time"

	"trent/internal/iam"
)

const keyARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

var (
	root  = &iam.Principal{Kind: iam.RootUser, Partition: "aws", Account: "111122223333", ARN: "arn:aws:iam::111122223333:root"}
	alice = &iam.Principal{Kind: iam.User, Partition: "aws", Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/alice"}
	other = &iam.Principal{Kind: iam.User, Partition: "aws", Account: "444455556666", ARN: "arn:aws:iam::444455556666:user/alice"}
)

func mustParse(t testing.TB, text string) *iam.Policy {
	t.Helper()
	p, err := iam.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func ask(who *iam.Principal, action, resource string) *iam.Request {
	return &iam.Request{Principal: who, Action: iam.NewAction(action), Resource: resource}
}

func TestPrincipalOfAResourcePolicy(t *testing.T) {
	cn := &iam.Principal{Kind: iam.User, Partition: "aws-cn", Account: "111122223333", ARN: "arn:aws-cn:iam::111122223333:user/alice"}
	direct, allow, delegates, nothing := iam.Outcome{Direct: true, Allow: true}, iam.Outcome{Allow: true}, iam.Outcome{Delegates: true}, iam.Outcome{}
	for _, c := range []struct {
		principal string
		who       *iam.Principal
		want      iam.Outcome
	}{
		{`"*"`, alice, allow},
		{`"*"`, other, allow},
		{`{"AWS":"*"}`, other, allow},
		{`{"AWS":"arn:aws:iam::111122223333:root"}`, alice, delegates},
		{`{"AWS":"arn:aws:iam::111122223333:root"}`, root, iam.Outcome{Direct: true, Allow: true, Delegates: true}},
		{`{"AWS":"111122223333"}`, alice, delegates},
		{`{"AWS":"111122223333"}`, root, iam.Outcome{Direct: true, Allow: true, Delegates: true}},
		{`{"AWS":"111122223333"}`, other, nothing},
		{`{"AWS":"arn:aws-cn:iam::111122223333:root"}`, alice, nothing},
		{`{"AWS":"arn:aws-cn:iam::111122223333:root"}`, cn, delegates},
		{`{"AWS":"arn:aws:iam::111122223333:user/alice"}`, alice, direct},
		{`{"AWS":"arn:aws:iam::111122223333:user/alice"}`, root, nothing},
		{`{"AWS":"arn:aws:iam::111122223333:user/alice"}`, other, nothing},
		{`{"AWS":"arn:aws:iam::111122223333:user/alice"}`, cn, nothing},
		{`{"AWS":"arn:aws:iam::111122223333:user/Alice"}`, alice, nothing},
		{`{"AWS":"arn:aws:iam::111122223333:user/alic"}`, alice, nothing},
		{`{"AWS":"arn:aws:iam::111122223333:user/alice/x"}`, alice, nothing},
		{`{"AWS":"arn:aws:iam::111122223333:role/alice"}`, alice, nothing},
		{`{"AWS":["444455556666","arn:aws:iam::111122223333:user/alice"]}`, alice, direct},
		{`{"AWS":["111122223333","arn:aws:iam::111122223333:user/alice"]}`, alice, iam.Outcome{Direct: true, Allow: true, Delegates: true}},
		{`{"AWS":"111122223333"}`, &iam.Principal{}, nothing},
		{`{"AWS":"111122223333"}`, &iam.Principal{ARN: root.ARN, Partition: "aws"}, nothing},
	} {
		doc := `"Principal":` + c.principal + `,"Action":"kms:*","Resource":"*"`
		if got := mustParse(t, policy(`"Effect":"Allow",`+doc)).EvaluateResource(ask(c.who, "kms:Encrypt", keyARN)); got != c.want {
			t.Errorf("%s, asked by %s: %+v, want %+v", c.principal, c.who.ARN, got, c.want)
		}
		// A deny of the account is a deny of all that is in it.
		denied := iam.Outcome{Deny: c.want.Allow || c.want.Delegates}
		if got := mustParse(t, policy(`"Effect":"Deny",`+doc)).EvaluateResource(ask(c.who, "kms:Encrypt", keyARN)); got != denied {
			t.Errorf("deny of %s, asked by %s: %+v", c.principal, c.who.ARN, got)
		}
	}
}

// A statement that lacks an element has no effect, whichever it lacks; an empty
// list is no wildcard.
func TestSEC_B02_MissingElements(t *testing.T) {
	for _, members := range []string{
		`"Principal":"*"`, `"Principal":"*","Action":"kms:*"`, `"Principal":"*","Resource":"*"`, `"Principal":"*","Action":[],"Resource":"*"`,
		`"Principal":"*","Action":"kms:*","Resource":[]`, `"Principal":"*","Action":[],"Resource":[]`,
		`"Principal":"*","Action":"kms:*","Resource":""`, `"Action":"kms:*","Resource":"*"`,
	} {
		for _, effect := range []string{"Allow", "Deny"} {
			p := mustParse(t, policy(`"Effect":"`+effect+`",`+members))
			if got := p.EvaluateResource(ask(alice, "kms:Encrypt", keyARN)); got != (iam.Outcome{}) {
				t.Errorf("%s %s: %+v", effect, members, got)
			}
		}
	}
	for _, members := range []string{``, `"Action":"kms:*"`, `"Resource":"*"`, `"Action":[],"Resource":"*"`, `"Action":"kms:*","Resource":[]`} {
		p := mustParse(t, policy(strings.TrimSuffix(`"Effect":"Allow",`+members, ",")))
		if got := p.EvaluateIdentity(ask(alice, "kms:Encrypt", keyARN)); got != (iam.Outcome{}) {
			t.Errorf("identity %s: %+v", members, got)
		}
	}
	if got := (&iam.Policy{}).EvaluateResource(ask(alice, "kms:Encrypt", keyARN)); got != (iam.Outcome{}) {
		t.Errorf("a policy without statements: %+v", got)
	}
}

// The Not forms are the opposite of what they list, and of nothing else.
func TestSEC_B02_NotForms(t *testing.T) {
	for _, c := range []struct {
		members string
		want    bool
	}{
		{`"NotAction":"kms:Encrypt","Resource":"*"`, true}, {`"NotAction":"kms:Decrypt","Resource":"*"`, false}, {`"NotAction":["s3:*","kms:De*"],"Resource":"*"`, false},
		{`"NotAction":["s3:*","kms:En*"],"Resource":"*"`, true}, {`"NotAction":"*","Resource":"*"`, false}, {`"NotAction":"kms:Encrypt"`, false}, {`"NotAction":"kms:Encrypt","Resource":[]`, false},
		{`"Action":"*","NotResource":"` + keyARN + `"`, false}, {`"Action":"*","NotResource":"` + keyARN + `x"`, true}, {`"Action":"*","NotResource":["x","arn:aws:kms:*"]`, false}, {`"Action":"*","NotResource":"*"`, false},
		{`"NotResource":"x"`, false}, {`"Action":[],"NotResource":"x"`, false}, {`"NotAction":"x:y","NotResource":"x"`, true}, {`"NotAction":"kms:*","NotResource":"x"`, false},
	} {
		for effect, want := range map[string]iam.Outcome{"Allow": {Allow: c.want}, "Deny": {Deny: c.want}} {
			identity := mustParse(t, policy(`"Effect":"`+effect+`",`+c.members))
			key := mustParse(t, policy(`"Effect":"`+effect+`","Principal":"*",`+c.members))
			if got := identity.EvaluateIdentity(ask(alice, "kms:Decrypt", keyARN)); got != want {
				t.Errorf("%s %s: %+v", effect, c.members, got)
			}
			if got := key.EvaluateResource(ask(alice, "kms:Decrypt", keyARN)); got != want {
				t.Errorf("%s %s in a key policy: %+v", effect, c.members, got)
			}
		}
	}
}

// The Principal element in an identity policy allows nothing; a deny is heeded
// all the same.
func TestIdentityPolicyWithPrincipal(t *testing.T) {
	for effect, want := range map[string]iam.Outcome{"Allow": {}, "Deny": {Deny: true}} {
		p := mustParse(t, policy(`"Effect":"`+effect+`","Principal":"*","Action":"kms:*","Resource":"*"`))
		if got := p.EvaluateIdentity(ask(alice, "kms:Encrypt", keyARN)); got != want {
			t.Errorf("%s: %+v", effect, got)
		}
	}
}

// Names of actions are one whatever their case, in a Deny above all. Resources
// are not.
func TestSEC_B03_Case(t *testing.T) {
	for _, effect := range []string{"Allow", "Deny"} {
		for _, written := range []string{"kms:GenerateDataKey", "kms:generatedatakey", "KMS:GENERATEDATAKEY", "Kms:gENERATEdATAkEY", "kms:Generate*", "KMS:generate*", "kms:?eneratedatakey", "*:GenerateDataKey", "K*:*Y"} {
			for _, asked := range []string{"kms:GenerateDataKey", "kms:generatedatakey", "KMS:GenerateDATAKEY"} {
				doc := policy(`"Effect":"` + effect + `","Principal":"*","Action":"` + written + `","Resource":"*"`)
				r := mustParse(t, doc).EvaluateResource(ask(alice, asked, keyARN))
				if want := (iam.Outcome{Allow: effect == "Allow", Deny: effect == "Deny"}); r != want {
					t.Errorf("%s of %q, asked for %q: %+v", effect, written, asked, r)
				}
			}
		}
		for _, written := range []string{"kms:GenerateDataKeyPair", "kms:GenerateDataKe", "kms:Generate", "s3:GenerateDataKey", "km:GenerateDataKey", "kms:?", "kms:*x"} {
			doc := policy(`"Effect":"` + effect + `","Principal":"*","Action":"` + written + `","Resource":"*"`)
			if r := mustParse(t, doc).EvaluateResource(ask(alice, "kms:GenerateDataKey", keyARN)); r != (iam.Outcome{}) {
				t.Errorf("%s of %q: %+v", effect, written, r)
			}
		}
	}
	for _, resource := range []string{strings.ToUpper(keyARN), "ARN:*", "arn:aws:KMS:*"} {
		doc := policy(`"Effect":"Allow","Action":"kms:*","Resource":"` + resource + `"`)
		if r := mustParse(t, doc).EvaluateIdentity(ask(alice, "kms:Encrypt", keyARN)); r.Allow {
			t.Errorf("%s matches %s", resource, keyARN)
		}
	}
	if a := iam.NewAction("kms:GenerateDataKey"); a.Name != "kms:GenerateDataKey" {
		t.Errorf("an action is called %s", a.Name)
	}
}

func allows(t testing.TB, pattern, resource string) bool {
	t.Helper()
	p := mustParse(t, policy(`"Effect":"Allow","Action":"kms:*","Resource":"`+pattern+`"`))
	return p.EvaluateIdentity(ask(alice, "kms:Encrypt", resource)).Allow
}

func TestSEC_B04_Wildcards(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"*", "x", true}, {"", "", true}, {"", "x", false}, {"?", "", false}, {"?", "x", true}, {"?", "xy", false},
		{"a*", "a", true}, {"*a", "a", true}, {"a*a", "a", false}, {"a*a", "aa", true}, {"a*b", "axxb", true}, {"a*b", "axxbx", false},
		{"**", "", true}, {"a**", "a", true}, {"a***b", "ab", true}, {"?*", "", false}, {"?*", "x", true}, {"*?", "x", true}, {"*?", "", false}, {"*?*?*", "x", false}, {"*?*?*", "xy", true},
		{"*ab", "aab", true}, {"*abab", "abababab", true}, {"*aba*bab", "ababab", true}, {"a?c*e", "abcde", true}, {"a?c*e", "acde", false},
		{"key/*", "key/", true}, {"key/*", "key/a/b", true}, {"key/*", "keys/a", false}, {"x*", "*", false}, {"\\u002a", "anything", true}, {"[a-z]", "a", false}, {"a.c", "abc", false}, {"(a|b)", "a", false},
	} {
		if got := allows(t, c.pattern, c.s); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.s, got)
		}
	}
}

// No pattern takes long, on the longest ARN there is.
func TestSEC_B04_NoPatternTakesLong(t *testing.T) {
	key := "arn:aws:kms:us-east-1:111122223333:key/" + strings.Repeat("a", 36)
	long := strings.Repeat("a", 2048)
	for name, c := range map[string]struct{ pattern, s string }{
		"many stars":           {strings.Repeat("a*", 2000) + "b", long},
		"many stars in a row":  {strings.Repeat("*", 20_000) + "b", long},
		"stars and questions":  {strings.Repeat("*?", 1500) + "b", long},
		"a long tail":          {"*" + strings.Repeat("a", 300) + "b", long},
		"on a key, a tail":     {"arn:*" + strings.Repeat("a", 18) + "b", key},
		"on a key, many stars": {strings.Repeat("*a", 10_000), key},
	} {
		p := mustParse(t, policy(`"Effect":"Allow","Action":"kms:*","Resource":"`+c.pattern+`"`))
		r := ask(alice, "kms:Encrypt", c.s)
		best := time.Hour
		for range 20 { // the best of some: a busy machine is not the pattern's fault
			start := time.Now()
			p.EvaluateIdentity(r)
			best = min(best, time.Since(start))
		}
		if best > limit {
			t.Errorf("%s: %v", name, best)
		}
	}
}

// All statements are asked, in whatever order they stand: none hides another.
func TestNoShortCircuit(t *testing.T) {
	allow, deny := `{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}`, `{"Effect":"Deny","Principal":{"AWS":"111122223333"},"Action":"kms:encrypt","Resource":"*"}`
	delegate := `{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"}`
	for _, order := range [][]string{{allow, deny, delegate}, {deny, allow, delegate}, {delegate, allow, deny}} {
		p := mustParse(t, `{"Statement":[`+strings.Join(order, ",")+`]}`)
		if got := p.EvaluateResource(ask(alice, "kms:Encrypt", keyARN)); got != (iam.Outcome{Deny: true, Allow: true, Delegates: true}) {
			t.Errorf("%v: %+v", order, got)
		}
		if got := p.EvaluateResource(ask(other, "kms:Encrypt", keyARN)); got != (iam.Outcome{Allow: true}) {
			t.Errorf("%v, from abroad: %+v", order, got)
		}
	}
	id := mustParse(t, `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"kms:Decrypt","Resource":"`+keyARN+`"}]}`)
	for action, want := range map[string]iam.Outcome{"kms:Decrypt": {Allow: true, Deny: true}, "kms:Encrypt": {Allow: true}} {
		if got := id.EvaluateIdentity(ask(alice, action, keyARN)); got != want {
			t.Errorf("%s: %+v", action, got)
		}
	}
}

// In a key policy the Resource is the key that carries it.
func TestResourceOfAKeyPolicy(t *testing.T) {
	for pattern, want := range map[string]bool{
		"*": true, keyARN: true, "arn:aws:kms:*:111122223333:key/*": true, "arn:aws:kms:us-east-1:111122223333:key/1234abcd-*": true,
		strings.Replace(keyARN, "us-east-1", "us-east-2", 1): false, keyARN + "/": false, keyARN[:len(keyARN)-1]: false,
		"arn:aws:kms:us-east-1:111122223333:alias/*": false, "1234abcd-12ab-34cd-56ef-1234567890ab": false, "key/*": false,
	} {
		p := mustParse(t, policy(`"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"`+pattern+`"`))
		if got := p.EvaluateResource(ask(alice, "kms:Encrypt", keyARN)); got.Allow != want {
			t.Errorf("%s: %+v", pattern, got)
		}
	}
}

func TestIsRoot(t *testing.T) {
	for _, c := range []struct {
		who  iam.Principal
		want bool
	}{
		{*root, true}, {*alice, false}, {iam.Principal{}, false}, {iam.Principal{Kind: iam.RootUser}, false},
		{iam.Principal{Partition: "aws", Account: "111122223333", ARN: root.ARN}, false},
	} {
		if got := c.who.IsRoot(); got != c.want {
			t.Errorf("%+v: %v", c.who, got)
		}
	}
}
