package iamaction

import (
	"strings"

	"github.com/go-json-experiment/json"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/iam"
	"trent/internal/identity"
)

// conditionKey gives the condition keys of an action of IAM, after the Service
// Authorization Reference ("Actions, resources, and condition keys for AWS Identity and
// Access Management"): tags that are sent and tags that are there, the boundary that a
// principal gets or has, and the policy that is attached or detached. All
// actions use the same names for the same members, so one function does for all.
func conditionKey(op string, c *action.Call, in api.Input, resource string, k iam.Key) iam.Value {
	switch k.Name {
	case "aws:requesttag":
		tags := sentTags(in)
		return valueOf(tags, k.Sub).After(tagSteps * len(tags))
	case "aws:tagkeys":
		names := sentTagKeys(in)
		return iam.Texts(names).After(tagSteps * len(names))
	case "aws:resourcetag", "iam:resourcetag":
		tags, _ := attributes(c.Identities, resource)
		return valueOf(tags, k.Sub)
	case "iam:policyarn":
		if strings.HasPrefix(op, "Attach") || strings.HasPrefix(op, "Detach") {
			return text(member[string](in, "PolicyArn"))
		}
	case "iam:permissionsboundary":
		return boundary(op, c, in, resource)
	}
	return iam.Value{}
}

// boundary is the one that is asked for, or else the one that a user or role has, on
// actions that change what it may do.
func boundary(op string, c *action.Call, in api.Input, resource string) iam.Value {
	switch op {
	case "CreateUser", "CreateRole", "PutUserPermissionsBoundary", "PutRolePermissionsBoundary":
		return text(member[string](in, "PermissionsBoundary"))
	case "AttachUserPolicy", "AttachRolePolicy", "DetachUserPolicy", "DetachRolePolicy", "PutUserPolicy", "PutRolePolicy",
		"DeleteUserPolicy", "DeleteRolePolicy", "DeleteUserPermissionsBoundary", "DeleteRolePermissionsBoundary":
		_, has := attributes(c.Identities, resource)
		return text(has)
	}
	return iam.Value{}
}

// attributes are the tags and the boundary of what an ARN names, if it is there.
func attributes(v identity.View, name string) (tags []identity.Tag, boundary string) {
	switch e, _ := v.Find(name); e := e.(type) {
	case *identity.User:
		return e.Tags, e.Boundary
	case *identity.Role:
		return e.Tags, e.Boundary
	case *identity.ManagedPolicy:
		return e.Tags, ""
	case *identity.Provider:
		return e.Tags, ""
	}
	return nil, ""
}

// tagSteps is what it takes to read a tag off the request, in steps of an evaluation.
const tagSteps = 64

// member reads a member of an input by its name; an absent one is the zero value.
func member[T any](in api.Input, name string) (v T) {
	if b, ok := in.AppendMember(nil, name); ok {
		_ = json.Unmarshal(b, &v) // it is JSON of our own making; of another type it is not what was asked for
	}
	return v
}

func sentTags(in api.Input) []identity.Tag {
	var tags []identity.Tag
	for _, t := range member[[]struct{ Key, Value string }](in, "Tags") {
		tags = append(tags, identity.Tag{Key: t.Key, Value: t.Value})
	}
	return tags
}

func sentTagKeys(in api.Input) []string {
	names := member[[]string](in, "TagKeys")
	for _, t := range sentTags(in) {
		names = append(names, t.Key)
	}
	return names
}

func valueOf(tags []identity.Tag, sub string) iam.Value {
	for _, t := range tags {
		if iam.FoldsTo(t.Key, sub) {
			return iam.Text(t.Value)
		}
	}
	return iam.Value{}
}

func text(s string) iam.Value {
	if s == "" {
		return iam.Value{}
	}
	return iam.Text(s)
}
