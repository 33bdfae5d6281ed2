package identity_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"trent/internal/iam"
	"trent/internal/identity"
	"trent/internal/root"
	"trent/internal/root/file"
	"trent/internal/seal"
	"trent/internal/sigv4"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

var (
	ctx  = context.Background()
	noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

const account, foreign = "111122223333", "444455556666"

// failing is a store whose next commits do not succeed: they happen all the same,
// or not. It counts how often records are listed.
type failing struct {
	store.Store
	fault error
	apply bool
	lists int
}

func (f *failing) List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]store.Record, error) {
	f.lists++
	return f.Store.List(ctx, prefix, after, limit, keysOnly)
}

func (f *failing) Commit(ctx context.Context, b store.Batch) (store.Rev, error) {
	if f.fault == nil {
		return f.Store.Commit(ctx, b)
	}
	if f.apply {
		if _, err := f.Store.Commit(ctx, b); err != nil {
			return 0, err
		}
	}
	return 0, f.fault
}

type world struct {
	*identity.Directory
	t     testing.TB
	store *failing
	seal  *seal.Sealer
	path  string
}

func newWorld(t testing.TB) *world {
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
	w := &world{t: t, store: &failing{Store: st}, seal: s, path: path}
	w.Directory = w.open()
	for _, id := range []string{account, "444455556666"} {
		if err := w.CreateAccount(ctx, id, "", noon); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// open reads the store as another process would.
func (w *world) open() *identity.Directory {
	w.t.Helper()
	d, err := identity.Open(ctx, w.store, w.seal, "aws")
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) commit(changes ...identity.Change) {
	w.t.Helper()
	if err := w.Commit(ctx, w.View(), changes, nil); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) newcomer(account, name string, policies ...string) *identity.AccessKey {
	w.t.Helper()
	k, err := w.Bootstrap(ctx, identity.Newcomer{Account: account, Name: name, Policies: policies}, noon)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func user(name string) *identity.User {
	return &identity.User{Account: account, ID: identity.NewUserID(), Name: name, Path: "/", Created: noon}
}

func policy(text string) *iam.Policy {
	p, err := identity.ParsePolicy(text)
	if err != nil {
		panic(err)
	}
	return p
}

func allow(actions string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"` + actions + `","Resource":"*"}}`
}

func TestUsersAndTheirKeys(t *testing.T) {
	w := newWorld(t)
	admin := w.newcomer(account, "admin", identity.Administrator)
	owner := w.newcomer(account, identity.Root)
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(admin.ID) || admin.Secret.Len() != 40 {
		t.Errorf("access key %s with a secret of %d characters", admin.ID, admin.Secret.Len())
	}
	for _, d := range []*identity.Directory{w.Directory, w.open()} {
		c, err := d.Credential(ctx, admin.ID, "")
		if err != nil || !c.Secret.Equal(admin.Secret) || c.Principal.ARN != "arn:aws:iam::111122223333:user/admin" || c.Principal.IsRoot() || len(c.Principal.Policies) != 1 || c.Revision == 0 {
			t.Errorf("admin: %+v %v", c, err)
		}
		if c, err := d.Credential(ctx, owner.ID, ""); err != nil || !c.Principal.IsRoot() {
			t.Errorf("root: %+v %v", c, err)
		}
		if _, err := d.Credential(ctx, "AKIAAAAAAAAAAAAAAAAA", ""); !errors.Is(err, sigv4.ErrUnknownKey) {
			t.Errorf("unknown key: %v", err)
		}
	}
	text, err := os.ReadFile(w.path)
	if err != nil || bytes.Contains(text, admin.Secret.Expose()) || bytes.Contains(text, []byte("Allow")) || bytes.Contains(text, []byte("admin")) {
		t.Errorf("a secret, a policy or a name lies in the store in clear (%v)", err)
	}
}

func TestBootstrapRefuses(t *testing.T) {
	w := newWorld(t)
	w.newcomer(account, "a")
	for name, n := range map[string]identity.Newcomer{
		"twice":               {Account: account, Name: "a"},
		"in another case":     {Account: account, Name: "A"},
		"no account":          {Name: "b"},
		"no name":             {Account: account},
		"a path":              {Account: account, Name: "b/c"},
		"a malformed policy":  {Account: account, Name: "b", Policies: []string{"{"}},
		"a resource's policy": {Account: account, Name: "b", Policies: []string{`{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`}},
		"an absent policy":    {Account: account, Name: "b", Attached: []string{"arn:aws:iam::111122223333:policy/none"}},
	} {
		if _, err := w.Bootstrap(ctx, n, noon); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

// TestSEC_A09: equal names in two accounts share nothing.
func TestSEC_A09_NamesDoNotCrossAccounts(t *testing.T) {
	w := newWorld(t)
	a, b := w.newcomer(account, "app", identity.Administrator), w.newcomer(foreign, "app")
	ca, _ := w.Credential(ctx, a.ID, "")
	cb, _ := w.Credential(ctx, b.ID, "")
	if ca.Principal.ARN == cb.Principal.ARN || ca.Principal.UniqueID == cb.Principal.UniqueID || len(cb.Principal.Policies) != 0 || ca.Secret.Equal(cb.Secret) {
		t.Errorf("%+v and %+v", ca.Principal, cb.Principal)
	}
	if _, ok := w.View().Policy(foreign, "arn:aws:iam::111122223333:policy/x"); ok {
		t.Error("an account reaches a policy of another one")
	}
}

// TestSEC_E01: an access key's record moved to another id signs for nobody.
func TestSEC_E01_AccessKeysCannotBeMoved(t *testing.T) {
	w := newWorld(t)
	a := w.newcomer(account, "admin", identity.Administrator)
	rec, err := w.store.Get(ctx, "identity/accesskey/"+account+"/"+a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Commit(ctx, store.Batch{Put: []store.Put{{Path: "identity/accesskey/" + account + "/AKIAAAAAAAAAAAAAAAAA", Value: rec.Value}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Open(ctx, w.store, w.seal, "aws"); !errors.Is(err, seal.ErrUnreadable) {
		t.Errorf("opened with a moved record: %v", err)
	}
}

// Everything that an account can hold comes back as it was.
func TestAllKindsSurvive(t *testing.T) {
	w := newWorld(t)
	tags := []identity.Tag{{Key: "team", Value: "books"}, {Key: "empty"}}
	p := &identity.ManagedPolicy{
		Account: account, ID: identity.NewPolicyID(), Name: "Readers", Path: "/team/", Description: "who reads", Created: noon, Updated: noon.Add(time.Second),
		Versions: []identity.PolicyVersion{{Number: 2, Created: noon, Policy: policy(allow("kms:Decrypt"))}, {Number: 5, Created: noon, Policy: policy(allow("kms:Encrypt"))}},
		Default:  5, Newest: 7, Tags: tags,
	}
	g := &identity.Group{Account: account, ID: identity.NewGroupID(), Name: "team", Path: "/", Created: noon}
	g.Put(identity.InlinePolicy{Name: "list", Policy: policy(allow("kms:List*"))})
	w.commit(identity.Create(p), identity.Create(g))
	arn := w.View().ARN(p)
	u := user("bob")
	u.Path, u.Tags, u.Boundary, u.Groups = "/a/b/", tags, arn, []string{g.ID}
	u.Attach(arn)
	u.Put(identity.InlinePolicy{Name: "own", Policy: policy(allow("kms:Describe*"))})
	r := &identity.Role{
		Account: account, ID: identity.NewRoleID(), Name: "job", Path: "/", Created: noon, Description: "a job", MaxSession: 2 * time.Hour,
		Trust: policy(allow("sts:AssumeRole")), Tags: tags, Boundary: arn,
	}
	o := &identity.Provider{Account: account, ID: identity.NewProviderID(), URL: "id.example/realm", ClientIDs: []string{"a"}, Thumbprints: []string{"b"}, Created: noon, Tags: tags}
	k := identity.NewAccessKey(account, u.ID, noon)
	w.commit(identity.Create(u), identity.Create(r), identity.Create(o), identity.Create(k), identity.Create(&identity.AccountAlias{Account: account, Name: "books"}))

	show := func(v identity.View) string {
		a := v.Account(account)
		u, _ := a.Users.Named("BOB")
		r, _ := a.Roles.Named("job")
		g, _ := a.Groups.Named("team")
		p, _ := v.Policy(account, arn)
		o, _ := v.Provider(account, "arn:aws:iam::111122223333:oidc-provider/id.example/realm")
		k, _ := a.Keys.ByID(k.ID)
		return fmt.Sprintf("%+v\n%+v\n%+v\n%+v\n%+v\n%+v\n%+v\n%s %v", u, u.Inline[0].Policy.Source, r, r.Trust.Source, g.Inline[0].Policy.Source, o, p.Versions[1].Policy.Source, a.Alias, []any{k.UserID, k.Created, p.Tags, p.Default, p.Newest, p.Description, p.Updated, v.AliasTaken("books")})
	}
	// Pointers differ; what they point to is printed apart.
	pointers := regexp.MustCompile(`0x[0-9a-f]+`)
	before, after := pointers.ReplaceAllString(show(w.View()), ""), pointers.ReplaceAllString(show(w.open().View()), "")
	if before != after {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	for _, d := range []*identity.Directory{w.Directory, w.open()} {
		c, err := d.Credential(ctx, k.ID, "")
		if err != nil || len(c.Principal.Policies) != 3 || c.Principal.Boundary == nil || c.Principal.ARN != "arn:aws:iam::111122223333:user/a/b/bob" {
			t.Errorf("%+v %v", c.Principal, err)
		}
		again, _ := d.Credential(ctx, k.ID, "")
		if again.Principal != c.Principal {
			t.Error("the principal is made anew each time")
		}
	}
}

// TestSEC_B06: an ARN names what has this very ARN. What was decided about one name
// must not be done to another.
func TestSEC_B06_ARNsAreWhole(t *testing.T) {
	w := newWorld(t)
	p := &identity.ManagedPolicy{Account: account, ID: identity.NewPolicyID(), Name: "Use", Path: "/team/", Versions: []identity.PolicyVersion{{Number: 1, Policy: policy(allow("*"))}}, Default: 1, Newest: 1}
	o := &identity.Provider{Account: account, ID: identity.NewProviderID(), URL: "id.example/realm"}
	w.commit(identity.Create(p), identity.Create(o))
	v := w.View()
	if _, ok := v.Policy(account, "arn:aws:iam::111122223333:policy/team/Use"); !ok {
		t.Error("the policy is not found")
	}
	for _, name := range []string{"policy/Use", "policy/other/Use", "policy/team/use", "policy/team/Use/", "policy/team//Use", "policy/Team/Use", "user/team/Use", "policy/", "policy/team/", "oidc-provider/ID.example/realm", "oidc-provider/realm", "oidc-provider/"} {
		if _, ok := v.Policy(account, "arn:aws:iam::111122223333:"+name); ok {
			t.Errorf("%s is a policy", name)
		}
		if _, ok := v.Provider(account, "arn:aws:iam::111122223333:"+name); ok {
			t.Errorf("%s is a provider", name)
		}
	}
}

// A key stops signing with the change that takes it away, and an old View still
// shows what it showed.
func TestKeysComeAndGo(t *testing.T) {
	w := newWorld(t)
	k := w.newcomer(account, "bob")
	old := w.View()
	off := *k
	off.Inactive = true
	w.commit(identity.Put(&off))
	if _, err := w.Credential(ctx, k.ID, ""); !errors.Is(err, sigv4.ErrUnknownKey) {
		t.Errorf("an inactive key: %v", err)
	}
	w.commit(identity.Put(k))
	if _, err := w.Credential(ctx, k.ID, ""); err != nil {
		t.Errorf("active again: %v", err)
	}
	w.commit(identity.Delete(k))
	for _, d := range []*identity.Directory{w.Directory, w.open()} {
		if _, err := d.Credential(ctx, k.ID, ""); !errors.Is(err, sigv4.ErrUnknownKey) {
			t.Errorf("a deleted key: %v", err)
		}
	}
	if _, ok := old.Account(account).Keys.ByID(k.ID); !ok {
		t.Error("a View has changed")
	}
}

// TestSEC_B07: who is made anew under an old name is somebody else.
func TestSEC_B07_NamesakesAreOthers(t *testing.T) {
	w := newWorld(t)
	first := user("bob")
	w.commit(identity.Create(first))
	id, ok := w.View().UniqueID("arn:aws:iam::111122223333:user/bob")
	if name, known := w.View().ARNOf(id); !ok || id != first.ID || !known || name != "arn:aws:iam::111122223333:user/bob" {
		t.Errorf("%s %v %s %v", id, ok, name, known)
	}
	w.commit(identity.Delete(first))
	w.commit(identity.Create(user("bob")))
	if again, _ := w.View().UniqueID("arn:aws:iam::111122223333:user/bob"); again == id {
		t.Error("the second has the id of the first")
	}
	if _, known := w.View().ARNOf(id); known {
		t.Error("the first is still known")
	}
	for _, name := range []string{"arn:aws:iam::111122223333:user/x/bob", "arn:aws:iam::444455556666:user/bob", "arn:aws-cn:iam::111122223333:user/bob", "arn:aws:iam::111122223333:role/bob", "arn:aws:iam::999988887777:root", "999988887777", "arn:aws:sts::111122223333:assumed-role/bob/s", "bob"} {
		if id, ok := w.View().UniqueID(name); ok {
			t.Errorf("%s is %s", name, id)
		}
	}
}

// A change of what has changed since it was read does not happen, be it by this
// process or by another one.
func TestLostRaces(t *testing.T) {
	w := newWorld(t)
	other := w.open()
	stale := w.View()
	w.commit(identity.Create(user("bob")))
	lists := w.store.lists
	if err := w.Commit(ctx, stale, []identity.Change{identity.Create(user("BOB"))}, nil); !errors.Is(err, identity.ErrLostRace) {
		t.Errorf("on an old View: %v", err)
	}
	if w.store.lists != lists {
		t.Error("everything was read again, for a race within the process")
	}
	if err := other.Commit(ctx, other.View(), []identity.Change{identity.Create(user("Bob"))}, nil); !errors.Is(err, identity.ErrLostRace) {
		t.Errorf("of another process: %v", err)
	}
	if _, ok := other.View().Account(account).Users.Named("bob"); !ok {
		t.Error("the loser has not looked again")
	}
	if n := w.View().Account(account).Users.Len(); n != 1 {
		t.Errorf("%d users", n)
	}
	// Another account is another race.
	u := &identity.User{Account: foreign, ID: identity.NewUserID(), Name: "bob", Path: "/"}
	if err := w.Commit(ctx, stale, []identity.Change{identity.Create(u)}, nil); err != nil {
		t.Error(err)
	}
}

// After a commit of which nobody knows whether it happened, what is stored counts.
func TestSEC_E07_UnknownOutcome(t *testing.T) {
	for _, applied := range []bool{false, true} {
		w := newWorld(t)
		k := w.newcomer(account, "bob")
		w.store.fault, w.store.apply = errors.New("the connection broke"), applied
		if err := w.Commit(ctx, w.View(), []identity.Change{identity.Delete(k)}, nil); err == nil || errors.Is(err, identity.ErrLostRace) {
			t.Fatalf("Commit: %v", err)
		}
		w.store.fault = nil
		if _, err := w.Credential(ctx, k.ID, ""); (err != nil) != applied {
			t.Errorf("deleted in the store %v, but: %v", applied, err)
		}
		w.commit(identity.Create(user("carol")))
	}
}

// Many at once: every change is there in the end, and each was decided on what all
// before it had left.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	const n = 16
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for {
				v := w.View()
				u := user(fmt.Sprint("user-", v.Account(account).Users.Len()))
				err := w.Commit(ctx, v, []identity.Change{identity.Create(u), identity.Create(identity.NewAccessKey(account, u.ID, noon))}, nil)
				if err == nil {
					return
				}
				if !errors.Is(err, identity.ErrLostRace) {
					t.Errorf("%d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, d := range []*identity.Directory{w.Directory, w.open()} {
		var names []string
		for _, u := range d.View().Account(account).Users.All() {
			names = append(names, u.Name)
		}
		if len(slices.Compact(names)) != n {
			t.Errorf("%v", names)
		}
	}
}

// TestSEC_B01: a stored policy that does not parse denies everything, since it may
// have denied anything; what is attached to nothing is no grant either.
func TestSEC_B01_UnreadablePoliciesDeny(t *testing.T) {
	w := newWorld(t)
	k := w.newcomer(account, "bob", allow("*"))
	u := w.View().Account(account).Users.All()[0].Clone()
	u.Put(identity.InlinePolicy{Name: "newer", Policy: &iam.Policy{Source: `{"Version":"2099-01-01"}`}})
	w.commit(identity.Put(u))
	c, err := w.open().Credential(ctx, k.ID, "")
	if err != nil {
		t.Fatal(err)
	}
	denied := false
	for _, p := range c.Principal.Policies {
		denied = denied || p.EvaluateIdentity(&iam.Request{Principal: c.Principal, Action: iam.NewAction("kms:Decrypt"), Resource: "*"}).Deny
	}
	if !denied {
		t.Error("not denied")
	}
	inline, _ := w.open().View().Account(account).Users.All()[0].Find("newer")
	if inline.Policy.Source != `{"Version":"2099-01-01"}` {
		t.Errorf("the text became %s", inline.Policy.Source)
	}
}

func TestBuiltInPolicies(t *testing.T) {
	v := newWorld(t).View()
	for _, p := range identity.BuiltIn() {
		if found, ok := v.Policy(account, v.ARN(p)); !ok || found != p {
			t.Errorf("%s: %v", v.ARN(p), ok)
		}
	}
	for _, name := range []string{"arn:aws:iam::aws:policy/None", "arn:aws-cn:iam::aws:policy/AdministratorAccess", "arn:aws:iam::aws:policy/x/AdministratorAccess", "AdministratorAccess"} {
		if _, ok := v.Policy(account, name); ok {
			t.Errorf("%s was found", name)
		}
	}
}

func TestSizeIgnoresWhiteSpace(t *testing.T) {
	if n := identity.Size(" {\n\t\"a\": \"ä\"} "); n != 9 {
		t.Errorf("%d characters", n)
	}
}

// TestSEC_F02: answering who a key is costs no memory, so that no stranger's
// request does.
func TestSEC_F02_CredentialDoesNotAllocate(t *testing.T) {
	w := newWorld(t)
	k := w.newcomer(account, "bob", allow("*"))
	for _, id := range []string{k.ID, "AKIAAAAAAAAAAAAAAAAA"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = w.Credential(ctx, id, "") }); n > 0 {
			t.Errorf("%s: %v allocations", id, n)
		}
	}
}

// The last use of a key is stored when it is time, survives, and goes with the key.
func TestLastUses(t *testing.T) {
	w := newWorld(t)
	k, idle := w.newcomer(account, "bob"), w.newcomer(account, "carol")
	if use := w.View().LastUse(k.ID); !use.At.IsZero() {
		t.Errorf("before: %v", use)
	}
	w.Used(k.ID, "kms", "eu-west-1", noon.Add(90*time.Second))
	w.Used(k.ID, "iam", "us-east-1", noon) // a clock that went back
	w.Used("AKIAAAAAAAAAAAAAAAAA", "kms", "eu-west-1", noon)
	want := identity.Use{At: noon.Add(time.Minute), Service: "kms", Region: "eu-west-1"}
	if use := w.View().LastUse(k.ID); use != want {
		t.Errorf("%v", use)
	}
	if use := w.open().View().LastUse(k.ID); !use.At.IsZero() {
		t.Errorf("stored before its time: %v", use)
	}

	w.store.fault = errors.New("the connection broke")
	if err := w.StoreUses(ctx); err == nil {
		t.Error("the failure is not told")
	}
	w.store.fault = nil
	for range 2 {
		if err := w.StoreUses(ctx); err != nil {
			t.Fatal(err)
		}
	}
	again := w.open()
	if use := again.View().LastUse(k.ID); use != want {
		t.Errorf("afterwards: %v", use)
	}
	if use := again.View().LastUse(idle.ID); !use.At.IsZero() {
		t.Errorf("of another key: %v", use)
	}

	// What is noted about a key that another process deletes is dropped.
	w.Used(k.ID, "kms", "eu-west-1", noon.Add(time.Hour))
	if err := again.Commit(ctx, again.View(), []identity.Change{identity.Delete(k)}, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.StoreUses(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Get(ctx, "identity/used/"+k.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("something is left: %v", err)
	}
}
