package pipeline_test

import (
	"log/slog"
	"strings"
	"testing"

	"trent/internal/api/adminapi"
	"trent/internal/pipeline"
)

// An explanation says what a request would get, also where no policy has the last
// word.
func TestExplanationsAgreeWithRequests(t *testing.T) {
	w := newPopulated(t)
	w.road = pipeline.New(pipeline.Options{Keys: w.ring, Identities: w.identities, FirstAccount: account, Audit: w.audit, Log: slog.New(slog.DiscardHandler), Now: w.clock})
	operator := user(account, "root")
	id, keyARN := w.newKey(admin)
	w.must(admin, "PutKeyPolicy", `{"KeyId":"`+id+`","BypassPolicyLockoutSafetyCheck":true,"Policy":`+quoted(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}`)+`}`)
	for _, account := range []string{account, foreign} {
		w.done(user(account, "root"), "PutUserPolicy", "UserName", "alice", "PolicyName", "all", "PolicyDocument", allow("*"))
	}
	explain := func(c caller, action, key string) answer {
		t.Helper()
		pairs := []string{"Version", adminapi.Admin().Version, "PrincipalArn", userARN(c), "ActionName", action}
		if key != "" {
			pairs = append(pairs, "KeyId", key)
		}
		return w.form(operator, "ExplainDecision", pairs...)
	}
	here, abroad := user(account, "alice", allow("*")), user(foreign, "alice", allow("*"))
	for _, c := range []struct {
		caller      caller
		action, key string
		want        string
	}{
		{here, "kms:Encrypt", keyARN, "true"},
		{abroad, "kms:Encrypt", keyARN, "true"},
		{here, "KMS:encrypt", keyARN, "true"},
		{here, "kms:DisableKey", keyARN, "true"},
		{abroad, "kms:DisableKey", keyARN, "false"},
		{here, "trent:CreateAccount", "", "true"},
		{abroad, "trent:CreateAccount", "", "false"},
		{here, "s3:GetObject", "", "true"},
	} {
		a := explain(c.caller, c.action, c.key)
		if a.value("Allowed") != c.want {
			t.Errorf("%s %s: %d %s", userARN(c.caller), c.action, a.status, a.text)
		}
	}
	if r := w.call(abroad, "DisableKey", `{"KeyId":"`+keyARN+`"}`); r.code != "AccessDeniedException" {
		t.Errorf("as a request: %d %s", r.status, r.code)
	}
	if a := explain(here, "kms:RetireGrant", keyARN); a.code != "InvalidInput" || !strings.Contains(a.message, "grant") {
		t.Errorf("kms:RetireGrant: %d %s", a.status, a.text)
	}
}
