package pipeline_test

import "testing"

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
