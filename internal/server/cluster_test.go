package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"trent/internal/config"
	"trent/internal/follow"
	"trent/internal/identity"
	"trent/internal/store"
	"trent/internal/store/etcd/etcdtest"
)

// A node is a server that listens.
type node struct {
	*Server
	url string
}

// ask sends a signed request to the node and decodes the answer; it returns the type of the error,
// or "".
func (n *node) ask(t testing.TB, cred aws.Credentials, action string, params, answer any) string {
	t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	r := request(t, cred, action, string(body))
	to, err := http.NewRequest(http.MethodPost, n.url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	to.Header, to.Host = r.Header, r.URL.Host
	got, err := http.DefaultClient.Do(to)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != http.StatusOK {
		var refusal struct {
			Type string `json:"__type"`
		}
		if json.Unmarshal(text, &refusal) != nil || refusal.Type == "" {
			t.Fatalf("%s: %d %s", action, got.StatusCode, text)
		}
		return refusal.Type
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			t.Fatalf("%s: %v: %s", action, err, text)
		}
	}
	return ""
}

// onEtcd are the settings of a node in a directory of its own.
func onEtcd(t testing.TB, endpoints []string) config.Store {
	t.Helper()
	c := config.Store{Dir: t.TempDir(), Kind: "etcd", EtcdEndpoints: endpoints, EtcdPrefix: "trent/", EtcdTimeout: 2 * time.Second}
	if err := os.Chmod(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return c
}

// joining are those of a further node, which has nothing but the root of trust of another.
func joining(t *testing.T, first config.Store) config.Store {
	t.Helper()
	c := onEtcd(t, first.EtcdEndpoints)
	root, err := os.ReadFile(filepath.Join(first.Dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(c.Dir, "root.key"), string(root))
	return c
}

// serving starts a node; it ends with the test.
func serving(t testing.TB, c config.Store) *node {
	t.Helper()
	s, err := Open(t.Context(), c, settingsFor("127.0.0.1:0"), slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, s.Close()); err != nil {
			t.Error(err)
		}
	})
	return &node{s, "http://" + l.Addr().String() + "/"}
}

// cluster is n nodes on one etcd, and the administrator's access key.
func cluster(t *testing.T, n int) ([]*node, aws.Credentials, *etcdtest.Cluster) {
	t.Helper()
	members := etcdtest.Start(t, 1, "--unsafe-no-fsync")
	first := onEtcd(t, members.Endpoints())
	if err := Init(t.Context(), first, config.Init{Account: "111122223333", Partition: "aws"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	nodes := []*node{serving(t, first)}
	for len(nodes) < n {
		nodes = append(nodes, serving(t, joining(t, first)))
	}
	return nodes, readCredentials(t, CredentialsFile(first)), members
}

type keyAnswer struct {
	KeyMetadata struct {
		KeyID string `json:"KeyId"`
	}
}

// Each node serves every request, and sees at once what another has made.
func TestTwoNodes(t *testing.T) {
	nodes, admin, _ := cluster(t, 2)
	for i, n := range nodes {
		other := nodes[1-i]
		var made keyAnswer
		if refused := n.ask(t, admin, "CreateKey", struct{}{}, &made); refused != "" {
			t.Fatalf("node %d: CreateKey: %s", i, refused)
		}
		id := made.KeyMetadata.KeyID
		var sealed struct{ CiphertextBlob string }
		if refused := other.ask(t, admin, "Encrypt", map[string]string{"KeyId": id, "Plaintext": "aGVsbG8="}, &sealed); refused != "" {
			t.Fatalf("node %d: Encrypt under a key of the other: %s", 1-i, refused)
		}
		var opened struct{ Plaintext string }
		if refused := n.ask(t, admin, "Decrypt", sealed, &opened); refused != "" || opened.Plaintext != "aGVsbG8=" {
			t.Fatalf("node %d: Decrypt: %s %q", i, refused, opened.Plaintext)
		}
		if refused := n.ask(t, admin, "CreateAlias", map[string]string{"AliasName": "alias/of-" + string(rune('a'+i)), "TargetKeyId": id}, nil); refused != "" {
			t.Fatalf("node %d: CreateAlias: %s", i, refused)
		}
		if refused := other.ask(t, admin, "DescribeKey", map[string]string{"KeyId": "alias/of-" + string(rune('a'+i))}, &made); refused != "" || made.KeyMetadata.KeyID != id {
			t.Fatalf("node %d: DescribeKey by alias: %s", 1-i, refused)
		}
	}
}

func TestInitNeverReplacesACluster(t *testing.T) {
	members := etcdtest.Start(t, 1, "--unsafe-no-fsync")
	o := config.Init{Account: "111122223333", Partition: "aws"}
	first, second := onEtcd(t, members.Endpoints()), onEtcd(t, members.Endpoints())
	if err := Init(t.Context(), first, o, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := Init(t.Context(), second, o, time.Now()); !errors.Is(err, ErrInitialised) {
		t.Fatalf("Init on the same prefix: %v; want ErrInitialised", err)
	}
	if left := listing(second.Dir); left != "" {
		t.Errorf("it left %s", left)
	}
	second.EtcdPrefix = "another/"
	if err := Init(t.Context(), second, o, time.Now()); err != nil {
		t.Errorf("Init on another prefix: %v", err)
	}
}

func TestClearTextToEtcdOnLoopbackAlone(t *testing.T) {
	for endpoint, fine := range map[string]bool{
		"http://127.0.0.1:2379": true, "http://localhost:2379": true, "http://[::1]:2379": true, "https://10.0.0.1:2379": true,
		"http://10.0.0.1:2379": false, "http://etcd:2379": false, "10.0.0.1:2379": false, "unix:///run/etcd": false, "": false,
	} {
		if err := checkEndpoints([]string{endpoint}); (err == nil) != fine {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// What is revoked on one node is refused by the other within the bound: the administrator's uses of
// the key are never allowed later than that.
func TestSEC_E04_RevocationOnTheOtherNode(t *testing.T) {
	nodes, admin, _ := cluster(t, 2)
	var made keyAnswer
	if refused := nodes[0].ask(t, admin, "CreateKey", struct{}{}, &made); refused != "" {
		t.Fatal(refused)
	}
	named := map[string]string{"KeyId": made.KeyMetadata.KeyID}
	use := map[string]string{"KeyId": made.KeyMetadata.KeyID, "Plaintext": "aGVsbG8="}
	var worst time.Duration
	for range 20 {
		for _, n := range nodes { // the key is in both caches
			if refused := n.ask(t, admin, "Encrypt", use, nil); refused != "" {
				t.Fatal(refused)
			}
		}
		if refused := nodes[0].ask(t, admin, "DisableKey", named, nil); refused != "" {
			t.Fatal(refused)
		}
		worst = max(worst, untilAnswer(t, nodes[1], admin, "Encrypt", use, "DisabledException"))
		if refused := nodes[1].ask(t, admin, "EnableKey", named, nil); refused != "" {
			t.Fatal(refused)
		}
		worst = max(worst, untilAnswer(t, nodes[0], admin, "Encrypt", use, ""))
	}
	t.Logf("the other node followed after %v at worst", worst)
}

// untilAnswer asks until the answer is the one that is wanted, and fails if that takes longer than
// the bound.
func untilAnswer(t *testing.T, n *node, cred aws.Credentials, action string, params any, want string) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		asked := time.Since(began)
		got := n.ask(t, cred, action, params, nil)
		if got == want {
			return time.Since(began)
		}
		if asked > follow.DefaultBound {
			t.Fatalf("%s, asked %v after the change, gives %q and not %q", action, asked, got, want)
		}
	}
}

// An access key that is made on one node signs on the other, until it is deleted on the first.
func TestSEC_E04_AccessKeysOnTheOtherNode(t *testing.T) {
	nodes, _, _ := cluster(t, 2)
	k, err := nodes[0].users.Bootstrap(t.Context(), identity.Newcomer{Account: "111122223333", Name: "bob", Attached: []string{identity.AdministratorARN("aws")}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	bob := aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: string(k.Secret.Expose())}
	came := untilAnswer(t, nodes[1], bob, "ListKeys", struct{}{}, "")
	if err := nodes[0].users.Commit(t.Context(), nodes[0].users.View(), []identity.Change{identity.Delete(k)}, nil); err != nil {
		t.Fatal(err)
	}
	went := untilAnswer(t, nodes[1], bob, "ListKeys", struct{}{}, "UnrecognizedClientException")
	t.Logf("the other node knew the key after %v, and its end after %v", came, went)
}

// Without etcd a node answers from what it has cached for as long as the bound, then not at all, and
// again when etcd is back.
func TestSEC_E04_NodeWithoutItsStore(t *testing.T) {
	nodes, admin, members := cluster(t, 1)
	n := nodes[0]
	var made keyAnswer
	if refused := n.ask(t, admin, "CreateKey", struct{}{}, &made); refused != "" {
		t.Fatal(refused)
	}
	use := map[string]string{"KeyId": made.KeyMetadata.KeyID, "Plaintext": "aGVsbG8="}
	if refused := n.ask(t, admin, "Encrypt", use, nil); refused != "" {
		t.Fatal(refused)
	}
	if err := members.Members[0].Suspend(); err != nil {
		t.Fatal(err)
	}
	lost := time.Now()
	for {
		asked := time.Now()
		refused := n.ask(t, admin, "Encrypt", use, nil)
		if since := asked.Sub(lost); refused == "" && since > follow.DefaultBound {
			t.Fatalf("answered %v after the store was gone", since)
		}
		if refused == "KeyUnavailableException" {
			break
		}
		if refused != "" {
			t.Fatal(refused)
		}
	}
	if held := time.Since(lost); held < follow.DefaultBound/2 {
		t.Errorf("refused already %v after the store was gone", held)
	}
	if err := n.ready(); err == nil {
		t.Error("the node is ready")
	}
	if err := members.Members[0].Resume(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); n.ask(t, admin, "Encrypt", use, nil) != ""; {
		if time.Now().After(end) {
			t.Fatal("the node has not caught up")
		}
	}
}

// A deployment moves from its file into etcd and serves there with what it had; and back.
func TestCopyStore(t *testing.T) {
	members := etcdtest.Start(t, 1, "--unsafe-no-fsync")
	c := initDir(t)
	c.EtcdEndpoints, c.EtcdPrefix = members.Endpoints(), "trent/"
	n, err := CopyStore(t.Context(), c, "bolt", "etcd", nil)
	if err != nil || n < 4 {
		t.Fatalf("CopyStore = %d, %v", n, err)
	}
	admin := readCredentials(t, CredentialsFile(c))
	t.Run("served", func(t *testing.T) {
		moved := c
		moved.Kind = "etcd"
		if refused := serving(t, moved).ask(t, admin, "CreateKey", struct{}{}, nil); refused != "" {
			t.Fatal(refused)
		}
	})
	moved := c
	moved.Kind = "etcd"
	wantSound(t, moved)
	if _, err := CopyStore(t.Context(), c, "bolt", "etcd", nil); !errors.Is(err, store.ErrDiffers) {
		t.Errorf("from a file that is behind: %v; want ErrDiffers", err)
	}
	remove(t, filepath.Join(c.Dir, "trent.db"))
	if back, err := CopyStore(t.Context(), c, "etcd", "bolt", nil); err != nil || back <= n {
		t.Fatalf("back: %d, %v; there were %d before a key was made", back, err, n)
	}
	wantSound(t, c)
	if err := open(t, c); err != nil {
		t.Fatal(err)
	}
}

// wantSound wants that fsck finds nothing.
func wantSound(t *testing.T, c config.Store) {
	t.Helper()
	r, err := Fsck(t.Context(), c)
	if err != nil || len(r.Findings) > 0 {
		t.Errorf("fsck of %s: %+v, %v", filesOf(c).store, r, err)
	}
}
