package iamaction

import (
	"context"
	"slices"
	"strings"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/fault"
	"trent/internal/identity"
)

// tags is the family of labels on users, roles, policies and providers.
func tags() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.TagUserInput, action.None]{
			Name:    "TagUser",
			Uses:    onUser("iam:TagUser", func(in *iamapi.TagUserInput) string { return in.UserName }),
			Rules:   func(in *iamapi.TagUserInput) error { return checkTags(in.Tags) },
			Mutates: true,
			Audit:   []string{"UserName", "Tags"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.TagUserInput) (*action.None, error) {
				was, err := user(c, in.UserName)
				if err != nil {
					return nil, err
				}
				e := was.Clone()
				e.Tags, err = tagged(e.Tags, in.Tags)
				c.WishIdentity(identity.Put(e))
				return nil, err
			},
		}),
		entry(action.Action[iamapi.UntagUserInput, action.None]{
			Name:    "UntagUser",
			Uses:    onUser("iam:UntagUser", func(in *iamapi.UntagUserInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName", "TagKeys"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.UntagUserInput) (*action.None, error) {
				was, err := user(c, in.UserName)
				if err != nil {
					return nil, err
				}
				e := was.Clone()
				e.Tags = untagged(e.Tags, in.TagKeys)
				return done(c, identity.Put(e))
			},
		}),
		entry(action.Action[iamapi.ListUserTagsInput, iamapi.ListUserTagsOutput]{
			Name:  "ListUserTags",
			Uses:  onUser("iam:ListUserTags", func(in *iamapi.ListUserTagsInput) string { return in.UserName }),
			Audit: []string{"UserName", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListUserTagsInput) (*iamapi.ListUserTagsOutput, error) {
				e, err := user(c, in.UserName)
				if err != nil {
					return nil, err
				}
				items, next, err := tagPage(c, request{"ListUserTags\x00" + e.ID, in.Marker, in.MaxItems}, e.Tags)
				return &iamapi.ListUserTagsOutput{Tags: items, IsTruncated: next != "", Marker: next}, err
			},
		}),
		entry(action.Action[iamapi.TagRoleInput, action.None]{
			Name:    "TagRole",
			Uses:    onRole("iam:TagRole", func(in *iamapi.TagRoleInput) string { return in.RoleName }),
			Rules:   func(in *iamapi.TagRoleInput) error { return checkTags(in.Tags) },
			Mutates: true,
			Audit:   []string{"RoleName", "Tags"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.TagRoleInput) (*action.None, error) {
				was, err := role(c, in.RoleName)
				if err != nil {
					return nil, err
				}
				e := was.Clone()
				e.Tags, err = tagged(e.Tags, in.Tags)
				c.WishIdentity(identity.Put(e))
				return nil, err
			},
		}),
		entry(action.Action[iamapi.UntagRoleInput, action.None]{
			Name:    "UntagRole",
			Uses:    onRole("iam:UntagRole", func(in *iamapi.UntagRoleInput) string { return in.RoleName }),
			Mutates: true,
			Audit:   []string{"RoleName", "TagKeys"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.UntagRoleInput) (*action.None, error) {
				was, err := role(c, in.RoleName)
				if err != nil {
					return nil, err
				}
				e := was.Clone()
				e.Tags = untagged(e.Tags, in.TagKeys)
				return done(c, identity.Put(e))
			},
		}),
		entry(action.Action[iamapi.ListRoleTagsInput, iamapi.ListRoleTagsOutput]{
			Name:  "ListRoleTags",
			Uses:  onRole("iam:ListRoleTags", func(in *iamapi.ListRoleTagsInput) string { return in.RoleName }),
			Audit: []string{"RoleName", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListRoleTagsInput) (*iamapi.ListRoleTagsOutput, error) {
				e, err := role(c, in.RoleName)
				if err != nil {
					return nil, err
				}
				items, next, err := tagPage(c, request{"ListRoleTags\x00" + e.ID, in.Marker, in.MaxItems}, e.Tags)
				return &iamapi.ListRoleTagsOutput{Tags: items, IsTruncated: next != "", Marker: next}, err
			},
		}),
		entry(action.Action[iamapi.TagPolicyInput, action.None]{
			Name:    "TagPolicy",
			Uses:    onARN("iam:TagPolicy", func(in *iamapi.TagPolicyInput) string { return in.PolicyArn }),
			Rules:   func(in *iamapi.TagPolicyInput) error { return checkTags(in.Tags) },
			Mutates: true,
			Audit:   []string{"PolicyArn", "Tags"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.TagPolicyInput) (*action.None, error) {
				was, err := ownPolicy(c, in.PolicyArn)
				if err != nil {
					return nil, err
				}
				e := was.Clone()
				e.Tags, err = tagged(e.Tags, in.Tags)
				c.WishIdentity(identity.Put(e))
				return nil, err
			},
		}),
		entry(action.Action[iamapi.UntagPolicyInput, action.None]{
			Name:    "UntagPolicy",
			Uses:    onARN("iam:UntagPolicy", func(in *iamapi.UntagPolicyInput) string { return in.PolicyArn }),
			Mutates: true,
			Audit:   []string{"PolicyArn", "TagKeys"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.UntagPolicyInput) (*action.None, error) {
				was, err := ownPolicy(c, in.PolicyArn)
				if err != nil {
					return nil, err
				}
				e := was.Clone()
				e.Tags = untagged(e.Tags, in.TagKeys)
				return done(c, identity.Put(e))
			},
		}),
		entry(action.Action[iamapi.ListPolicyTagsInput, iamapi.ListPolicyTagsOutput]{
			Name:  "ListPolicyTags",
			Uses:  onARN("iam:ListPolicyTags", func(in *iamapi.ListPolicyTagsInput) string { return in.PolicyArn }),
			Audit: []string{"PolicyArn", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListPolicyTagsInput) (*iamapi.ListPolicyTagsOutput, error) {
				e, err := managedPolicy(c, in.PolicyArn)
				if err != nil {
					return nil, err
				}
				items, next, err := tagPage(c, request{"ListPolicyTags\x00" + e.ID, in.Marker, in.MaxItems}, e.Tags)
				return &iamapi.ListPolicyTagsOutput{Tags: items, IsTruncated: next != "", Marker: next}, err
			},
		}),
		entry(action.Action[iamapi.TagOpenIDConnectProviderInput, action.None]{
			Name:    "TagOpenIDConnectProvider",
			Uses:    onARN("iam:TagOpenIDConnectProvider", func(in *iamapi.TagOpenIDConnectProviderInput) string { return in.OpenIDConnectProviderArn }),
			Rules:   func(in *iamapi.TagOpenIDConnectProviderInput) error { return checkTags(in.Tags) },
			Mutates: true,
			Audit:   []string{"OpenIDConnectProviderArn", "Tags"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.TagOpenIDConnectProviderInput) (*action.None, error) {
				was, err := provider(c, in.OpenIDConnectProviderArn)
				if err != nil {
					return nil, err
				}
				e := was.Clone()
				e.Tags, err = tagged(e.Tags, in.Tags)
				c.WishIdentity(identity.Put(e))
				return nil, err
			},
		}),
		entry(action.Action[iamapi.UntagOpenIDConnectProviderInput, action.None]{
			Name:    "UntagOpenIDConnectProvider",
			Uses:    onARN("iam:UntagOpenIDConnectProvider", func(in *iamapi.UntagOpenIDConnectProviderInput) string { return in.OpenIDConnectProviderArn }),
			Mutates: true,
			Audit:   []string{"OpenIDConnectProviderArn", "TagKeys"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.UntagOpenIDConnectProviderInput) (*action.None, error) {
				was, err := provider(c, in.OpenIDConnectProviderArn)
				if err != nil {
					return nil, err
				}
				e := was.Clone()
				e.Tags = untagged(e.Tags, in.TagKeys)
				return done(c, identity.Put(e))
			},
		}),
		entry(action.Action[iamapi.ListOpenIDConnectProviderTagsInput, iamapi.ListOpenIDConnectProviderTagsOutput]{
			Name:  "ListOpenIDConnectProviderTags",
			Uses:  onARN("iam:ListOpenIDConnectProviderTags", func(in *iamapi.ListOpenIDConnectProviderTagsInput) string { return in.OpenIDConnectProviderArn }),
			Audit: []string{"OpenIDConnectProviderArn", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListOpenIDConnectProviderTagsInput) (*iamapi.ListOpenIDConnectProviderTagsOutput, error) {
				e, err := provider(c, in.OpenIDConnectProviderArn)
				if err != nil {
					return nil, err
				}
				items, next, err := tagPage(c, request{"ListOpenIDConnectProviderTags\x00" + e.ID, in.Marker, in.MaxItems}, e.Tags)
				return &iamapi.ListOpenIDConnectProviderTagsOutput{Tags: items, IsTruncated: next != "", Marker: next}, err
			},
		}),
	}
}

// maxTags is how many tags a thing may have.
const maxTags = 50

// checkTags is what the model cannot say of tags: their keys are told apart
// without regard to case, and those of AWS are not ours to give.
func checkTags(tags []iamapi.Tag) error {
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		key := strings.ToLower(t.Key)
		switch {
		case seen[key]:
			return invalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		case strings.HasPrefix(key, "aws:"):
			return invalidInput("Tag keys that begin with aws: are reserved.")
		}
		seen[key] = true
	}
	return nil
}

func tagsOf(tags []iamapi.Tag) []identity.Tag {
	var out []identity.Tag
	for _, t := range tags {
		out = append(out, identity.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

func shownTags(tags []identity.Tag) []iamapi.Tag {
	var out []iamapi.Tag
	for _, t := range tags {
		out = append(out, iamapi.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

// tagged sets tags: those with a new key are added.
func tagged(tags []identity.Tag, set []iamapi.Tag) ([]identity.Tag, error) {
	for _, t := range set {
		i := slices.IndexFunc(tags, func(was identity.Tag) bool { return strings.EqualFold(was.Key, t.Key) })
		if i < 0 {
			tags = append(tags, identity.Tag{Key: t.Key, Value: t.Value})
		} else {
			tags[i].Value = t.Value
		}
	}
	if len(tags) > maxTags {
		return nil, fault.New(iamapi.LimitExceeded, "The number of tags has reached the maximum limit.")
	}
	return tags, nil
}

func untagged(tags []identity.Tag, keys []string) []identity.Tag {
	return slices.DeleteFunc(tags, func(t identity.Tag) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return strings.EqualFold(key, t.Key) })
	})
}

func tagPage(c *action.Call, r request, tags []identity.Tag) ([]iamapi.Tag, string, error) {
	sorted := slices.Clone(tags)
	key := func(t identity.Tag) string { return strings.ToLower(t.Key) }
	slices.SortFunc(sorted, func(a, b identity.Tag) int { return strings.Compare(key(a), key(b)) })
	items, next, err := page(c, r, sorted, key)
	return shownTags(items), next, err
}
