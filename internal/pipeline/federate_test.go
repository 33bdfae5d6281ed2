package pipeline_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"trent/internal/action"
	"trent/internal/action/adminaction"
	"trent/internal/action/iamaction"
	"trent/internal/action/stsaction"
	"trent/internal/api/adminapi"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/oidc"
	"trent/internal/pipeline"
)

// issuer is an OpenID Connect provider with one key.
type issuer struct {
	t   *testing.T
	url string
	key *ecdsa.PrivateKey
}

// newIssuer starts an issuer, lets the road trust its certificate, and registers it in
// the first account.
func (w *world) newIssuer(t *testing.T) *issuer {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: k}
	s := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var doc any = map[string]any{"issuer": "https://" + i.url, "jwks_uri": "https://" + i.url + "/keys"}
		if strings.HasSuffix(r.URL.Path, "/keys") {
			doc = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.Public(), KeyID: "k1", Use: "sig"}}}
		}
		if err := json.NewEncoder(rw).Encode(doc); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	i.url = strings.TrimPrefix(s.URL, "https://") + "/id/Cluster"
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	w.road = pipeline.New(pipeline.Options{Keys: w.ring, Identities: w.identities, Audit: w.audit, Log: slog.New(slog.DiscardHandler), Now: w.clock,
		WebIdentities: oidc.New(oidc.Options{Roots: roots, Loopback: true})})
	w.done(admin, "CreateOpenIDConnectProvider", "Url", "https://"+i.url, "ClientIDList.member.1", "sts.amazonaws.com")
	return i
}

// token is one of a workload at noon, good for an hour, with more claims.
func (i *issuer) token(subject string, more map[string]any) string {
	i.t.Helper()
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	claims := map[string]any{"iss": "https://" + i.url, "sub": subject, "aud": []string{"sts.amazonaws.com"}, "iat": at.Unix(), "exp": at.Add(time.Hour).Unix()}
	for k, v := range more {
		claims[k] = v
	}
	body, err := json.Marshal(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k1"}}, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	signed, err := s.Sign(body)
	if err != nil {
		i.t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return out
}

func (i *issuer) arn() string { return "arn:aws:iam::" + account + ":oidc-provider/" + i.url }

// vouches lets the issuer's subjects assume a role, on a condition.
func (i *issuer) vouches(condition string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"` + i.arn() + `"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":` + condition + `}}`
}

// unsigned is a caller without a signature: asking who it is is a mistake.
type unsigned struct{}

func (unsigned) Authenticate(context.Context, string, []byte, time.Time) (pipeline.Identity, error) {
	return pipeline.Identity{}, fault.New("MissingAuthenticationTokenException", "Missing Authentication Token")
}

// stranger sends a form without a signature.
func (w *world) stranger(version, operation string, pairs ...string) answer {
	w.t.Helper()
	v := url.Values{"Action": {operation}, "Version": {version}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	got := w.road.Walk(context.Background(), &pipeline.Request{
		ID: "x", Received: w.clock(), Form: true, Body: []byte(v.Encode()), Who: unsigned{}, Unsigned: true,
	})
	return w.read(got, v.Encode())
}

func (w *world) federate(token, role string, more ...string) answer {
	w.t.Helper()
	return w.stranger(stsVersion, "AssumeRoleWithWebIdentity", append([]string{"RoleArn", roleARN(role), "RoleSessionName", "pod", "WebIdentityToken", token}, more...)...)
}

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	w := newWorld(t)
	id, _ := w.newKey(admin)
	i := w.newIssuer(t)
	const app = "system:serviceaccount:ns:app"
	w.role("pods", i.vouches(`{"StringEquals":{"`+i.url+`:sub":"`+app+`","`+i.url+`:aud":"sts.amazonaws.com"}}`), allow("kms:*"))
	a := w.federate(i.token(app, nil), "pods", "DurationSeconds", "900")
	s := w.session(a)
	for name, want := range map[string]string{
		"SubjectFromWebIdentityToken": app, "Audience": "sts.amazonaws.com", "Provider": i.arn(),
		"Arn": "arn:aws:sts::111122223333:assumed-role/pods/pod", "Expiration": "2026-11-24T12:15:00Z",
	} {
		if got := a.value(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	line := w.audit.lines[len(w.audit.lines)-1]
	for _, want := range []string{`"principal":"` + i.url + `:sts.amazonaws.com:` + app + `"`, `"account":"` + account + `"`, `"issuedKeyId":"` + a.value("AccessKeyId") + `"`, `"operation":"AssumeRoleWithWebIdentity"`} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is not in %s", want, line)
		}
	}
	w.encrypt(s, id, "{}")
	if s.principal.FederatedProvider != i.arn() || s.principal.Kind != iam.RoleSession {
		t.Errorf("%+v", s.principal)
	}
	cut := w.session(w.federate(i.token(app, nil), "pods", "Policy", allow("kms:Decrypt")))
	if r := w.call(cut, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"AA=="}`); r.code != "AccessDeniedException" {
		t.Errorf("%v", r)
	}
	if all := strings.Join(w.audit.lines, ""); strings.Contains(all, i.token(app, nil)[:40]) {
		t.Error("a token is in the audit")
	}
	// A signature does no harm and no good.
	if a := w.sts(admin, "AssumeRoleWithWebIdentity", "RoleArn", roleARN("pods"), "RoleSessionName", "pod", "WebIdentityToken", i.token("other", nil)); a.code != "AccessDenied" {
		t.Errorf("%d %s", a.status, a.text)
	}
	w.session(w.sts(nobody, "AssumeRoleWithWebIdentity", "RoleArn", roleARN("pods"), "RoleSessionName", "pod", "WebIdentityToken", i.token(app, nil)))
	// The provider is gone.
	w.done(admin, "DeleteOpenIDConnectProvider", "OpenIDConnectProviderArn", i.arn())
	w.denied(w.federate(i.token(app, nil), "pods"), 400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://"+i.url)
}

// TestSEC_B05: whom a trust policy means that names a provider, and whom it does not.
func TestSEC_B05_WebIdentities(t *testing.T) {
	w := newWorld(t)
	i := w.newIssuer(t)
	more := map[string]any{"amr": []string{"authenticated", "mfa"}, "env": "prod", "level": 3, "admin": false, "aws:userid": "AIDA"}
	anybody := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":%P,"Action":%A}}`
	with := func(principal, action string) string {
		return strings.NewReplacer("%P", principal, "%A", action).Replace(anybody)
	}
	federated := `{"Federated":"` + i.arn() + `"}`
	all := strings.NewReplacer("$", i.url)
	for n, c := range []struct {
		name, trust string
		ok          bool
	}{
		{"the provider alone", with(federated, `"sts:AssumeRoleWithWebIdentity"`), true},
		{"everyone", with(`"*"`, `"sts:*"`), false},
		{"the account", with(`{"AWS":"`+account+`"}`, `"sts:*"`), false},
		{"another action", with(federated, `"sts:AssumeRole"`), false},
		{"another provider", with(`{"Federated":"arn:aws:iam::111122223333:oidc-provider/oidc.example"}`, `"sts:*"`), false},
		{"a provider of another account", with(`{"Federated":"`+strings.Replace(i.arn(), account, foreign, 1)+`"}`, `"sts:*"`), false},
		{"not this one", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"` + account + `"},"Action":"sts:*"}}`, false},
		{"denied", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + federated + `,"Action":"sts:*"},{"Effect":"Deny","Principal":"*","Action":"sts:*"}]}`, false},
		{"subject", i.vouches(all.Replace(`{"StringEquals":{"$:sub":"repo:o/r:ref"}}`)), true},
		{"subject, a pattern", i.vouches(all.Replace(`{"StringLike":{"$:sub":"repo:o/*"}}`)), true},
		{"subject in another case", i.vouches(all.Replace(`{"StringEquals":{"$:sub":"REPO:o/r:ref"}}`)), false},
		{"key in another case", i.vouches(strings.ToUpper(all.Replace(`{"StringEquals":{"$:SUB":"`)) + `repo:o/r:ref"}}`), false}, // operators have a case
		{"claim in another case", i.vouches(`{"StringEquals":{"` + strings.ToUpper(i.url) + `:SUB":"repo:o/r:ref"}}`), true},
		{"of a longer issuer", i.vouches(all.Replace(`{"StringEquals":{"$/x:sub":"repo:o/r:ref"}}`)), false},
		{"of a shorter issuer", i.vouches(`{"StringEquals":{"` + strings.TrimSuffix(i.url, "/id/Cluster") + `:sub":"repo:o/r:ref"}}`), false},
		{"a claim of its own", i.vouches(all.Replace(`{"StringEquals":{"$:env":"prod"},"NumericEquals":{"$:level":"3"},"Bool":{"$:admin":"false"}}`)), true},
		{"an absent claim", i.vouches(all.Replace(`{"StringEquals":{"$:region":"eu"}}`)), false},
		{"a list", i.vouches(all.Replace(`{"ForAnyValue:StringEquals":{"$:amr":"mfa"}}`)), true},
		{"a list without", i.vouches(all.Replace(`{"ForAnyValue:StringEquals":{"$:amr":"pin"}}`)), false},
		{"a list as one", i.vouches(all.Replace(`{"StringEquals":{"$:amr":"mfa"}}`)), false},
		{"session name", i.vouches(`{"StringEquals":{"sts:RoleSessionName":"pod"}}`), true},
		{"federated provider", i.vouches(`{"StringEquals":{"aws:FederatedProvider":"` + i.arn() + `"}}`), true},
		{"nobody's ARN", i.vouches(`{"Null":{"aws:PrincipalArn":"true","aws:userid":"true","aws:PrincipalAccount":"true"}}`), true},
		{"a claim named like a key", i.vouches(`{"StringEquals":{"aws:userid":"AIDA"}}`), false},
	} {
		name := "r" + string(rune('a'+n))
		trust := c.trust
		if strings.Contains(trust, "STRINGEQUALS") {
			continue // no policy at all
		}
		w.role(name, trust, "")
		a := w.federate(i.token("repo:o/r:ref", more), name)
		if ok := a.status == 200; ok != c.ok {
			t.Errorf("%s: %d %s", c.name, a.status, a.message)
		}
		if !c.ok {
			w.denied(a, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
		}
	}
	w.denied(w.federate(i.token("repo:o/r:ref", more), "absent"), 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	// The provider is of the first account: a role of another one does not know it.
	a := w.stranger(stsVersion, "AssumeRoleWithWebIdentity", "RoleArn", "arn:aws:iam::"+foreign+":role/ra", "RoleSessionName", "pod", "WebIdentityToken", i.token("x", nil))
	w.denied(a, 400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://"+i.url)
	w.pass(time.Hour)
	if a := w.federate(i.token("repo:o/r:ref", more), "ra"); a.code != "ExpiredTokenException" || a.status != 400 {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := w.federate(i.token("x", nil), "ra", "ProviderId", "www.amazon.com"); a.status != 400 {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// TestSEC_B05: a provider may tag the sessions of those for whom it vouches, if the role's
// trust policy agrees.
func TestSEC_B05_TagsOfWebIdentities(t *testing.T) {
	w := newWorld(t)
	i := w.newIssuer(t)
	more := map[string]any{
		"https://aws.amazon.com/tags":            map[string]any{"principal_tags": map[string]any{"Team": []string{"red"}, "Cost": []string{"7"}}, "transitive_tag_keys": []string{"Team"}},
		"https://aws.amazon.com/source_identity": "carol",
	}
	federated := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"` + i.arn() + `"},"Action":[%]%}}`
	trust := func(actions, condition string) string {
		return strings.Replace(strings.Replace(federated, "%", actions, 1), "%", condition, 1)
	}
	const all = `"sts:AssumeRoleWithWebIdentity","sts:TagSession","sts:SetSourceIdentity"`
	w.role("all", trust(all, `,"Condition":{"StringEqualsIfExists":{"aws:RequestTag/team":"red","sts:SourceIdentity":"carol"},"ForAllValues:StringEquals":{"aws:TagKeys":["Team","Cost"],"sts:TransitiveTagKeys":"Team"}}`), allow("*"))
	w.role("untagged", trust(`"sts:AssumeRoleWithWebIdentity","sts:SetSourceIdentity"`, ""), "")
	w.role("unsourced", trust(`"sts:AssumeRoleWithWebIdentity","sts:TagSession"`, ""), "")
	w.role("other", trust(all, `,"Condition":{"StringEquals":{"aws:RequestTag/Team":"blue"}}`), "")
	w.role("next", trusts(roleARN("all"), ""), "")
	s := w.session(w.federate(i.token("x", more), "all"))
	if p := s.principal; p.SourceIdentity != "carol" || len(p.Tags) != 2 || p.Tags[0] != (iam.Tag{Key: "Cost", Value: "7"}) {
		t.Errorf("%+v", s.principal)
	}
	if p := w.session(w.assume(s, "next")).principal; p.SourceIdentity != "carol" || len(p.Tags) != 1 || p.Tags[0] != (iam.Tag{Key: "Team", Value: "red"}) {
		t.Errorf("%+v", p)
	}
	w.denied(w.federate(i.token("x", more), "untagged"), 403, "AccessDenied", "Not authorized to perform sts:TagSession")
	w.denied(w.federate(i.token("x", more), "unsourced"), 403, "AccessDenied", "Not authorized to perform sts:SetSourceIdentity")
	w.denied(w.federate(i.token("x", more), "other"), 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
	w.session(w.federate(i.token("x", nil), "untagged"))
	w.denied(w.federate(i.token("x", map[string]any{"https://aws.amazon.com/tags": 7}), "all"), 403, "IDPRejectedClaim",
		"The claim https://aws.amazon.com/tags is not what a session can be given.")
}

// TestSEC_A01: one action of all needs no signature, and no other is performed
// without one.
func TestSEC_A01_OneUnsignedAction(t *testing.T) {
	w := newWorld(t)
	var federating []string
	for version, table := range map[string]map[string]*action.Entry{
		"": action.Table(), stsVersion: stsaction.Table(), iamVersion: iamaction.Table(), adminapi.Admin().Version: adminaction.Table(false),
	} {
		for name, e := range table {
			if e.Federates != nil {
				federating = append(federating, name)
				continue
			}
			before := len(w.audit.lines)
			var body string
			if version == "" {
				got := w.road.Walk(context.Background(), &pipeline.Request{ID: "x", Received: w.clock(), Target: "TrentService." + name, Body: []byte("{}"), Who: unsigned{}, Unsigned: true})
				body = string(got.Body)
			} else {
				body = w.stranger(version, name).text
			}
			if !strings.Contains(body, "MissingAuthenticationToken") {
				t.Errorf("%s: %s", name, body)
			}
			if line := w.audit.lines[before]; strings.Contains(line, `"principal"`) || strings.Contains(line, `"params"`) {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
	if len(federating) != 1 || federating[0] != "AssumeRoleWithWebIdentity" {
		t.Errorf("without a signature: %v", federating)
	}
	// A signature that is wrong is no better than none.
	if a := w.sts(caller{}, "AssumeRoleWithWebIdentity", "RoleArn", roleARN("x"), "RoleSessionName", "pod", "WebIdentityToken", "abcd"); a.code != "InvalidClientTokenId" {
		t.Errorf("%d %s", a.status, a.text)
	}
}
