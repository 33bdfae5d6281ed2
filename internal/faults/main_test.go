package faults

import (
	"crypto/fips140"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"trent/trenttest/process"
)

// childRole names, in the environment, what a child is to do: the test binary runs itself again
// where a fault wants a process of its own.
const childRole = "TRENT_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childRole) {
	case "writer":
		if err := writeRecords(os.Args[1], os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "network":
		if err := ownNetwork(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	default:
		flag.Parse()
		if all := flag.Lookup("test.run").Value; fips140.Enforced() && all.String() == "" {
			fmt.Println("faults: where only approved cryptography is allowed TestKill alone is run: what the other faults do does not depend on it")
			_ = all.Set("^TestKill$")
		}
		os.Exit(withBinary(m))
	}
}

// withBinary runs the tests with one trent, which is built once for all of them and their children.
func withBinary(m *testing.M) int {
	dir, err := os.MkdirTemp("", "trent-faults-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, err := process.Build(dir)
	if err == nil {
		err = os.Setenv("TRENT_BINARY", binary)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// child is the test binary in another role. It ends with this process.
func child(role string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childRole+"="+role, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// many is a number from the environment, for make torture, or the one for make test.
func many(variable string, few int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil && n > 0 {
		return n
	}
	return few
}

// faultSeed gives, in the environment, the seed of an earlier run again.
const faultSeed = "TRENT_FAULT_SEED"

// seeded is a random source whose seed the test logs.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	if s, err := strconv.ParseUint(os.Getenv(faultSeed), 10, 64); err == nil {
		seed = s
	}
	t.Logf("%s=%d", faultSeed, seed)
	return rand.New(rand.NewPCG(seed, 0))
}
