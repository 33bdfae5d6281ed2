package pipeline_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trent/internal/keystore"
)

const (
	storeSecret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I="
	storeKeyID  = "ABCDEFGHIJKLMNOPQRST"
)

// newStoreBody is the request for an external key store at a path of its own.
func newStoreBody(name, path string) string {
	return fmt.Sprintf(`{"CustomKeyStoreName":%q,"CustomKeyStoreType":"EXTERNAL_KEY_STORE","XksProxyUriEndpoint":"https://xks.example.com",
		"XksProxyUriPath":%q,"XksProxyConnectivity":"PUBLIC_ENDPOINT",
		"XksProxyAuthenticationCredential":{"AccessKeyId":%q,"RawSecretAccessKey":%q}}`, name, path, storeKeyID, storeSecret)
}

func (w *world) newStore(name string) string {
	w.t.Helper()
	return w.must(admin, "CreateCustomKeyStore", newStoreBody(name, "/"+name+"/kms/xks/v1"))["CustomKeyStoreId"].(string)
}

func (w *world) connect(id string) {
	w.t.Helper()
	w.must(admin, "ConnectCustomKeyStore", onStore(id))
}

func onStore(id string) string { return `{"CustomKeyStoreId":"` + id + `"}` }

// describeStore is the store as it is shown.
func (w *world) describeStore(id string) map[string]any {
	w.t.Helper()
	list := w.must(admin, "DescribeCustomKeyStores", onStore(id))["CustomKeyStores"].([]any)
	if len(list) != 1 {
		w.t.Fatalf("%d stores of one id", len(list))
	}
	return list[0].(map[string]any)
}

func newExternalBody(store, id string) string {
	return `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"` + store + `","XksKeyId":"` + id + `"}`
}

func (w *world) newExternalKey(store, id string) map[string]any {
	w.t.Helper()
	return w.must(admin, "CreateKey", newExternalBody(store, id))["KeyMetadata"].(map[string]any)
}

func TestKeyStoreLife(t *testing.T) {
	w := newWorld(t)
	id := w.newStore("first")
	if asked, p := w.proxies.last(); asked.Operation != "CreateCustomKeyStore" || asked.Region != "us-east-1" || p.Address() != "https://xks.example.com/first/kms/xks/v1" ||
		p.AccessKeyID != storeKeyID || string(p.Secret.Expose()) != storeSecret {
		t.Errorf("asked %+v of %s as %s", asked, p.Address(), p.AccessKeyID)
	}
	got := w.describeStore(id)
	config := got["XksProxyConfiguration"].(map[string]any)
	for name, want := range map[string]any{"CustomKeyStoreId": id, "CustomKeyStoreName": "first", "CustomKeyStoreType": "EXTERNAL_KEY_STORE", "ConnectionState": "DISCONNECTED"} {
		if got[name] != want {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	for name, want := range map[string]any{"Connectivity": "PUBLIC_ENDPOINT", "AccessKeyId": storeKeyID, "UriEndpoint": "https://xks.example.com", "UriPath": "/first/kms/xks/v1"} {
		if config[name] != want {
			t.Errorf("XksProxyConfiguration.%s is %v", name, config[name])
		}
	}
	w.connect(id)
	w.connect(id) // again changes nothing
	if s := w.describeStore(id)["ConnectionState"]; s != "CONNECTED" {
		t.Errorf("state %v", s)
	}
	w.refused(w.call(admin, "DeleteCustomKeyStore", onStore(id)), "CustomKeyStoreInvalidStateException", "DeleteCustomKeyStore is not possible while the custom key store "+id+" is CONNECTED.")
	w.must(admin, "DisconnectCustomKeyStore", onStore(id))
	w.refused(w.call(admin, "DisconnectCustomKeyStore", onStore(id)), "CustomKeyStoreInvalidStateException", "DisconnectCustomKeyStore is not possible while the custom key store "+id+" is DISCONNECTED.")
	w.must(admin, "DeleteCustomKeyStore", onStore(id))
	w.refused(w.call(admin, "DescribeCustomKeyStores", onStore(id)), "CustomKeyStoreNotFoundException", "There is no custom key store identified by "+id+".")
	for _, line := range w.audit.lines {
		if strings.Contains(line, storeSecret) {
			t.Errorf("the secret is in the audit record: %s", line)
		}
	}
}

func TestKeyStoreRefusals(t *testing.T) {
	w := newWorld(t)
	id := w.newStore("first")
	for name, c := range map[string]struct{ operation, body, code string }{
		"name in use":          {"CreateCustomKeyStore", newStoreBody("first", "/other/kms/xks/v1"), "CustomKeyStoreNameInUseException"},
		"proxy in use":         {"CreateCustomKeyStore", newStoreBody("other", "/first/kms/xks/v1"), "XksProxyUriInUseException"},
		"proxy in other case":  {"CreateCustomKeyStore", strings.Replace(newStoreBody("other", "/first/kms/xks/v1"), "xks.example.com", "XKS.example.com", 1), "XksProxyUriInUseException"},
		"plain http":           {"CreateCustomKeyStore", strings.Replace(newStoreBody("other", "/o/kms/xks/v1"), "https:", "http:", 1), "ValidationException"},
		"a port":               {"CreateCustomKeyStore", strings.Replace(newStoreBody("other", "/o/kms/xks/v1"), "example.com", "example.com:444", 1), "ValidationException"},
		"version 2":            {"CreateCustomKeyStore", newStoreBody("other", "/o/kms/xks/v2"), "ValidationException"},
		"an empty part":        {"CreateCustomKeyStore", newStoreBody("other", "//kms/xks/v1"), "ValidationException"},
		"no credential":        {"CreateCustomKeyStore", `{"CustomKeyStoreName":"x","CustomKeyStoreType":"EXTERNAL_KEY_STORE","XksProxyUriEndpoint":"https://a.example","XksProxyUriPath":"/kms/xks/v1","XksProxyConnectivity":"PUBLIC_ENDPOINT"}`, "ValidationException"},
		"VPC":                  {"CreateCustomKeyStore", strings.Replace(newStoreBody("other", "/o/kms/xks/v1"), "PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE", 1), "XksProxyVpcEndpointServiceNotFoundException"},
		"CloudHSM":             {"CreateCustomKeyStore", `{"CustomKeyStoreName":"x","CloudHsmClusterId":"cluster-1a23b4cdefg","TrustAnchorCertificate":"x","KeyStorePassword":"passwor"}`, "ValidationException"},
		"CloudHSM cluster":     {"CreateCustomKeyStore", `{"CustomKeyStoreName":"x","CloudHsmClusterId":"cluster-abcdefghijk","TrustAnchorCertificate":"x","KeyStorePassword":"passwor"}`, "CloudHsmClusterNotFoundException"},
		"CloudHSM, incomplete": {"CreateCustomKeyStore", `{"CustomKeyStoreName":"x"}`, "ValidationException"},
		"both":                 {"CreateCustomKeyStore", strings.Replace(newStoreBody("other", "/o/kms/xks/v1"), `{"Custom`, `{"KeyStorePassword":"passwor","Custom`, 1), "ValidationException"},
		"no such store":        {"ConnectCustomKeyStore", onStore("cks-0123456789abcdef0"), "CustomKeyStoreNotFoundException"},
		"no such name":         {"DescribeCustomKeyStores", `{"CustomKeyStoreName":"none"}`, "CustomKeyStoreNotFoundException"},
		"id and name":          {"DescribeCustomKeyStores", `{"CustomKeyStoreName":"first","CustomKeyStoreId":"` + id + `"}`, "ValidationException"},
		"bad marker":           {"DescribeCustomKeyStores", `{"Marker":"none"}`, "InvalidMarkerException"},
		"random bytes":         {"GenerateRandom", `{"NumberOfBytes":8,"CustomKeyStoreId":"` + id + `"}`, "UnsupportedOperationException"},
		"random bytes, none":   {"GenerateRandom", `{"NumberOfBytes":8,"CustomKeyStoreId":"cks-0"}`, "CustomKeyStoreNotFoundException"},
		"not connected":        {"CreateKey", newExternalBody(id, "one"), "CustomKeyStoreInvalidStateException"},
		"no store":             {"CreateKey", `{"Origin":"EXTERNAL_KEY_STORE","XksKeyId":"one"}`, "ValidationException"},
		"store, not origin":    {"CreateKey", `{"CustomKeyStoreId":"` + id + `"}`, "ValidationException"},
		"key id, not origin":   {"CreateKey", `{"XksKeyId":"one"}`, "ValidationException"},
		"no key id":            {"CreateKey", `{"Origin":"EXTERNAL_KEY_STORE","CustomKeyStoreId":"` + id + `"}`, "ValidationException"},
		"way up":               {"CreateKey", newExternalBody(id, ".."), "ValidationException"},
		"multi-Region":         {"CreateKey", strings.Replace(newExternalBody(id, "one"), "{", `{"MultiRegion":true,`, 1), "UnsupportedOperationException"},
		"RSA":                  {"CreateKey", strings.Replace(newExternalBody(id, "one"), "{", `{"KeySpec":"RSA_2048","KeyUsage":"ENCRYPT_DECRYPT",`, 1), "UnsupportedOperationException"},
		"not a CloudHSM store": {"CreateKey", `{"Origin":"AWS_CLOUDHSM","CustomKeyStoreId":"` + id + `"}`, "ValidationException"},
		"no CloudHSM store":    {"CreateKey", `{"Origin":"AWS_CLOUDHSM","CustomKeyStoreId":"cks-0"}`, "CustomKeyStoreNotFoundException"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := w.call(admin, c.operation, c.body); r.code != c.code {
				t.Errorf("got %s %q, want %s", r.code, r.message, c.code)
			}
		})
	}
	for _, operation := range []string{"CreateCustomKeyStore", "UpdateCustomKeyStore", "DeleteCustomKeyStore", "ConnectCustomKeyStore", "DisconnectCustomKeyStore", "DescribeCustomKeyStores"} {
		body := onStore(id)
		if operation == "CreateCustomKeyStore" {
			body = newStoreBody("mine", "/mine/kms/xks/v1")
		}
		if r := w.call(nobody, operation, body); r.code != "AccessDeniedException" {
			t.Errorf("%s by somebody without permission: %s", operation, r.code)
		}
		if r := w.call(stranger, operation, body); operation != "CreateCustomKeyStore" && operation != "DescribeCustomKeyStores" && r.code != "CustomKeyStoreNotFoundException" {
			t.Errorf("%s from another account: %s", operation, r.code)
		}
	}
}

func TestKeyStoreQuotaAndPages(t *testing.T) {
	w := newWorld(t)
	for i := range keystore.MaxStores {
		w.newStore(fmt.Sprintf("store%d", i))
	}
	if r := w.call(admin, "CreateCustomKeyStore", newStoreBody("more", "/more/kms/xks/v1")); r.code != "LimitExceededException" {
		t.Errorf("one too many: %s", r.code)
	}
	elsewhere := admin
	elsewhere.region = "eu-west-1"
	w.must(elsewhere, "CreateCustomKeyStore", newStoreBody("store0", "/store0/kms/xks/v1"))
	var names []string
	marker := ""
	for {
		page := w.must(admin, "DescribeCustomKeyStores", `{"Limit":3`+marker+`}`)
		for _, s := range page["CustomKeyStores"].([]any) {
			names = append(names, s.(map[string]any)["CustomKeyStoreName"].(string))
		}
		if !page["Truncated"].(bool) {
			break
		}
		marker = `,"Marker":"` + page["NextMarker"].(string) + `"`
	}
	if got := strings.Join(names, " "); got != "store0 store1 store2 store3 store4 store5 store6 store7 store8 store9" {
		t.Errorf("pages have %s", got)
	}
}

// A connection that fails leaves the store FAILED, with the reason, until it is disconnected.
func TestKeyStoreConnectionErrors(t *testing.T) {
	for kind, want := range map[keystore.Kind]string{
		keystore.Unreachable: "XKS_PROXY_NOT_REACHABLE", keystore.BadTLS: "XKS_PROXY_INVALID_TLS_CONFIGURATION", keystore.TimedOut: "XKS_PROXY_TIMED_OUT",
		keystore.Malformed: "XKS_PROXY_INVALID_RESPONSE", keystore.Down: "XKS_PROXY_NOT_REACHABLE", keystore.BadCredential: "INVALID_CREDENTIALS",
		keystore.Denied: "XKS_PROXY_ACCESS_DENIED", keystore.BadPath: "XKS_PROXY_INVALID_CONFIGURATION",
	} {
		t.Run(want, func(t *testing.T) {
			w := newWorld(t)
			id := w.newStore("first")
			w.proxies.set(func() { w.proxies.fails = keystore.Fail(kind, nil) })
			w.connect(id)
			got := w.describeStore(id)
			if got["ConnectionState"] != "FAILED" || got["ConnectionErrorCode"] != want {
				t.Errorf("got %v, %v", got["ConnectionState"], got["ConnectionErrorCode"])
			}
			if r := w.call(admin, "ConnectCustomKeyStore", onStore(id)); r.code != "CustomKeyStoreInvalidStateException" {
				t.Errorf("connect again: %s", r.code)
			}
			w.proxies.set(func() { w.proxies.fails = nil })
			w.must(admin, "DisconnectCustomKeyStore", onStore(id))
			w.connect(id)
			if got := w.describeStore(id); got["ConnectionState"] != "CONNECTED" || got["ConnectionErrorCode"] != nil {
				t.Errorf("then %v, %v", got["ConnectionState"], got["ConnectionErrorCode"])
			}
		})
	}
}

func TestKeyStoreIsNotMadeOfWhatDoesNotAnswer(t *testing.T) {
	for kind, want := range map[keystore.Kind]string{
		keystore.Unreachable: "XksProxyUriUnreachableException", keystore.TimedOut: "XksProxyUriUnreachableException", keystore.Down: "XksProxyUriUnreachableException",
		keystore.BadCredential: "XksProxyIncorrectAuthenticationCredentialException", keystore.Malformed: "XksProxyInvalidResponseException",
		keystore.BadPath: "XksProxyInvalidConfigurationException",
	} {
		w := newWorld(t)
		w.proxies.set(func() { w.proxies.fails = keystore.Fail(kind, nil) })
		if r := w.call(admin, "CreateCustomKeyStore", newStoreBody("first", "/first/kms/xks/v1")); r.code != want || r.message == "" {
			t.Errorf("got %s %q, want %s", r.code, r.message, want)
		}
		if list := w.must(admin, "DescribeCustomKeyStores", "{}")["CustomKeyStores"].([]any); len(list) != 0 {
			t.Errorf("%s: there is a store all the same", want)
		}
	}
}

func TestUpdateKeyStore(t *testing.T) {
	w := newWorld(t)
	id := w.newStore("first")
	w.connect(id)
	update := func(members string) result {
		return w.call(admin, "UpdateCustomKeyStore", `{"CustomKeyStoreId":"`+id+`",`+members+`}`)
	}
	before := w.proxies.called()
	if r := update(`"NewCustomKeyStoreName":"renamed"`); r.status != 200 {
		t.Errorf("rename while connected: %s", r.code)
	}
	if w.proxies.called() != before {
		t.Error("the proxy was asked about a name")
	}
	// A credential is replaced while the store is in use, if the proxy takes the new one.
	credential := `"XksProxyAuthenticationCredential":{"AccessKeyId":"NEWNEWNEWNEWNEWNEWNEW","RawSecretAccessKey":"` + storeSecret + `"}`
	w.proxies.set(func() { w.proxies.fails = keystore.Fail(keystore.BadCredential, nil) })
	if r := update(credential); r.code != "XksProxyIncorrectAuthenticationCredentialException" {
		t.Errorf("a credential that the proxy does not take: %s", r.code)
	}
	w.proxies.set(func() { w.proxies.fails = nil })
	if r := update(credential); r.status != 200 {
		t.Errorf("a new credential: %s", r.code)
	}
	if r := update(`"XksProxyUriEndpoint":"https://other.example.com"`); r.code != "CustomKeyStoreInvalidStateException" {
		t.Errorf("another endpoint while connected: %s", r.code)
	}
	w.must(admin, "DisconnectCustomKeyStore", onStore(id))
	if r := update(`"XksProxyUriEndpoint":"https://other.example.com"`); r.status != 200 {
		t.Errorf("another endpoint: %s", r.code)
	}
	if r := update(`"KeyStorePassword":"password"`); r.code != "ValidationException" {
		t.Errorf("a password: %s", r.code)
	}
	if r := update(`"XksProxyConnectivity":"VPC_ENDPOINT_SERVICE"`); r.code != "XksProxyVpcEndpointServiceNotFoundException" {
		t.Errorf("VPC: %s", r.code)
	}
	got := w.describeStore(id)
	config := got["XksProxyConfiguration"].(map[string]any)
	if got["CustomKeyStoreName"] != "renamed" || config["UriEndpoint"] != "https://other.example.com" || config["UriPath"] != "/first/kms/xks/v1" || config["AccessKeyId"] != "NEWNEWNEWNEWNEWNEWNEW" {
		t.Errorf("got %v", got)
	}
}

func TestExternalKey(t *testing.T) {
	w := newWorld(t)
	store := w.newStore("first")
	w.connect(store)
	m := w.newExternalKey(store, "one")
	if asked, _ := w.proxies.last(); asked.Operation != "CreateKey" || asked.KeyARN != "" || asked.Principal != admin.principal.ARN {
		t.Errorf("CreateKey asked as %+v", asked)
	}
	config, _ := m["XksKeyConfiguration"].(map[string]any)
	if m["Origin"] != "EXTERNAL_KEY_STORE" || m["CustomKeyStoreId"] != store || config["Id"] != "one" || m["KeyState"] != "Enabled" || m["KeySpec"] != "SYMMETRIC_DEFAULT" {
		t.Errorf("metadata: %v", m)
	}
	key, arn := m["KeyId"].(string), m["Arn"].(string)
	if r := w.call(admin, "CreateKey", newExternalBody(store, "one")); r.code != "XksKeyAlreadyInUseException" {
		t.Errorf("a second key on the same external key: %s", r.code)
	}

	session := session(account, "batch", "night", allow("*"))
	blob := w.encrypt(session, key, `{"tenant":"a"}`)
	asked, p := w.proxies.last()
	if asked.Operation != "Encrypt" || asked.KeyARN != arn || asked.Principal != "arn:aws:iam::"+account+":role/batch" || asked.RequestID == "" || p.Path != "/first/kms/xks/v1" {
		t.Errorf("Encrypt asked as %+v", asked)
	}
	plain := w.must(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`","EncryptionContext":{"tenant":"a"}}`)
	if plain["Plaintext"] != "Q0FOQVJZLXBsYWludGV4dA==" || plain["KeyId"] != arn || plain["KeyMaterialId"] != m["CurrentKeyMaterialId"] {
		t.Errorf("decrypted %v", plain)
	}
	made := w.must(admin, "GenerateDataKey", `{"KeyId":"`+key+`","KeySpec":"AES_256"}`)
	again := w.must(admin, "Decrypt", `{"CiphertextBlob":"`+made["CiphertextBlob"].(string)+`"}`)
	if again["Plaintext"] != made["Plaintext"] {
		t.Error("a data key came back as another one")
	}

	// From one to the other, and back.
	inner, _ := w.newKey(admin)
	moved := w.must(admin, "ReEncrypt", `{"CiphertextBlob":"`+blob+`","SourceEncryptionContext":{"tenant":"a"},"DestinationKeyId":"`+inner+`"}`)["CiphertextBlob"].(string)
	back := w.must(admin, "ReEncrypt", `{"CiphertextBlob":"`+moved+`","DestinationKeyId":"`+key+`"}`)["CiphertextBlob"].(string)
	if got := w.must(admin, "Decrypt", `{"KeyId":"`+key+`","CiphertextBlob":"`+back+`"}`)["Plaintext"]; got != "Q0FOQVJZLXBsYWludGV4dA==" {
		t.Errorf("moved there and back: %v", got)
	}

	if r := w.call(admin, "GenerateDataKeyPair", `{"KeyId":"`+key+`","KeyPairSpec":"ECC_NIST_P256"}`); r.code != "UnsupportedOperationException" {
		t.Errorf("a key pair: %s", r.code)
	}
	before := w.proxies.called()
	if r := w.call(admin, "Encrypt", `{"KeyId":"`+key+`","Plaintext":"AA==","DryRun":true}`); r.code != "DryRunOperationException" {
		t.Errorf("dry run: %s", r.code)
	}
	if r := w.call(nobody, "Encrypt", `{"KeyId":"`+key+`","Plaintext":"AA=="}`); r.code != "AccessDeniedException" || w.proxies.called() > before+1 {
		t.Errorf("without permission: %s, and the proxy was asked %d times", r.code, w.proxies.called()-before)
	}
}

// What proxies see is no blob of ours that anything opens: without the external key, nothing does.
func TestSEC_D05_NothingOpensWithoutTheExternalKey(t *testing.T) {
	w := newWorld(t)
	store := w.newStore("first")
	w.connect(store)
	one, two := w.newExternalKey(store, "one")["KeyId"].(string), w.newExternalKey(store, "two")["KeyId"].(string)
	blob := w.encrypt(admin, one, `{"a":"b"}`)

	var seen []byte
	w.proxies.set(func() { w.proxies.tampers = func(inner []byte) { seen = append([]byte(nil), inner...) } })
	w.must(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`","EncryptionContext":{"a":"b"}}`)
	w.proxies.set(func() { w.proxies.tampers = nil })
	if r := w.call(admin, "Decrypt", `{"KeyId":"`+one+`","CiphertextBlob":"`+base64.StdEncoding.EncodeToString(seen)+`","EncryptionContext":{"a":"b"}}`); r.code != "InvalidCiphertextException" {
		t.Errorf("what the proxy saw: %s", r.code)
	}
	if r := w.call(admin, "Decrypt", `{"KeyId":"`+two+`","CiphertextBlob":"`+blob+`","EncryptionContext":{"a":"b"}}`); r.code != "IncorrectKeyException" {
		t.Errorf("another key: %s", r.code)
	}
	if r := w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`","EncryptionContext":{"a":"c"}}`); r.code != "KMSInvalidStateException" {
		t.Errorf("another context: %s", r.code)
	}
	w.proxies.set(func() { w.proxies.tampers = func(inner []byte) { inner[len(inner)-1] ^= 1 } })
	if r := w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`","EncryptionContext":{"a":"b"}}`); r.code != "KMSInvalidStateException" {
		t.Errorf("a proxy that lies: %s", r.code)
	}
	w.proxies.set(func() { w.proxies.tampers = func(inner []byte) { inner[0] = 9 } })
	if r := w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`","EncryptionContext":{"a":"b"}}`); r.code != "KMSInvalidStateException" {
		t.Errorf("a proxy that lies more: %s", r.code)
	}
}

func TestExternalKeyStates(t *testing.T) {
	w := newWorld(t)
	store := w.newStore("first")
	w.connect(store)
	m := w.newExternalKey(store, "one")
	key, arn := m["KeyId"].(string), m["Arn"].(string)
	blob := w.encrypt(admin, key, "{}")
	state := func() any {
		return w.must(admin, "DescribeKey", `{"KeyId":"`+key+`"}`)["KeyMetadata"].(map[string]any)["KeyState"]
	}
	use := func() result { return w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`) }

	w.must(admin, "DisconnectCustomKeyStore", onStore(store))
	if s := state(); s != "Unavailable" {
		t.Errorf("state %v while the store is disconnected", s)
	}
	w.refused(use(), "KMSInvalidStateException", arn+" is unavailable.")
	for _, operation := range []string{"DisableKey", "EnableKey"} { // acts when the store is back
		w.must(admin, operation, `{"KeyId":"`+key+`"}`)
	}
	w.must(admin, "TagResource", `{"KeyId":"`+key+`","Tags":[{"TagKey":"a","TagValue":"b"}]}`)
	w.connect(store)
	if s := state(); s != "Enabled" {
		t.Errorf("state %v after the store is connected again", s)
	}

	w.proxies.set(func() { w.proxies.fails = keystore.Fail(keystore.Unreachable, nil) })
	if r := use(); r.code != "KMSInvalidStateException" || r.status != 400 {
		t.Errorf("the proxy is down: %s", r.code)
	}
	if s := state(); s != "Enabled" {
		t.Errorf("state %v while the proxy is down", s)
	}
	w.proxies.set(func() { w.proxies.fails = nil })
	if r := use(); r.status != 200 {
		t.Errorf("the proxy is up again: %s", r.code)
	}

	for kind, text := range map[keystore.Kind]string{
		keystore.NoKey:    "The external key store proxy rejected the request because it could not find the external key.",
		keystore.BadUsage: "The external key store proxy rejected the request because the external key does not support the requested operation.",
		keystore.Disabled: "The external key store proxy rejected the request because the external key is not enabled in the external key manager.",
		keystore.Denied:   "The external key store proxy denied access to the operation. Verify that the user and the external key are both authorized for this operation, and try the request again.",
	} {
		w.proxies.set(func() { w.proxies.fails = keystore.Fail(kind, nil) })
		w.refused(use(), "KMSInvalidStateException", text)
	}
	w.proxies.set(func() { w.proxies.fails = nil })

	w.must(admin, "ScheduleKeyDeletion", `{"KeyId":"`+key+`","PendingWindowInDays":7}`)
	w.must(admin, "DisconnectCustomKeyStore", onStore(store))
	if s := state(); s != "PendingDeletion" {
		t.Errorf("state %v", s)
	}
	if r := w.call(admin, "DeleteCustomKeyStore", onStore(store)); r.code != "CustomKeyStoreHasCMKsException" {
		t.Errorf("a store with a key that is pending deletion: %s", r.code)
	}
	w.pass(8 * 24 * time.Hour)
	w.sweep()
	w.must(admin, "DeleteCustomKeyStore", onStore(store))
}

func TestExternalKeyMustBeUsable(t *testing.T) {
	w := newWorld(t)
	store := w.newStore("first")
	w.connect(store)
	if r := w.call(admin, "CreateKey", newExternalBody(store, "none")); r.code != "XksKeyNotFoundException" {
		t.Errorf("an external key that is not there: %s", r.code)
	}
	for name, alter := range map[string]func(*keystore.ExternalKey){
		"spec":   func(k *keystore.ExternalKey) { k.Spec = "AES_128" },
		"usage":  func(k *keystore.ExternalKey) { k.Usage = []string{"ENCRYPT", "SIGN"} },
		"status": func(k *keystore.ExternalKey) { k.Status = "DISABLED" },
	} {
		w.proxies.set(func() { w.proxies.add("odd"); alter(&w.proxies.keys["odd"].ExternalKey) })
		if r := w.call(admin, "CreateKey", newExternalBody(store, "odd")); r.code != "XksKeyInvalidConfigurationException" {
			t.Errorf("%s: %s", name, r.code)
		}
	}
	// Nothing of what failed holds on to the external key.
	w.proxies.set(func() { w.proxies.add("odd") })
	w.newExternalKey(store, "odd")
}

// Stores and keys are in the store, sealed: a new process finds them, and no secret lies open.
func TestKeyStoresAreKept(t *testing.T) {
	w := newWorld(t)
	store := w.newStore("first")
	w.connect(store)
	m := w.newExternalKey(store, "one")
	blob := w.encrypt(admin, m["KeyId"].(string), "{}")
	var found int
	for _, prefix := range []string{"keystores/", "external/", "key/"} {
		recs, err := w.store.List(t.Context(), prefix, "", 100, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range recs {
			found++
			if strings.Contains(string(rec.Value), storeSecret) || strings.Contains(string(rec.Value), "xks.example.com") {
				t.Errorf("%s is not sealed", rec.Path)
			}
		}
	}
	if found != 3 {
		t.Errorf("%d records, want 3", found)
	}
	w.restart()
	if got := w.must(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`)["Plaintext"]; got != "Q0FOQVJZLXBsYWludGV4dA==" {
		t.Errorf("decrypted %v", got)
	}
	text, err := json.Marshal(w.describeStore(store))
	if err != nil || strings.Contains(string(text), storeSecret) {
		t.Errorf("described as %s (%v)", text, err)
	}
}

// Of many who want the same external key at once, one gets it.
func TestExternalKeyRace(t *testing.T) {
	w := newWorld(t)
	store := w.newStore("first")
	w.connect(store)
	var made, taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			switch r := w.call(admin, "CreateKey", newExternalBody(store, "one")); r.code {
			case "":
				made.Add(1)
			case "XksKeyAlreadyInUseException":
				taken.Add(1)
			default:
				t.Errorf("%s %s", r.code, r.message)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 || taken.Load() != 7 {
		t.Errorf("%d keys were made, and %d refused", made.Load(), taken.Load())
	}
}

// However a store's end and a new key in it race, there is no key without its store.
func TestExternalKeyAndDeletedStoreRace(t *testing.T) {
	w := newWorld(t)
	for round := range 20 {
		store := w.newStore(fmt.Sprintf("store%d", round))
		w.connect(store)
		w.proxies.set(func() { w.proxies.add(fmt.Sprintf("key%d", round)) })
		var all sync.WaitGroup
		var made, deleted result
		all.Go(func() { made = w.call(admin, "CreateKey", newExternalBody(store, fmt.Sprintf("key%d", round))) })
		all.Go(func() {
			w.call(admin, "DisconnectCustomKeyStore", onStore(store))
			deleted = w.call(admin, "DeleteCustomKeyStore", onStore(store))
		})
		all.Wait()
		if (made.status == 200) == (deleted.status == 200) {
			t.Fatalf("round %d: a key was made (%d %s), and its store deleted (%d %s)", round, made.status, made.code, deleted.status, deleted.code)
		}
		if deleted.status == 200 {
			continue
		}
		w.must(admin, "ScheduleKeyDeletion", `{"KeyId":"`+made.body["KeyMetadata"].(map[string]any)["KeyId"].(string)+`","PendingWindowInDays":7}`)
		w.pass(8 * 24 * time.Hour)
		w.sweep()
		w.must(admin, "DeleteCustomKeyStore", onStore(store))
	}
}

// A key in a custom key store has one material for good. That there were no rotations may be read.
func TestExternalKeyIsNotRotatedNorImported(t *testing.T) {
	w := newWorld(t)
	store := w.newStore("first")
	w.connect(store)
	key := w.newExternalKey(store, "one")["KeyId"].(string)
	for _, connected := range []bool{true, false} {
		if !connected {
			w.must(admin, "DisconnectCustomKeyStore", onStore(store))
		}
		for operation, more := range map[string]string{
			"EnableKeyRotation": "", "DisableKeyRotation": "", "GetKeyRotationStatus": "", "RotateKeyOnDemand": "",
			"GetParametersForImport": `,"WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"`, "DeleteImportedKeyMaterial": "",
			"ReplicateKey": `,"ReplicaRegion":"eu-west-1"`,
		} {
			r := w.call(admin, operation, `{"KeyId":"`+key+`"`+more+`}`)
			if r.code != "UnsupportedOperationException" {
				t.Errorf("%s, connected %v: %d %s %s", operation, connected, r.status, r.code, r.message)
			}
		}
	}
}
