package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sys/unix"

	"trent/internal/config"
	"trent/internal/server"
)

type initCmd struct {
	config.Store
	config.Init
}

// Run implements the command.
func (c *initCmd) Run(w *world) error {
	if err := server.Init(w.ctx, c.Store, c.Init, time.Now()); err != nil {
		return err
	}
	fmt.Fprintf(w.stdout, "A new Trent for account %s is in %s.\n\n", c.Account, c.Dir)
	serve := "trent serve --dir " + c.Dir
	place := "  trent.db           the store, sealed"
	if c.Kind == "etcd" {
		serve += " --store etcd --etcd-endpoints " + strings.Join(c.EtcdEndpoints, ",")
		place = "  " + c.EtcdPrefix + "             the store, sealed, in etcd"
	}
	if len(c.Roots) == 0 {
		fmt.Fprintln(w.stdout, "  root.key           the root of trust: without it nothing in the store can be read. Keep a copy elsewhere.")
	}
	for _, r := range c.Roots {
		fmt.Fprintf(w.stdout, "  %-18s a root of trust: each opens the store alone\n", r)
		if strings.HasPrefix(r, "shares") {
			r = "shares" // what else it says is how they were made
		}
		serve += " --root '" + r + "'"
	}
	fmt.Fprintf(w.stdout, `%s
  admin.credentials  the access key of the first administrator

Start it with:  %s
`, place, serve)
	return nil
}

type serveCmd struct {
	config.Store
	config.Serve
	Config kong.ConfigFlag `name:"config" short:"c" placeholder:"FILE" env:"TRENT_CONFIG" help:"Configuration file, YAML; each setting is named as its flag."`
}

// Run implements the command.
func (c *serveCmd) Run(w *world) error {
	log, err := newLogger(w, c.Serve)
	if err != nil {
		return err
	}
	return serve(w.ctx, c.Store, c.Serve, log, time.Now, func(l net.Listener) error {
		log.Info("serving", "address", l.Addr().String(), "tls", c.TLSCert != "", "dir", c.Dir)
		return nil
	})
}

// serve opens a deployment and serves it until ctx ends. started is called
// once the listener is open; its error ends the server.
func serve(ctx context.Context, st config.Store, o config.Serve, log *slog.Logger, now func() time.Time, started func(net.Listener) error) error {
	if err := harden(); err != nil {
		log.Warn("the process could not be kept from being dumped", "error", err)
	}
	s, err := server.Open(ctx, st, o, log, now)
	if err != nil {
		return err
	}
	l, err := s.Listen()
	if err != nil {
		return errors.Join(err, s.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	startErr := started(l)
	if startErr != nil {
		cancel()
	}
	return errors.Join(startErr, <-done, s.Close())
}

// harden keeps keys out of core files and away from other processes of the
// same user. Swap is the operator's to encrypt or turn off (docs/operations.md).
func harden() error {
	return errors.Join(
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}),
	)
}

func newLogger(w *world, o config.Serve) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		return nil, err
	}
	opts := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w.stderr, opts)), nil
	}
	return slog.New(slog.NewTextHandler(w.stderr, opts)), nil
}

type quickstartCmd struct {
	config.Store
	config.Init
	config.Serve
}

// exampleAlias is the one of the GenerateDataKey reference.
const exampleAlias = "alias/ExampleAlias"

// Run implements the command.
func (c *quickstartCmd) Run(w *world) error {
	o := c.Serve
	o.LogLevel = "warn" // the terminal is for what follows
	log, err := newLogger(w, o)
	if err != nil {
		return err
	}
	switch err := server.Init(w.ctx, c.Store, c.Init, time.Now()); {
	case err == nil:
		fmt.Fprintf(w.stdout, "Made a root of trust, a store and an administrator in %s.\n", c.Dir)
	case errors.Is(err, server.ErrInitialised):
		fmt.Fprintf(w.stdout, "Using what is in %s.\n", c.Dir)
	default:
		return err
	}
	return serve(w.ctx, c.Store, o, log, time.Now, func(l net.Listener) error {
		return c.show(w, endpointOf(l, o))
	})
}

// endpointOf is the URL at which clients of this machine reach the listener.
func endpointOf(l net.Listener, o config.Serve) string {
	scheme := "http"
	if o.TLSCert != "" {
		scheme = "https"
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return scheme + "://" + l.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// quickstartRegion is the Region that the quickstart works in.
func (c *quickstartCmd) region() string {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if r := os.Getenv(name); r != "" {
			return r
		}
	}
	if len(c.Regions) > 0 && c.Regions[0] != "*" {
		return c.Regions[0]
	}
	return "us-east-1"
}
