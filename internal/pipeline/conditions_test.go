package pipeline_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"trent/internal/action"
	"trent/internal/iam"
	"trent/internal/pipeline"
)

// conditionRow is a line of testdata/conditions.txt.
type conditionRow struct {
	resource string
	keys     []string
}

// keysOfKeys are those that every decision about a key has on top.
var keysOfKeys = []string{
	"aws:ResourceTag/t", "kms:KeyOrigin", "kms:KeySpec", "kms:KeyUsage", "kms:MultiRegion", "kms:MultiRegionKeyType", "kms:ResourceAliases",
	"kms:CustomerMasterKeySpec", "kms:CustomerMasterKeyUsage",
}

// neverSupplied are keys that the published table lists and that have no value
// here, each with the reason.
var neverSupplied = map[string]string{
	"kms:ViaService": "no service of AWS calls on behalf of anybody",
}

func conditionRows(t *testing.T) map[string]conditionRow {
	text, err := os.ReadFile("../../testdata/conditions.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]conditionRow)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] != "#" {
			rows[f[0]] = conditionRow{f[1], f[2:]}
		}
	}
	return rows
}

// conditionWorld has what the requests below name.
type conditionWorld struct {
	*world
	id, blob string
}

func newConditionWorld(t *testing.T) *conditionWorld {
	w := &conditionWorld{world: newPopulated(t)}
	w.id, _ = w.newKey(admin)
	w.must(admin, "TagResource", `{"KeyId":"`+w.id+`","Tags":[{"TagKey":"t","TagValue":"v"}]}`)
	w.must(admin, "CreateAlias", `{"AliasName":"alias/cond","TargetKeyId":"`+w.id+`"}`)
	w.blob = w.encrypt(admin, w.id, `{"k":"v"}`)
	return w
}

// newGrant makes a grant with everything that a grant can have.
func (w *conditionWorld) newGrant() string {
	return w.must(admin, "CreateGrant", `{"KeyId":"`+w.id+`","GranteePrincipal":"arn:aws:iam::111122223333:user/bob","Operations":["Decrypt"],"Constraints":{"EncryptionContextSubset":{"k":"v"}}}`)["GrantId"].(string)
}

// requests are one of each permission, with every member that a condition key is
// about. Some are refused later on the road: what counts is the decision.
var requests = map[string]func(w *conditionWorld) (operation, body string){
	"kms:CancelKeyDeletion": func(w *conditionWorld) (string, string) { return "CancelKeyDeletion", `{"KeyId":"` + w.id + `"}` },
	"kms:CreateAlias": func(w *conditionWorld) (string, string) {
		w.call(admin, "DeleteAlias", `{"AliasName":"alias/new"}`)
		return "CreateAlias", `{"AliasName":"alias/new","TargetKeyId":"` + w.id + `"}`
	},
	"kms:CreateGrant": func(w *conditionWorld) (string, string) {
		return "CreateGrant", `{"KeyId":"` + w.id + `","GranteePrincipal":"arn:aws:iam::111122223333:user/bob","RetiringPrincipal":"arn:aws:iam::111122223333:user/carol",
			"GranteeServicePrincipal":"s3.amazonaws.com","RetiringServicePrincipal":"s3.amazonaws.com","Operations":["Decrypt"],
			"Constraints":{"EncryptionContextSubset":{"k":"v"},"SourceArn":"arn:aws:s3:us-east-1:111122223333:bucket"}}`
	},
	"kms:CreateKey": func(*conditionWorld) (string, string) {
		return "CreateKey", `{"Tags":[{"TagKey":"t","TagValue":"v"}],"BypassPolicyLockoutSafetyCheck":false,"MultiRegion":true}`
	},
	"kms:Decrypt": func(w *conditionWorld) (string, string) {
		return "Decrypt", `{"KeyId":"alias/cond","CiphertextBlob":"` + w.blob + `","EncryptionContext":{"k":"v"},"Recipient":` + w.recipient() + `}`
	},
	"kms:DeleteAlias": func(w *conditionWorld) (string, string) {
		w.call(admin, "CreateAlias", `{"AliasName":"alias/old","TargetKeyId":"`+w.id+`"}`)
		return "DeleteAlias", `{"AliasName":"alias/old"}`
	},
	"kms:DescribeKey": func(*conditionWorld) (string, string) { return "DescribeKey", `{"KeyId":"alias/cond"}` },
	"kms:DisableKey":  func(w *conditionWorld) (string, string) { return "DisableKey", `{"KeyId":"` + w.id + `"}` },
	"kms:EnableKey":   func(w *conditionWorld) (string, string) { return "EnableKey", `{"KeyId":"` + w.id + `"}` },
	"kms:EnableKeyRotation": func(w *conditionWorld) (string, string) {
		return "EnableKeyRotation", `{"KeyId":"` + w.id + `","RotationPeriodInDays":90}`
	},
	"kms:DisableKeyRotation":   func(w *conditionWorld) (string, string) { return "DisableKeyRotation", `{"KeyId":"` + w.id + `"}` },
	"kms:GetKeyRotationStatus": func(w *conditionWorld) (string, string) { return "GetKeyRotationStatus", `{"KeyId":"` + w.id + `"}` },
	"kms:RotateKeyOnDemand":    func(w *conditionWorld) (string, string) { return "RotateKeyOnDemand", `{"KeyId":"` + w.id + `"}` },
	"kms:ListKeyRotations":     func(w *conditionWorld) (string, string) { return "ListKeyRotations", `{"KeyId":"` + w.id + `"}` },
	"kms:GetParametersForImport": func(w *conditionWorld) (string, string) {
		return "GetParametersForImport", `{"KeyId":"` + w.id + `","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`
	},
	"kms:ImportKeyMaterial": func(w *conditionWorld) (string, string) {
		return "ImportKeyMaterial", `{"KeyId":"` + w.id + `","ImportToken":"YQ==","EncryptedKeyMaterial":"YQ==","ExpirationModel":"KEY_MATERIAL_EXPIRES","ValidTo":1800000000}`
	},
	"kms:DeleteImportedKeyMaterial": func(w *conditionWorld) (string, string) {
		return "DeleteImportedKeyMaterial", `{"KeyId":"` + w.id + `"}`
	},
	"kms:Encrypt": func(*conditionWorld) (string, string) {
		return "Encrypt", `{"KeyId":"alias/cond","Plaintext":"YQ==","EncryptionContext":{"k":"v"}}`
	},
	"kms:GenerateDataKey": func(w *conditionWorld) (string, string) {
		return "GenerateDataKey", `{"KeyId":"alias/cond","KeySpec":"AES_256","EncryptionContext":{"k":"v"},"Recipient":` + w.recipient() + `}`
	},
	"kms:GenerateDataKeyWithoutPlaintext": func(*conditionWorld) (string, string) {
		return "GenerateDataKeyWithoutPlaintext", `{"KeyId":"alias/cond","KeySpec":"AES_256","EncryptionContext":{"k":"v"}}`
	},
	"kms:GenerateDataKeyPair": func(w *conditionWorld) (string, string) {
		return "GenerateDataKeyPair", `{"KeyId":"alias/cond","KeyPairSpec":"ECC_NIST_P256","EncryptionContext":{"k":"v"},"Recipient":` + w.recipient() + `}`
	},
	"kms:GenerateDataKeyPairWithoutPlaintext": func(*conditionWorld) (string, string) {
		return "GenerateDataKeyPairWithoutPlaintext", `{"KeyId":"alias/cond","KeyPairSpec":"ECC_NIST_P256","EncryptionContext":{"k":"v"}}`
	},
	"kms:Sign": func(*conditionWorld) (string, string) {
		return "Sign", `{"KeyId":"alias/cond","Message":"YQ==","MessageType":"RAW","SigningAlgorithm":"ECDSA_SHA_256"}`
	},
	"kms:Verify": func(*conditionWorld) (string, string) {
		return "Verify", `{"KeyId":"alias/cond","Message":"YQ==","Signature":"YQ==","SigningAlgorithm":"ECDSA_SHA_256"}`
	},
	"kms:GetPublicKey": func(*conditionWorld) (string, string) { return "GetPublicKey", `{"KeyId":"alias/cond"}` },
	"kms:GenerateMac": func(*conditionWorld) (string, string) {
		return "GenerateMac", `{"KeyId":"alias/cond","Message":"YQ==","MacAlgorithm":"HMAC_SHA_256"}`
	},
	"kms:VerifyMac": func(*conditionWorld) (string, string) {
		return "VerifyMac", `{"KeyId":"alias/cond","Message":"YQ==","Mac":"YQ==","MacAlgorithm":"HMAC_SHA_256"}`
	},
	"kms:DeriveSharedSecret": func(w *conditionWorld) (string, string) {
		return "DeriveSharedSecret", `{"KeyId":"alias/cond","KeyAgreementAlgorithm":"ECDH","PublicKey":"YQ==","Recipient":` + w.recipient() + `}`
	},
	"kms:Encapsulate": func(*conditionWorld) (string, string) {
		return "Encapsulate", `{"KeyId":"alias/cond","EncapsulationAlgorithm":"ML_KEM"}`
	},
	"kms:Decapsulate": func(*conditionWorld) (string, string) {
		return "Decapsulate", `{"KeyId":"alias/cond","EncapsulationAlgorithm":"ML_KEM","SharedSecretCiphertextBlob":"YQ=="}`
	},
	"kms:GenerateRandom": func(w *conditionWorld) (string, string) {
		return "GenerateRandom", `{"NumberOfBytes":1,"Recipient":` + w.recipient() + `}`
	},
	"kms:CreateCustomKeyStore": func(*conditionWorld) (string, string) {
		return "CreateCustomKeyStore", newStoreBody("cond", "/cond/kms/xks/v1")
	},
	"kms:UpdateCustomKeyStore":     func(*conditionWorld) (string, string) { return "UpdateCustomKeyStore", onStore("cks-0") },
	"kms:DeleteCustomKeyStore":     func(*conditionWorld) (string, string) { return "DeleteCustomKeyStore", onStore("cks-0") },
	"kms:ConnectCustomKeyStore":    func(*conditionWorld) (string, string) { return "ConnectCustomKeyStore", onStore("cks-0") },
	"kms:DisconnectCustomKeyStore": func(*conditionWorld) (string, string) { return "DisconnectCustomKeyStore", onStore("cks-0") },
	"kms:DescribeCustomKeyStores":  func(*conditionWorld) (string, string) { return "DescribeCustomKeyStores", `{}` },
	"kms:GetKeyLastUsage":          func(w *conditionWorld) (string, string) { return "GetKeyLastUsage", `{"KeyId":"` + w.id + `"}` },
	"kms:GetKeyPolicy":             func(w *conditionWorld) (string, string) { return "GetKeyPolicy", `{"KeyId":"` + w.id + `"}` },
	"kms:ListAliases":              func(*conditionWorld) (string, string) { return "ListAliases", `{}` },
	"kms:ListGrants":               func(w *conditionWorld) (string, string) { return "ListGrants", `{"KeyId":"` + w.id + `"}` },
	"kms:ListKeyPolicies":          func(w *conditionWorld) (string, string) { return "ListKeyPolicies", `{"KeyId":"` + w.id + `"}` },
	"kms:ListKeys":                 func(*conditionWorld) (string, string) { return "ListKeys", `{}` },
	"kms:ListResourceTags":         func(w *conditionWorld) (string, string) { return "ListResourceTags", `{"KeyId":"` + w.id + `"}` },
	"kms:ListRetirableGrants": func(*conditionWorld) (string, string) {
		return "ListRetirableGrants", `{"RetiringPrincipal":"arn:aws:iam::111122223333:user/carol"}`
	},
	"kms:PutKeyPolicy": func(w *conditionWorld) (string, string) {
		return "PutKeyPolicy", `{"KeyId":"` + w.id + `","BypassPolicyLockoutSafetyCheck":true,"Policy":"nonsense"}`
	},
	"kms:ReEncryptFrom": reEncryptRequest,
	"kms:ReEncryptTo":   reEncryptRequest,
	"kms:ReplicateKey": func(w *conditionWorld) (string, string) {
		return "ReplicateKey", `{"KeyId":"` + w.id + `","ReplicaRegion":"eu-west-2"}`
	},
	"kms:UpdatePrimaryRegion": func(w *conditionWorld) (string, string) {
		return "UpdatePrimaryRegion", `{"KeyId":"` + w.id + `","PrimaryRegion":"eu-west-2"}`
	},
	"kms:RetireGrant": func(w *conditionWorld) (string, string) {
		return "RetireGrant", `{"KeyId":"` + w.id + `","GrantId":"` + w.newGrant() + `"}`
	},
	"kms:RevokeGrant": func(w *conditionWorld) (string, string) {
		return "RevokeGrant", `{"KeyId":"` + w.id + `","GrantId":"` + w.newGrant() + `"}`
	},
	"kms:ScheduleKeyDeletion": func(w *conditionWorld) (string, string) {
		w.call(admin, "CancelKeyDeletion", `{"KeyId":"`+w.id+`"}`)
		return "ScheduleKeyDeletion", `{"KeyId":"` + w.id + `","PendingWindowInDays":7}`
	},
	"kms:TagResource": func(w *conditionWorld) (string, string) {
		return "TagResource", `{"KeyId":"` + w.id + `","Tags":[{"TagKey":"t","TagValue":"v"}]}`
	},
	"kms:UntagResource": func(w *conditionWorld) (string, string) {
		return "UntagResource", `{"KeyId":"` + w.id + `","TagKeys":["other"]}`
	},
	"kms:UpdateAlias": func(w *conditionWorld) (string, string) {
		return "UpdateAlias", `{"AliasName":"alias/cond","TargetKeyId":"` + w.id + `"}`
	},
	"kms:UpdateKeyDescription": func(w *conditionWorld) (string, string) {
		return "UpdateKeyDescription", `{"KeyId":"` + w.id + `","Description":"d"}`
	},
}

func reEncryptRequest(w *conditionWorld) (operation, body string) {
	return "ReEncrypt", `{"SourceKeyId":"alias/cond","DestinationKeyId":"alias/cond","CiphertextBlob":"` + w.blob + `","SourceEncryptionContext":{"k":"v"},"DestinationEncryptionContext":{"k":"v"}}`
}

// Each condition key is there where the published table says so, and absent where
// it does not: a policy that wants it present allows exactly the permissions that have it.
func TestConditionKeys(t *testing.T) {
	rows := conditionRows(t)
	universe := make(map[string]bool)
	for _, row := range rows {
		for _, k := range row.keys {
			universe[k] = true
		}
	}
	for _, k := range keysOfKeys {
		universe[k] = true
	}
	for _, permit := range permissions() {
		row, known := rows[permit]
		request := requests[permit]
		if !known || request == nil {
			t.Errorf("%s: in conditions.txt %v, request %v", permit, known, request != nil)
			continue
		}
		w := newConditionWorld(t)
		for _, k := range slices.Sorted(maps.Keys(universe)) {
			for part := range strings.SplitSeq(row.resource, "+") {
				want := slices.Contains(row.keys, k) || part == "key" && slices.Contains(keysOfKeys, k)
				switch {
				case neverSupplied[k] != "":
					want = false
				case part == "key" && k == "kms:MultiRegionKeyType":
					want = false // a single-Region key has none, as in AWS KMS
				case part == "alias" && k == "kms:CallerAccount":
					want = true
				}
				caller := user(account, "asker", mustHave(permit, k, part))
				operation, body := request(w)
				r := w.call(caller, operation, body)
				if r.code == "NotFoundException" || r.code == "SerializationException" {
					t.Fatalf("%s %s: %s %s", operation, body, r.code, r.message)
				}
				if got := r.code != "AccessDeniedException"; got != want {
					t.Errorf("%s on %s: %s present: %v, want %v (%s)", permit, part, k, got, want, r.message)
				}
			}
		}
	}
}

// permissions are all that the table's actions ask for.
func permissions() []string {
	seen := make(map[string]bool)
	for _, e := range action.Table() {
		for _, u := range e.Uses {
			if u.Permit.Name != "" {
				seen[u.Permit.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// mustHave allows everything, but a permission on keys, aliases or the account
// only where a condition key is present.
func mustHave(permit, conditionKey, part string) string {
	resource := map[string]string{"key": "arn:aws:kms:*:*:key/*", "alias": "arn:aws:kms:*:*:alias/*", "*": "*"}[part]
	statements := []map[string]any{
		{"Effect": "Allow", "NotAction": permit, "Resource": "*"},
		{"Effect": "Allow", "Action": permit, "Resource": resource, "Condition": map[string]any{"Null": map[string]string{conditionKey: "false"}}},
	}
	if part != "*" {
		statements = append(statements, map[string]any{"Effect": "Allow", "Action": permit, "NotResource": resource})
	}
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// The values of condition keys are those of the request and of the key.
func TestConditionValues(t *testing.T) {
	w := newConditionWorld(t)
	rotated, _ := w.newKey(admin)
	external, _ := w.external("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	parameters := `{"KeyId":"` + external + `","WrappingAlgorithm":"RSAES_OAEP_SHA_256","WrappingKeySpec":"RSA_2048"}`
	dataKey := `{"KeyId":"alias/cond","KeySpec":"AES_256","EncryptionContext":{"Tenant":"a","table":"orders"}}`
	for _, c := range []struct{ operation, body, condition string }{
		{"GenerateDataKey", dataKey, `{"StringEquals":{"kms:EncryptionContext:tenant":"a"}}`},
		{"GenerateDataKey", dataKey, `{"StringEquals":{"kms:EncryptionContext:TENANT":["x","a"]}}`},
		{"GenerateDataKey", dataKey, `{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["Tenant","table"]}}`},
		{"GenerateDataKey", dataKey, `{"ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":"table"}}`},
		{"GenerateDataKey", dataKey, `{"StringEquals":{"kms:RequestAlias":"alias/cond"}}`},
		{"GenerateDataKey", dataKey, `{"StringEquals":{"kms:EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}}`},
		{"GenerateDataKey", dataKey, `{"StringEquals":{"aws:ResourceTag/t":"v"}}`},
		{"GenerateDataKey", dataKey, `{"StringEquals":{"kms:CallerAccount":"111122223333"}}`},
		{"GenerateDataKey", dataKey, `{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/cond"}}`},
		{"GenerateDataKey", dataKey, `{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT","kms:KeyUsage":"ENCRYPT_DECRYPT","kms:KeyOrigin":"AWS_KMS"},"Bool":{"kms:MultiRegion":"false"}}`},
		{"CreateKey", `{}`, `{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT","kms:KeyUsage":"ENCRYPT_DECRYPT","kms:KeyOrigin":"AWS_KMS"},"Null":{"kms:BypassPolicyLockoutSafetyCheck":"true"}}`},
		{"CreateKey", `{"BypassPolicyLockoutSafetyCheck":false}`, `{"Bool":{"kms:BypassPolicyLockoutSafetyCheck":"false"}}`},
		{"ScheduleKeyDeletion", `{"KeyId":"` + w.id + `"}`, `{"NumericEquals":{"kms:ScheduleKeyDeletionPendingWindowInDays":"30"}}`},
		{"CancelKeyDeletion", `{"KeyId":"` + w.id + `"}`, `{"Bool":{"aws:ViaAWSService":"false"}}`},
		{"GetParametersForImport", parameters, `{"StringEquals":{"kms:WrappingAlgorithm":"RSAES_OAEP_SHA_256","kms:WrappingKeySpec":"RSA_2048","kms:KeyOrigin":"EXTERNAL"}}`},
		{"DeleteImportedKeyMaterial", `{"KeyId":"` + external + `"}`, `{"StringEquals":{"kms:KeyOrigin":"EXTERNAL"}}`},
		{"EnableKeyRotation", `{"KeyId":"` + rotated + `"}`, `{"NumericEquals":{"kms:RotationPeriodInDays":"365"}}`},
		{"EnableKeyRotation", `{"KeyId":"` + rotated + `","RotationPeriodInDays":180}`, `{"NumericEquals":{"kms:RotationPeriodInDays":"180"}}`},
		{"EnableKey", `{"KeyId":"` + w.id + `"}`, `{"StringEquals":{"aws:ResourceAccount":"111122223333"}}`},
		{"ReEncrypt", `{"SourceKeyId":"alias/cond","DestinationKeyId":"` + w.id + `","CiphertextBlob":"` + w.blob + `","SourceEncryptionContext":{"k":"v"}}`, `{"Bool":{"kms:ReEncryptOnSameKey":"true"}}`},
	} {
		asker := user(account, "asker", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":`+c.condition+`}}`)
		if r := w.call(asker, c.operation, c.body); r.status != 200 {
			t.Errorf("%s under %s: %s %s", c.operation, c.condition, r.code, r.message)
		}
		against := user(account, "asker", allow("*"), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:*","Resource":"*","Condition":`+c.condition+`}}`)
		if r := w.call(against, c.operation, c.body); r.code != "AccessDeniedException" {
			t.Errorf("%s against %s: %d %s", c.operation, c.condition, r.status, r.code)
		}
	}
}

// Two pairs of a context whose names differ in case alone cannot be told apart by
// a condition: nothing is allowed by one, and what one denies is denied.
func TestAmbiguousContext(t *testing.T) {
	w := newConditionWorld(t)
	body := `{"KeyId":"alias/cond","KeySpec":"AES_256","EncryptionContext":{"Tenant":"good","tenant":"bad"}}`
	for _, value := range []string{"good", "bad"} {
		condition := `"Condition":{"StringEquals":{"kms:EncryptionContext:Tenant":"` + value + `"}}`
		only := user(account, "asker", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*",`+condition+`}}`)
		if r := w.call(only, "GenerateDataKey", body); r.code != "AccessDeniedException" {
			t.Errorf("allowed by %s", value)
		}
		never := user(account, "asker", allow("*"), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:*","Resource":"*",`+condition+`}}`)
		if r := w.call(never, "GenerateDataKey", body); r.code != "AccessDeniedException" {
			t.Errorf("not denied by %s", value)
		}
	}
}

// TestSEC_B10: key policies do not see the aliases of a key, and nobody sees what
// only a service of AWS could say.
func TestSEC_B10_WhatKeyPoliciesSee(t *testing.T) {
	w := newConditionWorld(t)
	put := func(condition string) result {
		policy, _ := json.Marshal(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},{"Effect":"Allow","Principal":"*","Action":"kms:Encrypt","Resource":"*","Condition":` + condition + `}]}`)
		w.must(admin, "PutKeyPolicy", `{"KeyId":"`+w.id+`","Policy":`+string(policy)+`}`)
		return w.call(nobody, "Encrypt", `{"KeyId":"alias/cond","Plaintext":"YQ=="}`)
	}
	if r := put(`{"StringEquals":{"kms:CallerAccount":"111122223333","kms:RequestAlias":"alias/cond"}}`); r.status != 200 {
		t.Errorf("by the account: %s %s", r.code, r.message)
	}
	for _, condition := range []string{
		`{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/cond"}}`,
		`{"StringLike":{"kms:ViaService":"*"}}`,
		`{"StringLike":{"aws:SourceArn":"*"}}`,
		`{"StringEquals":{"kms:CallerAccount":"444455556666"}}`,
	} {
		if r := put(condition); r.code != "AccessDeniedException" {
			t.Errorf("%s: %d %s", condition, r.status, r.code)
		}
	}
}

// Global keys tell who asks, from where, and when.
func TestGlobalConditionKeys(t *testing.T) {
	w := newPopulated(t)
	issued := w.clock().Add(-time.Minute)
	role := func(policy string) caller {
		c := session(account, "batch", "night", policy)
		p := c.principal
		p.Tags, p.SourceIdentity, p.FederatedProvider, p.TokenIssued = []iam.Tag{{Key: "Team", Value: "red"}}, "dora", "arn:aws:iam::111122223333:oidc-provider/issuer.example", issued
		return c
	}
	alice := func(policy string) caller {
		c := user(account, "alice", policy)
		c.principal.Tags = []iam.Tag{{Key: "Team", Value: "red"}}
		return c
	}
	root := func(policy string) caller {
		c := user(account, "root")
		deny := strings.ReplaceAll(policy, `"Allow"`, `"Deny"`)
		c.principal.Policies = []*iam.Policy{compiled(t, deny)}
		return c
	}
	for _, c := range []struct {
		condition         string
		user, root, batch bool
	}{
		{`{"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:user/alice"}}`, true, false, false},
		{`{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/batch"}}`, false, false, true},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:sts::111122223333:assumed-role/*"}}`, false, false, false},
		{`{"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:root"}}`, false, true, false},
		{`{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}`, true, true, true},
		{`{"StringEquals":{"aws:PrincipalTag/team":"red"}}`, true, false, true},
		{`{"StringEquals":{"aws:PrincipalTag/team":"Red"}}`, false, false, false},
		{`{"StringEquals":{"aws:PrincipalType":"User"}}`, true, false, false},
		{`{"StringEquals":{"aws:PrincipalType":"Account"}}`, false, true, false},
		{`{"StringEquals":{"aws:PrincipalType":"AssumedRole"}}`, false, false, true},
		{`{"StringEquals":{"aws:username":"alice"}}`, true, false, false},
		{`{"Null":{"aws:username":"true"}}`, false, true, true},
		{`{"StringEquals":{"aws:userid":"111122223333"}}`, false, true, false},
		{`{"StringLike":{"aws:userid":"AROA*:night"}}`, false, false, true},
		{`{"StringEquals":{"aws:SourceIdentity":"dora"}}`, false, false, true},
		{`{"StringLike":{"aws:FederatedProvider":"*/issuer.example"}}`, false, false, true},
		{`{"Null":{"aws:TokenIssueTime":"false"}}`, false, false, true},
		{`{"DateLessThan":{"aws:TokenIssueTime":"2026-11-24T12:00:00Z"}}`, false, false, true},
		{`{"DateGreaterThanEquals":{"aws:TokenIssueTime":"2026-11-24T12:00:00Z"}}`, false, false, false},
		{`{"DateEquals":{"aws:CurrentTime":"2026-11-24T12:00:00Z"}}`, true, true, true},
		{`{"NumericEquals":{"aws:EpochTime":"1795521600"}}`, true, true, true},
		{`{"DateLessThan":{"aws:CurrentTime":"2026-11-24T12:00:00Z"}}`, false, false, false},
		{`{"StringEquals":{"aws:RequestedRegion":"us-east-1"}}`, true, true, true},
		{`{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, true, true, true},
		{`{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, false, false, false},
		{`{"Bool":{"aws:SecureTransport":"true"}}`, true, true, true},
		{`{"StringLike":{"aws:UserAgent":"aws-cli/*"}}`, true, true, true},
		{`{"Bool":{"aws:MultiFactorAuthPresent":"false"}}`, false, false, true},
		{`{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}`, true, true, true},
		{`{"Bool":{"aws:PrincipalIsAWSService":"false"}}`, true, true, true},
		{`{"Null":{"aws:PrincipalOrgID":"true"}}`, true, true, true},
	} {
		policy := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*","Condition":` + c.condition + `}}`
		for _, as := range []struct {
			name   string
			caller caller
			want   bool
			deny   bool // root cannot be allowed more, so its policy denies
		}{{"user", alice(policy), c.user, false}, {"root", root(policy), c.root, true}, {"session", role(policy), c.batch, false}} {
			a := w.road.Walk(context.Background(), &pipeline.Request{
				ID: "00000000-0000-4000-8000-000000000000", Received: w.clock(), Target: "TrentService.ListKeys", Body: []byte("{}"), Who: as.caller,
				Source: "203.0.113.7:999", Address: netip.MustParseAddr("203.0.113.7"), Secure: true, UserAgent: "aws-cli/2.0",
			})
			if met := (a.Status == 200) != as.deny; met != as.want {
				t.Errorf("%s %s: %v, want %v", as.name, c.condition, met, as.want)
			}
		}
	}
}

func compiled(t testing.TB, text string) *iam.Policy {
	t.Helper()
	p, err := iam.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
