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

// A Member is one etcd process on loopback.
type Member struct {
	Endpoint string
	binary   string
	args     []string
	output   string // a file
	process  *exec.Cmd
}

// A Cluster is members that know each other.
type Cluster struct{ Members []*Member }

// Start starts a cluster of n members and waits until they are healthy. It ends with
// the test. args go to every member.
func Start(t testing.TB, n int, args ...string) *Cluster {
	t.Helper()
	binary, err := build()
	if err != nil {
		t.Fatalf("build etcd: %v", err)
	}
	c := &Cluster{}
	ports := freePorts(t, 2*n)
	var initial []string
	for i := range n {
		initial = append(initial, fmt.Sprintf("m%d=http://%s", i, ports[2*i+1]))
	}
	dir := t.TempDir()
	for i := range n {
		client, peer := "http://"+ports[2*i], "http://"+ports[2*i+1]
		m := &Member{Endpoint: client, binary: binary, output: filepath.Join(dir, fmt.Sprintf("m%d.log", i)), args: append([]string{
			"--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(dir, fmt.Sprintf("m%d", i)),
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(initial, ","), "--log-level", "error",
		}, args...)}
		c.Members = append(c.Members, m)
		m.Start(t)
		t.Cleanup(m.Kill)
	}
	for _, m := range c.Members {
		m.Wait(t)
	}
	return c
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
	m.process = exec.Command(m.binary, m.args...)
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
	client := http.Client{Timeout: time.Second}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if answer, err := client.Get(m.Endpoint + "/health"); err == nil {
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
