package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"trent/trenttest/process"
)

// started starts trent and has it ended with the test.
func started(t *testing.T, env []string, args ...string) *process.Server {
	t.Helper()
	s, err := process.Command{Binary: binary, Args: args, Env: append(os.Environ(), env...)}.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// trentAt serves a new data directory, and gives a client that is its administrator.
func trentAt(t *testing.T, args ...string) (*process.Server, *kms.Client, aws.Credentials) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	id, secret, err := process.Init(binary, dir)
	if err != nil {
		t.Fatal(err)
	}
	s := started(t, nil, append([]string{"serve", "--dir", dir, "--listen", "127.0.0.1:0"}, args...)...)
	own := aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}
	c, err := newClient(s.URL, "us-east-1", own, "")
	if err != nil {
		t.Fatal(err)
	}
	return s, c, own
}

// The whole of it as processes: a Trent with the keys, the proxy in front, and a Trent that uses them.
func TestXksProxyBetweenTwoTrents(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	manager, there, own := trentAt(t)
	made, err := there.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := there.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/xks/orders"), TargetKeyId: made.KeyMetadata.KeyId}); err != nil {
		t.Fatal(err)
	}

	cert, key, err := process.SelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile, credentials, auditFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "credentials.json"), filepath.Join(dir, "audit.log")
	for file, content := range map[string][]byte{certFile: cert, keyFile: key} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(binary, "xks-proxy", "credential", "--credentials", credentials, "--path-prefix", "/example").Output()
	if err != nil {
		t.Fatal(err)
	}
	var store struct {
		XksProxyUriPath                  string
		XksProxyAuthenticationCredential struct{ AccessKeyId, RawSecretAccessKey string }
	}
	if err := json.Unmarshal(out, &store); err != nil {
		t.Fatal(err)
	}
	proxy := started(t, []string{"AWS_ACCESS_KEY_ID=" + own.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + own.SecretAccessKey, "AWS_REGION=us-east-1"},
		"xks-proxy", "--endpoint", manager.URL, "--listen", "127.0.0.1:0", "--tls-cert", certFile, "--tls-key", keyFile,
		"--credentials", credentials, "--path-prefix", "/example", "--audit-file", auditFile, "--timeout", "10s")

	_, here, _ := trentAt(t, "--xks-ca", certFile, "--xks-proxy", "127.0.0.1="+strings.TrimPrefix(proxy.URL, "https://"), "--xks-timeout", "10s")
	cks, err := here.CreateCustomKeyStore(ctx, &kms.CreateCustomKeyStoreInput{
		CustomKeyStoreName: aws.String("elsewhere"), CustomKeyStoreType: types.CustomKeyStoreTypeExternalKeyStore,
		XksProxyUriEndpoint: aws.String("https://127.0.0.1"), XksProxyUriPath: &store.XksProxyUriPath, XksProxyConnectivity: types.XksProxyConnectivityTypePublicEndpoint,
		XksProxyAuthenticationCredential: &types.XksProxyAuthenticationCredentialType{
			AccessKeyId: &store.XksProxyAuthenticationCredential.AccessKeyId, RawSecretAccessKey: &store.XksProxyAuthenticationCredential.RawSecretAccessKey},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := here.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: cks.CustomKeyStoreId}); err != nil {
		t.Fatal(err)
	}
	external, err := here.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternalKeyStore, CustomKeyStoreId: cks.CustomKeyStoreId, XksKeyId: aws.String("orders")})
	if err != nil {
		t.Fatal(err)
	}
	data, err := here.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: external.KeyMetadata.KeyId, KeySpec: types.DataKeySpecAes256})
	if err != nil {
		t.Fatal(err)
	}
	use := func() error {
		got, err := here.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: data.CiphertextBlob})
		if err == nil && !bytes.Equal(got.Plaintext, data.Plaintext) {
			t.Error("the data key came back as another one")
		}
		return err
	}
	if err := use(); err != nil {
		t.Fatal(err)
	}
	proxy.Kill()
	start := time.Now()
	if err := use(); err == nil || !strings.Contains(explain(err).Error(), "KMSInvalidStateException: The external key store proxy cannot be reached.") {
		t.Errorf("without the proxy: %v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s to say so", took)
	}
	lines, err := os.ReadFile(auditFile)
	if err != nil || bytes.Count(lines, []byte("\n")) < 4 {
		t.Errorf("the audit of the proxy: %q, %v", lines, err)
	}
}
