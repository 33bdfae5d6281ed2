package iamaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/fault"
	"trent/internal/identity"
)

// accessKeys is the family of access keys.
func accessKeys() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.CreateAccessKeyInput, iamapi.CreateAccessKeyOutput]{
			Name:    "CreateAccessKey",
			Uses:    onUser("iam:CreateAccessKey", func(in *iamapi.CreateAccessKeyInput) string { return in.UserName }),
			Mutates: true,
			Once:    true,
			Audit:   []string{"UserName"},
			Run:     createAccessKey,
		}),
		entry(action.Action[iamapi.UpdateAccessKeyInput, action.None]{
			Name:    "UpdateAccessKey",
			Uses:    onUser("iam:UpdateAccessKey", func(in *iamapi.UpdateAccessKeyInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName", "AccessKeyId", "Status"},
			Run:     updateAccessKey,
		}),
		entry(action.Action[iamapi.DeleteAccessKeyInput, action.None]{
			Name:    "DeleteAccessKey",
			Uses:    onUser("iam:DeleteAccessKey", func(in *iamapi.DeleteAccessKeyInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName", "AccessKeyId"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DeleteAccessKeyInput) (*action.None, error) {
				k, err := accessKey(c, in.UserName, in.AccessKeyId)
				if err != nil {
					return nil, err
				}
				return done(c, identity.Delete(k))
			},
		}),
		entry(action.Action[iamapi.ListAccessKeysInput, iamapi.ListAccessKeysOutput]{
			Name:  "ListAccessKeys",
			Uses:  onUser("iam:ListAccessKeys", func(in *iamapi.ListAccessKeysInput) string { return in.UserName }),
			Audit: []string{"UserName", "MaxItems"},
			Run:   listAccessKeys,
		}),
		entry(action.Action[iamapi.GetAccessKeyLastUsedInput, iamapi.GetAccessKeyLastUsedOutput]{
			Name:  "GetAccessKeyLastUsed",
			Uses:  on("iam:GetAccessKeyLastUsed", ownerOfKey),
			Audit: []string{"AccessKeyId"},
			Run:   getAccessKeyLastUsed,
		}),
	}
}

// keyOwner is whose access keys are meant: a user's, or those of the root user,
// who has neither name nor id here.
func keyOwner(c *action.Call, name string) (id, shown string, err error) {
	if name == "" && c.Caller.IsRoot() {
		return "", "", nil
	}
	u, err := userOrCaller(c, name)
	if err != nil {
		return "", "", err
	}
	return u.ID, u.Name, nil
}

// maxAccessKeys is how many access keys a user may have.
const maxAccessKeys = 2

func createAccessKey(_ context.Context, c *action.Call, in *iamapi.CreateAccessKeyInput) (*iamapi.CreateAccessKeyOutput, error) {
	id, name, err := keyOwner(c, in.UserName)
	if err != nil {
		return nil, err
	}
	if len(account(c).KeysOf(id)) >= maxAccessKeys {
		return nil, overQuota("AccessKeysPerUser", maxAccessKeys)
	}
	k := identity.NewAccessKey(c.Caller.Account, id, now(c))
	c.WishIdentity(identity.Create(k))
	return &iamapi.CreateAccessKeyOutput{AccessKey: &iamapi.AccessKey{
		UserName: name, AccessKeyId: k.ID, Status: status(k), SecretAccessKey: k.Secret, CreateDate: k.Created,
	}}, nil
}

// accessKey finds a key of a user; one of another user is none.
func accessKey(c *action.Call, name, keyID string) (*identity.AccessKey, error) {
	id, _, err := keyOwner(c, name)
	if err != nil {
		return nil, err
	}
	k, ok := account(c).Keys.ByID(keyID)
	if !ok || k.UserID != id {
		return nil, fault.Newf(iamapi.NoSuchEntity, "The Access Key with id %s cannot be found.", keyID)
	}
	return k, nil
}

func updateAccessKey(_ context.Context, c *action.Call, in *iamapi.UpdateAccessKeyInput) (*action.None, error) {
	was, err := accessKey(c, in.UserName, in.AccessKeyId)
	if err != nil {
		return nil, err
	}
	if in.Status == iamapi.StatusExpired {
		return nil, invalidInput("The status of an access key can be set to Active or Inactive.")
	}
	k := *was
	k.Inactive = in.Status == iamapi.StatusInactive
	return done(c, identity.Put(&k))
}

func listAccessKeys(_ context.Context, c *action.Call, in *iamapi.ListAccessKeysInput) (*iamapi.ListAccessKeysOutput, error) {
	id, name, err := keyOwner(c, in.UserName)
	if err != nil {
		return nil, err
	}
	items, next, err := page(c, request{"ListAccessKeys\x00" + id, in.Marker, in.MaxItems}, account(c).KeysOf(id), keyKey)
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListAccessKeysOutput{IsTruncated: next != "", Marker: next}
	for _, k := range items {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, iamapi.AccessKeyMetadata{
			UserName: name, AccessKeyId: k.ID, Status: status(k), CreateDate: k.Created,
		})
	}
	return out, nil
}

// ownerOfKey is the ARN of whom an access key of the account belongs to.
func ownerOfKey(c *action.Call, in *iamapi.GetAccessKeyLastUsedInput) string {
	k, ok := account(c).Keys.ByID(in.AccessKeyId)
	if !ok {
		return resource(c, "user/*")
	}
	if u, ok := account(c).Users.ByID(k.UserID); ok {
		return c.Identities.ARN(u)
	}
	return resource(c, "root")
}

func getAccessKeyLastUsed(_ context.Context, c *action.Call, in *iamapi.GetAccessKeyLastUsedInput) (*iamapi.GetAccessKeyLastUsedOutput, error) {
	k, ok := account(c).Keys.ByID(in.AccessKeyId)
	if !ok {
		return nil, fault.Newf(iamapi.NoSuchEntity, "The Access Key with id %s cannot be found.", in.AccessKeyId)
	}
	out := &iamapi.GetAccessKeyLastUsedOutput{AccessKeyLastUsed: &iamapi.AccessKeyLastUsed{ServiceName: "N/A", Region: "N/A"}}
	if u, ok := account(c).Users.ByID(k.UserID); ok {
		out.UserName = u.Name
	}
	if use := c.Identities.LastUse(k.ID); !use.At.IsZero() {
		out.AccessKeyLastUsed = &iamapi.AccessKeyLastUsed{LastUsedDate: use.At, ServiceName: use.Service, Region: use.Region}
	}
	return out, nil
}

// keyKey orders access keys as KeysOf does.
func keyKey(k *identity.AccessKey) string { return k.Created.Format(sortable) + k.ID }

const sortable = "20060102150405.000"

func status(k *identity.AccessKey) iamapi.Status {
	if k.Inactive {
		return iamapi.StatusInactive
	}
	return iamapi.StatusActive
}
