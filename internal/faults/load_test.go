package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// What a client waits between two calls, at least; at most twice as long. Uses come often enough to
// be under way at any moment, and writes to a register so seldom that the search through its history ends.
const (
	usePace   = 10 * time.Millisecond
	writePace = 100 * time.Millisecond
)

// A load is what clients do to a cluster while it is hurt. It goes by rounds: the registers are new in
// each, so that their histories stay short.
type load struct {
	w        *world
	rights   []*right
	made     []made // under mu
	mu       sync.Mutex
	kept     []*history
	names    atomic.Int64
	acked    atomic.Int64
	unknown  atomic.Int64
	answered atomic.Int64
	refused  atomic.Int64
}

// made is what was acknowledged and must be there for ever.
type made struct {
	keyID, description string
	blob, plain        []byte
}

// A right is a switch and how it is turned, through one node each time.
type right struct {
	onOff
	off, on func(ctx context.Context, c *kms.Client) error
	use     func(ctx context.Context, node int) error
}

func newLoad(w *world) *load {
	l := &load{w: w}
	l.rights = append(l.rights, l.keyState(), l.keyPolicy(), l.grant())
	return l
}

func (l *load) mustCreate(policy *string) string {
	out, err := l.w.client(l.w.nodes[0]).CreateKey(context.Background(), &kms.CreateKeyInput{Policy: policy})
	if err != nil {
		l.w.t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

// useBy makes the use of a key through a node, by whoever has the access key.
func (l *load) useBy(keyID, accessKey, secret string) func(context.Context, int) error {
	var clients []*kms.Client
	for _, n := range l.w.nodes {
		clients = append(clients, clientOf(n.url(), accessKey, secret))
	}
	return func(ctx context.Context, node int) error {
		_, err := clients[node].GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &keyID, KeySpec: types.DataKeySpecAes256})
		return err
	}
}

// keyState is DisableKey and EnableKey.
func (l *load) keyState() *right {
	id := l.mustCreate(nil)
	return &right{
		onOff: onOff{name: "DisableKey"},
		off: func(ctx context.Context, c *kms.Client) error {
			_, err := c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id})
			return err
		},
		on: func(ctx context.Context, c *kms.Client) error {
			_, err := c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &id})
			return err
		},
		use: l.useBy(id, l.w.keyID, l.w.secret),
	}
}

const (
	allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"}]}`
	denyUse  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},
		{"Effect":"Deny","Principal":"*","Action":"kms:GenerateDataKey","Resource":"*"}]}`
)

// keyPolicy is PutKeyPolicy.
func (l *load) keyPolicy() *right {
	id := l.mustCreate(aws.String(allowAll))
	put := func(policy string) func(context.Context, *kms.Client) error {
		return func(ctx context.Context, c *kms.Client) error {
			_, err := c.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: &id, Policy: &policy})
			return err
		}
	}
	return &right{onOff: onOff{name: "PutKeyPolicy"}, off: put(denyUse), on: put(allowAll), use: l.useBy(id, l.w.keyID, l.w.secret)}
}

// grant is RevokeGrant and CreateGrant, to a user who has no other right.
func (l *load) grant() *right {
	id := l.mustCreate(aws.String(allowAll))
	arn, accessKey, secret := newUser(l.w.t, l.w.nodes[0].url(), l.w.keyID, l.w.secret, "grantee")
	var grantID string
	names := 1 // the name makes it the same grant when it is asked for again, until it is revoked
	return &right{
		onOff: onOff{name: "RevokeGrant"},
		on: func(ctx context.Context, c *kms.Client) error {
			out, err := c.CreateGrant(ctx, &kms.CreateGrantInput{
				KeyId: &id, GranteePrincipal: &arn, Operations: []types.GrantOperation{types.GrantOperationGenerateDataKey}, Name: aws.String(fmt.Sprint("g", names)),
			})
			if err == nil {
				grantID = *out.GrantId
			}
			return err
		},
		off: func(ctx context.Context, c *kms.Client) error {
			if grantID == "" {
				return nil
			}
			_, err := c.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: &id, GrantId: &grantID})
			if _, gone := errors.AsType[*types.NotFoundException](err); gone {
				err = nil // an attempt without an answer has done it
			}
			if err == nil {
				grantID = ""
				names++
			}
			return err
		},
		use: l.useBy(id, accessKey, secret),
	}
}

// newUser makes a user without any right, and an access key.
func newUser(t *testing.T, url, keyID, secret, name string) (arn, accessKey, secretKey string) {
	t.Helper()
	c := iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(keyID, secret, "")})
	user, err := c.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	key, err := c.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return *user.User.Arn, *key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey
}

// A round is the clients of one fault, at work until it is stopped.
type round struct {
	l         *load
	stopped   chan struct{}
	clients   sync.WaitGroup
	registers []*history
}

// begin makes the registers and sets the clients to work.
func (l *load) begin() *round {
	r := &round{l: l, stopped: make(chan struct{})}
	for range 3 {
		h, err := newHistory(context.Background(), l.w.client(l.w.nodes[0]))
		for end := time.Now().Add(patience); err != nil && time.Now().Before(end); { // the members may be electing
			h, err = newHistory(context.Background(), l.w.client(l.w.nodes[0]))
		}
		if err != nil {
			l.w.t.Fatal(err)
		}
		r.registers = append(r.registers, h)
	}
	clients := make([]*kms.Client, len(l.w.nodes))
	for i, n := range l.w.nodes {
		clients[i] = l.w.client(n)
		for client, h := range r.registers {
			r.loop(writePace, func() { r.l.count(h.write(context.Background(), clients[i], 3*i+client, l.name())) })
			r.loop(writePace, func() { _ = h.read(context.Background(), clients[i], 100+3*i+client) })
		}
		r.loop(writePace, func() { l.create(clients[i]) })
		for _, right := range l.rights {
			r.loop(usePace, func() { l.use(right, i) })
		}
	}
	for _, right := range l.rights {
		r.clients.Go(func() { r.turn(right, clients) })
	}
	return r
}

func (l *load) name() string { return fmt.Sprint("value ", l.names.Add(1)) }

// loop does something over and over.
func (r *round) loop(pace time.Duration, do func()) {
	r.clients.Go(func() {
		for {
			select {
			case <-r.stopped:
				return
			case <-time.After(pace + rand.N(pace)):
				do()
			}
		}
	})
}

// stop waits for the calls that are under way.
func (r *round) stop() {
	close(r.stopped)
	r.clients.Wait()
	r.l.kept = append(r.l.kept, r.registers...)
}

func (l *load) count(err error) {
	if err == nil {
		l.acked.Add(1)
	} else {
		l.unknown.Add(1)
	}
}

// create makes a key, and a data key under it.
func (l *load) create(c *kms.Client) {
	m := made{description: l.name()}
	out, err := c.CreateKey(context.Background(), &kms.CreateKeyInput{Description: &m.description})
	l.count(err)
	if err != nil {
		return
	}
	m.keyID = *out.KeyMetadata.KeyId
	if d, err := c.GenerateDataKey(context.Background(), &kms.GenerateDataKeyInput{KeyId: &m.keyID, KeySpec: types.DataKeySpecAes256}); err == nil {
		m.blob, m.plain = d.CiphertextBlob, d.Plaintext
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made = append(l.made, m)
}

func (l *load) use(r *right, node int) {
	u := use{node: node, from: time.Now()}
	err := r.use(context.Background(), node)
	u.to, u.succeeded = time.Now(), err == nil
	r.used(u)
	if err == nil {
		l.answered.Add(1)
	} else {
		l.refused.Add(1)
	}
}

// turn gives and takes a right, through any node, until it is stopped. What gets no answer is asked for
// again, so that its outcome is known.
func (r *round) turn(right *right, clients []*kms.Client) {
	insist := func(do func(context.Context, *kms.Client) error) error {
		for {
			if err := do(context.Background(), clients[rand.IntN(len(clients))]); err == nil {
				r.l.acked.Add(1)
				return nil
			}
			r.l.unknown.Add(1)
			select {
			case <-r.stopped:
				return errStopped
			case <-time.After(usePace):
			}
		}
	}
	for !r.wait(rand.N(3 * bound)) { // in which it is off, but for the first time
		right.turnsOn(time.Now())
		if insist(right.on) != nil || r.wait(100*time.Millisecond) || insist(right.off) != nil {
			return
		}
		right.turnedOff(time.Now())
	}
}

func (r *round) wait(d time.Duration) (stopped bool) {
	select {
	case <-r.stopped:
		return true
	case <-time.After(d):
		return false
	}
}

// check looks, once the bound has passed and all nodes are well, for everything.
func (l *load) check(t *testing.T) {
	t.Helper()
	time.Sleep(bound)
	lost, calls, undecided, uses, within := 0, 0, 0, 0, 0
	clients := make([]*kms.Client, len(l.w.nodes))
	for i, n := range l.w.nodes {
		clients[i] = l.w.client(n)
	}
	each(l.made, func(m made) {
		if err := m.check(t.Context(), clients[rand.IntN(len(clients))]); err != nil {
			t.Errorf("acknowledged and lost: %v", err)
			l.mu.Lock()
			lost++
			l.mu.Unlock()
		}
	})
	for _, h := range l.kept {
		for i, c := range clients {
			if err := h.read(t.Context(), c, 200+i); err != nil {
				t.Errorf("the last read: %v", err)
			}
		}
		n, decided := h.check(t)
		calls += n
		if !decided {
			undecided++
		}
	}
	if undecided > max(len(l.kept)/20, min(len(l.kept)/3, 3)) { // of the few of a short run some may be hard
		t.Errorf("the search through %d of %d histories took too long", undecided, len(l.kept))
	}
	for _, r := range l.rights {
		n, w := r.check(t, bound)
		uses, within = uses+n, within+w
	}
	t.Logf("%d writes acknowledged, %d without an answer; %d keys and data keys looked for, lost: %d; %d histories of %d calls in all are linearizable, but for %d of which it takes too long to tell",
		l.acked.Load(), l.unknown.Load(), len(l.made), lost, len(l.kept), calls, undecided)
	t.Logf("%d uses of keys, %d of them later than the bound after their right was taken away", uses, within)
}

func (m made) check(ctx context.Context, c *kms.Client) error {
	about, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &m.keyID})
	if err != nil || aws.ToString(about.KeyMetadata.Description) != m.description {
		return fmt.Errorf("the key %s, %q: %w", m.keyID, m.description, err)
	}
	if m.blob == nil {
		return nil
	}
	out, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: m.blob})
	if err != nil || !bytes.Equal(out.Plaintext, m.plain) {
		return fmt.Errorf("a data key under %s: %w", m.keyID, err)
	}
	return nil
}
