package trenttest_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"trent/internal/crypt"
	"trent/trenttest"
)

const noSM2 = "UnsupportedOperationException KeySpec SM2 is not supported in this Region"

// newSM2 makes a key of SM2 and gives its id and its public half, PEM, in a file.
func newSM2(t *testing.T, c *kms.Client, usage types.KeyUsageType) (id *string, public string) {
	t.Helper()
	made, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecSm2, KeyUsage: usage})
	if err != nil {
		t.Fatal(err)
	}
	id = made.KeyMetadata.KeyId
	half, err := c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: id})
	if err != nil {
		t.Fatal(err)
	}
	return id, inFile(t, half.PublicKey)
}

func inFile(t *testing.T, content []byte) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func openssl(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("openssl", args...).Output()
	if err != nil {
		e, _ := errors.AsType[*exec.ExitError](err)
		t.Fatalf("openssl %v: %v %s", args, err, e.Stderr)
	}
	return out
}

// SM2 is where AWS has it, in binaries that have it, and OpenSSL agrees with it.
func TestSM2(t *testing.T) {
	_, err := trenttest.Start(t).Client(t).CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecSm2, KeyUsage: types.KeyUsageTypeSignVerify})
	if got := refusal(err); got != noSM2 {
		t.Errorf("outside of China: %s", got)
	}
	c := trenttest.Start(t, trenttest.InChina()).Client(t)
	if !crypt.HasSM2() {
		_, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecSm2, KeyUsage: types.KeyUsageTypeSignVerify})
		if got := refusal(err); got != noSM2 {
			t.Errorf("without SM2 in the binary: %s", got)
		}
		return
	}
	for name, test := range map[string]func(*testing.T, *kms.Client){"signs": sm2Signs, "encrypts": sm2Encrypts, "agrees": sm2Agrees, "pairs": sm2Pairs, "wraps": sm2Wraps} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
}

func sm2Signs(t *testing.T, c *kms.Client) {
	id, public := newSM2(t, c, types.KeyUsageTypeSignVerify)
	message := []byte("message")
	out, err := c.Sign(t.Context(), &kms.SignInput{KeyId: id, Message: message, SigningAlgorithm: types.SigningAlgorithmSpecSm2dsa})
	if err != nil {
		t.Fatal(err)
	}
	verdict := openssl(t, "pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678", "-pubin", "-keyform", "DER", "-inkey", public,
		"-in", inFile(t, message), "-sigfile", inFile(t, out.Signature))
	if !strings.Contains(string(verdict), "Verified Successfully") {
		t.Errorf("openssl: %s", verdict)
	}
	verify := &kms.VerifyInput{KeyId: id, Message: message, Signature: out.Signature, SigningAlgorithm: types.SigningAlgorithmSpecSm2dsa}
	if v, err := c.Verify(t.Context(), verify); err != nil || !v.SignatureValid {
		t.Errorf("%v %v", v, err)
	}
	verify.Message = []byte("another")
	if _, err := c.Verify(t.Context(), verify); !strings.HasPrefix(refusal(err), "KMSInvalidSignatureException") {
		t.Errorf("another message: %v", err)
	}
}

func sm2Encrypts(t *testing.T, c *kms.Client) {
	id, public := newSM2(t, c, types.KeyUsageTypeEncryptDecrypt)
	plain := bytes.Repeat([]byte("x"), 1024)
	theirs := openssl(t, "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", public, "-in", inFile(t, plain))
	ours, err := c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: id, Plaintext: plain, EncryptionAlgorithm: types.EncryptionAlgorithmSpecSm2pke})
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range [][]byte{theirs, ours.CiphertextBlob} {
		out, err := c.Decrypt(t.Context(), &kms.DecryptInput{KeyId: id, CiphertextBlob: blob, EncryptionAlgorithm: types.EncryptionAlgorithmSpecSm2pke})
		if err != nil || !bytes.Equal(out.Plaintext, plain) {
			t.Errorf("%v %v", out, err)
		}
	}
	ours.CiphertextBlob[len(ours.CiphertextBlob)-1] ^= 1
	_, err = c.Decrypt(t.Context(), &kms.DecryptInput{KeyId: id, CiphertextBlob: ours.CiphertextBlob, EncryptionAlgorithm: types.EncryptionAlgorithmSpecSm2pke})
	if got := refusal(err); got != "InvalidCiphertextException" {
		t.Errorf("altered: %s", got)
	}
	_, err = c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: id, Plaintext: append(plain, 'x'), EncryptionAlgorithm: types.EncryptionAlgorithmSpecSm2pke})
	if got := refusal(err); got != "ValidationException Algorithm SM2PKE and key spec SM2 cannot encrypt data larger than 1024 bytes." {
		t.Errorf("too long: %s", got)
	}
}

func sm2Agrees(t *testing.T, c *kms.Client) {
	id, public := newSM2(t, c, types.KeyUsageTypeKeyAgreement)
	peer := filepath.Join(t.TempDir(), "peer")
	openssl(t, "genpkey", "-algorithm", "SM2", "-out", peer)
	ours, err := c.DeriveSharedSecret(t.Context(), &kms.DeriveSharedSecretInput{KeyId: id, KeyAgreementAlgorithm: types.KeyAgreementAlgorithmSpecEcdh,
		PublicKey: openssl(t, "pkey", "-in", peer, "-pubout", "-outform", "DER")})
	if err != nil {
		t.Fatal(err)
	}
	other, _ := newSM2(t, c, types.KeyUsageTypeKeyAgreement)
	half := func(id *string) []byte {
		out, err := c.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: id})
		if err != nil {
			t.Fatal(err)
		}
		return out.PublicKey
	}
	derive := func(id *string, peer []byte) []byte {
		out, err := c.DeriveSharedSecret(t.Context(), &kms.DeriveSharedSecretInput{KeyId: id, KeyAgreementAlgorithm: types.KeyAgreementAlgorithmSpecEcdh, PublicKey: peer})
		if err != nil {
			t.Fatal(err)
		}
		return out.SharedSecret
	}
	if !bytes.Equal(derive(id, half(other)), derive(other, half(id))) || len(ours.SharedSecret) != 32 {
		t.Error("two keys do not agree")
	}
	p256 := openssl(t, "pkey", "-pubin", "-inform", "DER", "-in", public, "-outform", "DER", "-pubout")
	if !bytes.Equal(p256, half(id)) {
		t.Error("openssl writes the public key in another way")
	}
}

func sm2Pairs(t *testing.T, c *kms.Client) {
	sealing, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := c.GenerateDataKeyPair(t.Context(), &kms.GenerateDataKeyPairInput{KeyId: sealing.KeyMetadata.KeyId, KeyPairSpec: types.DataKeyPairSpecSm2})
	if err != nil {
		t.Fatal(err)
	}
	public := openssl(t, "pkey", "-inform", "DER", "-in", inFile(t, pair.PrivateKeyPlaintext), "-pubout", "-outform", "DER")
	if !bytes.Equal(public, pair.PublicKey) {
		t.Error("the halves do not fit together")
	}
}

func sm2Wraps(t *testing.T, c *kms.Client) {
	made, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{Origin: types.OriginTypeExternal})
	if err != nil {
		t.Fatal(err)
	}
	id := made.KeyMetadata.KeyId
	p, err := c.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{KeyId: id, WrappingAlgorithm: types.AlgorithmSpecSm2pke, WrappingKeySpec: types.WrappingKeySpecSm2})
	if err != nil {
		t.Fatal(err)
	}
	wrapped := openssl(t, "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", inFile(t, p.PublicKey), "-in", inFile(t, bytes.Repeat([]byte("k"), 32)))
	_, err = c.ImportKeyMaterial(t.Context(), &kms.ImportKeyMaterialInput{KeyId: id, ImportToken: p.ImportToken, EncryptedKeyMaterial: wrapped, ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire})
	if err != nil {
		t.Error(err)
	}
}
