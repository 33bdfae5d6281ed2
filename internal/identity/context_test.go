package identity_test

import (
	"errors"
	"testing"
	"time"

	"trent/internal/iam"
	"trent/internal/identity"
)

// Requests carry no context yet, so a policy that would ask for one is not taken.
func TestPoliciesThatNeedContext(t *testing.T) {
	d, _, _, _ := directory(t)
	for _, text := range []string{
		`{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":{"StringNotEquals":{"kms:ViaService":"x"}}}}`,
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"arn:aws:kms:us-east-1:111122223333:alias/${aws:username}"}}`,
	} {
		u := identity.User{Account: "111122223333", Name: "alice", Policies: []string{identity.Administrator, text}}
		if _, err := d.CreateUser(ctx, u, time.Now()); !errors.Is(err, iam.ErrUnsupported) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
