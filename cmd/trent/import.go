package main

import (
	"fmt"

	"trent/internal/declare"
)

type importCmd struct {
	LocalKMS importLocalKMSCmd `cmd:"" name:"local-kms" help:"Make the keys of a seed file of local-kms, with their ids and materials."`
}

type importLocalKMSCmd struct {
	connection
	File    string `arg:"" type:"existingfile" help:"Seed file, YAML."`
	Account string `default:"111122223333" placeholder:"ID" help:"Account that gets the keys."`
	Print   bool   `help:"Print the declaration that is made of it, and ask no server."`
	DryRun  bool   `name:"dry-run" help:"Only say what would be changed."`
}

// Run implements the command. It fails if something of the file had to be left out.
func (c *importLocalKMSCmd) Run(w *world) error {
	text, err := readBounded(c.File, declare.MaxSize)
	if err != nil {
		return err
	}
	declaration, skipped, err := declare.FromLocalKMS(text, c.Account, c.Region)
	if err != nil {
		return fmt.Errorf("%s:\n%w", c.File, err)
	}
	if c.Print {
		_, err = w.stdout.Write(declaration)
	} else {
		err = c.apply(w, declaration, c.File, c.DryRun)
	}
	for _, what := range skipped {
		fmt.Fprintln(w.stderr, "left out:", what)
	}
	if err == nil && len(skipped) > 0 {
		err = fmt.Errorf("%s is not taken over whole", c.File)
	}
	return err
}
