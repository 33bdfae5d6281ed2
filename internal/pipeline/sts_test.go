package pipeline_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"trent/internal/iam"
	"trent/internal/identity"
)

const stsVersion = "2011-06-15"

// sts sends a form of STS down the road.
func (w *world) sts(c caller, operation string, pairs ...string) answer {
	w.t.Helper()
	v := url.Values{"Action": {operation}, "Version": {stsVersion}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return w.post(c, "", v.Encode())
}

// as is whom the credentials in an answer speak for; nobody, if for nobody.
func (w *world) session(a answer) caller {
	w.t.Helper()
	if a.status != 200 {
		w.t.Fatalf("%d %s %s", a.status, a.code, a.message)
	}
	c, err := w.identities.Credential(context.Background(), a.value("AccessKeyId"), a.value("SessionToken"))
	if err != nil {
		return caller{}
	}
	if string(c.Secret.Expose()) != a.value("SecretAccessKey") {
		w.t.Error("the secret that was given out does not verify")
	}
	return caller{principal: c.Principal, region: "us-east-1"}
}

// assume is AssumeRole of a role of the first account, under the session name "one".
func (w *world) assume(c caller, role string, more ...string) answer {
	w.t.Helper()
	return w.sts(c, "AssumeRole", append([]string{"RoleArn", roleARN(role), "RoleSessionName", "one"}, more...)...)
}

func roleARN(name string) string { return "arn:aws:iam::" + account + ":role/" + name }

// role makes a role with an inline policy.
func (w *world) role(name, trust, policy string) {
	w.t.Helper()
	w.done(admin, "CreateRole", "RoleName", name, "AssumeRolePolicyDocument", trust)
	if policy != "" {
		w.done(admin, "PutRolePolicy", "RoleName", name, "PolicyName", "own", "PolicyDocument", policy)
	}
}

// trusts lets somebody assume a role. more goes into the statement.
func trusts(principal, more string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]` + more + `}}`
}

// person makes a user with an access key.
func (w *world) person(name string, policies ...string) caller {
	w.t.Helper()
	k, err := w.identities.Bootstrap(context.Background(), identity.Newcomer{Account: account, Name: name, Policies: policies}, w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	return w.as(k.ID)
}

func notAuthorized(c caller, action, role string) string {
	return "User: " + c.principal.ARN + " is not authorized to perform: " + action + " on resource: " + roleARN(role)
}

func TestAssumeRole(t *testing.T) {
	w := newWorld(t)
	_, key := w.newKey(admin)
	bob := w.person("bob")
	w.role("batch", trusts(bob.principal.ARN, ""), allow("kms:*"))
	a := w.assume(bob, "batch", "DurationSeconds", "900", "MinimumSessionTokenSize", "1000")
	s := w.session(a)
	role, _ := w.identities.View().Role(roleARN("batch"))
	for name, want := range map[string]string{
		"Arn": "arn:aws:sts::111122223333:assumed-role/batch/one", "AssumedRoleId": role.ID + ":one",
		"Expiration": "2026-11-24T12:15:00Z", "PackedPolicySize": "",
	} {
		if got := a.value(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if n := len(a.value("SessionToken")); n < 1000 || n > 1010 || a.value("SessionTokenSize") != fmt.Sprint(n) {
		t.Errorf("a token of %d bytes, said to be %s", n, a.value("SessionTokenSize"))
	}
	if who := w.sts(s, "GetCallerIdentity"); who.value("Arn") != a.value("Arn") || who.value("UserId") != role.ID+":one" || who.value("Account") != account {
		t.Errorf("%s", who.text)
	}
	w.must(s, "GenerateDataKey", `{"KeyId":"`+key+`","KeySpec":"AES_256"}`)
	line := w.audit.lines[len(w.audit.lines)-1]
	if !strings.Contains(line, `"principal":"arn:aws:sts::111122223333:assumed-role/batch/one"`) || !strings.Contains(line, a.value("AccessKeyId")) {
		t.Errorf("%s", line)
	}
	// A role of which everything is forgotten but its session.
	w.done(admin, "DeleteRolePolicy", "RoleName", "batch", "PolicyName", "own")
	w.refused(w.call(w.session(a), "GenerateRandom", `{"NumberOfBytes":1}`), "AccessDeniedException",
		"User: arn:aws:sts::111122223333:assumed-role/batch/one is not authorized to perform: kms:GenerateRandom on resource: * because no identity-based policy allows the kms:GenerateRandom action")
	w.done(admin, "DeleteRole", "RoleName", "batch")
	if w.session(a).principal != nil {
		t.Error("the session of a deleted role")
	}
}

// TestSEC_B05: both sides of AssumeRole, as the trust policy names somebody, leaves it to
// an account, or does neither; a deny of either side wins.
func TestSEC_B05_WhoMayAssume(t *testing.T) {
	w := newPopulated(t)
	root, abroad := "arn:aws:iam::"+account+":root", "arn:aws:iam::"+foreign+":root"
	deny := `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"sts:*","Resource":"*"}}`
	onRole := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/r*"}}`
	elsewhere := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::*:role/other"}}`
	bob, eve := user(account, "bob").principal.ARN, user(foreign, "stranger").principal.ARN
	for i, c := range []struct {
		name   string
		caller caller
		trust  string
		ok     bool
	}{
		{"named", user(account, "bob"), trusts(bob, ""), true},
		{"named and denied", user(account, "bob", deny), trusts(bob, ""), false},
		{"another is named", user(account, "carol", allow("*")), trusts(bob, ""), false},
		{"left to the account, allowed", user(account, "bob", onRole), trusts(root, ""), true},
		{"left to the account, by its id", user(account, "bob", onRole), trusts(account, ""), true},
		{"left to the account, allowed on another role", user(account, "bob", elsewhere), trusts(root, ""), false},
		{"left to the account, silent", user(account, "bob"), trusts(root, ""), false},
		{"left to another account", user(account, "bob", onRole), trusts(abroad, ""), false},
		{"from abroad, both sides", user(foreign, "stranger", onRole), trusts(abroad, ""), true},
		{"from abroad, named, own side silent", user(foreign, "stranger"), trusts(eve, ""), false},
		{"from abroad, named, both sides", user(foreign, "stranger", onRole), trusts(eve, ""), true},
		{"from abroad, own side alone", user(foreign, "stranger", onRole), trusts(root, ""), false},
		{"everyone, at home", user(account, "carol"), trusts("*", ""), true},
		{"everyone, from abroad, own side silent", user(foreign, "stranger"), trusts("*", ""), false},
		{"a condition that holds", user(account, "bob"), trusts(bob, `,"Condition":{"StringEquals":{"sts:RoleSessionName":"one"}}`), true},
		{"a condition that does not", user(account, "bob"), trusts(bob, `,"Condition":{"StringEquals":{"sts:RoleSessionName":"two"}}`), false},
		{"an external id that is missing", user(account, "bob"), trusts(bob, `,"Condition":{"StringEquals":{"sts:ExternalId":"42"}}`), false},
		{"the role's own account", user(foreign, "stranger", onRole), trusts(abroad, `,"Condition":{"StringEquals":{"aws:ResourceAccount":"`+account+`","aws:PrincipalAccount":"`+foreign+`"}}`), true},
		{"the root user", user(account, "root"), trusts(root, ""), false},
		{"a session of a role", session(account, "batch", "bb"), trusts("arn:aws:iam::"+account+":role/batch", ""), true},
		{"that very session", session(account, "batch", "bb"), trusts("arn:aws:sts::"+account+":assumed-role/batch/bb", ""), true},
		{"another session", session(account, "batch", "cc"), trusts("arn:aws:sts::"+account+":assumed-role/batch/bb", ""), false},
	} {
		name := fmt.Sprintf("r%d", i)
		w.role(name, c.trust, "")
		a := w.assume(c.caller, name)
		if ok := a.status == 200; ok != c.ok {
			t.Errorf("%s: %d %s", c.name, a.status, a.message)
		}
		want := notAuthorized(c.caller, "sts:AssumeRole", name)
		if c.caller.principal.IsRoot() {
			want = "Roles may not be assumed by root accounts."
		}
		if !c.ok {
			w.denied(a, 403, "AccessDenied", want)
		}
	}
	// Whether there is such a role makes no difference.
	w.denied(w.assume(user(account, "carol", allow("*")), "absent"), 403, "AccessDenied", notAuthorized(user(account, "carol"), "sts:AssumeRole", "absent"))
	w.denied(w.sts(admin, "AssumeRole", "RoleArn", "arn:aws:iam::111122223333:user/bob", "RoleSessionName", "one"), 403, "AccessDenied",
		"User: arn:aws:iam::111122223333:user/admin is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111122223333:user/bob")
	w.denied(w.assume(caller{}, "r0"), 403, "InvalidClientTokenId", "The security token included in the request is invalid.")
}

func TestAssumeRoleWithAnExternalID(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	w.role("vendor", trusts(bob.principal.ARN, `,"Condition":{"StringEquals":{"sts:ExternalId":"42-x"}}`), "")
	w.session(w.assume(bob, "vendor", "ExternalId", "42-x"))
	for _, other := range [][]string{nil, {"ExternalId", "42-X"}, {"ExternalId", "42-xy"}} {
		w.denied(w.assume(bob, "vendor", other...), 403, "AccessDenied", notAuthorized(bob, "sts:AssumeRole", "vendor"))
	}
}

// TestSEC_A12: a session policy cuts a session down in everything it does, in its own
// account too, and cannot be left behind by assuming the role again.
func TestSEC_A12_SessionPolicies(t *testing.T) {
	w := newWorld(t)
	id, _ := w.newKey(admin)
	bob := w.person("bob")
	w.role("batch", trusts(bob.principal.ARN, ""), allow("*"))
	inline := w.session(w.assume(bob, "batch", "Policy", allow("kms:Encrypt")))
	w.encrypt(inline, id, "{}")
	w.refused(w.call(inline, "GenerateRandom", `{"NumberOfBytes":1}`), "AccessDeniedException",
		"User: arn:aws:sts::111122223333:assumed-role/batch/one is not authorized to perform: kms:GenerateRandom on resource: * because no session policy allows the kms:GenerateRandom action")
	if a := w.form(inline, "CreateUser", "UserName", "mallory"); a.status != 403 {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := w.assume(inline, "batch"); a.status != 403 {
		t.Errorf("out of a session policy by assuming the role again: %d", a.status)
	}
	w.done(admin, "CreatePolicy", "PolicyName", "random", "PolicyDocument", allow("kms:GenerateRandom"))
	both := w.session(w.assume(bob, "batch", "Policy", allow("kms:Encrypt"), "PolicyArns.member.1.arn", policyARN("random")))
	w.encrypt(both, id, "{}")
	w.must(both, "GenerateRandom", `{"NumberOfBytes":1}`)
	if r := w.call(both, "DescribeKey", `{"KeyId":"`+id+`"}`); r.code != "AccessDeniedException" {
		t.Errorf("%v", r)
	}
	// It gives nothing that the role does not have.
	w.role("small", trusts(bob.principal.ARN, ""), allow("kms:Encrypt"))
	more := w.session(w.assume(bob, "small", "Policy", allow("*")))
	if r := w.call(more, "GenerateRandom", `{"NumberOfBytes":1}`); r.code != "AccessDeniedException" {
		t.Errorf("%v", r)
	}
}

func TestAssumeRoleRefusals(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	w.role("batch", trusts(bob.principal.ARN, ""), allow("*"))
	chained := w.session(w.assume(bob, "batch"))
	w.role("next", trusts(roleARN("batch"), ""), "")
	w.done(admin, "UpdateRole", "RoleName", "next", "MaxSessionDuration", "43200")
	var tags []string
	for i := range 50 {
		n := fmt.Sprintf("Tags.member.%d.", i+1)
		tags = append(tags, n+"Key", fmt.Sprintf("key-%02d-%s", i, strings.Repeat("k", 100)), n+"Value", strings.Repeat("v", 200))
	}
	arns := make([]string, 0, 22)
	for i := range 11 {
		arns = append(arns, fmt.Sprintf("PolicyArns.member.%d.arn", i+1), identity.AdministratorARN("aws"))
	}
	for name, c := range map[string]struct {
		a       answer
		code    string
		message string // a part of it
	}{
		"too long":              {w.assume(bob, "batch", "DurationSeconds", "3601"), "ValidationError", "MaxSessionDuration set for this role"},
		"too long for a chain":  {w.assume(chained, "next", "DurationSeconds", "3601"), "ValidationError", "1 hour session limit for roles assumed by role chaining"},
		"too short":             {w.assume(bob, "batch", "DurationSeconds", "899"), "ValidationError", "greater than or equal to 900"},
		"a bad name":            {w.sts(bob, "AssumeRole", "RoleArn", roleARN("batch"), "RoleSessionName", "a/b"), "ValidationError", "roleSessionName"},
		"MFA":                   {w.assume(bob, "batch", "SerialNumber", "arn:aws:iam::111122223333:mfa/bob", "TokenCode", "123456"), "UnsupportedOperation", "Multi-factor authentication is not supported"},
		"contexts":              {w.assume(bob, "batch", "ProvidedContexts.member.1.ContextAssertion", "abcd"), "UnsupportedOperation", "ProvidedContexts"},
		"no policy":             {w.assume(bob, "batch", "Policy", "{}"), "MalformedPolicyDocument", "Syntax errors in policy."},
		"a principal in it":     {w.assume(bob, "batch", "Policy", trust), "MalformedPolicyDocument", "Principal"},
		"an unknown policy":     {w.assume(bob, "batch", "PolicyArns.member.1.arn", policyARN("nope")), "MalformedPolicyDocument", "There is no policy"},
		"eleven policies":       {w.assume(bob, "batch", arns...), "ValidationError", "at most 10"},
		"a long policy":         {w.assume(bob, "batch", "Policy", allow("kms:"+strings.Repeat("x", 1940)), "PolicyArns.member.1.arn", identity.AdministratorARN("aws")), "ValidationError", "2048"},
		"a policy of 2049":      {w.assume(bob, "batch", "Policy", allow("kms:"+strings.Repeat("x", 2049-len(allow("kms:"))))), "ValidationError", "may have 2048"},
		"large tags":            {w.assume(bob, "batch", tags...), "PackedPolicyTooLarge", "% of allotted space"},
		"two tags of a key":     {w.assume(bob, "batch", "Tags.member.1.Key", "a", "Tags.member.1.Value", "1", "Tags.member.2.Key", "A", "Tags.member.2.Value", "2"), "InvalidParameterValue", "Duplicate tag keys"},
		"a reserved tag":        {w.assume(bob, "batch", "Tags.member.1.Key", "AWS:x", "Tags.member.1.Value", "1"), "InvalidParameterValue", "reserved"},
		"transitive without":    {w.assume(bob, "batch", "TransitiveTagKeys.member.1", "a"), "InvalidParameterValue", "none of Tags"},
		"a huge token":          {w.assume(bob, "batch", "MinimumSessionTokenSize", "100000"), "ValidationError", "minimumSessionTokenSize"},
		"without a role":        {w.sts(bob, "AssumeRole", "RoleSessionName", "one"), "ValidationError", "roleArn"},
		"a role in other words": {w.sts(bob, "AssumeRole", "RoleArn", strings.ToUpper(roleARN("batch")), "RoleSessionName", "one"), "AccessDenied", "not authorized"},
	} {
		if c.a.code != c.code || !strings.Contains(c.a.message, c.message) || c.a.value("SessionToken") != "" {
			t.Errorf("%s: %d %s %s", name, c.a.status, c.a.code, c.a.message)
		}
	}
}

// TestSEC_B05: tags and a source identity need a permission of their own, can be told in
// policies, and follow a session to the roles that it assumes.
func TestSEC_B05_SessionTags(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	only := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + bob.principal.ARN + `"},"Action":"sts:AssumeRole"}}`
	w.role("plain", only, "")
	tag := []string{"Tags.member.1.Key", "Team", "Tags.member.1.Value", "red"}
	w.session(w.assume(bob, "plain"))
	w.denied(w.assume(bob, "plain", tag...), 403, "AccessDenied", notAuthorized(bob, "sts:TagSession", "plain"))
	w.denied(w.assume(bob, "plain", "SourceIdentity", "bob"), 403, "AccessDenied", notAuthorized(bob, "sts:SetSourceIdentity", "plain"))

	w.role("first", trusts(bob.principal.ARN, `,"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["Team","Cost"]},"StringEqualsIfExists":{"aws:RequestTag/team":"red","sts:SourceIdentity":"bob"}}`), allow("*"))
	w.role("second", trusts(roleARN("first"), `,"Condition":{"StringEquals":{"aws:PrincipalTag/Team":"red","aws:SourceIdentity":"bob"}}`), allow("*"))
	w.role("third", trusts(roleARN("second"), ""), allow("*"))
	w.role("untagged", strings.ReplaceAll(only, bob.principal.ARN, roleARN("first")), "")
	for name, more := range map[string][]string{
		"another value":    {"Tags.member.1.Key", "Team", "Tags.member.1.Value", "blue"},
		"another key":      {"Tags.member.1.Key", "Shift", "Tags.member.1.Value", "red"},
		"another identity": {"SourceIdentity", "alice"},
	} {
		if a := w.assume(bob, "first", more...); a.code != "AccessDenied" {
			t.Errorf("%s: %d %s", name, a.status, a.code)
		}
	}
	a := w.assume(bob, "first", append(tag, "Tags.member.2.Key", "Cost", "Tags.member.2.Value", "7", "TransitiveTagKeys.member.1", "team", "SourceIdentity", "bob")...)
	first := w.session(a)
	if a.value("SourceIdentity") != "bob" || a.value("PackedPolicySize") == "" {
		t.Errorf("%s", a.text)
	}
	// The second and third role get the tag that passes on and no other, and the identity.
	second := w.session(w.assume(first, "second"))
	third := w.session(w.assume(second, "third"))
	for name, s := range map[string]caller{"second": second, "third": third} {
		if p := s.principal; p.SourceIdentity != "bob" || len(p.Tags) != 1 || !strings.EqualFold(p.Tags[0].Key, "Team") || p.Tags[0].Value != "red" {
			t.Errorf("%s: %v %v", name, p.SourceIdentity, p.Tags)
		}
	}
	w.denied(w.assume(first, "untagged"), 403, "AccessDenied", notAuthorized(first, "sts:TagSession", "untagged"))
	if a := w.assume(first, "second", tag...); a.code != "InvalidParameterValue" || !strings.Contains(a.message, "cannot be replaced") {
		t.Errorf("%s %s", a.code, a.message)
	}
	if a := w.assume(first, "second", "SourceIdentity", "alice"); a.code != "InvalidParameterValue" || !strings.Contains(a.message, "cannot be changed") {
		t.Errorf("%s %s", a.code, a.message)
	}
	w.must(third, "GenerateRandom", `{"NumberOfBytes":1}`)
	if line := w.audit.lines[len(w.audit.lines)-1]; !strings.Contains(line, `"sourceIdentity":"bob"`) {
		t.Errorf("%s", line)
	}
}

// TestSEC_A12: sessions of a role that began before a moment are ended by a policy, as
// the console of AWS writes it; those that begin later go on.
func TestSEC_A12_Revocation(t *testing.T) {
	w := newWorld(t)
	id, _ := w.newKey(admin)
	bob := w.person("bob")
	w.role("batch", trusts(bob.principal.ARN, ""), allow("kms:*"))
	leaked := w.assume(bob, "batch")
	w.encrypt(w.session(leaked), id, "{}")
	w.pass(time.Minute)
	w.done(admin, "PutRolePolicy", "RoleName", "batch", "PolicyName", "AWSRevokeOlderSessions", "PolicyDocument",
		`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":["*"],"Resource":["*"],"Condition":{"DateLessThan":{"aws:TokenIssueTime":"`+w.clock().Format(time.RFC3339)+`"}}}]}`)
	if r := w.call(w.session(leaked), "Encrypt", `{"KeyId":"`+id+`","Plaintext":"AA=="}`); r.code != "AccessDeniedException" || !strings.HasSuffix(r.message, "with an explicit deny in an identity-based policy") {
		t.Errorf("a revoked session: %v", r)
	}
	w.encrypt(w.session(w.assume(bob, "batch")), id, "{}")
}

// TestSEC_A11: a captured request for credentials gives nobody a set of them, once the
// two seconds are over in which processes of one machine may ask for the same.
func TestSEC_A11_CapturedRequestsForCredentials(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	w.role("batch", trusts(bob.principal.ARN, ""), "")
	for i, ask := range []func(caller) answer{
		func(c caller) answer { return w.assume(c, "batch") },
		func(c caller) answer { return w.sts(c, "GetSessionToken") },
	} {
		captured := bob
		captured.signature = strings.Repeat(fmt.Sprintf("%02x", i), 32)
		first, again := ask(captured), ask(captured)
		if w.session(first); first.value("AccessKeyId") == w.session(again).principal.AccessKeyID {
			t.Error("two requests got the same credentials")
		}
		for range 2 {
			w.pass(3 * time.Second)
			if a := ask(captured); a.code != "SignatureDoesNotMatch" || a.value("SessionToken") != "" {
				t.Errorf("%d %s", a.status, a.text)
			}
		}
	}
}

// TestSEC_G01: neither token nor secret is in the audit; who got which access key is.
func TestSEC_G01_IssuedCredentials(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	w.role("batch", trusts(bob.principal.ARN, ""), "")
	a := w.assume(bob, "batch", "ExternalId", "42", "DurationSeconds", "900")
	line := w.audit.lines[len(w.audit.lines)-1]
	for _, want := range []string{`"service":"sts"`, `"operation":"AssumeRole"`, `"resources":["` + roleARN("batch") + `"]`, `"issuedKeyId":"` + a.value("AccessKeyId") + `"`, `"ExternalId":"42"`} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is not in %s", want, line)
		}
	}
	b := w.sts(bob, "GetSessionToken")
	all := strings.Join(w.audit.lines, "")
	for _, secret := range []string{a.value("SessionToken"), a.value("SecretAccessKey"), b.value("SessionToken"), b.value("SecretAccessKey")} {
		if secret == "" || strings.Contains(all, secret) {
			t.Error("a secret is in the audit, or there is none")
		}
	}
	if !strings.Contains(all, `"issuedKeyId":"`+b.value("AccessKeyId")+`"`) {
		t.Error("GetSessionToken does not say which key it gave out")
	}
	w.assume(w.person("eve"), "batch")
	line = w.audit.lines[len(w.audit.lines)-1]
	if strings.Contains(line, "issuedKeyId") || !strings.Contains(line, `"reason":"trust policy: nothing matched"`) && !strings.Contains(line, "trust policy: ") {
		t.Errorf("%s", line)
	}
}

func TestGetSessionToken(t *testing.T) {
	w := newWorld(t)
	id, _ := w.newKey(admin)
	bob := w.person("bob", allow("*"))
	a := w.sts(bob, "GetSessionToken")
	if got := a.value("Expiration"); got != "2026-11-25T00:00:00Z" {
		t.Errorf("over at %s", got)
	}
	s := w.session(a)
	if s.principal.Kind != iam.User || s.principal.ARN != bob.principal.ARN || s.principal.AccessKeyID != a.value("AccessKeyId") {
		t.Errorf("%+v", s.principal)
	}
	w.encrypt(s, id, "{}")
	if who := w.sts(s, "GetCallerIdentity"); who.value("Arn") != bob.principal.ARN {
		t.Errorf("%s", who.text)
	}
	// It cannot make identities or prolong itself, and may assume roles.
	w.denied(w.form(s, "CreateAccessKey"), 403, "InvalidClientTokenId", "The security token included in the request is invalid.")
	w.denied(w.sts(s, "GetSessionToken"), 403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	w.role("batch", trusts(bob.principal.ARN, ""), "")
	r := w.session(w.assume(s, "batch"))
	w.denied(w.sts(r, "GetSessionToken"), 403, "AccessDenied", "Cannot call GetSessionToken with session credentials")
	if a := w.sts(user(account, "root"), "GetSessionToken"); a.code != "AccessDenied" {
		t.Errorf("the root user: %d %s", a.status, a.text)
	}
	if a := w.sts(bob, "GetSessionToken", "SerialNumber", "arn:aws:iam::111122223333:mfa/bob", "TokenCode", "123456"); a.code != "UnsupportedOperation" {
		t.Errorf("MFA: %d %s", a.status, a.text)
	}
	w.done(admin, "DeleteAccessKey", "UserName", "bob", "AccessKeyId", bob.principal.AccessKeyID)
	if w.session(a).principal != nil {
		t.Error("the session outlives its access key")
	}
}

func TestGetAccessKeyInfo(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob", allow("sts:*"))
	k, err := w.identities.Bootstrap(context.Background(), identity.Newcomer{Account: foreign, Name: "eve"}, w.clock())
	if err != nil {
		t.Fatal(err)
	}
	if a := w.sts(bob, "GetAccessKeyInfo", "AccessKeyId", k.ID); a.value("Account") != foreign {
		t.Errorf("%s", a.text)
	}
	s := w.session(w.sts(bob, "GetSessionToken"))
	if a := w.sts(s, "GetAccessKeyInfo", "AccessKeyId", s.principal.AccessKeyID); a.value("Account") != account {
		t.Errorf("%s", a.text)
	}
	for _, unknown := range []string{s.principal.AccessKeyID, "AKIAAAAAAAAAAAAAAAAA"} {
		if a := w.sts(bob, "GetAccessKeyInfo", "AccessKeyId", unknown); a.code != "ValidationError" {
			t.Errorf("%d %s", a.status, a.text)
		}
	}
	if a := w.sts(w.person("carol"), "GetAccessKeyInfo", "AccessKeyId", k.ID); a.code != "AccessDenied" {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// Key policies and grants name roles and sessions, and a session is both.
func TestSessionsInKeyPoliciesAndGrants(t *testing.T) {
	w := newWorld(t)
	bob := w.person("bob")
	for _, name := range []string{"batch", "other"} {
		w.role(name, trusts(bob.principal.ARN, ""), "")
	}
	one, other := w.session(w.assume(bob, "batch")), w.session(w.assume(bob, "other"))
	two := w.session(w.sts(bob, "AssumeRole", "RoleArn", roleARN("batch"), "RoleSessionName", "two"))
	cut := w.session(w.assume(bob, "batch", "Policy", allow("kms:Decrypt")))
	may := func(c caller, id string) bool {
		return w.call(c, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"AA=="}`).status == 200
	}
	for name, c := range map[string]struct {
		principal string
		want      []bool // one, two, other, and one with a session policy
	}{
		"role":    {roleARN("batch"), []bool{true, true, false, false}},
		"session": {"arn:aws:sts::111122223333:assumed-role/batch/one", []bool{true, false, false, true}}, // a session that is named is not cut down
	} {
		id, _ := w.newKey(admin)
		policy := strings.ReplaceAll(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},{"Effect":"Allow","Principal":{"AWS":"`+c.principal+`"},"Action":"kms:Encrypt","Resource":"*"}]}`, `"`, `\"`)
		w.must(admin, "PutKeyPolicy", `{"KeyId":"`+id+`","PolicyName":"default","Policy":"`+policy+`"}`)
		if got := []bool{may(one, id), may(two, id), may(other, id), may(cut, id)}; !slices.Equal(got, c.want) {
			t.Errorf("a key policy that names the %s: %v, want %v", name, got, c.want)
		}
		id, _ = w.newKey(admin)
		w.must(admin, "CreateGrant", `{"KeyId":"`+id+`","GranteePrincipal":"`+c.principal+`","Operations":["Encrypt"]}`)
		if got := []bool{may(one, id), may(two, id), may(other, id), may(cut, id)}; !slices.Equal(got, []bool{true, c.want[1], false, false}) {
			t.Errorf("a grant to the %s: %v", name, got)
		}
	}
}

// TestSEC_A09: roles of one name in two accounts have nothing in common, and one of a closed
// account is assumed by nobody.
func TestSEC_A09_RolesOfOneName(t *testing.T) {
	w := newWorld(t)
	abroad := user(foreign, "boss", allow("*"))
	both := trusts(account+`","`+foreign, "")
	both = strings.Replace(both, `"AWS":"`+account+`","`+foreign+`"`, `"AWS":["`+account+`","`+foreign+`"]`, 1)
	w.role("batch", both, allow("kms:*"))
	w.done(abroad, "CreateRole", "RoleName", "batch", "AssumeRolePolicyDocument", both)
	id, key := w.newKey(admin)
	theirARN := strings.Replace(roleARN("batch"), account, foreign, 1)
	ours := w.session(w.assume(admin, "batch"))
	theirs := w.session(w.sts(admin, "AssumeRole", "RoleArn", theirARN, "RoleSessionName", "one"))
	if ours.principal.RoleID == theirs.principal.RoleID || ours.principal.UniqueID == theirs.principal.UniqueID || theirs.principal.Account != foreign || len(theirs.principal.Policies) != 0 {
		t.Errorf("%+v", theirs.principal)
	}
	w.encrypt(ours, id, "{}")
	if r := w.call(theirs, "Encrypt", `{"KeyId":"`+key+`","Plaintext":"AA=="}`); r.code != "AccessDeniedException" {
		t.Errorf("%v", r)
	}
	if err := w.identities.Commit(context.Background(), w.identities.View(), []identity.Change{identity.Close(foreign, w.clock())}, nil); err != nil {
		t.Fatal(err)
	}
	if a := w.sts(admin, "AssumeRole", "RoleArn", theirARN, "RoleSessionName", "one"); a.code != "AccessDenied" || a.message != strings.Replace(notAuthorized(admin, "sts:AssumeRole", "batch"), roleARN("batch"), theirARN, 1) {
		t.Errorf("a role of a closed account: %d %s", a.status, a.text)
	}
}
