package declare_test

import (
	"context"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"trent/internal/pipeline"
)

// The operation of operators: who may, what is in the audit, and what is not.
func TestApplyDeclarationOperation(t *testing.T) {
	w := newWorld(t, false)
	w.apply(onlyUsers + `
      - {name: operator, policies: {p: {Version: 2012-10-17, Statement: {Effect: Allow, Action: "trent:ApplyDeclaration", Resource: "*"}}}}
      - {name: other, policies: {p: {Version: 2012-10-17, Statement: {Effect: Allow, Action: ["iam:*", "kms:*"], Resource: "*"}}}}
`)
	request := func(document string, more ...string) string {
		f := url.Values{"Action": {"ApplyDeclaration"}, "Version": {"2026-11-24"}, "Document": {document}}
		for i := 0; i < len(more); i += 2 {
			f.Set(more[i], more[i+1])
		}
		return f.Encode()
	}
	const operator = "arn:aws:iam::111122223333:user/operator"
	if status, answer := w.as("arn:aws:iam::111122223333:user/other", "", request(example(t))); status != 403 {
		t.Errorf("without the permission: %d %s", status, answer)
	}
	planned := w.must(operator, "", request(example(t), "PlanOnly", "true"))
	if strings.Count(planned, "<member>") != 20 || strings.Contains(planned, "<Done>") || w.identities.View().Account(payments).Exists() {
		t.Errorf("the plan: %s", planned)
	}
	answer := w.must(operator, "", request(example(t)))
	_, rest, _ := strings.Cut(answer, "<SecretAccessKey>")
	secretKey, _, ok := strings.Cut(rest, "<")
	if strings.Count(answer, "<Done>true</Done>") != 20 || !ok || len(secretKey) != 40 || !strings.Contains(answer, "<File>app.credentials</File>") {
		t.Errorf("the answer: %s", answer)
	}
	if w.must(rootOf(payments), "TrentService.DescribeKey", `{"KeyId":"alias/app"}`); len(w.audit.among(secretKey)) > 0 || strings.Contains(w.log.String(), secretKey) {
		t.Error("the secret of an access key is written down")
	}
	all := w.audit.among(`"operation":"ApplyDeclaration"`, `"status":200`, `"DocumentSha256":"`)
	if len(all) != 2 || len(w.audit.among(`"operation":"ApplyDeclaration"`, "oidc.example")) > 0 {
		t.Errorf("in the audit: %q", all)
	}
	_, rest, _ = strings.Cut(all[1], `"DocumentSha256":"`)
	digest := rest[:64]
	_, rest, _ = strings.Cut(all[1], `"requestId":"`)
	if made := w.audit.among(`"userAgent":"declaration sha256:`+digest+` request:`+rest[:36]+`"`, `"mutates":true`); len(made) != 21 { // one more: the access key of the new root user goes
		t.Errorf("%d changes lead back to the request", len(made))
	}
	status, refused := w.as(operator, "", request("version: 1\naccounts: [{id: 1}]"))
	if status != 400 || !strings.Contains(refused, "<Code>InvalidDeclaration</Code><Message>line 2: the id of an account is 12 digits</Message>") {
		t.Errorf("a bad one: %d %s", status, refused)
	}
}

// TestSEC_A11: a captured declaration cannot be sent again; and while the first one is
// being applied, it waits its turn and finds nothing to do.
func TestSEC_A11_DeclarationIsNotReplayed(t *testing.T) {
	w := newWorld(t, false)
	body := url.Values{"Action": {"ApplyDeclaration"}, "Version": {"2026-11-24"}, "Document": {example(t)}}.Encode()
	p, _ := w.identities.View().Principal(rootOf(first))
	send := func() int {
		return w.road.Walk(context.Background(), &pipeline.Request{ID: w.newID(), Received: w.now(), Form: true, Body: []byte(body), Who: sameSignature{caller{w, p}}}).Status
	}
	done := make(chan int, 8)
	for range 8 {
		go func() { done <- send() }()
	}
	counts := make(map[int]int)
	for range 8 {
		counts[<-done]++
	}
	if counts[200] < 1 || counts[200]+counts[403] != 8 || send() != 403 {
		t.Errorf("statuses %v", counts)
	}
	if n := len(w.audit.among(`"operation":"CreateAccount"`, `"status":200`)); n != 1 {
		t.Errorf("%d accounts were made", n)
	}
}

// TestSEC_A11: the signature is remembered before the first change, not after the last.
func TestSEC_A11_ReplayDuringADeclaration(t *testing.T) {
	w := newWorld(t, false)
	body := url.Values{"Action": {"ApplyDeclaration"}, "Version": {"2026-11-24"}, "Document": {example(t)}}.Encode()
	p, _ := w.identities.View().Principal(rootOf(first))
	send := func() int {
		return w.road.Walk(context.Background(), &pipeline.Request{ID: "00000000-0000-4000-8000-000000000000", Received: w.now(), Form: true, Body: []byte(body), Who: sameSignature{caller{w, p}}}).Status
	}
	var begun atomic.Bool
	w.hook = func() {
		if len(w.audit.among(`"source":"declaration"`)) < 5 || begun.Swap(true) {
			return
		}
		second := make(chan int, 1)
		go func() { second <- send() }()
		select {
		case status := <-second:
			if status != 403 {
				t.Errorf("the second one: %d", status)
			}
		case <-time.After(20 * time.Second):
			t.Error("the second one waits for its turn")
		}
	}
	if status := send(); status != 200 || !begun.Load() {
		t.Errorf("the first one: %d; a second one was sent: %v", status, begun.Load())
	}
}

type sameSignature struct{ caller }

// Authenticate implements pipeline.Authenticator.
func (s sameSignature) Authenticate(ctx context.Context, service string, body []byte, now time.Time) (pipeline.Identity, error) {
	id, err := s.caller.Authenticate(ctx, service, body, now)
	id.Signature = "the same"
	return id, err
}
