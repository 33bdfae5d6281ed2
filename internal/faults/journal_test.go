package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"trent/trenttest/process"
)

// journal is what was acknowledged, and what may have been done without that.
type journal struct {
	mu      sync.Mutex
	keys    map[string]*ackedKey
	aliases map[string]string // name to key id
	blobs   []ackedBlob
	asked   int // creations that were never answered
	acks    atomic.Int64
	names   atomic.Int64

	checks, decrypted int
}

// An ackedKey is changed by one writer alone, one call after the other. Its last
// call may have been done although the answer never came.
type ackedKey struct {
	description, policy           string
	maybeDescription, maybePolicy string
}

type ackedBlob struct {
	blob, plain []byte
	keyID       string
}

// round has the writers write until so many calls were acknowledged, and kills
// the server in the middle of it.
func (j *journal) round(t *testing.T, c *kms.Client, srv *process.Server) {
	until := j.acks.Load() + leastAcks + rand.Int64N(spreadAcks)
	enough := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for step := 0; ; step++ {
				if err := j.write(t.Context(), c, step); err != nil {
					return // only the kill ends a writer: see below
				}
				if j.acks.Add(1) >= until {
					once.Do(func() { close(enough) })
				}
			}
		})
	}
	stopped := make(chan struct{})
	go func() { wg.Wait(); close(stopped) }()
	select {
	case <-enough:
	case <-stopped:
		t.Errorf("the writers stopped before the server was killed:\n%s", srv.Output())
	}
	srv.Kill()
	<-stopped
}

// write makes one call and notes what came of it.
func (j *journal) write(ctx context.Context, c *kms.Client, step int) error {
	id := j.someKey()
	if id == "" || step%4 == 0 {
		return j.createKey(ctx, c)
	}
	switch step % 4 {
	case 1:
		return j.createAlias(ctx, c, id)
	case 2:
		return j.alter(ctx, c)
	}
	if step%8 == 3 {
		if err := j.rotate(ctx, c, id); err != nil {
			return err
		}
	}
	return j.dataKey(ctx, c, id)
}

// rotate gives a key new material. What it encrypted before must still be decrypted after the kill, whether or
// not the rotation was acknowledged.
func (j *journal) rotate(ctx context.Context, c *kms.Client, id string) error {
	_, err := c.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &id})
	if _, full := errors.AsType[*types.LimitExceededException](err); full {
		return nil
	}
	return err
}

// someKey is any acknowledged key's id, or nothing.
func (j *journal) someKey() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id := range j.keys {
		return id
	}
	return ""
}

func (j *journal) createKey(ctx context.Context, c *kms.Client) error {
	description := "key " + strconv.FormatInt(j.names.Add(1), 10)
	out, err := c.CreateKey(ctx, &kms.CreateKeyInput{Description: &description})
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.asked++
		return err
	}
	j.keys[aws.ToString(out.KeyMetadata.KeyId)] = &ackedKey{description: description}
	return nil
}

func (j *journal) createAlias(ctx context.Context, c *kms.Client, id string) error {
	name := "alias/kill-" + strconv.FormatInt(j.names.Add(1), 10)
	if _, err := c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &name, TargetKeyId: &id}); err != nil {
		if _, full := errors.AsType[*types.LimitExceededException](err); full {
			return nil
		}
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.aliases[name] = id
	return nil
}

// alter makes a key of its own and changes its description and its policy.
func (j *journal) alter(ctx context.Context, c *kms.Client) error {
	n := j.names.Add(1)
	out, err := c.CreateKey(ctx, &kms.CreateKeyInput{Description: aws.String("to be altered")})
	if err != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.asked++
		return err
	}
	id := aws.ToString(out.KeyMetadata.KeyId)
	k := &ackedKey{description: "to be altered", maybeDescription: fmt.Sprintf("altered %d", n), maybePolicy: policyNumber(n)}
	j.mu.Lock()
	j.keys[id] = k
	j.mu.Unlock()
	if _, err := c.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &id, Description: &k.maybeDescription}); err != nil {
		return err
	}
	j.mu.Lock()
	k.description = k.maybeDescription
	j.mu.Unlock()
	if _, err := c.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &id, Policy: &k.maybePolicy}); err != nil {
		return err
	}
	j.mu.Lock()
	k.policy = k.maybePolicy
	j.mu.Unlock()
	return nil
}

func policyNumber(n int64) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"n%d","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}`, n)
}

func (j *journal) dataKey(ctx context.Context, c *kms.Client, id string) error {
	out, err := c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &id, KeySpec: types.DataKeySpecAes256, EncryptionContext: map[string]string{"key": id}})
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.blobs = append(j.blobs, ackedBlob{out.CiphertextBlob, out.Plaintext, id})
	return nil
}

// check looks for all that was acknowledged: for every key and alias in the
// lists, and, where there are very many, into a sample of the keys and
// ciphertexts, with the newest ciphertexts in it. At the end it looks into all.
func (j *journal) check(t *testing.T, c *kms.Client, all bool) {
	t.Helper()
	j.checkNames(t, c)
	blobs := slices.Clone(j.blobs)
	if len(blobs) > mostBlobs && !all {
		newest := blobs[len(blobs)-mostBlobs/3:]
		older := blobs[:len(blobs)-mostBlobs/3]
		rand.Shuffle(len(older), func(a, b int) { older[a], older[b] = older[b], older[a] })
		blobs = append(older[:mostBlobs*2/3], newest...)
	}
	keys := slices.Collect(maps.Keys(j.keys)) // in no order
	if len(keys) > mostKeys && !all {
		keys = keys[:mostKeys]
	}
	each(keys, func(id string) { j.checkKey(t, c, id) })
	each(blobs, func(b ackedBlob) {
		out, err := c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: b.blob, EncryptionContext: map[string]string{"key": b.keyID}})
		if err != nil || !bytes.Equal(out.Plaintext, b.plain) {
			t.Errorf("a ciphertext under %s, acknowledged: %v", b.keyID, err)
		}
		_, err = c.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: b.blob})
		if _, refused := errors.AsType[*types.InvalidCiphertextException](err); !refused {
			t.Errorf("a ciphertext under %s, without its context: %v", b.keyID, err)
		}
	})
	j.checks += len(blobs)
	j.decrypted += len(blobs)
}

// checkNames compares the lists with the journal.
func (j *journal) checkNames(t *testing.T, c *kms.Client) {
	t.Helper()
	there := make(map[string]string)
	for pages := kms.NewListAliasesPaginator(c, &kms.ListAliasesInput{}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Aliases {
			there[aws.ToString(a.AliasName)] = aws.ToString(a.TargetKeyId)
		}
	}
	for name, id := range j.aliases {
		if there[name] != id {
			t.Errorf("%s was acknowledged for %s, and means %q", name, id, there[name])
		}
	}
	ids := make(map[string]bool)
	for pages := kms.NewListKeysPaginator(c, &kms.ListKeysInput{Limit: aws.Int32(1000)}); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range page.Keys {
			ids[aws.ToString(k.KeyId)] = true
		}
	}
	for id := range j.keys {
		if !ids[id] {
			t.Errorf("the key %s was acknowledged and is not listed", id)
		}
	}
	if len(ids) > len(j.keys)+j.asked {
		t.Errorf("there are %d keys; %d were acknowledged and %d more asked for", len(ids), len(j.keys), j.asked)
	}
	j.checks += len(j.aliases) + len(j.keys)
}

func (j *journal) checkKey(t *testing.T, c *kms.Client, id string) {
	k := j.keys[id]
	out, err := c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &id})
	if err != nil {
		t.Errorf("the key %s was acknowledged: %v", id, err)
		return
	}
	got := aws.ToString(out.KeyMetadata.Description)
	if got != k.description && (k.maybeDescription == "" || got != k.maybeDescription) {
		t.Errorf("the key %s is described as %q; acknowledged was %q", id, got, k.description)
	}
	if k.policy == "" {
		return
	}
	p, err := c.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: &id})
	if err != nil || aws.ToString(p.Policy) != k.policy {
		t.Errorf("the policy of %s was acknowledged: %v, %v", id, p, err)
	}
}

// each calls f for all of list, some at a time.
func each[T any](list []T, f func(T)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range writers {
		wg.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(list); i = next.Add(1) - 1 {
				f(list[i])
			}
		})
	}
	wg.Wait()
}
