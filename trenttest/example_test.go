package trenttest_test

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"trent/trenttest"
)

// The test of something that encrypts with a key management service: it gets
// an SDK client, as it would in production.
func ExampleStart() {
	test := func(t *testing.T) {
		server := trenttest.Start(t)
		client := server.Client(t)

		key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{Description: aws.String("invoices")})
		if err != nil {
			t.Fatal(err)
		}
		dataKey, err := client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{
			KeyId: key.KeyMetadata.Arn, KeySpec: types.DataKeySpecAes256,
		})
		if err != nil {
			t.Fatal(err)
		}

		server.Restart() // what was acknowledged is still there

		again, err := client.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: dataKey.CiphertextBlob})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Plaintext, dataKey.Plaintext) {
			t.Error("the data key came back altered")
		}
	}
	_ = test // func TestInvoices(t *testing.T)
}
