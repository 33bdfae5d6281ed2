package iamaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/iamapi"
)

// inline is the family of policies that belong to one user, group or role.
func inline() []*action.Entry {
	u, g, r := userHolder(), groupHolder(), roleHolder()
	return []*action.Entry{
		entry(action.Action[iamapi.PutUserPolicyInput, action.None]{
			Name:    "PutUserPolicy",
			Uses:    onUser("iam:PutUserPolicy", func(in *iamapi.PutUserPolicyInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName", "PolicyName", "PolicyDocument"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.PutUserPolicyInput) (*action.None, error) {
				return u.putInline(c, in.UserName, in.PolicyName, in.PolicyDocument)
			},
		}),
		entry(action.Action[iamapi.GetUserPolicyInput, iamapi.GetUserPolicyOutput]{
			Name:  "GetUserPolicy",
			Uses:  onUser("iam:GetUserPolicy", func(in *iamapi.GetUserPolicyInput) string { return in.UserName }),
			Audit: []string{"UserName", "PolicyName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.GetUserPolicyInput) (*iamapi.GetUserPolicyOutput, error) {
				i, err := u.getInline(c, in.UserName, in.PolicyName)
				if err != nil {
					return nil, err
				}
				return &iamapi.GetUserPolicyOutput{UserName: in.UserName, PolicyName: i.Name, PolicyDocument: escaped(i.Policy.Source)}, nil
			},
		}),
		entry(action.Action[iamapi.DeleteUserPolicyInput, action.None]{
			Name:    "DeleteUserPolicy",
			Uses:    onUser("iam:DeleteUserPolicy", func(in *iamapi.DeleteUserPolicyInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName", "PolicyName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DeleteUserPolicyInput) (*action.None, error) {
				return u.deleteInline(c, in.UserName, in.PolicyName)
			},
		}),
		entry(action.Action[iamapi.ListUserPoliciesInput, iamapi.ListUserPoliciesOutput]{
			Name:  "ListUserPolicies",
			Uses:  onUser("iam:ListUserPolicies", func(in *iamapi.ListUserPoliciesInput) string { return in.UserName }),
			Audit: []string{"UserName", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListUserPoliciesInput) (*iamapi.ListUserPoliciesOutput, error) {
				names, next, err := u.listInline(c, in.UserName, in.Marker, in.MaxItems)
				return &iamapi.ListUserPoliciesOutput{PolicyNames: names, IsTruncated: next != "", Marker: next}, err
			},
		}),
		entry(action.Action[iamapi.PutGroupPolicyInput, action.None]{
			Name:    "PutGroupPolicy",
			Uses:    onGroup("iam:PutGroupPolicy", func(in *iamapi.PutGroupPolicyInput) string { return in.GroupName }),
			Mutates: true,
			Audit:   []string{"GroupName", "PolicyName", "PolicyDocument"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.PutGroupPolicyInput) (*action.None, error) {
				return g.putInline(c, in.GroupName, in.PolicyName, in.PolicyDocument)
			},
		}),
		entry(action.Action[iamapi.GetGroupPolicyInput, iamapi.GetGroupPolicyOutput]{
			Name:  "GetGroupPolicy",
			Uses:  onGroup("iam:GetGroupPolicy", func(in *iamapi.GetGroupPolicyInput) string { return in.GroupName }),
			Audit: []string{"GroupName", "PolicyName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.GetGroupPolicyInput) (*iamapi.GetGroupPolicyOutput, error) {
				i, err := g.getInline(c, in.GroupName, in.PolicyName)
				if err != nil {
					return nil, err
				}
				return &iamapi.GetGroupPolicyOutput{GroupName: in.GroupName, PolicyName: i.Name, PolicyDocument: escaped(i.Policy.Source)}, nil
			},
		}),
		entry(action.Action[iamapi.DeleteGroupPolicyInput, action.None]{
			Name:    "DeleteGroupPolicy",
			Uses:    onGroup("iam:DeleteGroupPolicy", func(in *iamapi.DeleteGroupPolicyInput) string { return in.GroupName }),
			Mutates: true,
			Audit:   []string{"GroupName", "PolicyName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DeleteGroupPolicyInput) (*action.None, error) {
				return g.deleteInline(c, in.GroupName, in.PolicyName)
			},
		}),
		entry(action.Action[iamapi.ListGroupPoliciesInput, iamapi.ListGroupPoliciesOutput]{
			Name:  "ListGroupPolicies",
			Uses:  onGroup("iam:ListGroupPolicies", func(in *iamapi.ListGroupPoliciesInput) string { return in.GroupName }),
			Audit: []string{"GroupName", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListGroupPoliciesInput) (*iamapi.ListGroupPoliciesOutput, error) {
				names, next, err := g.listInline(c, in.GroupName, in.Marker, in.MaxItems)
				return &iamapi.ListGroupPoliciesOutput{PolicyNames: names, IsTruncated: next != "", Marker: next}, err
			},
		}),
		entry(action.Action[iamapi.PutRolePolicyInput, action.None]{
			Name:    "PutRolePolicy",
			Uses:    onRole("iam:PutRolePolicy", func(in *iamapi.PutRolePolicyInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName", "PolicyName", "PolicyDocument"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.PutRolePolicyInput) (*action.None, error) {
				return r.putInline(c, in.RoleName, in.PolicyName, in.PolicyDocument)
			},
		}),
		entry(action.Action[iamapi.GetRolePolicyInput, iamapi.GetRolePolicyOutput]{
			Name:  "GetRolePolicy",
			Uses:  onRole("iam:GetRolePolicy", func(in *iamapi.GetRolePolicyInput) string { return in.RoleName }),
			Audit: []string{"RoleName", "PolicyName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.GetRolePolicyInput) (*iamapi.GetRolePolicyOutput, error) {
				i, err := r.getInline(c, in.RoleName, in.PolicyName)
				if err != nil {
					return nil, err
				}
				return &iamapi.GetRolePolicyOutput{RoleName: in.RoleName, PolicyName: i.Name, PolicyDocument: escaped(i.Policy.Source)}, nil
			},
		}),
		entry(action.Action[iamapi.DeleteRolePolicyInput, action.None]{
			Name:    "DeleteRolePolicy",
			Uses:    onRole("iam:DeleteRolePolicy", func(in *iamapi.DeleteRolePolicyInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName", "PolicyName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DeleteRolePolicyInput) (*action.None, error) {
				return r.deleteInline(c, in.RoleName, in.PolicyName)
			},
		}),
		entry(action.Action[iamapi.ListRolePoliciesInput, iamapi.ListRolePoliciesOutput]{
			Name:  "ListRolePolicies",
			Uses:  onRole("iam:ListRolePolicies", func(in *iamapi.ListRolePoliciesInput) string { return in.RoleName }),
			Audit: []string{"RoleName", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListRolePoliciesInput) (*iamapi.ListRolePoliciesOutput, error) {
				names, next, err := r.listInline(c, in.RoleName, in.Marker, in.MaxItems)
				return &iamapi.ListRolePoliciesOutput{PolicyNames: names, IsTruncated: next != "", Marker: next}, err
			},
		}),
	}
}
