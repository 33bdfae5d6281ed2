package trenttest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/go-jose/go-jose/v4"

	"trent/trenttest"
	"trent/trenttest/raw"
)

const batch = "arn:aws:iam::111122223333:role/batch"

func stsClient(s *trenttest.Server, c aws.CredentialsProvider) *sts.Client {
	return sts.New(sts.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL), Credentials: c, Retryer: aws.NopRetryer{}})
}

func kmsClient(s *trenttest.Server, c aws.CredentialsProvider) *kms.Client {
	return kms.New(kms.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.URL), Credentials: c, Retryer: aws.NopRetryer{}, HTTPClient: &http.Client{Transport: new(http.Transport)},
	})
}

func administrator(s *trenttest.Server) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(s.AccessKeyID, s.SecretAccessKey, "")
}

// role makes the role batch, which may do everything, and a key.
func role(t *testing.T, s *trenttest.Server, trust string) (keyID string) {
	t.Helper()
	c := iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL), Credentials: administrator(s)})
	_, err := c.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("batch"), AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("batch"), PolicyName: aws.String("all"),
		PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	k, err := s.Client(t).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(k.KeyMetadata.KeyId)
}

const trustAccount = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":["sts:AssumeRole","sts:TagSession"]}}`

func dataKey(ctx context.Context, c *kms.Client, id string) error {
	_, err := c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &id, KeySpec: "AES_256"})
	return err
}

func codeOf(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	return ""
}

// A program assumes a role as the SDK does it, with tags and a session policy.
func TestAssumeRoleProvider(t *testing.T) {
	s := trenttest.Start(t)
	id := role(t, s, trustAccount)
	p := stscreds.NewAssumeRoleProvider(stsClient(s, administrator(s)), batch, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName, o.Duration = "nightly", 15*time.Minute
		o.Policy = aws.String(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:GenerateDataKey","Resource":"*"}}`)
	})
	session := aws.NewCredentialsCache(p)
	c := kmsClient(s, session)
	if err := dataKey(t.Context(), c, id); err != nil {
		t.Fatal(err)
	}
	_, err := c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id})
	if codeOf(err) != "AccessDeniedException" {
		t.Errorf("beyond the session policy: %v", err)
	}
	who, err := stsClient(s, session).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || aws.ToString(who.Arn) != "arn:aws:sts::111122223333:assumed-role/batch/nightly" {
		t.Errorf("%v %v", who, err)
	}
	s.Restart()               // nothing of a session is in memory alone
	c = kmsClient(s, session) // whose connection does not go to the server that was
	if err := dataKey(t.Context(), c, id); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// TestSEC_A12: when a session is over, both protocols say so, and nothing is done.
func TestSEC_A12_ExpiredSession(t *testing.T) {
	var late atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	s := trenttest.Start(t, trenttest.WithClock(now))
	id := role(t, s, trustAccount)
	got, err := stsClient(s, administrator(s)).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(batch), RoleSessionName: aws.String("one"), DurationSeconds: aws.Int32(900)})
	if err != nil {
		t.Fatal(err)
	}
	send := func(target, form string) raw.Answer {
		t.Helper()
		r, err := http.NewRequest("POST", s.URL+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		body, service := `{"KeyId":"`+id+`","KeySpec":"AES_256"}`, "kms"
		r.Header.Set("X-Amz-Target", target)
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		if form != "" {
			body, service = form, "sts"
			r.Header.Del("X-Amz-Target")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		cred := aws.Credentials{AccessKeyID: *got.Credentials.AccessKeyId, SecretAccessKey: *got.Credentials.SecretAccessKey, SessionToken: *got.Credentials.SessionToken}
		if err := v4.NewSigner().SignHTTP(t.Context(), cred, r, sha256Hex(body), service, "us-east-1", now()); err != nil {
			t.Fatal(err)
		}
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return raw.Answer{Status: res.StatusCode, Header: res.Header, Body: b}
	}
	const identity = "Action=GetCallerIdentity&Version=2011-06-15"
	for at, want := range map[time.Duration][2]string{
		14 * time.Minute: {"200", "200"},
		15*time.Minute + time.Second: {"400 ExpiredTokenException The security token included in the request is expired",
			"403 ExpiredToken The security token included in the request is expired"},
	} {
		late.Store(int64(at))
		if a := send("TrentService.GenerateDataKey", ""); a.String() != want[0] {
			t.Errorf("KMS, %s later: %s", at, a)
		}
		if a := send("", identity); a.String() != want[1] {
			t.Errorf("STS, %s later: %s", at, a)
		}
	}
}

// issuer is an OpenID Connect issuer without TLS, with one key.
func issuer(t *testing.T) (host string, sign func(subject string) string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := "http://" + r.Host
		var doc any = map[string]string{"issuer": at, "jwks_uri": at + "/keys"}
		if r.URL.Path == "/keys" {
			doc = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.Public(), KeyID: "k1", Use: "sig"}}}
		}
		if err := json.NewEncoder(w).Encode(doc); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), func(subject string) string {
		body, err := json.Marshal(map[string]any{"iss": srv.URL, "sub": subject, "aud": "sts.amazonaws.com", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
		if err != nil {
			t.Fatal(err)
		}
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k, KeyID: "k1"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := s.Sign(body)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
}

// A pod has a token in a file and no credentials.
func TestWebIdentityRoleProvider(t *testing.T) {
	s := trenttest.Start(t, trenttest.WithLoopbackIssuers())
	host, sign := issuer(t)
	c := iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.URL), Credentials: administrator(s)})
	p, err := c.CreateOpenIDConnectProvider(t.Context(), &iam.CreateOpenIDConnectProviderInput{Url: aws.String("https://" + host), ClientIDList: []string{"sts.amazonaws.com"}})
	if err != nil {
		t.Fatal(err)
	}
	id := role(t, s, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Federated":"`+*p.OpenIDConnectProviderArn+`"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"`+host+`:sub":"app","`+host+`:aud":"sts.amazonaws.com"}}}}`)
	file := filepath.Join(t.TempDir(), "token")
	with := func(subject string) error {
		if err := os.WriteFile(file, []byte(sign(subject)), 0o600); err != nil {
			t.Fatal(err)
		}
		provider := stscreds.NewWebIdentityRoleProvider(stsClient(s, aws.AnonymousCredentials{}), batch, stscreds.IdentityTokenFile(file))
		return dataKey(t.Context(), kmsClient(s, aws.NewCredentialsCache(provider)), id)
	}
	if err := with("app"); err != nil {
		t.Fatal(err)
	}
	if err := with("other"); codeOf(err) != "AccessDenied" {
		t.Errorf("another subject: %v", err)
	}
	log := strings.Join(s.AuditLog(t), "\n")
	if !strings.Contains(log, `"principal":"`+host+`:sts.amazonaws.com:app"`) || strings.Contains(log, "eyJ") {
		t.Error("the audit does not say who it was, or has a token in it")
	}
}

// Others find out by a link who handed it to them.
func TestPresignedIdentity(t *testing.T) {
	s := trenttest.Start(t)
	link, err := sts.NewPresignClient(stsClient(s, administrator(s))).PresignGetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(link.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || link.Method != "GET" || res.StatusCode != 200 || !strings.Contains(string(b), "<Arn>arn:aws:iam::111122223333:user/admin</Arn>") {
		t.Errorf("%s %d %s %v", link.Method, res.StatusCode, b, err)
	}
}

// TestSEC_A01: GetCallerIdentity may be presigned, and nothing else. What KMS, IAM and
// the rest of STS are asked in that form, nobody has signed.
func TestSEC_A01_PresignedIsForOneAction(t *testing.T) {
	b := newBench(t)
	before := b.state()
	host := strings.TrimPrefix(b.URL, "http://")
	presign := func(method, query, service string) string {
		t.Helper()
		r, err := http.NewRequest(method, b.URL+"/?"+query+"&X-Amz-Expires=60", nil)
		if err != nil {
			t.Fatal(err)
		}
		link, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: b.AccessKeyID, SecretAccessKey: b.SecretAccessKey}, r, sha256Hex(""), service, "us-east-1", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(link, b.URL)
	}
	const whoami, missing = "Action=GetCallerIdentity&Version=2011-06-15", "MissingAuthenticationToken"
	for name, c := range map[string]struct {
		method, path, more, body, want string
	}{
		"it":                     {"GET", presign("GET", whoami, "sts"), "", "", "200"},
		"by POST":                {"POST", presign("POST", whoami, "sts"), "", "", "200"},
		"without its signature":  {"GET", "/?" + whoami, "", "", "405 MethodNotAllowed"},
		"signed for KMS":         {"GET", presign("GET", whoami, "kms"), "", "", "403 SignatureDoesNotMatch"},
		"AssumeRole":             {"GET", presign("GET", "Action=AssumeRole&Version=2011-06-15&RoleArn="+batch+"&RoleSessionName=one", "sts"), "", "", "403 " + missing},
		"GetSessionToken":        {"GET", presign("GET", "Action=GetSessionToken&Version=2011-06-15", "sts"), "", "", "403 " + missing},
		"a web identity":         {"GET", presign("GET", "Action=AssumeRoleWithWebIdentity&Version=2011-06-15", "sts"), "", "", "403 " + missing},
		"IAM":                    {"GET", presign("GET", "Action=CreateUser&UserName=eve&Version=2010-05-08", "iam"), "", "", "403 " + missing},
		"KMS":                    {"GET", presign("GET", "Action=ListKeys&Version=2014-11-01", "kms"), "", "", "403 " + missing},
		"KMS by its target":      {"POST", presign("POST", "Action=TrentService.CreateKey", "kms"), "X-Amz-Target: TrentService.CreateKey\r\nContent-Type: application/x-amz-json-1.1\r\n", "{}", "400 " + missing + "Exception"},
		"KMS, without a body":    {"POST", presign("POST", whoami, "sts"), "X-Amz-Target: TrentService.CreateKey\r\n", "", "400 " + missing + "Exception"},
		"a form in the body too": {"POST", presign("POST", whoami, "sts"), "Content-Type: application/x-www-form-urlencoded\r\n", "Action=CreateUser&Version=2010-05-08&UserName=eve", "403 " + missing},
		"PUT":                    {"PUT", presign("PUT", whoami, "sts"), "", "", "405 MethodNotAllowedException"},
		"another path":           {"GET", strings.Replace(presign("GET", whoami, "sts"), "/?", "/x?", 1), "", "", "404 ResourceNotFound "},
	} {
		text := c.method + " " + c.path + " HTTP/1.1\r\nHost: " + host + "\r\n" + c.more
		if c.body != "" {
			text += "Content-Length: " + strconv.Itoa(len(c.body)) + "\r\n"
		}
		a, err := raw.Send(host, []byte(text+"\r\n"+c.body))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(a.String(), c.want) {
			t.Errorf("%s: %s", name, a)
		}
	}
	if after := b.state(); after != before {
		t.Errorf("something has changed: %s", after)
	}
}

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
