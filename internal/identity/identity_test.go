package identity_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"trent/internal/identity"
	"trent/internal/root"
	"trent/internal/root/file"
	"trent/internal/seal"
	"trent/internal/sigv4"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

var ctx = context.Background()

func directory(t *testing.T) (*identity.Directory, *bolt.Store, *seal.Sealer, string) {
	dir := t.TempDir()
	path := filepath.Join(dir, "trent.db")
	st, err := bolt.Create(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	r, err := file.Create(filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	_, s, err := seal.Create(ctx, []root.Root{r})
	if err != nil {
		t.Fatal(err)
	}
	d, err := identity.Open(ctx, st, s, "aws")
	if err != nil {
		t.Fatal(err)
	}
	return d, st, s, path
}

func TestUsersAndTheirKeys(t *testing.T) {
	d, st, s, path := directory(t)
	admin, err := d.CreateUser(ctx, identity.User{Account: "111122223333", Name: "admin", Policies: []string{identity.Administrator}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	owner, err := d.CreateUser(ctx, identity.User{Account: "111122223333", Name: identity.Root}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(admin.ID) || admin.Secret.Len() != 40 {
		t.Errorf("access key %s with a secret of %d characters", admin.ID, admin.Secret.Len())
	}
	again, err := identity.Open(ctx, st, s, "aws")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*identity.Directory{d, again} {
		c, err := d.Credential(ctx, admin.ID)
		if err != nil || !c.Secret.Equal(admin.Secret) || c.Principal.ARN != "arn:aws:iam::111122223333:user/admin" || c.Principal.IsRoot() || len(c.Principal.Policies) != 1 || c.Revision == 0 {
			t.Errorf("admin: %+v %v", c, err)
		}
		if c, err := d.Credential(ctx, owner.ID); err != nil || !c.Principal.IsRoot() {
			t.Errorf("root: %+v %v", c, err)
		}
		if _, err := d.Credential(ctx, "AKIAAAAAAAAAAAAAAAAA"); !errors.Is(err, sigv4.ErrUnknownKey) {
			t.Errorf("unknown key: %v", err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || bytes.Contains(text, admin.Secret.Expose()) || bytes.Contains(text, []byte("Administrator")) {
		t.Errorf("a secret or a policy lies in the store in clear (%v)", err)
	}
}

func TestCreateUserRefuses(t *testing.T) {
	d, _, _, _ := directory(t)
	ok := identity.User{Account: "111122223333", Name: "a"}
	if _, err := d.CreateUser(ctx, ok, time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, u := range map[string]identity.User{
		"twice":               ok,
		"no account":          {Name: "b"},
		"no name":             {Account: "111122223333"},
		"a path":              {Account: "111122223333", Name: "b/c"},
		"a malformed policy":  {Account: "111122223333", Name: "b", Policies: []string{"{"}},
		"a resource's policy": {Account: "111122223333", Name: "b", Policies: []string{`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`}},
	} {
		if _, err := d.CreateUser(ctx, u, time.Now()); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// TestSEC_A09: equal names in two accounts share nothing.
func TestSEC_A09_NamesDoNotCrossAccounts(t *testing.T) {
	d, _, _, _ := directory(t)
	a, err := d.CreateUser(ctx, identity.User{Account: "111122223333", Name: "app", Policies: []string{identity.Administrator}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.CreateUser(ctx, identity.User{Account: "444455556666", Name: "app"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ca, _ := d.Credential(ctx, a.ID)
	cb, _ := d.Credential(ctx, b.ID)
	if ca.Principal.ARN == cb.Principal.ARN || ca.Principal.UniqueID == cb.Principal.UniqueID || len(cb.Principal.Policies) != 0 || ca.Secret.Equal(cb.Secret) {
		t.Errorf("%+v and %+v", ca.Principal, cb.Principal)
	}
}

// TestSEC_E01: an access key's record moved to another id signs for nobody.
func TestSEC_E01_AccessKeysCannotBeMoved(t *testing.T) {
	d, st, s, _ := directory(t)
	a, err := d.CreateUser(ctx, identity.User{Account: "111122223333", Name: "admin", Policies: []string{identity.Administrator}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	rec, err := st.Get(ctx, "identity/accesskey/"+a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Commit(ctx, store.Batch{Put: []store.Put{{Path: "identity/accesskey/AKIAAAAAAAAAAAAAAAAA", Value: rec.Value}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Open(ctx, st, s, "aws"); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("opened with a moved record: %v", err)
	}
}
