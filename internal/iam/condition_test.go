package iam_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"trent/internal/iam"
)

// has is a Context of a few keys, by their names as documents write them.
type has map[string]iam.Value

func (h has) Value(k iam.Key) iam.Value {
	for name, v := range h {
		if own, ok := iam.NewKey(name); ok && own == k {
			return v
		}
	}
	return iam.Value{}
}

// fixed is a Context that costs little.
type fixed map[iam.Key]iam.Value

func (f fixed) Value(k iam.Key) iam.Value { return f[k] }

// under says how a Condition comes out: "true", "false", or "error" where it
// cannot be told, so that an Allow fails and a Deny matches.
func under(t testing.TB, condition string, context iam.Context) string {
	t.Helper()
	ask := func(effect string) iam.Outcome {
		p := mustParse(t, policy(`"Effect":"`+effect+`","Action":"kms:*","Resource":"*","Condition":`+condition))
		return p.EvaluateIdentity(&iam.Request{Principal: alice, Action: iam.NewAction("kms:Decrypt"), Resource: keyARN, Context: context})
	}
	allow, deny := ask("Allow"), ask("Deny")
	switch {
	case allow.Allow && deny.Deny:
		return "true"
	case !allow.Allow && !deny.Deny:
		return "false"
	case deny.Deny:
		return "error"
	}
	return "an open door"
}

// Each operator in each of its forms, with the key absent, empty, with one
// value and with many.
func TestSEC_B05_TruthTable(t *testing.T) {
	const T, F, E = "true", "false", "error"
	columns := []string{"absent", "empty", "one that matches", "one that does not", "all match", "some match", "none match"}
	forms := []struct {
		before, after string
		negated       bool
		want          [7]string
	}{
		{"", "", false, [7]string{F, F, T, F, E, E, E}},
		{"", "", true, [7]string{T, T, F, T, E, E, E}},
		{"", "IfExists", false, [7]string{T, T, T, F, E, E, E}},
		{"", "IfExists", true, [7]string{T, T, F, T, E, E, E}},
		{"ForAllValues:", "", false, [7]string{T, T, T, F, T, F, F}},
		{"ForAllValues:", "", true, [7]string{T, T, F, T, F, F, T}},
		{"ForAnyValue:", "", false, [7]string{F, F, T, F, T, T, F}},
		{"ForAnyValue:", "", true, [7]string{F, F, F, T, F, T, T}},
		{"ForAllValues:", "IfExists", false, [7]string{T, T, T, F, T, F, F}},
		{"ForAllValues:", "IfExists", true, [7]string{T, T, F, T, F, F, T}},
		{"ForAnyValue:", "IfExists", false, [7]string{F, F, T, F, T, T, F}},
		{"ForAnyValue:", "IfExists", true, [7]string{F, F, F, T, F, T, T}},
	}
	for _, op := range []struct{ is, not, value, match, other string }{
		{"StringEquals", "StringNotEquals", "a", "a", "A"},
		{"StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "a", "A", "b"},
		{"StringLike", "StringNotLike", "a*", "abc", "Abc"},
		{"NumericEquals", "NumericNotEquals", "10", "10.0", "11"},
		{"NumericLessThan", "", "10", "9.9", "10"},
		{"NumericLessThanEquals", "", "10", "10", "10.1"},
		{"NumericGreaterThan", "", "10", "11", "10"},
		{"NumericGreaterThanEquals", "", "10", "10", "9"},
		{"DateEquals", "DateNotEquals", "2026-01-01T00:00:00Z", "1767225600", "2026-01-02"},
		{"DateLessThan", "", "2026-01-01", "2025-12-31T23:59:59Z", "2026-01-01"},
		{"DateLessThanEquals", "", "2026-01-01", "2026", "2026-01-01T00:00:00.1Z"},
		{"DateGreaterThan", "", "2026-01-01", "2026-01-01T00:00:01Z", "2026-01-01"},
		{"DateGreaterThanEquals", "", "2026-01-01", "2026-01-01T01:00:00+01:00", "2025"},
		{"Bool", "", "true", "true", "false"},
		{"BinaryEquals", "", "YWxpY2U=", "alice", "bob"},
		{"IpAddress", "NotIpAddress", "203.0.113.0/24", "203.0.113.7", "203.0.114.7"},
		{"ArnEquals", "ArnNotEquals", "arn:aws:iam::111122223333:user/*", "arn:aws:iam::111122223333:user/a", "arn:aws:iam::111122223333:role/a"},
		{"ArnLike", "ArnNotLike", "arn:aws:iam::*:user/?", "arn:aws:iam::111122223333:user/a", "arn:aws:iam::111122223333:user/ab"},
	} {
		values := []iam.Value{
			{}, iam.Texts(nil), iam.Text(op.match), iam.Text(op.other),
			iam.Texts([]string{op.match, op.match}), iam.Texts([]string{op.other, op.match}), iam.Texts([]string{op.other, op.other}),
		}
		for _, f := range forms {
			name := op.is
			if f.negated {
				name = op.not
			}
			if name == "" {
				continue
			}
			condition := fmt.Sprintf(`{%q:{"kms:EncryptionContext:App":[%q]}}`, f.before+name+f.after, op.value)
			for i, v := range values {
				if got := under(t, condition, has{"kms:encryptioncontext:APP": v}); got != f.want[i] {
					t.Errorf("%s, %s: %s, want %s", condition, columns[i], got, f.want[i])
				}
			}
		}
	}
	for value, want := range map[string][7]string{"true": {T, T, F, F, F, F, F}, "false": {F, F, T, T, T, T, T}} {
		for i, v := range []iam.Value{{}, iam.Texts(nil), iam.Text("a"), iam.Flag(false), iam.Texts([]string{"a", "b"}), iam.Number(0), iam.Texts([]string{"", "a"})} {
			if got := under(t, `{"Null":{"aws:TagKeys":`+value+`}}`, has{"aws:TagKeys": v}); got != want[i] {
				t.Errorf("Null %s, column %d: %s, want %s", value, i, got, want[i])
			}
		}
	}
}

// The empty string is a value, and for the set forms and Null a null data set.
func TestSEC_B05_EmptyString(t *testing.T) {
	for condition, want := range map[string]string{
		`{"StringEquals":{"aws:TagKeys":""}}`: "true", `{"StringEquals":{"aws:TagKeys":"a"}}`: "false", `{"StringNotEquals":{"aws:TagKeys":"a"}}`: "true", `{"StringLike":{"aws:TagKeys":"*"}}`: "true",
		`{"StringEqualsIfExists":{"aws:TagKeys":"a"}}`: "false", `{"ForAllValues:StringEquals":{"aws:TagKeys":"a"}}`: "true", `{"ForAnyValue:StringEquals":{"aws:TagKeys":""}}`: "false",
		`{"ForAnyValue:StringNotEquals":{"aws:TagKeys":"a"}}`: "false", `{"Null":{"aws:TagKeys":"true"}}`: "true", `{"Null":{"aws:TagKeys":"false"}}`: "false",
		// The guard that is recommended with ForAllValues holds.
		`{"ForAllValues:StringEquals":{"aws:TagKeys":"a"},"Null":{"aws:TagKeys":"false"}}`: "false",
	} {
		for _, v := range []iam.Value{iam.Text(""), iam.Texts([]string{""})} {
			if got := under(t, condition, has{"aws:TagKeys": v}); got != want {
				t.Errorf("%s: %s, want %s", condition, got, want)
			}
		}
	}
}

// Values of one key are alternatives, keys and operators must all hold; what
// cannot be told gives way to what can.
func TestConditionsTogether(t *testing.T) {
	context := has{"aws:username": iam.Text("alice"), "aws:SourceIp": iam.Addr(netip.MustParseAddr("203.0.113.7")), "aws:SecureTransport": iam.Flag(true)}
	for condition, want := range map[string]string{
		`{}`: "true",
		`{"StringEquals":{"aws:username":["bob","alice"]}}`:                                                            "true",
		`{"StringEquals":{"aws:username":["bob","carol"]}}`:                                                            "false",
		`{"StringNotEquals":{"aws:username":["bob","alice"]}}`:                                                         "false",
		`{"StringNotEquals":{"aws:username":["bob","carol"]}}`:                                                         "true",
		`{"StringEquals":{"aws:username":[]}}`:                                                                         "false",
		`{"StringNotEquals":{"aws:username":[]}}`:                                                                      "true",
		`{"Null":{"aws:username":[]}}`:                                                                                 "false",
		`{"Null":{"aws:username":["true","false"]}}`:                                                                   "true",
		`{"StringEquals":{"aws:username":"alice"},"Bool":{"aws:SecureTransport":true}}`:                                "true",
		`{"StringEquals":{"aws:username":"alice"},"Bool":{"aws:SecureTransport":false}}`:                               "false",
		`{"StringEquals":{"aws:username":"alice","aws:userid":"x"}}`:                                                   "false",
		`{"NumericEquals":{"aws:username":1}}`:                                                                         "error",
		`{"NumericNotEquals":{"aws:username":1}}`:                                                                      "error",
		`{"NumericEquals":{"aws:username":1},"Bool":{"aws:SecureTransport":true}}`:                                     "error",
		`{"NumericEquals":{"aws:username":1},"Bool":{"aws:SecureTransport":false}}`:                                    "false",
		`{"NumericEquals":{"aws:username":[]}}`:                                                                        "false",
		`{"StringEquals":{"aws:username":["${aws:userid}","alice"]}}`:                                                  "true",
		`{"StringEquals":{"aws:username":["${aws:userid}","bob"]}}`:                                                    "error",
		`{"StringNotEquals":{"aws:username":["${aws:userid}","alice"]}}`:                                               "false",
		`{"StringNotEquals":{"aws:username":"${aws:userid}"}}`:                                                         "error",
		`{"StringEquals":{"aws:username":"${aws:userid, 'alice'}"}}`:                                                   "true",
		`{"StringEquals":{"aws:userid":"${aws:PrincipalTag/x}"}}`:                                                      "false", // the key is absent, and that is asked first
		`{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.0/24"]},"NotIpAddress":{"aws:SourceIp":"203.0.113.9"}}`: "true",
	} {
		if got := under(t, condition, context); got != want {
			t.Errorf("%s: %s, want %s", condition, got, want)
		}
	}
}

// What the request has is read as the operator needs it, or not at all.
func TestTypesOfValues(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 500_000_000, time.UTC)
	for _, c := range []struct {
		operator, value string
		had             iam.Value
		want            string
	}{
		{"StringEquals", "true", iam.Flag(true), "true"},
		{"StringEquals", "42", iam.Number(42), "true"},
		{"StringEquals", "-9223372036854775808", iam.Number(-1 << 63), "true"},
		{"StringEquals", "2026-01-01T12:00:00Z", iam.Moment(noon), "true"},
		{"StringLike", "2026-01-*", iam.Moment(noon), "true"},
		{"StringLike", "203.0.113.*", iam.Addr(netip.MustParseAddr("203.0.113.7")), "true"},
		{"StringEquals", "203.0.113.7", iam.Addr(netip.MustParseAddr("::ffff:203.0.113.7")), "true"},
		{"NumericEquals", "1767268800.5", iam.Moment(noon), "true"},
		{"NumericLessThan", "9007199254740993", iam.Number(9007199254740992), "true"},
		{"NumericEquals", "9007199254740993", iam.Number(9007199254740992), "false"},
		{"NumericLessThan", "-7.4", iam.Text("-7.5"), "true"},
		{"NumericGreaterThan", "-7.5", iam.Number(-7), "true"},
		{"NumericEquals", "1", iam.Flag(true), "error"},
		{"NumericEquals", "1", iam.Text("one"), "error"},
		{"NumericEquals", "1", iam.Text(""), "error"},
		{"DateEquals", "1767268800", iam.Number(1767268800), "true"},
		{"DateLessThan", "2026-01-01T12:00:00.6Z", iam.Moment(noon), "true"},
		{"DateEquals", "2026-01-01T07:00:00.5-05:00", iam.Moment(noon), "true"},
		{"DateLessThan", "2026", iam.Text("tomorrow"), "error"},
		{"DateLessThan", "2026", iam.Addr(netip.MustParseAddr("::1")), "error"},
		{"Bool", "true", iam.Text("TRUE"), "true"},
		{"Bool", "true", iam.Text("1"), "error"},
		{"Bool", "false", iam.Text("fal\u017fe"), "error"},
		{"Bool", "true", iam.Number(1), "error"},
		{"BinaryEquals", "/w==", iam.Text("\xff"), "true"},
		{"BinaryEquals", "", iam.Text(""), "true"},
		{"BinaryEquals", "MQ==", iam.Number(1), "error"},
		{"IpAddress", "203.0.113.7", iam.Text("203.0.113.7"), "true"},
		{"IpAddress", "203.0.113.0/24", iam.Text("::ffff:203.0.113.7"), "true"},
		{"IpAddress", "203.0.113.9/24", iam.Text("203.0.113.1"), "true"},
		{"IpAddress", "0.0.0.0/0", iam.Text("2001:db8::1"), "false"},
		{"NotIpAddress", "0.0.0.0/0", iam.Text("2001:db8::1"), "true"},
		{"IpAddress", "2001:DB8::/32", iam.Text("2001:db8:0:0::1"), "true"},
		{"IpAddress", "::/0", iam.Text("203.0.113.7"), "false"},
		{"IpAddress", "fe80::/10", iam.Text("fe80::1%eth0"), "error"},
		{"IpAddress", "203.0.113.0/24", iam.Text("203.0.113.7, 10.0.0.1"), "error"},
		{"NotIpAddress", "203.0.113.0/24", iam.Text("client"), "error"},
		{"ArnLike", "*", iam.Text("arn:aws:s3:::bucket"), "true"},
		{"ArnLike", "*", iam.Text("bucket"), "error"},
		{"ArnNotLike", "*", iam.Text("a:b:c:d:e:f"), "error"},
		{"ArnLike", "*", iam.Number(7), "error"},
	} {
		condition := fmt.Sprintf(`{%q:{"aws:SourceArn":%q}}`, c.operator, c.value)
		if got := under(t, condition, has{"aws:SourceArn": c.had}); got != c.want {
			t.Errorf("%s: %s, want %s", condition, got, c.want)
		}
	}
}

// What an operator could never compare with is refused when the policy is
// stored, not found out when it matters.
func TestSEC_B01_WrongOperands(t *testing.T) {
	for operator, values := range map[string][]string{
		"NumericEquals": {`""`, `"ten"`, `"1e3"`, `1e3`, `"+1"`, `" 1"`, `".5"`, `"5."`, `"0x10"`, `"9223372036854775808"`, `"1.0000000001"`, `true`, `"1,5"`, `"--1"`, `"-"`, `"\u0661"`, `"${aws:username}"`},
		"DateLessThan":  {`""`, `"tomorrow"`, `"2026-13"`, `"2026-02-29"`, `"2026-01-32"`, `"2026-1-1"`, `"2026-01-01T00:00:00"`, `"2026-01-01T24:00:00Z"`, `"2026-01-01T00:60Z"`, `"2026-01-01T00:00:60Z"`, `"2026-01-01 00:00:00Z"`, `"2026-01-01T00:00:00,5Z"`, `"2026-01-01T00:00:00.Z"`, `"2026-01-01T00:00:00+24:00"`, `"2026-01-01T00:00:00+0100"`, `"20260101T000000Z"`, `"2026-01-01T00Z"`, `"2026-"`, `"2026-01-01T00:00:00ZZ"`, `"*"`, `true`},
		"Bool":          {`""`, `"yes"`, `1`, `"1"`, `"truth"`, `"${aws:SecureTransport}"`},
		"Null":          {`""`, `"null"`, `0`},
		"BinaryEquals":  {`"YWxpY2U"`, `"YWxpY2V="`, `"YWxp\nY2U="`, `"-_-_"`, `"*"`},
		"IpAddress":     {`""`, `"*"`, `"203.0.113"`, `"203.0.113.0/33"`, `"203.0.113.0/-1"`, `"203.0.113.0/"`, `"203.0.113.07"`, `"203.0.113.0/08"`, `"203.0.113.256"`, `"::ffff:203.0.113.0/120"`, `"fe80::1%eth0"`, `"localhost"`, `"203.0.113.*"`, `1`},
		"ArnLike":       {`""`, `"arn:*"`, `"arn:aws:iam::111122223333"`, `"user/alice"`, `"**"`, `true`},
		"StringEquals":  {`null`, `{}`, `[[]]`, `[null]`, `1e3`, `"${aws:username"`, `"${}"`, `"${aws:user name}"`, `"${aws:username, alice}"`, `"${username}"`},
		"stringequals":  {`"a"`}, "StringEqual": {`"a"`}, "StringLikeIgnoreCase": {`"a"`}, "BinaryNotEquals": {`"YQ=="`}, "BoolNot": {`true`}, "": {`"a"`}, "NumericLike": {`1`},
		"NullIfExists": {`true`}, "ForAllValues:Null": {`true`}, "ForAnyValue:NullIfExists": {`true`}, "ForAllValues:": {`"a"`}, "forAllValues:StringEquals": {`"a"`},
		"ForAllValues:ForAnyValue:StringEquals": {`"a"`}, "ForAnyValue:ForAllValues:StringEquals": {`"a"`}, "StringEqualsIfExistsIfExists": {`"a"`}, "IfExists": {`"a"`}, "ForNoValues:StringEquals": {`"a"`},
	} {
		for _, v := range values {
			text := policy(`"Effect":"Deny","Action":"kms:*","Resource":"*","Condition":{"` + operator + `":{"aws:username":` + v + `}}`)
			if p, err := iam.Parse(text); p != nil || err == nil || !strings.HasPrefix(err.Error(), "iam: malformed policy document: ") {
				t.Errorf("%s %s: %v", operator, v, err)
			}
		}
	}
	for name, condition := range map[string]string{
		"a list": `[]`, "a string": `"Bool"`, "null": `null`, "an operator with null": `{"Bool":null}`, "an operator without a key": `{"Bool":{}}`, "an operator with a list": `{"Bool":[]}`,
		"a key without a service": `{"Bool":{"SecureTransport":true}}`, "a key without a word": `{"Bool":{"aws:":true}}`, "a key that is empty": `{"Bool":{"":true}}`, "a key with an empty part": `{"StringEquals":{"aws:RequestTag/":"a"}}`,
		"a key with a control character": `{"StringEquals":{"aws:RequestTag/a\u0000":"a"}}`, "an operator twice": `{"Bool":{"aws:SecureTransport":true},"Bool":{"aws:SecureTransport":true}}`,
		"a key twice": `{"Bool":{"aws:SecureTransport":true,"aws:SecureTransport":true}}`, "a key twice in two cases": `{"Bool":{"aws:SecureTransport":true,"AWS:securetransport":false}}`,
		"a part twice in two cases": `{"StringEquals":{"kms:EncryptionContext:App":"a","kms:EncryptionContext:APP":"b"}}`,
	} {
		if p, err := iam.Parse(policy(`"Effect":"Deny","Action":"kms:*","Resource":"*","Condition":` + condition)); p != nil || err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// Quotation marks around numbers and booleans are optional.
func TestOperandsWithoutQuotes(t *testing.T) {
	context := has{"kms:RotationPeriodInDays": iam.Number(365), "aws:SecureTransport": iam.Flag(true), "aws:CurrentTime": iam.Moment(time.Unix(1767225600, 0)), "aws:PrincipalTag/team": iam.Text("7")}
	for _, condition := range []string{
		`{"NumericLessThanEquals":{"kms:RotationPeriodInDays":365}}`, `{"NumericEquals":{"kms:RotationPeriodInDays":[1,365.0]}}`, `{"Bool":{"aws:SecureTransport":true}}`, `{"Bool":{"aws:SecureTransport":[true]}}`,
		`{"Null":{"aws:SecureTransport":false}}`, `{"DateEquals":{"aws:CurrentTime":1767225600}}`, `{"DateEquals":{"aws:CurrentTime":2026}}`, `{"StringEquals":{"aws:PrincipalTag/team":7}}`, `{"StringEquals":{"aws:SecureTransport":true}}`,
	} {
		if got := under(t, condition, context); got != "true" {
			t.Errorf("%s: %s", condition, got)
		}
	}
}

// Names of keys have no case, whatever else they hold; a policy asks only for
// the keys that it names, in lower case.
func TestKeys(t *testing.T) {
	for written, want := range map[string]iam.Key{
		"aws:SourceIp": {Name: "aws:sourceip"}, "AWS:SOURCEIP": {Name: "aws:sourceip"}, "aws:RequestTag/Team": {Name: "aws:requesttag", Sub: "team"},
		"kms:EncryptionContext:App": {Name: "kms:encryptioncontext", Sub: "app"}, "kms:EncryptionContext:a:b/c": {Name: "kms:encryptioncontext", Sub: "a:b/c"},
		"kms:EncryptionContext::x": {Name: "kms:encryptioncontext", Sub: ":x"}, "aws:PrincipalTag/Kostenstelle Ä": {Name: "aws:principaltag", Sub: "kostenstelle ä"},
		"kms:RecipientAttestation:PCR0": {Name: "kms:recipientattestation", Sub: "pcr0"}, "idp.example.com/main:sub": {Name: "idp.example.com/main:sub"},
		"accounts.google.com:aud": {Name: "accounts.google.com:aud"}, "oidc.example.com:8443/id/AB:Sub": {Name: "oidc.example.com:8443/id/ab:sub"},
		"127.0.0.1:7000:sub": {Name: "127.0.0.1:7000:sub"}, "keycloak:8443/realms/x:azp": {Name: "keycloak:8443/realms/x:azp"},
		"oidc.example.com/a:b/c:sub": {Name: "oidc.example.com/a:b/c:sub"}, "kms:EncryptionContext:a.b/c:8": {Name: "kms:encryptioncontext", Sub: "a.b/c:8"},
	} {
		if got, ok := iam.NewKey(written); !ok || got != want {
			t.Errorf("%s: %+v, %v", written, got, ok)
		}
	}
	for _, written := range []string{"", ":", "a", "a:", ":b", "aws:RequestTag/", "kms:EncryptionContext:", "a:/b", "a:b\x00", "a:\xff", "a\n:b", "oidc.example.com:", "oidc.example.com/id", "oidc.example.com:8443/id", "oidc.example.com:sub:", "a:8080/x"} {
		if got, ok := iam.NewKey(written); ok {
			t.Errorf("%q is a key: %+v", written, got)
		}
	}
}
