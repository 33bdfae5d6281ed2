package keyring

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/key"
)

// A grant token names a grant, and is authenticated: nobody but us can make one.
// It carries no authority. Where it is presented for use of a key it is checked and
// then has nothing to do, since every decision sees all grants; where a grant
// is to be retired, it says which. Each token is another one, as the nonce is.
// docs/spec/grant-token.md.
const tokenVersion = 1

// tokenPurpose is bound to every token.
const tokenPurpose = "grant token"

// SealGrantToken makes a token of a grant: a fresh one each time.
func (r *Ring) SealGrantToken(g *grant.Grant) string {
	content := g.Key + "/" + g.Grantee.ID + "/" + g.ID
	sealed := r.tokens.seal([]byte{tokenVersion}, []byte(content), []byte(tokenPurpose))
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// tokenContent is what a token says, once it is known to be ours.
type tokenContent struct{ keyARN, grantee, id string }

func (r *Ring) openGrantToken(token string) (tokenContent, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) == 0 || raw[0] != tokenVersion {
		return tokenContent{}, errGrantToken()
	}
	content, err := r.tokens.open(raw[1:], []byte(tokenPurpose))
	if err != nil {
		return tokenContent{}, errGrantToken()
	}
	// Of the ARN's parts only the last but one has a slash in it: "key/…".
	parts := strings.Split(string(content), "/")
	if len(parts) != 4 {
		return tokenContent{}, errGrantToken()
	}
	return tokenContent{parts[0] + "/" + parts[1], parts[2], parts[3]}, nil
}

func errGrantToken() error { return fault.New(api.InvalidGrantTokenException, "") }

// CheckGrantToken refuses a token that was not made here.
func (r *Ring) CheckGrantToken(token string) error {
	_, err := r.openGrantToken(token)
	return err
}

// FindByGrantToken finds the grant of a token and its key. A token of a grant
// that has ended is as good as none.
func (r *Ring) FindByGrantToken(ctx context.Context, token, region string, now time.Time) (*grant.Grant, *key.Record, error) {
	content, err := r.openGrantToken(token)
	if err != nil {
		return nil, nil, err
	}
	ref := arn.ParseRef(content.keyARN)
	if ref.Region != region {
		return nil, nil, errGrantToken()
	}
	at := recordKey{ref.Account, ref.Region, ref.Name}
	rec, err := r.record(ctx, at)
	if IsAbsent(err) || err == nil && rec.Gone(now) {
		return nil, nil, errGrantToken()
	} else if err != nil {
		return nil, nil, err
	}
	g, err := r.readGrant(ctx, at, content.grantee, content.id)
	if err == nil && g == nil {
		err = errGrantToken()
	}
	return g, rec, err
}
