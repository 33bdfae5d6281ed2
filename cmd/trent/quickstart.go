package main

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"trent/internal/server"
)

// show makes the example's key if it is not there, performs the example's call
// over the network with the SDK, and says how to go on.
func (c *quickstartCmd) show(w *world, endpoint string) error {
	keyID, secretKey, err := readCredentials(server.CredentialsFile(c.Store))
	if err != nil {
		return err
	}
	region := c.region()
	client, err := newClient(endpoint, region, aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secretKey}, c.TLSCert)
	if err != nil {
		return err
	}
	if err := ensureExample(w, client); err != nil {
		return err
	}
	out, err := client.GenerateDataKey(w.ctx, &kms.GenerateDataKeyInput{KeyId: aws.String(exampleAlias), KeySpec: types.DataKeySpecAes256})
	if err != nil {
		return err
	}
	ca := ""
	if c.TLSCert != "" {
		ca = "\n  export AWS_CA_BUNDLE=" + c.TLSCert
	}
	fmt.Fprintf(w.stdout, `
Trent serves at %[1]s. A data key, by way of the AWS SDK:

  GenerateDataKey  KeyId=%[2]s  KeySpec=AES_256

  {
    "CiphertextBlob": "%[3]s",
    "KeyId": "%[4]s",
    "Plaintext": "%[5]s"
  }

To use it, paste into another terminal:

  export AWS_ENDPOINT_URL=%[1]s%[9]s
  export AWS_REGION=%[6]s
  export AWS_ACCESS_KEY_ID=%[7]s
  export AWS_SECRET_ACCESS_KEY=%[8]s
  aws kms generate-data-key --key-id %[2]s --key-spec AES_256

Ctrl-C stops the server. Keys stay in %[10]s; run the same command to go on.
`, endpoint, exampleAlias, base64.StdEncoding.EncodeToString(out.CiphertextBlob), aws.ToString(out.KeyId),
		base64.StdEncoding.EncodeToString(out.Plaintext), region, keyID, secretKey, ca, c.Dir)
	return nil
}

// ensureExample sees to a key with the example's alias.
func ensureExample(w *world, client *kms.Client) error {
	_, err := client.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: aws.String(exampleAlias)})
	if err == nil {
		return nil
	}
	if _, absent := errors.AsType[*types.NotFoundException](err); !absent {
		return err
	}
	key, err := client.CreateKey(w.ctx, &kms.CreateKeyInput{Description: aws.String("The example of the quickstart")})
	if err != nil {
		return err
	}
	_, err = client.CreateAlias(w.ctx, &kms.CreateAliasInput{AliasName: aws.String(exampleAlias), TargetKeyId: key.KeyMetadata.KeyId})
	return err
}
