package pipeline_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"trent/internal/pipeline"
)

func TestDataKeyRoundTrip(t *testing.T) {
	w := newWorld(t)
	id, arn := w.newKey(admin)
	w.must(admin, "CreateAlias", `{"AliasName":"alias/app","TargetKeyId":"`+id+`"}`)
	aliasARN := "arn:aws:kms:us-east-1:111122223333:alias/app"
	for _, name := range []string{id, strings.ToUpper(id), arn, "alias/app", aliasARN} {
		k := w.must(admin, "GenerateDataKey", `{"KeyId":"`+name+`","KeySpec":"AES_256","EncryptionContext":{"a":"b"}}`)
		if k["KeyId"] != arn || len(k["KeyMaterialId"].(string)) != 64 {
			t.Errorf("%s: %v", name, k)
		}
		plain, err := base64.StdEncoding.DecodeString(k["Plaintext"].(string))
		if err != nil || len(plain) != 32 {
			t.Errorf("%s: plaintext of %d bytes", name, len(plain))
		}
		for _, named := range []string{`"KeyId":"` + name + `",`, ""} {
			d := w.must(admin, "Decrypt", `{`+named+`"CiphertextBlob":"`+k["CiphertextBlob"].(string)+`","EncryptionContext":{"a":"b"}}`)
			if d["Plaintext"] != k["Plaintext"] || d["KeyId"] != arn || d["KeyMaterialId"] != k["KeyMaterialId"] || d["EncryptionAlgorithm"] != "SYMMETRIC_DEFAULT" {
				t.Errorf("%s: Decrypt gave %v", name, d)
			}
		}
	}
	for body, n := range map[string]int{`"KeySpec":"AES_128"`: 16, `"NumberOfBytes":1`: 1, `"NumberOfBytes":1024`: 1024} {
		k := w.must(admin, "GenerateDataKey", `{"KeyId":"`+id+`",`+body+`}`)
		if plain, _ := base64.StdEncoding.DecodeString(k["Plaintext"].(string)); len(plain) != n {
			t.Errorf("%s gave %d bytes", body, len(plain))
		}
	}
	k := w.must(admin, "GenerateDataKeyWithoutPlaintext", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`)
	if _, there := k["Plaintext"]; there || k["CiphertextBlob"] == nil {
		t.Errorf("without plaintext: %v", k)
	}
}

// The texts and their order are those of the contract: what the model can say
// first, then which key, then may they, then the rest.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	id, arn := w.newKey(admin)
	disabled, disabledARN := w.newKey(admin)
	w.must(admin, "DisableKey", `{"KeyId":"`+disabled+`"}`)
	w.must(admin, "CreateAlias", `{"AliasName":"alias/app","TargetKeyId":"`+id+`"}`)
	blob := w.encrypt(admin, id, `{"a":"b"}`)
	absent := "1234abcd-12ab-34cd-56ef-1234567890ab"
	tampered := blob[:40] + string(rune('A'+(blob[40]-'A'+1)%25)) + blob[41:]
	for _, c := range []struct {
		who             caller
		operation, body string
		code, message   string
	}{
		{admin, "GenerateDataKey", `{"KeyId":"` + absent + `","KeySpec":"AES_256"}`, "NotFoundException", "Key 'arn:aws:kms:us-east-1:111122223333:key/" + absent + "' does not exist"},
		{admin, "GenerateDataKey", `{"KeyId":"fake","KeySpec":"AES_256"}`, "NotFoundException", "Invalid keyId 'fake'"},
		{admin, "GenerateDataKey", `{"KeyId":"arn:aws:kms:us-east-1:111122223333:key/fake","KeySpec":"AES_256"}`, "NotFoundException", "Invalid keyId fake"},
		{admin, "GenerateDataKey", `{"KeyId":"arn:aws:kms:eu-west-1:111122223333:key/` + id + `","KeySpec":"AES_256"}`, "NotFoundException", "Invalid arn eu-west-1"},
		{admin, "GenerateDataKey", `{"KeyId":"alias/none","KeySpec":"AES_256"}`, "NotFoundException", "Alias arn:aws:kms:us-east-1:111122223333:alias/none is not found."},
		{admin, "GenerateDataKey", `{"KeyId":"` + id + `"}`, "ValidationException", "Please specify either number of bytes or key spec."},
		{admin, "GenerateDataKey", `{"KeyId":"` + disabled + `"}`, "ValidationException", "Please specify either number of bytes or key spec."},
		{admin, "GenerateDataKey", `{"KeyId":"` + id + `","KeySpec":"AES_256","NumberOfBytes":32}`, "ValidationException", "Please specify either number of bytes or key spec."},
		{admin, "GenerateDataKey", `{"KeyId":"` + disabled + `","KeySpec":"AES_256"}`, "DisabledException", disabledARN + " is disabled."},
		{nobody, "GenerateDataKey", `{"KeyId":"` + disabled + `","KeySpec":"AES_256"}`, "AccessDeniedException", "User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: kms:GenerateDataKey on resource: " + disabledARN + " because no identity-based policy allows the kms:GenerateDataKey action"},
		{nobody, "GenerateDataKey", `{"KeyId":"","KeySpec":"AES_256"}`, "ValidationException", `2 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; Value '' at 'keyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^\p{ASCII}+$`},
		{admin, "GenerateDataKey", `{"KeyId":"` + id + `","KeySpec":"AES_256","DryRun":true}`, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
		{nobody, "GenerateDataKey", `{"KeyId":"` + id + `","KeySpec":"AES_256","DryRun":true}`, "AccessDeniedException", "User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: kms:GenerateDataKey on resource: " + arn + " because no identity-based policy allows the kms:GenerateDataKey action"},
		{admin, "GenerateRandom", `{}`, "ValidationException", "NumberOfBytes is required."},
		{admin, "DisableKey", `{"KeyId":"alias/app"}`, "InvalidArnException", "Key Aliases are not supported for this operation."},
		{admin, "CreateAlias", `{"AliasName":"app","TargetKeyId":"` + id + `"}`, "ValidationException", `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		{admin, "CreateAlias", `{"AliasName":"alias/app","TargetKeyId":"` + id + `"}`, "AlreadyExistsException", "An alias with the name arn:aws:kms:us-east-1:111122223333:alias/app already exists"},
		{admin, "CreateAlias", `{"AliasName":"alias/new","TargetKeyId":"alias/app"}`, "ValidationException", "Aliases must refer to keys. Not aliases"},
		{admin, "CreateAlias", `{"AliasName":"alias/a:b","TargetKeyId":"` + id + `"}`, "ValidationException", "alias/a:b contains invalid characters for an alias"},
		{admin, "Encrypt", `{"KeyId":"` + id + `","Plaintext":"YQ==","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"}`, "InvalidKeyUsageException", "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT."},
		{admin, "Encrypt", `{"KeyId":"` + id + `","Plaintext":"YQ==","EncryptionContext":{"k":"` + strings.Repeat("v", 8192) + `"}}`, "ValidationException", "The encryption context is larger than 8192 bytes."},
		{admin, "Decrypt", `{"CiphertextBlob":"` + blob + `"}`, "InvalidCiphertextException", ""},
		{admin, "Decrypt", `{"CiphertextBlob":"` + blob + `","EncryptionContext":{"a":"B"}}`, "InvalidCiphertextException", ""},
		{admin, "Decrypt", `{"CiphertextBlob":"AQID","KeyId":"` + id + `"}`, "InvalidCiphertextException", ""},
		{admin, "Decrypt", `{"CiphertextBlob":"` + tampered + `","KeyId":"` + id + `","EncryptionContext":{"a":"b"}}`, "InvalidCiphertextException", ""},
		{admin, "Decrypt", `{"CiphertextBlob":"` + tampered + `","EncryptionContext":{"a":"b"}}`, "AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."},
		{nobody, "Decrypt", `{"CiphertextBlob":"` + blob + `","EncryptionContext":{"a":"b"}}`, "AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."},
		{admin, "Decrypt", `{"CiphertextBlob":"` + blob + `","KeyId":"` + disabled + `","EncryptionContext":{"a":"b"}}`, "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation."},
		{admin, "Decrypt", `{}`, "ValidationException", "1 validation error detected: Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null"},
		{admin, "Decrypt", `{"DryRun":true,"DryRunModifiers":["IGNORE_CIPHERTEXT"]}`, "ValidationException", "KeyId is required when IGNORE_CIPHERTEXT is set."},
		{admin, "Decrypt", `{"DryRun":true,"DryRunModifiers":["IGNORE_CIPHERTEXT"],"KeyId":"` + id + `"}`, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
		{admin, "ScheduleKeyDeletion", `{"KeyId":"` + id + `","PendingWindowInDays":6}`, "ValidationException", "PendingWindowInDays must be between 7 and 30"},
		{admin, "CancelKeyDeletion", `{"KeyId":"` + id + `"}`, "KMSInvalidStateException", arn + " is not pending deletion (or pending replica deletion)."},
		{admin, "TagResource", `{"KeyId":"` + id + `","Tags":[{"TagKey":"a","TagValue":"1"},{"TagKey":"a","TagValue":"2"}]}`, "TagException", "Duplicate tag keys"},
		{admin, "TagResource", `{"KeyId":"` + id + `","Tags":[{"TagKey":"AWS:x","TagValue":"1"}]}`, "TagException", "Tags beginning with aws: are reserved"},
		{admin, "GetKeyPolicy", `{"KeyId":"` + id + `","PolicyName":"other"}`, "NotFoundException", "No such policy exists"},
		{admin, "PutKeyPolicy", `{"KeyId":"` + id + `","Policy":"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"444455556666\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}}"}`, "MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future."},
		{admin, "ListKeys", `{"Marker":"AQID"}`, "InvalidMarkerException", ""},
		{admin, "CreateKey", `{"KeySpec":"SYMMETRIC_DEFAULT","CustomerMasterKeySpec":"SYMMETRIC_DEFAULT"}`, "ValidationException", "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated."},
		{admin, "CreateKey", `{"KeyUsage":"SIGN_VERIFY"}`, "ValidationException", "KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT"},
		{admin, "CreateKey", `{"KeySpec":"RSA_2048"}`, "ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		{nobody, "CreateKey", `{}`, "AccessDeniedException", "User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: kms:CreateKey on resource: * because no identity-based policy allows the kms:CreateKey action"},
		{caller{}, "Sign", `{}`, "UnrecognizedClientException", "The security token included in the request is invalid."},
		{admin, "GenerateDataKey", `{"KeyId":`, "SerializationException", ""},
	} {
		t.Run(c.operation, func(t *testing.T) {
			w.t = t
			w.refused(w.call(c.who, c.operation, c.body), c.code, c.message)
		})
	}
	w.t = t
	for _, target := range []string{"", "TrentService.", "TrentService.Nope", "Trent.Encrypt", "TrentService.encrypt"} {
		w.refused(w.send(admin, target, "{}"), "UnknownOperationException", "")
	}
}

// TestSEC_B15: what a caller of another account may not use looks the same,
// whether it is there or not, enabled or not, by key or by alias.
func TestSEC_B15_ForeignKeysAreNotTold(t *testing.T) {
	w := newWorld(t)
	id, arn := w.newKey(admin)
	w.must(admin, "CreateAlias", `{"AliasName":"alias/app","TargetKeyId":"`+id+`"}`)
	disabled, disabledARN := w.newKey(admin)
	w.must(admin, "DisableKey", `{"KeyId":"`+disabled+`"}`)
	denier := user(foreign, "denier", `{"Statement":{"Effect":"Deny","Action":"kms:*","Resource":"*"}}`)
	for _, who := range []caller{stranger, user(foreign, "nobody"), denier} {
		for _, operation := range []string{"Encrypt", "DescribeKey", "GetKeyPolicy", "DisableKey"} {
			want := "User: " + who.principal.ARN + " is not authorized to perform: kms:" + operation + " on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
			for _, name := range []string{arn, disabledARN, "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"} {
				w.refused(w.call(who, operation, `{"KeyId":"`+name+`","Plaintext":"YQ=="}`), "AccessDeniedException", want)
			}
		}
		for _, name := range []string{"app", "none"} {
			want := "User: " + who.principal.ARN + " is not authorized to perform: kms:Encrypt on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
			w.refused(w.call(who, "Encrypt", `{"KeyId":"arn:aws:kms:us-east-1:111122223333:alias/`+name+`","Plaintext":"YQ=="}`), "AccessDeniedException", want)
		}
	}
	// By its bare id a key is looked for at home, where it is not.
	w.refused(w.call(stranger, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"YQ=="}`), "NotFoundException", "Key 'arn:aws:kms:us-east-1:444455556666:key/"+id+"' does not exist")
}

// Across accounts both sides must allow; then the ARN of key or alias works.
func TestCrossAccountUse(t *testing.T) {
	w := newWorld(t)
	id, arn := w.newKey(admin)
	w.must(admin, "CreateAlias", `{"AliasName":"alias/shared","TargetKeyId":"`+id+`"}`)
	share := strings.ReplaceAll(`{"Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"},{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":["kms:Encrypt","kms:Decrypt"],"Resource":"*"}]}`, `"`, `\"`)
	w.must(admin, "PutKeyPolicy", `{"KeyId":"`+id+`","Policy":"`+share+`"}`)
	blob := w.encrypt(stranger, "arn:aws:kms:us-east-1:111122223333:alias/shared", "{}")
	if d := w.must(stranger, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`); d["KeyId"] != arn {
		t.Errorf("decrypted under %v", d["KeyId"])
	}
	if r := w.call(user(foreign, "nobody"), "Encrypt", `{"KeyId":"`+arn+`","Plaintext":"YQ=="}`); r.code != "AccessDeniedException" {
		t.Errorf("the key's side alone sufficed: %v", r)
	}
	if r := w.call(stranger, "GenerateDataKey", `{"KeyId":"`+arn+`","KeySpec":"AES_256"}`); r.code != "AccessDeniedException" {
		t.Errorf("an action that was not shared: %v", r)
	}
}

// TestSEC_A11: a change that was captured cannot be sent again once it could
// undo something; the same call twice in a row, as SDKs without a unique header
// sign it, still works.
func TestSEC_A11_ChangesCannotBeReplayed(t *testing.T) {
	w := newWorld(t)
	id, _ := w.newKey(admin)
	captured := admin
	captured.signature = strings.Repeat("ab", 32)
	w.must(captured, "DisableKey", `{"KeyId":"`+id+`"}`)
	w.must(captured, "DisableKey", `{"KeyId":"`+id+`"}`)
	w.must(admin, "EnableKey", `{"KeyId":"`+id+`"}`)
	w.pass(3 * time.Second)
	w.refused(w.call(captured, "DisableKey", `{"KeyId":"`+id+`"}`), "InvalidSignatureException", "This signature has been used before. Requests that change something must be signed anew each time.")
	w.encrypt(admin, id, "{}")

	// One that changed nothing is remembered as well.
	idle := admin
	idle.signature = strings.Repeat("cd", 32)
	w.must(idle, "EnableKey", `{"KeyId":"`+id+`"}`)
	w.must(admin, "DisableKey", `{"KeyId":"`+id+`"}`)
	w.pass(3 * time.Second)
	if r := w.call(idle, "EnableKey", `{"KeyId":"`+id+`"}`); r.code != "InvalidSignatureException" {
		t.Errorf("a replay enabled a key: %v", r)
	}
	// Reading is not a change.
	reader := admin
	reader.signature = strings.Repeat("ef", 32)
	w.must(reader, "DescribeKey", `{"KeyId":"`+id+`"}`)
	w.pass(3 * time.Second)
	w.must(reader, "DescribeKey", `{"KeyId":"`+id+`"}`)
}

// A date that has passed acts at that instant, whether or not anything swept.
func TestDeletionTakesEffectByTheClock(t *testing.T) {
	w := newWorld(t)
	id, arn := w.newKey(admin)
	w.must(admin, "CreateAlias", `{"AliasName":"alias/app","TargetKeyId":"`+id+`"}`)
	blob := w.encrypt(admin, id, "{}")
	out := w.must(admin, "ScheduleKeyDeletion", `{"KeyId":"`+id+`","PendingWindowInDays":7}`)
	if out["KeyState"] != "PendingDeletion" || out["KeyId"] != arn || out["PendingWindowInDays"] != 7.0 {
		t.Errorf("%v", out)
	}
	w.pass(7*24*time.Hour - time.Millisecond)
	w.refused(w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`), "KMSInvalidStateException", arn+" is pending deletion.")
	check := func() {
		t.Helper()
		gone := "Key '" + arn + "' does not exist"
		w.refused(w.call(admin, "DescribeKey", `{"KeyId":"`+id+`"}`), "NotFoundException", gone)
		w.refused(w.call(admin, "CancelKeyDeletion", `{"KeyId":"`+id+`"}`), "NotFoundException", gone)
		w.refused(w.call(admin, "DescribeKey", `{"KeyId":"alias/app"}`), "NotFoundException", "Alias arn:aws:kms:us-east-1:111122223333:alias/app is not found.")
		if r := w.call(admin, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`); r.code != "AccessDeniedException" {
			t.Errorf("a ciphertext of a deleted key: %v", r)
		}
		for operation, member := range map[string]string{"ListKeys": "Keys", "ListAliases": "Aliases"} {
			if list := w.must(admin, operation, "{}")[member].([]any); len(list) != 0 {
				t.Errorf("%s still lists %v", operation, list)
			}
		}
	}
	w.pass(time.Millisecond)
	check()
	w.pass(time.Minute)
	if swept := w.sweep(); len(swept.Deleted) != 1 {
		t.Fatalf("Sweep: %+v", swept)
	}
	check()
	other, _ := w.newKey(admin)
	w.must(admin, "CreateAlias", `{"AliasName":"alias/app","TargetKeyId":"`+other+`"}`)
}

func TestCancelledDeletionLeavesTheKeyDisabled(t *testing.T) {
	w := newWorld(t)
	id, arn := w.newKey(admin)
	w.must(admin, "ScheduleKeyDeletion", `{"KeyId":"`+id+`"}`)
	w.must(admin, "CancelKeyDeletion", `{"KeyId":"`+id+`"}`)
	w.pass(31 * 24 * time.Hour)
	if swept := w.sweep(); len(swept.Deleted) != 0 {
		t.Fatalf("Sweep: %+v", swept)
	}
	m := w.must(admin, "DescribeKey", `{"KeyId":"`+id+`"}`)["KeyMetadata"].(map[string]any)
	if m["KeyState"] != "Disabled" || m["Arn"] != arn || m["DeletionDate"] != nil {
		t.Errorf("%v", m)
	}
}

// Pages follow one another without gap or repetition; a marker is good for its
// own list alone.
func TestPagination(t *testing.T) {
	w := newWorld(t)
	want := make(map[string]bool)
	var some string
	for i := range 25 {
		id, _ := w.newKey(admin)
		want[id], some = true, id
		w.must(admin, "CreateAlias", fmt.Sprintf(`{"AliasName":"alias/%02d","TargetKeyId":"%s"}`, i, id))
		w.must(admin, "TagResource", fmt.Sprintf(`{"KeyId":"%s","Tags":[{"TagKey":"%02d","TagValue":""}]}`, some, i))
	}
	marker, pages := "", 0
	var last string
	for {
		out := w.must(admin, "ListKeys", `{"Limit":10`+marker+`}`)
		for _, k := range out["Keys"].([]any) {
			id := k.(map[string]any)["KeyId"].(string)
			if !want[id] {
				t.Fatalf("%s twice, or never made", id)
			}
			delete(want, id)
		}
		pages++
		if out["Truncated"] == false {
			if _, there := out["NextMarker"]; there {
				t.Error("a marker after the last page")
			}
			break
		}
		last = out["NextMarker"].(string)
		marker = `,"Marker":"` + last + `"`
	}
	if pages != 3 || len(want) != 0 {
		t.Errorf("%d pages, %d keys missing", pages, len(want))
	}
	elsewhere := admin
	elsewhere.region = "eu-west-1"
	for name, r := range map[string]result{
		"another operation": w.call(admin, "ListAliases", `{"Marker":"`+last+`"}`),
		"another account":   w.call(user(foreign, "root"), "ListKeys", `{"Marker":"`+last+`"}`),
		"another Region":    w.call(elsewhere, "ListKeys", `{"Marker":"`+last+`"}`),
		"altered":           w.call(admin, "ListKeys", `{"Marker":"`+last[:len(last)-2]+`AA"}`),
	} {
		if r.code != "InvalidMarkerException" || r.message != "" {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// No use of a key without a record of it: with the audit failing, nothing is
// answered; by the operator's choice, everything is.
func TestSEC_E13_FailingAuditFailsClosed(t *testing.T) {
	w := newWorld(t)
	id, _ := w.newKey(admin)
	w.audit.fault = errors.New("no space left on device")
	r := w.call(admin, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`)
	if r.status != 500 || r.code != "KMSInternalException" || r.body["Plaintext"] != nil {
		t.Errorf("answered %v", r)
	}
	w.road = pipeline.New(pipeline.Options{Keys: w.ring, Identities: w.identities, Audit: w.audit, FailOpen: true, Log: discard(), Now: w.clock})
	w.must(admin, "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`)
}
