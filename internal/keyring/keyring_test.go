package keyring

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/authz"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/record"
	"trent/internal/root"
	"trent/internal/root/file"
	"trent/internal/seal"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

var (
	home = Where{Account: "111122223333", Region: "us-east-1"}
	noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ctx  = context.Background()
)

func newRing(t testing.TB, bound int) (*Ring, store.Store) {
	dir := t.TempDir()
	st, err := bolt.Create(filepath.Join(dir, "trent.db"), bolt.Options{})
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
	return ringOver(t, st, s, bound), st
}

// oneTenant seals all accounts alike, and knows none that is called 000000000000.
type oneTenant struct{ s *seal.Sealer }

// Sealer implements Tenants.
func (o oneTenant) Sealer(account string) (*seal.Sealer, error) {
	if account == "000000000000" {
		return nil, errors.New("there is no such account")
	}
	return o.s, nil
}

func ringOver(t testing.TB, st store.Store, s *seal.Sealer, bound int) *Ring {
	ring, err := New(st, s, Options{Tenants: oneTenant{s}, Partition: "aws", CacheKeys: bound})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func sealerOf(r *Ring) *seal.Sealer { return r.tenants.(oneTenant).s }

// makeKey puts a key and its material, and returns it as it is found again.
func makeKey(t testing.TB, r *Ring) *key.Record {
	t.Helper()
	id := NewKeyID()
	policy, err := r.ParsePolicy(key.DefaultPolicy("aws", home.Account))
	if err != nil {
		t.Fatal(err)
	}
	material := crypt.NewMaterial()
	materialID, err := crypt.MaterialIDOf(id, material)
	if err != nil {
		t.Fatal(err)
	}
	rec := &key.Record{
		Kind: key.KindOf(api.KeySpecSymmetricDefault, api.KeyUsageEncryptDecrypt, api.OriginAWSKMS),
		ARN:  arn.Key("aws", home.Region, home.Account, id), Created: key.MomentOf(noon), Enabled: true,
		Materials: []key.Material{{ID: materialID}}, Policy: policy,
	}
	if err := r.Commit(ctx, []Change{PutKey{Now: rec}, PutMaterial{Key: rec, ID: materialID, Material: material}}, nil); err != nil {
		t.Fatal(err)
	}
	return find(t, r, id)
}

func find(t testing.TB, r *Ring, id string) *key.Record {
	t.Helper()
	rec, err := r.Find(ctx, arn.ParseRef(id), home, noon)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// asRoot asks whether the root user may decrypt with a key.
func asRoot(rec *key.Record) *authz.Question {
	root := &iam.Principal{Kind: iam.RootUser, Partition: "aws", Account: home.Account, ARN: arn.AccountRoot("aws", home.Account)}
	return &authz.Question{
		Caller: root, Action: iam.NewAction("kms:Decrypt"), Record: rec, Conditions: &authz.Conditions{Caller: root, Record: rec},
	}
}

func permit(t testing.TB, rec *key.Record) authz.Permit {
	t.Helper()
	p, err := authz.OnKey(ctx, asRoot(rec))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Nothing opens without a permit for exactly this record: not the zero one, not
// one for another key, not one for the same key at another revision.
func TestOpenWantsAPermitForThisRecord(t *testing.T) {
	r, _ := newRing(t, 1024)
	rec, other := makeKey(t, r), makeKey(t, r)
	id, _ := rec.Current()
	otherID, _ := other.Current()
	stale := rec.Clone()
	if _, err := r.Open(ctx, permit(t, rec), rec, id); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() (crypt.Key, error){
		"zero permit":        func() (crypt.Key, error) { return r.Open(ctx, authz.Permit{}, rec, id) },
		"zero permit, nil":   func() (crypt.Key, error) { return r.Open(ctx, authz.Permit{}, nil, id) },
		"another key":        func() (crypt.Key, error) { return r.Open(ctx, permit(t, other), rec, id) },
		"another revision":   func() (crypt.Key, error) { return r.Open(ctx, permit(t, stale), rec, id) },
		"another's material": func() (crypt.Key, error) { return r.Open(ctx, permit(t, rec), rec, otherID) },
	} {
		if k, err := open(); k != nil || !fault.Is(err, fault.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSEC_E01: whoever owns the store cannot move, swap or alter a record
// without being found out; in no case does one key's material serve another.
func TestSEC_E01_RecordsCannotBeMoved(t *testing.T) {
	r, st := newRing(t, 1024)
	a, b := makeKey(t, r), makeKey(t, r)
	idA, _ := a.Current()
	idB, _ := b.Current()
	paths := []string{placeOf(a).keyPath(), placeOf(b).keyPath(), materialPath(idA), materialPath(idB)}
	values := make([][]byte, len(paths))
	for i, p := range paths {
		rec, err := st.Get(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		values[i] = rec.Value
	}
	try := func(name string) {
		t.Helper()
		cold := ringOver(t, st, sealerOf(r), 1024) // nothing cached
		recA, err := cold.Find(ctx, arn.ParseRef(a.ID()), home, noon)
		if err != nil {
			if !fault.Is(err, fault.Internal) {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if k, err := cold.Open(ctx, permit(t, recA), recA, idA); !fault.Is(err, fault.Internal) {
			t.Errorf("%s: opened %v, %v", name, k, err)
		}
	}
	put := func(path string, value []byte) {
		if _, err := st.Commit(ctx, store.Batch{Put: []store.Put{{Path: path, Value: value}}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, from := range []int{1, 2, 3} { // another record in place of a's own
		put(paths[0], values[from])
		try("key record swapped " + paths[from][:8] + string(rune('0'+i)))
	}
	put(paths[0], values[0])
	put(paths[2], values[3])
	try("material swapped")
	mixed := append(slices.Clone(values[2][:2+int(values[2][1])]), values[3][2+int(values[3][1]):]...)
	put(paths[2], mixed)
	try("material swapped under its owner")
	for i := range values[2] {
		if i >= 2 && i < 2+int(values[2][1]) {
			continue // the owner is a hint, and is told apart below
		}
		bad := bytes.Clone(values[2])
		bad[i] ^= 0x40
		put(paths[2], bad)
		cold := ringOver(t, st, sealerOf(r), 1024)
		recA := find(t, cold, a.ID())
		if _, err := cold.Open(ctx, permit(t, recA), recA, idA); err == nil {
			t.Fatalf("byte %d of a material was altered unnoticed", i)
		}
	}
}

// The clear owner in a material's record leads nowhere but to a key that
// lists that material itself.
func TestAForgedOwnerLeadsNowhere(t *testing.T) {
	r, st := newRing(t, 1024)
	a, b := makeKey(t, r), makeKey(t, r)
	idA, _ := a.Current()
	rec, err := st.Get(ctx, materialPath(idA))
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(rec.Value, []byte(a.ID()), []byte(b.ID()), 1)
	if _, err := st.Commit(ctx, store.Batch{Put: []store.Put{{Path: materialPath(idA), Value: forged}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := ringOver(t, st, sealerOf(r), 1024).FindByMaterial(ctx, idA, home.Region, noon); !IsAbsent(err) {
		t.Errorf("led to %v, %v", got, err)
	}
}

// slow is a store whose commits are durable some time before they return.
type slow struct {
	store.Store
	next chan chan struct{} // given to the next commit, which waits for it to be closed
}

func (s *slow) Commit(ctx context.Context, b store.Batch) (store.Rev, error) {
	rev, err := s.Store.Commit(ctx, b)
	select {
	case until := <-s.next:
		<-until
	default:
	}
	return rev, err
}

// TestSEC_E04: of two changes of one key, the one that was made durable first may be
// the last to be acknowledged. What is read then is the other one.
func TestSEC_E04_AcknowledgedOutOfOrder(t *testing.T) {
	plain, st := newRing(t, 1024)
	slowly := &slow{st, make(chan chan struct{}, 1)}
	r := ringOver(t, slowly, sealerOf(plain), 1024)
	rec := makeKey(t, r)
	release := make(chan struct{})
	slowly.next <- release
	first := rec.Clone()
	first.Description = "first"
	acknowledged := make(chan error)
	go func() { acknowledged <- r.Commit(ctx, []Change{PutKey{Was: rec, Now: first}}, nil) }()
	for len(slowly.next) > 0 {
		runtime.Gosched()
	}
	second := rec.Clone()
	second.Enabled = false
	if err := r.Commit(ctx, []Change{PutKey{Was: rec, Now: second}}, nil); !errors.Is(err, ErrLostRace) {
		t.Fatalf("on what was read before the first: %v", err)
	}
	was := find(t, r, rec.ID())
	second = was.Clone()
	second.Enabled = false
	if err := r.Commit(ctx, []Change{PutKey{Was: was, Now: second}}, nil); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-acknowledged; err != nil {
		t.Fatal(err)
	}
	if got := find(t, r, rec.ID()); got.Enabled || got.Description != "first" {
		t.Errorf("enabled %v, %q", got.Enabled, got.Description)
	}
}

// A load that was overtaken by a commit must not bury what was committed.
func TestCacheKeepsTheNewer(t *testing.T) {
	c := newCache[string, int](64, strings.Clone)
	v, err := c.load("k", func() (int, error) {
		c.drop("k") // something was committed while the old value was being read
		return 1, nil
	})
	if err != nil || v != 1 {
		t.Fatalf("the load itself: %d %v", v, err)
	}
	if v, _ := c.load("k", func() (int, error) { return 2, nil }); v != 2 {
		t.Fatalf("the cache has %d", v)
	}
	if _, err := c.load("gone", func() (int, error) {
		c.drop("gone")
		return 1, nil
	}); err != nil {
		t.Fatal(err)
	}
	if v, _ := c.load("gone", func() (int, error) { return 0, errNoRecord }); v != 0 {
		t.Fatal("a deleted value came back")
	}
	if _, err := c.load("failed", func() (int, error) { return 0, errNoRecord }); !errors.Is(err, errNoRecord) {
		t.Fatal(err)
	}
	if v, err := c.load("failed", func() (int, error) { return 5, nil }); v != 5 || err != nil {
		t.Fatal("a failure was remembered")
	}
}

func TestCacheIsBounded(t *testing.T) {
	r, _ := newRing(t, 1)
	var ids []string
	for range 300 {
		ids = append(ids, makeKey(t, r).ID())
	}
	for _, id := range ids {
		rec := find(t, r, id)
		material, _ := rec.Current()
		if _, err := r.Open(ctx, permit(t, rec), rec, material); err != nil {
			t.Fatal(err)
		}
	}
	for name, n := range map[string]int{"records": r.records.size(), "materials": r.materials.size()} {
		if n > shards {
			t.Errorf("%d %s are cached, the bound is 1 in each of %d shards", n, name, shards)
		}
	}
}

func (c *cache[K, V]) size() (n int) {
	for i := range c.shards {
		c.shards[i].mu.RLock()
		n += len(c.shards[i].entries)
		c.shards[i].mu.RUnlock()
	}
	return n
}

// Whatever a record holds, it is the same once it has been stored.
func TestRecordRoundTrip(t *testing.T) {
	r, _ := newRing(t, 64)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 40, -1)
		id := NewKeyID()
		rec := &key.Record{
			Kind:        key.KindOf(api.KeySpecSymmetricDefault, api.KeyUsageEncryptDecrypt, api.OriginAWSKMS),
			ARN:         arn.Key("aws", home.Region, home.Account, id),
			Description: text.Draw(t, "description"), Enabled: rapid.Bool().Draw(t, "enabled"),
			Created: key.Moment(rapid.Int64Range(1, 1<<42).Draw(t, "created")), DeletionDate: key.Moment(rapid.Int64Range(0, 1<<42).Draw(t, "deletion")),
			DeletionWindow: rapid.Int32Range(0, 30).Draw(t, "window"),
			Rotation:       key.Rotation{Period: rapid.Int32Range(0, 2560).Draw(t, "period"), Next: key.Moment(rapid.Int64Range(0, 1<<42).Draw(t, "next"))},
			Aliases:        rapid.SliceOfN(text, 0, 5).Draw(t, "aliases"),
			Regions:        rapid.SliceOfN(text, 0, 3).Draw(t, "regions"),
		}
		for range rapid.IntRange(0, 4).Draw(t, "materials") {
			rec.Materials = append(rec.Materials, key.Material{
				ID:      crypt.MaterialID(crypt.Random(32).Expose()),
				Rotated: key.Moment(rapid.Int64Range(0, 1<<42).Draw(t, "rotated")), How: rapid.SampledFrom(rotationTypes).Draw(t, "how"),
			})
		}
		for range rapid.IntRange(0, 4).Draw(t, "tags") {
			rec.Tags = append(rec.Tags, key.Tag{Key: text.Draw(t, "k"), Value: text.Draw(t, "v")})
		}
		policy := key.DefaultPolicy("aws", home.Account)
		if rapid.Bool().Draw(t, "own policy") {
			policy = `{"Statement":{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*"}}`
		}
		rec.Policy = r.policies.compiled(policy)
		content, err := r.encodeRecord(rec)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.decodeRecord(placeOf(rec), content, 7)
		if err != nil {
			t.Fatal(err)
		}
		again, err := r.encodeRecord(got)
		if err != nil || !bytes.Equal(content, again) || got.ARN != rec.ARN || got.Rev != 7 || got.Policy != rec.Policy {
			t.Fatalf("%+v became %+v (%v)", rec, got, err)
		}
		c := compact(got)
		cached, err := r.encodeRecord(r.expand(placeOf(rec), &c))
		if err != nil || !bytes.Equal(content, cached) {
			t.Fatalf("%+v is another one from the cache (%v)", rec, err)
		}
	})
}

// A key with one material, of which there is nothing to say, has nothing but the fixed part in the cache:
// a hundred thousand of them are that many objects fewer for the collector.
func TestPlainKeysAreSmall(t *testing.T) {
	r, _ := newRing(t, 64)
	if c := compact(makeKey(t, r)); c.more != nil || unsafe.Sizeof(c) > 104 {
		t.Errorf("a plain key takes %d bytes and has %+v", unsafe.Sizeof(c), c.more)
	}
}

// A policy that this Trent does not understand, as a newer one may have stored,
// allows nothing; and a record of a newer version is refused.
func TestWhatIsNotUnderstoodDenies(t *testing.T) {
	r, _ := newRing(t, 64)
	rec := makeKey(t, r).Clone()
	rec.Policy = &iam.Policy{Source: `{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"Moon":{"phase":"full"}}}}`}
	content, err := r.encodeRecord(rec)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.decodeRecord(placeOf(rec), content, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := authz.OnKey(ctx, asRoot(got)); !fault.Is(err, authz.AccessDenied) {
		t.Errorf("a policy that cannot be read allowed: %v", err)
	}
	content[0] = 2
	if _, err := r.decodeRecord(placeOf(rec), content, 1); !errors.Is(err, record.ErrVersion) {
		t.Errorf("a record of another version: %v", err)
	}
}

// Equal policies are held once, and forgotten when nobody uses them.
func TestEqualPoliciesAreHeldOnce(t *testing.T) {
	r, _ := newRing(t, 64)
	a, b := makeKey(t, r), makeKey(t, r)
	if a.Policy != b.Policy {
		t.Error("two keys under the default policy hold two of them")
	}
}

// A commit on a record that has changed since is refused whole.
func TestCommitLosesARace(t *testing.T) {
	r, st := newRing(t, 64)
	was := makeKey(t, r)
	first, second := was.Clone(), was.Clone()
	first.Description, second.Description = "first", "second"
	if err := r.Commit(ctx, []Change{PutKey{Was: was, Now: first}}, nil); err != nil {
		t.Fatal(err)
	}
	alias := &key.Alias{Account: home.Account, Region: home.Region, Name: "alias/x", TargetID: was.ID(), ARN: arn.Alias("aws", home.Region, home.Account, "alias/x")}
	if err := r.Commit(ctx, []Change{PutAlias{Now: alias}, PutKey{Was: was, Now: second}}, nil); !errors.Is(err, ErrLostRace) {
		t.Fatalf("Commit: %v", err)
	}
	if got := find(t, r, was.ID()); got.Description != "first" {
		t.Errorf("the key says %q", got.Description)
	}
	if _, err := st.Get(ctx, placeOfAlias(alias).aliasPath()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("half of the batch was applied: %v", err)
	}
}

// Another node may have changed a record since it was remembered here. What finds it as it wishes it to be does not
// take that for the truth, or a key that somebody has enabled again would stay so though DisableKey was answered.
func TestSEC_E04_NothingToChangeIsAskedOfTheStore(t *testing.T) {
	here, st := newRing(t, 64)
	there := ringOver(t, st, sealerOf(here), 64)
	was := makeKey(t, here)
	if err := there.Commit(ctx, []Change{Unchanged{was}}, nil); err != nil {
		t.Fatalf("Commit of what is so: %v", err)
	}
	now := was.Clone()
	now.Enabled = !was.Enabled
	if err := here.Commit(ctx, []Change{PutKey{Was: was, Now: now}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := there.Commit(ctx, []Change{Unchanged{was}}, nil); !errors.Is(err, ErrLostRace) {
		t.Fatalf("Commit of what is so no more: %v; want ErrLostRace", err)
	}
	if got := find(t, there, was.ID()); got.Enabled != now.Enabled {
		t.Error("what is remembered is still the old state")
	}
}

// FuzzOpenMarker: what is not a marker of this list is refused as such.
func FuzzOpenMarker(f *testing.F) {
	r, _ := newRing(f, 64)
	f.Add("", r.SealMarker("a list", "there"))
	f.Add("a list", r.SealMarker("a list", "there"))
	f.Add("a list", strings.Repeat("A", 1024))
	f.Fuzz(func(t *testing.T, list, marker string) {
		after, err := r.OpenMarker(list, marker)
		switch {
		case marker == "" && err == nil && after == "":
		case err == nil && list == "a list" && after == "there":
		case !fault.Is(err, api.InvalidMarkerException):
			t.Fatalf("%q: %q, %v", marker, after, err)
		}
	})
}

// FuzzDecodeRecord: no content makes a record that cannot be used safely.
func FuzzDecodeRecord(f *testing.F) {
	r, _ := newRing(f, 64)
	rec := makeKey(f, r)
	content, err := r.encodeRecord(rec)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := r.decodeRecord(placeOf(rec), content, 1)
		if err != nil {
			return
		}
		if got.Kind == nil || got.Policy == nil || got.ARN != rec.ARN {
			t.Fatalf("%+v", got)
		}
		got.State(noon)
		if _, err := r.encodeRecord(got); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	r, _ := newRing(b, 1024)
	ref := arn.ParseRef(makeKey(b, r).ID())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Find(ctx, ref, home, noon); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCold is what a key costs that is not in the cache: read, unsealed
// and decoded, record and material.
func BenchmarkCold(b *testing.B) {
	r, _ := newRing(b, 1024)
	rec := makeKey(b, r)
	ref := arn.ParseRef(rec.ID())
	id, _ := rec.Current()
	b.ReportAllocs()
	for b.Loop() {
		r.forgetKey(placeOf(rec))
		r.materials.drop(id)
		cold, err := r.Find(ctx, ref, home, noon)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Open(ctx, permit(b, cold), cold, id); err != nil {
			b.Fatal(err)
		}
	}
}
