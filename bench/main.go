// Command bench measures Trent against a bare net/http server in one run on one
// machine, and prints what docs/performance.md holds: server CPU per request,
// requests per second and latency, for several actions, numbers of connections
// and with TLS; what attestation documents cost; then what the store costs: synced creations, start-up, memory
// and latency with many keys.
//
// Absolute times mean little on a shared machine. The ratios do, since both
// servers are driven in turn, several times, and medians are compared.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

type options struct {
	rounds   int
	duration time.Duration
	keys     int
	only     string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how often each pair of servers is measured; medians are printed")
	flag.DurationVar(&o.duration, "duration", 3*time.Second, "measured time of each run")
	flag.IntVar(&o.keys, "keys", 100_000, "keys in the large store")
	flag.StringVar(&o.only, "only", "", "one part alone: requests, attested, operations, rekey, store")
	flag.Parse()
	if err := run(os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, o options) error {
	dir, err := os.MkdirTemp("", "trent-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, out: w, dir: dir}
	if err := b.build(); err != nil {
		return err
	}
	fmt.Fprintf(w, "machine: %s, %d CPUs, %s, data on %s\n\n", cpuModel(), runtime.NumCPU(), runtime.Version(), fileSystem(dir))
	if o.only == "" || o.only == "requests" {
		if err := b.requests(); err != nil {
			return err
		}
	}
	if o.only == "" || o.only == "attested" {
		if err := b.attested(); err != nil {
			return err
		}
	}
	if o.only == "" || o.only == "operations" {
		if err := b.operations(); err != nil {
			return err
		}
	}
	if o.only == "" || o.only == "rekey" {
		if err := b.rekey(); err != nil {
			return err
		}
	}
	if o.only == "" || o.only == "store" {
		return b.store()
	}
	return nil
}

// bench is one run.
type bench struct {
	options
	out io.Writer
	dir string // binaries and data; removed at the end
}

// build compiles the servers and the load generator.
func (b *bench) build() error {
	cmd := exec.Command("go", "build", "-o", b.dir+string(filepath.Separator), "./bench/bare", "./bench/floor", "./bench/kmsload", "./cmd/trent")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build (run bench from the root of the project): %w", err)
	}
	return nil
}
