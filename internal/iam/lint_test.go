package iam_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"trent/internal/iam"
)

// What may be stored depends on where.
func TestCheck(t *testing.T) {
	const principal, action, on = `"Principal":"*",`, `"Action":"kms:*",`, `"Resource":"*",`
	for _, c := range []struct {
		members              string
		key, identity, trust bool
	}{
		{principal + action + on, true, false, false},
		{action + on, false, true, false},
		{principal + action, true, false, true},
		{principal + on, true, false, false},
		{principal, true, false, false},
		{action, false, false, false},
		{on, false, false, false},
		{`"NotPrincipal":"*",` + action, true, false, true},
		{`"NotPrincipal":"*",` + action + on, true, false, false},
		{`"NotAction":"kms:*",` + on, false, true, false},
		{action + `"NotResource":"x",`, false, true, false},
		{principal + action + `"NotResource":"x",`, true, false, false},
		{`"Action":[],"Resource":[],`, false, true, false},
	} {
		for kind, want := range map[iam.PolicyKind]bool{iam.KeyPolicy: c.key, iam.IdentityPolicy: c.identity, iam.TrustPolicy: c.trust} {
			p := mustParse(t, `{"Statement":[{"Effect":"Allow",`+c.members+`"Sid":"x"}]}`)
			err := iam.Check(p, kind)
			if (err == nil) != want || err != nil && !errors.Is(err, iam.ErrMalformed) {
				t.Errorf("%s as kind %d: %v", c.members, kind, err)
			}
		}
	}
}

// ForAllValues is true where the key is absent; on a key with one value nobody
// can mean it.
func TestOverlyPermissiveCondition(t *testing.T) {
	for condition, want := range map[string]bool{
		`{"ForAllValues:StringEquals":{"kms:EncryptionContext:App":"a"}}`:             true,
		`{"ForAllValues:StringNotEquals":{"KMS:encryptioncontext:app":"a"}}`:          true,
		`{"ForAllValues:StringLikeIfExists":{"aws:RequestTag/Team":"a"}}`:             true,
		`{"ForAnyValue:StringEquals":{"kms:EncryptionContext:App":"a"}}`:              false,
		`{"StringEquals":{"kms:EncryptionContext:App":"a"}}`:                          false,
		`{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"a"}}`:             false,
		`{"ForAllValues:StringEquals":{"aws:TagKeys":"a"}}`:                           false,
		`{"ForAllValues:StringEquals":{"aws:ResourceTag/Team":"a"}}`:                  false,
		`{"Null":{"aws:TagKeys":true},"ForAllValues:Bool":{"aws:RequestTag/a":true}}`: true,
	} {
		for _, effect := range []string{"Allow", "Deny"} {
			p := mustParse(t, policy(`"Effect":"`+effect+`","Principal":"*","Action":"kms:*","Resource":"*","Condition":`+condition))
			err := iam.Check(p, iam.KeyPolicy)
			if errors.Is(err, iam.ErrOverlyPermissive) != want || (err == nil) == want {
				t.Errorf("%s: %v", condition, err)
			}
			if want && (!strings.HasPrefix(err.Error(), "OverlyPermissiveCondition:") || !errors.Is(err, iam.ErrMalformed) || !strings.Contains(err.Error(), "statement 1")) {
				t.Errorf("%s: %v", condition, err)
			}
			if err := iam.Check(mustParse(t, policy(`"Effect":"`+effect+`","Action":"kms:*","Resource":"*","Condition":`+condition)), iam.IdentityPolicy); err != nil {
				t.Errorf("%s in an identity policy: %v", condition, err)
			}
		}
	}
}

// Each finding in the smallest document that has it, and none in its mended form.
func TestLint(t *testing.T) {
	const who = `"Principal":{"AWS":"111122223333"},`
	key := func(effect, members string) string {
		return policy(`"Sid":"s","Effect":"` + effect + `",` + members)
	}
	under := func(effect, condition string) string {
		return key(effect, who+`"Action":"kms:*","Resource":"*","Condition":`+condition)
	}
	for _, c := range []struct {
		text string
		kind iam.PolicyKind
		want string // codes
	}{
		{key("Allow", who+`"Action":"kms:*","Resource":"*"`), iam.KeyPolicy, ""},
		{key("Deny", `"NotPrincipal":"*","NotAction":"kms:*","Resource":"*"`), iam.KeyPolicy, ""},
		{key("Allow", `"Principal":"*","Action":"kms:*","Resource":"*"`), iam.KeyPolicy, "everyone"},
		{key("Allow", `"Principal":{"AWS":["111122223333","*"]},"Action":"kms:*","Resource":"*"`), iam.KeyPolicy, "everyone"},
		{key("Deny", `"Principal":"*","Action":"kms:*","Resource":"*"`), iam.KeyPolicy, ""},
		{key("Allow", `"Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"111122223333"}}`), iam.KeyPolicy, ""},
		{key("Allow", `"NotPrincipal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"`), iam.KeyPolicy, "allow-not-principal"},
		{key("Allow", who+`"NotAction":"kms:*","Resource":"*"`), iam.KeyPolicy, "allow-not-action"},
		{key("Allow", `"Action":"kms:*","NotResource":"`+keyARN+`"`), iam.IdentityPolicy, "allow-not-resource"},
		{key("Deny", `"Action":"kms:*","NotResource":"`+keyARN+`"`), iam.IdentityPolicy, ""},
		{key("Allow", who+`"Resource":"*"`), iam.KeyPolicy, "no-action"},
		{key("Allow", who+`"Action":[],"Resource":"*"`), iam.KeyPolicy, "no-action"},
		{key("Allow", who+`"Action":"kms:*"`), iam.KeyPolicy, "no-resource"},
		{key("Allow", who+`"Action":"sts:AssumeRole"`), iam.TrustPolicy, ""},
		{key("Allow", `"Principal":{"Federated":"accounts.google.com"},"Action":"sts:AssumeRoleWithWebIdentity"`), iam.TrustPolicy, "any-subject"},
		{key("Allow", `"Principal":{"Federated":"accounts.google.com"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"accounts.google.com:sub":"7"}}`), iam.TrustPolicy, ""},
		{key("Deny", `"Principal":{"Federated":"accounts.google.com"},"Action":"sts:AssumeRoleWithWebIdentity"`), iam.TrustPolicy, ""},
		{key("Allow", who+`"Action":"kms:*","Resource":"`+keyARN+`"`), iam.KeyPolicy, "other-resource"},
		{key("Allow", who+`"Action":"kms:*","Resource":["`+keyARN+`","*"]`), iam.KeyPolicy, ""},
		{key("Allow", `"Action":"kms:*","Resource":"`+keyARN+`"`), iam.IdentityPolicy, ""},
		{key("Allow", `"Action":"kms:Decrypt","Resource":"`+aliasPrefix+`app"`), iam.IdentityPolicy, "alias-resource"},
		{key("Allow", `"Action":["kms:CreateAlias","kms:UpdateAlias","KMS:DeleteAlias"],"Resource":"`+aliasPrefix+`*"`), iam.IdentityPolicy, ""},
		{key("Allow", `"Action":["kms:CreateAlias","kms:*"],"Resource":["`+keyARN+`","`+aliasPrefix+`${aws:username}"]`), iam.IdentityPolicy, "alias-resource"},

		{under("Allow", `{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"App"}}`), iam.KeyPolicy, "for-all-values"},
		{under("Allow", `{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"App"},"Null":{"KMS:EncryptionContextKeys":"false"}}`), iam.KeyPolicy, ""},
		{under("Allow", `{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"App"},"Null":{"kms:EncryptionContextKeys":"true"}}`), iam.KeyPolicy, "for-all-values"},
		{under("Allow", `{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"App"},"Null":{"aws:TagKeys":"false"}}`), iam.KeyPolicy, "for-all-values"},
		{under("Deny", `{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":"App"}}`), iam.KeyPolicy, ""},
		{under("Allow", `{"ForAnyValue:StringEqualsIfExists":{"kms:EncryptionContextKeys":"App"}}`), iam.KeyPolicy, "if-exists-without-effect"},
		{under("Allow", `{"ForAnyValue:StringEquals":{"kms:CallerAccount":"111122223333"}}`), iam.KeyPolicy, "set-operator"},
		{under("Allow", `{"StringEquals":{"aws:TagKeys":"a"}}`), iam.KeyPolicy, "no-set-operator"},
		{under("Allow", `{"Null":{"aws:TagKeys":true}}`), iam.KeyPolicy, ""},
		{under("Allow", `{"NumericEquals":{"aws:SourceIp":"1"}}`), iam.KeyPolicy, "operator-type"},
		{under("Allow", `{"NumericLessThanEquals":{"kms:ValidTo":"1767225600"},"DateLessThan":{"aws:EpochTime":"2026"},"StringLike":{"aws:PrincipalArn":"*"}}`), iam.KeyPolicy, ""},
		{under("Allow", `{"StringEquals":{"kms:CallerAccount":[]}}`), iam.KeyPolicy, "no-values"},
		{under("Allow", `{"StringEquals":{"kms:CallerAcount":"111122223333"}}`), iam.KeyPolicy, "unknown-key"},
		{under("Allow", `{"StringEquals":{"aws:PrincipalTag":"x"}}`), iam.KeyPolicy, "unknown-key"},
		{under("Allow", `{"StringEquals":{"aws:username/x":"x"}}`), iam.KeyPolicy, "unknown-key"},
		{under("Allow", `{"StringEquals":{"idp.example.com:sub":"x","s3:prefix":"y"}}`), iam.KeyPolicy, ""},
		{under("Allow", `{"StringEquals":{"kms:CallerAccount":"${aws:PrincipleAccount}"}}`), iam.KeyPolicy, "unknown-key"},
		{under("Allow", `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:Acount}:*"}}`), iam.KeyPolicy, "unknown-key"},
		{key("Allow", `"Action":"kms:CreateAlias","Resource":"`+aliasPrefix+`${aws:user}"`), iam.IdentityPolicy, "unknown-key"},
		{strings.Replace(key("Allow", `"Action":"kms:CreateAlias","Resource":"`+aliasPrefix+`${aws:username}"`), "2012", "2008", 1), iam.IdentityPolicy, "old-version-variable"},
		{strings.Replace(under("Allow", `{"StringEquals":{"aws:username":"${aws:PrincipalTag/x}"}}`), "2012", "2008", 1), iam.KeyPolicy, "old-version-variable"},
	} {
		checkLint(t, c.text, c.kind, c.want)
	}
	two := iam.Lint(mustParse(t, `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"},{"Sid":"b","Effect":"Allow","Principal":"*"}]}`), iam.KeyPolicy)
	if codes := fmt.Sprint(two); len(two) != 3 || slices.ContainsFunc(two, func(f iam.Finding) bool { return f.Statement != 2 || f.SID != "b" }) {
		t.Errorf("findings of the second statement: %s", codes)
	}
}

func TestExplain(t *testing.T) {
	p := mustParse(t, `{"Version":"2012-10-17","Statement":[
		{"Sid":"all","Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"},
		{"Sid":"one condition","Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:App":["payroll","tax"]},"Bool":{"aws:SecureTransport":true},"StringLike":{"aws:username":"*"}}},
		{"Sid":"nothing","Effect":"Deny","Principal":{"AWS":"444455556666"},"NotAction":"kms:*","Resource":"x"},
		{"Sid":"unsure","Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"NumericLessThan":{"kms:EncryptionContext:App":1}}},
		{"Sid":"unsure allow","Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:App":"${aws:Referer}"},"ForAnyValue:StringEquals":{"aws:TagKeys":"a"},"StringEqualsIfExists":{"aws:TagKeys":"a"}}}
	]}`)
	r := &iam.Request{Principal: alice, Action: iam.NewAction("kms:Decrypt"), Resource: keyARN, Context: has{
		"kms:EncryptionContext:App": iam.Text("sales"), "aws:SecureTransport": iam.Flag(true), "aws:TagKeys": iam.Texts([]string{"a", "b"})}}
	condition := func(operator, key, result string, wanted, had []string) iam.ConditionTrace {
		return iam.ConditionTrace{Operator: operator, Key: key, Wanted: wanted, Had: had, Result: result}
	}
	sales := []string{"sales"}
	want := []iam.Trace{
		{Statement: 1, SID: "all", Effect: iam.Allow, Matched: true},
		{Statement: 2, SID: "one condition", Effect: iam.Allow, NearlyMatched: true, Failed: []string{"Condition"}, Conditions: []iam.ConditionTrace{
			condition("StringEquals", "kms:EncryptionContext:App", "false", []string{"payroll", "tax"}, sales),
			condition("Bool", "aws:SecureTransport", "true", []string{"true"}, []string{"true"}),
			condition("StringLike", "aws:username", "false", []string{"*"}, nil),
		}},
		{Statement: 3, SID: "nothing", Effect: iam.Deny, Failed: []string{"Principal", "Action", "Resource"}},
		{Statement: 4, SID: "unsure", Effect: iam.Deny, Matched: true, Conditions: []iam.ConditionTrace{condition("NumericLessThan", "kms:EncryptionContext:App", "error", []string{"1"}, sales)},
			Diagnostics: []string{"kms:EncryptionContext:App has a value that NumericLessThan cannot read"}},
		{Statement: 5, SID: "unsure allow", Effect: iam.Allow, NearlyMatched: true, Failed: []string{"Condition"}, Conditions: []iam.ConditionTrace{
			condition("StringEquals", "kms:EncryptionContext:App", "error", []string{"${aws:Referer}"}, sales),
			condition("ForAnyValue:StringEquals", "aws:TagKeys", "true", []string{"a"}, []string{"a", "b"}),
			condition("StringEqualsIfExists", "aws:TagKeys", "error", []string{"a"}, []string{"a", "b"}),
		}, Diagnostics: []string{"the variable ${aws:Referer} has no value", "aws:TagKeys has several values: StringEqualsIfExists needs ForAllValues or ForAnyValue"}},
	}
	got := p.Explain(r, iam.KeyPolicy)
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("statement %d:\n%+v\nwant\n%+v", i+1, got[i], want[i])
		}
	}
}
