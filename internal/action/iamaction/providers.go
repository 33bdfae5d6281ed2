package iamaction

import (
	"context"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/fault"
	"trent/internal/identity"
)

// providers is the family of OpenID Connect providers.
func providers() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.CreateOpenIDConnectProviderInput, iamapi.CreateOpenIDConnectProviderOutput]{
			Name:    "CreateOpenIDConnectProvider",
			Uses:    withTags(on("iam:CreateOpenIDConnectProvider", newProvider), "iam:TagOpenIDConnectProvider", func(in *iamapi.CreateOpenIDConnectProviderInput) []iamapi.Tag { return in.Tags }),
			Rules:   createProviderRules,
			Mutates: true,
			Audit:   []string{"Url", "ClientIDList", "ThumbprintList", "Tags"},
			Run:     createProvider,
		}),
		entry(action.Action[iamapi.GetOpenIDConnectProviderInput, iamapi.GetOpenIDConnectProviderOutput]{
			Name:  "GetOpenIDConnectProvider",
			Uses:  onARN("iam:GetOpenIDConnectProvider", func(in *iamapi.GetOpenIDConnectProviderInput) string { return in.OpenIDConnectProviderArn }),
			Audit: []string{"OpenIDConnectProviderArn"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.GetOpenIDConnectProviderInput) (*iamapi.GetOpenIDConnectProviderOutput, error) {
				p, err := provider(c, in.OpenIDConnectProviderArn)
				if err != nil {
					return nil, err
				}
				return &iamapi.GetOpenIDConnectProviderOutput{Url: p.URL, ClientIDList: p.ClientIDs, ThumbprintList: p.Thumbprints, CreateDate: p.Created, Tags: shownTags(p.Tags)}, nil
			},
		}),
		entry(action.Action[iamapi.DeleteOpenIDConnectProviderInput, action.None]{
			Name:    "DeleteOpenIDConnectProvider",
			Uses:    onARN("iam:DeleteOpenIDConnectProvider", func(in *iamapi.DeleteOpenIDConnectProviderInput) string { return in.OpenIDConnectProviderArn }),
			Mutates: true,
			Audit:   []string{"OpenIDConnectProviderArn"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DeleteOpenIDConnectProviderInput) (*action.None, error) {
				p, err := provider(c, in.OpenIDConnectProviderArn)
				if err != nil {
					return nil, err
				}
				return done(c, identity.Delete(p))
			},
		}),
		entry(action.Action[iamapi.ListOpenIDConnectProvidersInput, iamapi.ListOpenIDConnectProvidersOutput]{
			Name: "ListOpenIDConnectProviders",
			Uses: onAccount[iamapi.ListOpenIDConnectProvidersInput]("iam:ListOpenIDConnectProviders"),
			Run: func(_ context.Context, c *action.Call, _ *iamapi.ListOpenIDConnectProvidersInput) (*iamapi.ListOpenIDConnectProvidersOutput, error) {
				out := new(iamapi.ListOpenIDConnectProvidersOutput)
				for _, p := range account(c).Providers.All() {
					out.OpenIDConnectProviderList = append(out.OpenIDConnectProviderList, iamapi.OpenIDConnectProviderListEntry{Arn: c.Identities.ARN(p)})
				}
				return out, nil
			},
		}),
		entry(action.Action[iamapi.UpdateOpenIDConnectProviderThumbprintInput, action.None]{
			Name: "UpdateOpenIDConnectProviderThumbprint",
			Uses: onARN("iam:UpdateOpenIDConnectProviderThumbprint", func(in *iamapi.UpdateOpenIDConnectProviderThumbprintInput) string {
				return in.OpenIDConnectProviderArn
			}),
			Rules: func(in *iamapi.UpdateOpenIDConnectProviderThumbprintInput) error {
				return checkThumbprints(in.ThumbprintList)
			},
			Mutates: true,
			Audit:   []string{"OpenIDConnectProviderArn", "ThumbprintList"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.UpdateOpenIDConnectProviderThumbprintInput) (*action.None, error) {
				return changeProvider(c, in.OpenIDConnectProviderArn, func(p *identity.Provider) { p.Thumbprints = in.ThumbprintList })
			},
		}),
		entry(action.Action[iamapi.AddClientIDToOpenIDConnectProviderInput, action.None]{
			Name:    "AddClientIDToOpenIDConnectProvider",
			Uses:    onARN("iam:AddClientIDToOpenIDConnectProvider", func(in *iamapi.AddClientIDToOpenIDConnectProviderInput) string { return in.OpenIDConnectProviderArn }),
			Mutates: true,
			Audit:   []string{"OpenIDConnectProviderArn", "ClientID"},
			Run:     addClientID,
		}),
		entry(action.Action[iamapi.RemoveClientIDFromOpenIDConnectProviderInput, action.None]{
			Name: "RemoveClientIDFromOpenIDConnectProvider",
			Uses: onARN("iam:RemoveClientIDFromOpenIDConnectProvider", func(in *iamapi.RemoveClientIDFromOpenIDConnectProviderInput) string {
				return in.OpenIDConnectProviderArn
			}),
			Mutates: true,
			Audit:   []string{"OpenIDConnectProviderArn", "ClientID"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.RemoveClientIDFromOpenIDConnectProviderInput) (*action.None, error) {
				return changeProvider(c, in.OpenIDConnectProviderArn, func(p *identity.Provider) {
					p.ClientIDs = slices.DeleteFunc(p.ClientIDs, func(id string) bool { return id == in.ClientID })
				})
			},
		}),
	}
}

// The quotas of IAM on providers.
const (
	maxProviders   = 100
	maxClientIDs   = 100
	maxThumbprints = 5
)

const scheme = "https://"

// newProvider is the ARN that CreateOpenIDConnectProvider would make.
func newProvider(c *action.Call, in *iamapi.CreateOpenIDConnectProviderInput) string {
	return resource(c, "oidc-provider/"+strings.TrimPrefix(in.Url, scheme))
}

// createProviderRules wants a URL that can be the issuer of tokens (OpenID Connect
// Discovery 1.0, section 4): https, without query and fragment.
func createProviderRules(in *iamapi.CreateOpenIDConnectProviderInput) error {
	u, err := url.Parse(in.Url)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.ContainsAny(in.Url, "?#") || !printable(in.Url) {
		return invalidInput("Invalid Open ID Connect Provider URL: it begins with https:// and has no query.")
	}
	if len(in.ClientIDList) > maxClientIDs {
		return overQuota("ClientIdsPerOpenIdConnectProvider", maxClientIDs)
	}
	if err := checkThumbprints(in.ThumbprintList); err != nil {
		return err
	}
	return checkTags(in.Tags)
}

// printable keeps an ARN in its character set.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' })
}

func checkThumbprints(list []string) error {
	if len(list) > maxThumbprints {
		return invalidInput("Thumbprint list must contain fewer than 5 entries.")
	}
	for _, t := range list {
		if _, err := hex.DecodeString(t); err != nil {
			return invalidInput("A thumbprint is 40 hexadecimal digits.")
		}
	}
	return nil
}

func createProvider(_ context.Context, c *action.Call, in *iamapi.CreateOpenIDConnectProviderInput) (*iamapi.CreateOpenIDConnectProviderOutput, error) {
	u := strings.TrimPrefix(in.Url, scheme)
	if _, taken := account(c).Providers.Named(u); taken {
		return nil, fault.Newf(iamapi.EntityAlreadyExists, "Provider with url %s already exists.", in.Url)
	}
	if account(c).Providers.Len() >= maxProviders {
		return nil, overQuota("OpenIdConnectProvidersPerAccount", maxProviders)
	}
	p := &identity.Provider{
		Account: c.Caller.Account, ID: identity.NewProviderID(), URL: u, ClientIDs: in.ClientIDList, Thumbprints: in.ThumbprintList,
		Created: now(c), Tags: tagsOf(in.Tags),
	}
	c.WishIdentity(identity.Create(p))
	return &iamapi.CreateOpenIDConnectProviderOutput{OpenIDConnectProviderArn: c.Identities.ARN(p), Tags: shownTags(p.Tags)}, nil
}

// changeProvider wishes for an altered copy of a provider.
func changeProvider(c *action.Call, arn string, alter func(*identity.Provider)) (*action.None, error) {
	was, err := provider(c, arn)
	if err != nil {
		return nil, err
	}
	p := was.Clone()
	alter(p)
	return done(c, identity.Put(p))
}

// addClientID is idempotent, as is its counterpart.
func addClientID(_ context.Context, c *action.Call, in *iamapi.AddClientIDToOpenIDConnectProviderInput) (*action.None, error) {
	p, err := provider(c, in.OpenIDConnectProviderArn)
	switch {
	case err != nil:
		return nil, err
	case slices.Contains(p.ClientIDs, in.ClientID):
		return nil, nil
	case len(p.ClientIDs) >= maxClientIDs:
		return nil, overQuota("ClientIdsPerOpenIdConnectProvider", maxClientIDs)
	}
	return changeProvider(c, in.OpenIDConnectProviderArn, func(p *identity.Provider) { p.ClientIDs = append(p.ClientIDs, in.ClientID) })
}
