package declare_test

import (
	"slices"
	"strings"
	"testing"

	"trent/internal/declare"
)

// seed has every kind of thing that seeds of local-kms have.
const seed = `
Keys:
  Symmetric:
    Aes:
      - Metadata:
          KeyId: BC436485-5092-42b8-92a3-0aa8b93536dc
          Description: "Your key: description"
        NextKeyRotation: "2019-09-12T15:19:21+00:00"
        BackingKeys:
          - 34743777217A25432A46294A404E635266556A586E3272357538782F413F4428
          - 614e645267556b58703273357638792f423f4528472b4b6250655368566d5971
      - Metadata:
          KeyId: 49c5492b-b1bc-42a8-9a5c-b2015e810c1c
        BackingKeys:
          - 5cdaead27fe7da2de47945d73cd6d79e36494e73802f3cd3869f1d2cb0b5d7a9
      - Metadata:
          KeyId: 5d05267f-bb87-4d0b-8594-295a4371d414
          Origin: EXTERNAL
    Hmac:
      - Metadata: {KeyId: 11111111-bb87-4d0b-8594-295a4371d414}
  Asymmetric:
    Rsa:
      - Metadata:
          KeyId: ff275b92-0def-4dfc-b0f6-87c96b26c6c7
          KeyUsage: SIGN_VERIFY
        PrivateKeyPem: |
          -----BEGIN PRIVATE KEY-----
          SECRETSECRET
          -----END PRIVATE KEY-----
    Ecc:
      - Metadata:
          KeyId: 800d5768-3fd7-4edd-a4b8-4c81c3e4c147
Aliases:
  - AliasName: alias/testing
    TargetKeyId: bc436485-5092-42b8-92a3-0aa8b93536dc
  - AliasName: alias/second
    TargetKeyId: bc436485-5092-42b8-92a3-0aa8b93536dc
  - AliasName: alias/third
    TargetKeyId: arn:aws:kms:eu-west-2:111122223333:key/bc436485-5092-42b8-92a3-0aa8b93536dc
  - AliasName: alias/signer
    TargetKeyId: 800d5768-3fd7-4edd-a4b8-4c81c3e4c147
`

func TestSeedOfLocalKMS(t *testing.T) {
	text, skipped, err := declare.FromLocalKMS([]byte(seed), first, "eu-west-2")
	if err != nil {
		t.Fatal(err)
	}
	wantSkipped := []string{
		"rotation of key bc436485-5092-42b8-92a3-0aa8b93536dc: the key is taken, and is not rotated by date",
		"key 5d05267f-bb87-4d0b-8594-295a4371d414: Origin EXTERNAL is not supported by this version of Trent",
		"key 11111111-bb87-4d0b-8594-295a4371d414: HMAC keys are not supported by this version of Trent",
		"key ff275b92-0def-4dfc-b0f6-87c96b26c6c7: RSA keys are not supported by this version of Trent",
		"key 800d5768-3fd7-4edd-a4b8-4c81c3e4c147: ECC keys are not supported by this version of Trent",
		"alias alias/signer: its key is not taken",
	}
	if !slices.Equal(skipped, wantSkipped) {
		t.Errorf("left out:\n%s", strings.Join(skipped, "\n"))
	}
	if strings.Contains(string(text), "SECRETSECRET") {
		t.Error("a private key is in the declaration")
	}
	w := newWorld(t, true)
	want := []string{
		"+ key 111122223333/eu-west-2/alias/testing: fixed id and material",
		"~ key 111122223333/eu-west-2/alias/testing: description",
		"+ key 111122223333/eu-west-2/49c5492b-b1bc-42a8-9a5c-b2015e810c1c: fixed id and material",
		"+ key 111122223333/eu-west-2/alias/testing: alias/testing",
		"+ key 111122223333/eu-west-2/alias/testing: alias/second",
		"+ key 111122223333/eu-west-2/alias/testing: alias/third",
	}
	if got := w.apply(string(text)); !slices.Equal(got, want) {
		t.Errorf("applied was\n%s", strings.Join(got, "\n"))
	}
	if again := w.apply(string(text)); len(again) > 0 {
		t.Errorf("again changes %q", again)
	}
	d, err := declare.Parse(text)
	if err != nil || string(d.Accounts[0].Keys[0].Materials[0].Expose()) != "4t7w!z%C*F)J@NcRfUjXn2r5u8x/A?D(" {
		t.Errorf("the first material is another one (%v)", err)
	}
}

func TestSeedsThatAreRefused(t *testing.T) {
	const key = "Keys: {Symmetric: {Aes: [{Metadata: {KeyId: bc436485-5092-42b8-92a3-0aa8b93536dc}, BackingKeys: [%]}]}}"
	for want, text := range map[string]string{
		"line 1: a backing key is 32 bytes as hexadecimal digits": strings.Replace(key, "%", "abcd", 1),
		"line 1: a key has no BackingKeys":                        strings.Replace(key, "[%]", "[]", 1),
		"line 1: KeyId is missing":                                "Keys: {Symmetric: {Aes: [{}]}}",
		"version 2 of the format":                                 "Version: 2\nKeys:\n- KeyId: x\n",
		"this is not YAML":                                        "Keys: [",
		"anchors and aliases":                                     "Keys: &a {x: *a}",
		"the seed file is to be a mapping":                        "[]",
	} {
		if _, _, err := declare.FromLocalKMS([]byte(text), first, "eu-west-2"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, _, err := declare.FromLocalKMS([]byte(seed), "1", "eu-west-2"); err == nil {
		t.Error("an account that is none is taken")
	}
}

// What is made of any seed is a declaration, or the seed is refused.
func FuzzFromLocalKMS(f *testing.F) {
	f.Add([]byte(seed))
	f.Add([]byte("Keys: {Symmetric: {Aes: [{Metadata: {KeyId: bc436485-5092-42b8-92a3-0aa8b93536dc}, BackingKeys: [5cdaead27fe7da2de47945d73cd6d79e36494e73802f3cd3869f1d2cb0b5d7a9]}]}}\nAliases: [{AliasName: 'a\\nb', TargetKeyId: bc436485-5092-42b8-92a3-0aa8b93536dc}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		made, _, err := declare.FromLocalKMS(text, first, "eu-west-2")
		if err != nil {
			return
		}
		if _, err := declare.Parse(made); err != nil && strings.Contains(err.Error(), "not YAML") {
			t.Fatalf("%v\n%s", err, made)
		}
	})
}
