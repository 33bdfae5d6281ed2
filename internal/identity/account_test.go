package identity_test

import (
	"errors"
	"strings"
	"testing"

	"trent/internal/fault"
	"trent/internal/identity"
	"trent/internal/seal"
	"trent/internal/sigv4"
	"trent/internal/store"
)

// A closed account is as if it were not there, also for who reads the store anew,
// until it is opened again.
func TestClosedAccounts(t *testing.T) {
	w := newWorld(t)
	k := w.newcomer(account, "bob")
	signs := func(d *identity.Directory) bool {
		_, err := d.Credential(ctx, k.ID, "")
		if err != nil && !errors.Is(err, sigv4.ErrUnknownKey) {
			t.Fatal(err)
		}
		return err == nil
	}
	check := func(when string, open bool) {
		t.Helper()
		for _, d := range []*identity.Directory{w.Directory, w.open()} {
			_, err := d.Sealer(account)
			_, known := d.View().UniqueID("arn:aws:iam::111122223333:root")
			if (err == nil) != open || signs(d) != open || known != open || d.View().Account(account).IsOpen() != open {
				t.Errorf("%s: sealer %v, signs %v, known %v", when, err, signs(d), known)
			}
		}
	}
	check("new", true)
	w.commit(identity.Close(account, noon))
	check("closed", false)
	if a := w.open().View().Account(account); !a.Exists() || !a.Closed().Equal(noon) {
		t.Errorf("closed at %v", a.Closed())
	}
	w.commit(identity.Reopen(account))
	check("opened again", true)
	if n := len(w.View().Accounts()); n != 2 {
		t.Errorf("%d accounts", n)
	}
}

// An account is made once, and nothing is made in one that does not exist.
func TestAccountsAreMadeOnce(t *testing.T) {
	w := newWorld(t)
	if err := w.CreateAccount(ctx, account, "again", noon); err == nil {
		t.Error("made twice")
	}
	if err := w.CreateAccount(ctx, "1234", "short", noon); err == nil {
		t.Error("made with four digits")
	}
	stray := user("bob")
	stray.Account = "999988887777"
	if err := w.Commit(ctx, w.View(), []identity.Change{identity.Create(stray)}, nil); !fault.Is(err, fault.Internal) {
		t.Errorf("a user of no account: %v", err)
	}
	if w.View().Account("999988887777").Exists() {
		t.Error("the account came to be")
	}
}

// What belongs to one account does not open with the key of another, be it moved
// or not.
func TestSEC_E01_AccountsHaveKeysOfTheirOwn(t *testing.T) {
	w := newWorld(t)
	w.newcomer(account, "bob")
	ours, err := w.Sealer(account)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := w.Sealer("444455556666")
	if err != nil {
		t.Fatal(err)
	}
	recs, err := w.store.List(ctx, "identity/", "", 100, false)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, rec := range recs {
		if !strings.HasPrefix(rec.Path, "identity/user/") && !strings.HasPrefix(rec.Path, "identity/accesskey/") {
			continue
		}
		n++
		if _, err := ours.Open(rec.Path, rec.Value); err != nil {
			t.Errorf("%s with its own key: %v", rec.Path, err)
		}
		for _, other := range []*seal.Sealer{theirs, w.seal} {
			if _, err := other.Open(rec.Path, rec.Value); !errors.Is(err, seal.ErrUnreadable) {
				t.Errorf("%s with another key: %v", rec.Path, err)
			}
		}
	}
	if n != 2 {
		t.Errorf("%d records", n)
	}
	rec, err := w.store.Get(ctx, "identity/account/"+account)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Commit(ctx, store.Batch{Put: []store.Put{{Path: "identity/account/444455556666", Value: rec.Value}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Open(ctx, w.store, w.seal, "aws"); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("with the record of one account at the place of another: %v", err)
	}
}
