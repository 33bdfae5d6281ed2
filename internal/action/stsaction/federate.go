package stsaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/stsapi"
	"trent/internal/iam"
	"trent/internal/secret"
)

// federating is the family of actions whose callers have no credentials yet.
func federating() []*action.Entry {
	type input = stsapi.AssumeRoleWithWebIdentityInput
	return []*action.Entry{
		entry(action.Action[input, stsapi.AssumeRoleWithWebIdentityOutput]{
			Name:      "AssumeRoleWithWebIdentity",
			Federates: func(in *input) (string, secret.Bytes) { return in.RoleArn, in.WebIdentityToken },
			Uses: []action.Use[input]{
				onFederated("sts:AssumeRoleWithWebIdentity", func(action.WebIdentity) bool { return true }),
				onFederated("sts:TagSession", func(i action.WebIdentity) bool { return len(i.Tags) > 0 }),
				onFederated("sts:SetSourceIdentity", func(i action.WebIdentity) bool { return i.SourceIdentity != "" }),
			},
			Rules: func(in *input) error {
				if in.ProviderId != "" {
					return invalid("ProviderId is for access tokens of OAuth 2.0, which are not accepted: leave it out.")
				}
				return nil
			},
			Audit: []string{"RoleArn", "RoleSessionName", "DurationSeconds", "PolicyArns", "Policy"},
			Run:   assumeRoleWithWebIdentity,
		}),
	}
}

// onFederated is a use of the role that applies to some who are vouched for. What their
// provider says of them is a condition key as well, without being named here.
func onFederated(permit string, applies func(action.WebIdentity) bool) action.Use[stsapi.AssumeRoleWithWebIdentityInput] {
	type input = stsapi.AssumeRoleWithWebIdentityInput
	return action.Use[input]{
		Kind: action.OnRole, Permit: permit,
		Entity: func(c *action.Call, in *input) string {
			if applies(c.WebIdentity) {
				return in.RoleArn
			}
			return ""
		},
		Keys: action.Keys[input]{
			"sts:rolesessionname": func(in *input, _ []action.Held, _ string) iam.Value { return said(in.RoleSessionName) },
			"aws:resourcetag":     roleTag[input],
			"iam:resourcetag":     roleTag[input],
		},
	}
}

func assumeRoleWithWebIdentity(_ context.Context, c *action.Call, in *stsapi.AssumeRoleWithWebIdentityInput) (*stsapi.AssumeRoleWithWebIdentityOutput, error) {
	s, err := newSession(c, request{in.RoleSessionName, in.Policy, in.PolicyArns, in.DurationSeconds, in.MinimumSessionTokenSize})
	if err != nil {
		return nil, err
	}
	s.Provider, s.Subject = c.WebIdentity.Provider, c.WebIdentity.Subject
	s.Tags, s.TransitiveTags, s.SourceIdentity = c.WebIdentity.Tags, c.WebIdentity.TransitiveTags, c.WebIdentity.SourceIdentity
	got, err := issue(c, s)
	if err != nil {
		return nil, err
	}
	return &stsapi.AssumeRoleWithWebIdentityOutput{
		Credentials: got.credentials, SubjectFromWebIdentityToken: s.Subject, AssumedRoleUser: assumed(c, s), PackedPolicySize: got.packed,
		Provider: s.Provider, Audience: c.WebIdentity.Audience, SourceIdentity: s.SourceIdentity, SessionTokenSize: got.size, SessionTokenUtilization: got.utilization,
	}, nil
}
