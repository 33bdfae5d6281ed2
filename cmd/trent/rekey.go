package main

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// rekeyCmd asks a server for new root keys, and waits for them.
type rekeyCmd struct {
	connection
	GiveUp     []string `name:"give-up" placeholder:"NAME" help:"Root of trust, by its name in trent root list, that does not wrap the new key: it will open the store no more."`
	DropOldNow bool     `name:"drop-old-now" help:"Drop the old keys as soon as nothing needs them, and not after 36 hours: sessions and tokens that were made with them end. For when a key was stolen."`
	Status     bool     `name:"status" help:"Only say how far it is."`
}

// rekeying is how far it is, as the API has it.
type rekeying struct {
	UnderWay   bool
	Stage      string
	Done       int
	Total      int
	StartDate  string
	RetireDate string
}

// toldAfter is how often the progress is asked for.
const toldAfter = 300 * time.Millisecond

// Run implements the command.
func (c *rekeyCmd) Run(w *world) error {
	o, err := c.operator()
	if err != nil {
		return err
	}
	if c.Status {
		r, err := o.rekeying(w)
		if err == nil {
			err = c.print(w, r)
		}
		return err
	}
	params := url.Values{}
	for i, name := range c.GiveUp {
		params.Set("GiveUp.member."+strconv.Itoa(i+1), name)
	}
	if c.DropOldNow {
		params.Set("DropOldNow", "true")
	}
	if err := o.call(w.ctx, "StartRekey", params, nil); err != nil {
		return err
	}
	return c.follow(w, o)
}

// follow waits until everything is sealed under the new keys, and tells how far it is.
func (c *rekeyCmd) follow(w *world, o *operator) error {
	told := ""
	for {
		r, err := o.rekeying(w)
		if err != nil {
			return err
		}
		if !r.UnderWay || r.Stage == "Retiring" && !c.DropOldNow {
			return c.print(w, r)
		}
		if line := progress(r); line != told {
			told = line
			fmt.Fprintln(w.stderr, line)
		}
		select {
		case <-w.ctx.Done():
			return fmt.Errorf("the server goes on by itself: trent rekey --status says how far it is")
		case <-time.After(toldAfter):
		}
	}
}

func progress(r rekeying) string {
	switch {
	case r.Stage == "Sealing" && r.Total > 0:
		return fmt.Sprintf("sealing again: %d of %d records", r.Done, r.Total)
	case r.Stage == "Retiring":
		return "waiting for requests that began before"
	}
	return "a new root key is brought in"
}

func (c *rekeyCmd) print(w *world, r rekeying) error {
	if c.Output == "json" {
		return printJSON(w.stdout, r)
	}
	switch {
	case !r.UnderWay:
		_, err := fmt.Fprintln(w.stdout, "The store has one root key, and everything is sealed under it and the accounts' own keys.")
		return err
	case r.Stage == "Retiring":
		_, err := fmt.Fprintf(w.stdout, "Everything is sealed under the new keys. The old ones are dropped at %s; trent rekey --drop-old-now does it at once.\n", r.RetireDate)
		return err
	}
	_, err := fmt.Fprintln(w.stdout, progress(r))
	return err
}

func (o *operator) rekeying(w *world) (rekeying, error) {
	var out struct {
		Result rekeying `xml:"DescribeRekeyResult"`
	}
	err := o.call(w.ctx, "DescribeRekey", nil, &out)
	return out.Result, err
}
