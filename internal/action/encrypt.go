package action

import (
	"context"
	"slices"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/key"
)

// encrypt is the family that encrypts what the caller sends.
func encrypt() []*Entry {
	return []*Entry{
		entry(Action[api.EncryptInput, api.EncryptOutput]{
			Name: "Encrypt",
			Uses: []Use[api.EncryptInput]{{
				Kind: OnKey, Permit: "kms:Encrypt", Abroad: true, Ref: func(in *api.EncryptInput) string { return in.KeyId },
				Context: func(in *api.EncryptInput) map[string]string { return in.EncryptionContext },
				Keys: cryptographic(
					func(in *api.EncryptInput) string { return in.KeyId },
					func(in *api.EncryptInput) api.EncryptionAlgorithm { return in.EncryptionAlgorithm },
					func(in *api.EncryptInput) map[string]string { return in.EncryptionContext }),
				Usage: api.KeyUsageEncryptDecrypt, State: key.Usable, Opens: OpensCurrent,
			}},
			Rules: func(in *api.EncryptInput) error { return checkContext(in.EncryptionContext) },
			Fit: func(h []Held, in *api.EncryptInput) error {
				return key.CheckAlgorithm(h[0].Record, in.EncryptionAlgorithm)
			},
			Audit: []string{"KeyId", "EncryptionContext", "EncryptionAlgorithm", "DryRun"},
			Run: func(_ context.Context, c *Call, in *api.EncryptInput) (*api.EncryptOutput, error) {
				blob, err := c.Held[0].Key.Seal(in.Plaintext, in.EncryptionContext)
				if err != nil {
					return nil, err
				}
				return &api.EncryptOutput{CiphertextBlob: blob, KeyId: c.Held[0].Record.ARN, EncryptionAlgorithm: api.EncryptionAlgorithmSymmetricDefault}, nil
			},
		}),
		entry(Action[api.DecryptInput, api.DecryptOutput]{
			Name: "Decrypt",
			Uses: []Use[api.DecryptInput]{{
				Kind: OnKey, Permit: "kms:Decrypt", Abroad: true, Ref: func(in *api.DecryptInput) string { return in.KeyId },
				Blob:    func(in *api.DecryptInput) []byte { return in.CiphertextBlob },
				Context: func(in *api.DecryptInput) map[string]string { return in.EncryptionContext },
				Keys: cryptographic(
					func(in *api.DecryptInput) string { return in.KeyId },
					func(in *api.DecryptInput) api.EncryptionAlgorithm { return in.EncryptionAlgorithm },
					func(in *api.DecryptInput) map[string]string { return in.EncryptionContext }),
				Usage: api.KeyUsageEncryptDecrypt, State: key.Usable, Opens: OpensBlob,
			}},
			Rules: func(in *api.DecryptInput) error {
				return decryptRules(in.DryRun, in.DryRunModifiers, "CiphertextBlob", "KeyId", in.Has, in.EncryptionContext)
			},
			Fit: func(h []Held, in *api.DecryptInput) error {
				return key.CheckAlgorithm(h[0].Record, in.EncryptionAlgorithm)
			},
			Audit: []string{"KeyId", "EncryptionContext", "EncryptionAlgorithm", "DryRun", "DryRunModifiers"},
			Run: func(_ context.Context, c *Call, in *api.DecryptInput) (*api.DecryptOutput, error) {
				if c.Held[0].Key == nil {
					return nil, nil // a dry run that asks for the permission alone
				}
				plain, err := c.Held[0].Key.Open(c.Held[0].Blob, in.EncryptionContext)
				if err != nil {
					return nil, err
				}
				return &api.DecryptOutput{
					KeyId: c.Held[0].Record.ARN, Plaintext: plain, EncryptionAlgorithm: api.EncryptionAlgorithmSymmetricDefault,
					KeyMaterialId: crypt.HexID(c.Held[0].Key.MaterialID()),
				}, nil
			},
		}),
		entry(Action[api.ReEncryptInput, api.ReEncryptOutput]{
			Name: "ReEncrypt",
			Uses: []Use[api.ReEncryptInput]{
				{
					Kind: OnKey, Permit: "kms:ReEncryptFrom", Abroad: true, Ref: func(in *api.ReEncryptInput) string { return in.SourceKeyId },
					Blob:    func(in *api.ReEncryptInput) []byte { return in.CiphertextBlob },
					Context: func(in *api.ReEncryptInput) map[string]string { return in.SourceEncryptionContext },
					Keys: reEncryptKeys(
						func(in *api.ReEncryptInput) string { return in.SourceKeyId },
						func(in *api.ReEncryptInput) api.EncryptionAlgorithm { return in.SourceEncryptionAlgorithm },
						func(in *api.ReEncryptInput) map[string]string { return in.SourceEncryptionContext }),
					Usage: api.KeyUsageEncryptDecrypt, State: key.Usable, Opens: OpensBlob,
				},
				{
					Kind: OnKey, Permit: "kms:ReEncryptTo", Abroad: true, Ref: func(in *api.ReEncryptInput) string { return in.DestinationKeyId },
					Context: func(in *api.ReEncryptInput) map[string]string { return in.DestinationEncryptionContext },
					Keys: reEncryptKeys(
						func(in *api.ReEncryptInput) string { return in.DestinationKeyId },
						func(in *api.ReEncryptInput) api.EncryptionAlgorithm { return in.DestinationEncryptionAlgorithm },
						func(in *api.ReEncryptInput) map[string]string { return in.DestinationEncryptionContext }),
					Usage: api.KeyUsageEncryptDecrypt, State: key.Usable, Opens: OpensCurrent,
				},
			},
			Rules: func(in *api.ReEncryptInput) error {
				if err := checkContext(in.DestinationEncryptionContext); err != nil {
					return err
				}
				return decryptRules(in.DryRun, in.DryRunModifiers, "CiphertextBlob", "SourceKeyId", in.Has, in.SourceEncryptionContext)
			},
			Fit: func(h []Held, in *api.ReEncryptInput) error {
				if err := key.CheckAlgorithm(h[0].Record, in.SourceEncryptionAlgorithm); err != nil {
					return err
				}
				return key.CheckAlgorithm(h[1].Record, in.DestinationEncryptionAlgorithm)
			},
			Audit: []string{"SourceKeyId", "DestinationKeyId", "SourceEncryptionContext", "DestinationEncryptionContext",
				"SourceEncryptionAlgorithm", "DestinationEncryptionAlgorithm", "DryRun", "DryRunModifiers"},
			Run: reEncrypt,
		}),
	}
}

// reEncryptKeys are the condition keys of one side of ReEncrypt. Both sides know
// whether the other has the same key. A destination that is not there is another one, as
// is a foreign one that is: a policy on the source must not tell them apart.
func reEncryptKeys(ref func(*api.ReEncryptInput) string, alg func(*api.ReEncryptInput) api.EncryptionAlgorithm, context func(*api.ReEncryptInput) map[string]string) Keys[api.ReEncryptInput] {
	return cryptographic(ref, alg, context).and(Keys[api.ReEncryptInput]{
		"kms:reencryptonsamekey": func(_ *api.ReEncryptInput, h []Held, _ string) iam.Value {
			if len(h) < 2 || h[0].Record == nil {
				return iam.Value{}
			}
			return iam.Flag(h[1].Record != nil && h[0].Record.ARN == h[1].Record.ARN)
		},
	})
}

func reEncrypt(_ context.Context, c *Call, in *api.ReEncryptInput) (*api.ReEncryptOutput, error) {
	from, to := c.Held[0], c.Held[1]
	if from.Key == nil {
		return nil, nil // a dry run that asks for the permissions alone
	}
	plain, err := from.Key.Open(from.Blob, in.SourceEncryptionContext)
	if err != nil {
		return nil, err
	}
	defer plain.Wipe()
	blob, err := to.Key.Seal(plain, in.DestinationEncryptionContext)
	if err != nil {
		return nil, err
	}
	return &api.ReEncryptOutput{
		CiphertextBlob: blob, SourceKeyId: from.Record.ARN, KeyId: to.Record.ARN,
		SourceEncryptionAlgorithm:      api.EncryptionAlgorithmSymmetricDefault,
		DestinationEncryptionAlgorithm: api.EncryptionAlgorithmSymmetricDefault,
		SourceKeyMaterialId:            crypt.HexID(from.Key.MaterialID()),
		DestinationKeyMaterialId:       crypt.HexID(to.Key.MaterialID()),
	}, nil
}

// ignoresCiphertext says whether a dry run asks for the permission alone.
func ignoresCiphertext(dryRun bool, modifiers []api.DryRunModifier) bool {
	return dryRun && slices.Contains(modifiers, api.DryRunModifierIgnoreCiphertext)
}

// decryptRules: a ciphertext is required, except by a dry run that ignores it
// and then must name the key.
func decryptRules(dryRun bool, modifiers []api.DryRunModifier, blob, keyID string, has func(string) bool, context map[string]string) error {
	if err := checkContext(context); err != nil {
		return err
	}
	switch {
	case ignoresCiphertext(dryRun, modifiers):
		if !has(keyID) {
			return invalid(keyID + " is required when IGNORE_CIPHERTEXT is set.")
		}
	case !has(blob):
		return invalid("1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null")
	}
	return nil
}

// MaxContext bounds an encryption context: the bytes of all its keys and
// values together. The model has no bound (docs/divergences.md).
const MaxContext = 8192

func checkContext(context map[string]string) error {
	n := 0
	for k, v := range context {
		n += len(k) + len(v)
	}
	if n > MaxContext {
		return fault.Newf(api.ValidationException, "The encryption context is larger than %d bytes.", MaxContext)
	}
	return nil
}
