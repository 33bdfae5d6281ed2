package action

import (
	"context"
	"fmt"
	"slices"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/secret"
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
				return encryptFits(h[0].Record, in.EncryptionAlgorithm, in.EncryptionContext, in.Plaintext.Len())
			},
			Audit: []string{"KeyId", "EncryptionContext", "EncryptionAlgorithm", "DryRun"},
			Run: func(ctx context.Context, c *Call, in *api.EncryptInput) (*api.EncryptOutput, error) {
				blob, err := c.encrypt(ctx, &c.Held[0], in.EncryptionAlgorithm, in.Plaintext, in.EncryptionContext)
				if err != nil {
					return nil, err
				}
				return &api.EncryptOutput{CiphertextBlob: blob, KeyId: c.Held[0].Record.ARN, EncryptionAlgorithm: algorithmOr(in.EncryptionAlgorithm)}, nil
			},
		}),
		entry(Action[api.DecryptInput, api.DecryptOutput]{
			Name: "Decrypt",
			Uses: []Use[api.DecryptInput]{{
				Kind: OnKey, Permit: "kms:Decrypt", Abroad: true, Ref: func(in *api.DecryptInput) string { return in.KeyId },
				Blob:    func(in *api.DecryptInput) []byte { return naming(in.EncryptionAlgorithm, in.CiphertextBlob) },
				Context: func(in *api.DecryptInput) map[string]string { return in.EncryptionContext },
				Keys: cryptographic(
					func(in *api.DecryptInput) string { return in.KeyId },
					func(in *api.DecryptInput) api.EncryptionAlgorithm { return in.EncryptionAlgorithm },
					func(in *api.DecryptInput) map[string]string { return in.EncryptionContext }),
				Usage: api.KeyUsageEncryptDecrypt, State: key.Usable, Opens: OpensBlob,
			}},
			Rules: func(in *api.DecryptInput) error {
				return decryptRules(in.DryRun, in.DryRunModifiers, "KeyId", in.Has, in.EncryptionAlgorithm, in.EncryptionContext)
			},
			Fit: func(h []Held, in *api.DecryptInput) error {
				return decryptFits(h[0].Record, in.EncryptionAlgorithm, in.EncryptionContext)
			},
			Audit: []string{"KeyId", "EncryptionContext", "EncryptionAlgorithm", "DryRun", "DryRunModifiers"},
			Run: func(ctx context.Context, c *Call, in *api.DecryptInput) (*api.DecryptOutput, error) {
				if ignoresCiphertext(in.DryRun, in.DryRunModifiers) {
					return nil, nil // a dry run that asks for the permission alone
				}
				plain, err := c.decrypt(ctx, &c.Held[0], in.EncryptionAlgorithm, in.CiphertextBlob, in.EncryptionContext)
				if err != nil {
					return nil, err
				}
				return &api.DecryptOutput{
					KeyId: c.Held[0].Record.ARN, Plaintext: plain, EncryptionAlgorithm: algorithmOr(in.EncryptionAlgorithm),
					KeyMaterialId: c.Held[0].materialID(),
				}, nil
			},
		}),
		entry(Action[api.ReEncryptInput, api.ReEncryptOutput]{
			Name: "ReEncrypt",
			Uses: []Use[api.ReEncryptInput]{
				{
					Kind: OnKey, Permit: "kms:ReEncryptFrom", Abroad: true, Ref: func(in *api.ReEncryptInput) string { return in.SourceKeyId },
					Blob:    func(in *api.ReEncryptInput) []byte { return naming(in.SourceEncryptionAlgorithm, in.CiphertextBlob) },
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
				return decryptRules(in.DryRun, in.DryRunModifiers, "SourceKeyId", in.Has, in.SourceEncryptionAlgorithm, in.SourceEncryptionContext)
			},
			Fit: func(h []Held, in *api.ReEncryptInput) error {
				if err := decryptFits(h[0].Record, in.SourceEncryptionAlgorithm, in.SourceEncryptionContext); err != nil {
					return err
				}
				return encryptFits(h[1].Record, in.DestinationEncryptionAlgorithm, in.DestinationEncryptionContext, 0)
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

func reEncrypt(ctx context.Context, c *Call, in *api.ReEncryptInput) (*api.ReEncryptOutput, error) {
	if ignoresCiphertext(in.DryRun, in.DryRunModifiers) {
		return nil, nil // a dry run that asks for the permissions alone
	}
	from, to := &c.Held[0], &c.Held[1]
	plain, err := c.decrypt(ctx, from, in.SourceEncryptionAlgorithm, in.CiphertextBlob, in.SourceEncryptionContext)
	if err != nil {
		return nil, err
	}
	defer plain.Wipe()
	if err := key.CheckPlaintext(to.Record, in.DestinationEncryptionAlgorithm, plain.Len()); err != nil {
		return nil, err
	}
	blob, err := c.encrypt(ctx, to, in.DestinationEncryptionAlgorithm, plain, in.DestinationEncryptionContext)
	if err != nil {
		return nil, err
	}
	return &api.ReEncryptOutput{
		CiphertextBlob: blob, SourceKeyId: from.Record.ARN, KeyId: to.Record.ARN,
		SourceEncryptionAlgorithm:      algorithmOr(in.SourceEncryptionAlgorithm),
		DestinationEncryptionAlgorithm: algorithmOr(in.DestinationEncryptionAlgorithm),
		SourceKeyMaterialId:            from.materialID(),
		DestinationKeyMaterialId:       to.materialID(),
	}, nil
}

// encrypt and decrypt do what the algorithm says, which is one of the key's.

func (c *Call) encrypt(ctx context.Context, h *Held, alg api.EncryptionAlgorithm, plain secret.Bytes, pairs map[string]string) ([]byte, error) {
	switch k := h.Key.(type) {
	case *crypt.Symmetric:
		return k.Seal(plain, pairs)
	case crypt.Remote:
		return k.Seal(ctx, c.Asker, plain, pairs)
	case crypt.Cipher:
		return k.Encrypt(alg, plain)
	}
	return nil, errCannot(h, "encrypt")
}

func (c *Call) decrypt(ctx context.Context, h *Held, alg api.EncryptionAlgorithm, ciphertext []byte, pairs map[string]string) (secret.Bytes, error) {
	switch k := h.Key.(type) {
	case *crypt.Symmetric:
		return k.Open(h.Blob, pairs)
	case crypt.Remote:
		return k.Open(ctx, c.Asker, h.Blob, pairs)
	case crypt.Cipher:
		return k.Decrypt(alg, ciphertext)
	}
	return secret.Bytes{}, errCannot(h, "decrypt")
}

// errCannot says that a key was let through that does not do what its record says.
func errCannot(h *Held, what string) error {
	return fault.New(fault.Internal, "").Because(fmt.Errorf("%T, the key of a %s, cannot %s", h.Key, h.Record.Spec, what))
}

// materialID is how answers name the material that was used; only that of symmetric keys is
// named.
func (h *Held) materialID() string {
	if h.Key == nil || !h.Record.IsSymmetric() {
		return ""
	}
	return crypt.HexID(h.Key.MaterialID())
}

// algorithmOr is the algorithm that was used.
func algorithmOr(alg api.EncryptionAlgorithm) api.EncryptionAlgorithm {
	if alg == "" {
		return api.EncryptionAlgorithmSymmetricDefault
	}
	return alg
}

// naming is a ciphertext that names its key: those of symmetric keys alone do.
func naming(alg api.EncryptionAlgorithm, ciphertext []byte) []byte {
	if algorithmOr(alg) == api.EncryptionAlgorithmSymmetricDefault {
		return ciphertext
	}
	return nil
}

func encryptFits(r *key.Record, alg api.EncryptionAlgorithm, context map[string]string, size int) error {
	if err := key.CheckEncryption(r, alg); err != nil {
		return err
	}
	if !r.IsSymmetric() && len(context) > 0 {
		return invalid("EncryptionContext is not supported when encrypting with asymmetric CMKs.")
	}
	return key.CheckPlaintext(r, alg, size)
}

func decryptFits(r *key.Record, alg api.EncryptionAlgorithm, context map[string]string) error {
	if err := key.CheckEncryption(r, alg); err != nil {
		return err
	}
	if !r.IsSymmetric() && len(context) > 0 {
		return invalid("EncryptionContext is not supported when decrypting with asymmetric CMKs.")
	}
	return nil
}

// ignoresCiphertext says whether a dry run asks for the permission alone.
func ignoresCiphertext(dryRun bool, modifiers []api.DryRunModifier) bool {
	return dryRun && slices.Contains(modifiers, api.DryRunModifierIgnoreCiphertext)
}

// decryptRules: a ciphertext is required, except by a dry run that ignores it
// and then must name the key.
func decryptRules(dryRun bool, modifiers []api.DryRunModifier, keyID string, has func(string) bool, alg api.EncryptionAlgorithm, context map[string]string) error {
	if err := checkContext(context); err != nil {
		return err
	}
	switch {
	case ignoresCiphertext(dryRun, modifiers):
		if !has(keyID) {
			return invalid(keyID + " is required when IGNORE_CIPHERTEXT is set.")
		}
	case naming(alg, []byte{0}) == nil && !has(keyID):
		return invalid(keyID + " is required with " + string(alg) + ": such a ciphertext does not name its key.")
	case !has("CiphertextBlob"):
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
