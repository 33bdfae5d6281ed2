package server

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"trent/internal/identity"
	"trent/internal/keyring"
	"trent/internal/seal"
	"trent/internal/store"
)

const shreddable = "444455556666"

// shredWorld is a deployment with two accounts and some of everything in both, whose sweep has a
// clock of its own.
type shredWorld struct {
	*node
	t             *testing.T
	wall          time.Time
	shown         atomic.Pointer[time.Time] // wall, as the server's own goroutines see it
	counted       time.Duration
	theirs, other *tenant
}

func newShredWorld(t *testing.T) *shredWorld {
	s, cred := deployment(t, nil)
	w := &shredWorld{t: t, wall: time.Now()}
	w.show()
	s.now = func() time.Time { return *w.shown.Load() }
	s.time.counted = func() time.Duration { return w.counted }
	w.node = listening(t, s)
	if err := s.users.CreateAccount(t.Context(), shreddable, "tenant", w.wall); err != nil {
		t.Fatal(err)
	}
	k, err := s.users.Bootstrap(t.Context(), identity.Newcomer{Account: shreddable, Name: "bob", Attached: []string{identity.AdministratorARN("aws")}}, w.wall)
	if err != nil {
		t.Fatal(err)
	}
	w.commit(identity.Create(&identity.AccountAlias{Account: shreddable, Name: "tenants"}))
	bob := aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: string(k.Secret.Expose())}
	w.theirs, w.other = newTenant(t, w.node, bob), newTenant(t, w.node, cred)
	doomed := newTenant(t, w.node, bob)
	if refused := w.ask(t, bob, "ScheduleKeyDeletion", map[string]any{"KeyId": doomed.id, "PendingWindowInDays": 30}, nil); refused != "" {
		t.Fatal(refused)
	}
	w.pass(0)
	return w
}

func (w *shredWorld) commit(changes ...identity.Change) {
	w.t.Helper()
	if err := w.users.Commit(w.t.Context(), w.users.View(), changes, nil); err != nil {
		w.t.Fatal(err)
	}
}

func (w *shredWorld) show() {
	now := w.wall
	w.shown.Store(&now)
}

// pass lets time pass and the server sweep.
func (w *shredWorld) pass(d time.Duration) {
	w.t.Helper()
	w.wall, w.counted = w.wall.Add(d), w.counted+d
	w.show()
	if err := w.sweepNow(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *shredWorld) isShredded() bool { return w.users.View().Account(shreddable).IsShredded() }

// remains are the records of the account, but for its own.
func (w *shredWorld) remains() (all []store.Record) {
	for _, rec := range stored(w.t, w.store) {
		gone := func(account string) bool { return account == shreddable }
		owner, ok := keyring.OwnerOf(rec)
		if ok && gone(owner) || len(identity.Remains(rec, gone)) > 0 {
			all = append(all, rec)
		} else if strings.Contains(rec.Path, shreddable) && rec.Path != "identity/account/"+shreddable {
			w.t.Errorf("whose is %s?", rec.Path)
		}
	}
	return all
}

// sound fails if fsck finds anything.
func (w *shredWorld) sound() {
	w.t.Helper()
	n, err := w.raw.(store.Snapshotter).Snapshot(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer n.Close()
	r, err := check(w.t.Context(), n, unsealed{sealer: w.sealer, set: w.set})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range r.Findings {
		w.t.Error(f)
	}
}

// An account is shredded when it has been scheduled and the time has come by a clock that is believed.
// Reopening it before, or keeping it, takes it back.
func TestShreddingWaits(t *testing.T) {
	w := newShredWorld(t)
	const day = 24 * time.Hour
	w.commit(identity.ScheduleShredding(shreddable, w.wall.Add(7*day)))
	w.pass(8 * day)
	if w.isShredded() {
		t.Fatal("an open account was shredded")
	}
	w.commit(identity.Close(shreddable, w.wall))
	w.pass(60 * day)
	if w.isShredded() {
		t.Fatal("an account was shredded that was closed, and nothing else")
	}
	w.commit(identity.ScheduleShredding(shreddable, w.wall.Add(7*day)))
	w.wall = w.wall.Add(30 * day)
	w.pass(time.Minute)
	if w.isShredded() {
		t.Fatal("a jump of the clock shredded an account that had a week to go")
	}
	w.wall = w.wall.Add(-30 * day)
	w.pass(time.Minute)
	w.commit(identity.Reopen(shreddable))
	w.pass(8 * day)
	if w.isShredded() {
		t.Fatal("an account that was reopened was shredded")
	}
	w.theirs.works(t, w.node)
	w.commit(identity.Close(shreddable, w.wall))
	w.pass(8 * day)
	if w.isShredded() {
		t.Fatal("closed once more, an account was shredded by what reopening had taken back")
	}
	w.commit(identity.ScheduleShredding(shreddable, w.wall.Add(7*day)))
	w.commit(identity.Keep(shreddable))
	w.pass(8 * day)
	if w.isShredded() {
		t.Fatal("an account that was kept was shredded")
	}
	w.commit(identity.ScheduleShredding(shreddable, w.wall.Add(7*day)))
	w.pass(6 * day)
	if w.isShredded() {
		t.Fatal("an account was shredded before its time")
	}
	w.pass(day)
	if !w.isShredded() {
		t.Fatal("an account whose time has come is not shredded")
	}
	text, err := os.ReadFile(w.files.audit)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(text), `"operation":"ShredAccount"`); got != 1 {
		t.Errorf("%d audit records of ShredAccount, want 1", got)
	}
}

// Nothing of a shredded account can be read: not through the server, nor with all keys that the store has, nor
// from copies of its records; whatever is done with the store while they are still there. All others are untouched.
func TestShreddedAccountIsUnreadable(t *testing.T) {
	w := newShredWorld(t)
	before := w.remains()
	w.commit(identity.Close(shreddable, w.wall))
	w.commit(identity.ScheduleShredding(shreddable, w.wall))
	if done, err := w.users.Shred(t.Context(), w.wall, w.wall); err != nil || len(done) != 1 {
		t.Fatalf("%v, %v", done, err)
	}
	w.unreadable(before)
	w.sound()
	if err := w.rekey.Start(t.Context(), w.rootAtHand(t), nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := w.rekey.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range underOld(t, w.store, 2) {
		if rec := stored(t, w.store)[path]; !slices.ContainsFunc(w.remains(), func(r store.Record) bool { return r.Path == rec.Path }) {
			t.Errorf("%s is still sealed under the old key", path)
		}
	}
	w.unreadable(before)
	w.sound()
	if len(w.remains()) < len(before)/2 {
		t.Fatal("the records were gone before the sweep")
	}
	w.pass(time.Minute)
	if left := w.remains(); len(left) > 0 {
		t.Errorf("%d records are left: %s", len(left), left[0].Path)
	}
	if a := w.users.View().Account(shreddable); !a.IsCleared() || len(uncleared(w.users.View())) > 0 {
		t.Error("it is not noted that the records are gone")
	}
	w.unreadable(before)
	w.sound()
}

// unreadable tries everything on the account, and that the other one works.
func (w *shredWorld) unreadable(before []store.Record) {
	t := w.t
	t.Helper()
	fresh, err := identity.Open(context.Background(), w.store, w.sealer, "aws")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*identity.Directory{w.users, fresh} {
		a := d.View().Account(shreddable)
		if !a.IsShredded() || a.Users.Len()+a.Keys.Len() > 0 || d.View().AliasTaken("tenants") {
			t.Errorf("there is more of the account than that it was shredded: %+v", a)
		}
		if _, err := d.AccountSealer(shreddable); !errors.Is(err, seal.ErrShredded) {
			t.Errorf("its sealer: %v", err)
		}
		if err := d.CreateAccount(t.Context(), shreddable, "again", w.wall); err == nil {
			t.Error("an account was made with the same id")
		}
	}
	w.commit(identity.Reopen(shreddable))
	if w.users.View().Account(shreddable).IsOpen() {
		t.Error("it was opened again")
	}
	for _, rec := range before {
		if _, err := w.sealer.Open(rec.Path, rec.Value); err == nil {
			t.Errorf("the root key opens %s", rec.Path)
		}
		if value, ours, err := w.ring.Reseal(rec, w.users.AccountSealer); ours && value != nil {
			t.Errorf("%s is sealed again: %v", rec.Path, err)
		}
	}
	arn := "arn:aws:kms:us-east-1:" + shreddable + ":key/" + w.theirs.id
	for _, cred := range []aws.Credentials{w.theirs.cred, w.other.cred} {
		for action, params := range map[string]any{
			"Decrypt": map[string]string{"CiphertextBlob": w.theirs.sealed}, "DescribeKey": map[string]string{"KeyId": arn}, "ListGrants": map[string]string{"KeyId": arn},
		} {
			if refused := w.ask(t, cred, action, params, nil); refused == "" {
				t.Errorf("%s is answered to %s", action, cred.AccessKeyID)
			}
		}
	}
	w.other.works(t, w.node)
}
