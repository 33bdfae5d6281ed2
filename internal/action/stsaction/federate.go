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
			Uses: []action.Use[input]{{
				Kind: action.OnRole, Permit: "sts:AssumeRoleWithWebIdentity",
				Entity: func(_ *action.Call, in *input) string { return in.RoleArn },
				Keys: action.Keys[input]{
					"sts:rolesessionname": func(in *input, _ []action.Held, _ string) iam.Value { return said(in.RoleSessionName) },
					"aws:resourcetag":     roleTag[input],
					"iam:resourcetag":     roleTag[input],
				},
			}},
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

func assumeRoleWithWebIdentity(_ context.Context, c *action.Call, in *stsapi.AssumeRoleWithWebIdentityInput) (*stsapi.AssumeRoleWithWebIdentityOutput, error) {
	s, err := newSession(c, request{in.RoleSessionName, in.Policy, in.PolicyArns, in.DurationSeconds, in.MinimumSessionTokenSize})
	if err != nil {
		return nil, err
	}
	s.Provider, s.Subject = c.WebIdentity.Provider, c.WebIdentity.Subject
	got, err := issue(c, s)
	if err != nil {
		return nil, err
	}
	return &stsapi.AssumeRoleWithWebIdentityOutput{
		Credentials: got.credentials, SubjectFromWebIdentityToken: s.Subject, AssumedRoleUser: assumed(c, s), PackedPolicySize: got.packed,
		Provider: s.Provider, Audience: c.WebIdentity.Audience, SessionTokenSize: got.size, SessionTokenUtilization: got.utilization,
	}, nil
}
