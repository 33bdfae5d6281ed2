package action

import (
	"context"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/secret"
)

// dataKeys is the family that makes what is secret: data keys and random bytes.
func dataKeys() []*Entry {
	return []*Entry{
		entry(Action[api.GenerateDataKeyInput, api.GenerateDataKeyOutput]{
			Name: "GenerateDataKey",
			Uses: generates("kms:GenerateDataKey",
				func(in *api.GenerateDataKeyInput) string { return in.KeyId },
				func(in *api.GenerateDataKeyInput) map[string]string { return in.EncryptionContext }),
			Rules: func(in *api.GenerateDataKeyInput) error {
				return dataKeyRules(in.KeySpec, in.NumberOfBytes, in.EncryptionContext)
			},
			Fit:   func(h []Held, _ *api.GenerateDataKeyInput) error { return dataKeyFits(h[0].Record) },
			Audit: []string{"KeyId", "KeySpec", "NumberOfBytes", "EncryptionContext", "DryRun"},
			Run: func(ctx context.Context, c *Call, in *api.GenerateDataKeyInput) (*api.GenerateDataKeyOutput, error) {
				plain, blob, err := c.dataKey(ctx, in.KeySpec, in.NumberOfBytes, in.EncryptionContext)
				if err != nil {
					return nil, err
				}
				return &api.GenerateDataKeyOutput{
					CiphertextBlob: blob, Plaintext: plain, KeyId: c.Held[0].Record.ARN,
					KeyMaterialId: c.Held[0].materialID(),
				}, nil
			},
		}),
		entry(Action[api.GenerateDataKeyWithoutPlaintextInput, api.GenerateDataKeyWithoutPlaintextOutput]{
			Name: "GenerateDataKeyWithoutPlaintext",
			Uses: generates("kms:GenerateDataKeyWithoutPlaintext",
				func(in *api.GenerateDataKeyWithoutPlaintextInput) string { return in.KeyId },
				func(in *api.GenerateDataKeyWithoutPlaintextInput) map[string]string { return in.EncryptionContext }),
			Rules: func(in *api.GenerateDataKeyWithoutPlaintextInput) error {
				return dataKeyRules(in.KeySpec, in.NumberOfBytes, in.EncryptionContext)
			},
			Fit:   func(h []Held, _ *api.GenerateDataKeyWithoutPlaintextInput) error { return dataKeyFits(h[0].Record) },
			Audit: []string{"KeyId", "KeySpec", "NumberOfBytes", "EncryptionContext", "DryRun"},
			Run: func(ctx context.Context, c *Call, in *api.GenerateDataKeyWithoutPlaintextInput) (*api.GenerateDataKeyWithoutPlaintextOutput, error) {
				plain, blob, err := c.dataKey(ctx, in.KeySpec, in.NumberOfBytes, in.EncryptionContext)
				if err != nil {
					return nil, err
				}
				plain.Wipe()
				return &api.GenerateDataKeyWithoutPlaintextOutput{
					CiphertextBlob: blob, KeyId: c.Held[0].Record.ARN,
					KeyMaterialId: c.Held[0].materialID(),
				}, nil
			},
		}),
		entry(Action[api.GenerateRandomInput, api.GenerateRandomOutput]{
			Name:  "GenerateRandom",
			Uses:  []Use[api.GenerateRandomInput]{{Kind: OnAccount, Permit: "kms:GenerateRandom"}},
			Rules: randomRules,
			Audit: []string{"NumberOfBytes", "CustomKeyStoreId"},
			Run:   generateRandom,
		}),
	}
}

func generates[In any](permit string, ref func(*In) string, context func(*In) map[string]string) []Use[In] {
	return []Use[In]{{
		Kind: OnKey, Permit: permit, Abroad: true, Ref: ref, Context: context,
		Keys:  cryptographic(ref, noAlgorithm, context),
		Usage: api.KeyUsageEncryptDecrypt, State: key.Usable, Opens: OpensCurrent,
	}}
}

// dataKeyRules: exactly one of the two ways to say how long the key shall be.
func dataKeyRules(spec api.DataKeySpec, n int, context map[string]string) error {
	if (spec == "") == (n == 0) {
		return invalid("Please specify either number of bytes or key spec.")
	}
	return checkContext(context)
}

// dataKeyFits: data keys are sealed under symmetric keys alone.
func dataKeyFits(r *key.Record) error {
	if !r.IsSymmetric() {
		return fault.New(api.InvalidKeyUsageException, "You cannot generate a data key with an asymmetric CMK")
	}
	return nil
}

// dataKey draws a data key and seals it, just as Encrypt would: Decrypt cannot
// tell which of them made a blob.
func (c *Call) dataKey(ctx context.Context, spec api.DataKeySpec, n int, pairs map[string]string) (secret.Bytes, []byte, error) {
	switch spec {
	case api.DataKeySpecAES128:
		n = 16
	case api.DataKeySpecAES256:
		n = 32
	}
	plain := crypt.Random(n)
	blob, err := c.encrypt(ctx, &c.Held[0], "", plain, pairs)
	return plain, blob, err
}

func randomRules(in *api.GenerateRandomInput) error {
	if in.NumberOfBytes == 0 {
		return invalid("NumberOfBytes is required.")
	}
	return nil
}

// generateRandom draws from our own generator: there are no custom key stores but external ones, which
// make no random bytes.
func generateRandom(ctx context.Context, c *Call, in *api.GenerateRandomInput) (*api.GenerateRandomOutput, error) {
	if in.CustomKeyStoreId != "" {
		if _, _, err := c.keyStore(ctx, in.CustomKeyStoreId); err != nil {
			return nil, err
		}
		return nil, fault.New(api.UnsupportedOperationException, "An external key store makes no random bytes. Leave out CustomKeyStoreId.")
	}
	return &api.GenerateRandomOutput{Plaintext: crypt.Random(in.NumberOfBytes)}, nil
}
