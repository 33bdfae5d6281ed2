package api_test

import (
	"errors"
	"strings"
	"testing"

	"trent/internal/api"
	"trent/internal/secret"
)

// Each answer that can be for a recipient has, once it is, neither a plaintext nor the
// id of a material, and the same when encrypting fails.
func TestEnclose(t *testing.T) {
	plain := func() secret.Bytes { return secret.New([]byte("canary")) }
	answers := map[string]func(secret.Bytes) api.Encloser{
		"Decrypt": func(p secret.Bytes) api.Encloser {
			return &api.DecryptOutput{KeyId: "k", Plaintext: p, KeyMaterialId: "m"}
		},
		"DeriveSharedSecret": func(p secret.Bytes) api.Encloser {
			return &api.DeriveSharedSecretOutput{KeyId: "k", SharedSecret: p}
		},
		"GenerateDataKey": func(p secret.Bytes) api.Encloser {
			return &api.GenerateDataKeyOutput{KeyId: "k", Plaintext: p, KeyMaterialId: "m"}
		},
		"GenerateDataKeyPair": func(p secret.Bytes) api.Encloser {
			return &api.GenerateDataKeyPairOutput{KeyId: "k", PrivateKeyPlaintext: p, KeyMaterialId: "m"}
		},
		"GenerateRandom": func(p secret.Bytes) api.Encloser { return &api.GenerateRandomOutput{Plaintext: p} },
	}
	for _, op := range api.Operations() {
		answer, ok := answers[op.Name]
		if ok != op.Recipient {
			t.Errorf("%s: its input takes a Recipient: %v", op.Name, op.Recipient)
		}
		if !ok {
			continue
		}
		for _, failed := range []error{nil, errors.New("failed")} {
			p := plain()
			out := answer(p)
			err := out.Enclose(func(got secret.Bytes) ([]byte, error) {
				if string(got.Expose()) != "canary" {
					t.Errorf("%s: encrypts %q", op.Name, got.Expose())
				}
				return []byte{1, 2, 3}, failed
			})
			if !errors.Is(err, failed) {
				t.Errorf("%s: %v", op.Name, err)
			}
			if string(p.Expose()) == "canary" {
				t.Errorf("%s: the secret is not wiped", op.Name)
			}
			text := string(out.(api.JSONOutput).AppendJSON(nil))
			for _, gone := range []string{"Plaintext", "SharedSecret", "KeyMaterialId"} {
				if strings.Contains(text, `"`+gone) {
					t.Errorf("%s: the answer has %s: %s", op.Name, gone, text)
				}
			}
			if !strings.Contains(text, `"CiphertextForRecipient":"AQID"`) {
				t.Errorf("%s: the answer lacks the ciphertext: %s", op.Name, text)
			}
		}
	}
}
