package identity_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"trent/internal/iam"
	"trent/internal/identity"
	"trent/internal/sigv4"
)

const anyone = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}`

// role makes a role with an inline policy.
func (w *world) role(name, actions string) *identity.Role {
	w.t.Helper()
	trust, err := w.View().ParseTrust(anyone)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &identity.Role{Account: account, ID: identity.NewRoleID(), Name: name, Path: "/team/", Created: noon, MaxSession: time.Hour, Trust: trust,
		Tags: []identity.Tag{{Key: "Team", Value: "role"}, {Key: "Cost", Value: "7"}}}
	r.Put(identity.InlinePolicy{Name: "own", Policy: policy(allow(actions))})
	w.commit(identity.Create(r))
	return r
}

func sessionOf(r *identity.Role) *identity.Session {
	return &identity.Session{Account: account, RoleID: r.ID, Name: "batch-1", Issued: noon, Expires: noon.Add(time.Hour)}
}

func (w *world) issue(s *identity.Session) identity.TemporaryCredentials {
	w.t.Helper()
	c, _, err := w.View().IssueSession(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// who is whom temporary credentials speak for, or nil.
func who(d *identity.Directory, c identity.TemporaryCredentials) *iam.Principal {
	got, err := d.Credential(ctx, c.AccessKeyID, string(c.Token.Expose()))
	if err != nil {
		return nil
	}
	return got.Principal
}

func TestSessionOfARole(t *testing.T) {
	w := newWorld(t)
	r := w.role("batch", "kms:*")
	s := sessionOf(r)
	s.Tags, s.TransitiveTags = []identity.Tag{{Key: "team", Value: "session"}}, []string{"team"}
	s.SourceIdentity, s.Provider, s.Policy = "carol", "arn:aws:iam::111122223333:oidc-provider/x.example", allow("kms:Decrypt")
	c := w.issue(s)
	for name, d := range map[string]*identity.Directory{"here": w.Directory, "after a restart": w.open()} {
		got, err := d.Credential(ctx, c.AccessKeyID, string(c.Token.Expose()))
		if err != nil {
			t.Fatal(name, err)
		}
		p := got.Principal
		if !got.Secret.Equal(c.Secret) || !got.Expires.Equal(noon.Add(time.Hour)) || len(c.Secret.Expose()) != 40 {
			t.Errorf("%s: %v", name, got)
		}
		if p.Kind != iam.RoleSession || p.ARN != "arn:aws:sts::111122223333:assumed-role/batch/batch-1" || p.UniqueID != r.ID+":batch-1" ||
			p.RoleARN != "arn:aws:iam::111122223333:role/team/batch" || p.AccessKeyID != c.AccessKeyID || !p.TokenIssued.Equal(noon) ||
			p.SourceIdentity != "carol" || p.FederatedProvider != s.Provider || len(p.Policies) != 1 || len(p.SessionPolicies) != 1 {
			t.Errorf("%s: %+v", name, p)
		}
		if len(p.Tags) != 2 || p.Tags[0] != (iam.Tag{Key: "team", Value: "session"}) || p.Tags[1] != (iam.Tag{Key: "Cost", Value: "7"}) {
			t.Errorf("%s: tags %v", name, p.Tags)
		}
	}
	other := w.issue(s)
	if other.AccessKeyID == c.AccessKeyID || other.Secret.Equal(c.Secret) {
		t.Error("two sessions share a secret")
	}
	if raw, err := base64.RawURLEncoding.DecodeString(string(c.Token.Expose())); err != nil || raw[0] != 1 || strings.Contains(string(raw), "batch") || strings.Contains(string(raw), string(c.Secret.Expose())) {
		t.Error("the token can be read")
	}
}

// TestSEC_A12: a token that was altered in any bit, cut, lengthened, written in another
// way, of another store, or sent with another access key, is nobody's.
func TestSEC_A12_ForgedTokens(t *testing.T) {
	w := newWorld(t)
	c := w.issue(sessionOf(w.role("batch", "kms:*")))
	token := string(c.Token.Expose())
	refuse := func(name, id, token string) {
		t.Helper()
		if got, err := w.Credential(ctx, id, token); !errors.Is(err, sigv4.ErrUnknownKey) || got.Principal != nil {
			t.Errorf("%s: %v %v", name, got.Principal, err)
		}
	}
	for remembered := range 2 { // the second time, the good token has been seen
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		for i := range raw {
			raw[i] ^= 1 << (i % 8)
			refuse("a flipped bit", c.AccessKeyID, base64.RawURLEncoding.EncodeToString(raw))
			raw[i] ^= 1 << (i % 8)
		}
		for i := range len(token) {
			if i > 0 {
				refuse("cut", c.AccessKeyID, token[:i])
			}
		}
		refuse("longer", c.AccessKeyID, token+"A")
		refuse("padded", c.AccessKeyID, token+"=")
		refuse("a line break", c.AccessKeyID, token+"\n")
		refuse("too long", c.AccessKeyID, token+strings.Repeat("A", 8192))
		refuse("of another session", w.issue(sessionOf(w.role("r"+string(rune('0'+remembered)), "*"))).AccessKeyID, token)
		refuse("with a long-term key", w.newcomer(account, "u"+string(rune('0'+remembered))).ID, token)
		refuse("without a token", c.AccessKeyID, "")
		refuse("for a made-up key", "ASIAAAAAAAAAAAAAAAAA", token)
		if who(newWorld(t).Directory, c) != nil {
			t.Error("another store took it")
		}
		if who(w.Directory, c) == nil {
			t.Fatal("the good one is refused")
		}
	}
}

// TestSEC_A12: what is decided about a role, its policies or its account acts on the
// sessions that are running.
func TestSEC_A12_SessionsFollowTheirRole(t *testing.T) {
	w := newWorld(t)
	r := w.role("batch", "kms:*")
	c := w.issue(sessionOf(r))
	before := who(w.Directory, c)
	if before == nil || len(before.Policies) != 1 || before != who(w.Directory, c) {
		t.Fatal("no session, or another principal each time")
	}
	changed := r.Clone()
	changed.Put(identity.InlinePolicy{Name: "deny", Policy: policy(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`)})
	w.commit(identity.Put(changed))
	if p := who(w.Directory, c); p == nil || len(p.Policies) != 2 {
		t.Errorf("after a policy: %+v", p)
	}
	w.commit(identity.Close(account, noon))
	if who(w.Directory, c) != nil {
		t.Error("a session of a closed account")
	}
	w.commit(identity.Reopen(account))
	if who(w.Directory, c) == nil {
		t.Error("no session after the account was opened again")
	}
	w.commit(identity.Delete(changed))
	if who(w.Directory, c) != nil {
		t.Error("the session of a deleted role")
	}
	w.role("batch", "kms:*")
	if who(w.Directory, c) != nil || who(w.open(), c) != nil {
		t.Error("the session of a deleted role goes on under its namesake")
	}
}

// A session policy that is managed counts as it is now; one that is gone denies.
func TestSEC_A12_ManagedSessionPolicies(t *testing.T) {
	w := newWorld(t)
	m := &identity.ManagedPolicy{Account: account, ID: identity.NewPolicyID(), Name: "cut", Path: "/", Created: noon, Updated: noon,
		Versions: []identity.PolicyVersion{{Number: 1, Created: noon, Policy: policy(allow("kms:Decrypt"))}}, Default: 1, Newest: 1}
	w.commit(identity.Create(m))
	s := sessionOf(w.role("batch", "kms:*"))
	s.PolicyARNs = []string{w.View().ARN(m), "arn:aws:iam::aws:policy/AdministratorAccess"}
	c := w.issue(s)
	req := &iam.Request{Action: iam.NewAction("kms:Decrypt"), Resource: "*"}
	p := who(w.Directory, c)
	if req.Principal = p; len(p.SessionPolicies) != 2 || !p.SessionPolicies[0].EvaluateIdentity(req).Allow {
		t.Fatalf("%+v", p)
	}
	w.commit(identity.Delete(m))
	p = who(w.Directory, c)
	if req.Principal = p; len(p.SessionPolicies) != 2 || !p.SessionPolicies[0].EvaluateIdentity(req).Deny {
		t.Error("a deleted session policy does not deny")
	}
}

// TestSEC_A12: a session of a user ends with the access key that asked for it.
func TestSEC_A12_SessionOfAUser(t *testing.T) {
	w := newWorld(t)
	k := w.newcomer(account, "bob", allow("kms:*"))
	other := w.newcomer(account, "eve")
	c := w.issue(&identity.Session{Account: account, UserID: k.UserID, KeyID: k.ID, Issued: noon, Expires: noon.Add(time.Hour)})
	p := who(w.Directory, c)
	if p == nil || p.Kind != iam.User || p.ARN != "arn:aws:iam::111122223333:user/bob" || len(p.Policies) != 1 || p.AccessKeyID != c.AccessKeyID || !p.TokenIssued.Equal(noon) {
		t.Fatalf("%+v", p)
	}
	if long, err := w.Credential(ctx, k.ID, ""); err != nil || !long.Principal.TokenIssued.IsZero() || long.Principal.AccessKeyID != k.ID {
		t.Error("the session has altered its user")
	}
	if who(w.Directory, w.issue(&identity.Session{Account: account, UserID: k.UserID, KeyID: other.ID, Expires: noon.Add(time.Hour)})) != nil {
		t.Error("a session by the key of another user")
	}
	inactive := *k
	inactive.Inactive = true
	w.commit(identity.Put(&inactive))
	if who(w.Directory, c) != nil {
		t.Error("the access key is inactive, and its session goes on")
	}
	w.commit(identity.Put(k))
	if who(w.Directory, c) == nil {
		t.Error("the access key is active again, and its session does not go on")
	}
	w.commit(identity.Delete(k))
	if who(w.Directory, c) != nil {
		t.Error("the access key is deleted, and its session goes on")
	}
}

func TestTokenSizes(t *testing.T) {
	w := newWorld(t)
	s := sessionOf(w.role("batch", "kms:*"))
	if _, percent, err := w.View().IssueSession(s); err != nil || percent != 0 {
		t.Errorf("%d %% of nothing, %v", percent, err)
	}
	for _, n := range []int{1, 300, 1000, 2000, 3000, 4095, 4096, 5000} {
		s.MinimumSize = n
		c := w.issue(s)
		if c.Token.Len() < min(n, sigv4.MaxToken) || c.Token.Len() > sigv4.MaxToken {
			t.Errorf("of at least %d bytes, it has %d", n, c.Token.Len())
		}
		if who(w.Directory, c) == nil {
			t.Errorf("a token of %d bytes is refused", c.Token.Len())
		}
	}
	s.MinimumSize = 0
	s.Policy = allow("kms:" + strings.Repeat("x", 1900))
	if _, percent, err := w.View().IssueSession(s); err != nil || percent < 50 || percent > 100 {
		t.Errorf("%d %%, %v", percent, err)
	}
	for range 40 {
		s.Tags = append(s.Tags, identity.Tag{Key: strings.Repeat("k", 100), Value: strings.Repeat("v", 200)})
	}
	_, percent, err := w.View().IssueSession(s)
	if large, ok := errors.AsType[*identity.TokenTooLarge](err); !ok || large.Percent <= 100 || percent != large.Percent {
		t.Errorf("%d %%, %v", percent, err)
	}
}

// A session costs what a user costs: nothing is allocated once it is known.
func TestSessionsAreRemembered(t *testing.T) {
	w := newWorld(t)
	c := w.issue(sessionOf(w.role("batch", "kms:*")))
	token := string(c.Token.Expose())
	if n := testing.AllocsPerRun(100, func() { _, _ = w.Credential(ctx, c.AccessKeyID, token) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	// Many others do not push out who keeps coming back, and do not stay.
	s := sessionOf(w.role("other", "kms:*"))
	for i := range 9000 {
		o := w.issue(s)
		if who(w.Directory, o) == nil || i%1000 == 0 && who(w.Directory, c) == nil {
			t.Fatal("a good token is refused")
		}
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = w.Credential(ctx, c.AccessKeyID, token) }); n > 0 {
		t.Errorf("%v allocations after many others", n)
	}
	if n := w.Remembered(); n > 8192 {
		t.Errorf("%d sessions are remembered", n)
	}
}

// FuzzSessionToken: nothing but what was issued is a token.
func FuzzSessionToken(f *testing.F) {
	w := newWorld(f)
	c := w.issue(sessionOf(w.role("batch", "kms:*")))
	good := string(c.Token.Expose())
	f.Add(c.AccessKeyID, good)
	f.Add(c.AccessKeyID, good[:len(good)-1])
	f.Add("ASIAAAAAAAAAAAAAAAAA", good)
	f.Add("AKIAAAAAAAAAAAAAAAAA", "AQAAAAE")
	f.Fuzz(func(t *testing.T, id, token string) {
		got, err := w.Credential(ctx, id, token)
		if err == nil && (id != c.AccessKeyID || token != good) {
			t.Errorf("%q with %q is %v", id, token, got.Principal)
		}
	})
}

func BenchmarkSessionCredential(b *testing.B) {
	w := newWorld(b)
	c := w.issue(sessionOf(w.role("batch", "kms:*")))
	token := string(c.Token.Expose())
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := w.Credential(ctx, c.AccessKeyID, token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("opened", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.ForgetSessions()
			if _, err := w.Credential(ctx, c.AccessKeyID, token); err != nil {
				b.Fatal(err)
			}
		}
	})
}
