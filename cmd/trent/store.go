package main

import (
	"fmt"

	"trent/internal/config"
	"trent/internal/server"
)

type storeCmd struct {
	Copy storeCopyCmd `cmd:"" help:"Copy all records from a file into etcd, or back, while no server runs. Goes on where it was cut off."`
}

type storeCopyCmd struct {
	config.Store
	From string `name:"from" required:"" enum:"bolt,etcd" help:"Store to copy: bolt or etcd."`
	To   string `name:"to" required:"" enum:"bolt,etcd" help:"Store to copy into; it is never overwritten."`
}

// toldEvery is after how many records the progress is told of.
const toldEvery = 10000

// Run implements the command.
func (c *storeCopyCmd) Run(w *world) error {
	told := 0
	n, err := server.CopyStore(w.ctx, c.Store, c.From, c.To, func(done int) {
		if done-told >= toldEvery {
			told = done
			fmt.Fprintf(w.stderr, "%d records\n", done)
		}
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w.stdout, "%d records are in %s, each the same as in %s.\n", n, c.To, c.From)
	return err
}
