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
	NewRoot string `name:"new-root" placeholder:"KIND:PLACE" help:"New root of trust, which alone opens the restored store."`
}

// Run implements the command.
func (c *restoreCmd) Run(w *world) error {
	if err := harden(); err != nil {
		fmt.Fprintln(w.stderr, "trent: the process could not be kept from being dumped:", err)
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
