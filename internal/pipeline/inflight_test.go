package pipeline_test

import (
	"context"
	"testing"
	"time"

	"trent/internal/fault"
	"trent/internal/pipeline"
)

// signed is a request signed with an access key of the directory. Something happens
// when it has been authenticated the first time.
type signed struct {
	w     *world
	keyID string
	then  func()
}

// Authenticate implements pipeline.Authenticator.
func (s *signed) Authenticate(ctx context.Context, service string, body []byte, now time.Time) (pipeline.Identity, error) {
	c := s.w.as(s.keyID)
	if c.principal == nil {
		return pipeline.Identity{}, fault.New("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if then := s.then; then != nil {
		s.then = nil
		defer then()
	}
	return c.Authenticate(ctx, service, body, now)
}

// TestSEC_E05: a request that is under way when its access key or the rights of its
// user end does not act on them after that was acknowledged: it would leave a new
// access key or a new policy behind.
func TestSEC_E05_RightsThatEndMeanwhile(t *testing.T) {
	const (
		newKey    = "Action=CreateAccessKey&Version=2010-05-08"
		newPolicy = "Action=PutUserPolicy&Version=2010-05-08&UserName=mallory&PolicyName=more&PolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22%2A%22%2C%22Resource%22%3A%22%2A%22%7D%7D"
	)
	for _, c := range []struct {
		name, body string
		end        func(w *world, keyID string)
		code       string
	}{
		{"the key is deleted", newKey, func(w *world, keyID string) {
			w.done(admin, "DeleteAccessKey", "UserName", "mallory", "AccessKeyId", keyID)
		}, "InvalidClientTokenId"},
		{"the key is set inactive", newPolicy, func(w *world, keyID string) {
			w.done(admin, "UpdateAccessKey", "UserName", "mallory", "AccessKeyId", keyID, "Status", "Inactive")
		}, "InvalidClientTokenId"},
		{"the policy goes", newKey, func(w *world, _ string) {
			w.done(admin, "DeleteUserPolicy", "UserName", "mallory", "PolicyName", "all")
		}, "AccessDenied"},
		{"something else changes", newKey, func(w *world, _ string) {
			w.done(admin, "CreateUser", "UserName", "bob")
		}, ""},
	} {
		w := newWorld(t)
		w.done(admin, "CreateUser", "UserName", "mallory")
		w.done(admin, "PutUserPolicy", "UserName", "mallory", "PolicyName", "all", "PolicyDocument", allow("*"))
		keyID := w.done(admin, "CreateAccessKey", "UserName", "mallory").value("AccessKeyId")
		who := &signed{w: w, keyID: keyID, then: func() { c.end(w, keyID) }}
		got := w.road.Walk(context.Background(), &pipeline.Request{
			ID: "00000000-0000-4000-8000-000000000000", Received: w.clock(), Form: true, Body: []byte(c.body), Who: who,
		})
		if code := (answer{text: string(got.Body)}).value("Code"); code != c.code || (got.Status == 200) != (c.code == "") {
			t.Errorf("%s: %d %s", c.name, got.Status, code)
		}
	}
}
