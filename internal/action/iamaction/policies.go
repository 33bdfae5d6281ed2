package iamaction

import (
	"context"
	"slices"
	"strings"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/identity"
)

// policies is the family of managed policies.
func policies() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.CreatePolicyInput, iamapi.CreatePolicyOutput]{
			Name:    "CreatePolicy",
			Uses:    withTags(onNew("iam:CreatePolicy", "policy", func(in *iamapi.CreatePolicyInput) (string, string) { return in.Path, in.PolicyName }), "iam:TagPolicy", func(in *iamapi.CreatePolicyInput) []iamapi.Tag { return in.Tags }),
			Rules:   func(in *iamapi.CreatePolicyInput) error { return checkTags(in.Tags) },
			Mutates: true,
			Audit:   []string{"PolicyName", "Path", "PolicyDocument", "Description", "Tags"},
			Run:     createPolicy,
		}),
		entry(action.Action[iamapi.GetPolicyInput, iamapi.GetPolicyOutput]{
			Name:  "GetPolicy",
			Uses:  onARN("iam:GetPolicy", func(in *iamapi.GetPolicyInput) string { return in.PolicyArn }),
			Audit: []string{"PolicyArn"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.GetPolicyInput) (*iamapi.GetPolicyOutput, error) {
				p, err := managedPolicy(c, in.PolicyArn)
				if err != nil {
					return nil, err
				}
				return &iamapi.GetPolicyOutput{Policy: shownPolicy(c, p, usesOf(c))}, nil
			},
		}),
		entry(action.Action[iamapi.DeletePolicyInput, action.None]{
			Name:    "DeletePolicy",
			Uses:    onARN("iam:DeletePolicy", func(in *iamapi.DeletePolicyInput) string { return in.PolicyArn }),
			Mutates: true,
			Audit:   []string{"PolicyArn"},
			Run:     deletePolicy,
		}),
		entry(action.Action[iamapi.ListPoliciesInput, iamapi.ListPoliciesOutput]{
			Name:  "ListPolicies",
			Uses:  onList("iam:ListPolicies", "policy", func(in *iamapi.ListPoliciesInput) string { return in.PathPrefix }),
			Audit: []string{"Scope", "OnlyAttached", "PathPrefix", "PolicyUsageFilter", "MaxItems"},
			Run:   listPolicies,
		}),
		entry(action.Action[iamapi.ListEntitiesForPolicyInput, iamapi.ListEntitiesForPolicyOutput]{
			Name:  "ListEntitiesForPolicy",
			Uses:  onARN("iam:ListEntitiesForPolicy", func(in *iamapi.ListEntitiesForPolicyInput) string { return in.PolicyArn }),
			Audit: []string{"PolicyArn", "EntityFilter", "PathPrefix", "PolicyUsageFilter", "MaxItems"},
			Run:   listEntitiesForPolicy,
		}),
	}
}

// maxPolicySize is the size of a managed policy, in characters that are not white
// space.
const maxPolicySize = 6144

func policyDocument(document string) (*iam.Policy, error) {
	if identity.Size(document) > maxPolicySize {
		return nil, overQuota("PolicySize", maxPolicySize)
	}
	policy, err := identity.ParsePolicy(document)
	if err != nil {
		return nil, badPolicy(err)
	}
	return policy, nil
}

func createPolicy(_ context.Context, c *action.Call, in *iamapi.CreatePolicyInput) (*iamapi.CreatePolicyOutput, error) {
	if _, taken := account(c).Policies.Named(in.PolicyName); taken {
		return nil, fault.Newf(iamapi.EntityAlreadyExists, "A policy called %s already exists. Duplicate names are not allowed.", in.PolicyName)
	}
	if err := within("PoliciesPerAccount", account(c).Policies.Len(), maxPoliciesPerAccount); err != nil {
		return nil, err
	}
	policy, err := policyDocument(in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	p := &identity.ManagedPolicy{
		Account: c.Caller.Account, ID: identity.NewPolicyID(), Name: in.PolicyName, Path: pathOr(in.Path), Description: in.Description,
		Created: now(c), Updated: now(c), Tags: tagsOf(in.Tags),
		Versions: []identity.PolicyVersion{{Number: 1, Created: now(c), Policy: policy}}, Default: 1, Newest: 1,
	}
	c.WishIdentity(identity.Create(p))
	return &iamapi.CreatePolicyOutput{Policy: shownPolicy(c, p, usesOf(c))}, nil
}

// deletePolicy refuses as long as the policy is in use, or has versions that do not
// go with it.
func deletePolicy(_ context.Context, c *action.Call, in *iamapi.DeletePolicyInput) (*action.None, error) {
	p, err := ownPolicy(c, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	use, arn := usesOf(c), c.Identities.ARN(p)
	switch {
	case use.attached[arn] > 0:
		return nil, fault.New(iamapi.DeleteConflict, "Cannot delete a policy attached to entities.")
	case use.boundaries[arn] > 0:
		return nil, fault.New(iamapi.DeleteConflict, "Cannot delete a policy that is used as a permissions boundary.")
	case len(p.Versions) > 1:
		return nil, fault.New(iamapi.DeleteConflict, "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
	}
	return done(c, identity.Delete(p))
}

// uses counts where managed policies are used, by their ARNs.
type uses struct{ attached, boundaries map[string]int }

func usesOf(c *action.Call) uses {
	attached, boundaries := account(c).Uses()
	return uses{attached, boundaries}
}

func listPolicies(_ context.Context, c *action.Call, in *iamapi.ListPoliciesInput) (*iamapi.ListPoliciesOutput, error) {
	var all []*identity.ManagedPolicy
	if in.Scope != iamapi.PolicyScopeTypeAWS {
		all = account(c).Policies.All()
	}
	if in.Scope != iamapi.PolicyScopeTypeLocal {
		all = append(all, identity.BuiltIn()...)
	}
	use := usesOf(c)
	all = slices.DeleteFunc(under(all, in.PathPrefix, policyPath), func(p *identity.ManagedPolicy) bool {
		arn := c.Identities.ARN(p)
		return in.OnlyAttached && use.attached[arn] == 0 ||
			in.PolicyUsageFilter == iamapi.PolicyUsageTypePermissionsPolicy && use.attached[arn] == 0 ||
			in.PolicyUsageFilter == iamapi.PolicyUsageTypePermissionsBoundary && use.boundaries[arn] == 0
	})
	list := strings.Join([]string{"ListPolicies", string(in.Scope), in.PathPrefix, string(in.PolicyUsageFilter)}, "\x00")
	if in.OnlyAttached {
		list += "\x00attached"
	}
	items, next, err := page(c, request{list, in.Marker, in.MaxItems}, sortedPolicies(all), policyKey)
	out := &iamapi.ListPoliciesOutput{IsTruncated: next != "", Marker: next}
	for _, p := range items {
		shown := shownPolicy(c, p, use)
		shown.Tags, shown.Description = nil, ""
		out.Policies = append(out.Policies, *shown)
	}
	return out, err
}

func policyPath(p *identity.ManagedPolicy) string { return p.Path }

// policyKey tells a policy of the account from its namesake that every account has.
func policyKey(p *identity.ManagedPolicy) string { return strings.ToLower(p.Name) + "\x00" + p.Account }

func sortedPolicies(all []*identity.ManagedPolicy) []*identity.ManagedPolicy {
	slices.SortFunc(all, func(a, b *identity.ManagedPolicy) int { return strings.Compare(policyKey(a), policyKey(b)) })
	return all
}

// user of a policy, of whichever kind.
type policyUse struct {
	kind, name, id, path string
}

func listEntitiesForPolicy(_ context.Context, c *action.Call, in *iamapi.ListEntitiesForPolicyInput) (*iamapi.ListEntitiesForPolicyOutput, error) {
	p, err := managedPolicy(c, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	list := strings.Join([]string{"ListEntitiesForPolicy", p.ID, string(in.EntityFilter), in.PathPrefix, string(in.PolicyUsageFilter)}, "\x00")
	all := under(usersOfPolicy(c, in, c.Identities.ARN(p)), in.PathPrefix, func(u policyUse) string { return u.path })
	items, next, err := page(c, request{list, in.Marker, in.MaxItems}, all, func(u policyUse) string { return u.kind + "\x00" + strings.ToLower(u.name) })
	out := &iamapi.ListEntitiesForPolicyOutput{IsTruncated: next != "", Marker: next}
	for _, u := range items {
		switch u.kind {
		case "group":
			out.PolicyGroups = append(out.PolicyGroups, iamapi.PolicyGroup{GroupName: u.name, GroupId: u.id})
		case "role":
			out.PolicyRoles = append(out.PolicyRoles, iamapi.PolicyRole{RoleName: u.name, RoleId: u.id})
		default:
			out.PolicyUsers = append(out.PolicyUsers, iamapi.PolicyUser{UserName: u.name, UserId: u.id})
		}
	}
	return out, err
}

// usersOfPolicy lists groups, roles and users, in this order, that a policy is
// attached to or bounds.
func usersOfPolicy(c *action.Call, in *iamapi.ListEntitiesForPolicyInput, arn string) []policyUse {
	a := account(c)
	wants := func(kind iamapi.EntityType) bool { return in.EntityFilter == "" || in.EntityFilter == kind }
	uses := func(p *identity.Permissions, boundary string) bool {
		return in.PolicyUsageFilter != iamapi.PolicyUsageTypePermissionsBoundary && slices.Contains(p.Attached, arn) ||
			in.PolicyUsageFilter != iamapi.PolicyUsageTypePermissionsPolicy && boundary == arn
	}
	var all []policyUse
	for _, g := range a.Groups.All() {
		if wants(iamapi.EntityTypeGroup) && uses(&g.Permissions, "") {
			all = append(all, policyUse{"group", g.Name, g.ID, g.Path})
		}
	}
	for _, r := range a.Roles.All() {
		if wants(iamapi.EntityTypeRole) && uses(&r.Permissions, r.Boundary) {
			all = append(all, policyUse{"role", r.Name, r.ID, r.Path})
		}
	}
	for _, u := range a.Users.All() {
		if wants(iamapi.EntityTypeUser) && uses(&u.Permissions, u.Boundary) {
			all = append(all, policyUse{"user", u.Name, u.ID, u.Path})
		}
	}
	return all
}

func shownPolicy(c *action.Call, p *identity.ManagedPolicy, use uses) *iamapi.Policy {
	arn := c.Identities.ARN(p)
	return &iamapi.Policy{
		PolicyName: p.Name, PolicyId: p.ID, Arn: arn, Path: p.Path, DefaultVersionId: versionID(p.Default),
		AttachmentCount: use.attached[arn], PermissionsBoundaryUsageCount: use.boundaries[arn], IsAttachable: true,
		Description: p.Description, CreateDate: p.Created, UpdateDate: p.Updated, Tags: shownTags(p.Tags),
	}
}
