package trenttest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"trent/trenttest"
)

const (
	allowAll   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`
	allowLists = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:List*"],"Resource":"*"}]}`
	foreign    = "999988887777"
)

// refusal is a refusal in one line.
func refusal(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return strings.TrimSpace(api.ErrorCode() + " " + api.ErrorMessage())
	}
	if err != nil {
		return err.Error()
	}
	return "allowed"
}

// TestRegions: a key is found in its own Region alone.
func TestRegions(t *testing.T) {
	b := newBench(t)
	there := b.ClientIn(t, "eu-west-1")
	ctx := t.Context()
	_, err := there.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &b.arn})
	if got, want := refusal(err), "NotFoundException Invalid arn us-east-1"; got != want {
		t.Errorf("by its ARN: %s, want %s", got, want)
	}
	_, err = there.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &b.id})
	if got, want := refusal(err), "NotFoundException Key 'arn:aws:kms:eu-west-1:111122223333:key/"+b.id+"' does not exist"; got != want {
		t.Errorf("by its id: %s, want %s", got, want)
	}
	_, err = there.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: aws.String("alias/app")})
	if got, want := refusal(err), "NotFoundException Alias arn:aws:kms:eu-west-1:111122223333:alias/app is not found."; got != want {
		t.Errorf("by its alias: %s, want %s", got, want)
	}
	_, err = there.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: b.blob, EncryptionContext: map[string]string{"tenant": "blue"}})
	if got, want := refusal(err), "AccessDeniedException The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."; got != want {
		t.Errorf("by its ciphertext: %s, want %s", got, want)
	}
	keys, err := there.ListKeys(ctx, &kms.ListKeysInput{})
	if err != nil || len(keys.Keys) != 0 {
		t.Errorf("listed: %v, %v", keys, err)
	}
	k, err := there.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil || !strings.HasPrefix(aws.ToString(k.KeyMetadata.Arn), "arn:aws:kms:eu-west-1:111122223333:key/") {
		t.Errorf("%v, %v", k, err)
	}
}

// TestStrangers: to another account, and to a user without permission, a key
// that is there looks as one that is not.
func TestStrangers(t *testing.T) {
	b := newBench(t, trenttest.WithUser(foreign, "stranger", allowAll), trenttest.WithUser(trenttest.Account, "clerk", allowLists))
	ctx := t.Context()
	absent := "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	stranger, clerk := b.ClientAs(t, "stranger"), b.ClientAs(t, "clerk")

	for _, arn := range []string{b.arn, absent} {
		_, err := stranger.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &arn})
		want := "AccessDeniedException User: arn:aws:iam::999988887777:user/stranger is not authorized to perform: kms:DescribeKey on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
		if got := refusal(err); got != want {
			t.Errorf("a stranger on %s: %s", arn, got)
		}
	}
	_, err := stranger.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &b.id})
	if got, want := refusal(err), "NotFoundException Key 'arn:aws:kms:us-east-1:999988887777:key/"+b.id+"' does not exist"; got != want {
		t.Errorf("a stranger by id: %s", got)
	}
	_, err = stranger.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: b.blob, EncryptionContext: map[string]string{"tenant": "blue"}})
	if got, want := refusal(err), "AccessDeniedException The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."; got != want {
		t.Errorf("a stranger's Decrypt: %s", got)
	}
	own, err := stranger.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stranger.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: b.blob, KeyId: own.KeyMetadata.Arn, EncryptionContext: map[string]string{"tenant": "blue"}})
	if got, want := refusal(err), "InvalidCiphertextException"; got != want {
		t.Errorf("a stranger's Decrypt with a key of their own: %s", got)
	}
	for name, call := range map[string]func() error{
		"kms:ScheduleKeyDeletion": func() error {
			_, err := stranger.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &b.arn})
			return err
		},
		"kms:PutKeyPolicy": func() error {
			_, err := stranger.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &b.arn, Policy: aws.String("{}")})
			return err
		},
		"kms:DisableKey": func() error {
			_, err := stranger.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &b.arn})
			return err
		},
	} {
		if got := refusal(call()); got == "allowed" || strings.Contains(got, "NotFound") {
			t.Errorf("a stranger's %s: %s", name, got)
		}
	}

	// A user of the account without permission learns nothing of its state.
	_, err = clerk.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &b.id})
	want := "AccessDeniedException User: arn:aws:iam::111122223333:user/clerk is not authorized to perform: kms:DescribeKey on resource: " + b.arn + " because no identity-based policy allows the kms:DescribeKey action"
	if got := refusal(err); got != want {
		t.Errorf("a clerk: %s", got)
	}
	enabled := func() string {
		_, err := clerk.Encrypt(ctx, &kms.EncryptInput{KeyId: &b.id, Plaintext: []byte("a")})
		return refusal(err)
	}
	before := enabled()
	if _, err := b.c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &b.id}); err != nil {
		t.Fatal(err)
	}
	if after := enabled(); after != before || !strings.HasPrefix(after, "AccessDeniedException") {
		t.Errorf("a clerk is told of the state: %s, then %s", before, after)
	}
	if _, err := b.c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &b.id}); err != nil {
		t.Fatal(err)
	}
	_, err = clerk.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: b.blob, EncryptionContext: map[string]string{"tenant": "blue"}})
	if got := refusal(err); !strings.HasPrefix(got, "AccessDeniedException The ciphertext refers to") {
		t.Errorf("a clerk's Decrypt: %s", got)
	}
}

// TestGuests: a key policy lets another account in, as far as it says and as far
// as that account lets its user go.
func TestGuests(t *testing.T) {
	b := newBench(t, trenttest.WithUser(foreign, "guest", allowAll), trenttest.WithUser(foreign, "idle"))
	ctx := t.Context()
	policy := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999988887777:root"},"Action":["kms:Decrypt","kms:DescribeKey"],"Resource":"*"}]}`
	if _, err := b.c.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &b.id, Policy: &policy}); err != nil {
		t.Fatal(err)
	}
	blue := map[string]string{"tenant": "blue"}
	out, err := b.ClientAs(t, "guest").Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: b.blob, EncryptionContext: blue})
	if err != nil || string(out.Plaintext) != "attack at dawn" || aws.ToString(out.KeyId) != b.arn {
		t.Errorf("a guest: %v, %v", out, err)
	}
	_, err = b.ClientAs(t, "guest").Encrypt(ctx, &kms.EncryptInput{KeyId: &b.arn, Plaintext: []byte("a")})
	if got := refusal(err); !strings.HasPrefix(got, "AccessDeniedException") {
		t.Errorf("a guest who goes further: %s", got)
	}
	_, err = b.ClientAs(t, "idle").Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: b.blob, EncryptionContext: blue})
	if got := refusal(err); !strings.HasPrefix(got, "AccessDeniedException") {
		t.Errorf("a guest whose own account does not let them: %s", got)
	}
	_, err = b.ClientAs(t, "guest").GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &b.arn})
	if got := refusal(err); got == "allowed" {
		t.Error("a guest reads the policy")
	}
}
