package declare_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"trent/internal/action"
	"trent/internal/arn"
	"trent/internal/declare"
	"trent/internal/iam"
	"trent/internal/identity"
	"trent/internal/keyring"
	"trent/internal/pipeline"
	"trent/internal/root"
	"trent/internal/root/file"
	"trent/internal/seal"
	"trent/internal/store/bolt"
)

const first = "111122223333"

// tester is a test, or one case of a property.
type tester interface {
	Helper()
	Cleanup(func())
	Error(args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// world is a road over a real store, and an engine that walks it.
type world struct {
	t          tester
	identities *identity.Directory
	road       *pipeline.Road
	engine     *declare.Engine
	audit      *memorySink
	log        *strings.Builder
	devMarks   int

	mu    sync.Mutex
	calls int
	hook  func() // called before each request of a declaration
	clock time.Time
}

// memorySink keeps audit records.
type memorySink struct {
	mu    sync.Mutex
	lines []string
}

func (s *memorySink) Append(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, string(line))
	return nil
}

// among are the lines that have all of these texts.
func (s *memorySink) among(texts ...string) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		all := true
		for _, t := range texts {
			all = all && strings.Contains(line, t)
		}
		if all {
			found = append(found, line)
		}
	}
	return found
}

func newWorld(t tester, dev bool) *world {
	w := &world{t: t, audit: new(memorySink), log: new(strings.Builder), clock: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	dir, err := os.MkdirTemp(memory(), "declare") // cases of properties have no TempDir
	if err != nil {
		t.Fatal(err)
	}
	st, err := bolt.Create(filepath.Join(dir, "trent.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(st.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	r, err := file.Create(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	_, sealer, err := seal.Create(context.Background(), []root.Root{r})
	if err != nil {
		t.Fatal(err)
	}
	if w.identities, err = identity.Open(context.Background(), st, sealer, "aws"); err != nil {
		t.Fatal(err)
	}
	if err := w.identities.CreateAccount(context.Background(), first, "", w.now()); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.New(st, sealer, keyring.Options{Tenants: w.identities, Partition: "aws", CacheKeys: 1 << 12})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.engine = declare.New(declare.Options{
		Partition: "aws", Home: "us-east-1", FirstAccount: first, Dev: dev,
		Root:          func(a string) (*iam.Principal, bool) { return w.identities.View().Principal(arn.AccountRoot("aws", a)) },
		AcceptsRegion: func(name string) bool { return name != "mars-north-1" },
		NewID:         w.newID, Log: log, Now: w.now,
	})
	w.road = pipeline.New(pipeline.Options{
		Keys: ring, Identities: w.identities, FirstAccount: first, Audit: w.audit, Log: log, Now: w.now,
		Declare: w.engine.Declare, Dev: dev,
		BeforeDev: func(context.Context) error { w.devMarks++; return nil },
	})
	return w
}

// memory is a place where a sync costs nothing: what a store survives is for others to
// test. Where there is none, it is any place.
func memory() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err != nil || !info.IsDir() {
		return ""
	}
	return shm
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) newID() string {
	w.mu.Lock()
	if hook := w.hook; hook != nil {
		w.mu.Unlock()
		hook()
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	w.calls++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", w.calls)
}

func parse(t tester, text string) *declare.Declaration {
	t.Helper()
	d, err := declare.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// try applies a text.
func (w *world) try(text string, alter ...func(*declare.Order)) (*action.Declared, error) {
	w.t.Helper()
	order := declare.Order{Declaration: parse(w.t, text), Origin: "declaration of a test"}
	for _, f := range alter {
		f(&order)
	}
	return w.engine.Apply(context.Background(), w.road, order)
}

// apply is try for what has to succeed. It gives the lines of the plan.
func (w *world) apply(text string, alter ...func(*declare.Order)) []string {
	w.t.Helper()
	made, err := w.try(text, alter...)
	if err != nil {
		w.t.Fatal(err)
	}
	if made.Failure != "" {
		w.t.Fatalf("%s", made.Progress())
	}
	return lines(made)
}

func lines(made *action.Declared) []string {
	var all []string
	for _, c := range made.Changes {
		all = append(all, c.String())
	}
	return all
}

func planOnly(o *declare.Order) { o.PlanOnly = true }

// caller signs for a principal.
type caller struct {
	w *world
	p *iam.Principal
}

// Authenticate implements pipeline.Authenticator.
func (c caller) Authenticate(_ context.Context, _ string, _ []byte, now time.Time) (pipeline.Identity, error) {
	return pipeline.Identity{Principal: c.p, Region: "eu-central-1", Signature: c.w.newID(), Signed: now, Expires: now.Add(5 * time.Minute)}, nil
}

// as calls an operation as a principal of this ARN.
func (w *world) as(principal, target, body string) (status int, answer string) {
	w.t.Helper()
	p, ok := w.identities.View().Principal(principal)
	if !ok {
		w.t.Fatalf("there is no %s", principal)
	}
	a := w.road.Walk(context.Background(), &pipeline.Request{
		ID: w.newID(), Received: w.now(), Target: target, Form: target == "", Body: []byte(body), Who: caller{w, p}, Secure: true,
	})
	return a.Status, string(a.Body)
}

// must is as for what has to succeed.
func (w *world) must(principal, target, body string) string {
	w.t.Helper()
	status, answer := w.as(principal, target, body)
	if status != 200 {
		w.t.Fatalf("%s %s: %s", target, body, answer)
	}
	return answer
}
