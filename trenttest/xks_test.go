package trenttest_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"trent/internal/audit"
	"trent/internal/xksproxy"
	"trent/trenttest"
)

// proxyPolicy is what an XKS proxy needs, and no more: the keys behind its aliases.
const proxyPolicy = `{"Version":"2012-10-17","Statement":[
	{"Effect":"Allow","Action":["kms:GenerateMac","kms:DescribeKey"],"Resource":"*","Condition":{"StringLike":{"kms:RequestAlias":"alias/xks/*"}}},
	{"Effect":"Allow","Action":"kms:GenerateRandom","Resource":"*"}]}`

// pair is one Trent with an external key store, and the keys of which lie in another Trent behind a proxy.
type pair struct {
	t           *testing.T
	here, there *kms.Client
	manager     *trenttest.Server
	credential  xksproxy.Credential
	handler     atomic.Pointer[http.Handler]
	auditFile   string
}

func newPair(t *testing.T) *pair {
	p := &pair{t: t, credential: xksproxy.NewCredential()}
	p.manager = trenttest.Start(t, trenttest.WithUser(trenttest.Account, "proxy", proxyPolicy))
	p.there = p.manager.Client(t)

	dir := t.TempDir()
	file := filepath.Join(dir, "credentials.json")
	content, err := xksproxy.FormatCredentials([]xksproxy.Credential{p.credential})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	keys, err := xksproxy.OpenCredentials(file, log)
	if err != nil {
		t.Fatal(err)
	}
	p.auditFile = filepath.Join(dir, "audit.log")
	sink, err := audit.OpenFile(p.auditFile, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sink.Close() })
	p.serve(xksproxy.New(xksproxy.Options{
		Prefix: "/trent", Keys: keys, Manager: &xksproxy.Trent{Client: p.manager.ClientAs(t, "proxy"), Prefix: xksproxy.DefaultAliasPrefix},
		Audit: sink, Version: "test", Timeout: 10 * time.Second, Log: log, Now: time.Now,
	}))
	front := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*p.handler.Load()).ServeHTTP(w, r) }))
	t.Cleanup(front.Close)
	p.here = trenttest.Start(t, trenttest.WithKeyStoreProxy(front)).Client(t)
	return p
}

// serve puts a handler in the place of the proxy's, and gives back the one that was there.
func (p *pair) serve(h http.Handler) (was http.Handler) {
	if old := p.handler.Swap(&h); old != nil {
		return *old
	}
	return nil
}

// newManagerKey makes a key in the other Trent that the proxy serves as an external key.
func (p *pair) newManagerKey(id string) string {
	p.t.Helper()
	out, err := p.there.CreateKey(p.t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
	if err != nil {
		p.t.Fatal(err)
	}
	key := aws.ToString(out.KeyMetadata.KeyId)
	if _, err := p.there.CreateAlias(p.t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/xks/" + id), TargetKeyId: &key}); err != nil {
		p.t.Fatal(err)
	}
	return key
}

func (p *pair) newStore(name string) (string, error) {
	out, err := p.here.CreateCustomKeyStore(p.t.Context(), &kms.CreateCustomKeyStoreInput{
		CustomKeyStoreName: &name, CustomKeyStoreType: types.CustomKeyStoreTypeExternalKeyStore,
		XksProxyUriEndpoint: aws.String("https://example.com"), XksProxyUriPath: aws.String("/trent/kms/xks/v1"), XksProxyConnectivity: types.XksProxyConnectivityTypePublicEndpoint,
		XksProxyAuthenticationCredential: &types.XksProxyAuthenticationCredentialType{AccessKeyId: &p.credential.AccessKeyID, RawSecretAccessKey: &p.credential.Secret},
	})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.CustomKeyStoreId), nil
}

func (p *pair) connect(store string) types.CustomKeyStoresListEntry {
	p.t.Helper()
	if _, err := p.here.ConnectCustomKeyStore(p.t.Context(), &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &store}); err != nil {
		p.t.Fatal(err)
	}
	out, err := p.here.DescribeCustomKeyStores(p.t.Context(), &kms.DescribeCustomKeyStoresInput{CustomKeyStoreId: &store})
	if err != nil {
		p.t.Fatal(err)
	}
	return out.CustomKeyStores[0]
}

func (p *pair) newKey(store, id string) (string, error) {
	out, err := p.here.CreateKey(p.t.Context(), &kms.CreateKeyInput{Origin: types.OriginTypeExternalKeyStore, CustomKeyStoreId: &store, XksKeyId: &id})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.KeyMetadata.KeyId), nil
}

// code is that of a refusal, and nothing where there is none.
func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// Two Trents, with a proxy between them: keys of the one are in the other, and clients see keys like any others.
func TestExternalKeyStoreInAnotherTrent(t *testing.T) {
	p := newPair(t)
	ctx := t.Context()
	managerKey := p.newManagerKey("orders")
	store, err := p.newStore("elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.connect(store); got.ConnectionState != types.ConnectionStateTypeConnected {
		t.Fatalf("the store is %s, %s", got.ConnectionState, got.ConnectionErrorCode)
	}
	key, err := p.newKey(store, "orders")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.newKey(store, "orders"); code(err) != "XksKeyAlreadyInUseException" {
		t.Errorf("a second key on the same external key: %s", code(err))
	}
	if _, err := p.newKey(store, "nothing"); code(err) != "XksKeyNotFoundException" {
		t.Errorf("no external key: %s", code(err))
	}

	pairs := map[string]string{"tenant": "alice"}
	plaintext := bytes.Repeat([]byte{7}, 4096)
	sealed, err := p.here.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: plaintext, EncryptionContext: pairs})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := p.here.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: pairs})
	if err != nil || !bytes.Equal(opened.Plaintext, plaintext) {
		t.Fatalf("decrypt: %v", err)
	}
	if _, err := p.here.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob}); code(err) != "KMSInvalidStateException" || !strings.Contains(err.Error(), "encryption context") {
		t.Errorf("without the context: %v", err)
	}
	data, err := p.here.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256})
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.here.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: data.CiphertextBlob})
	if err != nil || !bytes.Equal(again.Plaintext, data.Plaintext) {
		t.Errorf("data key: %v", err)
	}

	// What happens there acts here at once.
	use := func() error {
		_, err := p.here.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: data.CiphertextBlob})
		return err
	}
	if _, err := p.there.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &managerKey}); err != nil {
		t.Fatal(err)
	}
	if err := use(); code(err) != "KMSInvalidStateException" || !strings.Contains(err.Error(), "is not enabled in the external key manager") {
		t.Errorf("the external key is disabled: %v", err)
	}
	if _, err := p.there.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &managerKey}); err != nil {
		t.Fatal(err)
	}
	if err := use(); err != nil {
		t.Errorf("enabled again: %v", err)
	}
	if _, err := p.there.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: aws.String("alias/xks/orders")}); err != nil {
		t.Fatal(err)
	}
	if err := use(); code(err) != "KMSInvalidStateException" || !strings.Contains(err.Error(), "could not find the external key") {
		t.Errorf("the external key is gone: %v", err)
	}

	// Both sides have it in writing, and neither has what is secret.
	lines, err := os.ReadFile(p.auditFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"kmsOperation":"GenerateDataKey"`, `"externalKeyId":"orders"`, `"kmsKeyArn":"arn:aws:kms:us-east-1:111122223333:key/` + key, `"error":"InvalidStateException"`, `"error":"InvalidCiphertextException"`} {
		if !bytes.Contains(lines, []byte(want)) {
			t.Errorf("the proxy's audit has no %s", want)
		}
	}
	if bytes.Contains(lines, []byte(p.credential.Secret)) {
		t.Error("the proxy's audit has the secret of its credential")
	}
	if log := strings.Join(p.manager.AuditLog(t), "\n"); !strings.Contains(log, `"operation":"GenerateMac"`) || !strings.Contains(log, "user/proxy") {
		t.Error("the Trent behind the proxy has no record of its use")
	}
}

// A key that is not for encryption, or not marked for the proxy, is not served.
func TestProxyServesOnlyItsKeys(t *testing.T) {
	p := newPair(t)
	ctx := t.Context()
	store, err := p.newStore("elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	p.connect(store)
	for id, spec := range map[string]types.KeySpec{"symmetric": types.KeySpecSymmetricDefault, "short": types.KeySpecHmac224} {
		in := &kms.CreateKeyInput{KeySpec: spec}
		if spec != types.KeySpecSymmetricDefault {
			in.KeyUsage = types.KeyUsageTypeGenerateVerifyMac
		}
		out, err := p.there.CreateKey(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.there.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/xks/" + id), TargetKeyId: out.KeyMetadata.KeyId}); err != nil {
			t.Fatal(err)
		}
		if _, err := p.newKey(store, id); code(err) != "XksKeyInvalidConfigurationException" {
			t.Errorf("%s: %s", id, code(err))
		}
	}
	hidden, err := p.there.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{aws.ToString(hidden.KeyMetadata.KeyId), "a.b"} {
		if _, err := p.newKey(store, id); code(err) != "XksKeyNotFoundException" {
			t.Errorf("%s: %s", id, code(err))
		}
	}
	if _, err := p.manager.ClientAs(t, "proxy").GenerateMac(ctx, &kms.GenerateMacInput{KeyId: hidden.KeyMetadata.KeyId, MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: []byte("x")}); code(err) != "AccessDeniedException" {
		t.Errorf("the proxy's own key uses another key: %v", err)
	}
}

// What a proxy does wrong is said, and loses nothing.
func TestProxyThatFails(t *testing.T) {
	p := newPair(t)
	ctx := t.Context()
	p.newManagerKey("orders")
	store, err := p.newStore("elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	p.connect(store)
	key, err := p.newKey(store, "orders")
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := p.here.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: []byte("plaintext")})
	if err != nil {
		t.Fatal(err)
	}
	use := func() error {
		_, err := p.here.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob})
		return err
	}
	good := p.serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	if err := use(); code(err) != "KMSInvalidStateException" || !strings.Contains(err.Error(), "cannot be understood") {
		t.Errorf("an answer of something else: %v", err)
	}
	p.serve(tampering{good})
	if err := use(); code(err) != "KMSInvalidStateException" || !strings.Contains(err.Error(), "corrupted") {
		t.Errorf("a tampered answer: %v", err)
	}
	if _, err := p.here.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: []byte("plaintext")}); code(err) != "KMSInvalidStateException" {
		t.Errorf("a tampered ciphertext: %v", err)
	}
	p.serve(good)
	if err := use(); err != nil {
		t.Errorf("after all that: %v", err)
	}
	for i := range sealed.CiphertextBlob {
		sealed.CiphertextBlob[i] ^= 1
		if err := use(); err == nil {
			t.Fatalf("byte %d of a ciphertext was changed, and it opens", i)
		}
		sealed.CiphertextBlob[i] ^= 1
	}
	wrong := p.credential
	wrong.Secret = xksproxy.NewCredential().Secret
	_, err = p.here.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: &store,
		XksProxyAuthenticationCredential: &types.XksProxyAuthenticationCredentialType{AccessKeyId: &wrong.AccessKeyID, RawSecretAccessKey: &wrong.Secret}})
	if code(err) != "XksProxyIncorrectAuthenticationCredentialException" {
		t.Errorf("a wrong credential: %s", code(err))
	}
	if err := use(); err != nil {
		t.Errorf("a refused update has changed something: %v", err)
	}
	if _, err := p.here.DisconnectCustomKeyStore(ctx, &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: &store}); err != nil {
		t.Fatal(err)
	}
	if err := use(); code(err) != "KMSInvalidStateException" || !strings.Contains(err.Error(), "is unavailable.") {
		t.Errorf("a store that is disconnected: %v", err)
	}
	if _, err := p.here.DeleteCustomKeyStore(ctx, &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: &store}); code(err) != "CustomKeyStoreHasCMKsException" {
		t.Errorf("a store with keys is deleted: %s", code(err))
	}
}

// tampering changes a byte of what is in base64 in the answers of another proxy.
type tampering struct{ http.Handler }

// ServeHTTP implements http.Handler.
func (t tampering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	t.Handler.ServeHTTP(rec, r)
	body := rec.Body.Bytes()
	for _, name := range []string{`"plaintext":"`, `"ciphertext":"`} {
		if i := bytes.Index(body, []byte(name)); i >= 0 {
			at := i + len(name) + 8
			if body[at] == 'A' {
				body[at] = 'B'
			} else {
				body[at] = 'A'
			}
		}
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body)
}
