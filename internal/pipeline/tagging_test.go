package pipeline_test

import (
	"strings"
	"testing"
)

// TestSEC_B10: tags that come with CreateKey need what TagResource on a key of
// the account needs. A policy about those keys has its say, as an Allow and as a Deny.
func TestSEC_B10_TagsOfNewKeys(t *testing.T) {
	w := newPopulated(t)
	onKeys := func(effect, actions string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `","Action":"` + actions + `","Resource":"arn:aws:kms:*:111122223333:key/*"}}`
	}
	for _, c := range []struct {
		name     string
		policies []string
		want     bool
	}{
		{"allowed on everything", []string{allow("kms:*")}, true},
		{"allowed on all keys", []string{allow("kms:CreateKey"), onKeys("Allow", "kms:TagResource")}, true},
		{"denied on all keys", []string{allow("kms:*"), onKeys("Deny", "kms:TagResource")}, false},
		{"not allowed", []string{allow("kms:CreateKey")}, false},
		{"allowed on keys of another account", []string{allow("kms:CreateKey"), `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:TagResource","Resource":"arn:aws:kms:*:444455556666:key/*"}}`}, false},
	} {
		r := w.call(user(account, "alice", c.policies...), "CreateKey", `{"BypassPolicyLockoutSafetyCheck":true,"Tags":[{"TagKey":"a","TagValue":"b"}]}`)
		if got := r.status == 200; got != c.want || !got && r.code != "AccessDeniedException" {
			t.Errorf("%s: %d %s %s", c.name, r.status, r.code, r.message)
		}
	}
}

// TestSEC_B03: names of tags have no case in a policy, and do on a key. What is said of
// a tag holds whichever of two such tags was there first.
func TestSEC_B03_TagsInTwoCases(t *testing.T) {
	denied := user(account, "alice", allow("kms:*"), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/Quarantine":"true"}}}}`)
	allowed := user(account, "bob", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:Encrypt","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/quarantine":"false"}}}}`)
	for _, tags := range [][]string{{`"quarantine","TagValue":"false"`, `"Quarantine","TagValue":"true"`}, {`"Quarantine","TagValue":"true"`, `"quarantine","TagValue":"false"`}} {
		w := newPopulated(t)
		id, _ := w.newKey(admin)
		for _, tag := range tags {
			w.must(admin, "TagResource", `{"KeyId":"`+id+`","Tags":[{"TagKey":`+tag+`}]}`)
		}
		for _, c := range []caller{denied, allowed} {
			if r := w.call(c, "Encrypt", encryptBody(id, `{}`)); r.code != "AccessDeniedException" {
				t.Errorf("%v, %s: %d %s", tags, userARN(c), r.status, r.code)
			}
		}
		w.must(admin, "UntagResource", `{"KeyId":"`+id+`","TagKeys":["Quarantine"]}`)
		w.must(allowed, "Encrypt", encryptBody(id, `{}`))
	}
}

// The lockout check asks whether the policy can be changed later, not now: what the
// request itself brings along does not count.
func TestLockoutByTheRequestItself(t *testing.T) {
	w := newPopulated(t)
	for _, condition := range []string{`{"StringEquals":{"aws:RequestTag/a":"b"}}`, `{"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}}`, `{"StringEquals":{"aws:ResourceTag/a":"b"}}`} {
		policy := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + userARN(admin) + `"},"Action":"kms:*","Resource":"*","Condition":` + condition + `}}`
		r := w.call(admin, "CreateKey", `{"Tags":[{"TagKey":"a","TagValue":"b"}],"Policy":`+quoted(policy)+`}`)
		if !strings.Contains(condition, "ResourceTag") {
			w.refused(r, "MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future.")
			continue
		}
		if r.status != 200 {
			t.Fatalf("%s: %d %s %s", condition, r.status, r.code, r.message)
		}
		id := r.body["KeyMetadata"].(map[string]any)["KeyId"].(string)
		w.must(admin, "PutKeyPolicy", `{"KeyId":"`+id+`","Policy":`+quoted(policy)+`}`)
	}
}

// TestSEC_B10: to make a thing of IAM with tags is to tag it. Tags decide what a user may
// (aws:PrincipalTag), so a Deny of tagging holds here too.
func TestSEC_B10_TagsOfNewIdentities(t *testing.T) {
	w := newWorld(t)
	deny := `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:Tag*","Resource":"*"}}`
	maker, limited := user(account, "alice", allow("iam:*")), user(account, "bob", allow("iam:*"), deny)
	for _, c := range []struct {
		operation string
		pairs     []string
		permit    string
	}{
		{"CreateUser", []string{"UserName", "n"}, "iam:TagUser"},
		{"CreateRole", []string{"RoleName", "n", "AssumeRolePolicyDocument", trust}, "iam:TagRole"},
		{"CreatePolicy", []string{"PolicyName", "n", "PolicyDocument", allow("kms:*")}, "iam:TagPolicy"},
		{"CreateOpenIDConnectProvider", []string{"Url", "https://n.example"}, "iam:TagOpenIDConnectProvider"},
	} {
		tagged := append(c.pairs, "Tags.member.1.Key", "team", "Tags.member.1.Value", "red")
		if a := w.form(limited, c.operation, tagged...); a.code != "AccessDenied" || !strings.Contains(a.message, c.permit) {
			t.Errorf("%s: %d %s %s", c.operation, a.status, a.code, a.message)
		}
		w.done(maker, c.operation, tagged...)
	}
	w.done(limited, "CreateUser", "UserName", "plain")
}
