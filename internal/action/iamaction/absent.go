package iamaction

import (
	"context"

	"trent/internal/action"
	"trent/internal/api/iamapi"
	"trent/internal/fault"
)

// absent is the family of what nobody has here: passwords, MFA devices, SSH keys,
// certificates, instance profiles. Clients ask for them before they delete a user
// or a role, and are told that there is none.
func absent() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[iamapi.ListMFADevicesInput, iamapi.ListMFADevicesOutput]{
			Name:  "ListMFADevices",
			Uses:  onUser("iam:ListMFADevices", func(in *iamapi.ListMFADevicesInput) string { return in.UserName }),
			Audit: []string{"UserName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListMFADevicesInput) (*iamapi.ListMFADevicesOutput, error) {
				err := isUser(c, in.UserName)
				return new(iamapi.ListMFADevicesOutput), err
			},
		}),
		entry(action.Action[iamapi.ListSigningCertificatesInput, iamapi.ListSigningCertificatesOutput]{
			Name:  "ListSigningCertificates",
			Uses:  onUser("iam:ListSigningCertificates", func(in *iamapi.ListSigningCertificatesInput) string { return in.UserName }),
			Audit: []string{"UserName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListSigningCertificatesInput) (*iamapi.ListSigningCertificatesOutput, error) {
				err := isUser(c, in.UserName)
				return new(iamapi.ListSigningCertificatesOutput), err
			},
		}),
		entry(action.Action[iamapi.ListSSHPublicKeysInput, iamapi.ListSSHPublicKeysOutput]{
			Name:  "ListSSHPublicKeys",
			Uses:  onUser("iam:ListSSHPublicKeys", func(in *iamapi.ListSSHPublicKeysInput) string { return in.UserName }),
			Audit: []string{"UserName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListSSHPublicKeysInput) (*iamapi.ListSSHPublicKeysOutput, error) {
				err := isUser(c, in.UserName)
				return new(iamapi.ListSSHPublicKeysOutput), err
			},
		}),
		entry(action.Action[iamapi.ListServiceSpecificCredentialsInput, iamapi.ListServiceSpecificCredentialsOutput]{
			Name:  "ListServiceSpecificCredentials",
			Uses:  onUser("iam:ListServiceSpecificCredentials", func(in *iamapi.ListServiceSpecificCredentialsInput) string { return in.UserName }),
			Audit: []string{"UserName", "ServiceName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListServiceSpecificCredentialsInput) (*iamapi.ListServiceSpecificCredentialsOutput, error) {
				err := isUser(c, in.UserName)
				return new(iamapi.ListServiceSpecificCredentialsOutput), err
			},
		}),
		entry(action.Action[iamapi.ListInstanceProfilesForRoleInput, iamapi.ListInstanceProfilesForRoleOutput]{
			Name:  "ListInstanceProfilesForRole",
			Uses:  onRole("iam:ListInstanceProfilesForRole", func(in *iamapi.ListInstanceProfilesForRoleInput) string { return in.RoleName }),
			Audit: []string{"RoleName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.ListInstanceProfilesForRoleInput) (*iamapi.ListInstanceProfilesForRoleOutput, error) {
				_, err := role(c, in.RoleName)
				return new(iamapi.ListInstanceProfilesForRoleOutput), err
			},
		}),
		entry(action.Action[iamapi.ListVirtualMFADevicesInput, iamapi.ListVirtualMFADevicesOutput]{
			Name:  "ListVirtualMFADevices",
			Uses:  onAccount[iamapi.ListVirtualMFADevicesInput]("iam:ListVirtualMFADevices"),
			Audit: []string{"AssignmentStatus"},
			Run: func(context.Context, *action.Call, *iamapi.ListVirtualMFADevicesInput) (*iamapi.ListVirtualMFADevicesOutput, error) {
				return new(iamapi.ListVirtualMFADevicesOutput), nil
			},
		}),
		entry(action.Action[iamapi.GetLoginProfileInput, iamapi.GetLoginProfileOutput]{
			Name:  "GetLoginProfile",
			Uses:  onUser("iam:GetLoginProfile", func(in *iamapi.GetLoginProfileInput) string { return in.UserName }),
			Audit: []string{"UserName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.GetLoginProfileInput) (*iamapi.GetLoginProfileOutput, error) {
				return nil, noLoginProfile(c, in.UserName)
			},
		}),
		entry(action.Action[iamapi.DeleteLoginProfileInput, action.None]{
			Name:    "DeleteLoginProfile",
			Uses:    onUser("iam:DeleteLoginProfile", func(in *iamapi.DeleteLoginProfileInput) string { return in.UserName }),
			Mutates: true,
			Audit:   []string{"UserName"},
			Run: func(_ context.Context, c *action.Call, in *iamapi.DeleteLoginProfileInput) (*action.None, error) {
				return nil, noLoginProfile(c, in.UserName)
			},
		}),
	}
}

// isUser refuses what is no user's name. No name is the caller, who may be the
// root user.
func isUser(c *action.Call, name string) error {
	if name == "" && c.Caller.IsRoot() {
		return nil
	}
	_, err := userOrCaller(c, name)
	return err
}

func noLoginProfile(c *action.Call, name string) error {
	if err := isUser(c, name); err != nil {
		return err
	}
	return fault.Newf(iamapi.NoSuchEntity, "Login Profile for User %s cannot be found.", name)
}
