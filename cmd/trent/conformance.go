package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"trent/internal/audit"
	"trent/internal/config"
	"trent/internal/conformance"
	"trent/internal/server"
	"trent/internal/xksproxy"
	"trent/trenttest/process"
)

type conformanceCmd struct {
	Verbose bool     `short:"v" help:"Print each step and what came of it."`
	Client  []string `arg:"" optional:"" passthrough:"" placeholder:"COMMAND" help:"Command that performs the steps in its own way. It has them on standard input, a line of JSON each, the server in the variables of the AWS SDKs, and what the steps start from in TRENT_CONFORMANCE, JSON."`
}

// Run implements the command.
func (c *conformanceCmd) Run(w *world) error {
	steps := conformance.Steps()
	b, err := newConformanceBench(w.ctx)
	if err != nil {
		return err
	}
	defer b.close()
	if len(c.Client) > 0 {
		return b.serve(w.ctx, func(ctx context.Context, s conformance.Server) error { return runClient(ctx, w, s, steps, c.Client) })
	}
	var results []conformance.Result
	err = b.serve(w.ctx, func(ctx context.Context, s conformance.Server) (err error) {
		results, err = conformance.Run(ctx, s, steps)
		return err
	})
	if err != nil {
		return err
	}
	return c.report(w, results)
}

func (c *conformanceCmd) report(w *world, results []conformance.Result) error {
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
	if all, shown, excused := table.Count(); shown+excused < all {
		return fmt.Errorf("%d outcomes are missing", all-shown-excused)
	}
	return nil
}

func printResult(w *world, r conformance.Result) {
	want, outcome := r.Error, "ok"
	if want == "" {
		want = "success"
	}
	switch {
	case r.Skipped:
		outcome = "not asked: it needs a " + r.Needs
	case r.Failure != "":
		outcome = "FAILED: " + r.Failure
	}
	fmt.Fprintf(w.stdout, "%s %s (%s) %s: %s\n", r.Action, r.Body, r.Cell, want, outcome)
}

// runClient has another client perform the steps.
func runClient(ctx context.Context, w *world, s conformance.Server, steps []conformance.Step, command []string) error {
	var in bytes.Buffer
	for _, step := range steps {
		line, err := json.Marshal(step)
		if err != nil {
			return err
		}
		in.Write(append(line, '\n'))
	}
	variables, err := json.Marshal(s.Variables())
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, w.stdout, w.stderr
	cmd.Env = append(os.Environ(),
		"AWS_ENDPOINT_URL="+s.Endpoint, "AWS_REGION="+s.Regions[0], "AWS_ACCESS_KEY_ID="+s.Credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+s.Credentials.SecretAccessKey,
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "TRENT_CONFORMANCE="+string(variables))
	return cmd.Run()
}

// conformanceBench is a new server of this process with an external key store proxy in front of
// its own keys, in a directory that is gone afterwards.
type conformanceBench struct {
	dir   string
	store config.Store
	ahead atomic.Int64 // of the clock, nanoseconds
	own   aws.Credentials

	proxy      net.Listener
	credential xksproxy.Credential
}

// xksPath ends the paths of the XKS proxy API.
const xksPath = "/kms/xks/v1"

const conformanceAccount = "111122223333"

func newConformanceBench(ctx context.Context) (_ *conformanceBench, err error) {
	b := new(conformanceBench)
	if b.dir, err = os.MkdirTemp("", "trent-conformance-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	b.store = config.Store{Dir: filepath.Join(b.dir, "data")}
	if err := server.Init(ctx, b.store, config.Init{Account: conformanceAccount, Partition: "aws"}, b.now()); err != nil {
		return nil, err
	}
	if b.own.AccessKeyID, b.own.SecretAccessKey, err = readCredentials(server.CredentialsFile(b.store)); err != nil {
		return nil, err
	}
	if b.proxy, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	return b, b.writeFiles()
}

func (b *conformanceBench) now() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }

func (b *conformanceBench) file(name string) string { return filepath.Join(b.dir, name) }

// writeFiles makes what the proxy reads.
func (b *conformanceBench) writeFiles() error {
	cert, key, err := process.SelfSigned()
	if err != nil {
		return err
	}
	b.credential = xksproxy.NewCredential()
	credentials, err := xksproxy.FormatCredentials([]xksproxy.Credential{b.credential})
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(b.file("cert.pem"), cert, 0o600), os.WriteFile(b.file("key.pem"), key, 0o600), os.WriteFile(b.file("credentials"), credentials, 0o600))
}

func (b *conformanceBench) close() {
	if b.proxy != nil {
		b.proxy.Close()
	}
	os.RemoveAll(b.dir)
}

// serve serves while perform runs.
func (b *conformanceBench) serve(ctx context.Context, perform func(context.Context, conformance.Server) error) error {
	ctx, done := context.WithCancel(ctx)
	defer done()
	o := b.settings()
	return serve(ctx, b.store, o, slog.New(slog.DiscardHandler), b.now, func(l net.Listener) error {
		defer done()
		url := endpointOf(l, o)
		stopped, err := b.serveProxy(ctx, url)
		if err != nil {
			return err
		}
		err = perform(ctx, conformance.Server{
			Endpoint: url, Credentials: b.own, Account: conformanceAccount, Regions: [2]string(o.Regions),
			Now: b.now, Advance: func(d time.Duration) { b.ahead.Add(int64(d)) },
			Proxy: map[string]string{
				"xks_endpoint": "https://127.0.0.1", "xks_path": xksPath, "xks_second_path": "/second" + xksPath,
				"xks_access_key": b.credential.AccessKeyID, "xks_secret": b.credential.Secret,
			},
		})
		done()
		return errors.Join(err, <-stopped)
	})
}

// settings are the defaults of serve, whatever the environment says.
func (b *conformanceBench) settings() config.Serve {
	return config.Serve{
		Listen: "127.0.0.1:0", Regions: []string{"us-east-1", "eu-west-1"}, CacheKeys: 10_000,
		HeaderTimeout: 5 * time.Second, RequestTimeout: 15 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxConnections: 64, ShutdownGrace: 10 * time.Second, AttestationMaxAge: 5 * time.Minute, AttestationSkew: time.Minute,
		XKSCA: b.file("cert.pem"), XKSProxies: []string{"127.0.0.1=" + b.proxy.Addr().String()}, XKSTimeout: 10 * time.Second,
	}
}

// serveProxy serves the XKS proxy API over the keys of the server itself.
func (b *conformanceBench) serveProxy(ctx context.Context, url string) (stopped chan error, err error) {
	t, err := server.TLS(b.file("cert.pem"), b.file("key.pem"))
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	keys, err := xksproxy.OpenCredentials(b.file("credentials"), log)
	if err != nil {
		return nil, err
	}
	client, err := newClient(url, "us-east-1", b.own, "")
	if err != nil {
		return nil, err
	}
	sink, err := audit.OpenFile(b.file("proxy-audit.log"), false)
	if err != nil {
		return nil, err
	}
	// One proxy under every prefix but one: stores must not share a path.
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prefix, _, _ := strings.Cut(r.URL.Path, xksPath)
		if prefix == "/elsewhere" {
			prefix = ""
		}
		xksproxy.New(xksproxy.Options{
			Prefix: prefix, Keys: keys, Manager: &xksproxy.Trent{Client: client, Prefix: "alias/xks/"}, Audit: sink, Version: version(),
			Timeout: 10 * time.Second, Log: log, Now: time.Now,
		}).ServeHTTP(w, r)
	})
	stopped = make(chan error, 1)
	go func() { stopped <- errors.Join(serveXKS(ctx, b.proxy, t, h, log), sink.Close()) }()
	return stopped, nil
}
