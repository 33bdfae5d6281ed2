package iamaction

import (
	"context"
	"slices"
	"strings"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/identity"
)

// groups is the family of groups.
func groups() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.CreateGroupInput, iamapi.CreateGroupOutput]{
			Name:    "CreateGroup",
			Uses:    onNew("iam:CreateGroup", "group", func(in *iamapi.CreateGroupInput) (string, string) { return in.Path, in.GroupName }),
			Mutates: true,
			Audit:   []string{"GroupName", "Path"},
			Run:     createGroup,
		}),
		entry(action.Action[iamapi.GetGroupInput, iamapi.GetGroupOutput]{
			Name:  "GetGroup",
			Uses:  onGroup("iam:GetGroup", func(in *iamapi.GetGroupInput) string { return in.GroupName }),
			Audit: []string{"GroupName", "MaxItems"},
			Run:   getGroup,
		}),
		entry(action.Action[iamapi.UpdateGroupInput, action.None]{
			Name: "UpdateGroup",
			Uses: append(
				onGroup("iam:UpdateGroup", func(in *iamapi.UpdateGroupInput) string { return in.GroupName }),
				on("iam:UpdateGroup", renamedGroup)...),
			Mutates: true,
			Audit:   []string{"GroupName", "NewGroupName", "NewPath"},
			Run:     updateGroup,
		}),
		entry(action.Action[iamapi.DeleteGroupInput, action.None]{
			Name:    "DeleteGroup",
			Uses:    onGroup("iam:DeleteGroup", func(in *iamapi.DeleteGroupInput) string { return in.GroupName }),
			Mutates: true,
			Audit:   []string{"GroupName"},
			Run:     deleteGroup,
		}),
		entry(action.Action[iamapi.ListGroupsInput, iamapi.ListGroupsOutput]{
			Name:  "ListGroups",
			Uses:  onList("iam:ListGroups", "group", func(in *iamapi.ListGroupsInput) string { return in.PathPrefix }),
			Audit: []string{"PathPrefix", "MaxItems"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListGroupsInput) (*iamapi.ListGroupsOutput, error) {
				all := under(account(c).Groups.All(), in.PathPrefix, func(g *identity.Group) string { return g.Path })
				items, next, err := page(c, request{"ListGroups\x00" + in.PathPrefix, in.Marker, in.MaxItems}, all, groupKey)
				return &iamapi.ListGroupsOutput{Groups: listedGroups(c, items), IsTruncated: next != "", Marker: next}, err
			},
		}),
	}
}

// members is the family of who is in which group.
func members() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.AddUserToGroupInput, action.None]{
			Name:    "AddUserToGroup",
			Uses:    onGroup("iam:AddUserToGroup", func(in *iamapi.AddUserToGroupInput) string { return in.GroupName }),
			Mutates: true,
			Audit:   []string{"GroupName", "UserName"},
			Run:     addUserToGroup,
		}),
		entry(action.Action[iamapi.RemoveUserFromGroupInput, action.None]{
			Name:    "RemoveUserFromGroup",
			Uses:    onGroup("iam:RemoveUserFromGroup", func(in *iamapi.RemoveUserFromGroupInput) string { return in.GroupName }),
			Mutates: true,
			Audit:   []string{"GroupName", "UserName"},
			Run:     removeUserFromGroup,
		}),
		entry(action.Action[iamapi.ListGroupsForUserInput, iamapi.ListGroupsForUserOutput]{
			Name:  "ListGroupsForUser",
			Uses:  onUser("iam:ListGroupsForUser", func(in *iamapi.ListGroupsForUserInput) string { return in.UserName }),
			Audit: []string{"UserName", "MaxItems"},
			Run:   listGroupsForUser,
		}),
	}
}

func createGroup(_ context.Context, c *action.Call, in *iamapi.CreateGroupInput) (*iamapi.CreateGroupOutput, error) {
	if _, taken := account(c).Groups.Named(in.GroupName); taken {
		return nil, exists("Group", in.GroupName)
	}
	if err := within("GroupsPerAccount", account(c).Groups.Len(), maxGroupsPerAccount); err != nil {
		return nil, err
	}
	g := &identity.Group{Account: c.Caller.Account, ID: identity.NewGroupID(), Name: in.GroupName, Path: pathOr(in.Path), Created: now(c)}
	c.WishIdentity(identity.Create(g))
	return &iamapi.CreateGroupOutput{Group: shownGroup(c, g)}, nil
}

func getGroup(_ context.Context, c *action.Call, in *iamapi.GetGroupInput) (*iamapi.GetGroupOutput, error) {
	g, err := group(c, in.GroupName)
	if err != nil {
		return nil, err
	}
	items, next, err := page(c, request{"GetGroup\x00" + g.ID, in.Marker, in.MaxItems}, account(c).Members(g), userKey)
	return &iamapi.GetGroupOutput{Group: shownGroup(c, g), Users: listedUsers(c, items), IsTruncated: next != "", Marker: next}, err
}

// renamedGroup is the ARN that UpdateGroup would make.
func renamedGroup(c *action.Call, in *iamapi.UpdateGroupInput) string {
	g, ok := account(c).Groups.Named(in.GroupName)
	if !ok {
		return resource(c, "group/"+in.GroupName)
	}
	return c.Identities.ARN(regrouped(g, in))
}

func regrouped(g *identity.Group, in *iamapi.UpdateGroupInput) *identity.Group {
	g = g.Clone()
	if in.NewGroupName != "" {
		g.Name = in.NewGroupName
	}
	if in.NewPath != "" {
		g.Path = in.NewPath
	}
	return g
}

func updateGroup(_ context.Context, c *action.Call, in *iamapi.UpdateGroupInput) (*action.None, error) {
	was, err := group(c, in.GroupName)
	if err != nil {
		return nil, err
	}
	g := regrouped(was, in)
	if other, taken := account(c).Groups.Named(g.Name); taken && other.ID != g.ID {
		return nil, exists("Group", in.NewGroupName)
	}
	return done(c, identity.Put(g))
}

func deleteGroup(_ context.Context, c *action.Call, in *iamapi.DeleteGroupInput) (*action.None, error) {
	g, err := group(c, in.GroupName)
	switch {
	case err != nil:
		return nil, err
	case len(account(c).Members(g)) > 0:
		return nil, conflict("remove users from group")
	}
	if err := withoutPolicies(&g.Permissions); err != nil {
		return nil, err
	}
	return done(c, identity.Delete(g))
}

// maxGroups is how many groups a user may be in.
const maxGroups = 10

func addUserToGroup(_ context.Context, c *action.Call, in *iamapi.AddUserToGroupInput) (*action.None, error) {
	g, u, err := groupAndUser(c, in.GroupName, in.UserName)
	switch {
	case err != nil:
		return nil, err
	case slices.Contains(u.Groups, g.ID):
		return done(c, identity.Put(u)) // which fails if another node has changed that
	case len(u.Groups) >= maxGroups:
		return nil, overQuota("GroupsPerUser", maxGroups)
	}
	u = u.Clone()
	u.Groups = append(u.Groups, g.ID)
	return done(c, identity.Put(u))
}

func removeUserFromGroup(_ context.Context, c *action.Call, in *iamapi.RemoveUserFromGroupInput) (*action.None, error) {
	g, u, err := groupAndUser(c, in.GroupName, in.UserName)
	if err != nil {
		return nil, err
	}
	u = u.Clone() // and is written even if it was not in it: another node may have added it
	u.Groups = slices.DeleteFunc(u.Groups, func(id string) bool { return id == g.ID })
	return done(c, identity.Put(u))
}

func groupAndUser(c *action.Call, groupName, userName string) (*identity.Group, *identity.User, error) {
	g, err := group(c, groupName)
	if err != nil {
		return nil, nil, err
	}
	u, err := user(c, userName)
	return g, u, err
}

func listGroupsForUser(_ context.Context, c *action.Call, in *iamapi.ListGroupsForUserInput) (*iamapi.ListGroupsForUserOutput, error) {
	u, err := user(c, in.UserName)
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(account(c).Groups.All(), func(g *identity.Group) bool { return !slices.Contains(u.Groups, g.ID) })
	items, next, err := page(c, request{"ListGroupsForUser\x00" + u.ID, in.Marker, in.MaxItems}, all, groupKey)
	return &iamapi.ListGroupsForUserOutput{Groups: listedGroups(c, items), IsTruncated: next != "", Marker: next}, err
}

func groupKey(g *identity.Group) string { return strings.ToLower(g.Name) }

func listedGroups(c *action.Call, groups []*identity.Group) []iamapi.Group {
	var out []iamapi.Group
	for _, g := range groups {
		out = append(out, *shownGroup(c, g))
	}
	return out
}

func shownGroup(c *action.Call, g *identity.Group) *iamapi.Group {
	return &iamapi.Group{Path: g.Path, GroupName: g.Name, GroupId: g.ID, Arn: c.Identities.ARN(g), CreateDate: g.Created}
}
