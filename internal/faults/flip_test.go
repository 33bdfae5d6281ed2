package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"trent/internal/config"
	"trent/internal/faults/disk"
	"trent/internal/ledger"
	"trent/internal/server"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

// flips says, in the environment, how many bits to flip, each alone.
const flips = "TRENT_BIT_FLIPS"

// A bit that flips anywhere in the file of the store is found: the server does not start, or it answers what
// it did before, or it refuses with an error whose log names the record. It never answers anything
// else. A server that runs cannot see that a path is no longer what it was, and may answer that there is no such thing. The
// log of changes shows it: trent fsck must name the record.
func TestSEC_E01_FlippedBit(t *testing.T) {
	t.Parallel()
	random, w := seeded(t), newWitness(t)
	var refused, failed, unchanged, misplaced int
	few := many(flips, 80)
	for i := range few + few/4 {
		bit := random.IntN(8 * len(w.content))
		if i >= few {
			bit = w.bitOfPath(random)
		}
		switch outcome := w.flip(t, bit); {
		case outcome == sameAnswers:
			unchanged++
		case outcome == notStarted:
			refused++
		case outcome == missing:
			misplaced++
		default:
			failed++
		}
	}
	t.Logf("of %d flipped bits %d kept the server from starting, %d made answers fail, %d were in a path, %d were in nothing that is read",
		refused+failed+unchanged+misplaced, refused, failed, misplaced, unchanged)
	if misplaced == 0 {
		t.Error("no flip was in a path")
	}
	if refused == 0 || failed == 0 {
		t.Error("no flip was found: what is looked at?")
	}
}

// A witness knows what a deployment answers.
type witness struct {
	dir     string // of the deployment
	content []byte // of its store, without the zeros at the end
	size    int64
	keyID   string
	secret  string
	names   []string // the paths of its records
	expect  map[string]string
	blobs   map[string][]byte
}

// local is a server in this process, with a log that can be read.
type local struct {
	*server.Server
	url  string
	log  *logged
	stop func() error
}

// logged is a log in memory.
type logged struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

// serveHere opens a deployment in this process and serves it at the address. The clock is the server's.
func serveHere(c config.Store, listen string, now func() time.Time) (*local, error) {
	log := new(logged)
	s, err := server.Open(context.Background(), c, config.Serve{
		Listen: listen, Regions: []string{"*"}, CacheKeys: 1024, HeaderTimeout: 10 * time.Second, RequestTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, MaxConnections: 256, ShutdownGrace: 5 * time.Second, AttestationMaxAge: 5 * time.Minute, AttestationSkew: time.Minute,
	}, slog.New(slog.NewTextHandler(log, nil)), now)
	if err != nil {
		return nil, err
	}
	l, err := s.Listen()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stop := func() error { cancel(); return errors.Join(<-done, s.Close()) }
	return &local{Server: s, url: "http://" + l.Addr().(*net.TCPAddr).String(), log: log, stop: stop}, nil
}

// initHere makes a deployment and gives the access key of its administrator.
func initHere(t *testing.T, c config.Store) (keyID, secret string) {
	t.Helper()
	if err := server.Init(t.Context(), c, config.Init{Account: "111122223333", Partition: "aws"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(server.CredentialsFile(c))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		switch name {
		case "aws_access_key_id":
			keyID = value
		case "aws_secret_access_key":
			secret = value
		}
	}
	return keyID, secret
}

// newWitness makes a deployment with keys, aliases, policies and grants, and asks for all of it.
func newWitness(t *testing.T) *witness {
	w := &witness{dir: filepath.Join(t.TempDir(), "data"), blobs: make(map[string][]byte)}
	c := config.Store{Dir: w.dir}
	w.keyID, w.secret = initHere(t, c)
	s, err := serveHere(c, "127.0.0.1:0", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(s.url, w.keyID, w.secret, 3)
	for i := range 8 {
		w.makeKey(t, client, i)
	}
	w.expect, err = w.ask(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	w.readStore(t)
	return w
}

func (w *witness) makeKey(t *testing.T, c *kms.Client, i int) {
	ctx := t.Context()
	policy := policyNumber(int64(i))
	made, err := c.CreateKey(ctx, &kms.CreateKeyInput{Description: aws.String(fmt.Sprint("key ", i)), Policy: &policy})
	if err != nil {
		t.Fatal(err)
	}
	id := made.KeyMetadata.KeyId
	_, err1 := c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String(fmt.Sprint("alias/flip-", i)), TargetKeyId: id})
	_, err2 := c.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: id, GranteePrincipal: aws.String("arn:aws:iam::111122223333:root"), Operations: []types.GrantOperation{types.GrantOperationEncrypt}})
	out, err3 := c.Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: []byte(*id)})
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	w.blobs[*id] = out.CiphertextBlob
	if i%3 == 0 {
		if _, err := c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: id}); err != nil {
			t.Fatal(err)
		}
	}
}

// readStore keeps the file and finds the paths in it.
func (w *witness) readStore(t *testing.T) {
	path := filepath.Join(w.dir, "trent.db")
	page := w.compact(t, path)
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w.content, w.size = bytes.TrimRight(all, "\x00"), int64(len(all))
	for _, r := range page {
		w.names = append(w.names, r.Path)
	}
}

// compact writes the store anew, so that there is little in the file that is not in use.
func (w *witness) compact(t *testing.T, path string) []store.Record {
	old, err := bolt.Open(path, bolt.Options{MaxSize: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	dense, err := bolt.Create(path+".dense", bolt.Options{MaxSize: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	page, err := old.List(t.Context(), "", "", 10_000, false)
	if err != nil {
		t.Fatal(err)
	}
	for records := range slices.Chunk(page, store.MaxBatch) {
		var b store.Batch
		for _, r := range records {
			b.Put = append(b.Put, store.Put{Path: r.Path, Value: r.Value})
		}
		if _, err := dense.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(old.Close(), dense.Close(), os.Rename(path+".dense", path)); err != nil {
		t.Fatal(err)
	}
	return page
}

// ask asks for everything. An answer that is an error is in the result as the code of the error.
func (w *witness) ask(ctx context.Context, c *kms.Client) (map[string]string, error) {
	got := make(map[string]string)
	var broken error
	note := func(what string, err error, answer func() string) {
		refusal, refused := errors.AsType[smithy.APIError](err)
		switch {
		case err == nil:
			got[what] = answer()
		case refused:
			got[what] = "refused " + refusal.ErrorCode()
		default:
			broken = errors.Join(broken, fmt.Errorf("%s: %w", what, err))
		}
	}
	keys, err := c.ListKeys(ctx, &kms.ListKeysInput{})
	note("keys", err, func() (all string) {
		for _, k := range keys.Keys {
			all += *k.KeyId + " "
		}
		return all
	})
	aliases, err := c.ListAliases(ctx, &kms.ListAliasesInput{})
	note("aliases", err, func() (all string) {
		for _, a := range aliases.Aliases {
			all += *a.AliasName + ":" + aws.ToString(a.TargetKeyId) + " "
		}
		return all
	})
	for id, blob := range w.blobs {
		about, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
		note("metadata "+id, err, func() string { return fmt.Sprint(*about.KeyMetadata.Description, about.KeyMetadata.KeyState) })
		policy, err := c.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &id})
		note("policy "+id, err, func() string { return *policy.Policy })
		grants, err := c.ListGrants(ctx, &kms.ListGrantsInput{KeyId: &id})
		note("grants "+id, err, func() (all string) {
			for _, g := range grants.Grants {
				all += *g.GrantId + fmt.Sprint(g.Operations)
			}
			return all
		})
		plain, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, KeyId: &id})
		note("plaintext "+id, err, func() string { return string(plain.Plaintext) })
	}
	return got, broken
}

// What becomes of a flip.
const (
	sameAnswers = "the same answers"
	notStarted  = "not started"
	missing     = "a path that is another, and verification says so"
	errorNamed  = "an error that names the record"
)

// flip serves the deployment with one bit flipped and compares all answers.
func (w *witness) flip(t *testing.T, bit int) (outcome string) {
	t.Helper()
	content := bytes.Clone(w.content)
	content[bit/8] ^= 1 << (bit % 8)
	flipped := disk.Image{Content: content, Size: w.size}
	if err := writeImage(filepath.Join(w.dir, "trent.db"), flipped); err != nil {
		t.Fatal(err)
	}
	s, err := serveHere(config.Store{Dir: w.dir}, "127.0.0.1:0", time.Now)
	if err != nil {
		if len(err.Error()) < 40 {
			t.Errorf("bit %d: the server does not start, and says as little as %q", bit, err)
		}
		return notStarted
	}
	got, err := w.ask(t.Context(), newClient(s.url, w.keyID, w.secret, 1))
	_ = s.stop() // what is damaged may be in the way of what is stored at the end
	if err != nil {
		t.Fatalf("bit %d: %v\n%s", bit, err, s.log.text())
	}
	lost, odd, misplaced := w.pathChanged(t, flipped)
	if misplaced {
		w.verify(t, bit, flipped, lost, odd)
	}
	return w.judge(t, bit, misplaced, got, s.log.text())
}

// bitOfPath is a bit of a path, somewhere where it stands.
func (w *witness) bitOfPath(random *rand.Rand) int {
	for {
		name := []byte(w.names[random.IntN(len(w.names))])
		var places []int
		for at := 0; ; at++ {
			i := bytes.Index(w.content[at:], name)
			if i < 0 {
				break
			}
			at += i
			places = append(places, at)
		}
		if len(places) > 0 {
			return 8*(places[random.IntN(len(places))]+random.IntN(len(name))) + random.IntN(8)
		}
	}
}

// verify checks the flipped file by its log of changes. What is of passing interest, before and after, is not in that.
func (w *witness) verify(t *testing.T, bit int, flipped disk.Image, lost, odd string) {
	t.Helper()
	passing := func(path string) bool {
		return slices.ContainsFunc(server.LedgerOptions(time.Now).Passing, func(p string) bool { return strings.HasPrefix(path, p) })
	}
	if passing(lost) && passing(odd) {
		return
	}
	if err := writeImage(filepath.Join(w.dir, "trent.db"), flipped); err != nil {
		t.Fatal(err)
	}
	r, err := server.Fsck(t.Context(), config.Store{Dir: w.dir})
	if err != nil {
		t.Errorf("bit %d: %q has become %q, and the store cannot be verified: %v", bit, lost, odd, err)
		return
	}
	for _, path := range []string{lost, odd} {
		if !passing(path) && !slices.ContainsFunc(r.Findings, func(f ledger.Finding) bool { return f.Path == path }) {
			t.Errorf("bit %d: %q has become %q, and verification does not name %q: %v", bit, lost, odd, path, r.Findings)
		}
	}
}

func (w *witness) judge(t *testing.T, bit int, misplaced bool, got map[string]string, log string) (outcome string) {
	t.Helper()
	if strings.Contains(log, "panic") {
		t.Errorf("bit %d: %s", bit, log)
	}
	outcome = sameAnswers
	if misplaced {
		outcome = missing
	}
	for what, want := range w.expect {
		switch have := got[what]; {
		case have == want:
		case have == "refused KMSInternalException", have == "refused KeyUnavailableException":
			outcome = errorNamed
			if !namesRecord.MatchString(log) {
				t.Errorf("bit %d: %s failed, and the log names no record: %s", bit, what, log)
			}
		case misplaced:
			outcome = missing
		default:
			t.Errorf("bit %d, byte %#x: %s = %q; want %q\n%s", bit, bit/8, what, have, want, log)
		}
	}
	return outcome
}

// namesRecord is a path in an error.
var namesRecord = regexp.MustCompile(`error=.*[a-z]+/\S`)

// pathChanged reports whether the file has as many records as before, of which one has another
// path: what it was, and what it is.
func (w *witness) pathChanged(t *testing.T, flipped disk.Image) (lost, odd string, changed bool) {
	t.Helper()
	err := opened(w.dir, flipped, func(s *bolt.Store) error {
		recs, err := s.List(t.Context(), "", "", 10_000, true)
		var there []string
		for _, r := range recs {
			there = append(there, r.Path)
		}
		missing, added := without(w.names, there), without(there, w.names)
		if changed = len(missing) == 1 && len(added) == 1; changed {
			lost, odd = missing[0], added[0]
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lost, odd, changed
}

// without is all but those that are in others.
func without(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(others, s) })
}
