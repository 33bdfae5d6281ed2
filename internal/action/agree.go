package action

import (
	"context"
	"errors"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/key"
)

// agree is the family of secrets that two parties come to share.
func agree() []*Entry {
	return []*Entry{
		entry(Action[api.DeriveSharedSecretInput, api.DeriveSharedSecretOutput]{
			Name: "DeriveSharedSecret",
			Uses: []Use[api.DeriveSharedSecretInput]{{
				Kind: OnKey, Permit: "kms:DeriveSharedSecret", Abroad: true, Ref: func(in *api.DeriveSharedSecretInput) string { return in.KeyId },
				Keys: requestAlias(func(in *api.DeriveSharedSecretInput) string { return in.KeyId }).and(Keys[api.DeriveSharedSecretInput]{
					"kms:keyagreementalgorithm": func(in *api.DeriveSharedSecretInput, _ []Held, _ string) iam.Value {
						return said(in.KeyAgreementAlgorithm)
					},
				}),
				Usage: api.KeyUsageKeyAgreement, State: key.Usable, Opens: OpensCurrent,
			}},
			Fit: func(h []Held, in *api.DeriveSharedSecretInput) error {
				return key.CheckAgreement(h[0].Record, in.KeyAgreementAlgorithm)
			},
			Audit: []string{"KeyId", "KeyAgreementAlgorithm", "DryRun"},
			Run:   deriveSharedSecret,
		}),
		entry(Action[api.EncapsulateInput, api.EncapsulateOutput]{
			Name: "Encapsulate",
			Uses: encapsulates("kms:Encapsulate", func(in *api.EncapsulateInput) string { return in.KeyId }),
			Fit: func(h []Held, in *api.EncapsulateInput) error {
				return key.CheckEncapsulation(h[0].Record, in.EncapsulationAlgorithm)
			},
			Audit: []string{"KeyId", "EncapsulationAlgorithm", "DryRun"},
			Run: func(_ context.Context, c *Call, in *api.EncapsulateInput) (*api.EncapsulateOutput, error) {
				k, ok := c.Held[0].Key.(crypt.Encapsulator)
				if !ok {
					return nil, errCannot(&c.Held[0], "encapsulate")
				}
				shared, ciphertext, err := k.Encapsulate()
				if err != nil {
					return nil, err
				}
				return &api.EncapsulateOutput{
					KeyId: c.Held[0].Record.ARN, SharedSecret: shared, SharedSecretCiphertextBlob: ciphertext, EncapsulationAlgorithm: in.EncapsulationAlgorithm,
				}, nil
			},
		}),
		entry(Action[api.DecapsulateInput, api.DecapsulateOutput]{
			Name: "Decapsulate",
			Uses: encapsulates("kms:Decapsulate", func(in *api.DecapsulateInput) string { return in.KeyId }),
			Fit: func(h []Held, in *api.DecapsulateInput) error {
				return key.CheckEncapsulation(h[0].Record, in.EncapsulationAlgorithm)
			},
			Audit: []string{"KeyId", "EncapsulationAlgorithm", "DryRun"},
			Run: func(_ context.Context, c *Call, in *api.DecapsulateInput) (*api.DecapsulateOutput, error) {
				k, ok := c.Held[0].Key.(crypt.Encapsulator)
				if !ok {
					return nil, errCannot(&c.Held[0], "decapsulate")
				}
				shared, err := k.Decapsulate(in.SharedSecretCiphertextBlob)
				if err != nil {
					return nil, err
				}
				return &api.DecapsulateOutput{KeyId: c.Held[0].Record.ARN, SharedSecret: shared, EncapsulationAlgorithm: in.EncapsulationAlgorithm}, nil
			},
		}),
	}
}

func encapsulates[In any](permit string, ref func(*In) string) []Use[In] {
	return []Use[In]{{
		Kind: OnKey, Permit: permit, Abroad: true, Ref: ref, Keys: requestAlias(ref),
		Usage: api.KeyUsageEncapsulateDecapsulate, State: key.Usable, Opens: OpensCurrent,
	}}
}

func deriveSharedSecret(_ context.Context, c *Call, in *api.DeriveSharedSecretInput) (*api.DeriveSharedSecretOutput, error) {
	rec := c.Held[0].Record
	k, ok := c.Held[0].Key.(crypt.Agreer)
	if !ok {
		return nil, errCannot(&c.Held[0], "agree")
	}
	shared, err := k.Agree(in.PublicKey)
	if errors.Is(err, crypt.ErrPeer) {
		return nil, fault.New(api.ValidationException, "") // AWS KMS says no more
	} else if err != nil {
		return nil, err
	}
	return &api.DeriveSharedSecretOutput{KeyId: rec.ARN, SharedSecret: shared, KeyAgreementAlgorithm: in.KeyAgreementAlgorithm, KeyOrigin: rec.Origin}, nil
}
