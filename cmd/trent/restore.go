package main

import (
	"fmt"
	"strings"
	"time"

	"trent/internal/config"
	"trent/internal/server"
)

type restoreCmd struct {
	config.Store
	File    string `arg:"" help:"The backup."`
	DryRun  bool   `name:"dry-run" help:"Only say what would change in the store that is there; write nothing."`
	NewRoot string `name:"new-root" placeholder:"KIND:PLACE" help:"New root of trust, which alone opens the restored store."`
}

// Run implements the command.
func (c *restoreCmd) Run(w *world) error {
	if err := harden(); err != nil {
		fmt.Fprintln(w.stderr, "trent: the process could not be kept from being dumped:", err)
	}
	if c.DryRun {
		return c.compare(w)
	}
	told := 0
	r, err := server.Restore(w.ctx, c.Store, c.File, c.NewRoot, time.Now(), func(done int) {
		if done-told >= toldEvery {
			told = done
			fmt.Fprintf(w.stderr, "%d records\n", done)
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w.stdout, "%d records, as they were on %s at revision %d, are in %s. %s opens it.\n",
		r.Copied, r.Time.Format(time.RFC3339), r.Revision, r.Place, r.Root)
	serve := "trent serve --dir " + c.Dir
	if c.Kind == "etcd" {
		serve += " --store etcd --etcd-endpoints " + strings.Join(c.EtcdEndpoints, ",") + " --etcd-prefix " + c.EtcdPrefix
	}
	roots := c.Roots
	if c.NewRoot != "" {
		roots = []string{c.NewRoot}
		fmt.Fprintln(w.stdout, "The root keys are still those of the backup. If a former root of trust is in wrong hands, run trent rekey once the server is up.")
	}
	for _, root := range roots {
		serve += " --root '" + root + "'"
	}
	_, err = fmt.Fprintf(w.stdout, `What was deleted, disabled or revoked since then is back, and wants doing again; what was made since is not there.
Start it with:  %s
If it has an anchor, add --accept-rollback the first time.
`, serve)
	return err
}

// namesShown bounds the names under a heading.
const namesShown = 1000

// compare says what restoring would change.
func (c *restoreCmd) compare(w *world) error {
	r, err := server.CompareBackup(w.ctx, c.Store, c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(w.stdout, "A backup of %s, at revision %d, with %d records.\n", r.Time.Format(time.RFC3339), r.Revision, r.Records+r.Passing)
	for _, f := range r.Findings {
		fmt.Fprintln(w.stdout, f)
	}
	switch {
	case len(r.Findings) > 0:
		return fmt.Errorf("%d findings: it would not be restored", len(r.Findings)+r.More)
	case r.Vacant:
		_, err = fmt.Fprintf(w.stdout, "There is nothing in %s: it would be restored there, and undo nothing.\n", r.Place)
		return err
	case len(r.Effects) == 0:
		_, err = fmt.Fprintf(w.stdout, "In place of %s it would change nothing that matters.\n", r.Place)
		return err
	}
	fmt.Fprintf(w.stdout, "In place of %s it would change this:\n", r.Place)
	for _, e := range r.Effects {
		fmt.Fprintf(w.stdout, "\n%d %s:\n", len(e.Names), e.What)
		for _, name := range e.Names[:min(len(e.Names), namesShown)] {
			fmt.Fprintf(w.stdout, "  %q\n", name)
		}
		if more := len(e.Names) - namesShown; more > 0 {
			fmt.Fprintf(w.stdout, "  and %d more\n", more)
		}
	}
	return nil
}
