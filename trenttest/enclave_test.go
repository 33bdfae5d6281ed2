package trenttest_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/edgebitio/nitro-enclaves-sdk-go/crypto/cms"

	"trent/trenttest"
)

// An enclave as one in Go is written: the AWS SDK asks, and edgebit's reader opens.
type enclave struct {
	key  *rsa.PrivateKey
	spki []byte
}

func newEnclave(t *testing.T, bits int) *enclave {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &enclave{key, spki}
}

func (e *enclave) recipient(t *testing.T, s *trenttest.Server, pcrs map[int][]byte) *types.RecipientInfo {
	return &types.RecipientInfo{
		AttestationDocument:    s.AttestationDocument(t, e.spki, pcrs),
		KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256,
	}
}

func (e *enclave) open(t *testing.T, blob []byte) []byte {
	t.Helper()
	plain, err := cms.DecryptEnvelopedKey(e.key, blob)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func measured(pattern byte) []byte { return bytes.Repeat([]byte{pattern}, 48) }

// Lengths around which padding, pieces of 1,000 bytes and lengths of lengths change.
var (
	lengths = []int{1, 15, 16, 17, 31, 32, 111, 112, 127, 128, 239, 240, 255, 256, 991, 992, 999, 1000, 1001, 1007, 1008, 1024}
	longer  = []int{1103, 1104, 1231, 1232, 1983, 1984, 2000, 2015, 2016, 2375, 3000, 3008, 3967, 3968, 4000, 4095, 4096}
)

func TestEnclaveInGo(t *testing.T) {
	s := trenttest.Start(t, trenttest.WithEnclaves())
	c := s.Client(t)
	key := must(c.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata.KeyId
	for _, bits := range []int{2048, 3072, 4096} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			e := newEnclave(t, bits)
			to := e.recipient(t, s, map[int][]byte{0: measured(1)})
			for _, n := range lengths {
				k := must(c.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: key, NumberOfBytes: aws.Int32(int32(n)), Recipient: to}))(t)
				if k.Plaintext != nil || k.KeyMaterialId != nil {
					t.Errorf("a data key of %d bytes comes as it is", n)
				}
				opened := e.open(t, k.CiphertextForRecipient)
				if d := must(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: k.CiphertextBlob}))(t); !bytes.Equal(opened, d.Plaintext) || len(opened) != n {
					t.Errorf("a data key of %d bytes: the enclave has %x, Decrypt says %x", n, opened, d.Plaintext)
				}
				r := must(c.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(int32(n)), Recipient: to}))(t)
				if got := e.open(t, r.CiphertextForRecipient); r.Plaintext != nil || len(got) != n {
					t.Errorf("%d random bytes: %d in the open, %d for the enclave", n, len(r.Plaintext), len(got))
				}
			}
			for _, n := range slices.Concat(lengths, longer) {
				plain := make([]byte, n)
				rand.Read(plain)
				blob := must(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: plain}))(t).CiphertextBlob
				d := must(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, Recipient: to}))(t)
				if got := e.open(t, d.CiphertextForRecipient); d.Plaintext != nil || d.KeyMaterialId != nil || !bytes.Equal(got, plain) {
					t.Errorf("Decrypt of %d bytes: %d in the open, %x for the enclave", n, len(d.Plaintext), got)
				}
			}
		})
	}
}

// The actions whose secret is not called Plaintext.
func TestEnclaveKeyPairs(t *testing.T) {
	s := trenttest.Start(t, trenttest.WithEnclaves())
	c, e := s.Client(t), newEnclave(t, 2048)
	to := e.recipient(t, s, map[int][]byte{0: measured(1)})
	key := must(c.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata.KeyId
	for _, spec := range []types.DataKeyPairSpec{types.DataKeyPairSpecRsa4096, types.DataKeyPairSpecEccNistP256} {
		k := must(c.GenerateDataKeyPair(t.Context(), &kms.GenerateDataKeyPairInput{KeyId: key, KeyPairSpec: spec, Recipient: to}))(t)
		d := must(c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: k.PrivateKeyCiphertextBlob}))(t)
		if got := e.open(t, k.CiphertextForRecipient); k.PrivateKeyPlaintext != nil || k.KeyMaterialId != nil || !bytes.Equal(got, d.Plaintext) {
			t.Errorf("%s: %d bytes in the open, the enclave has %d", spec, len(k.PrivateKeyPlaintext), len(got))
		}
	}

	agree := must(c.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeKeyAgreement}))(t).KeyMetadata.KeyId
	peer := must(c.GenerateDataKeyPairWithoutPlaintext(t.Context(), &kms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: key, KeyPairSpec: types.DataKeyPairSpecEccNistP256}))(t)
	in := kms.DeriveSharedSecretInput{KeyId: agree, KeyAgreementAlgorithm: types.KeyAgreementAlgorithmSpecEcdh, PublicKey: peer.PublicKey}
	open := must(c.DeriveSharedSecret(t.Context(), &in))(t)
	in.Recipient = to
	closed := must(c.DeriveSharedSecret(t.Context(), &in))(t)
	if got := e.open(t, closed.CiphertextForRecipient); closed.SharedSecret != nil || !bytes.Equal(got, open.SharedSecret) {
		t.Errorf("a shared secret of %d bytes in the open, the enclave has %d", len(closed.SharedSecret), len(got))
	}
}

// A policy that wants an image, and one that wants no other.
func TestEnclaveConditions(t *testing.T) {
	s := trenttest.Start(t, trenttest.WithEnclaves())
	c, e := s.Client(t), newEnclave(t, 2048)
	const (
		root  = `"Principal":{"AWS":"arn:aws:iam::` + trenttest.Account + `:root"},"Resource":"*",`
		image = `"kms:RecipientAttestation:ImageSha384":"`
	)
	right := hex.EncodeToString(measured(1))
	for name, statements := range map[string]string{
		"allow": `{"Effect":"Allow",` + root + `"Action":["kms:Encrypt","kms:PutKeyPolicy"]},` +
			`{"Effect":"Allow",` + root + `"Action":"kms:Decrypt","Condition":{"StringEquals":{` + image + right + `"}}}`,
		"deny": `{"Effect":"Allow",` + root + `"Action":"kms:*"},` +
			`{"Effect":"Deny",` + root + `"Action":"kms:Decrypt","Condition":{"StringNotEqualsIgnoreCase":{` + image + strings.ToUpper(right) + `"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			policy := `{"Version":"2012-10-17","Statement":[` + statements + `]}`
			key := must(c.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: &policy}))(t).KeyMetadata.KeyId
			blob := must(c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key, Plaintext: []byte("attested")}))(t).CiphertextBlob
			decrypt := func(to *types.RecipientInfo) ([]byte, error) {
				d, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, Recipient: to})
				if err != nil {
					return nil, err
				}
				return d.CiphertextForRecipient, nil
			}
			for _, to := range []*types.RecipientInfo{nil, e.recipient(t, s, map[int][]byte{0: measured(2)}), e.recipient(t, s, map[int][]byte{0: measured(2), 1: measured(1)})} {
				_, err := decrypt(to)
				wantCode(t, err, "AccessDeniedException")
			}
			if got := e.open(t, must(decrypt(e.recipient(t, s, map[int][]byte{0: measured(1), 3: measured(2)})))(t)); string(got) != "attested" {
				t.Errorf("the right image has %q", got)
			}
		})
	}
}

// A document of another root, and one of this root that was altered.
func TestEnclaveOfNobody(t *testing.T) {
	s, other := trenttest.Start(t, trenttest.WithEnclaves()), trenttest.Start(t, trenttest.WithEnclaves())
	c, e := s.Client(t), newEnclave(t, 2048)
	foreign := e.recipient(t, other, map[int][]byte{0: measured(1)})
	altered := e.recipient(t, s, map[int][]byte{0: measured(1)})
	altered.AttestationDocument[len(altered.AttestationDocument)-1] ^= 1
	for _, to := range []*types.RecipientInfo{foreign, altered} {
		_, err := c.GenerateRandom(t.Context(), &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(32), Recipient: to})
		wantCode(t, err, "ValidationException")
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != code {
		t.Errorf("got %v, want %s", err, code)
	}
}
