package iamaction

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/fault"
	"trent/internal/identity"
)

// versions is the family of the texts that a managed policy has had.
func versions() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.CreatePolicyVersionInput, iamapi.CreatePolicyVersionOutput]{
			Name:    "CreatePolicyVersion",
			Uses:    onARN("iam:CreatePolicyVersion", func(in *iamapi.CreatePolicyVersionInput) string { return in.PolicyArn }),
			Mutates: true,
			Audit:   []string{"PolicyArn", "PolicyDocument", "SetAsDefault"},
			Run:     createPolicyVersion,
		}),
		entry(action.Action[iamapi.GetPolicyVersionInput, iamapi.GetPolicyVersionOutput]{
			Name:  "GetPolicyVersion",
			Uses:  onARN("iam:GetPolicyVersion", func(in *iamapi.GetPolicyVersionInput) string { return in.PolicyArn }),
			Audit: []string{"PolicyArn", "VersionId"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.GetPolicyVersionInput) (*iamapi.GetPolicyVersionOutput, error) {
				p, err := managedPolicy(c, in.PolicyArn)
				if err != nil {
					return nil, err
				}
				v, err := versionOf(p, in.PolicyArn, in.VersionId)
				if err != nil {
					return nil, err
				}
				return &iamapi.GetPolicyVersionOutput{PolicyVersion: shownVersion(p, v)}, nil
			},
		}),
		entry(action.Action[iamapi.DeletePolicyVersionInput, action.None]{
			Name:    "DeletePolicyVersion",
			Uses:    onARN("iam:DeletePolicyVersion", func(in *iamapi.DeletePolicyVersionInput) string { return in.PolicyArn }),
			Mutates: true,
			Audit:   []string{"PolicyArn", "VersionId"},
			Run:     deletePolicyVersion,
		}),
		entry(action.Action[iamapi.ListPolicyVersionsInput, iamapi.ListPolicyVersionsOutput]{
			Name:  "ListPolicyVersions",
			Uses:  onARN("iam:ListPolicyVersions", func(in *iamapi.ListPolicyVersionsInput) string { return in.PolicyArn }),
			Audit: []string{"PolicyArn", "MaxItems"},
			Run:   listPolicyVersions,
		}),
		entry(action.Action[iamapi.SetDefaultPolicyVersionInput, action.None]{
			Name:    "SetDefaultPolicyVersion",
			Uses:    onARN("iam:SetDefaultPolicyVersion", func(in *iamapi.SetDefaultPolicyVersionInput) string { return in.PolicyArn }),
			Mutates: true,
			Audit:   []string{"PolicyArn", "VersionId"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.SetDefaultPolicyVersionInput) (*action.None, error) {
				was, err := ownPolicy(c, in.PolicyArn)
				if err != nil {
					return nil, err
				}
				v, err := versionOf(was, in.PolicyArn, in.VersionId)
				if err != nil {
					return nil, err
				}
				p := was.Clone()
				p.Default, p.Updated = v.Number, now(c)
				return done(c, identity.Put(p))
			},
		}),
	}
}

// maxVersions is how many versions a policy may have at once.
const maxVersions = 5

func createPolicyVersion(_ context.Context, c *action.Call, in *iamapi.CreatePolicyVersionInput) (*iamapi.CreatePolicyVersionOutput, error) {
	was, err := ownPolicy(c, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	if len(was.Versions) >= maxVersions {
		return nil, fault.New(iamapi.LimitExceeded, "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version.")
	}
	policy, err := policyDocument(in.PolicyDocument)
	if err != nil {
		return nil, err
	}
	p := was.Clone()
	p.Newest++
	v := identity.PolicyVersion{Number: p.Newest, Created: now(c), Policy: policy}
	p.Versions, p.Updated = append(p.Versions, v), v.Created
	if in.SetAsDefault {
		p.Default = v.Number
	}
	c.WishIdentity(identity.Put(p))
	shown := shownVersion(p, v)
	shown.Document = "" // the caller has it
	return &iamapi.CreatePolicyVersionOutput{PolicyVersion: shown}, nil
}

func deletePolicyVersion(_ context.Context, c *action.Call, in *iamapi.DeletePolicyVersionInput) (*action.None, error) {
	was, err := ownPolicy(c, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	v, err := versionOf(was, in.PolicyArn, in.VersionId)
	if err != nil {
		return nil, err
	}
	if v.Number == was.Default {
		return nil, fault.New(iamapi.DeleteConflict, "Cannot delete the default version of a policy.")
	}
	p := was.Clone()
	p.Versions = slices.DeleteFunc(p.Versions, func(other identity.PolicyVersion) bool { return other.Number == v.Number })
	p.Updated = now(c)
	return done(c, identity.Put(p))
}

// listPolicyVersions has the newest first, as IAM does.
func listPolicyVersions(_ context.Context, c *action.Call, in *iamapi.ListPolicyVersionsInput) (*iamapi.ListPolicyVersionsOutput, error) {
	p, err := managedPolicy(c, in.PolicyArn)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(p.Versions)
	slices.Reverse(all)
	// Keys grow along the list, so the newest has the smallest.
	key := func(v identity.PolicyVersion) string { return fmt.Sprintf("%010d", 1<<31-v.Number) }
	items, next, err := page(c, request{"ListPolicyVersions\x00" + p.ID, in.Marker, in.MaxItems}, all, key)
	out := &iamapi.ListPolicyVersionsOutput{IsTruncated: next != "", Marker: next}
	for _, v := range items {
		shown := shownVersion(p, v)
		shown.Document = ""
		out.Versions = append(out.Versions, *shown)
	}
	return out, err
}

// versionOf finds a version by its id, such as v2.
func versionOf(p *identity.ManagedPolicy, arn, id string) (identity.PolicyVersion, error) {
	number, err := strconv.Atoi(strings.TrimPrefix(id, "v"))
	v, ok := p.Version(number)
	if err != nil || !ok {
		return v, fault.Newf(iamapi.NoSuchEntity, "Policy %s version %s does not exist or is not attachable.", arn, id)
	}
	return v, nil
}

func versionID(number int) string { return "v" + strconv.Itoa(number) }

func shownVersion(p *identity.ManagedPolicy, v identity.PolicyVersion) *iamapi.PolicyVersion {
	return &iamapi.PolicyVersion{
		Document: escaped(v.Policy.Source), VersionId: versionID(v.Number), IsDefaultVersion: v.Number == p.Default, CreateDate: v.Created,
	}
}
