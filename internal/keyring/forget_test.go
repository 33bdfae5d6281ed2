package keyring

import (
	"testing"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/crypt"
	"trent/internal/key"
	"trent/internal/keystore"
	"trent/internal/store"
)

// Two nodes on one store: whatever one changes, the other, which had it in its cache, shows once it
// was told by the store's events. All that it had before it is told is what makes the test one.
func TestSEC_E04_ForgetWhatAnotherNodeChanged(t *testing.T) {
	one, st := newRing(t, 1024)
	two := ringOver(t, st, sealerOf(one), 1024)
	rec := makeKey(t, one)
	material := rec.Materials[0].ID
	byAlias := arn.ParseRef("alias/a")
	aliased := rec.Clone()
	aliased.Aliases = []string{"alias/a"}
	commit := func(changes ...Change) {
		t.Helper()
		if err := one.Commit(ctx, changes, nil); err != nil {
			t.Fatal(err)
		}
	}
	alias := &key.Alias{Account: home.Account, Region: home.Region, ARN: arn.Alias("aws", home.Region, home.Account, "alias/a"), Name: "alias/a", TargetID: rec.ID(), Created: key.MomentOf(noon), Updated: key.MomentOf(noon)}
	commit(PutKey{rec, aliased}, PutAlias{nil, alias})
	g := grantOn(rec, "AIDAALICE", 1)

	for _, c := range []struct {
		name   string
		change func()
		shows  func() bool // on the other node
	}{
		{"a key is disabled", func() {
			was := find(t, one, rec.ID())
			now := was.Clone()
			now.Enabled = false
			commit(PutKey{was, now})
		}, func() bool { return !find(t, two, rec.ID()).Enabled }},
		{"a grant is made", func() { commit(PutGrant{Key: find(t, one, rec.ID()), Now: g}) },
			func() bool { return len(grantsTo(t, two, find(t, two, rec.ID()), "AIDAALICE")) == 1 }},
		{"a grant is revoked", func() { commit(DeleteGrant{grantsTo(t, one, rec, "AIDAALICE")[0]}) },
			func() bool { return len(grantsTo(t, two, find(t, two, rec.ID()), "AIDAALICE")) == 0 }},
		{"an alias is deleted", func() {
			a, err := one.FindAlias(ctx, byAlias, home, noon)
			if err != nil {
				t.Fatal(err)
			}
			commit(DeleteAlias{a})
		}, func() bool { _, err := two.FindAlias(ctx, byAlias, home, noon); return err != nil }},
		{"a material is taken away", func() { commit(EmptyMaterial{Key: rec, ID: material}) },
			func() bool {
				rec := find(t, two, rec.ID())
				_, err := two.Open(ctx, permit(t, rec), rec, material)
				return err != nil
			}},
		{"a key store is made", func() {
			commit(PutKeyStores{&keystore.Set{Account: home.Account, Region: home.Region, Stores: []*keystore.Store{{ID: "cks-1", Name: "one", State: api.ConnectionStateDisconnected}}}})
		}, func() bool { set, err := two.KeyStores(ctx, home); return err == nil && len(set.Stores) == 1 }},
	} {
		if c.shows() {
			t.Fatalf("%s: shown before it was done", c.name)
		}
		from, err := st.Rev(ctx)
		if err != nil {
			t.Fatal(err)
		}
		events, err := st.Watch(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		c.change()
		if c.shows() {
			t.Errorf("%s: it was not in the cache, so the test proves nothing", c.name)
		}
		if err := two.Forget(ctx, <-events); err != nil {
			t.Fatal(err)
		}
		if !c.shows() {
			t.Errorf("%s: not shown after the event", c.name)
		}
	}
}

// Paths are from the store, which is not trusted to have none but ours.
func FuzzForget(f *testing.F) {
	for _, path := range []string{"", "key", "key/", "grant/a/b/c", "grant/a/b/0123456789-0123456789-0123456789-0123/x", "material/=", "alias/1/2/3/4", "keystores/"} {
		f.Add(path)
	}
	r, _ := newRing(f, 64)
	f.Fuzz(func(t *testing.T, path string) {
		if err := r.Forget(ctx, []store.Event{{Path: path, Rev: 1}}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestForgetAll(t *testing.T) {
	one, st := newRing(t, 1024)
	two := ringOver(t, st, sealerOf(one), 1024)
	rec := makeKey(t, one)
	find(t, two, rec.ID())
	if _, err := two.Open(ctx, permit(t, rec), rec, rec.Materials[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := two.ForgetAll(ctx); err != nil {
		t.Fatal(err)
	}
	if n := two.records.size() + two.materials.size() + two.aliases.size() + two.grants.size(); n != 0 {
		t.Errorf("%d are left", n)
	}
	var none crypt.MaterialID
	two.forgetMaterial(none) // what is not there may be forgotten
}
