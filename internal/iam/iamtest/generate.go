package iamtest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Generate draws a case. The pools are small, so that policies and requests
// meet, and full of what is nearly right.
func Generate(r *rand.Rand) *Case {
	g := generator{r}
	c := &Case{
		Principal: g.principal(), Action: pick(g, "kms:Decrypt", "kms:Decrypt", "KMS:decrypt", "kms:Encrypt", "kms:DescribeKey", "sts:AssumeRole"),
		Resource: pick(g, keyARN, keyARN, keyARN, keyARN, aliasARN, "*"), Context: []Value{}, Identity: []string{}, Grants: []Grant{},
		EncryptionContext: map[string]string{},
	}
	for _, k := range contextKeys {
		if g.chance(3) {
			c.Context = append(c.Context, g.value(k))
		}
	}
	if !g.chance(10) {
		c.Key = &Key{Account: pick(g, home, home, abroad), Policy: g.policy("key")}
	}
	if g.chance(2) {
		c.Trust = new(string)
		*c.Trust = g.policy("trust")
	}
	if g.chance(4) {
		c.Boundary = new(string)
		*c.Boundary = g.policy("identity")
	}
	if g.chance(4) {
		c.Session = g.policies()
	}
	c.Identity = g.policies()
	for g.chance(4) {
		c.EncryptionContext[pick(g, "App", "app", "Team")] = pick(g, "payroll", "Payroll")
	}
	for g.chance(6) {
		c.Grants = append(c.Grants, g.grant())
	}
	return c
}

const (
	home     = "111122223333"
	abroad   = "444455556666"
	keyARN   = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	aliasARN = "arn:aws:kms:us-east-1:111122223333:alias/alice"
	provider = "arn:aws:iam::111122223333:oidc-provider/idp.example.com/main"
)

type generator struct{ r *rand.Rand }

// chance is true once in n.
func (g generator) chance(n int) bool { return g.r.IntN(n) == 0 }

// or draws from the first list or, once in fifty, from what is wrong.
func (g generator) or(good []string, wrong ...string) string {
	if g.chance(50) {
		return pick(g, wrong...)
	}
	return pick(g, good...)
}

func pick[T any](g generator, from ...T) T { return from[g.r.IntN(len(from))] }

func (g generator) principal() Principal {
	account, partition := pick(g, home, home, home, abroad), pick(g, "aws", "aws", "aws", "aws", "aws-cn")
	iamARN := "arn:" + partition + ":iam::" + account + ":"
	switch g.r.IntN(12) {
	case 0:
		return Principal{Kind: "nobody", Provider: pick(g, "", provider, "accounts.google.com"), Account: pick(g, "", account), Partition: partition}
	case 1, 2:
		return Principal{Kind: "root", Partition: partition, Account: account, ARN: iamARN + "root", ID: account}
	case 3, 4, 5, 6:
		session := pick(g, "build", "Build")
		return Principal{
			Kind: "session", Partition: partition, Account: account, ARN: "arn:" + partition + ":sts::" + account + ":assumed-role/ci/" + session,
			ID: "AROA2222222222222222:" + session, RoleARN: iamARN + "role/team/ci", RoleID: "AROA2222222222222222", Provider: pick(g, "", "", provider),
		}
	}
	name := pick(g, "alice", "alice", "bob")
	return Principal{Kind: "user", Partition: partition, Account: account, ARN: iamARN + "user/" + name, ID: map[string]string{"alice": "AIDA2222222222222222", "bob": "AIDA3333333333333333"}[name]}
}

// contextKeys are those that requests may have, with the type that they have
// as a rule.
var contextKeys = []struct{ name, sub, kind string }{
	{"aws:username", "", "text"}, {"aws:principaltag", "team", "text"}, {"aws:sourceip", "", "addr"}, {"aws:currenttime", "", "moment"},
	{"aws:securetransport", "", "flag"}, {"aws:tagkeys", "", "texts"}, {"aws:principalarn", "", "arn"},
	{"kms:encryptioncontext", "app", "text"}, {"kms:encryptioncontextkeys", "", "texts"}, {"kms:rotationperiodindays", "", "number"}, {"aws:sourcearn", "", "arn"},
	{"idp.example.com/main:sub", "", "text"}, {"localhost:8443:sub", "", "text"},
}

func (g generator) value(k struct{ name, sub, kind string }) Value {
	kind := k.kind
	if g.chance(8) {
		kind = pick(g, "text", "texts", "flag", "number", "moment", "addr", "arn")
	}
	v := Value{Name: k.name, Sub: k.sub, Type: kind}
	switch kind {
	case "text":
		v.Value = g.word()
	case "texts":
		list := []string{}
		for range g.r.IntN(4) {
			list = append(list, g.word())
		}
		v.Value = list
	case "flag":
		v.Value = g.chance(2)
	case "number":
		v.Value = pick[int64](g, 0, 1, 42, 365, -7, 1767225600)
	case "moment":
		v.Value = [2]int64{pick[int64](g, 0, 42, 1767225600, 1767225599), pick[int64](g, 0, 0, 500000000)}
	case "addr":
		v.Value = pick(g, "203.0.113.7", "203.0.114.7", "2001:db8::7", "::ffff:203.0.113.7", "2001:db9::7")
	case "arn":
		v.Type, v.Value = "text", pick(g, "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:role/team/ci", "arn:aws:s3:::bucket/a:b", "arn:aws:kms", "no arn")
	}
	return v
}

// word is a value that is text, as a request has it.
func (g generator) word() string {
	return pick(g, "alice", "alice", "alice", "Alice", "bob", "", "a*", "*", "al?ce", "ålice", "Ålice", "payroll", "pay:roll/x", "true", "False", "42", "42.0", "1e3", "2026-01-01T00:00:00Z",
		"203.0.113.7", "$", "${aws:username}", "YWxpY2U=", "line\nbreak", "😀lice", "team", "App")
}

// operand is a value in a policy, as a rule one that the operator reads.
func (g generator) operand(base string) string {
	if g.chance(40) {
		return g.word()
	}
	switch {
	case strings.HasPrefix(base, "String"):
		return g.or([]string{g.word(), "alice", "al?ce", "?lice", "*", "a*", "*e", "a*c*", "*l*i*", "", "?", "??", "${aws:username}", "${AWS:UserName}", "x${aws:username}", "${aws:username}*", "${aws:username, 'alice'}",
			"${aws:username,'bob'}", "${aws:PrincipalTag/Team}", "${aws:TagKeys}", "${*}", "a${*}", "${?}", "${$}{aws:username}", "${aws:SecureTransport}", "${aws:CurrentTime}", "${aws:SourceIp}", "$"},
			"${aws:username", "${username}", "${aws:username, x}", "${aws:user name}")
	case strings.HasPrefix(base, "Numeric"):
		return g.or([]string{"0", "1", "42", "42.0", "42.5", "-7", "-7.5", "365", "1767225600", "007", "1767225599.5"}, "9223372036854775808", "1.0000000001", "+1", ".5", "1e3", "")
	case strings.HasPrefix(base, "Date"):
		return g.or([]string{"2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2025-12-31T23:59:59.5Z", "2026", "2026-01", "2026-01-01", "1767225600", "42", "1970-01-01T00:00Z", "2024-02-29", "0000-01-01"},
			"2026-02-30", "2026-01-01T00:00:00", "2026-01-01T24:00:00Z", "2026-1-1", "tomorrow", "2026-01-01T00:00:00+24:00")
	case base == "Bool" || base == "Null":
		return g.or([]string{"true", "false", "True", "FALSE"}, "yes", "1", "")
	case base == "BinaryEquals":
		return g.or([]string{"YWxpY2U=", "", "cGF5cm9sbA=="}, "YWxpY2U", "YWxpY2V=", "YWxp\nY2U=")
	case strings.HasSuffix(base, "IpAddress"):
		return g.or([]string{"203.0.113.0/24", "203.0.113.7", "203.0.113.9/24", "0.0.0.0/0", "2001:DB8::/32", "2001:db8::7", "::/0", "::ffff:203.0.113.7"}, "203.0.113.0/33", "::ffff:203.0.113.0/120", "203.0.113.07", "203.0.113.*", "fe80::1%eth0")
	}
	return g.or([]string{"arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:*", "arn:aws:iam::*:user/*", "*", "arn:aws:*:*:*:*", "arn:aws:iam::111122223333:user/${aws:username}",
		"arn:aws:iam::111122223333:${aws:PrincipalTag/team, 'user'}/alice", "arn:a?s:s3:::bucket/*", "arn:aws:s3:::*:b", "arn:aws:iam::${aws:PrincipalTag/team}:user/alice", "ARN:aws:iam::111122223333:user/alice", "arn:aws:s3::*:bucket/a"},
		"arn:aws:iam", "arn:*:user/alice", "")
}

var operators = []string{
	"StringEquals", "StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringLike", "StringNotLike",
	"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals",
	"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
	"Bool", "BinaryEquals", "IpAddress", "NotIpAddress", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike", "Null",
}

// keyFor is a key that the operator is for, as a rule, in some spelling.
func (g generator) keyFor(base string) string {
	all := []string{"aws:username", "aws:PrincipalTag/team", "aws:SourceIp", "aws:CurrentTime", "aws:SecureTransport", "aws:TagKeys", "aws:PrincipalArn",
		"kms:EncryptionContext:App", "kms:EncryptionContextKeys", "kms:RotationPeriodInDays", "aws:SourceArn", "aws:RequestTag/team", "kms:Nothing",
		"idp.example.com/main:sub", "idp.example.com:8443/main:sub", "localhost:8443:sub"}
	key := pick(g, all...)
	if !g.chance(5) {
		switch {
		case strings.HasPrefix(base, "String"), base == "BinaryEquals":
			key = pick(g, "aws:username", "aws:PrincipalTag/team", "aws:TagKeys", "kms:EncryptionContext:App", "kms:EncryptionContextKeys", "idp.example.com/main:sub")
		case strings.HasPrefix(base, "Numeric"):
			key = pick(g, "kms:RotationPeriodInDays", "aws:CurrentTime")
		case strings.HasPrefix(base, "Date"):
			key = "aws:CurrentTime"
		case base == "Bool":
			key = "aws:SecureTransport"
		case strings.HasSuffix(base, "IpAddress"):
			key = "aws:SourceIp"
		case strings.HasPrefix(base, "Arn"):
			key = pick(g, "aws:PrincipalArn", "aws:SourceArn")
		}
	}
	switch g.r.IntN(6) {
	case 0:
		return strings.ToLower(key)
	case 1:
		return strings.ToUpper(key)
	}
	return key
}

func (g generator) grant() Grant {
	out := Grant{
		Grantee: pick(g, "arn:aws:iam::111122223333:user/alice", "arn:aws:iam::111122223333:role/team/ci", "arn:aws:sts::111122223333:assumed-role/ci/build",
			"arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:user/alice"),
		Operations: pick(g, []string{"Decrypt"}, []string{"Encrypt", "Decrypt"}, []string{"DescribeKey"}),
	}
	switch g.r.IntN(4) {
	case 0:
		out.Equals = map[string]string{pick(g, "App", "app"): "payroll"}
	case 1:
		out.Subset = map[string]string{"App": pick(g, "payroll", "Payroll")}
	case 2:
		out.SourceARN = "arn:aws:s3:::bucket/a:b"
	}
	return out
}

func (g generator) policies() []string {
	out := []string{}
	for range g.r.IntN(3) {
		out = append(out, g.policy("identity"))
	}
	return out
}

// policy writes a document of a kind; one in fifty is damaged.
func (g generator) policy(kind string) string {
	var statements []string
	for range 1 + g.r.IntN(3) {
		statements = append(statements, g.statement(kind))
	}
	list := "[" + strings.Join(statements, ", ") + "]"
	if len(statements) == 1 && g.chance(2) {
		list = statements[0]
	}
	text := `{"Version": "` + pick(g, "2012-10-17", "2012-10-17", "2012-10-17", "2008-10-17") + `", "Statement": ` + list + "}"
	if g.chance(12) {
		text = `{"Statement":` + list + "}"
	}
	if g.chance(50) {
		text = g.damage(text)
	}
	return text
}

// damage takes out, doubles or changes one character.
func (g generator) damage(text string) string {
	runes := []rune(text)
	i := g.r.IntN(len(runes))
	return string(runes[:i]) + pick(g, "", strings.Repeat(string(runes[i]), 2), "x", "*", `"`, "1", ":", "null") + string(runes[i+1:])
}

func (g generator) statement(kind string) string {
	members := []string{`"Effect": "` + pick(g, "Allow", "Allow", "Allow", "Deny") + `"`}
	if kind != "identity" != g.chance(40) {
		members = append(members, g.not(12, "Principal")+": "+g.principals())
	}
	if !g.chance(60) {
		members = append(members, g.not(8, "Action")+": "+g.list(func() string {
			return pick(g, "kms:*", "kms:*", "*", "kms:Decrypt", "KMS:DECRYPT", "kms:De*", "kms:?ecrypt", "kms:Encrypt", "s3:*", "*:*", "sts:AssumeRole", "kms:decrypt*")
		}))
	}
	if kind != "trust" != g.chance(60) {
		members = append(members, g.not(8, "Resource")+": "+g.list(g.resource))
	}
	if g.chance(2) {
		members = append(members, `"Condition": `+g.conditions())
	}
	g.r.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + strings.Join(members, ", ") + "}"
}

// not writes the name of an element, once in n of its Not form.
func (g generator) not(n int, name string) string {
	if g.chance(n) {
		return `"Not` + name + `"`
	}
	return `"` + name + `"`
}

func (g generator) resource() string {
	return g.or([]string{"*", "*", "*", keyARN, keyARN, "arn:aws:kms:*:111122223333:key/*", "arn:aws:kms:us-east-1:111122223333:key/1234abcd-????-*", "arn:aws:kms:*:*:alias/*", aliasARN,
		"arn:aws:kms:us-east-1:111122223333:alias/${aws:username}", "arn:aws:kms:us-east-1:111122223333:alias/${aws:username, 'alice'}", "arn:aws:kms:us-east-1:111122223333:*${aws:PrincipalTag/team}*",
		"arn:aws:kms:us-east-1:111122223333:alias/${aws:TagKeys}", "arn:aws:kms", strings.ToUpper(keyARN), ""}, "arn:aws:kms:${aws:username}:111122223333:key/*")
}

// list writes a string, or a list of up to three, seldom of none.
func (g generator) list(draw func() string) string {
	if g.chance(2) {
		return g.quote(draw())
	}
	var items []string
	for range pick(g, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 0) {
		items = append(items, g.quote(draw()))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// quote writes a JSON string, now and then with an escape that need not be.
func (g generator) quote(s string) string {
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		panic(err)
	}
	if s != "" && s[0] < 0x80 && s[0] > ' ' && s[0] != '"' && s[0] != '\\' && g.chance(10) {
		return fmt.Sprintf(`"\u%04x`, s[0]) + string(b[2:])
	}
	return string(b)
}

func (g generator) principals() string {
	if g.chance(6) {
		return `"*"`
	}
	kinds := []string{g.quote("AWS") + ": " + g.list(func() string {
		if g.chance(60) {
			return pick(g, "alice", "arn:aws:iam::111122223333:user/*", "arn:aws:iam::111122223333:group/all", "arn:aws:iam::111122223333:user/", "AIDA", "AROA2222222222222222:", "arn:aws:iam:us-east-1:111122223333:root", "1111222233334", "arn:aws:iam::111122223333:rootx")
		}
		account, partition := pick(g, home, home, abroad), pick(g, "aws", "aws", "aws", "aws-cn")
		return pick(g, "*", account, "arn:"+partition+":iam::"+account+":root", "arn:"+partition+":iam::"+account+":root", "arn:"+partition+":iam::"+account+":user/"+pick(g, "alice", "Alice", "bob"), "arn:"+partition+":iam::"+account+":role/team/ci",
			"arn:"+partition+":sts::"+account+":assumed-role/ci/"+pick(g, "build", "Build"), "AIDA2222222222222222", "AIDA3333333333333333", "AROA2222222222222222", "AROA2222222222222222:build", "arn:aws:sts::"+account+":federated-user/bob")
	})}
	if g.chance(10) {
		kinds = append(kinds, `"Service": `+g.quote(g.or([]string{"lambda.amazonaws.com"}, "lambda", "*")))
	}
	if g.chance(5) {
		kinds = append(kinds, `"Federated": `+g.list(func() string {
			return g.or([]string{provider, provider, "accounts.google.com", "arn:aws:iam::111122223333:saml-provider/x"}, "arn:aws:iam::111122223333:user/alice", "x", "*")
		}))
	}
	if g.chance(80) {
		kinds = append(kinds, `"CanonicalUser": "x"`)
	}
	if g.chance(4) && len(kinds) > 1 {
		kinds = kinds[1:]
	}
	return "{" + strings.Join(kinds, ", ") + "}"
}

func (g generator) conditions() string {
	operators := map[string]string{}
	var order []string
	for range pick(g, 0, 1, 1, 1, 2, 3) {
		name, block := g.condition()
		if _, ok := operators[name]; !ok {
			order = append(order, name)
		}
		operators[name] = block
	}
	var members []string
	for _, name := range order {
		members = append(members, g.quote(name)+": "+operators[name])
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func (g generator) condition() (name, block string) {
	base := pick(g, operators...)
	name = base
	if g.chance(4) {
		name += "IfExists"
	}
	if g.chance(4) {
		name = pick(g, "ForAllValues:", "ForAnyValue:") + name
	}
	if base == "Null" && !g.chance(10) {
		name = base
	}
	if g.chance(100) {
		name = strings.ToLower(name)
	}
	var members []string
	for range 1 + g.r.IntN(8)/7 {
		members = append(members, g.quote(g.keyFor(base))+": "+g.operands(base))
	}
	return name, "{" + strings.Join(members, ", ") + "}"
}

func (g generator) operands(base string) string {
	if g.chance(30) {
		return pick(g, "true", "false", "42", "42.0", "2026", "[42, true]", "1e3", "null", "[]", "[[]]", "[]")
	}
	return g.list(func() string { return g.operand(base) })
}
