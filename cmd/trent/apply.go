package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"

	"trent/internal/action"
	"trent/internal/declare"
	"trent/internal/secret"
)

type applyCmd struct {
	connection
	File   string `arg:"" type:"existingfile" help:"Declaration, YAML (docs/spec/declaration.md)."`
	DryRun bool   `name:"dry-run" help:"Only say what would be changed."`
}

// Run implements the command.
func (c *applyCmd) Run(w *world) error {
	text, err := readBounded(c.File, declare.MaxSize)
	if err != nil {
		return err
	}
	return c.apply(w, text, c.File, c.DryRun)
}

// readBounded reads a file of which there is to be no more than so many bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	return text, err
}

// maxForm is the largest form that a server takes, in bytes (internal/pipeline).
const maxForm = 256 << 10

// apply has a server carry out a declaration, and keeps the access keys that it makes.
// What is wrong with the text is found here first, and so is a file that no access key
// could be written to.
func (c *connection) apply(w *world, text []byte, path string, planOnly bool) error {
	d, err := declare.Parse(text)
	if err != nil {
		return fmt.Errorf("%s is not applied:\n%w", path, err)
	}
	if err := checkKeyFiles(d, path); err != nil && !planOnly {
		return err
	}
	form := url.Values{"Document": {string(text)}}
	if planOnly {
		form.Set("PlanOnly", "true")
	}
	if n := len(form.Encode()); n > maxForm-1024 {
		return fmt.Errorf("%s is too large to be sent (%d bytes of %d, encoded): divide it, or start the server with --declare %s", path, n, maxForm-1024, path)
	}
	made, err := c.sendDeclaration(w.ctx, form)
	if err != nil {
		return err
	}
	kept := keepAccessKeys(w, made, path)
	if err := printDeclared(w, c.Output, made, planOnly); err != nil {
		return errors.Join(err, kept)
	}
	if made.Failure != "" {
		return errors.Join(fmt.Errorf("%s is applied in part: %s", path, made.Failure), kept)
	}
	return kept
}

func checkKeyFiles(d *declare.Declaration, path string) error {
	for _, a := range d.Accounts {
		for _, u := range a.Users {
			if u.AccessKeys == 0 {
				continue
			}
			if err := declare.CheckKeyFile(declare.KeyFile(path, u.AccessKeyFile)); err != nil {
				return err
			}
		}
	}
	return nil
}

// effectOf is an effect of the API, as plans write it.
func effectOf(name string) action.Effect {
	switch name {
	case "Create":
		return action.Creates
	case "Remove":
		return action.Removes
	}
	return action.Updates
}

func (c *connection) sendDeclaration(ctx context.Context, form url.Values) (*action.Declared, error) {
	o, err := c.operator()
	if err != nil {
		return nil, err
	}
	var out struct {
		Result struct {
			Changes []struct {
				Effect, Entity, Aspect string
				Done                   bool
			} `xml:"Changes>member"`
			AccessKeys []struct {
				AccountID        string `xml:"AccountId"`
				UserName         string
				AccessKeyID      string `xml:"AccessKeyId"`
				SecretAccessKey  []byte
				OtherAccessKeyID string `xml:"OtherAccessKeyId"`
				File             string
			} `xml:"AccessKeys>member"`
			Failure string
		} `xml:"ApplyDeclarationResult"`
	}
	if err := o.call(ctx, "ApplyDeclaration", form, &out); err != nil {
		return nil, err
	}
	made := &action.Declared{Failure: out.Result.Failure}
	for _, ch := range out.Result.Changes {
		made.Changes = append(made.Changes, action.DeclaredChange{Effect: effectOf(ch.Effect), Entity: ch.Entity, Aspect: ch.Aspect, Done: ch.Done})
	}
	for _, k := range out.Result.AccessKeys {
		made.AccessKeys = append(made.AccessKeys, action.DeclaredKey{
			Account: k.AccountID, User: k.UserName, ID: k.AccessKeyID, Secret: secret.New(k.SecretAccessKey), Other: k.OtherAccessKeyID, File: k.File,
		})
	}
	return made, nil
}

// keepAccessKeys writes access keys where the declaration wants them. One that cannot be
// written is named, so that it can be deleted; its secret is gone.
func keepAccessKeys(w *world, made *action.Declared, path string) error {
	var lost error
	for _, k := range made.AccessKeys {
		file := declare.KeyFile(path, k.File)
		if err := declare.WriteAccessKey(file, k); err != nil {
			lost = errors.Join(lost, fmt.Errorf("the access key %s of user %s in account %s could not be written to %s (%w): delete it, and apply again", k.ID, k.User, k.Account, file, err))
			continue
		}
		fmt.Fprintf(w.stderr, "The access key %s of user %s is in %s.\n", k.ID, k.User, file)
	}
	return lost
}

// printedChange is a change as scripts read it.
type printedChange struct {
	Effect string
	Entity string
	Aspect string
	Done   bool
}

func printDeclared(w *world, form string, made *action.Declared, planOnly bool) error {
	if form == "json" {
		out := struct {
			Changes []printedChange
			Failure string
		}{[]printedChange{}, made.Failure}
		names := map[action.Effect]string{action.Creates: "Create", action.Updates: "Update", action.Removes: "Remove"}
		for _, c := range made.Changes {
			out.Changes = append(out.Changes, printedChange{names[c.Effect], c.Entity, c.Aspect, c.Done})
		}
		return printJSON(w.stdout, out)
	}
	switch {
	case len(made.Changes) == 0:
		fmt.Fprintln(w.stdout, "= nothing to do")
	case made.Failure != "" && !planOnly:
		fmt.Fprintln(w.stdout, made.Progress())
	default:
		for _, c := range made.Changes {
			fmt.Fprintln(w.stdout, c)
		}
		fmt.Fprintln(w.stderr, tally(len(made.Changes), planOnly))
	}
	return nil
}

// tally says how many changes there were.
func tally(n int, planOnly bool) string {
	changes := fmt.Sprintf("%d changes", n)
	if n == 1 {
		changes = "1 change"
	}
	if planOnly {
		return changes + " to make. This was a dry run: nothing was changed."
	}
	return changes + " made."
}
