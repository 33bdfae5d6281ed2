package api_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/secret"
)

// checkMember checks what of one member may go to the audit log.
func checkMember(t *testing.T, op *api.Operation, in api.Input, m api.Member) {
	t.Helper()
	text, ok := in.AppendMember([]byte("x"), m.Name)
	switch {
	case text[0] != 'x':
		t.Fatalf("%s.%s: AppendMember lost what was there", op.Name, m.Name)
	case ok && m.Sensitive:
		t.Fatalf("%s.%s is sensitive and was appended", op.Name, m.Name)
	case ok != (in.Has(m.Name) && !m.Sensitive):
		t.Fatalf("%s.%s: AppendMember says %v", op.Name, m.Name, ok)
	case ok && !jsontext.Value(text[1:]).IsValid():
		t.Fatalf("%s.%s: %s is not JSON", op.Name, m.Name, text[1:])
	case !ok && len(text) != 1:
		t.Fatalf("%s.%s: appended without saying so", op.Name, m.Name)
	}
}

var all = []string{
	"CancelKeyDeletion", "ConnectCustomKeyStore", "CreateAlias", "CreateCustomKeyStore", "CreateGrant", "CreateKey",
	"Decapsulate", "Decrypt", "DeleteAlias", "DeleteCustomKeyStore", "DeleteImportedKeyMaterial", "DeriveSharedSecret",
	"DescribeCustomKeyStores", "DescribeKey", "DisableKey", "DisableKeyRotation", "DisconnectCustomKeyStore",
	"EnableKey", "EnableKeyRotation", "Encapsulate", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair",
	"GenerateDataKeyPairWithoutPlaintext", "GenerateDataKeyWithoutPlaintext", "GenerateMac", "GenerateRandom",
	"GetKeyLastUsage", "GetKeyPolicy", "GetKeyRotationStatus", "GetParametersForImport", "GetPublicKey",
	"ImportKeyMaterial", "ListAliases", "ListGrants", "ListKeyPolicies", "ListKeyRotations", "ListKeys",
	"ListResourceTags", "ListRetirableGrants", "PutKeyPolicy", "ReEncrypt", "ReplicateKey", "RetireGrant",
	"RevokeGrant", "RotateKeyOnDemand", "ScheduleKeyDeletion", "Sign", "TagResource", "UntagResource", "UpdateAlias",
	"UpdateCustomKeyStore", "UpdateKeyDescription", "UpdatePrimaryRegion", "Verify", "VerifyMac",
}

func TestAllOperationsAreThere(t *testing.T) {
	if len(all) != 56 || len(api.Operations()) != len(all) {
		t.Fatalf("%d operations, want 56", len(api.Operations()))
	}
	for _, name := range all {
		op, ok := api.Lookup(name)
		if !ok || op.Name != name || op.New() == nil || !op.May(fault.Internal) {
			t.Errorf("Lookup(%s) = %+v, %v", name, op, ok)
			continue
		}
		in := op.New()
		if (in.Validate() == nil) != !requires(op) {
			t.Errorf("%s: an empty input and the required members do not agree", name)
		}
		holds(t, op, in)
	}
	for _, name := range []string{"", "encrypt", "Encrypt ", "TrentService.Encrypt"} {
		if _, ok := api.Lookup(name); ok {
			t.Errorf("Lookup(%q) finds something", name)
		}
	}
}

func requires(op *api.Operation) bool {
	for _, m := range op.Members {
		if m.Required {
			return true
		}
	}
	return false
}

// holds compares the flags of an operation with the interfaces of its input.
func holds(t *testing.T, op *api.Operation, in api.Input) {
	t.Helper()
	_, dry := in.(api.DryRunner)
	_, tokens := in.(api.GrantTokenHolder)
	_, recipient := in.(api.RecipientHolder)
	if dry != op.DryRun || tokens != op.GrantTokens || recipient != op.Recipient {
		t.Errorf("%s: flags and interfaces differ", op.Name)
	}
}

func TestAccessors(t *testing.T) {
	in := input(t, "GenerateDataKey", `{"DryRun":true,"GrantTokens":["a"],"Recipient":{"AttestationDocument":"AQ=="}}`)
	if !in.(api.DryRunner).DryRunMember() || in.(api.GrantTokenHolder).GrantTokenMembers()[0] != "a" ||
		in.(api.RecipientHolder).RecipientMember().AttestationDocument[0] != 1 {
		t.Errorf("accessors of %+v", in)
	}
	if input(t, "Decrypt", `{}`).(api.RecipientHolder).RecipientMember() != nil {
		t.Error("an absent recipient is there")
	}
}

func TestOutputKinds(t *testing.T) {
	for name, want := range map[string]api.OutputKind{
		"CreateAlias": api.NoOutput, "TagResource": api.NoOutput, "RetireGrant": api.NoOutput,
		"ConnectCustomKeyStore": api.EmptyOutput, "UpdateCustomKeyStore": api.EmptyOutput,
		"Encrypt": api.StructOutput, "ListRetirableGrants": api.StructOutput,
	} {
		if op, _ := api.Lookup(name); op.Output != want {
			t.Errorf("%s answers with kind %d", name, op.Output)
		}
	}
}

func TestErrorsOfAnOperation(t *testing.T) {
	op, _ := api.Lookup("Encrypt")
	for code, want := range map[fault.Code]bool{
		api.NotFoundException: true, api.DisabledException: true, api.AccessDeniedException: true,
		api.ValidationException: true, api.KMSInternalException: true,
		api.InvalidCiphertextException: false, api.TagException: false, "Nonsense": false,
	} {
		if op.May(code) != want {
			t.Errorf("May(%s) = %v", code, !want)
		}
	}
}

func TestStatus(t *testing.T) {
	for code, want := range map[fault.Code]int{
		api.DependencyTimeoutException: 500, api.KeyUnavailableException: 500, fault.Internal: 500,
		api.NotFoundException: 400, api.AccessDeniedException: 400, api.ThrottlingException: 400,
	} {
		if api.Status(code) != want {
			t.Errorf("Status(%s) = %d", code, api.Status(code))
		}
	}
}

func TestSensitiveMembersAreNeverAppended(t *testing.T) {
	for operation, body := range map[string]string{
		"Encrypt":              `{"Plaintext":"AA=="}`,
		"Sign":                 `{"Message":"AA=="}`,
		"VerifyMac":            `{"Message":"AA=="}`,
		"CreateCustomKeyStore": `{"KeyStorePassword":"password","XksProxyAuthenticationCredential":{"AccessKeyId":"a"}}`,
	} {
		in := input(t, operation, body)
		for _, member := range []string{"Plaintext", "Message", "KeyStorePassword", "XksProxyAuthenticationCredential"} {
			if text, ok := in.AppendMember(nil, member); ok || len(text) > 0 {
				t.Errorf("%s.%s: %s", operation, member, text)
			}
		}
	}
}

func TestAppendMember(t *testing.T) {
	in := input(t, "CreateGrant", `{"KeyId":"a\"b","Operations":["Decrypt"],"DryRun":false,
		"Constraints":{"EncryptionContextEquals":{"z":"1","a":"2"}}}`)
	for member, want := range map[string]string{
		"KeyId": `"a\"b"`, "Operations": `["Decrypt"]`, "DryRun": `false`,
		"Constraints": `{"EncryptionContextEquals":{"a":"2","z":"1"}}`,
		"Name":        "", "Nonsense": "",
	} {
		if text, ok := in.AppendMember(nil, member); string(text) != want || ok != (want != "") {
			t.Errorf("%s: %s %v, want %s", member, text, ok, want)
		}
	}
}

func TestSecretOutputsAreMarked(t *testing.T) {
	for operation, member := range map[string]string{
		"Decrypt": "Plaintext", "GenerateDataKey": "Plaintext", "GenerateDataKeyPair": "PrivateKeyPlaintext",
		"GenerateRandom": "Plaintext", "DeriveSharedSecret": "SharedSecret",
		"Encapsulate": "SharedSecret", "Decapsulate": "SharedSecret",
	} {
		op, _ := api.Lookup(operation)
		for _, m := range op.OutputMembers {
			if m.Sensitive != (m.Name == member) {
				t.Errorf("%s.%s: Sensitive = %v", operation, m.Name, m.Sensitive)
			}
		}
	}
}

func TestAppendJSON(t *testing.T) {
	created := time.UnixMilli(1571767572317)
	tests := []struct {
		name string
		out  api.JSONOutput
		want string
	}{
		{"empty", &api.ConnectCustomKeyStoreOutput{}, `{}`},
		{"absent members", &api.DecryptOutput{}, `{}`},
		{"blobs and secrets", &api.GenerateDataKeyOutput{
			CiphertextBlob: []byte{1}, Plaintext: secret.New([]byte("hi")), KeyId: "k",
		}, `{"CiphertextBlob":"AQ==","Plaintext":"aGk=","KeyId":"k"}`},
		{"secret string is not base64", &api.DescribeCustomKeyStoresOutput{CustomKeyStores: []api.CustomKeyStoresListEntry{
			{XksProxyConfiguration: &api.XksProxyConfiguration{AccessKeyId: secret.New([]byte("ABC"))}},
		}}, `{"CustomKeyStores":[{"XksProxyConfiguration":{"AccessKeyId":"ABC"}}],"Truncated":false}`},
		{"last page", &api.ListRetirableGrantsOutput{}, `{"Grants":[],"Truncated":false}`},
		{"more to come", &api.ListKeysOutput{
			Keys: []api.KeyListEntry{{KeyId: "a", KeyArn: "b"}, {KeyId: "c"}}, NextMarker: "m", Truncated: true,
		}, `{"Keys":[{"KeyId":"a","KeyArn":"b"},{"KeyId":"c"}],"NextMarker":"m","Truncated":true}`},
		{"no tags", &api.ListResourceTagsOutput{}, `{"Tags":[],"Truncated":false}`},
		{"empty tag value", &api.ListResourceTagsOutput{Tags: []api.Tag{{TagKey: "k"}}},
			`{"Tags":[{"TagKey":"k","TagValue":""}],"Truncated":false}`},
		{"nameless grant", &api.ListGrantsOutput{Grants: []api.GrantListEntry{{
			GrantId: "g", Operations: []api.GrantOperation{api.GrantOperationDecrypt},
			Constraints: &api.GrantConstraints{EncryptionContextSubset: map[string]string{}},
		}}}, `{"Grants":[{"GrantId":"g","Name":"","Operations":["Decrypt"],` +
			`"Constraints":{"EncryptionContextSubset":{}}}],"Truncated":false}`},
		{"key metadata", &api.DescribeKeyOutput{KeyMetadata: &api.KeyMetadata{KeyId: "k", CreationDate: created}},
			`{"KeyMetadata":{"KeyId":"k","CreationDate":1571767572.317,"Enabled":false,"Description":"","MultiRegion":false}}`},
		{"rotation off", &api.GetKeyRotationStatusOutput{KeyId: "k"}, `{"KeyRotationEnabled":false,"KeyId":"k"}`},
		{"rotation on", &api.GetKeyRotationStatusOutput{KeyRotationEnabled: true, KeyId: "k", RotationPeriodInDays: 365},
			`{"KeyRotationEnabled":true,"KeyId":"k","RotationPeriodInDays":365}`},
		{"verdict", &api.VerifyOutput{}, `{"SignatureValid":false}`},
		{"escapes", &api.GetKeyPolicyOutput{Policy: "{\"a\":\n\"é\\\"}", PolicyName: "default"},
			`{"Policy":"{\"a\":\n\"é\\\"}","PolicyName":"default"}`},
	}
	for _, test := range tests {
		got := test.out.AppendJSON([]byte("before"))
		if string(got) != "before"+test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestAppendedTimestamps(t *testing.T) {
	for ms, want := range map[int64]string{
		1571767572317: "1571767572.317", 1571767572310: "1571767572.31", 1571767572007: "1571767572.007",
		1571767572000: "1571767572", 0: "0", -1500: "-1.5", -1: "-0.001",
	} {
		got := (&api.KeyLastUsageData{Timestamp: time.UnixMilli(ms)}).AppendJSON(nil)
		if string(got) != `{"Timestamp":`+want+`}` {
			t.Errorf("%d: %s, want %s", ms, got, want)
		}
	}
}
