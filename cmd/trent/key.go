package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

type keyCmd struct {
	Create   keyCreateCmd   `cmd:"" help:"Create a key; a symmetric one if nothing is said."`
	List     keyListCmd     `cmd:"" help:"List keys."`
	Describe keyDescribeCmd `cmd:"" help:"Describe a key."`
	Enable   keyEnableCmd   `cmd:"" help:"Enable a key."`
	Disable  keyDisableCmd  `cmd:"" help:"Disable a key."`
	Delete   keyDeleteCmd   `cmd:"" help:"Schedule the deletion of a key, or take that back."`
}

type keyCreateCmd struct {
	connection
	Spec        string            `placeholder:"SPEC" help:"Key spec, such as RSA_2048, ECC_NIST_P256, HMAC_256, ML_DSA_65, ML_KEM_768; default SYMMETRIC_DEFAULT."`
	Usage       string            `placeholder:"USAGE" help:"Key usage, where the spec leaves a choice: SIGN_VERIFY, ENCRYPT_DECRYPT, KEY_AGREEMENT."`
	Description string            `help:"Description."`
	Alias       string            `placeholder:"NAME" help:"Give it this alias, with or without \"alias/\"."`
	Tags        map[string]string `name:"tag" placeholder:"KEY=VALUE" help:"Tag it; repeatable."`
	Policy      []byte            `type:"filecontent" placeholder:"FILE" help:"Key policy; default: the account decides."`
}

// Run implements the command.
func (c *keyCreateCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	in := &kms.CreateKeyInput{
		Description: optional(c.Description), Policy: optional(string(c.Policy)),
		KeySpec: types.KeySpec(c.Spec), KeyUsage: types.KeyUsageType(c.Usage),
	}
	if c.Usage == "" {
		in.KeyUsage = onlyUsage(in.KeySpec)
	}
	for k, v := range c.Tags {
		in.Tags = append(in.Tags, types.Tag{TagKey: aws.String(k), TagValue: aws.String(v)})
	}
	out, err := client.CreateKey(w.ctx, in)
	if err != nil {
		return err
	}
	if c.Alias != "" {
		_, err := client.CreateAlias(w.ctx, &kms.CreateAliasInput{AliasName: aws.String(aliasName(c.Alias)), TargetKeyId: out.KeyMetadata.KeyId})
		if err != nil {
			return fmt.Errorf("the key %s was created, its alias was not: %w", aws.ToString(out.KeyMetadata.KeyId), explain(err))
		}
	}
	return c.show(w, out.KeyMetadata)
}

// onlyUsage is the usage of a spec that has no other, or nothing. The API wants it said; on
// the command line it is plain.
func onlyUsage(spec types.KeySpec) types.KeyUsageType {
	switch s := string(spec); {
	case strings.HasPrefix(s, "HMAC_"):
		return types.KeyUsageTypeGenerateVerifyMac
	case strings.HasPrefix(s, "ML_KEM_"):
		return types.KeyUsageType("ENCAPSULATE_DECAPSULATE")
	case strings.HasPrefix(s, "ML_DSA_"), s == "ECC_SECG_P256K1", s == "ECC_NIST_EDWARDS25519":
		return types.KeyUsageTypeSignVerify
	}
	return ""
}

// show prints a key's metadata.
func (c *connection) show(w *world, m *types.KeyMetadata) error {
	if c.Output == "json" {
		return printJSON(w.stdout, m)
	}
	algorithms := slices.Concat(names(m.EncryptionAlgorithms), names(m.SigningAlgorithms), names(m.MacAlgorithms),
		names(m.KeyAgreementAlgorithms), names(m.EncapsulationAlgorithms))
	return printFacts(w.stdout, []fact{
		{"Key id", aws.ToString(m.KeyId)},
		{"ARN", aws.ToString(m.Arn)},
		{"Description", aws.ToString(m.Description)},
		{"State", string(m.KeyState)},
		{"Deleted on", date(m.DeletionDate)},
		{"Spec", string(m.KeySpec)},
		{"Usage", string(m.KeyUsage)},
		{"Algorithms", strings.Join(algorithms, ", ")},
		{"Origin", string(m.Origin)},
		{"Created", date(m.CreationDate)},
		{"Material", aws.ToString(m.CurrentKeyMaterialId)},
	})
}

type keyListCmd struct {
	connection
	IDs bool `name:"ids" help:"Print ids alone, one a line, without asking for each key."`
}

// Run implements the command.
func (c *keyListCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	aliases, err := aliasesByKey(w, client)
	if err != nil {
		return err
	}
	var rows [][]string
	all := []*types.KeyMetadata{}
	for pages := kms.NewListKeysPaginator(client, &kms.ListKeysInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(w.ctx)
		if err != nil {
			return err
		}
		for _, k := range page.Keys {
			if c.IDs {
				fmt.Fprintln(w.stdout, aws.ToString(k.KeyId))
				continue
			}
			out, err := client.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: k.KeyId})
			if err != nil {
				return err
			}
			m := out.KeyMetadata
			all = append(all, m)
			rows = append(rows, []string{aws.ToString(m.KeyId), string(m.KeyState), string(m.KeySpec), date(m.CreationDate), strings.Join(aliases[aws.ToString(m.KeyId)], " "), aws.ToString(m.Description)})
		}
	}
	switch {
	case c.IDs:
		return nil
	case c.Output == "json":
		return printJSON(w.stdout, all)
	}
	return printTable(w.stdout, []string{"KEY ID", "STATE", "SPEC", "CREATED", "ALIASES", "DESCRIPTION"}, rows)
}

type keyDescribeCmd struct {
	connection
	Key string `arg:"" help:"Key id, key ARN, alias name or alias ARN."`
}

// Run implements the command.
func (c *keyDescribeCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	out, err := client.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: aws.String(c.Key)})
	if err != nil {
		return err
	}
	return c.show(w, out.KeyMetadata)
}

type keyEnableCmd struct {
	connection
	Key string `arg:"" help:"Key id or key ARN."`
}

// Run implements the command.
func (c *keyEnableCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	_, err = client.EnableKey(w.ctx, &kms.EnableKeyInput{KeyId: aws.String(c.Key)})
	return c.done(w, client, c.Key, err)
}

type keyDisableCmd struct {
	connection
	Key string `arg:"" help:"Key id or key ARN."`
}

// Run implements the command.
func (c *keyDisableCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	_, err = client.DisableKey(w.ctx, &kms.DisableKeyInput{KeyId: aws.String(c.Key)})
	return c.done(w, client, c.Key, err)
}

type keyDeleteCmd struct {
	connection
	Key    string `arg:"" help:"Key id or key ARN."`
	Days   int32  `default:"30" help:"Waiting period in days, 7 to 30."`
	Cancel bool   `help:"Take a scheduled deletion back; the key is then disabled."`
}

// Run implements the command.
func (c *keyDeleteCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if c.Cancel {
		_, err = client.CancelKeyDeletion(w.ctx, &kms.CancelKeyDeletionInput{KeyId: aws.String(c.Key)})
	} else {
		_, err = client.ScheduleKeyDeletion(w.ctx, &kms.ScheduleKeyDeletionInput{KeyId: aws.String(c.Key), PendingWindowInDays: aws.Int32(c.Days)})
	}
	return c.done(w, client, c.Key, err)
}

// done shows how a key is after a change.
func (c *connection) done(w *world, client *kms.Client, key string, err error) error {
	if err != nil {
		return err
	}
	out, err := client.DescribeKey(w.ctx, &kms.DescribeKeyInput{KeyId: aws.String(key)})
	if err != nil {
		return err
	}
	return c.show(w, out.KeyMetadata)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func names[E ~string](list []E) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = string(e)
	}
	return out
}
