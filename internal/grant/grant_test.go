package grant_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"trent/internal/api"
	"trent/internal/grant"
)

const key = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

func ops(t testing.TB, list ...api.GrantOperation) grant.Operations {
	t.Helper()
	set, ok := grant.OperationsOf(list...)
	if !ok {
		t.Fatalf("unknown: %v", list)
	}
	return set
}

// Every operation of the model is known, has a bit of its own and comes back.
func TestOperations(t *testing.T) {
	all := api.GrantOperation("").Values()
	var union grant.Operations
	for _, op := range all {
		one := ops(t, op)
		if union&one != 0 || !one.Has(op) || !slices.Equal(one.List(), []api.GrantOperation{op}) || !one.Known() {
			t.Errorf("%s: %b", op, one)
		}
		union |= one
		if grant.OfPermission("kms:"+string(op)) != op {
			t.Errorf("kms:%s is no operation", op)
		}
	}
	if got := union.List(); len(got) != len(all) {
		t.Errorf("%v", got)
	}
	for _, bad := range []string{"", "decrypt", "PutKeyPolicy", "kms:Decrypt"} {
		if _, ok := grant.OperationsOf(api.GrantOperation(bad)); ok {
			t.Errorf("%q is known", bad)
		}
	}
	for _, p := range []string{"kms:PutKeyPolicy", "kms:ListGrants", "kms:RevokeGrant", "kms:", "", "iam:Decrypt2"} {
		if op := grant.OfPermission(p); op != "" {
			t.Errorf("%s is %s", p, op)
		}
	}
	if grant.Operations(1 << 31).Known() {
		t.Error("an unknown bit is known")
	}
}

func TestConstraints(t *testing.T) {
	context := map[string]string{"tenant": "a", "table": "orders"}
	for _, c := range []struct {
		name       string
		constraint grant.Constraint
		use        grant.Use
		want       bool
	}{
		{"none", grant.Constraint{}, grant.Use{Operation: "Decrypt", Context: context}, true},
		{"none, no context", grant.Constraint{}, grant.Use{Operation: "Decrypt"}, true},
		{"another operation", grant.Constraint{}, grant.Use{Operation: "Encrypt"}, false},
		{"no operation", grant.Constraint{}, grant.Use{}, false},
		{"equals", grant.Constraint{Kind: grant.ContextEquals, Pairs: map[string]string{"table": "orders", "tenant": "a"}}, grant.Use{Operation: "Decrypt", Context: context}, true},
		{"equals, one more", grant.Constraint{Kind: grant.ContextEquals, Pairs: map[string]string{"tenant": "a"}}, grant.Use{Operation: "Decrypt", Context: context}, false},
		{"equals, one less", grant.Constraint{Kind: grant.ContextEquals, Pairs: context}, grant.Use{Operation: "Decrypt", Context: map[string]string{"tenant": "a"}}, false},
		{"equals, other value", grant.Constraint{Kind: grant.ContextEquals, Pairs: map[string]string{"tenant": "b"}}, grant.Use{Operation: "Decrypt", Context: map[string]string{"tenant": "a"}}, false},
		{"equals, other case of the value", grant.Constraint{Kind: grant.ContextEquals, Pairs: map[string]string{"tenant": "A"}}, grant.Use{Operation: "Decrypt", Context: map[string]string{"tenant": "a"}}, false},
		{"equals, other case of the key", grant.Constraint{Kind: grant.ContextEquals, Pairs: map[string]string{"Tenant": "a"}}, grant.Use{Operation: "Decrypt", Context: map[string]string{"tenant": "a"}}, false},
		{"equals nothing", grant.Constraint{Kind: grant.ContextEquals}, grant.Use{Operation: "Decrypt"}, true},
		{"equals nothing, some", grant.Constraint{Kind: grant.ContextEquals}, grant.Use{Operation: "Decrypt", Context: context}, false},
		{"equals an empty value, absent", grant.Constraint{Kind: grant.ContextEquals, Pairs: map[string]string{"tenant": ""}}, grant.Use{Operation: "Decrypt", Context: map[string]string{"other": ""}}, false},
		{"subset", grant.Constraint{Kind: grant.ContextSubset, Pairs: map[string]string{"tenant": "a"}}, grant.Use{Operation: "Decrypt", Context: context}, true},
		{"subset, all", grant.Constraint{Kind: grant.ContextSubset, Pairs: context}, grant.Use{Operation: "Decrypt", Context: context}, true},
		{"subset, absent", grant.Constraint{Kind: grant.ContextSubset, Pairs: map[string]string{"tenant": "a"}}, grant.Use{Operation: "Decrypt"}, false},
		{"subset of nothing", grant.Constraint{Kind: grant.ContextSubset}, grant.Use{Operation: "Decrypt", Context: context}, true},
		{"DescribeKey has no context", grant.Constraint{Kind: grant.ContextEquals, Pairs: context}, grant.Use{Operation: "DescribeKey"}, true},
		{"RetireGrant has no context", grant.Constraint{Kind: grant.ContextEquals, Pairs: context}, grant.Use{Operation: "RetireGrant"}, true},
		{"a kind from the future", grant.Constraint{Kind: 9}, grant.Use{Operation: "Decrypt"}, false},
		{"source, none in the request", grant.Constraint{SourceArn: "arn:aws:s3:::b"}, grant.Use{Operation: "Decrypt"}, false},
		{"source, another", grant.Constraint{SourceArn: "arn:aws:s3:::b"}, grant.Use{Operation: "Decrypt", SourceArn: "arn:aws:s3:::c"}, false},
		{"source", grant.Constraint{SourceArn: "arn:aws:s3:::b"}, grant.Use{Operation: "Decrypt", SourceArn: "arn:aws:s3:::b"}, true},
		{"source, DescribeKey", grant.Constraint{SourceArn: "arn:aws:s3:::b"}, grant.Use{Operation: "DescribeKey"}, false},
		{"source, RetireGrant", grant.Constraint{SourceArn: "arn:aws:s3:::b"}, grant.Use{Operation: "RetireGrant"}, true},
	} {
		g := grant.Grant{Operations: ops(t, "Decrypt", "DescribeKey", "RetireGrant"), Constraint: c.constraint}
		if got := g.Covers(c.use); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestSEC_B12: what a child grant covers, its parent covers. Tried over random
// pairs; that some pairs are within and some not is checked as well.
func TestSEC_B12_ChildrenAreWithinTheirParents(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pairs := func() map[string]string {
		m := make(map[string]string)
		for range r.IntN(3) {
			m[string("kl"[r.IntN(2)])] = string("vw"[r.IntN(2)])
		}
		return m
	}
	list := []api.GrantOperation{"Decrypt", "Encrypt", "DescribeKey", "CreateGrant", "RetireGrant"}
	random := func() *grant.Grant {
		g := &grant.Grant{Key: key, Constraint: grant.Constraint{Kind: grant.ConstraintKind(r.IntN(3)), SourceArn: []string{"", "", "arn:aws:s3:::b", "arn:aws:s3:::c"}[r.IntN(4)]}}
		if g.Constraint.Kind != grant.Unconstrained {
			g.Constraint.Pairs = pairs()
		}
		for _, op := range list {
			if r.IntN(2) == 0 {
				g.Operations |= ops(t, op)
			}
		}
		return g
	}
	within := 0
	for i := range 200000 {
		parent, child := random(), random()
		if !child.Within(parent) {
			continue
		}
		within++
		use := grant.Use{Operation: list[r.IntN(len(list))], Context: pairs(), SourceArn: []string{"", "arn:aws:s3:::b", "arn:aws:s3:::c"}[r.IntN(3)]}
		if child.Covers(use) && !parent.Covers(use) {
			t.Fatalf("case %d: %+v covers %+v, its parent %+v does not", i, child, use, parent)
		}
		grandchild := random()
		if grandchild.Within(child) && !grandchild.Within(parent) {
			t.Fatalf("case %d: %+v is within %+v and not within its parent %+v", i, grandchild, child, parent)
		}
	}
	if within < 1000 {
		t.Errorf("only %d pairs were within", within)
	}
}

// However many grants there are and however they are arranged, a set covers what one
// of them covers.
func TestSetsCoverWhatTheirGrantsCover(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	list := []api.GrantOperation{"Decrypt", "Encrypt", "DescribeKey", "CreateGrant"}
	pairs := func() map[string]string {
		m := make(map[string]string)
		for range r.IntN(4) {
			m[string("klm"[r.IntN(3)])] = string("vwx"[r.IntN(3)])
		}
		return m
	}
	covered := 0
	for range 4000 {
		all := make([]*grant.Grant, r.IntN(40))
		for i := range all {
			g := &grant.Grant{Key: key, Operations: ops(t, list[r.IntN(4)]), Constraint: grant.Constraint{Kind: grant.ConstraintKind(r.IntN(3)), SourceArn: []string{"", "", "arn:aws:s3:::b"}[r.IntN(3)]}}
			if g.Constraint.Kind != grant.Unconstrained {
				g.Constraint.Pairs = pairs()
			}
			all[i] = g
		}
		set := grant.NewSet(all)
		for range 10 {
			use := grant.Use{Operation: list[r.IntN(4)], Context: pairs(), SourceArn: []string{"", "arn:aws:s3:::b"}[r.IntN(2)]}
			var child *grant.Grant
			if use.Operation == "CreateGrant" {
				child = &grant.Grant{Key: key, Operations: ops(t, "CreateGrant"), Constraint: grant.Constraint{Kind: grant.ContextEquals, Pairs: pairs()}}
			}
			want := slices.ContainsFunc(all, func(g *grant.Grant) bool { return g.Covers(use) && (child == nil || child.Within(g)) })
			if got := set.Covers(use, child); got != want {
				t.Fatalf("%d grants, %+v: %v", len(all), use, got)
			}
			if want {
				covered++
			}
		}
	}
	if covered < 1000 {
		t.Errorf("only %d uses were covered", covered)
	}
	var none *grant.Set
	if none.Covers(grant.Use{Operation: "Decrypt"}, nil) || none.All() != nil {
		t.Error("no set covers something")
	}
}

// The published rules for children, one by one.
func TestWithin(t *testing.T) {
	a, ab := map[string]string{"a": "1"}, map[string]string{"a": "1", "b": "2"}
	make := func(kind grant.ConstraintKind, pairs map[string]string, list ...api.GrantOperation) *grant.Grant {
		return &grant.Grant{Key: key, Operations: ops(t, list...), Constraint: grant.Constraint{Kind: kind, Pairs: pairs}}
	}
	for _, c := range []struct {
		name          string
		parent, child *grant.Grant
		want          bool
	}{
		{"the same", make(0, nil, "Decrypt", "CreateGrant"), make(0, nil, "Decrypt", "CreateGrant"), true},
		{"fewer operations", make(0, nil, "Decrypt", "CreateGrant"), make(0, nil, "Decrypt"), true},
		{"one more operation", make(0, nil, "Decrypt", "CreateGrant"), make(0, nil, "Encrypt"), false},
		{"a constraint added", make(0, nil, "Decrypt"), make(grant.ContextSubset, a, "Decrypt"), true},
		{"a constraint dropped", make(grant.ContextSubset, a, "Decrypt"), make(0, nil, "Decrypt"), false},
		{"subset with more pairs", make(grant.ContextSubset, a, "Decrypt"), make(grant.ContextSubset, ab, "Decrypt"), true},
		{"subset with fewer pairs", make(grant.ContextSubset, ab, "Decrypt"), make(grant.ContextSubset, a, "Decrypt"), false},
		{"subset becomes equals", make(grant.ContextSubset, a, "Decrypt"), make(grant.ContextEquals, ab, "Decrypt"), true},
		{"subset becomes another equals", make(grant.ContextSubset, a, "Decrypt"), make(grant.ContextEquals, map[string]string{"b": "2"}, "Decrypt"), false},
		{"equals becomes subset", make(grant.ContextEquals, a, "Decrypt"), make(grant.ContextSubset, a, "Decrypt"), false},
		{"equals becomes wider", make(grant.ContextEquals, a, "Decrypt"), make(grant.ContextEquals, ab, "Decrypt"), false},
		{"equals stays", make(grant.ContextEquals, ab, "Decrypt"), make(grant.ContextEquals, maps.Clone(ab), "Decrypt"), true},
	} {
		if got := c.child.Within(c.parent); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		other := *c.child
		other.Key = strings.Replace(key, "1234abcd", "ffffffff", 1)
		if other.Within(c.parent) {
			t.Errorf("%s: for another key", c.name)
		}
	}
}

func TestSameRequest(t *testing.T) {
	base := func() *grant.Grant {
		return &grant.Grant{
			Key: key, Name: "n", Grantee: grant.Party{ID: "AIDA1", ARN: "x"}, Retiring: grant.Party{ID: "AIDA2"}, Operations: ops(t, "Decrypt"),
			Issuer: "111122223333", Constraint: grant.Constraint{Kind: grant.ContextSubset, Pairs: map[string]string{"a": "1"}},
		}
	}
	again := base()
	again.ID, again.Rev, again.Grantee.ARN = "other", 7, "y"
	if !again.SameRequest(base()) {
		t.Error("the same request is another one")
	}
	for i, alter := range []func(*grant.Grant){
		func(g *grant.Grant) { g.Key += "x" },
		func(g *grant.Grant) { g.Name = "m" },
		func(g *grant.Grant) { g.Grantee.ID = "AIDA3" },
		func(g *grant.Grant) { g.Retiring.ID = "" },
		func(g *grant.Grant) { g.Operations = ops(t, "Encrypt") },
		func(g *grant.Grant) { g.Issuer = "444455556666" },
		func(g *grant.Grant) { g.Constraint.Kind = grant.ContextEquals },
		func(g *grant.Grant) { g.Constraint.Pairs = map[string]string{"a": "2"} },
		func(g *grant.Grant) { g.Constraint.Pairs = map[string]string{"a": "1", "b": "1"} },
		func(g *grant.Grant) { g.Constraint.SourceArn = "arn:aws:s3:::b" },
	} {
		g := base()
		alter(g)
		if g.SameRequest(base()) || base().SameRequest(g) {
			t.Errorf("alteration %d makes no difference", i)
		}
	}
}

// The published table of operations by kind of key.
func TestFitting(t *testing.T) {
	const every = " CreateGrant RetireGrant DescribeKey"
	for _, c := range []struct {
		usage api.KeyUsage
		spec  api.KeySpec
		want  string
	}{
		{"ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "Encrypt Decrypt GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateDataKeyPair GenerateDataKeyPairWithoutPlaintext ReEncryptFrom ReEncryptTo" + every},
		{"ENCRYPT_DECRYPT", "RSA_2048", "Encrypt Decrypt ReEncryptFrom ReEncryptTo GetPublicKey" + every},
		{"SIGN_VERIFY", "ECC_NIST_P256", "Sign Verify GetPublicKey" + every},
		{"GENERATE_VERIFY_MAC", "HMAC_256", "GenerateMac VerifyMac" + every},
		{"KEY_AGREEMENT", "ECC_NIST_P256", "DeriveSharedSecret GetPublicKey" + every},
		{"ENCAPSULATE_DECAPSULATE", "ML_KEM_768", "Encapsulate Decapsulate GetPublicKey" + every},
		{"", "", ""},
	} {
		want := strings.Fields(c.want)
		var got []string
		for _, op := range grant.Fitting(c.usage, c.spec).List() {
			got = append(got, string(op))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s %s:\n got %v\nwant %v", c.usage, c.spec, got, want)
		}
	}
}

func TestValidID(t *testing.T) {
	good := strings.Repeat("0f", 32)
	for id, want := range map[string]bool{good: true, good[1:]: false, good + "0": false, strings.ToUpper(good): false, good[:63] + "g": false, good[:63] + "/": false, "": false} {
		if grant.ValidID(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}

// BenchmarkSet is a decision by one of many grants to one party, each for another
// tenant.
func BenchmarkSet(b *testing.B) {
	for _, n := range []int{10, grant.MaxPerKey} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			all := make([]*grant.Grant, n)
			for i := range all {
				all[i] = &grant.Grant{Operations: ops(b, "Decrypt"), Constraint: grant.Constraint{Kind: grant.ContextSubset, Pairs: map[string]string{"service": "s3", "tenant": fmt.Sprint(i)}}}
			}
			set := grant.NewSet(all)
			use := grant.Use{Operation: "Decrypt", Context: map[string]string{"service": "s3", "tenant": fmt.Sprint(n - 1), "table": "orders"}}
			b.ReportAllocs()
			for b.Loop() {
				if !set.Covers(use, nil) {
					b.Fatal("not covered")
				}
			}
		})
	}
}

func BenchmarkCovers(b *testing.B) {
	g := &grant.Grant{Operations: ops(b, "Decrypt"), Constraint: grant.Constraint{Kind: grant.ContextSubset, Pairs: map[string]string{"tenant": "a"}}}
	use := grant.Use{Operation: "Decrypt", Context: map[string]string{"tenant": "a", "table": "orders"}}
	b.ReportAllocs()
	for b.Loop() {
		if !g.Covers(use) {
			b.Fatal(fmt.Sprint(g))
		}
	}
}
