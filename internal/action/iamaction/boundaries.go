package iamaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/fault"
	"trent/internal/identity"
)

// boundaries is the family of permissions boundaries.
func boundaries() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.PutUserPermissionsBoundaryInput, action.None]{
			Name:    "PutUserPermissionsBoundary",
			Uses:    onUser("iam:PutUserPermissionsBoundary", func(in *iamapi.PutUserPermissionsBoundaryInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName", "PermissionsBoundary"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.PutUserPermissionsBoundaryInput) (*action.None, error) {
				return boundUser(c, in.UserName, in.PermissionsBoundary)
			},
		}),
		entry(action.Action[iamapi.DeleteUserPermissionsBoundaryInput, action.None]{
			Name:    "DeleteUserPermissionsBoundary",
			Uses:    onUser("iam:DeleteUserPermissionsBoundary", func(in *iamapi.DeleteUserPermissionsBoundaryInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DeleteUserPermissionsBoundaryInput) (*action.None, error) {
				return boundUser(c, in.UserName, "")
			},
		}),
		entry(action.Action[iamapi.PutRolePermissionsBoundaryInput, action.None]{
			Name:    "PutRolePermissionsBoundary",
			Uses:    onRole("iam:PutRolePermissionsBoundary", func(in *iamapi.PutRolePermissionsBoundaryInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName", "PermissionsBoundary"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.PutRolePermissionsBoundaryInput) (*action.None, error) {
				return boundRole(c, in.RoleName, in.PermissionsBoundary)
			},
		}),
		entry(action.Action[iamapi.DeleteRolePermissionsBoundaryInput, action.None]{
			Name:    "DeleteRolePermissionsBoundary",
			Uses:    onRole("iam:DeleteRolePermissionsBoundary", func(in *iamapi.DeleteRolePermissionsBoundaryInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DeleteRolePermissionsBoundaryInput) (*action.None, error) {
				return boundRole(c, in.RoleName, "")
			},
		}),
	}
}

// checkBoundary wants the policy that is to be a boundary to exist; none is good.
func checkBoundary(c *action.Call, arn string) error {
	if arn == "" {
		return nil
	}
	if _, ok := c.Identities.Policy(c.Caller.Account, arn); !ok {
		return fault.Newf(iamapi.NoSuchEntity, "Scope ARN: %s does not exist or is not attachable.", arn)
	}
	return nil
}

func boundUser(c *action.Call, name, arn string) (*action.None, error) {
	was, err := user(c, name)
	if err != nil {
		return nil, err
	}
	if err := checkBoundary(c, arn); err != nil {
		return nil, err
	}
	u := was.Clone()
	u.Boundary = arn
	return done(c, identity.Put(u))
}

func boundRole(c *action.Call, name, arn string) (*action.None, error) {
	if _, err := role(c, name); err != nil {
		return nil, err
	}
	if err := checkBoundary(c, arn); err != nil {
		return nil, err
	}
	_, err := changeRole(c, name, func(r *identity.Role) { r.Boundary = arn })
	return nil, err
}

func shownBoundary(arn string) *iamapi.AttachedPermissionsBoundary {
	if arn == "" {
		return nil
	}
	return &iamapi.AttachedPermissionsBoundary{
		PermissionsBoundaryType: iamapi.PermissionsBoundaryAttachmentTypePermissionsBoundaryPolicy, PermissionsBoundaryArn: arn,
	}
}
