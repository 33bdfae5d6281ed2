package declare

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"trent/internal/action"
)

// A presentPolicy is a managed policy as it is.
type presentPolicy struct {
	Name    string `xml:"PolicyName"`
	ARN     string `xml:"Arn"`
	Path    string `xml:"Path"`
	Default string `xml:"DefaultVersionId"`
}

func (p *planner) managedPolicies(ctx context.Context, a *Account, fresh bool) error {
	there := make(map[string]presentPolicy) // by name in lower case
	if !fresh && len(a.Policies) > 0 {
		err := list(func(marker string) (string, error) {
			var page result[struct {
				Policies []presentPolicy `xml:"Policies>member"`
				Marker   string
			}]
			err := p.iam(ctx, a.ID, "ListPolicies", &page, given("Scope", "Local", "Marker", marker, "MaxItems", "1000")...)
			for _, policy := range page.Is.Policies {
				there[strings.ToLower(policy.Name)] = policy
			}
			return page.Is.Marker, err
		})
		if err != nil {
			return err
		}
	}
	for i := range a.Policies {
		wanted := &a.Policies[i]
		now, exists := there[strings.ToLower(wanted.Name)]
		if err := p.managedPolicy(ctx, a, wanted, now, exists); err != nil {
			return fmt.Errorf("managed policy %s: %w", wanted.Name, err)
		}
	}
	return nil
}

func (p *planner) managedPolicy(ctx context.Context, a *Account, wanted *ManagedPolicy, now presentPolicy, exists bool) error {
	entity := "policy " + a.label() + "/" + wanted.Name
	if !exists {
		add(&p.policies, action.Creates, entity, "", func(ctx context.Context) error {
			return p.iam(ctx, a.ID, "CreatePolicy", nil, given("PolicyName", wanted.Name, "Path", wanted.Path, "Description", wanted.Description, "PolicyDocument", wanted.Document)...)
		})
		return nil
	}
	if wanted.Path != "" && wanted.Path != now.Path {
		return fmt.Errorf("it is there under the path %s, which cannot be changed: say so in the declaration, or delete it", now.Path)
	}
	var text result[struct {
		Document string `xml:"PolicyVersion>Document"`
	}]
	if err := p.iam(ctx, a.ID, "GetPolicyVersion", &text, "PolicyArn", now.ARN, "VersionId", now.Default); err != nil {
		return err
	}
	if sameDocument(plain(text.Is.Document), wanted.Document) {
		return nil
	}
	add(&p.policies, action.Updates, entity, "document", func(ctx context.Context) error {
		if err := p.roomForVersion(ctx, a.ID, now.ARN); err != nil {
			return err
		}
		return p.iam(ctx, a.ID, "CreatePolicyVersion", nil, "PolicyArn", now.ARN, "PolicyDocument", wanted.Document, "SetAsDefault", "true")
	})
	return nil
}

// roomForVersion deletes the oldest version that does not count where there are as
// many as there can be.
func (p *planner) roomForVersion(ctx context.Context, account, arn string) error {
	const most = 5
	var all result[struct {
		Versions []struct {
			ID      string `xml:"VersionId"`
			Default bool   `xml:"IsDefaultVersion"`
		} `xml:"Versions>member"`
	}]
	if err := p.iam(ctx, account, "ListPolicyVersions", &all, "PolicyArn", arn); err != nil {
		return err
	}
	versions := all.Is.Versions // the newest first
	if len(versions) < most {
		return nil
	}
	for _, v := range slices.Backward(versions) {
		if !v.Default {
			return p.iam(ctx, account, "DeletePolicyVersion", nil, "PolicyArn", arn, "VersionId", v.ID)
		}
	}
	return nil
}

// plain is a policy document as it was stored; answers have it percent-encoded.
func plain(escaped string) string {
	if text, err := url.PathUnescape(escaped); err == nil {
		return text
	}
	return escaped
}

// providers come with the policies: trust policies may name them.
func (p *planner) providers(ctx context.Context, a *Account, fresh bool) error {
	for i := range a.Providers {
		wanted := &a.Providers[i]
		host := strings.TrimPrefix(wanted.URL, "https://")
		entity := "provider " + a.label() + "/" + host
		name := p.name(a.ID, "oidc-provider/"+host)
		var now result[struct {
			ClientIDs   []string `xml:"ClientIDList>member"`
			Thumbprints []string `xml:"ThumbprintList>member"`
		}]
		var err error
		if !fresh {
			err = p.iam(ctx, a.ID, "GetOpenIDConnectProvider", &now, "OpenIDConnectProviderArn", name)
		}
		switch {
		case fresh || refusedAs(err, "NoSuchEntity"):
			add(&p.policies, action.Creates, entity, "", func(ctx context.Context) error {
				pairs := append(members("ClientIDList", wanted.ClientIDs), members("ThumbprintList", wanted.Thumbprints)...)
				return p.iam(ctx, a.ID, "CreateOpenIDConnectProvider", nil, append(pairs, "Url", wanted.URL)...)
			})
		case err != nil:
			return err
		default:
			p.changeProvider(a.ID, entity, name, wanted, now.Is.ClientIDs, now.Is.Thumbprints)
		}
	}
	return nil
}

func (p *planner) changeProvider(account, entity, name string, wanted *Provider, clientIDs, thumbprints []string) {
	one := func(effect action.Effect, operation, id string) {
		add(&p.policies, effect, entity, "client id "+id, func(ctx context.Context) error {
			return p.iam(ctx, account, operation, nil, "OpenIDConnectProviderArn", name, "ClientID", id)
		})
	}
	for _, id := range missing(wanted.ClientIDs, clientIDs) {
		one(action.Creates, "AddClientIDToOpenIDConnectProvider", id)
	}
	for _, id := range missing(clientIDs, wanted.ClientIDs) {
		one(action.Removes, "RemoveClientIDFromOpenIDConnectProvider", id)
	}
	if len(wanted.Thumbprints) > 0 && !sameFolded(wanted.Thumbprints, thumbprints) {
		add(&p.policies, action.Updates, entity, "thumbprints", func(ctx context.Context) error {
			return p.iam(ctx, account, "UpdateOpenIDConnectProviderThumbprint", nil, append(members("ThumbprintList", wanted.Thumbprints), "OpenIDConnectProviderArn", name)...)
		})
	}
}

// members are the parameters of a list.
func members(name string, values []string) []string {
	var pairs []string
	for i, v := range values {
		pairs = append(pairs, fmt.Sprintf("%s.member.%d", name, i+1), v)
	}
	return pairs
}

// missing are the items of a that b does not have, in their order.
func missing(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

func sameFolded(a, b []string) bool {
	fold := func(all []string) []string {
		all = slices.Clone(all)
		for i := range all {
			all[i] = strings.ToLower(all[i])
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(fold(a), fold(b))
}
