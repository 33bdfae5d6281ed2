package iamaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/iamapi"
)

// attachments is the family of managed policies on users, groups and roles.
func attachments() []*action.Entry {
	u, g, r := userHolder(), groupHolder(), roleHolder()
	return []*action.Entry{
		entry(action.Action[iamapi.AttachUserPolicyInput, action.None]{
			Name:    "AttachUserPolicy",
			Uses:    onUser("iam:AttachUserPolicy", func(in *iamapi.AttachUserPolicyInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName", "PolicyArn"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.AttachUserPolicyInput) (*action.None, error) {
				return u.attach(c, in.UserName, in.PolicyArn)
			},
		}),
		entry(action.Action[iamapi.DetachUserPolicyInput, action.None]{
			Name:    "DetachUserPolicy",
			Uses:    onUser("iam:DetachUserPolicy", func(in *iamapi.DetachUserPolicyInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName", "PolicyArn"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DetachUserPolicyInput) (*action.None, error) {
				return u.detach(c, in.UserName, in.PolicyArn)
			},
		}),
		entry(action.Action[iamapi.ListAttachedUserPoliciesInput, iamapi.ListAttachedUserPoliciesOutput]{
			Name:  "ListAttachedUserPolicies",
			Uses:  onUser("iam:ListAttachedUserPolicies", func(in *iamapi.ListAttachedUserPoliciesInput) string { return in.UserName }),
			Audit: []string{"UserName", "PathPrefix", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListAttachedUserPoliciesInput) (*iamapi.ListAttachedUserPoliciesOutput, error) {
				list, next, err := u.listAttached(c, in.UserName, in.PathPrefix, in.Marker, in.MaxItems)
				return &iamapi.ListAttachedUserPoliciesOutput{AttachedPolicies: list, IsTruncated: next != "", Marker: next}, err
			},
		}),
		entry(action.Action[iamapi.AttachGroupPolicyInput, action.None]{
			Name:    "AttachGroupPolicy",
			Uses:    onGroup("iam:AttachGroupPolicy", func(in *iamapi.AttachGroupPolicyInput) string { return in.GroupName }),
			Mutates: true,
			Audit:   []string{"GroupName", "PolicyArn"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.AttachGroupPolicyInput) (*action.None, error) {
				return g.attach(c, in.GroupName, in.PolicyArn)
			},
		}),
		entry(action.Action[iamapi.DetachGroupPolicyInput, action.None]{
			Name:    "DetachGroupPolicy",
			Uses:    onGroup("iam:DetachGroupPolicy", func(in *iamapi.DetachGroupPolicyInput) string { return in.GroupName }),
			Mutates: true,
			Audit:   []string{"GroupName", "PolicyArn"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DetachGroupPolicyInput) (*action.None, error) {
				return g.detach(c, in.GroupName, in.PolicyArn)
			},
		}),
		entry(action.Action[iamapi.ListAttachedGroupPoliciesInput, iamapi.ListAttachedGroupPoliciesOutput]{
			Name:  "ListAttachedGroupPolicies",
			Uses:  onGroup("iam:ListAttachedGroupPolicies", func(in *iamapi.ListAttachedGroupPoliciesInput) string { return in.GroupName }),
			Audit: []string{"GroupName", "PathPrefix", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListAttachedGroupPoliciesInput) (*iamapi.ListAttachedGroupPoliciesOutput, error) {
				list, next, err := g.listAttached(c, in.GroupName, in.PathPrefix, in.Marker, in.MaxItems)
				return &iamapi.ListAttachedGroupPoliciesOutput{AttachedPolicies: list, IsTruncated: next != "", Marker: next}, err
			},
		}),
		entry(action.Action[iamapi.AttachRolePolicyInput, action.None]{
			Name:    "AttachRolePolicy",
			Uses:    onRole("iam:AttachRolePolicy", func(in *iamapi.AttachRolePolicyInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName", "PolicyArn"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.AttachRolePolicyInput) (*action.None, error) {
				return r.attach(c, in.RoleName, in.PolicyArn)
			},
		}),
		entry(action.Action[iamapi.DetachRolePolicyInput, action.None]{
			Name:    "DetachRolePolicy",
			Uses:    onRole("iam:DetachRolePolicy", func(in *iamapi.DetachRolePolicyInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName", "PolicyArn"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DetachRolePolicyInput) (*action.None, error) {
				return r.detach(c, in.RoleName, in.PolicyArn)
			},
		}),
		entry(action.Action[iamapi.ListAttachedRolePoliciesInput, iamapi.ListAttachedRolePoliciesOutput]{
			Name:  "ListAttachedRolePolicies",
			Uses:  onRole("iam:ListAttachedRolePolicies", func(in *iamapi.ListAttachedRolePoliciesInput) string { return in.RoleName }),
			Audit: []string{"RoleName", "PathPrefix", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListAttachedRolePoliciesInput) (*iamapi.ListAttachedRolePoliciesOutput, error) {
				list, next, err := r.listAttached(c, in.RoleName, in.PathPrefix, in.Marker, in.MaxItems)
				return &iamapi.ListAttachedRolePoliciesOutput{AttachedPolicies: list, IsTruncated: next != "", Marker: next}, err
			},
		}),
	}
}
