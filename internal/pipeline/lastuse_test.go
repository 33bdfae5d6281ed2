package pipeline_test

import (
	"strings"
	"testing"
	"time"
)

// lastUse asks for the last use of a key.
func (w *world) lastUse(id string) map[string]any {
	w.t.Helper()
	use, _ := w.must(admin, "GetKeyLastUsage", `{"KeyId":"`+id+`"}`)["KeyLastUsage"].(map[string]any)
	return use
}

// The last use of a key is the last request that succeeded with its material, to the minute.
func TestLastUse(t *testing.T) {
	w := newPopulated(t)
	id, arn := w.newKey(admin)
	answer := w.must(admin, "GetKeyLastUsage", `{"KeyId":"`+id+`"}`)
	if answer["KeyId"] != arn || answer["TrackingStartDate"] != answer["KeyCreationDate"] || answer["KeyLastUsage"] != nil {
		t.Errorf("of a key that was never used: %v", answer)
	}

	for _, c := range []struct {
		operation, body string
		counts          bool
	}{
		{"DescribeKey", `{"KeyId":"` + id + `"}`, false},
		{"Encrypt", `{"KeyId":"` + id + `","Plaintext":"YQ==","DryRun":true}`, false},
		{"GenerateMac", `{"KeyId":"` + id + `","Message":"YQ==","MacAlgorithm":"HMAC_SHA_256"}`, false},
		{"Decrypt", `{"KeyId":"` + id + `","CiphertextBlob":"YQ=="}`, false},
		{"Encrypt", `{"KeyId":"` + id + `","Plaintext":"YQ=="}`, true},
		{"GenerateDataKey", `{"KeyId":"` + id + `","KeySpec":"AES_256"}`, true},
	} {
		w.pass(time.Hour)
		before := w.lastUse(id)
		w.call(admin, c.operation, c.body)
		after := w.lastUse(id)
		if !c.counts {
			if after["Timestamp"] != before["Timestamp"] {
				t.Errorf("%s %s was counted: %v", c.operation, c.body, after)
			}
			continue
		}
		if after["Operation"] != c.operation || after["Timestamp"] != float64(w.clock().Unix()) || after["KmsRequestId"] == "" {
			t.Errorf("after %s: %v", c.operation, after)
		}
	}
}

// ReEncrypt is a use of both keys.
func TestLastUseOfReEncrypt(t *testing.T) {
	w := newPopulated(t)
	from, _ := w.newKey(admin)
	to, _ := w.newKey(admin)
	blob := w.encrypt(admin, from, `{}`)
	w.pass(time.Hour)
	w.must(admin, "ReEncrypt", `{"CiphertextBlob":"`+blob+`","DestinationKeyId":"`+to+`"}`)
	for _, id := range []string{from, to} {
		if use := w.lastUse(id); use["Operation"] != "ReEncrypt" {
			t.Errorf("last use: %v", use)
		}
	}
}

// A policy can keep keys that are in use from being disabled or deleted.
func TestTrailingDaysWithoutKeyUsage(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	w.must(admin, "PutKeyPolicy", `{"KeyId":"`+id+`","Policy":`+quoted(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":["kms:DisableKey","kms:ScheduleKeyDeletion"],"Resource":"*","Condition":{"NumericLessThan":{"kms:TrailingDaysWithoutKeyUsage":"90"}}}]}`)+`}`)
	end := func() string { return w.call(admin, "ScheduleKeyDeletion", `{"KeyId":"`+id+`"}`).code }

	if got := end(); got != "AccessDeniedException" {
		t.Errorf("of a new key: %q", got)
	}
	w.pass(89 * 24 * time.Hour)
	w.encrypt(admin, id, `{}`)
	w.pass(89 * 24 * time.Hour)
	for _, action := range []string{"DisableKey", "ScheduleKeyDeletion"} {
		if r := w.call(admin, action, `{"KeyId":"`+id+`"}`); r.code != "AccessDeniedException" || !strings.Contains(r.message, "explicit deny") {
			t.Errorf("%s 89 days after its use: %s %s", action, r.code, r.message)
		}
	}
	w.pass(24 * time.Hour)
	if got := end(); got != "" {
		t.Errorf("90 days after its use: %q", got)
	}
}
