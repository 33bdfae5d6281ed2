package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	"trent/internal/config"
	"trent/internal/root/shares"
	"trent/internal/server"
)

// rootCmd works on a data directory, while no server runs on it.
type rootCmd struct {
	List   rootListCmd   `cmd:"" help:"List the roots of trust that a store has. Needs none of them."`
	Test   rootTestCmd   `cmd:"" help:"Open the store with each root of trust of the settings, alone."`
	Add    rootAddCmd    `cmd:"" help:"Make a new root of trust, or one that is there, one of the store's."`
	Remove rootRemoveCmd `cmd:"" help:"Take a root of trust from the store; never the last one."`
}

// withRoots runs act on the roots of trust of a data directory.
func withRoots(w *world, c config.Store, act func(*server.RootAdmin) error) error {
	if err := harden(); err != nil {
		fmt.Fprintln(w.stderr, "trent: the process could not be kept from being dumped:", err)
	}
	a, err := server.OpenRootAdmin(c, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(act(a), a.Close())
}

type rootListCmd struct{ config.Store }

// Run implements the command.
func (c *rootListCmd) Run(w *world) error {
	return withRoots(w, c.Store, func(a *server.RootAdmin) error {
		names, err := a.List(w.ctx)
		for _, name := range names {
			fmt.Fprintln(w.stdout, name)
		}
		return err
	})
}

type rootTestCmd struct{ config.Store }

// Run implements the command. It fails if one of the roots does not open the store.
func (c *rootTestCmd) Run(w *world) error {
	return withRoots(w, c.Store, func(a *server.RootAdmin) error {
		tests, err := a.Test(w.ctx)
		if err != nil {
			return err
		}
		bad := 0
		for _, t := range tests {
			if t.Err != nil {
				bad++
				fmt.Fprintf(w.stdout, "%s: does not open the store: %v\n", t.Locator, t.Err)
				continue
			}
			fmt.Fprintf(w.stdout, "%s: opens the store, as %s\n", t.Locator, t.Name)
		}
		if bad > 0 {
			return fmt.Errorf("%d of %d roots of trust do not open the store", bad, len(tests))
		}
		return nil
	})
}

type rootAddCmd struct {
	config.Store
	New       string `arg:"" name:"kind:place" help:"The root of trust to add; docs/roots.md has the kinds."`
	Threshold int    `name:"threshold" placeholder:"K" help:"Of shares: how many open the store."`
	Shares    int    `name:"shares" placeholder:"N" help:"Of shares: how many there are to be."`
	Out       string `name:"out" placeholder:"DIR" help:"Of shares: a new directory for them."`
}

// Run implements the command.
func (c *rootAddCmd) Run(w *world) error {
	return withRoots(w, c.Store, func(a *server.RootAdmin) error {
		name, err := a.Add(w.ctx, c.locator())
		if err != nil {
			return err
		}
		fmt.Fprintf(w.stdout, "Added %s. It has unwrapped what it wrapped.\n", name)
		if strings.HasPrefix(name, "shares:") {
			fmt.Fprintf(w.stdout, "The shares are in %s. Hand them out, each to somebody else, and delete the directory.\n", cmp.Or(c.Out, shares.DefaultDir(name)))
		}
		return nil
	})
}

// locator is the one of the argument, with the settings of the flags.
func (c *rootAddCmd) locator() string {
	settings := url.Values{}
	if c.Threshold != 0 {
		settings.Set("threshold", strconv.Itoa(c.Threshold))
	}
	if c.Shares != 0 {
		settings.Set("shares", strconv.Itoa(c.Shares))
	}
	if c.Out != "" {
		settings.Set("out", c.Out)
	}
	switch {
	case len(settings) == 0:
		return c.New
	case strings.Contains(c.New, "?"):
		return c.New + "&" + settings.Encode()
	}
	return c.New + "?" + settings.Encode()
}

type rootRemoveCmd struct {
	config.Store
	Name string `arg:"" help:"Name of the root of trust, as trent root list has it."`
}

// Run implements the command.
func (c *rootRemoveCmd) Run(w *world) error {
	return withRoots(w, c.Store, func(a *server.RootAdmin) error {
		if err := a.Remove(w.ctx, c.Name); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w.stdout, "Removed %s. Older copies and backups of the store still open with it.\n", c.Name)
		return err
	})
}
