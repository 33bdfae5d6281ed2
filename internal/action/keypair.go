package action

import (
	"context"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/secret"
)

// keyPairs is the family of pairs whose private half is sealed as a data key is.
func keyPairs() []*Entry {
	return []*Entry{
		entry(Action[api.GenerateDataKeyPairInput, api.GenerateDataKeyPairOutput]{
			Name: "GenerateDataKeyPair",
			Uses: generatesPair("kms:GenerateDataKeyPair",
				func(in *api.GenerateDataKeyPairInput) string { return in.KeyId },
				func(in *api.GenerateDataKeyPairInput) map[string]string { return in.EncryptionContext },
				func(in *api.GenerateDataKeyPairInput) api.DataKeyPairSpec { return in.KeyPairSpec }),
			Rules: func(in *api.GenerateDataKeyPairInput) error { return pairRules(in.KeyPairSpec, in.EncryptionContext) },
			Fit:   func(h []Held, _ *api.GenerateDataKeyPairInput) error { return keyPairFits(h[0].Record) },
			Audit: []string{"KeyId", "KeyPairSpec", "EncryptionContext", "DryRun"},
			Run: func(ctx context.Context, c *Call, in *api.GenerateDataKeyPairInput) (*api.GenerateDataKeyPairOutput, error) {
				p, err := c.keyPair(ctx, in.KeyPairSpec, in.EncryptionContext)
				if err != nil {
					return nil, err
				}
				return &api.GenerateDataKeyPairOutput{
					PrivateKeyCiphertextBlob: p.sealed, PrivateKeyPlaintext: p.private, PublicKey: p.public,
					KeyId: c.Held[0].Record.ARN, KeyPairSpec: in.KeyPairSpec, KeyMaterialId: c.Held[0].materialID(),
				}, nil
			},
		}),
		entry(Action[api.GenerateDataKeyPairWithoutPlaintextInput, api.GenerateDataKeyPairWithoutPlaintextOutput]{
			Name: "GenerateDataKeyPairWithoutPlaintext",
			Uses: generatesPair("kms:GenerateDataKeyPairWithoutPlaintext",
				func(in *api.GenerateDataKeyPairWithoutPlaintextInput) string { return in.KeyId },
				func(in *api.GenerateDataKeyPairWithoutPlaintextInput) map[string]string { return in.EncryptionContext },
				func(in *api.GenerateDataKeyPairWithoutPlaintextInput) api.DataKeyPairSpec { return in.KeyPairSpec }),
			Rules: func(in *api.GenerateDataKeyPairWithoutPlaintextInput) error {
				return pairRules(in.KeyPairSpec, in.EncryptionContext)
			},
			Fit:   func(h []Held, _ *api.GenerateDataKeyPairWithoutPlaintextInput) error { return keyPairFits(h[0].Record) },
			Audit: []string{"KeyId", "KeyPairSpec", "EncryptionContext", "DryRun"},
			Run: func(ctx context.Context, c *Call, in *api.GenerateDataKeyPairWithoutPlaintextInput) (*api.GenerateDataKeyPairWithoutPlaintextOutput, error) {
				p, err := c.keyPair(ctx, in.KeyPairSpec, in.EncryptionContext)
				if err != nil {
					return nil, err
				}
				p.private.Wipe()
				return &api.GenerateDataKeyPairWithoutPlaintextOutput{
					PrivateKeyCiphertextBlob: p.sealed, PublicKey: p.public,
					KeyId: c.Held[0].Record.ARN, KeyPairSpec: in.KeyPairSpec, KeyMaterialId: c.Held[0].materialID(),
				}, nil
			},
		}),
	}
}

func generatesPair[In any](permit string, ref func(*In) string, context func(*In) map[string]string, spec func(*In) api.DataKeyPairSpec) []Use[In] {
	uses := generates(permit, ref, context)
	uses[0].Keys = uses[0].Keys.and(Keys[In]{
		"kms:datakeypairspec": func(in *In, _ []Held, _ string) iam.Value { return said(spec(in)) },
	})
	return uses
}

func pairRules(spec api.DataKeyPairSpec, context map[string]string) error {
	if spec == api.DataKeyPairSpecSM2 && !crypt.HasSM2() {
		return errSM2("KeyPairSpec")
	}
	if err := crypt.CheckSpec(api.KeySpec(spec)); err != nil {
		return err
	}
	return checkContext(context)
}

// keyPairFits: a private key is sealed under a symmetric key that is in no custom key store.
func keyPairFits(r *key.Record) error {
	if r.External != nil {
		return unsupportedIn("GenerateDataKeyPair")
	}
	return dataKeyFits(r)
}

// A keyPair is a new pair: its private half as PKCS #8, and sealed; and its public half.
type keyPair struct {
	private secret.Bytes
	sealed  []byte
	public  []byte
}

func (c *Call) keyPair(ctx context.Context, spec api.DataKeyPairSpec, pairs map[string]string) (p keyPair, err error) {
	if err := c.checkSM2("KeyPairSpec", string(spec)); err != nil {
		return p, err
	}
	if p.private, p.public, err = c.NewKeys.GeneratePair(ctx, api.KeySpec(spec)); err != nil {
		return p, err
	}
	p.sealed, err = c.encrypt(ctx, &c.Held[0], "", p.private, pairs)
	return p, err
}
