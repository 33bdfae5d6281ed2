package faults

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"trent/internal/follow"
	"trent/internal/store/etcd/etcdtest"
	"trent/trenttest/process"
)

const (
	bound       = follow.DefaultBound / 2 // of clusters that are hurt, so that twice as many uses are beyond it
	etcdTimeout = 2 * time.Second         // of these
	patience    = 60 * time.Second        // until a cluster is well again
)

// A world is three members of etcd and three nodes of Trent, all processes of their own; on loopback, or
// each on a machine of its own.
type world struct {
	t             *testing.T
	members       *etcdtest.Cluster
	memberAt      []*machine // nil: all on loopback
	nodes         []*node
	slow          []*slowDisk // of the members; empty: they are as they are
	binary        string
	keyID, secret string
	etcd          *clientv3.Client
}

// A node is one Trent. Those that replace it have its address.
type node struct {
	at     *machine // nil: loopback
	listen string
	dir    string
	binary string
	srv    *process.Server
}

// newWorld starts a cluster. It ends with the test.
func newWorld(t *testing.T, network bool, size int) *world {
	t.Helper()
	binary, err := process.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, binary: binary}
	secure := w.startMembers(network)
	w.useEtcd(secure)
	first := w.newNode(0, network)
	if w.keyID, w.secret, err = process.Init(binary, first.dir); err != nil {
		t.Fatal(err)
	}
	for i := range size {
		n := first
		if i > 0 {
			n = w.newNode(i, network)
			w.join(n)
		}
		w.nodes = append(w.nodes, n)
		n.start(t)
		t.Cleanup(func() { n.srv.Kill() })
	}
	return w
}

// startMembers starts etcd: in a network with TLS, since that is the only way there.
func (w *world) startMembers(network bool) *etcdtest.TLS {
	places, addresses := make([]etcdtest.Place, 3), []string{}
	w.slow = slowDisks(w.t, len(places))
	for i := range places {
		if len(w.slow) > 0 {
			places[i].Dir = w.slow[i].dir
		}
		if network {
			m := plug(w.t, fmt.Sprintf("m%d", i), 10+i)
			w.memberAt = append(w.memberAt, m)
			places[i].Host, places[i].Enter = m.address, m.enter()
			addresses = append(addresses, m.address)
		}
	}
	if !network {
		w.members = etcdtest.StartAt(w.t, places, nil)
		return nil
	}
	secure := authority(w.t, addresses)
	w.members = etcdtest.StartAt(w.t, places, secure)
	return secure
}

// useEtcd has nodes use the members, by their environment, and asks them itself.
func (w *world) useEtcd(secure *etcdtest.TLS) {
	w.t.Setenv("TRENT_STORE", "etcd")
	w.t.Setenv("TRENT_ETCD_ENDPOINTS", strings.Join(w.members.Endpoints(), ","))
	var config *tls.Config
	if secure != nil {
		w.t.Setenv("TRENT_ETCD_CA", secure.CA)
		w.t.Setenv("TRENT_ETCD_CERT", secure.Cert)
		w.t.Setenv("TRENT_ETCD_KEY", secure.Key)
		w.t.Setenv("TRENT_INSECURE_PLAINTEXT", "true") // on a network that is this test's alone
		config = clientTLS(w.t, secure)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: w.members.Endpoints(), TLS: config, DialTimeout: time.Second, Logger: zap.NewNop()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { client.Close() })
	w.etcd = client
}

func (w *world) newNode(i int, network bool) *node {
	n := &node{dir: filepath.Join(w.t.TempDir(), "data"), binary: w.binary}
	if network {
		n.at = plug(w.t, fmt.Sprintf("n%d", i), 20+i)
		n.listen = n.at.address + ":7666"
		return n
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	n.listen = l.Addr().String()
	l.Close()
	return n
}

// join brings a node what it needs of another: the root of trust.
func (w *world) join(n *node) {
	root, err := os.ReadFile(filepath.Join(w.nodes[0].dir, "root.key"))
	if err == nil {
		err = errors.Join(os.MkdirAll(n.dir, 0o700), os.WriteFile(filepath.Join(n.dir, "root.key"), root, 0o600))
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (n *node) url() string { return "http://" + n.listen }

// start starts the node, again if it was killed. It may take some attempts: a cluster that is not well
// does not let it start.
func (n *node) start(t *testing.T) {
	args := []string{n.binary, "serve", "--dir", n.dir, "--listen", n.listen}
	if n.at != nil {
		args = append(n.at.enter(), args...)
	}
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if n.srv, err = (process.Command{Binary: args[0], Args: args[1:]}).Start(); err == nil {
			return
		}
		n.srv.Kill()
	}
	t.Fatalf("the node at %s does not start: %v", n.listen, err)
}

func (n *node) pause() error { return n.srv.Signal(syscall.SIGSTOP) }
func (n *node) goOn() error  { return n.srv.Signal(syscall.SIGCONT) }

// client is one of a node, which is asked once.
func (w *world) client(n *node) *kms.Client { return clientOf(n.url(), w.keyID, w.secret) }

func clientOf(url, keyID, secret string) *kms.Client {
	return kms.New(kms.Options{
		Region: "us-east-1", BaseEndpoint: &url, RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
			MaxIdleConnsPerHost: 64, DialContext: (&net.Dialer{Timeout: time.Second}).DialContext,
		}},
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
	})
}

// leader is the index of the member that leads, once there is one.
func (w *world) leader() int {
	w.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for i, e := range w.members.Endpoints() {
			ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			status, err := w.etcd.Status(ctx, e)
			cancel()
			if err == nil && status.Leader == status.Header.MemberId && len(status.Errors) == 0 {
				return i
			}
		}
	}
	w.t.Fatal("the members have no leader")
	return 0
}

// untilWell waits until every node takes a write.
func (w *world) untilWell(keyID string) {
	w.t.Helper()
	for i, n := range w.nodes {
		var err error
		c := w.client(n)
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if _, err = c.UpdateKeyDescription(context.Background(), &kms.UpdateKeyDescriptionInput{KeyId: &keyID, Description: new(string)}); err == nil {
				break
			}
			if time.Now().After(end) {
				w.t.Fatalf("node %d takes no write %v after the fault: %v\n%s", i, patience, err, n.srv.Output())
			}
		}
	}
}
