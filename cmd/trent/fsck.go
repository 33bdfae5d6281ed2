package main

import (
	"fmt"
	"time"

	"trent/internal/config"
	"trent/internal/server"
)

type fsckCmd struct{ config.Store }

// Run implements the command. It fails if it finds anything.
func (c *fsckCmd) Run(w *world) error {
	began := time.Now()
	r, err := server.Fsck(w.ctx, c.Store)
	if err != nil {
		return err
	}
	for _, f := range r.Findings {
		fmt.Fprintln(w.stdout, f)
	}
	if r.More > 0 {
		fmt.Fprintf(w.stdout, "and %d more\n", r.More)
	}
	fmt.Fprintf(w.stdout, "%d records, and %d of passing interest; the log of changes has %d entries with %d changes, up to entry %d of %s, in epoch %d. Read in %s.\n",
		r.Records, r.Passing, r.Entries, r.Changes, r.Last, r.Newest.Format(time.RFC3339), r.Epoch, time.Since(began).Round(time.Millisecond))
	if n := len(r.Findings) + r.More; n > 0 {
		return fmt.Errorf("%d findings: the store is not what Trent has left. Stop the server, keep a copy of the store for inspection, and put it back from a backup", n)
	}
	_, err = fmt.Fprintln(w.stdout, "Every record opens and is what the log says.")
	return err
}
