package main

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

type aliasCmd struct {
	Create aliasCreateCmd `cmd:"" help:"Give a key an alias."`
	Update aliasUpdateCmd `cmd:"" help:"Let an alias mean another key."`
	Delete aliasDeleteCmd `cmd:"" help:"Delete an alias."`
	List   aliasListCmd   `cmd:"" help:"List aliases."`
}

type aliasCreateCmd struct {
	connection
	Name string `arg:"" help:"Alias, with or without \"alias/\"."`
	Key  string `arg:"" help:"Key id or key ARN."`
}

// Run implements the command.
func (c *aliasCreateCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	_, err = client.CreateAlias(w.ctx, &kms.CreateAliasInput{AliasName: aws.String(aliasName(c.Name)), TargetKeyId: aws.String(c.Key)})
	return c.done(w, client, aliasName(c.Name), err)
}

type aliasUpdateCmd struct {
	connection
	Name string `arg:"" help:"Alias, with or without \"alias/\"."`
	Key  string `arg:"" help:"Key id or key ARN."`
}

// Run implements the command.
func (c *aliasUpdateCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	_, err = client.UpdateAlias(w.ctx, &kms.UpdateAliasInput{AliasName: aws.String(aliasName(c.Name)), TargetKeyId: aws.String(c.Key)})
	return c.done(w, client, aliasName(c.Name), err)
}

type aliasDeleteCmd struct {
	connection
	Name string `arg:"" help:"Alias, with or without \"alias/\"."`
}

// Run implements the command.
func (c *aliasDeleteCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	_, err = client.DeleteAlias(w.ctx, &kms.DeleteAliasInput{AliasName: aws.String(aliasName(c.Name))})
	return err
}

type aliasListCmd struct {
	connection
	Key string `placeholder:"KEY" help:"Only those of this key, by its id or ARN."`
}

// Run implements the command.
func (c *aliasListCmd) Run(w *world) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	all, err := listAliases(w, client, optional(c.Key))
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(w.stdout, all)
	}
	var rows [][]string
	for _, a := range all {
		rows = append(rows, []string{aws.ToString(a.AliasName), aws.ToString(a.TargetKeyId), date(a.LastUpdatedDate)})
	}
	return printTable(w.stdout, []string{"ALIAS", "KEY ID", "UPDATED"}, rows)
}

func listAliases(w *world, client *kms.Client, key *string) ([]types.AliasListEntry, error) {
	all := []types.AliasListEntry{}
	for pages := kms.NewListAliasesPaginator(client, &kms.ListAliasesInput{KeyId: key}); pages.HasMorePages(); {
		page, err := pages.NextPage(w.ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Aliases...)
	}
	return all, nil
}

func aliasesByKey(w *world, client *kms.Client) (map[string][]string, error) {
	all, err := listAliases(w, client, nil)
	if err != nil {
		return nil, err
	}
	by := make(map[string][]string)
	for _, a := range all {
		by[aws.ToString(a.TargetKeyId)] = append(by[aws.ToString(a.TargetKeyId)], aws.ToString(a.AliasName))
	}
	return by, nil
}

// aliasName adds the prefix where it was left out.
func aliasName(s string) string {
	if strings.HasPrefix(s, "alias/") {
		return s
	}
	return "alias/" + s
}
