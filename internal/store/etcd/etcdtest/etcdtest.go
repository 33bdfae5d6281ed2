// Package etcdtest runs etcd for tests: the real server, built from its Go module,
// as processes that can be killed and suspended.
//
// The server is built by the module in the directory server, so that the module
// trent need not depend on what a server of etcd depends on
// (docs/decisions/0018-etcd.md). The first build takes a minute or two and what it
// makes is kept in the user's cache directory.
package etcdtest

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a member may take to say that it is healthy.
const patience = 60 * time.Second

// A Member is one etcd process.
type Member struct {
	Endpoint string
	command  []string
	output   string // a file
	asks     *http.Client
	process  *exec.Cmd
}

// A Cluster is members that know each other.
type Cluster struct{ Members []*Member }

// A Place is where a member runs. The zero value is loopback.
type Place struct {
	Host  string   // the address of a machine of its own; "": loopback, on ports that are free
	Enter []string // the command that runs another there: ip netns exec NAME
	Dir   string   // for its data; "": a temporary one
}

// TLS has members that know each other, and know clients, by certificates. The files are PEM.
type TLS struct {
	CA, Cert, Key string
	Client        *http.Client // one that they know
}

// Start starts a cluster of n members on loopback and waits until they are healthy. It ends with
// the test. args go to every member.
func Start(t testing.TB, n int, args ...string) *Cluster {
	t.Helper()
	return StartAt(t, make([]Place, n), nil, args...)
}

// StartAt is Start at these places, with TLS if secure is not nil.
func StartAt(t testing.TB, places []Place, secure *TLS, args ...string) *Cluster {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatalf("build etcd: %v", err)
	}
	c := &Cluster{}
	scheme, asks := "http://", &http.Client{Timeout: time.Second}
	if secure != nil {
		scheme, asks = "https://", secure.Client
		args = append(args, secure.args()...)
	}
	addresses := addressesOf(t, places)
	var initial []string
	for i, a := range addresses {
		initial = append(initial, fmt.Sprintf("m%d=%s%s", i, scheme, a.peer))
	}
	dir := t.TempDir()
	for i, p := range places {
		client, peer := scheme+addresses[i].client, scheme+addresses[i].peer
		data := p.Dir
		if data == "" {
			data = dir
		}
		command := append(append([]string{}, p.Enter...), binary,
			"--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(data, fmt.Sprintf("m%d", i)),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(initial, ","), "--log-level", "error")
		m := &Member{Endpoint: client, output: filepath.Join(dir, fmt.Sprintf("m%d.log", i)), asks: asks, command: append(command, args...)}
		c.Members = append(c.Members, m)
		m.Start(t)
		t.Cleanup(m.Kill)
	}
	for _, m := range c.Members {
		m.Wait(t)
	}
	return c
}

func (s *TLS) args() []string {
	return []string{
		"--trusted-ca-file", s.CA, "--cert-file", s.Cert, "--key-file", s.Key, "--client-cert-auth",
		"--peer-trusted-ca-file", s.CA, "--peer-cert-file", s.Cert, "--peer-key-file", s.Key, "--peer-client-cert-auth",
	}
}

type address struct{ client, peer string }

// addressesOf are the usual ports where the host is the member's alone.
func addressesOf(t testing.TB, places []Place) (all []address) {
	t.Helper()
	free := freePorts(t, 2*len(places))
	for i, p := range places {
		if p.Host == "" {
			all = append(all, address{free[2*i], free[2*i+1]})
		} else {
			all = append(all, address{p.Host + ":2379", p.Host + ":2380"})
		}
	}
	return all
}

// Endpoints are those of all members.
func (c *Cluster) Endpoints() (all []string) {
	for _, m := range c.Members {
		all = append(all, m.Endpoint)
	}
	return all
}

// Start starts the member, again if it was killed.
func (m *Member) Start(t testing.TB) {
	t.Helper()
	out, err := os.OpenFile(m.output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	m.process = exec.Command(m.command[0], m.command[1:]...)
	m.process.Env = append(os.Environ(), "GODEBUG=") // what a test asks of Trent is not asked of etcd
	m.process.Stdout, m.process.Stderr = out, out
	m.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.process.Start(); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the member at once, as a power cut would.
func (m *Member) Kill() {
	if m.process != nil {
		_ = m.process.Process.Kill()
		_ = m.process.Wait()
		m.process = nil
	}
}

// Suspend and Resume stop the member and let it go on.
func (m *Member) Suspend() error { return m.process.Process.Signal(syscall.SIGSTOP) }

// Resume is the other half of Suspend.
func (m *Member) Resume() error { return m.process.Process.Signal(syscall.SIGCONT) }

// Wait waits until the member is healthy.
func (m *Member) Wait(t testing.TB) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if answer, err := m.asks.Get(m.Endpoint + "/health"); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	said, _ := os.ReadFile(m.output)
	t.Fatalf("etcd at %s is not healthy:\n%s", m.Endpoint, said)
}

func freePorts(t testing.TB, n int) (all []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all
}

// build returns the path of the server's binary, which it makes if it has not been
// made from these sources before.
var build = sync.OnceValues(func() (string, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("the sources cannot be found")
	}
	sources := filepath.Join(filepath.Dir(here), "server")
	pinned, err := os.ReadFile(filepath.Join(sources, "go.sum"))
	if err != nil {
		return "", err
	}
	sum := fnv.New64a()
	sum.Write(pinned)
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "trent-test")
	binary := filepath.Join(dir, fmt.Sprintf("etcd-%s-%016x", runtime.Version(), sum.Sum64()))
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	fresh := fmt.Sprintf("%s.%d", binary, os.Getpid())
	cmd := exec.Command("go", "build", "-trimpath", "-o", fresh, ".")
	cmd.Dir = sources
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, said)
	}
	return binary, os.Rename(fresh, binary)
})
