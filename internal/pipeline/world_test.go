package pipeline_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/identity"
	"trent/internal/keyring"
	"trent/internal/pipeline"
	"trent/internal/root"
	"trent/internal/root/file"
	"trent/internal/seal"
	"trent/internal/store/bolt"
)

// world is a road over a real store, with a clock that tests move and callers
// that need no signature.
type world struct {
	t          testing.TB
	dir        string
	store      *bolt.Store
	root       root.Root
	sealer     *seal.Sealer
	ring       *keyring.Ring
	identities *identity.Directory
	road       *pipeline.Road
	audit      *memorySink

	enclave   *enclave
	newKeys   action.NewKeys    // nil: each is made when it is asked for
	hasRegion func(string) bool // nil: all are there
	proxies   *fakeProxies

	mu  sync.Mutex
	now time.Time
}

// memorySink keeps audit records; with a fault set it refuses them.
type memorySink struct {
	mu    sync.Mutex
	lines []string
	fault error
}

func (s *memorySink) Append(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return s.fault
	}
	s.lines = append(s.lines, string(line))
	return nil
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, dir: t.TempDir(), audit: new(memorySink), proxies: newFakeProxies(), now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	st, err := bolt.Create(filepath.Join(w.dir, "trent.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := file.Create(filepath.Join(w.dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	w.store, w.root = st, r
	_, sealer, err := seal.Create(context.Background(), []root.Root{r})
	if err != nil {
		t.Fatal(err)
	}
	w.sealer = sealer
	if w.identities, err = identity.Open(context.Background(), st, sealer, "aws"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{account, foreign} {
		if err := w.identities.CreateAccount(context.Background(), id, "", w.now); err != nil {
			t.Fatal(err)
		}
	}
	if w.ring, err = keyring.New(st, sealer, keyring.Options{Tenants: w.identities, Partition: "aws", CacheKeys: 1 << 12, Proxies: w.proxies}); err != nil {
		t.Fatal(err)
	}
	w.enclave = newEnclave(t, w.now)
	w.layRoad()
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// newPopulated is a world with the users and roles of whom policies and grants
// speak.
func newPopulated(t testing.TB) *world {
	w := newWorld(t)
	w.populate()
	return w
}

func (w *world) populate() {
	for _, account := range []string{account, foreign} {
		var all []identity.Change
		for _, name := range []string{"admin", "nobody", "stranger", "app", "alice", "bob", "carol", "grantee", "middle", "retiring", "denied", "gone"} {
			all = append(all, identity.Create(&identity.User{Account: account, ID: uniqueID("AIDA", account, name), Name: name, Path: "/"}))
		}
		all = append(all, identity.Create(&identity.Role{Account: account, ID: uniqueID("AROA", account, "batch"), Name: "batch", Path: "/", Trust: compiled(w.t, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"sts:AssumeRole"}}`)}))
		if err := w.identities.Commit(context.Background(), w.identities.View(), all, nil); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// sweep does what the server does every minute.
func (w *world) sweep() keyring.Swept {
	w.t.Helper()
	swept, err := w.ring.Sweep(context.Background(), w.clock(), w.clock())
	if err != nil {
		w.t.Fatal(err)
	}
	return swept
}

// restart opens the ring and the road anew over the same store: nothing is remembered.
func (w *world) restart() {
	w.t.Helper()
	var err error
	if w.ring, err = keyring.New(w.store, w.sealer, keyring.Options{Tenants: w.identities, Partition: "aws", CacheKeys: 1 << 12, Proxies: w.proxies}); err != nil {
		w.t.Fatal(err)
	}
	w.layRoad()
}

func (w *world) layRoad() {
	w.road = pipeline.New(pipeline.Options{
		Keys: w.ring, Identities: w.identities, Evidence: w.enclave.verifier, Proxies: w.proxies, Audit: w.audit, NewKeys: w.newKeys, HasRegion: w.hasRegion, Log: slog.New(slog.DiscardHandler), Now: w.clock,
	})
}

// caller is who calls, from where.
type caller struct {
	principal *iam.Principal
	region    string
	signature string // of one request; a fresh one where empty
}

// Authenticate implements pipeline.Authenticator.
func (c caller) Authenticate(_ context.Context, _ string, _ []byte, now time.Time) (pipeline.Identity, error) {
	if c.principal == nil {
		return pipeline.Identity{}, fault.New("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if c.signature == "" {
		b := make([]byte, 32)
		rand.Read(b)
		c.signature = hex.EncodeToString(b)
	}
	return pipeline.Identity{Principal: c.principal, Region: c.region, Signature: c.signature, Signed: now, Expires: now.Add(5 * time.Minute)}, nil
}

const account, foreign = "111122223333", "444455556666"

func user(account, name string, policies ...string) caller {
	p := &iam.Principal{
		Kind: iam.User, Partition: "aws", Account: account, Name: name,
		ARN: "arn:aws:iam::" + account + ":user/" + name, UniqueID: uniqueID("AIDA", account, name),
	}
	if name == "root" {
		p.Kind, p.ARN, p.Name, p.UniqueID = iam.RootUser, "arn:aws:iam::"+account+":root", "", account
	}
	for _, text := range policies {
		policy, err := iam.Parse(text)
		if err != nil {
			panic(err)
		}
		p.Policies = append(p.Policies, policy)
	}
	return caller{principal: p, region: "us-east-1"}
}

// uniqueID is the unique id of a user or role of this name.
func uniqueID(prefix, account, name string) string {
	return prefix + account + strings.ToUpper(name)
}

// session is a session of a role.
func session(account, role, name string, policies ...string) caller {
	c := user(account, role, policies...)
	p := c.principal
	p.Kind, p.Name = iam.RoleSession, name
	p.ARN = "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + name
	p.RoleARN, p.RoleID = "arn:aws:iam::"+account+":role/"+role, uniqueID("AROA", account, role)
	p.UniqueID = p.RoleID + ":" + name
	return c
}

func allow(actions string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + actions + `","Resource":"*"}}`
}

var (
	admin    = user(account, "admin", allow("*"))
	nobody   = user(account, "nobody")
	stranger = user(foreign, "stranger", allow("*"))
)

// result is an answer taken apart.
type result struct {
	status  int
	code    string // of a refusal
	message string
	body    map[string]any
}

// call sends a request down the road.
func (w *world) call(c caller, operation, body string) result {
	return w.send(c, "TrentService."+operation, body)
}

func (w *world) send(c caller, target, body string) result {
	w.t.Helper()
	a := w.road.Walk(context.Background(), &pipeline.Request{
		ID: "00000000-0000-4000-8000-000000000000", Received: w.clock(), Target: target, Body: []byte(body), Who: c,
	})
	r := result{status: a.Status}
	if len(a.Body) == 0 {
		return r
	}
	if err := json.Unmarshal(a.Body, &r.body); err != nil {
		w.t.Fatalf("%s: %q is not JSON: %v", target, a.Body, err)
	}
	if a.Status != 200 {
		r.code, _ = r.body["__type"].(string)
		for _, name := range []string{"message", "Message"} {
			if m, ok := r.body[name].(string); ok {
				r.message = m
			}
		}
		w.checkModelled(strings.TrimPrefix(target, "TrentService."), r)
	}
	return r
}

// checkModelled holds every refusal of every test against the model: an action
// answers only errors that it lists, or those that any action may.
func (w *world) checkModelled(operation string, r result) {
	w.t.Helper()
	op, ok := api.Lookup(operation)
	if !ok {
		return
	}
	outside := map[string]bool{"UnrecognizedClientException": true, "InvalidSignatureException": true, "UnsupportedOperationException": true}
	if !op.May(fault.Code(r.code)) && !outside[r.code] {
		w.t.Errorf("%s answered %s, which its model does not list", operation, r.code)
	}
}

// must is call for what has to succeed.
func (w *world) must(c caller, operation, body string) map[string]any {
	w.t.Helper()
	r := w.call(c, operation, body)
	if r.status != 200 {
		w.t.Fatalf("%s %s: %s %s", operation, body, r.code, r.message)
	}
	return r.body
}

// refused wants a certain refusal, word for word.
func (w *world) refused(r result, code, message string) {
	w.t.Helper()
	if r.code != code || r.message != message {
		w.t.Errorf("got %d %s %q\nwant %s %q", r.status, r.code, r.message, code, message)
	}
}

func (w *world) newKey(c caller) (id, arn string) {
	w.t.Helper()
	m := w.must(c, "CreateKey", "{}")["KeyMetadata"].(map[string]any)
	return m["KeyId"].(string), m["Arn"].(string)
}

func (w *world) encrypt(c caller, id, context string) string {
	w.t.Helper()
	return w.must(c, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"Q0FOQVJZLXBsYWludGV4dA==","EncryptionContext":`+context+`}`)["CiphertextBlob"].(string)
}

// outside tells of a key spec or an algorithm whether this process does without it, since it keeps
// to the FIPS 140-3 module.
func outside(name string) bool {
	return crypt.FIPS() && (crypt.CheckSpec(api.KeySpec(name)) != nil || strings.HasSuffix(name, "SHA_1"))
}
