package api_test

import (
	"testing"
	"time"

	"trent/internal/api"
	"trent/internal/secret"
)

var usual = []byte(`{"KeyId":"alias/app","KeySpec":"AES_256"}`)

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := api.Decode(usual, new(api.GenerateDataKeyInput)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeWithContext(b *testing.B) {
	body := []byte(`{"KeyId":"alias/app","Plaintext":"aGVsbG8gd29ybGQ=","EncryptionContext":{"tenant":"a","table":"b"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := api.Decode(body, new(api.EncryptInput)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	in := new(api.GenerateDataKeyInput)
	if err := api.Decode(usual, in); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := in.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	out := &api.GenerateDataKeyOutput{
		CiphertextBlob: make([]byte, 184), Plaintext: secret.New(make([]byte, 32)),
		KeyId: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
	}
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = out.AppendJSON(dst[:0])
	}
}

func BenchmarkEncodeKeyMetadata(b *testing.B) {
	out := &api.DescribeKeyOutput{KeyMetadata: &api.KeyMetadata{
		AWSAccountId: "111122223333", KeyId: "1234abcd-12ab-34cd-56ef-1234567890ab", CreationDate: time.UnixMilli(1571767572317),
		Arn: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", Enabled: true,
		KeyState: api.KeyStateEnabled, KeySpec: api.KeySpecSymmetricDefault, KeyUsage: api.KeyUsageEncryptDecrypt,
		EncryptionAlgorithms: []api.EncryptionAlgorithm{api.EncryptionAlgorithmSymmetricDefault},
	}}
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = out.AppendJSON(dst[:0])
	}
}

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := api.Lookup("GenerateDataKey"); !ok {
			b.Fatal("no such operation")
		}
	}
}
