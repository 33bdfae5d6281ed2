package pipeline_test

import "testing"

// TestSEC_B05: a caller whose address is unknown, as behind a proxy that does not tell it
// readably, is on no list of those who may, and on each of those who may not.
func TestSEC_B05_UnknownAddress(t *testing.T) {
	w := newPopulated(t)
	for _, c := range []struct{ effect, operator string }{{"Allow", "IpAddress"}, {"Allow", "NotIpAddress"}, {"Deny", "IpAddress"}, {"Deny", "NotIpAddress"}} {
		policies := []string{`{"Version":"2012-10-17","Statement":{"Effect":"` + c.effect + `","Action":"kms:ListKeys","Resource":"*","Condition":{"` + c.operator + `":{"aws:SourceIp":"203.0.113.0/24"}}}}`}
		if c.effect == "Deny" {
			policies = append(policies, allow("kms:*"))
		}
		if r := w.call(user(account, "alice", policies...), "ListKeys", `{}`); r.code != "AccessDeniedException" {
			t.Errorf("%s if %s: %d %s", c.effect, c.operator, r.status, r.code)
		}
	}
}
