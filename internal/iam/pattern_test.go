package iam_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"trent/internal/iam"
)

// resource says whether a Resource matches under a Version, with variables
// from the context.
func resource(t testing.TB, version, pattern, s string, context iam.Context) bool {
	t.Helper()
	p := mustParse(t, fmt.Sprintf(`{"Version":%q,"Statement":{"Effect":"Allow","Action":"*","Resource":%q}}`, version, pattern))
	return p.EvaluateIdentity(&iam.Request{Principal: alice, Action: iam.NewAction("kms:CreateAlias"), Resource: s, Context: context}).Allow
}

const aliasPrefix = "arn:aws:kms:us-east-1:111122223333:alias/"

// A variable is replaced by its value, and whatever is in the value is literal.
func TestSEC_B04_VariablesAreLiterals(t *testing.T) {
	context := has{"aws:username": iam.Text("alice"), "aws:userid": iam.Text("*"), "aws:PrincipalTag/Team": iam.Text("a?c"), "aws:PrincipalTag/evil": iam.Text("${aws:username}"), "aws:PrincipalTag/none": iam.Text(""),
		"aws:TagKeys": iam.Texts([]string{"a", "b"}), "kms:GrantOperations": iam.Texts([]string{"Decrypt"}), "aws:UserAgent": iam.Text("\xfe"), "aws:SecureTransport": iam.Flag(true)}
	for _, c := range []struct {
		pattern, alias string
		want           bool
	}{
		{"${aws:username}", "alice", true}, {"${aws:username}", "Alice", false}, {"${AWS:UserName}", "alice", true}, {"${aws:username}", "${aws:username}", false},
		{"${aws:username}/*", "alice/x", true}, {"x-${aws:username}-*", "x-alice-1", true}, {"*${aws:username}", "malice", true}, {"${aws:username}${aws:username}", "alicealice", true},
		{"${aws:userid}", "*", true}, {"${aws:userid}", "anything", false}, {"${aws:userid}", "", false}, {"*${aws:userid}", "x*", true}, {"*${aws:userid}", "x", false}, {"a${aws:userid}c", "abc", false},
		{"${aws:PrincipalTag/team}", "a?c", true}, {"${aws:PrincipalTag/team}", "abc", false}, {"${aws:PrincipalTag/evil}", "alice", false}, {"${aws:PrincipalTag/evil}", "${aws:username}", true},
		{"x${aws:PrincipalTag/none}y", "xy", true}, {"*${aws:PrincipalTag/none}*", "anything", true}, {"${aws:SecureTransport}", "true", true},
		{"${aws:TagKeys}", "a", false}, {"${aws:TagKeys, 'a'}", "a", false}, {"${kms:GrantOperations}", "Decrypt", true}, {"${aws:UserAgent}", "x", false}, {"a${aws:UserAgent}", "axy", false},
		{"${aws:Referer}", "", false}, {"${aws:Referer}", "${aws:Referer}", false}, {"${aws:Referer}*", "x", false}, {"${aws:Referer, 'x'}", "x", true}, {"${aws:Referer,'x'}", "x", true}, {"${aws:Referer, '*'}", "x", false}, {"${aws:Referer, '*'}", "*", true},
		{"${aws:Referer, ''}", "", true}, {"${aws:Referer, 'a}b'}", "a}b", true}, {"${aws:username, 'x'}", "x", false},
		{"${*}", "*", true}, {"${*}", "x", false}, {"${?}", "?", true}, {"${?}", "x", false}, {"${$}", "$", true}, {"${$}{aws:username}", "${aws:username}", true}, {"a${*}*", "a*b", true}, {"a${*}*", "ab", false},
		{"$", "$", true}, {"$x", "$x", true}, {"$${*}", "$*", true}, {"{aws:username}", "{aws:username}", true},
	} {
		if got := resource(t, "2012-10-17", aliasPrefix+c.pattern, aliasPrefix+c.alias, context); got != c.want {
			t.Errorf("%s on %s: %v", c.pattern, c.alias, got)
		}
	}
	// An older document has no variables: they are text, and their star is a wildcard.
	for pattern, alias := range map[string]string{"${aws:username}": "${aws:username}", "${*}": "${anything}", "${": "${", "${aws:username, x}": "${aws:username, x}"} {
		if !resource(t, "2008-10-17", aliasPrefix+pattern, aliasPrefix+alias, context) {
			t.Errorf("2008: %s does not match %s", pattern, alias)
		}
		if resource(t, "2008-10-17", aliasPrefix+"${aws:username}", aliasPrefix+"alice", context) {
			t.Error("2008: a variable has a value")
		}
	}
	// A version that is not there is the older one.
	old := mustParse(t, `{"Statement":{"Effect":"Allow","Action":"*","Resource":"`+aliasPrefix+`${aws:username}"}}`)
	if old.EvaluateIdentity(&iam.Request{Principal: alice, Action: iam.NewAction("kms:CreateAlias"), Resource: aliasPrefix + "alice", Context: context}).Allow {
		t.Error("a document without Version has variables")
	}
}

// Without a value a Resource matches nothing, and NotResource cannot be told.
func TestMissingVariables(t *testing.T) {
	for _, c := range []struct{ element, effect, want string }{
		{"Resource", "Allow", ""}, {"Resource", "Deny", ""}, {"NotResource", "Allow", ""}, {"NotResource", "Deny", "deny"},
	} {
		p := mustParse(t, policy(fmt.Sprintf(`"Effect":%q,"Action":"*",%q:"%s${aws:Referer}"`, c.effect, c.element, aliasPrefix)))
		if got := words(p.EvaluateIdentity(ask(alice, "kms:CreateAlias", aliasPrefix+"x"))); got != c.want {
			t.Errorf("%s %s: %q", c.effect, c.element, got)
		}
	}
	// Another pattern of the list is not touched.
	p := mustParse(t, policy(`"Effect":"Allow","Action":"*","Resource":["`+aliasPrefix+`${aws:Referer}","`+aliasPrefix+`x"]`))
	if !p.EvaluateIdentity(ask(alice, "kms:CreateAlias", aliasPrefix+"x")).Allow {
		t.Error("a pattern beside a missing variable does not match")
	}
	p = mustParse(t, policy(`"Effect":"Deny","Action":"*","NotResource":["`+aliasPrefix+`${aws:Referer}","`+aliasPrefix+`x"]`))
	if p.EvaluateIdentity(ask(alice, "kms:CreateAlias", aliasPrefix+"x")).Deny {
		t.Error("what NotResource lists is denied")
	}
}

// The components of an ARN are compared one by one.
func TestSEC_B06_ARNPatterns(t *testing.T) {
	context := func(v string) iam.Context {
		return has{"aws:SourceArn": iam.Text(v), "aws:username": iam.Text("alice"), "aws:userid": iam.Text("a:b"), "aws:PrincipalTag/t": iam.Text("*")}
	}
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:user/alice", true},
		{"arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:user/Alice", false},
		{"arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:user/alice/x", false},
		{"arn:aws:iam::111122223333:user/alice", "arn:aws:iam:us-east-1:111122223333:user/alice", false},
		{"arn:aws:iam::111122223333:user/alice", "arn:aws-cn:iam::111122223333:user/alice", false},
		{"arn:aws:iam::111122223333:user/*", "arn:aws:iam::111122223333:user/", true},
		{"arn:aws:iam::111122223333:user/*", "arn:aws:iam::111122223333:user/a/b:c", true},
		{"arn:aws:iam::111122223333:*", "arn:aws:iam::111122223333:root", true},
		{"arn:aws:iam::*:user/alice", "arn:aws:iam::111122223333:user/alice", true},
		{"arn:aws:iam::*:user/alice", "arn:aws:iam:::user/alice", true},
		{"arn:aws:iam::*:alice", "arn:aws:iam::1:user/x:alice", false},
		{"arn:aws:iam:*:alice", "arn:aws:iam::111122223333:alice", false}, // five components: refused, below
		{"arn:aws:someservice:*:111122223333:finance/*", "arn:aws:someservice:us-east-2:111122223333:finance/document.txt", true},
		{"arn:aws:someservice:*:111122223333:finance/*", "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt", false},
		{"arn:aws:s3:::bucket/?", "arn:aws:s3:::bucket/a", true},
		{"arn:aws:s3:::bucket/?", "arn:aws:s3:::bucket/", false},
		{"arn:aws:s3:::bucket?a", "arn:aws:s3:::bucket:a", true},
		{"arn:aws:s3?::bucket", "arn:aws:s3:::bucket", false}, // five components: refused, below
		{"arn:a?s:s3:::*", "arn:aws:s3:::x", true},
		{"arn:a*:s3:::*", "arn:a:s3:::x", true},
		{"*:*:*:*:*:*", "arn:aws:s3:::x", true},
		{"arn:*:*:*:*:x", "arn:aws:s3:::y:x", false},
		{"ARN:aws:s3:::x", "arn:aws:s3:::x", false},
		{"*", "arn:aws:s3:::x", true},
		{"arn:aws:iam::111122223333:user/${aws:username}", "arn:aws:iam::111122223333:user/alice", true},
		{"arn:aws:iam::111122223333:user/${aws:userid}", "arn:aws:iam::111122223333:user/a:b", true},
		{"arn:aws:iam::${aws:userid}:user/x", "arn:aws:iam::a:b:user/x", false},
		{"arn:aws:iam::${aws:PrincipalTag/t}:user/x", "arn:aws:iam::111122223333:user/x", false},
		{"arn:aws:iam::${aws:PrincipalTag/t}:user/x", "arn:aws:iam::*:user/x", true},
		{"arn:aws:iam::${aws:Referer, '1:2'}:user/x", "arn:aws:iam::1:2:user/x", false},
		{"arn:aws:iam::${aws:Referer, '1'}:user/x", "arn:aws:iam::1:user/x", true},
		{"arn:aws:iam::111122223333:user/${*}", "arn:aws:iam::111122223333:user/x", false},
	} {
		condition := fmt.Sprintf(`{"ArnLike":{"aws:SourceArn":%q}}`, c.pattern)
		if strings.Count(c.pattern, ":") < 5 && c.pattern != "*" {
			if _, err := iam.Parse(policy(`"Effect":"Allow","Condition":` + condition)); err == nil {
				t.Errorf("%s was taken", c.pattern)
			}
			continue
		}
		want := map[bool]string{true: "true", false: "false"}
		for operator, positive := range map[string]bool{"ArnLike": true, "ArnEquals": true, "ArnNotLike": false, "ArnNotEquals": false} {
			if got := under(t, strings.Replace(condition, "ArnLike", operator, 1), context(c.value)); got != want[c.want == positive] {
				t.Errorf("%s %s on %s: %s", operator, c.pattern, c.value, got)
			}
		}
	}
	if got := under(t, `{"ArnLike":{"aws:SourceArn":"arn:aws:iam::${aws:Referer}:user/x"}}`, context("arn:aws:iam::1:user/x")); got != "error" {
		t.Errorf("a missing variable in a component: %s", got)
	}
	if got := under(t, `{"ArnLike":{"aws:SourceArn":"arn:aws:iam::${aws:Referer}:user/x"}}`, context("arn:aws:s3::1:user/x")); got != "false" {
		t.Errorf("a missing variable beside a component that differs: %s", got)
	}
}

// Names of actions and of condition keys have no case; effects, operators,
// resources, names of principals and values have.
func TestSEC_B03_FortyPairs(t *testing.T) {
	context := has{"aws:username": iam.Text("Alice"), "kms:EncryptionContext:App": iam.Text("Payroll"), "aws:TagKeys": iam.Texts([]string{"Team"}), "aws:SecureTransport": iam.Flag(true), "aws:SourceArn": iam.Text("arn:aws:s3:::Bucket")}
	const who, on = `"Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"}`, `"Resource":"*"`
	condition := func(c string) string { return who + `,"Action":"kms:Decrypt",` + on + `,"Condition":` + c }
	for i, c := range []struct {
		members string
		want    bool
	}{
		{who + `,"Action":"kms:Decrypt",` + on, true}, {who + `,"Action":"KMS:DECRYPT",` + on, true},
		{who + `,"Action":"kms:decrypt",` + on, true}, {who + `,"Action":"kMS:dECRYPT",` + on, true},
		{who + `,"Action":"kms:de*",` + on, true}, {who + `,"Action":"KMS:De*",` + on, true},
		{who + `,"Action":"*:decrypt",` + on, true}, {who + `,"Action":"K??:*PT",` + on, true},
		{who + `,"NotAction":"kms:decrypt",` + on, false}, {who + `,"NotAction":"KMS:DECRYPT",` + on, false},
		{who + `,"NotAction":"kms:encrypt",` + on, true}, {who + `,"NotAction":"KMS:ENCRYPT",` + on, true},
		{who + `,"Action":"kms:*","Resource":"` + keyARN + `"`, true}, {who + `,"Action":"kms:*","Resource":"` + strings.ToUpper(keyARN) + `"`, false},
		{who + `,"Action":"kms:*","Resource":"arn:aws:kms:*"`, true}, {who + `,"Action":"kms:*","Resource":"arn:aws:KMS:*"`, false},
		{who + `,"Action":"kms:*","NotResource":"` + keyARN + `"`, false}, {who + `,"Action":"kms:*","NotResource":"` + strings.ToUpper(keyARN) + `"`, true},
		{`"Principal":{"AWS":"arn:aws:iam::111122223333:user/alice"},"Action":"*",` + on, true}, {`"Principal":{"AWS":"arn:aws:iam::111122223333:user/Alice"},"Action":"*",` + on, false},
		{condition(`{"StringEquals":{"aws:username":"Alice"}}`), true}, {condition(`{"StringEquals":{"AWS:USERNAME":"Alice"}}`), true},
		{condition(`{"StringEquals":{"Aws:UserName":"Alice"}}`), true}, {condition(`{"StringEquals":{"aws:username":"alice"}}`), false},
		{condition(`{"StringNotEquals":{"aws:username":"alice"}}`), true}, {condition(`{"StringNotEquals":{"AWS:username":"Alice"}}`), false},
		{condition(`{"StringLike":{"aws:username":"Al*"}}`), true}, {condition(`{"StringLike":{"aws:username":"al*"}}`), false},
		{condition(`{"StringEqualsIgnoreCase":{"aws:username":"aLICE"}}`), true}, {condition(`{"StringNotEqualsIgnoreCase":{"aws:username":"aLICE"}}`), false},
		{condition(`{"StringEquals":{"kms:EncryptionContext:app":"Payroll"}}`), true}, {condition(`{"StringEquals":{"KMS:ENCRYPTIONCONTEXT:APP":"Payroll"}}`), true},
		{condition(`{"StringEquals":{"kms:EncryptionContext:App":"payroll"}}`), false}, {condition(`{"StringEqualsIgnoreCase":{"kms:encryptioncontext:aPP":"payroll"}}`), true},
		{condition(`{"ForAnyValue:StringEquals":{"aws:tagkeys":"Team"}}`), true}, {condition(`{"ForAnyValue:StringEquals":{"aws:TagKeys":"team"}}`), false},
		{condition(`{"Bool":{"AWS:SECURETRANSPORT":"TRUE"}}`), true}, {condition(`{"Bool":{"aws:securetransport":"False"}}`), false},
		{condition(`{"ArnEquals":{"aws:sourcearn":"arn:aws:s3:::Bucket"}}`), true}, {condition(`{"ArnEquals":{"aws:SourceArn":"arn:aws:s3:::bucket"}}`), false},
		{condition(`{"Null":{"aws:USERNAME":"FALSE"}}`), true}, {condition(`{"Null":{"aws:userName":"True"}}`), false},
		{condition(`{"StringEquals":{"aws:username":"${AWS:UserName}"}}`), true}, {condition(`{"StringEquals":{"aws:username":"${aws:username, 'x'}"}}`), true},
	} {
		for _, asked := range []string{"kms:Decrypt", "KMS:decrypt"} {
			for effect, want := range map[string]iam.Outcome{"Allow": {Direct: c.want, Allow: c.want}, "Deny": {Deny: c.want}} {
				p := mustParse(t, policy(`"Effect":"`+effect+`",`+c.members))
				got := p.EvaluateResource(&iam.Request{Principal: alice, Action: iam.NewAction(asked), Resource: keyARN, Context: context})
				if !c.want {
					want = iam.Outcome{}
				}
				if strings.Contains(c.members, "user/Alice") {
					want = iam.Outcome{}
				}
				if got != want {
					t.Errorf("%d: %s %s asked for %s: %+v", i, effect, c.members, asked, got)
				}
			}
		}
	}
}

// No policy takes long, whatever is in it and in the request.
func TestSEC_B04_WorstPolicies(t *testing.T) {
	long, values := strings.Repeat("a", 8192), make([]string, 4000)
	for i := range values {
		values[i] = "b"
	}
	like := func(value string) string {
		return policy(`"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAnyValue:StringLike":{"aws:TagKeys":` + value + `}}`)
	}
	list := func(item string, n int) string { return "[" + strings.Repeat(`"`+item+`",`, n) + `"` + item + `"]` }
	for name, c := range map[string]struct {
		text string
		had  iam.Value
	}{
		"question marks, half as long":    {like(`"*` + strings.Repeat("a?", 2048) + `b"`), iam.Text(long)},
		"question marks, a tenth as long": {like(`"*` + strings.Repeat("?a", 400) + `b*"`), iam.Text(long)},
		"many patterns, long":             {like(list("*a?b", 4000)), iam.Text(long)},
		"many patterns, two stars":        {like(list("*?*b", 4000)), iam.Text(long)},
		"a pattern of 10,000 characters":  {like(`"` + strings.Repeat("a*", 5000) + `b"`), iam.Text(long)},
		"literals that nearly match":      {like(`"*` + strings.Repeat("a", 4096) + `b*"`), iam.Text(long)},
		"many values, many patterns":      {like(list("c", 7000)), iam.Texts(values)},
		"many values, many stars":         {like(list("*c*", 4500)), iam.Texts(values)},
		"many values, many variables":     {like(list("${aws:userid}", 2000)), iam.Texts(values)},
		"a value put in many times":       {like(`"` + strings.Repeat("${aws:username}", 2000) + `"`), iam.Text(long)},
		"a value put in many patterns":    {like(list("${aws:username}x", 1500)), iam.Text(long)},
		"many values, many numbers":       {strings.Replace(like(list("1", 7000)), "StringLike", "NumericEquals", 1), iam.Texts(strings.Split(strings.Repeat("2,", 4000)+"2", ","))},
	} {
		p := mustParse(t, c.text)
		r := &iam.Request{Principal: alice, Action: iam.NewAction("kms:Decrypt"), Resource: keyARN, Context: fixed{{Name: "aws:tagkeys"}: c.had, {Name: "aws:username"}: iam.Text(long), {Name: "aws:userid"}: iam.Text("u")}}
		best := time.Hour
		for range 20 { // the best of some: a busy machine is not the policy's fault
			start := time.Now()
			o := p.EvaluateIdentity(r)
			best = min(best, time.Since(start))
			if o.Allow {
				t.Errorf("%s: allowed", name)
			}
		}
		t.Logf("%s: %v", name, best)
		if best > 2*limit {
			t.Errorf("%s: %v", name, best)
		}
	}
}

// An evaluation that takes too many steps counts against the request.
func TestTooManySteps(t *testing.T) {
	values := make([]string, 4000)
	for i := range values {
		values[i] = "b"
	}
	condition := `{"ForAnyValue:StringLike":{"aws:TagKeys":[` + strings.Repeat(`"c",`, 7000) + `"b"]}}`
	if got := under(t, condition, has{"aws:TagKeys": iam.Texts(values)}); got != "true" {
		t.Errorf("what is found at once: %s", got)
	}
	if got := under(t, strings.Replace(condition, `"b"`, `"c"`, 1), has{"aws:TagKeys": iam.Texts(values)}); got != "error" {
		t.Errorf("what is not found in 28 million comparisons: %s", got)
	}
}

// plainGlob is the definition of a match, by characters.
func plainGlob(pattern, s []rune) bool {
	switch {
	case len(pattern) == 0:
		return len(s) == 0
	case pattern[0] == '*':
		return plainGlob(pattern[1:], s) || len(s) > 0 && plainGlob(pattern, s[1:])
	}
	return len(s) > 0 && (pattern[0] == '?' || pattern[0] == s[0]) && plainGlob(pattern[1:], s[1:])
}

// FuzzGlob: wildcards match what they are defined to match, under StringLike
// and in a Resource.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"a*b", "aXb"}, {"*?", "é"}, {"?*?", "xy"}, {"*é?", "aéb"}, {"**a**", "bab"}, {"a?", "a😀"}, {"*aba*bab", "ababab"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		pattern, s = strings.ToValidUTF8(pattern, "?"), strings.ToValidUTF8(s, "?")
		if len(pattern) > 40 || len(s) > 40 || strings.Count(pattern, "*") > 6 {
			return
		}
		p, err := iam.Parse(`{"Version":"2008-10-17","Statement":[` +
			`{"Effect":"Allow","Action":"*","Resource":` + quoted(t, pattern) + `},` +
			`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"a:b":` + quoted(t, pattern) + `}}}]}`)
		if err != nil {
			t.Fatal(err)
		}
		got := p.EvaluateIdentity(&iam.Request{Principal: alice, Action: iam.NewAction("kms:Decrypt"), Resource: s, Context: has{"a:b": iam.Text(s)}})
		if want := plainGlob([]rune(pattern), []rune(s)); got != (iam.Outcome{Allow: want, Deny: want}) {
			t.Fatalf("%q on %q: %+v", pattern, s, got)
		}
	})
}

// dear is a context in which each key takes many steps to find. It counts how
// often it is asked.
type dear struct{ asked int }

// Value implements iam.Context.
func (d *dear) Value(iam.Key) iam.Value {
	d.asked++
	return iam.Text("v").After(1000)
}

// TestSEC_B04: what it takes to find the values of keys counts as well, and a Deny that
// is not reached any more denies.
func TestSEC_B04_KeysTakeSteps(t *testing.T) {
	keys := make([]string, 900)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"kms:EncryptionContext:%d":"v"`, i)
	}
	p, err := iam.Parse(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{` + strings.Join(keys, ",") + `,"kms:EncryptionContext:last":"other"}}}]}`)
	if err != nil {
		t.Fatal(err)
	}
	c := new(dear)
	request := &iam.Request{Principal: &iam.Principal{Kind: iam.User, Account: "111122223333"}, Action: iam.NewAction("kms:Decrypt"), Resource: "*", Context: c}
	if out := p.EvaluateIdentity(request); !out.Deny || c.asked > 200 {
		t.Errorf("%+v after %d keys", out, c.asked)
	}
	c.asked = 0
	if p.Explain(request, iam.IdentityPolicy); c.asked > 200 {
		t.Errorf("explained after %d keys", c.asked)
	}
}
