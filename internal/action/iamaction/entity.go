package iamaction

import (
	"time"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/arn"
	"trent/internal/fault"
	"trent/internal/identity"
)

// on is the one use of actions that touch one thing.
func on[In any](permit string, entity func(*action.Call, *In) string) []action.Use[In] {
	return []action.Use[In]{{Kind: action.OnEntity, Permit: permit, Entity: entity}}
}

// onList is the use of actions that list the things of a kind under a path.
func onList[In any](permit, kind string, prefix func(*In) string) []action.Use[In] {
	return on(permit, func(c *action.Call, in *In) string {
		return resource(c, kind+pathOr(prefix(in)))
	})
}

// onAccount is the use of actions that touch nothing with a name of its own.
func onAccount[In any](permit string) []action.Use[In] {
	return []action.Use[In]{{Kind: action.OnAccount, Permit: permit}}
}

// onNew is the use of actions that make a thing of a kind.
func onNew[In any](permit, kind string, name func(*In) (path, name string)) []action.Use[In] {
	return on(permit, func(c *action.Call, in *In) string {
		path, name := name(in)
		return resource(c, kind+pathOr(path)+name)
	})
}

// withTags adds to the use of an action that makes a thing the permission to tag it,
// which is wanted where it is made with tags: who may not tag must not do it so.
func withTags[In any](uses []action.Use[In], permit string, tags func(*In) []iamapi.Tag) []action.Use[In] {
	tagging := uses[0]
	tagging.Permit = permit
	tagging.When = func(in *In) bool { return len(tags(in)) > 0 }
	return append(uses, tagging)
}

func onUser[In any](permit string, name func(*In) string) []action.Use[In] {
	return on(permit, func(c *action.Call, in *In) string {
		if name(in) == "" {
			return c.Caller.ARN
		}
		if u, ok := account(c).Users.Named(name(in)); ok {
			return c.Identities.ARN(u)
		}
		return resource(c, "user/"+name(in))
	})
}

func onGroup[In any](permit string, name func(*In) string) []action.Use[In] {
	return on(permit, func(c *action.Call, in *In) string {
		if g, ok := account(c).Groups.Named(name(in)); ok {
			return c.Identities.ARN(g)
		}
		return resource(c, "group/"+name(in))
	})
}

func onRole[In any](permit string, name func(*In) string) []action.Use[In] {
	return on(permit, func(c *action.Call, in *In) string {
		if r, ok := account(c).Roles.Named(name(in)); ok {
			return c.Identities.ARN(r)
		}
		return resource(c, "role/"+name(in))
	})
}

// onARN is the use of actions that name a thing by its ARN.
func onARN[In any](permit string, name func(*In) string) []action.Use[In] {
	return on(permit, func(_ *action.Call, in *In) string { return name(in) })
}

func resource(c *action.Call, of string) string {
	return arn.IAM(c.Identities.Partition(), c.Caller.Account, of)
}

// account is the caller's: nothing in another one can be reached.
func account(c *action.Call) *identity.Account { return c.Identities.Account(c.Caller.Account) }

func user(c *action.Call, name string) (*identity.User, error) {
	u, ok := account(c).Users.Named(name)
	if !ok {
		return nil, noSuch("user", name)
	}
	return u, nil
}

// userOrCaller is user, or the caller where no name was given.
func userOrCaller(c *action.Call, name string) (*identity.User, error) {
	if name != "" {
		return user(c, name)
	}
	if u, ok := account(c).Users.ByID(c.Caller.UniqueID); ok {
		return u, nil
	}
	return nil, fault.New(validationError, "Must specify userName when calling with non-User credentials")
}

func group(c *action.Call, name string) (*identity.Group, error) {
	g, ok := account(c).Groups.Named(name)
	if !ok {
		return nil, noSuch("group", name)
	}
	return g, nil
}

func role(c *action.Call, name string) (*identity.Role, error) {
	r, ok := account(c).Roles.Named(name)
	if !ok {
		return nil, noSuch("role", name)
	}
	return r, nil
}

// managedPolicy finds a policy that may be read and attached.
func managedPolicy(c *action.Call, name string) (*identity.ManagedPolicy, error) {
	p, ok := c.Identities.Policy(c.Caller.Account, name)
	if !ok {
		return nil, fault.Newf(iamapi.NoSuchEntity, "Policy %s was not found.", name)
	}
	return p, nil
}

// ownPolicy finds a policy that may be changed.
func ownPolicy(c *action.Call, name string) (*identity.ManagedPolicy, error) {
	p, err := managedPolicy(c, name)
	if err == nil && p.Account != c.Caller.Account {
		return nil, fault.Newf(iamapi.InvalidInput, "Policy %s is managed by the service and cannot be changed.", name)
	}
	return p, err
}

func provider(c *action.Call, name string) (*identity.Provider, error) {
	p, ok := c.Identities.Provider(c.Caller.Account, name)
	if !ok {
		return nil, fault.Newf(iamapi.NoSuchEntity, "OpenIDConnect Provider not found for arn %s", name)
	}
	return p, nil
}

// now is the time of the call as records keep it.
func now(c *action.Call) time.Time { return c.Now.UTC().Truncate(time.Millisecond) }

// pathOr is the path that was asked for, or the one at the top.
func pathOr(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// done wishes for a change and answers with nothing.
func done(c *action.Call, changes ...identity.Change) (*action.None, error) {
	c.WishIdentity(changes...)
	return nil, nil
}
