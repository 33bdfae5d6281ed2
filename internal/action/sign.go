package action

import (
	"context"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/iam"
	"trent/internal/key"
)

// sign is the family of signatures, and of the public keys to verify them by.
func sign() []*Entry {
	return []*Entry{
		entry(Action[api.SignInput, api.SignOutput]{
			Name: "Sign",
			Uses: signs("kms:Sign",
				func(in *api.SignInput) string { return in.KeyId },
				func(in *api.SignInput) (api.SigningAlgorithm, api.MessageType) {
					return in.SigningAlgorithm, in.MessageType
				}),
			Fit: func(h []Held, in *api.SignInput) error {
				return signFits(h[0].Record, in.SigningAlgorithm, in.MessageType, in.Message.Len())
			},
			Audit: []string{"KeyId", "MessageType", "SigningAlgorithm", "DryRun"},
			Run: func(_ context.Context, c *Call, in *api.SignInput) (*api.SignOutput, error) {
				k, ok := c.Held[0].Key.(crypt.Signer)
				if !ok {
					return nil, errCannot(&c.Held[0], "sign")
				}
				signature, err := k.Sign(in.SigningAlgorithm, in.MessageType, in.Message.Expose())
				if err != nil {
					return nil, err
				}
				return &api.SignOutput{KeyId: c.Held[0].Record.ARN, Signature: signature, SigningAlgorithm: in.SigningAlgorithm}, nil
			},
		}),
		entry(Action[api.VerifyInput, api.VerifyOutput]{
			Name: "Verify",
			Uses: signs("kms:Verify",
				func(in *api.VerifyInput) string { return in.KeyId },
				func(in *api.VerifyInput) (api.SigningAlgorithm, api.MessageType) {
					return in.SigningAlgorithm, in.MessageType
				}),
			Fit: func(h []Held, in *api.VerifyInput) error {
				return signFits(h[0].Record, in.SigningAlgorithm, in.MessageType, in.Message.Len())
			},
			Audit: []string{"KeyId", "MessageType", "SigningAlgorithm", "DryRun"},
			Run: func(_ context.Context, c *Call, in *api.VerifyInput) (*api.VerifyOutput, error) {
				k, ok := c.Held[0].Key.(crypt.Signer)
				if !ok {
					return nil, errCannot(&c.Held[0], "verify")
				}
				if err := k.Verify(in.SigningAlgorithm, in.MessageType, in.Message.Expose(), in.Signature); err != nil {
					return nil, err
				}
				return &api.VerifyOutput{KeyId: c.Held[0].Record.ARN, SignatureValid: true, SigningAlgorithm: in.SigningAlgorithm}, nil
			},
		}),
		entry(Action[api.GetPublicKeyInput, api.GetPublicKeyOutput]{
			Name: "GetPublicKey",
			Uses: []Use[api.GetPublicKeyInput]{{
				Kind: OnKey, Permit: "kms:GetPublicKey", Abroad: true, Ref: func(in *api.GetPublicKeyInput) string { return in.KeyId },
				Keys:  requestAlias(func(in *api.GetPublicKeyInput) string { return in.KeyId }),
				State: key.Readable, Opens: OpensCurrent,
			}},
			Fit:   func(h []Held, _ *api.GetPublicKeyInput) error { return key.CheckAsymmetric(h[0].Record) },
			Audit: []string{"KeyId"},
			Run:   getPublicKey,
		}),
	}
}

// signs is the one use of Sign and Verify.
func signs[In any](permit string, ref func(*In) string, how func(*In) (api.SigningAlgorithm, api.MessageType)) []Use[In] {
	return []Use[In]{{
		Kind: OnKey, Permit: permit, Abroad: true, Ref: ref,
		Keys: requestAlias(ref).and(Keys[In]{
			"kms:signingalgorithm": func(in *In, _ []Held, _ string) iam.Value {
				alg, _ := how(in)
				return said(alg)
			},
			"kms:messagetype": func(in *In, _ []Held, _ string) iam.Value {
				_, form := how(in)
				return or(form, api.MessageTypeRaw)
			},
		}),
		Usage: api.KeyUsageSignVerify, State: key.Usable, Opens: OpensCurrent,
	}}
}

func signFits(r *key.Record, alg api.SigningAlgorithm, form api.MessageType, size int) error {
	if err := key.CheckSigning(r, alg); err != nil {
		return err
	}
	return key.CheckMessage(r, alg, form, size)
}

func getPublicKey(_ context.Context, c *Call, _ *api.GetPublicKeyInput) (*api.GetPublicKeyOutput, error) {
	rec := c.Held[0].Record
	k, ok := c.Held[0].Key.(crypt.Public)
	if !ok {
		return nil, errCannot(&c.Held[0], "show a public key")
	}
	public, err := k.PublicKey()
	if err != nil {
		return nil, err
	}
	return &api.GetPublicKeyOutput{
		KeyId: rec.ARN, PublicKey: public, CustomerMasterKeySpec: api.CustomerMasterKeySpec(rec.Spec), KeySpec: rec.Spec, KeyUsage: rec.Usage,
		EncryptionAlgorithms: rec.Encryption, SigningAlgorithms: rec.Signing, KeyAgreementAlgorithms: rec.Agreement, EncapsulationAlgorithms: rec.Encapsulation,
	}, nil
}
