// Command trent is a key management service that speaks the AWS KMS protocol:
// the server, and thin clients for it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"

	"trent/internal/recipient/devroot"
)

// cli is the whole command line. Help, environment variables and the
// configuration file all come from its tags.
type cli struct {
	Quickstart  quickstartCmd  `cmd:"" help:"Make what is missing, serve, and show a data key. The way to try Trent."`
	Init        initCmd        `cmd:"" help:"Make a root of trust, a store and an administrator in a new data directory."`
	Serve       serveCmd       `cmd:"" help:"Serve the keys of a data directory."`
	Status      statusCmd      `cmd:"" help:"Tell how a server is."`
	Store       storeCmd       `cmd:"" help:"Copy a store."`
	Fsck        fsckCmd        `cmd:"" help:"Read all of a store, and tell what is missing, altered, put back or unreadable."`
	Backup      backupCmd      `cmd:"" help:"Back up a running server's store, or verify a backup."`
	Restore     restoreCmd     `cmd:"" help:"Make a store of a backup, in a place where there is none."`
	Root        rootCmd        `cmd:"" help:"List, test, add and remove roots of trust of a data directory."`
	Rekey       rekeyCmd       `cmd:"" help:"Give a running server's store new root keys, and its accounts new keys of their own."`
	Key         keyCmd         `cmd:"" help:"Create, list, describe, enable, disable and delete keys."`
	Alias       aliasCmd       `cmd:"" help:"Create, update, delete and list aliases."`
	Datakey     datakeyCmd     `cmd:"" help:"Generate a data key."`
	Account     accountCmd     `cmd:"" help:"Create, list, close and reopen accounts."`
	Apply       applyCmd       `cmd:"" help:"Make accounts, principals, policies, keys and grants what a declaration says."`
	Import      importCmd      `cmd:"" help:"Take over the keys of another server, in dev mode."`
	Policy      policyCmd      `cmd:"" help:"Explain decisions, and find dangerous policies."`
	Attest      attestCmd      `cmd:"" help:"Make attestation documents for trying, and explain any. Asks no server."`
	Conformance conformanceCmd `cmd:"" help:"Perform every action of the API, and tell which outcomes were seen."`
	XksProxy    xksProxyCmd    `cmd:"" name:"xks-proxy" help:"Let AWS KMS, or another Trent, use keys that lie in this one."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

// world is what a command needs of its surroundings.
type world struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(&world{ctx, os.Stdout, os.Stderr}, os.Args[1:]))
}

// run parses and performs one command and returns the exit code: 0, 1 for a
// command that failed, 2 for one that was not understood.
func run(w *world, args []string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(exit)
			if !ok {
				panic(p)
			}
			code = int(e)
		}
	}()
	var c cli
	parser, err := kong.New(&c,
		kong.Name("trent"),
		kong.Description("A key management service that speaks the AWS KMS protocol."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Configuration(loadConfig),
		kong.Vars{"module_id": devroot.DefaultModuleID},
		kong.Writers(w.stdout, w.stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
	)
	if err != nil {
		fmt.Fprintln(w.stderr, "trent: internal error:", err)
		return 1
	}
	ignoreEmptyVariables(parser.Model)
	ctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(w.stderr, "trent: %v\nRun trent --help, or trent COMMAND --help.\n", err)
		return 2
	}
	if err := ctx.Run(w); err != nil {
		fmt.Fprintf(w.stderr, "trent: %v\n", explain(err))
		return 1
	}
	return 0
}

// ignoreEmptyVariables makes an environment variable that is set to nothing the
// same as one that is not set, as a unit file or a compose file that leaves a
// value out means it.
func ignoreEmptyVariables(app *kong.Application) {
	empty := func(name string) bool {
		value, set := os.LookupEnv(name)
		return set && value == ""
	}
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			flag.Tag.Envs = slices.DeleteFunc(slices.Clone(flag.Envs), empty)
		}
		return next(nil)
	})
}

// exit unwinds to run from where kong would end the process, as after --help.
type exit int

type versionCmd struct{}

// Run implements the command.
func (versionCmd) Run(w *world) error {
	_, err := fmt.Fprintln(w.stdout, "trent", version())
	return err
}

// version is what the build knows of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
