package action

import (
	"context"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/key"
)

// policies is the family of key policies. A key has one, named "default".
func policies() []*Entry {
	return []*Entry{
		entry(Action[api.GetKeyPolicyInput, api.GetKeyPolicyOutput]{
			Name: "GetKeyPolicy",
			Uses: manage("kms:GetKeyPolicy", key.AnyState, func(in *api.GetKeyPolicyInput) string { return in.KeyId }),
			Fit: func(_ []Held, in *api.GetKeyPolicyInput) error {
				return checkPolicyName(in.PolicyName)
			},
			Audit: []string{"KeyId", "PolicyName"},
			Run: func(_ context.Context, c *Call, _ *api.GetKeyPolicyInput) (*api.GetKeyPolicyOutput, error) {
				text := iam.Unbind(c.Held[0].Record.Policy.Source, c.Identities.ARNOf)
				return &api.GetKeyPolicyOutput{Policy: text, PolicyName: key.PolicyName}, nil
			},
		}),
		entry(Action[api.PutKeyPolicyInput, None]{
			Name: "PutKeyPolicy",
			Uses: manageUnder("kms:PutKeyPolicy", key.AnyState, func(in *api.PutKeyPolicyInput) string { return in.KeyId }, Keys[api.PutKeyPolicyInput]{
				"kms:bypasspolicylockoutsafetycheck": func(in *api.PutKeyPolicyInput, _ []Held, _ string) iam.Value {
					return flag(in.Has("BypassPolicyLockoutSafetyCheck"), in.BypassPolicyLockoutSafetyCheck)
				},
			}),
			Fit: func(_ []Held, in *api.PutKeyPolicyInput) error {
				return checkPolicyName(in.PolicyName)
			},
			Mutates: true,
			Audit:   []string{"KeyId", "PolicyName", "Policy", "BypassPolicyLockoutSafetyCheck"},
			Run: func(ctx context.Context, c *Call, in *api.PutKeyPolicyInput) (*None, error) {
				rec := c.Held[0].Record
				policy, err := c.checkedPolicy(ctx, rec, in.Policy, in.BypassPolicyLockoutSafetyCheck)
				if err != nil {
					return nil, err
				}
				return c.change(rec, func(r *key.Record) { r.Policy = policy })
			},
		}),
		entry(Action[api.ListKeyPoliciesInput, api.ListKeyPoliciesOutput]{
			Name:  "ListKeyPolicies",
			Uses:  manage("kms:ListKeyPolicies", key.AnyState, func(in *api.ListKeyPoliciesInput) string { return in.KeyId }),
			Audit: []string{"KeyId", "Limit"},
			Run: func(_ context.Context, c *Call, in *api.ListKeyPoliciesInput) (*api.ListKeyPoliciesOutput, error) {
				if in.Marker != "" { // there is one name, so no marker was ever given out
					return nil, fault.New(api.InvalidMarkerException, "")
				}
				return &api.ListKeyPoliciesOutput{PolicyNames: []string{key.PolicyName}}, nil
			},
		}),
	}
}

func checkPolicyName(name string) error {
	if name != "" && name != key.PolicyName {
		return fault.New(api.NotFoundException, "No such policy exists")
	}
	return nil
}
