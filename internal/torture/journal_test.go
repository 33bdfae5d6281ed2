package torture

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// A journal is what the server has acknowledged, kept by the side that is not
// killed.
type journal struct {
	mu   sync.Mutex
	keys []*kept
}

// kept is one key and what is known of it. What was asked for and not answered
// may or may not have come to be; it is kept beside what was.
type kept struct {
	round                   int
	id                      string
	alias                   string // acknowledged
	policy, policyAsked     string
	description, descrAsked string
	blob                    []byte
	sum                     [32]byte // of the data key
}

// oneKey makes a key and all that belongs to it, noting each acknowledgement as
// it comes. It reports false once the server does not answer.
func (j *journal) oneKey(ctx context.Context, c *kms.Client, round, writer, n int) bool {
	out, err := c.CreateKey(ctx, &kms.CreateKeyInput{Description: aws.String("made")})
	if err != nil {
		return false
	}
	k := &kept{round: round, id: aws.ToString(out.KeyMetadata.KeyId), description: "made"}
	j.mu.Lock()
	j.keys = append(j.keys, k)
	j.mu.Unlock()
	data, err := c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &k.id, KeySpec: types.DataKeySpecAes256, EncryptionContext: map[string]string{"key": k.id}})
	if err != nil {
		return false
	}
	k.blob, k.sum = data.CiphertextBlob, sha256.Sum256(data.Plaintext)
	name := fmt.Sprintf("alias/r%d-w%d-n%d", round, writer, n)
	if _, err := c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &k.id}); err != nil {
		return false
	}
	k.alias = name
	k.policyAsked = fmt.Sprintf(`{"Version":"2012-10-17","Id":"%s","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"kms:*","Resource":"*"}}`, k.id)
	if _, err := c.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &k.id, Policy: &k.policyAsked}); err != nil {
		return false
	}
	k.policy = k.policyAsked
	for i := range 3 {
		k.descrAsked = fmt.Sprint("changed ", i)
		if _, err := c.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &k.id, Description: &k.descrAsked}); err != nil {
			return false
		}
		k.description = k.descrAsked
	}
	return true
}

// sampled is how many keys of earlier rounds are looked at again.
const sampled = 300

// verify holds the server against the journal: all of this round, and a share of
// those before. It returns how many keys it looked at.
func (j *journal) verify(t *testing.T, c *kms.Client, round int) int {
	t.Helper()
	older := 0
	for _, k := range j.keys {
		if k.round < round {
			older++
		}
	}
	step, seen, checked := max(1, older/sampled), 0, 0
	for _, k := range j.keys {
		if k.round < round {
			if seen++; seen%step != 0 {
				continue
			}
		}
		k.check(t, c)
		checked++
	}
	return checked
}

func (k *kept) check(t *testing.T, c *kms.Client) {
	t.Helper()
	ctx := context.Background()
	out, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &k.id})
	if err != nil {
		t.Fatalf("the key %s of round %d was acknowledged: %v", k.id, k.round, err)
	}
	if d := aws.ToString(out.KeyMetadata.Description); d != k.description && d != k.descrAsked {
		t.Errorf("the description of %s is %q; acknowledged was %q, asked for last %q", k.id, d, k.description, k.descrAsked)
	}
	if k.alias != "" {
		out, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &k.alias})
		if err != nil || aws.ToString(out.KeyMetadata.KeyId) != k.id {
			t.Errorf("%s of %s was acknowledged: %v", k.alias, k.id, err)
		}
	}
	policy, err := c.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &k.id})
	if p := aws.ToString(policy.Policy); err != nil || k.policy != "" && p != k.policy {
		t.Errorf("the policy of %s is %q (%v); acknowledged was %q", k.id, p, err, k.policy)
	}
	if k.blob == nil {
		return
	}
	plain, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: k.blob, EncryptionContext: map[string]string{"key": k.id}})
	if err != nil || sha256.Sum256(plain.Plaintext) != k.sum {
		t.Errorf("a data key under %s does not decrypt: %v", k.id, err)
	}
	if _, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: k.blob}); !isInvalid(err) {
		t.Errorf("a data key decrypted without its context: %v", err)
	}
}

func isInvalid(err error) bool {
	_, ok := errors.AsType[*types.InvalidCiphertextException](err)
	return ok
}
