package pipeline

import (
	"context"
	"strings"

	"trent/internal/action"
	"trent/internal/arn"
	"trent/internal/iam"
	"trent/internal/identity"
	"trent/internal/oidc"
)

// webIdentity is who was vouched for, or nobody.
type webIdentity struct {
	action.WebIdentity
	token   *oidc.Token // verified; nil: there is none
	account string      // whose provider it is
}

// name is who is meant, for the audit: issuer, client and subject.
func (i *webIdentity) name() string {
	return i.token.Issuer + ":" + i.token.Audience + ":" + i.token.Subject
}

// value is a condition key that the token brings: one that is called by the provider's URL
// and a claim, or what it wants the session to have.
func (i *webIdentity) value(k iam.Key) (iam.Value, bool) {
	if i.token == nil {
		return iam.Value{}, false
	}
	claim, ok := strings.CutPrefix(k.Name, iam.Fold(i.token.Issuer)+":")
	if !ok {
		return i.wish(k)
	}
	values := i.token.Claim(claim)
	if len(values) == 1 {
		return iam.Text(values[0]), true
	}
	return iam.Texts(values), true
}

func (i *webIdentity) wish(k iam.Key) (iam.Value, bool) {
	switch k.Name {
	case "aws:requesttag":
		for _, t := range i.Tags {
			if strings.EqualFold(t.Key, k.Sub) {
				return iam.Text(t.Value), true
			}
		}
		return iam.Value{}, true
	case "aws:tagkeys":
		var keys []string
		for _, t := range i.Tags {
			keys = append(keys, t.Key)
		}
		return iam.Texts(keys), true
	case "sts:transitivetagkeys":
		return iam.Texts(i.TransitiveTags), true
	case "sts:sourceidentity":
		if i.SourceIdentity != "" {
			return iam.Text(i.SourceIdentity), true
		}
	}
	return iam.Value{}, false
}

// federate finds out who asks, where that is in the input: whom a provider of the role's
// account vouches for. With a signature or without, the caller is nobody else then, and
// no policies but the role's speak for it.
func (w *walk) federate(ctx context.Context) error {
	if w.entry.Federates == nil {
		return nil
	}
	role, token := w.entry.Federates(w.in)
	defer token.Wipe()
	parsed, _ := arn.Parse(role) // of a name that is none there is no account, and no provider
	view := w.identities.View()
	account, provider := view.Account(parsed.Account), ""
	verified, err := w.Road.web.Verify(ctx, token.Expose(), func(url string) (oidc.Provider, bool) {
		p, ok := account.Providers.Named(url)
		if !ok || p.URL != url || !account.IsOpen() {
			return oidc.Provider{}, false
		}
		provider = view.ARN(p)
		return oidc.Provider{URL: p.URL, ClientIDs: p.ClientIDs, Thumbprints: p.Thumbprints}, true
	}, w.now)
	if err != nil {
		return err
	}
	w.web = webIdentity{action.WebIdentity{
		Provider: provider, Subject: verified.Subject, Audience: verified.Audience, TransitiveTags: verified.TransitiveTags, SourceIdentity: verified.SourceIdentity,
	}, verified, account.ID}
	for _, t := range verified.Tags {
		w.web.Tags = append(w.web.Tags, identity.Tag{Key: t.Key, Value: t.Value})
	}
	w.who.Principal = &iam.Principal{Partition: view.Partition(), FederatedProvider: provider}
	return nil
}
