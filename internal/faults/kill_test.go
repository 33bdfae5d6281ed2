// Package faults does to Trent what the world does, and holds it to what it acknowledged: it
// kills servers in the middle of their work, cuts the power of disks and the cables of networks, and
// stops the members of a cluster.
//
// To add to it: a fault of a file is a disk.Fault (faults/disk), and what a store must show after one is
// in writer_test.go; a fault of a cluster is an entry of the list in schedule_test.go, with what heals
// it; what clients do meanwhile, and what is asked of their answers, is in load_test.go and
// history_test.go. Whatever is drawn at random comes from a seed that the test logs and that TRENT_FAULT_SEED
// gives again. Each test has a short form for make test and a long one for make torture.
package faults

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"trent/trenttest/process"
)

// killRounds says, in the environment, how often to kill; the default is 3.
const killRounds = "TRENT_KILL_ROUNDS"

const (
	writers    = 8
	mostBlobs  = 1500 // that are decrypted after a round, of those of earlier rounds
	mostKeys   = 1500 // whose description and policy are read after a round
	leastAcks  = 60   // that a round waits for before it may kill
	spreadAcks = 400
)

// TestKill kills the server with SIGKILL while many write, starts it again, and
// looks for everything that was acknowledged, in this round or an earlier one.
// The journal of what was acknowledged is here, not in the server.
func TestKill(t *testing.T) {
	rounds := 3
	if n, err := strconv.Atoi(os.Getenv(killRounds)); err == nil {
		rounds = n
	}
	binary, err := process.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	keyID, secret, err := process.Init(binary, dir)
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{keys: make(map[string]*ackedKey), aliases: make(map[string]string)}
	server := process.Command{Binary: binary, Args: []string{"serve", "--dir", dir, "--listen", "127.0.0.1:0"}}
	start := time.Now()
	for round := range rounds + 1 {
		srv, err := server.Start()
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		t.Cleanup(srv.Kill)
		j.check(t, newClient(srv.URL, keyID, secret, 5), round == rounds)
		if t.Failed() || round == rounds {
			srv.Kill()
			break
		}
		// A call of a writer that fails was not acknowledged: it is not tried again.
		j.round(t, newClient(srv.URL, keyID, secret, 1), srv)
	}
	t.Logf("%d kills in %.0f s: %d keys, %d aliases and %d ciphertexts were acknowledged; %d looks at them, %d of them decryptions",
		rounds, time.Since(start).Seconds(), len(j.keys), len(j.aliases), len(j.blobs), j.checks, j.decrypted)
}

// newClient makes a client that tries so often. One attempt is not enough to
// read: the SDK closes the body of its request when the header of the answer has
// come, and now and then loses the connection by that, whatever the server, in
// the middle of a long answer.
func newClient(url, keyID, secret string, attempts int) *kms.Client {
	return kms.New(kms.Options{
		Region: "us-east-1", BaseEndpoint: &url, RetryMaxAttempts: attempts,
		HTTPClient:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: writers}},
		Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, ""),
	})
}
