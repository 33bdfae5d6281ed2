package action

import (
	"context"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/iam"
	"trent/internal/key"
)

// macs is the family of message authentication codes.
func macs() []*Entry {
	return []*Entry{
		entry(Action[api.GenerateMacInput, api.GenerateMacOutput]{
			Name: "GenerateMac",
			Uses: authenticates("kms:GenerateMac",
				func(in *api.GenerateMacInput) string { return in.KeyId },
				func(in *api.GenerateMacInput) api.MacAlgorithm { return in.MacAlgorithm }),
			Fit:   func(h []Held, in *api.GenerateMacInput) error { return key.CheckMac(h[0].Record, in.MacAlgorithm) },
			Audit: []string{"KeyId", "MacAlgorithm", "DryRun"},
			Run: func(_ context.Context, c *Call, in *api.GenerateMacInput) (*api.GenerateMacOutput, error) {
				k, ok := c.Held[0].Key.(crypt.Authenticator)
				if !ok {
					return nil, errCannot(&c.Held[0], "authenticate")
				}
				mac, err := k.Mac(in.MacAlgorithm, in.Message.Expose())
				if err != nil {
					return nil, err
				}
				return &api.GenerateMacOutput{Mac: mac, MacAlgorithm: in.MacAlgorithm, KeyId: c.Held[0].Record.ARN}, nil
			},
		}),
		entry(Action[api.VerifyMacInput, api.VerifyMacOutput]{
			Name: "VerifyMac",
			Uses: authenticates("kms:VerifyMac",
				func(in *api.VerifyMacInput) string { return in.KeyId },
				func(in *api.VerifyMacInput) api.MacAlgorithm { return in.MacAlgorithm }),
			Fit:   func(h []Held, in *api.VerifyMacInput) error { return key.CheckMac(h[0].Record, in.MacAlgorithm) },
			Audit: []string{"KeyId", "MacAlgorithm", "DryRun"},
			Run: func(_ context.Context, c *Call, in *api.VerifyMacInput) (*api.VerifyMacOutput, error) {
				k, ok := c.Held[0].Key.(crypt.Authenticator)
				if !ok {
					return nil, errCannot(&c.Held[0], "authenticate")
				}
				if err := k.VerifyMac(in.MacAlgorithm, in.Message.Expose(), in.Mac); err != nil {
					return nil, err
				}
				return &api.VerifyMacOutput{KeyId: c.Held[0].Record.ARN, MacValid: true, MacAlgorithm: in.MacAlgorithm}, nil
			},
		}),
	}
}

// authenticates is the one use of both.
func authenticates[In any](permit string, ref func(*In) string, alg func(*In) api.MacAlgorithm) []Use[In] {
	return []Use[In]{{
		Kind: OnKey, Permit: permit, Abroad: true, Ref: ref,
		Keys: requestAlias(ref).and(Keys[In]{
			"kms:macalgorithm": func(in *In, _ []Held, _ string) iam.Value { return said(alg(in)) },
		}),
		Usage: api.KeyUsageGenerateVerifyMac, State: key.Usable, Opens: OpensCurrent,
	}}
}
