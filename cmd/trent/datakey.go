package main

import (
	"encoding/base64"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

type datakeyCmd struct {
	connection
	Key       string            `arg:"" help:"Key id, key ARN, alias name or alias ARN."`
	Bytes     int32             `placeholder:"N" help:"Length in bytes, 1 to 1024; default: an AES-256 key."`
	Context   map[string]string `placeholder:"KEY=VALUE" help:"Encryption context; repeatable."`
	Encrypted bool              `help:"Print no plaintext."`
}

// dataKey is printed; its members are named as in the API.
type dataKey struct {
	CiphertextBlob string
	KeyId          string
	KeyMaterialId  string
	Plaintext      string `json:",omitempty"`
}

// Run implements the command.
func (c *datakeyCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	k, err := c.generate(w, client)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(w.stdout, k)
	}
	return printFacts(w.stdout, []fact{
		{"Key", k.KeyId}, {"Material", k.KeyMaterialId}, {"Plaintext", k.Plaintext}, {"Ciphertext", k.CiphertextBlob},
	})
}

func (c *datakeyCmd) generate(w *world, client *kms.Client) (dataKey, error) {
	var n *int32
	spec := types.DataKeySpecAes256
	if c.Bytes != 0 {
		n, spec = &c.Bytes, ""
	}
	if c.Encrypted {
		out, err := client.GenerateDataKeyWithoutPlaintext(w.ctx, &kms.GenerateDataKeyWithoutPlaintextInput{
			KeyId: &c.Key, KeySpec: spec, NumberOfBytes: n, EncryptionContext: c.Context,
		})
		if err != nil {
			return dataKey{}, err
		}
		return dataKey{CiphertextBlob: base64.StdEncoding.EncodeToString(out.CiphertextBlob), KeyId: aws.ToString(out.KeyId), KeyMaterialId: aws.ToString(out.KeyMaterialId)}, nil
	}
	out, err := client.GenerateDataKey(w.ctx, &kms.GenerateDataKeyInput{
		KeyId: &c.Key, KeySpec: spec, NumberOfBytes: n, EncryptionContext: c.Context,
	})
	if err != nil {
		return dataKey{}, err
	}
	return dataKey{
		CiphertextBlob: base64.StdEncoding.EncodeToString(out.CiphertextBlob), KeyId: aws.ToString(out.KeyId), KeyMaterialId: aws.ToString(out.KeyMaterialId),
		Plaintext: base64.StdEncoding.EncodeToString(out.Plaintext),
	}, nil
}
