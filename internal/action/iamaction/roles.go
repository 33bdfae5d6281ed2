package iamaction

import (
	"context"
	"strings"
	"time"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/iam"
	"trent/internal/identity"
)

// roles is the family of roles.
func roles() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.CreateRoleInput, iamapi.CreateRoleOutput]{
			Name:    "CreateRole",
			Uses:    withTags(onNew("iam:CreateRole", "role", func(in *iamapi.CreateRoleInput) (string, string) { return in.Path, in.RoleName }), "iam:TagRole", func(in *iamapi.CreateRoleInput) []iamapi.Tag { return in.Tags }),
			Rules:   func(in *iamapi.CreateRoleInput) error { return checkTags(in.Tags) },
			Mutates: true,
			Audit:   []string{"RoleName", "Path", "AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "PermissionsBoundary", "Tags"},
			Run:     createRole,
		}),
		entry(action.Action[iamapi.GetRoleInput, iamapi.GetRoleOutput]{
			Name:  "GetRole",
			Uses:  onRole("iam:GetRole", func(in *iamapi.GetRoleInput) string { return in.RoleName }),
			Audit: []string{"RoleName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.GetRoleInput) (*iamapi.GetRoleOutput, error) {
				r, err := role(c, in.RoleName)
				if err != nil {
					return nil, err
				}
				return &iamapi.GetRoleOutput{Role: shownRole(c, r)}, nil
			},
		}),
		entry(action.Action[iamapi.UpdateRoleInput, iamapi.UpdateRoleOutput]{
			Name:    "UpdateRole",
			Uses:    onRole("iam:UpdateRole", func(in *iamapi.UpdateRoleInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName", "Description", "MaxSessionDuration"},
			Run:     updateRole,
		}),
		entry(action.Action[iamapi.UpdateRoleDescriptionInput, iamapi.UpdateRoleDescriptionOutput]{
			Name:    "UpdateRoleDescription",
			Uses:    onRole("iam:UpdateRoleDescription", func(in *iamapi.UpdateRoleDescriptionInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName", "Description"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.UpdateRoleDescriptionInput) (*iamapi.UpdateRoleDescriptionOutput, error) {
				r, err := changeRole(c, in.RoleName, func(r *identity.Role) { r.Description = in.Description })
				if err != nil {
					return nil, err
				}
				return &iamapi.UpdateRoleDescriptionOutput{Role: shownRole(c, r)}, nil
			},
		}),
		entry(action.Action[iamapi.UpdateAssumeRolePolicyInput, action.None]{
			Name:    "UpdateAssumeRolePolicy",
			Uses:    onRole("iam:UpdateAssumeRolePolicy", func(in *iamapi.UpdateAssumeRolePolicyInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName", "PolicyDocument"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.UpdateAssumeRolePolicyInput) (*action.None, error) {
				if _, err := role(c, in.RoleName); err != nil {
					return nil, err
				}
				trust, err := trustPolicy(c, in.PolicyDocument)
				if err != nil {
					return nil, err
				}
				_, err = changeRole(c, in.RoleName, func(r *identity.Role) { r.Trust = trust })
				return nil, err
			},
		}),
		entry(action.Action[iamapi.DeleteRoleInput, action.None]{
			Name:    "DeleteRole",
			Uses:    onRole("iam:DeleteRole", func(in *iamapi.DeleteRoleInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DeleteRoleInput) (*action.None, error) {
				r, err := role(c, in.RoleName)
				if err != nil {
					return nil, err
				}
				if err := withoutPolicies(&r.Permissions); err != nil {
					return nil, err
				}
				return done(c, identity.Delete(r))
			},
		}),
		entry(action.Action[iamapi.ListRolesInput, iamapi.ListRolesOutput]{
			Name:  "ListRoles",
			Uses:  onList("iam:ListRoles", "role", func(in *iamapi.ListRolesInput) string { return in.PathPrefix }),
			Audit: []string{"PathPrefix", "MaxItems"},
			Run:   listRoles,
		}),
	}
}

const (
	maxTrustSize   = 2048 // of a trust policy, in characters that are not white space
	defaultSession = time.Hour
)

// trustPolicy compiles the document that says who may assume a role.
func trustPolicy(c *action.Call, document string) (*iam.Policy, error) {
	if identity.Size(document) > maxTrustSize {
		return nil, overQuota("ACLSizePerRole", maxTrustSize)
	}
	trust, err := c.Identities.ParseTrust(document)
	if err != nil {
		return nil, badPolicy(err)
	}
	return trust, nil
}

func createRole(_ context.Context, c *action.Call, in *iamapi.CreateRoleInput) (*iamapi.CreateRoleOutput, error) {
	if _, taken := account(c).Roles.Named(in.RoleName); taken {
		return nil, exists("Role", in.RoleName)
	}
	if err := within("RolesPerAccount", account(c).Roles.Len(), maxRolesPerAccount); err != nil {
		return nil, err
	}
	trust, err := trustPolicy(c, in.AssumeRolePolicyDocument)
	if err != nil {
		return nil, err
	}
	if err := checkBoundary(c, in.PermissionsBoundary); err != nil {
		return nil, err
	}
	r := &identity.Role{
		Account: c.Caller.Account, ID: identity.NewRoleID(), Name: in.RoleName, Path: pathOr(in.Path), Created: now(c),
		Description: in.Description, MaxSession: defaultSession, Trust: trust, Tags: tagsOf(in.Tags), Boundary: in.PermissionsBoundary,
	}
	if in.MaxSessionDuration > 0 {
		r.MaxSession = time.Duration(in.MaxSessionDuration) * time.Second
	}
	c.WishIdentity(identity.Create(r))
	return &iamapi.CreateRoleOutput{Role: shownRole(c, r)}, nil
}

// changeRole wishes for an altered copy of a role.
func changeRole(c *action.Call, name string, alter func(*identity.Role)) (*identity.Role, error) {
	was, err := role(c, name)
	if err != nil {
		return nil, err
	}
	r := was.Clone()
	alter(r)
	c.WishIdentity(identity.Put(r))
	return r, nil
}

// updateRole leaves alone what is not in the request.
func updateRole(_ context.Context, c *action.Call, in *iamapi.UpdateRoleInput) (*iamapi.UpdateRoleOutput, error) {
	_, err := changeRole(c, in.RoleName, func(r *identity.Role) {
		if in.Has("Description") {
			r.Description = in.Description
		}
		if in.Has("MaxSessionDuration") {
			r.MaxSession = time.Duration(in.MaxSessionDuration) * time.Second
		}
	})
	return &iamapi.UpdateRoleOutput{}, err
}

func listRoles(_ context.Context, c *action.Call, in *iamapi.ListRolesInput) (*iamapi.ListRolesOutput, error) {
	all := under(account(c).Roles.All(), in.PathPrefix, func(r *identity.Role) string { return r.Path })
	items, next, err := page(c, request{"ListRoles\x00" + in.PathPrefix, in.Marker, in.MaxItems}, all, func(r *identity.Role) string { return strings.ToLower(r.Name) })
	out := &iamapi.ListRolesOutput{IsTruncated: next != "", Marker: next}
	for _, r := range items {
		shown := shownRole(c, r)
		shown.Tags, shown.PermissionsBoundary = nil, nil
		out.Roles = append(out.Roles, *shown)
	}
	return out, err
}

func shownRole(c *action.Call, r *identity.Role) *iamapi.Role {
	return &iamapi.Role{
		Path: r.Path, RoleName: r.Name, RoleId: r.ID, Arn: c.Identities.ARN(r), CreateDate: r.Created,
		AssumeRolePolicyDocument: escaped(c.Identities.TrustText(r)), Description: r.Description,
		MaxSessionDuration: int(r.MaxSession / time.Second), PermissionsBoundary: shownBoundary(r.Boundary), Tags: shownTags(r.Tags),
	}
}
