package pipeline_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestSEC_F_WorkOfADecision: a policy and a request that are each as large as they may be
// do not multiply, neither in the decision nor in what is written down about a
// refusal. Both may be the attacker's own.
func TestSEC_F_WorkOfADecision(t *testing.T) {
	const keeper = `{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/admin"},"Action":"kms:*","Resource":"*"}`
	var pairs, statements, keys []string
	for i := range 1000 {
		pairs = append(pairs, fmt.Sprintf(`"%s%03d":"v"`, strings.Repeat("k", 40), i))
	}
	for range 230 {
		statements = append(statements, `{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":"x"}}}`)
	}
	for i := range 1000 {
		keys = append(keys, fmt.Sprintf(`"kms:EncryptionContext:%d":""`, i))
	}
	for name, c := range map[string]struct{ statements, context string }{
		"many keys of a context, each time":    {strings.Join(statements, ","), strings.Join(pairs, ",")},
		"many conditions, among many pairs":    {`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"StringNotEquals":{` + strings.Join(keys, ",") + `}}}`, strings.Join(pairs, ",")},
		"one long value in each of many lines": {strings.ReplaceAll(strings.Join(statements, ","), "ForAnyValue:StringEquals\":{\"kms:EncryptionContextKeys", "StringEquals\":{\"kms:EncryptionContext:a"), `"a":"` + strings.Repeat("v", 60000) + `"`},
	} {
		w := newPopulated(t)
		id, _ := w.newKey(admin)
		w.must(admin, "PutKeyPolicy", `{"KeyId":"`+id+`","Policy":`+quoted(`{"Version":"2012-10-17","Statement":[`+keeper+`,`+c.statements+`]}`)+`}`)
		body := encryptBody(id, `{`+c.context+`}`)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := w.call(nobody, "Encrypt", body)
		runtime.ReadMemStats(&after)
		if r.code != "AccessDeniedException" {
			t.Errorf("%s: %d %s %s", name, r.status, r.code, r.message)
		}
		if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 6 {
			t.Errorf("%s: a refusal takes %d MiB", name, n)
		}
	}
}

// The same of IAM: tags that are sent, and conditions on them.
func TestSEC_F_WorkOfADecisionInIAM(t *testing.T) {
	w := newWorld(t)
	var keys, pairs []string
	for i := range 1000 {
		keys = append(keys, fmt.Sprintf(`"aws:RequestTag/%d":""`, i))
	}
	for i := range 50 {
		pairs = append(pairs, fmt.Sprintf("Tags.member.%d.Key", i+1), fmt.Sprintf("k%d", i), fmt.Sprintf("Tags.member.%d.Value", i+1), strings.Repeat("v", 250))
	}
	caller := user(account, "alice", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{`+strings.Join(keys, ",")+`}}}}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a := w.form(caller, "CreateUser", append(pairs, "UserName", "bob")...)
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) >> 20; a.code != "AccessDenied" || n > 12 {
		t.Errorf("%d %s takes %d MiB", a.status, a.code, n)
	}
}

// What is wrong with a request does not grow in what is said and written down of it.
func TestSEC_F_RefusalsAreBounded(t *testing.T) {
	w := newWorld(t)
	var body strings.Builder
	body.WriteString("Action=CreateUser&Version=" + iamVersion + "&UserName=bob")
	for i := range 1000 {
		fmt.Fprintf(&body, "&Tags.member.%d.Key=a", i+1)
	}
	a := w.post(admin, "", body.String())
	line := w.audit.lines[len(w.audit.lines)-1]
	if a.code != "ValidationError" || !strings.HasPrefix(a.message, "1001 validation errors detected: ") || len(a.message) > 10<<10 || len(line) > body.Len()+20<<10 {
		t.Errorf("%s %.40s…, %d bytes, and %d in the audit", a.code, a.message, len(a.message), len(line))
	}
}
