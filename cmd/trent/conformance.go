package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"trent/internal/config"
	"trent/internal/conformance"
	"trent/internal/server"
)

type conformanceCmd struct {
	Steps   bool `help:"Print the steps, a line of JSON each, for another client to perform, and do nothing."`
	Verbose bool `short:"v" help:"Print each step and what came of it."`
}

// Run implements the command.
func (c *conformanceCmd) Run(w *world) error {
	steps := conformance.Steps()
	if c.Steps {
		return printSteps(w, steps)
	}
	results, err := conform(w.ctx, steps)
	if err != nil {
		return err
	}
	failed := 0
	for _, r := range results {
		if r.Failure != "" {
			failed++
		}
		if r.Failure != "" || c.Verbose {
			printResult(w, r)
		}
	}
	table := conformance.NewTable(results)
	if err := table.Print(w.stdout); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d steps had another outcome than they must", failed, len(results))
	}
	return nil
}

func printSteps(w *world, steps []conformance.Step) error {
	for _, s := range steps {
		line, err := json.Marshal(s)
		if err != nil {
			return err
		}
		fmt.Fprintf(w.stdout, "%s\n", line)
	}
	return nil
}

func printResult(w *world, r conformance.Result) {
	want := r.Error
	if want == "" {
		want = "success"
	}
	outcome := "ok"
	switch {
	case r.Skipped:
		outcome = "not asked: it needs a " + r.Needs
	case r.Failure != "":
		outcome = "FAILED: " + r.Failure
	}
	fmt.Fprintf(w.stdout, "%s %s (%s) %s: %s\n", r.Action, r.Body, r.Cell, want, outcome)
}

// conform performs the steps against a new server of this process, in a directory that is gone
// afterwards.
func conform(ctx context.Context, steps []conformance.Step) (results []conformance.Result, err error) {
	dir, err := os.MkdirTemp("", "trent-conformance-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	st := config.Store{Dir: filepath.Join(dir, "data")}
	if err := server.Init(ctx, st, config.Init{Account: conformanceAccount, Partition: "aws"}, now()); err != nil {
		return nil, err
	}
	keyID, secretKey, err := readCredentials(server.CredentialsFile(st))
	if err != nil {
		return nil, err
	}
	against := conformance.Server{
		Credentials: aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secretKey}, Account: conformanceAccount,
		Regions: conformanceRegions(), Now: now, Advance: func(d time.Duration) { ahead.Add(int64(d)) },
	}
	o := conformanceSettings()
	err = withConformanceProxy(ctx, dir, func(p *conformanceProxy) error {
		p.settings(&o)
		against.Proxy = p.variables()
		ctx, done := context.WithCancel(ctx)
		defer done()
		return serve(ctx, st, o, slog.New(slog.DiscardHandler), now, func(l net.Listener) (err error) {
			defer done()
			against.Endpoint = endpointOf(l, o)
			results, err = conformance.Run(ctx, against, steps)
			return err
		})
	})
	return results, err
}

const conformanceAccount = "111122223333"

func conformanceRegions() [2]string { return [2]string{"us-east-1", "eu-west-1"} }

// conformanceSettings are the defaults of serve, whatever the environment says.
func conformanceSettings() config.Serve {
	regions := conformanceRegions()
	return config.Serve{
		Listen: "127.0.0.1:0", Regions: regions[:], CacheKeys: 10_000,
		HeaderTimeout: 5 * time.Second, RequestTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxConnections: 64, ShutdownGrace: 10 * time.Second, AttestationMaxAge: 5 * time.Minute, AttestationSkew: time.Minute,
	}
}
