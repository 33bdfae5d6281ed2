package iamaction

import (
	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/identity"
)

// A holder is one of the three kinds of things that policies belong to.
type holder struct {
	word      string // in texts
	quota     string // the name of the quota on attached policies
	maxInline int    // characters of all inline policies together, without white space

	// get finds the policies of the one with a name; alter wishes for a change of
	// them.
	get   func(c *action.Call, name string) (*identity.Permissions, error)
	alter func(c *action.Call, name string, f func(*identity.Permissions)) error
}

func userHolder() holder {
	return holder{
		word: "user", quota: "PoliciesPerUser", maxInline: 2048,
		get: func(c *action.Call, name string) (*identity.Permissions, error) {
			u, err := user(c, name)
			if err != nil {
				return nil, err
			}
			return &u.Permissions, nil
		},
		alter: func(c *action.Call, name string, f func(*identity.Permissions)) error {
			was, err := user(c, name)
			if err != nil {
				return err
			}
			u := was.Clone()
			f(&u.Permissions)
			c.WishIdentity(identity.Put(u))
			return nil
		},
	}
}

func groupHolder() holder {
	return holder{
		word: "group", quota: "PoliciesPerGroup", maxInline: 5120,
		get: func(c *action.Call, name string) (*identity.Permissions, error) {
			g, err := group(c, name)
			if err != nil {
				return nil, err
			}
			return &g.Permissions, nil
		},
		alter: func(c *action.Call, name string, f func(*identity.Permissions)) error {
			was, err := group(c, name)
			if err != nil {
				return err
			}
			g := was.Clone()
			f(&g.Permissions)
			c.WishIdentity(identity.Put(g))
			return nil
		},
	}
}

func roleHolder() holder {
	return holder{
		word: "role", quota: "PoliciesPerRole", maxInline: 10240,
		get: func(c *action.Call, name string) (*identity.Permissions, error) {
			r, err := role(c, name)
			if err != nil {
				return nil, err
			}
			return &r.Permissions, nil
		},
		alter: func(c *action.Call, name string, f func(*identity.Permissions)) error {
			_, err := changeRole(c, name, func(r *identity.Role) { f(&r.Permissions) })
			return err
		},
	}
}

// maxInlineBytes is the size of all inline policies together with their white space,
// which the quotas of IAM leave out and the store keeps.
const maxInlineBytes = 2 * iam.MaxPolicySize

// putInline adds an inline policy, or replaces the one of its name.
func (h holder) putInline(c *action.Call, name, policyName, document string) (*action.None, error) {
	if _, err := h.get(c, name); err != nil {
		return nil, err
	}
	policy, err := identity.ParsePolicy(document)
	if err != nil {
		return nil, badPolicy(err)
	}
	size, bytes := 0, 0
	err = h.alter(c, name, func(p *identity.Permissions) {
		p.Put(identity.InlinePolicy{Name: policyName, Policy: policy})
		size = p.InlineSize()
		for _, i := range p.Inline {
			bytes += len(i.Policy.Source)
		}
	})
	switch {
	case err != nil:
		return nil, err
	case bytes > maxInlineBytes:
		return nil, fault.Newf(iamapi.LimitExceeded, "Maximum policy size of %d bytes, white space included, exceeded for %s %s", maxInlineBytes, h.word, name)
	case size > h.maxInline:
		err = fault.Newf(iamapi.LimitExceeded, "Maximum policy size of %d bytes exceeded for %s %s", h.maxInline, h.word, name)
	}
	return nil, err
}

func (h holder) getInline(c *action.Call, name, policyName string) (identity.InlinePolicy, error) {
	p, err := h.get(c, name)
	if err != nil {
		return identity.InlinePolicy{}, err
	}
	policy, ok := p.Find(policyName)
	if !ok {
		return policy, noSuch(h.word+" policy", policyName)
	}
	return policy, nil
}

func (h holder) deleteInline(c *action.Call, name, policyName string) (*action.None, error) {
	if _, err := h.getInline(c, name, policyName); err != nil {
		return nil, err
	}
	return nil, h.alter(c, name, func(p *identity.Permissions) { p.Drop(policyName) })
}

// listInline is a page of the names of inline policies.
func (h holder) listInline(c *action.Call, name, marker string, maxItems int) (names []string, next string, err error) {
	p, err := h.get(c, name)
	if err != nil {
		return nil, "", err
	}
	for _, i := range p.Inline {
		names = append(names, i.Name)
	}
	return page(c, request{"inline\x00" + h.word + "\x00" + name, marker, maxItems}, names, itself)
}

// maxAttached is how many managed policies a user, a group or a role may have.
const maxAttached = 10

func (h holder) attach(c *action.Call, name, policyARN string) (*action.None, error) {
	p, err := h.get(c, name)
	if err != nil {
		return nil, err
	}
	if _, ok := c.Identities.Policy(c.Caller.Account, policyARN); !ok {
		return nil, fault.Newf(iamapi.NoSuchEntity, "Policy %s does not exist or is not attachable.", policyARN)
	}
	count := len(p.Attached)
	err = h.alter(c, name, func(p *identity.Permissions) {
		p.Attach(policyARN)
		count = len(p.Attached)
	})
	if err == nil && count > maxAttached {
		err = overQuota(h.quota, maxAttached)
	}
	return nil, err
}

func (h holder) detach(c *action.Call, name, policyARN string) (*action.None, error) {
	p, err := h.get(c, name)
	if err != nil {
		return nil, err
	}
	before := len(p.Attached)
	err = h.alter(c, name, func(p *identity.Permissions) {
		p.Detach(policyARN)
		before -= len(p.Attached)
	})
	if err == nil && before == 0 {
		err = fault.Newf(iamapi.NoSuchEntity, "Policy %s was not found.", policyARN)
	}
	return nil, err
}

// listAttached is a page of the managed policies that are attached.
func (h holder) listAttached(c *action.Call, name, prefix, marker string, maxItems int) (out []iamapi.AttachedPolicy, next string, err error) {
	p, err := h.get(c, name)
	if err != nil {
		return nil, "", err
	}
	var all []*identity.ManagedPolicy
	for _, arn := range p.Attached {
		if policy, ok := c.Identities.Policy(c.Caller.Account, arn); ok {
			all = append(all, policy)
		}
	}
	items, next, err := page(c, request{"attached\x00" + h.word + "\x00" + name + "\x00" + prefix, marker, maxItems}, sortedPolicies(under(all, prefix, policyPath)), policyKey)
	for _, policy := range items {
		out = append(out, iamapi.AttachedPolicy{PolicyName: policy.Name, PolicyArn: c.Identities.ARN(policy)})
	}
	return out, next, err
}
