package pipeline_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"trent/internal/iam"
	"trent/internal/identity"
)

func userARN(c caller) string { return c.principal.ARN }

// grant makes a grant and returns its id and token.
func (w *world) grant(by caller, id, members string) (grantID, token string) {
	w.t.Helper()
	out := w.must(by, "CreateGrant", `{"KeyId":"`+id+`",`+members+`}`)
	return out["GrantId"].(string), out["GrantToken"].(string)
}

func to(grantee caller, operations ...string) string {
	return `"GranteePrincipal":"` + userARN(grantee) + `","Operations":["` + strings.Join(operations, `","`) + `"]`
}

func encryptBody(id, context string) string {
	return `{"KeyId":"` + id + `","Plaintext":"YQ==","EncryptionContext":` + context + `}`
}

// A grant allows at once, with its token or without, what it names and nothing
// else, until it is revoked; then nothing, with its token or without.
func TestGrantLife(t *testing.T) {
	w := newPopulated(t)
	id, keyARN := w.newKey(admin)
	body := `{"KeyId":"` + id + `","KeySpec":"AES_256"}`
	w.refused(w.call(nobody, "GenerateDataKey", body), "AccessDeniedException",
		"User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: kms:GenerateDataKey on resource: "+keyARN+" because no identity-based policy allows the kms:GenerateDataKey action")
	grantID, token := w.grant(admin, id, to(nobody, "GenerateDataKey", "DescribeKey"))
	w.must(nobody, "GenerateDataKey", body)
	w.must(nobody, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256","GrantTokens":["`+token+`"]}`)
	w.must(nobody, "DescribeKey", `{"KeyId":"`+id+`"}`)
	for _, other := range []string{"Encrypt", "GetKeyPolicy", "ListGrants", "DisableKey", "CreateGrant"} {
		extra := map[string]string{"Encrypt": `,"Plaintext":"YQ=="`, "CreateGrant": `,"GranteePrincipal":"` + userARN(nobody) + `","Operations":["Decrypt"]`}[other]
		if r := w.call(nobody, other, `{"KeyId":"`+id+`"`+extra+`}`); r.code != "AccessDeniedException" {
			t.Errorf("%s: %d %s", other, r.status, r.code)
		}
	}
	w.refused(w.call(user(account, "bob"), "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256","GrantTokens":["`+token+`"]}`), "AccessDeniedException",
		"User: arn:aws:iam::111122223333:user/bob is not authorized to perform: kms:GenerateDataKey on resource: "+keyARN+" because no identity-based policy allows the kms:GenerateDataKey action")
	w.refused(w.call(nobody, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256","GrantTokens":["`+token[:len(token)-2]+`"]}`), "InvalidGrantTokenException", "")

	w.refused(w.call(admin, "RevokeGrant", `{"KeyId":"`+id+`","GrantId":"`+grantID+`","DryRun":true}`), "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
	w.must(nobody, "GenerateDataKey", body)
	w.must(admin, "RevokeGrant", `{"KeyId":"`+id+`","GrantId":"`+grantID+`"}`)
	for _, tokens := range []string{"", `,"GrantTokens":["` + token + `"]`} {
		if r := w.call(nobody, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256"`+tokens+`}`); r.code != "AccessDeniedException" {
			t.Errorf("after it was revoked: %d %s", r.status, r.code)
		}
	}
	w.refused(w.call(admin, "RevokeGrant", `{"KeyId":"`+id+`","GrantId":"`+grantID+`"}`), "NotFoundException", "Grant ID "+grantID+" not found")
	w.refused(w.call(admin, "RevokeGrant", `{"KeyId":"`+id+`","GrantId":"`+grantID[1:]+`"}`), "InvalidGrantIdException", "Invalid grant id")
}

// The confused cases of the decision procedure, row by row.
func TestSEC_B10_ConfusedCases(t *testing.T) {
	const (
		delegation = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}`
		keeper     = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/admin"},"Action":"kms:*","Resource":"*"}`
		everybody  = `{"Effect":"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*"}`
		denyAll    = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:Encrypt","Resource":"*"}}`
	)
	app, root := user(account, "app"), user(account, "root")
	appWith := func(policies ...string) caller { return user(account, "app", policies...) }
	toApp, toStranger := to(app, "Encrypt"), to(stranger, "Encrypt")
	bound := func(c caller, boundary string, sessionPolicies ...string) caller {
		p := *c.principal
		if boundary != "" {
			p.Boundary = compiled(t, boundary)
		}
		for _, text := range sessionPolicies {
			p.SessionPolicies = append(p.SessionPolicies, compiled(t, text))
		}
		c.principal = &p
		return c
	}
	roleSession := session(account, "batch", "night")
	named := func(arn string) string {
		return `{"Effect":"Allow","Principal":{"AWS":"` + arn + `"},"Action":"kms:Encrypt","Resource":"*"}`
	}
	for _, c := range []struct {
		name   string
		key    []string // statements of the key policy
		grant  string
		caller caller
		want   bool
	}{
		{"IAM allows all, the key policy does not name the account", []string{keeper}, "", appWith(allow("kms:*")), false},
		{"IAM denies, the key policy names the user", []string{keeper, named(userARN(app))}, "", appWith(denyAll), false},
		{"IAM denies, the key policy has no delegation", []string{keeper, everybody}, "", appWith(denyAll), false},
		{"the root user, not named", []string{keeper}, "", root, false},
		{"the root user, named", []string{keeper, delegation}, "", root, true},
		{"delegation alone allows no user", []string{delegation}, "", app, false},
		{"delegation alone allows no role", []string{delegation}, "", roleSession, false},
		{"delegation and IAM", []string{delegation}, "", appWith(allow("kms:Encrypt")), true},
		{"everybody, at home", []string{keeper, everybody}, "", app, true},
		{"everybody, a role at home", []string{keeper, everybody}, "", roleSession, true},
		{"everybody, from abroad without IAM", []string{keeper, everybody}, "", user(foreign, "other"), false},
		{"everybody, from abroad with IAM", []string{keeper, everybody}, "", stranger, true},
		{"a foreign role named, without IAM at home", []string{keeper, named("arn:aws:iam::444455556666:role/batch")}, "", session(foreign, "batch", "night"), false},
		{"a foreign role named, with IAM at home", []string{keeper, named("arn:aws:iam::444455556666:role/batch")}, "", session(foreign, "batch", "night", allow("kms:Encrypt")), true},
		{"a foreign account named, with IAM at home", []string{keeper, named("444455556666")}, "", stranger, true},
		{"a foreign account named, IAM about another key", []string{keeper, named("444455556666")}, "", user(foreign, "other", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"arn:aws:kms:*:444455556666:key/*"}}`), false},
		{"a grant, the key policy silent", []string{keeper}, toApp, app, true},
		{"a grant, and an explicit deny in IAM", []string{keeper}, toApp, appWith(denyAll), false},
		{"a grant, and an explicit deny in the key policy", []string{keeper, strings.Replace(everybody, "Allow", "Deny", 1)}, toApp, app, false},
		{"a grant with another context", []string{keeper}, toApp + `,"Constraints":{"EncryptionContextEquals":{"tenant":"a"}}`, app, false},
		{"a grant with another context, another allow", []string{keeper, named(userARN(app))}, toApp + `,"Constraints":{"EncryptionContextEquals":{"tenant":"a"}}`, app, true},
		{"a grant to somebody abroad, without IAM", []string{keeper}, toStranger, user(foreign, "stranger"), false},
		{"a grant to somebody abroad, with IAM", []string{keeper}, toStranger, stranger, true},
		{"a grant to a role, its session", []string{keeper}, `"GranteePrincipal":"arn:aws:iam::111122223333:role/batch","Operations":["Encrypt"]`, roleSession, true},
		{"a grant to one session, that session", []string{keeper}, `"GranteePrincipal":"` + userARN(roleSession) + `","Operations":["Encrypt"]`, roleSession, true},
		{"a grant to one session, another", []string{keeper}, `"GranteePrincipal":"` + userARN(roleSession) + `","Operations":["Encrypt"]`, session(account, "batch", "day"), false},
		{"a grant to the account, its root user", []string{keeper}, `"GranteePrincipal":"arn:aws:iam::111122223333:root","Operations":["Encrypt"]`, root, true},
		{"a grant to the account, a user without IAM", []string{keeper}, `"GranteePrincipal":"arn:aws:iam::111122223333:root","Operations":["Encrypt"]`, app, false},
		{"a grant to the account, a user with IAM", []string{keeper}, `"GranteePrincipal":"arn:aws:iam::111122223333:root","Operations":["Encrypt"]`, appWith(allow("kms:Encrypt")), true},
		{"a statement without Action", []string{keeper, `{"Effect":"Allow","Principal":"*","Resource":"*"}`}, "", app, false},
		{"a statement without Resource", []string{keeper, `{"Effect":"Allow","Principal":"*","Action":"kms:*"}`}, "", app, false},
		{"another key in Resource", []string{keeper, `{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"arn:aws:kms:us-east-1:111122223333:key/other"}`}, "", app, false},
		{"an alias in an identity policy's Resource", []string{delegation}, "", appWith(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"arn:aws:kms:us-east-1:111122223333:alias/*"}}`), false},
		{"a boundary that is silent cuts delegation", []string{delegation}, "", bound(appWith(allow("kms:*")), allow("s3:*")), false},
		{"a boundary that allows", []string{delegation}, "", bound(appWith(allow("kms:*")), allow("kms:*")), true},
		{"a boundary that is silent, the user named", []string{keeper, named(userARN(app))}, "", bound(app, allow("s3:*")), true},
		{"a boundary that denies, the user named", []string{keeper, named(userARN(app))}, "", bound(app, denyAll), false},
		{"a boundary that is silent, everybody named", []string{keeper, everybody}, "", bound(app, allow("s3:*")), false},
		{"a boundary that is silent, a grant", []string{keeper}, toApp, bound(app, allow("s3:*")), false},
		{"a session policy that is silent, the role named", []string{keeper, named("arn:aws:iam::111122223333:role/batch")}, "", bound(roleSession, "", allow("s3:*")), false},
		{"a session policy that is silent, the session named", []string{keeper, named(userARN(roleSession))}, "", bound(roleSession, "", allow("s3:*")), true},
		{"a session policy that denies, the session named", []string{keeper, named(userARN(roleSession))}, "", bound(roleSession, "", denyAll), false},
		{"one of two session policies allows", []string{delegation}, "", bound(session(account, "batch", "night", allow("kms:*")), "", allow("s3:*"), allow("kms:Encrypt")), true},
		{"a session policy gives nothing by itself", []string{delegation}, "", bound(roleSession, "", allow("kms:*")), false},
		{"boundary and session policy must both allow", []string{delegation}, "", bound(session(account, "batch", "night", allow("kms:*")), allow("kms:*"), allow("s3:*")), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newPopulated(t)
			id, keyARN := w.newKey(admin)
			policy := `{"Version":"2012-10-17","Statement":[` + strings.Join(c.key, ",") + `]}`
			if c.grant != "" {
				w.grant(admin, id, c.grant)
			}
			w.must(admin, "PutKeyPolicy", `{"KeyId":"`+id+`","BypassPolicyLockoutSafetyCheck":true,"Policy":`+quoted(policy)+`}`)
			r := w.call(c.caller, "Encrypt", encryptBody(keyARN, `{"tenant":"b"}`))
			if got := r.status == 200; got != c.want || !got && r.code != "AccessDeniedException" {
				t.Errorf("%d %s %s", r.status, r.code, r.message)
			}
		})
	}
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// What is said of a refusal names the kind of policy that decided.
func TestRefusalTails(t *testing.T) {
	w := newPopulated(t)
	id, keyARN := w.newKey(admin)
	base := func(arn string) string {
		return "User: " + arn + " is not authorized to perform: kms:Encrypt on resource: " + keyARN
	}
	night := session(account, "batch", "night", allow("kms:*"))
	with := func(c caller, boundary, sessionPolicy string) caller {
		p := *c.principal
		if boundary != "" {
			p.Boundary = compiled(t, boundary)
		}
		if sessionPolicy != "" {
			p.SessionPolicies = []*iam.Policy{compiled(t, sessionPolicy)}
		}
		c.principal = &p
		return c
	}
	deny := `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`
	for _, c := range []struct {
		caller caller
		tail   string
	}{
		{nobody, " because no identity-based policy allows the kms:Encrypt action"},
		{user(account, "x", allow("kms:*"), deny), " with an explicit deny in an identity-based policy"},
		{with(night, allow("s3:*"), ""), " because no permissions boundary allows the kms:Encrypt action"},
		{with(night, deny, ""), " with an explicit deny in a permissions boundary"},
		{with(night, "", allow("s3:*")), " because no session policy allows the kms:Encrypt action"},
		{with(night, "", deny), " with an explicit deny in a session policy"},
	} {
		w.refused(w.call(c.caller, "Encrypt", encryptBody(id, `{}`)), "AccessDeniedException", base(userARN(c.caller))+c.tail)
	}
}

// What a grant may ask for.
func TestCreateGrantRules(t *testing.T) {
	w := newPopulated(t)
	id, keyARN := w.newKey(admin)
	bob := `"GranteePrincipal":"arn:aws:iam::111122223333:user/bob"`
	nine := make([]string, 9)
	for i := range nine {
		nine[i] = fmt.Sprintf(`"k%d":"v"`, i)
	}
	for _, c := range []struct{ name, members, code, message string }{
		{"CreateGrant alone", bob + `,"Operations":["CreateGrant"]`, "ValidationException", "Grants must not contain only the CreateGrant operation."},
		{"no grantee", `"Operations":["Decrypt"]`, "ValidationException", "GranteePrincipal is required."},
		{"a service", `"GranteeServicePrincipal":"s3.amazonaws.com","Operations":["Decrypt"]`, "ValidationException", "GranteeServicePrincipal can be used by AWS service principals alone."},
		{"no operations", bob + `,"Operations":[]`, "ValidationException", "Operations must not be empty."},
		{"of another kind of key", bob + `,"Operations":["Sign","Decrypt"]`, "ValidationException", "The operation Sign is not supported for keys with usage ENCRYPT_DECRYPT and spec SYMMETRIC_DEFAULT."},
		{"two constraints", bob + `,"Operations":["Decrypt"],"Constraints":{"EncryptionContextEquals":{},"EncryptionContextSubset":{}}`, "ValidationException", "More than one constraint supplied"},
		{"nine pairs", bob + `,"Operations":["Decrypt"],"Constraints":{"EncryptionContextSubset":{` + strings.Join(nine, ",") + `}}`, "ValidationException", "A grant constraint can have up to 8 pairs."},
		{"a long value", bob + `,"Operations":["Decrypt"],"Constraints":{"EncryptionContextSubset":{"k":"` + strings.Repeat("v", 385) + `"}}`, "ValidationException", "A value in a grant constraint can have up to 384 characters."},
		{"nobody", `"GranteePrincipal":"arn:aws:iam::111122223333:user/ghost","Operations":["Decrypt"]`, "InvalidArnException", "ARN does not refer to a valid principal: arn:aws:iam::111122223333:user/ghost"},
		{"a group", `"GranteePrincipal":"arn:aws:iam::111122223333:group/g","Operations":["Decrypt"]`, "InvalidArnException", "ARN does not refer to a valid principal: arn:aws:iam::111122223333:group/g"},
		{"a retiring nobody", bob + `,"RetiringPrincipal":"arn:aws:iam::111122223333:user/ghost","Operations":["Decrypt"]`, "InvalidArnException", "ARN does not refer to a valid principal: arn:aws:iam::111122223333:user/ghost"},
		{"a dry run", bob + `,"Operations":["Decrypt"],"DryRun":true`, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.refused(w.call(admin, "CreateGrant", `{"KeyId":"`+id+`",`+c.members+`}`), c.code, c.message)
		})
	}
	w.refused(w.call(admin, "CreateGrant", `{"KeyId":"alias/x",`+bob+`,"Operations":["Decrypt"]}`), "InvalidArnException", "Key Aliases are not supported for this operation.")
	w.must(admin, "DisableKey", `{"KeyId":"`+id+`"}`)
	w.refused(w.call(admin, "CreateGrant", `{"KeyId":"`+id+`",`+bob+`,"Operations":["Decrypt"]}`), "DisabledException", keyARN+" is disabled.")
	if out := w.must(admin, "ListGrants", `{"KeyId":"`+id+`"}`); len(out["Grants"].([]any)) != 0 {
		t.Errorf("a refused request left %v", out)
	}
}

// Grants with a name: equal requests give one grant and ever new tokens.
func TestGrantNames(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	bob := user(account, "bob")
	members := to(bob, "Decrypt", "Encrypt") + `,"Name":"nightly","Constraints":{"EncryptionContextSubset":{"a":"1","b":"2"}}`
	first, token := w.grant(admin, id, members)
	again, token2 := w.grant(admin, id, strings.Replace(members, `"Decrypt","Encrypt"`, `"Encrypt","Decrypt"`, 1))
	if first != again || token == token2 {
		t.Errorf("%s and %s, tokens equal: %v", first, again, token == token2)
	}
	seen := map[string]bool{first: true}
	for _, other := range []string{
		strings.Replace(members, "nightly", "daily", 1),
		strings.Replace(members, `"b":"2"`, `"b":"3"`, 1),
		strings.Replace(members, "Subset", "Equals", 1),
		strings.Replace(members, `"Decrypt",`, "", 1),
		members + `,"RetiringPrincipal":"` + userARN(bob) + `"`,
		to(bob, "Decrypt"), to(bob, "Decrypt"),
	} {
		next, _ := w.grant(admin, id, other)
		if seen[next] {
			t.Errorf("%s gave a grant that was there", other)
		}
		seen[next] = true
	}
	w.must(admin, "RevokeGrant", `{"KeyId":"`+id+`","GrantId":"`+first+`"}`)
	if anew, _ := w.grant(admin, id, members); anew == first {
		t.Error("a revoked grant came back by its name")
	}
}

// TestSEC_B12: whoever was granted CreateGrant can pass on what it was granted,
// on the same key, under the same constraint or a stricter one.
func TestSEC_B12_GrantsCannotGrow(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	other, _ := w.newKey(admin)
	middle, bob := user(account, "middle"), user(account, "bob")
	w.grant(admin, id, to(middle, "Encrypt", "Decrypt", "CreateGrant")+`,"Constraints":{"EncryptionContextSubset":{"tenant":"a"}}`)
	for _, c := range []struct {
		name, key, members string
		want               bool
	}{
		{"less", id, to(bob, "Encrypt") + `,"Constraints":{"EncryptionContextSubset":{"tenant":"a"}}`, true},
		{"stricter", id, to(bob, "Encrypt") + `,"Constraints":{"EncryptionContextEquals":{"tenant":"a","table":"t"}}`, true},
		{"CreateGrant too", id, to(bob, "Encrypt", "CreateGrant") + `,"Constraints":{"EncryptionContextSubset":{"tenant":"a"}}`, true},
		{"no constraint", id, to(bob, "Encrypt"), false},
		{"another constraint", id, to(bob, "Encrypt") + `,"Constraints":{"EncryptionContextSubset":{"tenant":"b"}}`, false},
		{"one more operation", id, to(bob, "Encrypt", "GenerateDataKey") + `,"Constraints":{"EncryptionContextSubset":{"tenant":"a"}}`, false},
		{"the right to retire", id, to(bob, "Encrypt", "RetireGrant") + `,"Constraints":{"EncryptionContextSubset":{"tenant":"a"}}`, false},
		{"another key", other, to(bob, "Encrypt") + `,"Constraints":{"EncryptionContextSubset":{"tenant":"a"}}`, false},
	} {
		r := w.call(middle, "CreateGrant", `{"KeyId":"`+c.key+`",`+c.members+`}`)
		if got := r.status == 200; got != c.want || !got && r.code != "AccessDeniedException" {
			t.Errorf("%s: %d %s %s", c.name, r.status, r.code, r.message)
		}
	}
	w.must(bob, "Encrypt", encryptBody(id, `{"tenant":"a"}`))
	if r := w.call(bob, "Encrypt", encryptBody(id, `{"tenant":"b"}`)); r.code != "AccessDeniedException" {
		t.Errorf("under another context: %d %s", r.status, r.code)
	}
}

// Who may retire a grant.
func TestRetireGrant(t *testing.T) {
	w := newPopulated(t)
	id, keyARN := w.newKey(admin)
	w.must(admin, "PutKeyPolicy", `{"KeyId":"`+id+`","Policy":`+quoted(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"},{"Effect":"Allow","Principal":"*","Action":"kms:RetireGrant","Resource":"*"},{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:user/denied"},"Action":"kms:RetireGrant","Resource":"*"}]}`)+`}`)
	grantee, retiring := user(account, "grantee"), user(account, "retiring")
	denied := user(account, "denied")
	plain := to(grantee, "Encrypt") + `,"RetiringPrincipal":"` + userARN(retiring) + `"`
	for _, c := range []struct {
		name, members string
		caller        caller
		want          bool
	}{
		{"the retiring principal", plain, retiring, true},
		{"the grantee, without RetireGrant", plain, grantee, false},
		{"the grantee, with RetireGrant", to(grantee, "Encrypt", "RetireGrant"), grantee, true},
		{"the account's root user", plain, user(account, "root"), true},
		{"the account, by IAM", plain, user(account, "x", allow("kms:RetireGrant")), true},
		{"somebody whom the key policy allows", plain, nobody, false},
		{"a stranger with IAM", plain, stranger, false},
		{"a stranger who retires it", to(grantee, "Encrypt") + `,"RetiringPrincipal":"` + userARN(stranger) + `"`, user(foreign, "stranger"), true},
		{"a role's session, the role retires it", to(grantee, "Encrypt") + `,"RetiringPrincipal":"arn:aws:iam::111122223333:role/batch"`, session(account, "batch", "night"), true},
		{"an explicit deny in IAM", plain, user(account, "retiring", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:RetireGrant","Resource":"*"}}`), false},
		{"an explicit deny in the key policy", to(grantee, "Encrypt") + `,"RetiringPrincipal":"` + userARN(denied) + `"`, denied, false},
	} {
		for _, byToken := range []bool{true, false} {
			grantID, token := w.grant(admin, id, c.members)
			body := `{"KeyId":"` + keyARN + `","GrantId":"` + grantID + `"}`
			if byToken {
				body = `{"GrantToken":"` + token + `"}`
			}
			r := w.call(c.caller, "RetireGrant", body)
			if got := r.status == 200; got != c.want || !got && r.code != "AccessDeniedException" {
				t.Errorf("%s, by token %v: %d %s %s", c.name, byToken, r.status, r.code, r.message)
			}
			if c.want {
				w.refused(w.call(admin, "RevokeGrant", `{"KeyId":"`+id+`","GrantId":"`+grantID+`"}`), "NotFoundException", "Grant ID "+grantID+" not found")
			}
		}
	}
	grantID, token := w.grant(admin, id, plain)
	for body, want := range map[string]string{
		`{}`:                            "ValidationException",
		`{"KeyId":"` + keyARN + `"}`:    "ValidationException",
		`{"GrantId":"` + grantID + `"}`: "ValidationException",
		`{"GrantToken":"` + token + `","KeyId":"` + keyARN + `","GrantId":"` + grantID + `"}`: "ValidationException",
		`{"GrantToken":"nonsense"}`:                       "InvalidGrantTokenException",
		`{"KeyId":"` + keyARN + `","GrantId":"short"}`:    "InvalidGrantIdException",
		`{"KeyId":"alias/x","GrantId":"` + grantID + `"}`: "InvalidArnException",
		`{"GrantToken":"` + token + `","DryRun":true}`:    "DryRunOperationException",
	} {
		if r := w.call(retiring, "RetireGrant", body); r.code != want {
			t.Errorf("%s: %s %s, want %s", body, r.code, r.message, want)
		}
	}
	// A stranger learns nothing of which grants there are.
	absent := strings.Repeat("0", 64)
	there, notThere := w.call(stranger, "RetireGrant", `{"KeyId":"`+keyARN+`","GrantId":"`+grantID+`"}`), w.call(stranger, "RetireGrant", `{"KeyId":"`+keyARN+`","GrantId":"`+absent+`"}`)
	if there.code != "AccessDeniedException" || there.message != notThere.message || there.code != notThere.code {
		t.Errorf("%v and %v", there, notThere)
	}
	// Any state of the key will do.
	w.must(admin, "ScheduleKeyDeletion", `{"KeyId":"`+id+`"}`)
	w.must(retiring, "RetireGrant", `{"GrantToken":"`+token+`"}`)
}

func TestListGrants(t *testing.T) {
	w := newPopulated(t)
	id, keyARN := w.newKey(admin)
	bob, gone := user(account, "bob"), user(account, "gone")
	want := make(map[string]bool)
	for i := range 7 {
		grantID, _ := w.grant(admin, id, to([]caller{bob, gone}[i%2], "Decrypt")+`,"RetiringPrincipal":"`+userARN(bob)+`"`)
		want[grantID] = true
	}
	collect := func(operation, members string) map[string]bool {
		got := make(map[string]bool)
		marker := ""
		for {
			out := w.must(admin, operation, `{`+members+`,"Limit":2`+marker+`}`)
			for _, g := range out["Grants"].([]any) {
				got[g.(map[string]any)["GrantId"].(string)] = true
			}
			if out["Truncated"] != true {
				return got
			}
			marker = `,"Marker":"` + out["NextMarker"].(string) + `"`
		}
	}
	if got := collect("ListGrants", `"KeyId":"`+id+`"`); !maps.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	if got := collect("ListGrants", `"KeyId":"`+id+`","GranteePrincipal":"`+userARN(bob)+`"`); len(got) != 4 {
		t.Errorf("of bob: %v", got)
	}
	if got := collect("ListRetirableGrants", `"RetiringPrincipal":"`+userARN(bob)+`"`); !maps.Equal(got, want) {
		t.Errorf("retirable: %v", got)
	}
	one := slices.Collect(maps.Keys(want))[0]
	if got := collect("ListGrants", `"KeyId":"`+id+`","GrantId":"`+one+`"`); len(got) != 1 || !got[one] {
		t.Errorf("one: %v", got)
	}
	full, _ := w.grant(admin, id, to(bob, "Encrypt", "Decrypt")+`,"Name":"n","Constraints":{"EncryptionContextEquals":{"a":"1"}}`)
	out := w.must(admin, "ListGrants", `{"KeyId":"`+id+`","GrantId":"`+full+`"}`)["Grants"].([]any)[0].(map[string]any)
	for member, value := range map[string]any{
		"KeyId": keyARN, "Name": "n", "GranteePrincipal": userARN(bob), "IssuingAccount": "arn:aws:iam::111122223333:root",
		"Operations": []any{"Decrypt", "Encrypt"}, "Constraints": map[string]any{"EncryptionContextEquals": map[string]any{"a": "1"}},
	} {
		if fmt.Sprint(out[member]) != fmt.Sprint(value) {
			t.Errorf("%s: %v, want %v", member, out[member], value)
		}
	}
	if err := w.identities.Commit(context.Background(), w.identities.View(), []identity.Change{identity.Delete(&identity.User{Account: account, ID: gone.principal.UniqueID})}, nil); err != nil {
		t.Fatal(err)
	}
	// Who was deleted is shown by its id, as in policies.
	list := w.must(admin, "ListGrants", `{"KeyId":"`+id+`"}`)["Grants"].([]any)
	if !slices.ContainsFunc(list, func(g any) bool { return g.(map[string]any)["GranteePrincipal"] == gone.principal.UniqueID }) {
		t.Errorf("%v", list)
	}
	w.refused(w.call(admin, "ListGrants", `{"KeyId":"`+id+`","Marker":"x"}`), "InvalidMarkerException", "")
}
