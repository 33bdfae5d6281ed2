package iamaction

import (
	"context"
	"strings"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/identity"
)

// users is the family of users.
func users() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.CreateUserInput, iamapi.CreateUserOutput]{
			Name:    "CreateUser",
			Uses:    withTags(onNew("iam:CreateUser", "user", func(in *iamapi.CreateUserInput) (string, string) { return in.Path, in.UserName }), "iam:TagUser", func(in *iamapi.CreateUserInput) []iamapi.Tag { return in.Tags }),
			Rules:   func(in *iamapi.CreateUserInput) error { return checkTags(in.Tags) },
			Mutates: true,
			Audit:   []string{"UserName", "Path", "PermissionsBoundary", "Tags"},
			Run:     createUser,
		}),
		entry(action.Action[iamapi.GetUserInput, iamapi.GetUserOutput]{
			Name:  "GetUser",
			Uses:  onUser("iam:GetUser", func(in *iamapi.GetUserInput) string { return in.UserName }),
			Audit: []string{"UserName"},
			Run:   getUser,
		}),
		entry(action.Action[iamapi.UpdateUserInput, action.None]{
			Name: "UpdateUser",
			Uses: append(
				onUser("iam:UpdateUser", func(in *iamapi.UpdateUserInput) string { return in.UserName }),
				on("iam:UpdateUser", renamedUser)...),
			Mutates: true,
			Audit:   []string{"UserName", "NewUserName", "NewPath"},
			Run:     updateUser,
		}),
		entry(action.Action[iamapi.DeleteUserInput, action.None]{
			Name:    "DeleteUser",
			Uses:    onUser("iam:DeleteUser", func(in *iamapi.DeleteUserInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName"},
			Run:     deleteUser,
		}),
		entry(action.Action[iamapi.ListUsersInput, iamapi.ListUsersOutput]{
			Name:  "ListUsers",
			Uses:  onList("iam:ListUsers", "user", func(in *iamapi.ListUsersInput) string { return in.PathPrefix }),
			Audit: []string{"PathPrefix", "MaxItems"},
			Run:   listUsers,
		}),
	}
}

func createUser(_ context.Context, c *action.Call, in *iamapi.CreateUserInput) (*iamapi.CreateUserOutput, error) {
	if _, taken := account(c).Users.Named(in.UserName); taken {
		return nil, exists("User", in.UserName)
	}
	if err := within("UsersPerAccount", account(c).Users.Len(), maxUsersPerAccount); err != nil {
		return nil, err
	}
	if err := checkBoundary(c, in.PermissionsBoundary); err != nil {
		return nil, err
	}
	u := &identity.User{
		Account: c.Caller.Account, ID: identity.NewUserID(), Name: in.UserName, Path: pathOr(in.Path), Created: now(c),
		Tags: tagsOf(in.Tags), Boundary: in.PermissionsBoundary,
	}
	c.WishIdentity(identity.Create(u))
	return &iamapi.CreateUserOutput{User: shownUser(c, u)}, nil
}

func getUser(_ context.Context, c *action.Call, in *iamapi.GetUserInput) (*iamapi.GetUserOutput, error) {
	if in.UserName == "" && c.Caller.IsRoot() {
		return &iamapi.GetUserOutput{User: &iamapi.User{Path: "/", UserId: c.Caller.UniqueID, Arn: c.Caller.ARN}}, nil
	}
	u, err := userOrCaller(c, in.UserName)
	if err != nil {
		return nil, err
	}
	return &iamapi.GetUserOutput{User: shownUser(c, u)}, nil
}

// renamedUser is the ARN that UpdateUser would make: who renames needs the
// permission on both.
func renamedUser(c *action.Call, in *iamapi.UpdateUserInput) string {
	u, ok := account(c).Users.Named(in.UserName)
	if !ok {
		return resource(c, "user/"+in.UserName)
	}
	return c.Identities.ARN(renamed(u, in))
}

func renamed(u *identity.User, in *iamapi.UpdateUserInput) *identity.User {
	u = u.Clone()
	if in.NewUserName != "" {
		u.Name = in.NewUserName
	}
	if in.NewPath != "" {
		u.Path = in.NewPath
	}
	return u
}

func updateUser(_ context.Context, c *action.Call, in *iamapi.UpdateUserInput) (*action.None, error) {
	was, err := user(c, in.UserName)
	if err != nil {
		return nil, err
	}
	u := renamed(was, in)
	if other, taken := account(c).Users.Named(u.Name); taken && other.ID != u.ID {
		return nil, exists("User", in.NewUserName)
	}
	return done(c, identity.Put(u))
}

// deleteUser refuses as long as something belongs to the user, as IAM does.
func deleteUser(_ context.Context, c *action.Call, in *iamapi.DeleteUserInput) (*action.None, error) {
	u, err := user(c, in.UserName)
	switch {
	case err != nil:
		return nil, err
	case len(account(c).KeysOf(u.ID)) > 0:
		return nil, conflict("delete access keys")
	case len(u.Groups) > 0:
		return nil, conflict("remove users from group")
	}
	if err := withoutPolicies(&u.Permissions); err != nil {
		return nil, err
	}
	return done(c, identity.Delete(u))
}

// withoutPolicies refuses to delete who has policies.
func withoutPolicies(p *identity.Permissions) error {
	switch {
	case len(p.Attached) > 0:
		return conflict("detach all policies")
	case len(p.Inline) > 0:
		return conflict("delete policies")
	}
	return nil
}

func listUsers(_ context.Context, c *action.Call, in *iamapi.ListUsersInput) (*iamapi.ListUsersOutput, error) {
	all := under(account(c).Users.All(), in.PathPrefix, func(u *identity.User) string { return u.Path })
	items, next, err := page(c, request{"ListUsers\x00" + in.PathPrefix, in.Marker, in.MaxItems}, all, userKey)
	if err != nil {
		return nil, err
	}
	return &iamapi.ListUsersOutput{Users: listedUsers(c, items), IsTruncated: next != "", Marker: next}, nil
}

func userKey(u *identity.User) string { return strings.ToLower(u.Name) }

// listedUsers are users as lists show them: without tags and boundary.
func listedUsers(c *action.Call, users []*identity.User) []iamapi.User {
	var out []iamapi.User
	for _, u := range users {
		shown := shownUser(c, u)
		shown.Tags, shown.PermissionsBoundary = nil, nil
		out = append(out, *shown)
	}
	return out
}

func shownUser(c *action.Call, u *identity.User) *iamapi.User {
	return &iamapi.User{
		Path: u.Path, UserName: u.Name, UserId: u.ID, Arn: c.Identities.ARN(u), CreateDate: u.Created,
		PermissionsBoundary: shownBoundary(u.Boundary), Tags: shownTags(u.Tags),
	}
}
