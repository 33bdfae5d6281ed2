package keyring

import (
	"errors"
	"testing"

	"trent/internal/authz"
	"trent/internal/fault"
	"trent/internal/iam"
)

// Requests carry no context yet. A key policy that would ask for one is not
// taken, and one that lies in the store allows nothing: with every key absent
// its StringNotEquals would be true.
func TestPoliciesThatNeedContext(t *testing.T) {
	r, _ := newRing(t, 64)
	for _, text := range []string{
		`{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringNotEquals":{"kms:ViaService":"x"}}}}`,
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","NotResource":"arn:aws:kms:::alias/${aws:username, 'x'}"}}`,
	} {
		if _, err := r.ParsePolicy(text); !errors.Is(err, iam.ErrUnsupported) {
			t.Errorf("%s: %v", text, err)
		}
		rec := makeKey(t, r).Clone()
		rec.Policy = &iam.Policy{Source: text}
		content, err := r.encodeRecord(rec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.decodeRecord(placeOf(rec), content, 1)
		if err != nil {
			t.Fatal(err)
		}
		who := &iam.Principal{Kind: iam.User, Partition: "aws", Account: home.Account, ARN: "arn:aws:iam::" + home.Account + ":user/alice"}
		if _, err := authz.OnKey(who, iam.NewAction("kms:Decrypt"), got); !fault.Is(err, authz.AccessDenied) {
			t.Errorf("%s allowed: %v", text, err)
		}
		// Nor does it become one that is taken by having been met.
		if _, err := r.ParsePolicy(text); !errors.Is(err, iam.ErrUnsupported) {
			t.Errorf("%s, the second time: %v", text, err)
		}
	}
}
