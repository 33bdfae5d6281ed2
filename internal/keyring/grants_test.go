package keyring

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/key"
)

// grantID makes an id that sorts by n.
func grantID(n int) string { return fmt.Sprintf("%064x", n) }

func grantOn(rec *key.Record, grantee string, n int) *grant.Grant {
	ops, _ := grant.OperationsOf(api.GrantOperationDecrypt)
	return &grant.Grant{
		ID: grantID(n), Key: rec.ARN, Grantee: grant.Party{ID: grantee, ARN: "arn:aws:iam::111122223333:user/" + grantee},
		Operations: ops, Issuer: home.Account, Created: noon,
	}
}

func putGrants(t testing.TB, r *Ring, rec *key.Record, all ...*grant.Grant) {
	t.Helper()
	for len(all) > 0 {
		n := min(25, len(all))
		changes := make([]Change, n)
		for i, g := range all[:n] {
			changes[i] = PutGrant{Key: rec, Now: g}
		}
		if err := r.Commit(ctx, changes, nil); err != nil {
			t.Fatal(err)
		}
		all = all[n:]
	}
}

func grantsTo(t testing.TB, r *Ring, rec *key.Record, party string) []*grant.Grant {
	t.Helper()
	all, err := r.GrantsTo(ctx, rec, party)
	if err != nil {
		t.Fatal(err)
	}
	return all.All()
}

// What was granted is found again as it was, by every way that leads to it, and
// by none after it has ended.
func TestGrantsComeBack(t *testing.T) {
	r, st := newRing(t, 1024)
	rec := makeKey(t, r)
	g := grantOn(rec, "AIDAALICE", 1)
	g.Name, g.Retiring = "nightly", grant.Party{ID: "AROAROLE:session", ARN: "arn:aws:sts::111122223333:assumed-role/r/session"}
	g.Constraint = grant.Constraint{Kind: grant.ContextSubset, Pairs: map[string]string{"b": "2", "a": "1"}, SourceArn: "arn:aws:s3:::b"}
	if got := grantsTo(t, r, rec, "AIDAALICE"); len(got) != 0 {
		t.Fatalf("before: %v", got)
	}
	putGrants(t, r, rec, g)
	same := func(how string, got *grant.Grant) {
		t.Helper()
		if got == nil || !got.SameRequest(g) || got.ID != g.ID || got.Grantee != g.Grantee || got.Retiring != g.Retiring ||
			!got.Created.Equal(g.Created) || !maps.Equal(got.Constraint.Pairs, g.Constraint.Pairs) || got.Rev == 0 {
			t.Errorf("%s: %+v", how, got)
		}
	}
	if all := grantsTo(t, r, rec, "AIDAALICE"); len(all) == 1 {
		same("grantee", all[0])
	} else {
		t.Errorf("grantee: %v", all)
	}
	byID, err := r.FindGrant(ctx, rec, g.ID)
	if err != nil {
		t.Fatal(err)
	}
	same("id", byID)
	equal := *g
	equal.ID = grantID(99)
	byName, err := r.FindEqualGrant(ctx, &equal)
	if err != nil {
		t.Fatal(err)
	}
	same("name", byName)
	byToken, on, err := r.FindByGrantToken(ctx, r.SealGrantToken(g), home.Region, noon)
	if err != nil || on.ARN != rec.ARN {
		t.Fatal(err)
	}
	same("token", byToken)
	retirable, next, err := r.ListRetirableGrants(ctx, "AROAROLE:session", home.Region, "", 10, noon)
	if err != nil || len(retirable) != 1 || next != "" {
		t.Fatal(retirable, next, err)
	}
	same("retiring principal", retirable[0])
	if other, _, err := r.ListRetirableGrants(ctx, "AROAROLE:session", "eu-west-1", "", 10, noon); err != nil || len(other) != 0 {
		t.Errorf("in another Region: %v %v", other, err)
	}

	if err := r.Commit(ctx, []Change{DeleteGrant{Was: byID}}, nil); err != nil {
		t.Fatal(err)
	}
	if all := grantsTo(t, r, rec, "AIDAALICE"); len(all) != 0 {
		t.Errorf("after its end: %v", all)
	}
	if _, err := r.FindGrant(ctx, rec, g.ID); !fault.Is(err, api.NotFoundException) || fault.From(err).Message != "Grant ID "+g.ID+" not found" {
		t.Errorf("by id after its end: %v", err)
	}
	if got, err := r.FindEqualGrant(ctx, &equal); got != nil || err != nil {
		t.Errorf("by name after its end: %v %v", got, err)
	}
	if _, _, err := r.FindByGrantToken(ctx, r.SealGrantToken(g), home.Region, noon); !fault.Is(err, api.InvalidGrantTokenException) {
		t.Errorf("by token after its end: %v", err)
	}
	left, err := st.List(ctx, "", "", 1000, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range left {
		if strings.HasPrefix(rec.Path, "grant") || strings.HasPrefix(rec.Path, "retirable") {
			t.Errorf("left behind: %s", rec.Path)
		}
	}
	if err := r.Commit(ctx, []Change{DeleteGrant{Was: byID}}, nil); !errors.Is(err, ErrLostRace) {
		t.Errorf("ended twice: %v", err)
	}
}

// Of two equal requests with a name at once, one makes the grant, and the other
// has to look again.
func TestEqualRequestsAtOnce(t *testing.T) {
	r, _ := newRing(t, 1024)
	rec := makeKey(t, r)
	first, second := grantOn(rec, "AIDAALICE", 1), grantOn(rec, "AIDAALICE", 2)
	first.Name, second.Name = "n", "n"
	putGrants(t, r, rec, first)
	if err := r.Commit(ctx, []Change{PutGrant{Key: rec, Now: second}}, nil); !errors.Is(err, ErrLostRace) {
		t.Errorf("%v", err)
	}
	unlike := grantOn(rec, "AIDABOB", 3)
	unlike.Name = "n"
	putGrants(t, r, rec, unlike)
}

// TestSEC_E04: a grant that a second, equal request is told of acts from then on, also
// while the first request that made it has not come back yet.
func TestSEC_E04_EqualRequestsActAtOnce(t *testing.T) {
	plain, st := newRing(t, 1024)
	slowly := &slow{st, make(chan chan struct{}, 1)}
	r := ringOver(t, slowly, sealerOf(plain), 1024)
	rec := makeKey(t, r)
	if all := grantsTo(t, r, rec, "AIDAALICE"); len(all) != 0 {
		t.Fatalf("before: %v", all)
	}
	g := grantOn(rec, "AIDAALICE", 1)
	g.Name = "n"
	release := make(chan struct{})
	slowly.next <- release
	acknowledged := make(chan error)
	go func() { acknowledged <- r.Commit(ctx, []Change{PutGrant{Key: rec, Now: g}}, nil) }()
	equal := *g
	equal.ID = grantID(2)
	for {
		found, err := r.FindEqualGrant(ctx, &equal)
		if err != nil {
			t.Fatal(err)
		}
		if found != nil {
			break
		}
		runtime.Gosched()
	}
	if all := grantsTo(t, r, rec, "AIDAALICE"); len(all) != 1 {
		t.Errorf("told of it and not allowed by it: %v", all)
	}
	close(release)
	if err := <-acknowledged; err != nil {
		t.Fatal(err)
	}
}

// A grant is made on the key that was decided upon, or not at all.
func TestGrantsWantTheirKeyUnchanged(t *testing.T) {
	r, _ := newRing(t, 1024)
	rec := makeKey(t, r)
	now := rec.Clone()
	now.Enabled = false
	if err := r.Commit(ctx, []Change{PutKey{Was: rec, Now: now}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(ctx, []Change{PutGrant{Key: rec, Now: grantOn(rec, "AIDAALICE", 1)}}, nil); !errors.Is(err, ErrLostRace) {
		t.Errorf("%v", err)
	}
}

func TestListGrantsByPages(t *testing.T) {
	r, _ := newRing(t, 1024)
	rec, other := makeKey(t, r), makeKey(t, r)
	var want []string
	for i := range 25 {
		g := grantOn(rec, []string{"AIDAALICE", "AIDABOB"}[i%2], i)
		putGrants(t, r, rec, g)
		want = append(want, GrantPosition(g))
	}
	putGrants(t, r, other, grantOn(other, "AIDAALICE", 100))
	slices.Sort(want)
	for _, party := range []string{"", "AIDABOB", "AIDA"} {
		var got, expected []string
		for _, p := range want {
			if party == "" || strings.HasPrefix(p, party+"/") {
				expected = append(expected, p)
			}
		}
		after := ""
		for {
			page, more, err := r.ListGrants(ctx, rec, party, after, 4)
			if err != nil || len(page) > 4 {
				t.Fatal(len(page), err)
			}
			for _, g := range page {
				got = append(got, GrantPosition(g))
			}
			if !more {
				break
			}
			after = GrantPosition(page[len(page)-1])
		}
		if !slices.Equal(got, expected) {
			t.Errorf("%q:\n got %v\nwant %v", party, got, expected)
		}
	}
}

// Grants go when their key goes.
func TestGrantsVanishWithTheirKey(t *testing.T) {
	r, st := newRing(t, 1024)
	rec, other := makeKey(t, r), makeKey(t, r)
	for i := range 150 {
		g := grantOn(rec, fmt.Sprintf("AIDA%03d", i), i)
		g.Name, g.Retiring.ID = "n", "AIDACAROL"
		putGrants(t, r, rec, g)
	}
	kept := grantOn(other, "AIDAALICE", 500)
	kept.Retiring.ID = "AIDACAROL"
	putGrants(t, r, other, kept)
	now := rec.Clone()
	now.DeletionDate = key.MomentOf(noon.Add(time.Hour))
	if err := r.Commit(ctx, []Change{PutKey{Was: rec, Now: now}}, nil); err != nil {
		t.Fatal(err)
	}
	later := noon.Add(2 * time.Hour)
	list, next, err := r.ListRetirableGrants(ctx, "AIDACAROL", home.Region, "", 100, later)
	if err != nil || len(list) != 1 || list[0].ID != kept.ID || next != "" {
		t.Errorf("before the sweep: %d grants, next %q, %v", len(list), next, err)
	}
	if swept, err := r.Sweep(ctx, later, later); len(swept.Deleted) != 1 || err != nil {
		t.Fatal(swept, err)
	}
	left, err := st.List(ctx, "", "", 1000, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if strings.Contains(entry.Path, rec.ID()) {
			t.Errorf("left behind: %s", entry.Path)
		}
	}
	if len(grantsTo(t, r, other, "AIDAALICE")) != 1 {
		t.Error("a grant on another key went along")
	}
}

// TestSEC_B13: a grant token that is altered anywhere, cut, of another store, or
// of another kind is refused; tokens of one grant differ and mean the same.
func TestSEC_B13_GrantTokens(t *testing.T) {
	r, _ := newRing(t, 1024)
	rec := makeKey(t, r)
	g := grantOn(rec, "AIDAALICE", 1)
	putGrants(t, r, rec, g)
	one, two := r.SealGrantToken(g), r.SealGrantToken(g)
	if one == two {
		t.Error("two tokens are one")
	}
	for _, token := range []string{one, two} {
		if err := r.CheckGrantToken(token); err != nil {
			t.Error(err)
		}
	}
	refused := func(name, token string) {
		t.Helper()
		if err := r.CheckGrantToken(token); !fault.Is(err, api.InvalidGrantTokenException) || fault.From(err).Message != "" {
			t.Errorf("%s: %v", name, err)
		}
		if got, _, err := r.FindByGrantToken(ctx, token, home.Region, noon); got != nil || !fault.Is(err, api.InvalidGrantTokenException) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(one)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(raw) * 8 {
		bent := slices.Clone(raw)
		bent[i/8] ^= 1 << (i % 8)
		refused(fmt.Sprintf("bit %d flipped", i), base64.RawURLEncoding.EncodeToString(bent))
	}
	for n := range len(one) {
		refused(fmt.Sprintf("cut to %d", n), one[:n])
	}
	refused("longer", one+"A")
	refused("padded", one+"=")
	refused("a marker", r.SealMarker("ListGrants", GrantPosition(g)))
	elsewhere, _ := newRing(t, 1024)
	refused("of another store", elsewhere.SealGrantToken(g))
	if _, _, err := r.FindByGrantToken(ctx, one, "eu-west-1", noon); !fault.Is(err, api.InvalidGrantTokenException) {
		t.Errorf("in another Region: %v", err)
	}
}

func FuzzGrantToken(f *testing.F) {
	r, _ := newRing(f, 1024)
	rec := makeKey(f, r)
	g := grantOn(rec, "AIDAALICE", 1)
	ours := r.SealGrantToken(g)
	f.Add(ours)
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, token string) {
		if err := r.CheckGrantToken(token); (err == nil) != (token == ours) {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

// BenchmarkGrantsTo is what a decision asks of the ring, on a key with few and
// with the most grants that a key may have.
func BenchmarkGrantsTo(b *testing.B) {
	for _, n := range []int{10, grant.MaxPerKey} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, _ := newRing(b, 1<<17)
			rec := makeKey(b, r)
			all := make([]*grant.Grant, n)
			for i := range all {
				all[i] = grantOn(rec, fmt.Sprintf("AIDA%05d", i), i)
			}
			putGrants(b, r, rec, all...)
			b.ReportAllocs()
			for b.Loop() {
				if got, err := r.GrantsTo(ctx, rec, "AIDA00005"); err != nil || len(got.All()) != 1 {
					b.Fatal(got, err)
				}
			}
		})
	}
}
