package authz_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"trent/internal/authz"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/iam"
	"trent/internal/key"
)

const (
	home   = "111122223333"
	abroad = "444455556666"
	keyARN = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
)

var decrypt = iam.NewAction("kms:Decrypt")

func parse(t testing.TB, text string) *iam.Policy {
	t.Helper()
	p, err := iam.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

// keyWith is a key under a policy of these statements.
func keyWith(t testing.TB, statements ...string) *key.Record {
	t.Helper()
	r := &key.Record{ARN: keyARN, Policy: &iam.Policy{}}
	if len(statements) > 0 {
		r.Policy = parse(t, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`)
	}
	return r
}

func statement(effect, principal, action string) string {
	return `{"Effect":"` + effect + `","Principal":{"AWS":"` + principal + `"},"Action":"` + action + `","Resource":"*"}`
}

func user(t testing.TB, account string, policies ...string) *iam.Principal {
	t.Helper()
	p := &iam.Principal{Kind: iam.User, Partition: "aws", Account: account, ARN: "arn:aws:iam::" + account + ":user/alice", Name: "alice", UniqueID: "AIDAALICE" + account}
	for _, text := range policies {
		p.Policies = append(p.Policies, parse(t, text))
	}
	return p
}

func identity(effect, action, resource string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `","Action":"` + action + `","Resource":"` + resource + `"}}`
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func question(caller *iam.Principal, action iam.Action, rec *key.Record) *authz.Question {
	return &authz.Question{Caller: caller, Action: action, Record: rec, Conditions: &authz.Conditions{Caller: caller, Record: rec, Now: noon}}
}

func onKey(caller *iam.Principal, action iam.Action, rec *key.Record) (authz.Permit, error) {
	return authz.OnKey(context.Background(), question(caller, action, rec))
}

func onAccount(caller *iam.Principal, action iam.Action, resource string) error {
	return authz.OnAccount(question(caller, action, nil), resource)
}

func keepsControl(caller *iam.Principal, rec *key.Record, policy *iam.Policy) bool {
	return authz.KeepsControl(context.Background(), question(caller, decrypt, rec), rec, policy)
}

func rootOf(account string) *iam.Principal {
	return &iam.Principal{Kind: iam.RootUser, Partition: "aws", Account: account, ARN: "arn:aws:iam::" + account + ":root", UniqueID: account}
}

// The whole truth about OnKey: home or abroad; what the key policy says by
// name, of the account, and against; what the caller's policies say for and
// against. 128 rows, each computed from the published procedure.
func TestSEC_B10_TruthTableOnKey(t *testing.T) {
	for bits := range 1 << 7 {
		bit := func(i int) bool { return bits>>i&1 == 1 }
		away, byName, delegates, keyDeny, allow, deny, accountDeny := bit(0), bit(1), bit(2), bit(3), bit(4), bit(5), bit(6)
		account := home
		if away {
			account = abroad
		}
		var policies, statements []string
		if allow {
			policies = append(policies, identity("Allow", "kms:Decrypt", "*"))
		}
		if deny {
			policies = append(policies, identity("Deny", "KMS:decrypt", "arn:aws:kms:*:*:key/*"))
		}
		if keyDeny {
			statements = append(statements, statement("Deny", "arn:aws:iam::"+account+":user/alice", "kms:Dec*"))
		}
		if accountDeny {
			statements = append(statements, statement("Deny", account, "kms:*"))
		}
		if byName {
			statements = append(statements, statement("Allow", "arn:aws:iam::"+account+":user/alice", "kms:Decrypt"))
		}
		if delegates {
			statements = append(statements, statement("Allow", "arn:aws:iam::"+account+":root", "kms:*"))
		}
		name := fmt.Sprintf("away=%v byName=%v delegates=%v keyDeny=%v accountDeny=%v allow=%v deny=%v", away, byName, delegates, keyDeny, accountDeny, allow, deny)
		want := !keyDeny && !accountDeny && !deny
		if away {
			want = want && (byName || delegates) && allow
		} else {
			want = want && (byName || delegates && allow)
		}
		caller, rec := user(t, account, policies...), keyWith(t, statements...)
		permit, err := onKey(caller, decrypt, rec)
		if want {
			if err != nil || !permit.Allows(rec) || permit.Action() != "kms:Decrypt" {
				t.Errorf("%s: refused: %v", name, err)
			}
			continue
		}
		if !fault.Is(err, authz.AccessDenied) || permit != (authz.Permit{}) {
			t.Errorf("%s: %v, permit %v", name, err, permit)
		}
	}
}

// IAM alone never suffices, nor does a statement about another action, key or
// principal.
func TestNotAllowed(t *testing.T) {
	all := identity("Allow", "*", "*")
	for _, c := range []struct {
		name   string
		caller *iam.Principal
		rec    *key.Record
	}{
		{"identity policy alone", user(t, home, all), keyWith(t)},
		{"delegation alone", user(t, home), keyWith(t, statement("Allow", home, "kms:*"))},
		{"delegation to another account", user(t, home, all), keyWith(t, statement("Allow", abroad, "kms:*"))},
		{"another user", user(t, home, all), keyWith(t, statement("Allow", "arn:aws:iam::"+home+":user/bob", "kms:*"))},
		{"the namesake abroad", user(t, abroad, all), keyWith(t, statement("Allow", "arn:aws:iam::"+home+":user/alice", "kms:*"))},
		{"another action", user(t, home, all), keyWith(t, statement("Allow", "*", "kms:Encrypt"))},
		{"identity policy for another action", user(t, home, identity("Allow", "kms:Encrypt", "*")), keyWith(t, statement("Allow", home, "kms:*"))},
		{"identity policy for another key", user(t, home, identity("Allow", "kms:*", keyARN[:len(keyARN)-1]+"c")), keyWith(t, statement("Allow", home, "kms:*"))},
		{"identity policy for an alias", user(t, home, identity("Allow", "kms:*", "arn:aws:kms:us-east-1:"+home+":alias/*")), keyWith(t, statement("Allow", home, "kms:*"))},
		{"root, not named", rootOf(home), keyWith(t, statement("Allow", "arn:aws:iam::"+home+":user/alice", "kms:*"))},
		{"root of another account, named", rootOf(abroad), keyWith(t, statement("Allow", abroad, "kms:*"))},
		{"everybody, from abroad, without a policy at home", user(t, abroad), keyWith(t, statement("Allow", "*", "kms:*"))},
		{"nobody", &iam.Principal{}, keyWith(t, statement("Allow", "*", "kms:*"))},
		{"nobody with policies", &iam.Principal{Policies: user(t, home, all).Policies}, keyWith(t, statement("Allow", "*", "kms:*"))},
	} {
		if p, err := onKey(c.caller, decrypt, c.rec); !fault.Is(err, authz.AccessDenied) || p.Allows(c.rec) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		name   string
		caller *iam.Principal
		rec    *key.Record
	}{
		{"everybody, at home", user(t, home), keyWith(t, statement("Allow", "*", "kms:*"))},
		{"everybody, from abroad", user(t, abroad, identity("Allow", "kms:Decrypt", keyARN)), keyWith(t, statement("Allow", "*", "kms:*"))},
		{"root, named", rootOf(home), keyWith(t, statement("Allow", home, "kms:*"))},
		{"the default policy", user(t, home, identity("Allow", "kms:*", keyARN)), &key.Record{ARN: keyARN, Policy: parse(t, key.DefaultPolicy("aws", home))}},
		{"the first of two policies", user(t, home, identity("Allow", "kms:De*", "*"), identity("Allow", "s3:*", "*")), keyWith(t, statement("Allow", home, "kms:*"))},
		{"the second of two policies", user(t, home, identity("Allow", "s3:*", "*"), identity("Allow", "kms:De*", "*")), keyWith(t, statement("Allow", home, "kms:*"))},
	} {
		if p, err := onKey(c.caller, decrypt, c.rec); err != nil || !p.Allows(c.rec) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// What is refused is said as AWS KMS says it.
func TestRefusalTexts(t *testing.T) {
	const (
		who  = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: kms:Decrypt on resource: " + keyARN
		they = "User: arn:aws:iam::444455556666:user/alice is not authorized to perform: kms:Decrypt on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
	)
	delegated, denied := statement("Allow", home, "kms:*"), statement("Deny", "*", "kms:Decrypt")
	for _, c := range []struct {
		name   string
		caller *iam.Principal
		rec    *key.Record
		want   string
	}{
		{"the key policy is silent", user(t, home, identity("Allow", "*", "*")), keyWith(t), who + " because no resource-based policy allows the kms:Decrypt action"},
		{"the identity policy is silent", user(t, home), keyWith(t, delegated), who + " because no identity-based policy allows the kms:Decrypt action"},
		{"the key policy denies", user(t, home, identity("Allow", "*", "*")), keyWith(t, delegated, denied), who + " with an explicit deny in a resource-based policy"},
		{"the identity policy denies", user(t, home, identity("Deny", "*", "*")), keyWith(t, statement("Allow", "*", "kms:*")), who + " with an explicit deny in an identity-based policy"},
		{"both deny", user(t, home, identity("Deny", "*", "*")), keyWith(t, denied), who + " with an explicit deny in a resource-based policy"},
		{"from abroad, silent", user(t, abroad, identity("Allow", "*", "*")), keyWith(t), they},
		{"from abroad, denied", user(t, abroad, identity("Allow", "*", "*")), keyWith(t, statement("Allow", "*", "kms:*"), denied), they},
		{"from abroad, nothing at home", user(t, abroad), keyWith(t, statement("Allow", "*", "kms:*")), they},
		{"nobody", &iam.Principal{}, keyWith(t), "User:  is not authorized to perform: kms:Decrypt on resource: " + keyARN},
	} {
		_, err := onKey(c.caller, decrypt, c.rec)
		if got := fault.From(err); got.Code != "AccessDeniedException" || got.Message != c.want {
			t.Errorf("%s:\n got %s: %s\nwant %s", c.name, got.Code, got.Message, c.want)
		}
	}
	if got := fault.From(authz.ForeignKey(user(t, abroad), decrypt)); got.Message != they {
		t.Errorf("a key that is not there: %s", got.Message)
	}
}

func TestOnAccount(t *testing.T) {
	create := iam.NewAction("kms:CreateKey")
	const who = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: kms:CreateKey on resource: *"
	for _, c := range []struct {
		name   string
		caller *iam.Principal
		want   string
	}{
		{"allowed", user(t, home, identity("Allow", "kms:Create*", "*")), ""},
		{"root", rootOf(home), ""},
		{"silent", user(t, home), who + " because no identity-based policy allows the kms:CreateKey action"},
		{"about keys only", user(t, home, identity("Allow", "kms:*", "arn:aws:kms:*:*:key/*")), who + " because no identity-based policy allows the kms:CreateKey action"},
		{"denied", user(t, home, identity("Deny", "kms:CreateKey", "*")), who + " with an explicit deny in an identity-based policy"},
		{"allowed and denied", user(t, home, identity("Allow", "*", "*"), identity("Deny", "kms:create*", "*")), who + " with an explicit deny in an identity-based policy"},
		{"denied and allowed", user(t, home, identity("Deny", "kms:create*", "*"), identity("Allow", "*", "*")), who + " with an explicit deny in an identity-based policy"},
		{"nobody", &iam.Principal{}, "User:  is not authorized to perform: kms:CreateKey on resource: *"},
		{"nobody with policies", &iam.Principal{Policies: user(t, home, identity("Allow", "*", "*")).Policies}, "User:  is not authorized to perform: kms:CreateKey on resource: *"},
		{"nobody called root", &iam.Principal{Partition: "aws", ARN: "arn:aws:iam:::root"}, "User: arn:aws:iam:::root is not authorized to perform: kms:CreateKey on resource: *"},
		{"the root of nowhere", &iam.Principal{Partition: "aws", Account: home, ARN: "arn:aws:iam::" + abroad + ":root"}, "User: arn:aws:iam::444455556666:root is not authorized to perform: kms:CreateKey on resource: * because no identity-based policy allows the kms:CreateKey action"},
	} {
		err := onAccount(c.caller, create, "*")
		if c.want == "" && err != nil || c.want != "" && (err == nil || fault.From(err).Message != c.want || !fault.Is(err, authz.AccessDenied)) {
			t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
		}
	}
	// Root is its account, and heeds a deny all the same.
	root := rootOf(home)
	root.Policies = []*iam.Policy{parse(t, identity("Deny", "kms:CreateKey", "*"))}
	if err := onAccount(root, create, "*"); !fault.Is(err, authz.AccessDenied) {
		t.Errorf("root against a deny: %v", err)
	}
	alias := "arn:aws:kms:us-east-1:" + home + ":alias/app"
	if err := onAccount(user(t, home, identity("Allow", "kms:DeleteAlias", "arn:aws:kms:*:"+home+":alias/other")), iam.NewAction("kms:DeleteAlias"), alias); !fault.Is(err, authz.AccessDenied) || !strings.Contains(fault.From(err).Message, alias) {
		t.Errorf("another alias: %v", err)
	}
}

// A permit is for one value of one record. A Permit that nobody minted, or that
// came with a refusal, is for none.
func TestSEC_A01_ZeroPermit(t *testing.T) {
	rec := keyWith(t, statement("Allow", "*", "kms:*"))
	var zero authz.Permit
	if zero.Allows(rec) || zero.Allows(nil) || zero.Allows(&key.Record{}) || zero.Action() != "" {
		t.Error("the zero permit is for something")
	}
	permit, err := onKey(user(t, home), decrypt, rec)
	if err != nil || !permit.Allows(rec) {
		t.Fatal(err)
	}
	if permit.Allows(rec.Clone()) || permit.Allows(nil) {
		t.Error("a permit is for a key at another revision")
	}
	refused, err := onKey(user(t, home), decrypt, keyWith(t))
	if err == nil || refused.Allows(rec) || refused != zero {
		t.Error("a refusal came with a permit")
	}
}

// The lockout check asks whether the caller could still change the policy, under
// the new policy and no other.
func TestKeepsControl(t *testing.T) {
	admin := user(t, home, identity("Allow", "kms:*", "*"))
	rec := keyWith(t, statement("Allow", home, "kms:*"))
	for _, c := range []struct {
		name, statement string
		caller          *iam.Principal
		want            bool
	}{
		{"delegation", statement("Allow", home, "kms:*"), admin, true},
		{"delegation of one action", statement("Allow", home, "kms:putkeypolicy"), admin, true},
		{"by name", statement("Allow", admin.ARN, "kms:Put*"), user(t, home), true},
		{"delegation, no identity policy", statement("Allow", home, "kms:*"), user(t, home), false},
		{"somebody else", statement("Allow", "arn:aws:iam::"+home+":user/bob", "kms:*"), admin, false},
		{"another action", statement("Allow", home, "kms:GetKeyPolicy"), admin, false},
		{"a deny", statement("Allow", home, "kms:*") + "," + statement("Deny", "*", "kms:PutKeyPolicy"), admin, false},
		{"root by delegation", statement("Allow", home, "kms:*"), rootOf(home), true},
	} {
		if got := keepsControl(c.caller, rec, keyWith(t, c.statement).Policy); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if p, err := onKey(admin, decrypt, rec); err != nil || !p.Allows(rec) {
		t.Errorf("asking changed the record: %v", err)
	}
}

// BenchmarkOnKey is the common decision: the default key policy and one
// identity policy.
func BenchmarkOnKey(b *testing.B) {
	rec := &key.Record{ARN: keyARN, Policy: parse(b, key.DefaultPolicy("aws", home))}
	q := question(user(b, home, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt","kms:GenerateDataKey*"],"Resource":"`+keyARN+`"}]}`), decrypt, rec)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := authz.OnKey(ctx, q); err != nil {
			b.Fatal(err)
		}
	}
}

// A refusal says in the record, and to nobody else, what each policy had to say.
func TestRefusalsAreExplained(t *testing.T) {
	conditional := `{"Sid":"Tenants","Effect":"Allow","Principal":"*","Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":["eu-west-1","eu-west-2"]}}}`
	q := question(user(t, home, identity("Deny", "kms:Dec*", "*"), identity("Allow", "kms:Encrypt", "*")), decrypt, keyWith(t, conditional, statement("Allow", abroad, "kms:*")))
	q.Conditions.Region = "us-east-1"
	_, err := authz.OnKey(context.Background(), q)
	f := fault.From(err)
	want := `key policy: statement 1 (Tenants) nearly: Condition StringEquals aws:RequestedRegion wants ["eu-west-1" "eu-west-2"], had ["us-east-1"], statement 2 nearly: Principal; ` +
		`identity policy 1: denied by statement 1; identity policy 2: statement 1 nearly: Action`
	if got := f.Unwrap().Error(); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if strings.Contains(f.Message, "eu-west-1") {
		t.Errorf("the caller is told %s", f.Message)
	}
	e, err := authz.Explain(context.Background(), q, "")
	if err != nil || e.Allowed || e.Why != f.Message || len(e.Policies) != 3 || e.Policies[1].Outcome != (iam.Outcome{Deny: true}) {
		t.Errorf("%+v %v", e, err)
	}
	many := make([]string, 150)
	for i := range many {
		many[i] = conditional
	}
	if _, err := onKey(user(t, home), decrypt, keyWith(t, many...)); len(fault.From(err).Unwrap().Error()) > 3000 {
		t.Error("an explanation without end")
	}
}

// BenchmarkConditions is a decision over 20 statements with five conditions each.
func BenchmarkConditions(b *testing.B) {
	const conditions = `"Condition":{"StringEquals":{"aws:PrincipalTag/team":"red","kms:CallerAccount":"111122223333"},"StringLike":{"kms:EncryptionContext:tenant":"t-*"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"}}`
	statements := make([]string, 20)
	for i := range statements {
		action := "kms:Decrypt"
		statements[i] = `{"Effect":"Allow","Action":"` + action + `","Resource":"*",` + conditions + `}`
	}
	caller := user(b, home, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`)
	caller.Tags = []iam.Tag{{Key: "Team", Value: "red"}}
	q := question(caller, decrypt, &key.Record{ARN: keyARN, Policy: parse(b, key.DefaultPolicy("aws", home))})
	q.Conditions.Source = netip.MustParseAddr("10.1.2.3")
	q.Conditions.Own = tenant("t-7")
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := authz.OnKey(ctx, q); err != nil {
			b.Fatal(err)
		}
	}
}

// tenant is an action whose encryption context has a tenant.
type tenant string

// Value implements authz.Own.
func (v tenant) Value(k iam.Key) iam.Value {
	if k.Name == "kms:encryptioncontext" && k.Sub == "tenant" {
		return iam.Text(string(v))
	}
	return iam.Value{}
}

// BenchmarkGranted is a decision that comes down to a grant, among few and among
// the most that a key may have.
func BenchmarkGranted(b *testing.B) {
	for _, n := range []int{10, grant.MaxPerKey} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rec := &key.Record{ARN: keyARN, Policy: parse(b, key.DefaultPolicy("aws", home))}
			q := question(user(b, home), decrypt, rec)
			all := make(sets)
			ops, _ := grant.OperationsOf("Decrypt")
			for i := range n - 1 {
				id := fmt.Sprintf("AIDA%016d", i)
				all[id] = grant.NewSet([]*grant.Grant{{Key: keyARN, Grantee: grant.Party{ID: id}, Operations: ops}})
			}
			all[q.Caller.UniqueID] = grant.NewSet([]*grant.Grant{{Key: keyARN, Operations: ops}})
			q.Grants, q.Use = all, grant.Use{Operation: "Decrypt"}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := authz.OnKey(ctx, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// grants are those of one key, by party.
type grants map[string][]*grant.Grant

// GrantsTo implements authz.Grants.
func (g grants) GrantsTo(_ context.Context, _ *key.Record, party string) (*grant.Set, error) {
	return grant.NewSet(g[party]), nil
}

// What a permissions boundary does not allow, no identity policy allows; by itself
// it allows nothing, and its deny is one.
func TestBoundary(t *testing.T) {
	all, none := identity("Allow", "*", "*"), identity("Deny", "kms:*", "*")
	for name, c := range map[string]struct {
		policies []string
		boundary string
		allowed  bool
	}{
		"within":          {[]string{all}, identity("Allow", "kms:*", "*"), true},
		"beyond":          {[]string{all}, identity("Allow", "kms:Encrypt", "*"), false},
		"of another key":  {[]string{all}, identity("Allow", "*", keyARN+"0"), false},
		"the other alone": {nil, all, false},
		"it denies":       {[]string{all}, none, false},
	} {
		who := user(t, home, c.policies...)
		who.Boundary = parse(t, c.boundary)
		k := keyWith(t, statement("Allow", "arn:aws:iam::"+home+":root", "kms:*"))
		if _, err := onKey(who, decrypt, k); (err == nil) != c.allowed {
			t.Errorf("%s, on a key: %v", name, err)
		}
		if err := onAccount(who, decrypt, keyARN); (err == nil) != c.allowed {
			t.Errorf("%s, on the account: %v", name, err)
		}
	}
}

// sets are grants that have been arranged.
type sets map[string]*grant.Set

// GrantsTo implements authz.Grants.
func (s sets) GrantsTo(_ context.Context, _ *key.Record, party string) (*grant.Set, error) {
	return s[party], nil
}
