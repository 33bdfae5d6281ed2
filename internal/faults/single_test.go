package faults

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"trent/internal/config"
)

// revocations says, in the environment, how often to take each right away.
const revocations = "TRENT_REVOCATIONS"

// On a single node nothing that was revoked is ever used: no use that begins after the answer to
// DisableKey, RevokeGrant, PutKeyPolicy or DeleteAccessKey succeeds, whatever eight clients have under way.
func TestSEC_E04_SingleNode(t *testing.T) {
	c := config.Store{Dir: filepath.Join(t.TempDir(), "data")}
	keyID, secret := initHere(t, c)
	s, err := serveHere(c, "127.0.0.1:0", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()
	n := &node{listen: s.url[len("http://"):]}
	w := &world{t: t, nodes: []*node{n}, keyID: keyID, secret: secret}
	l := newLoad(w)
	l.rights = append(l.rights, l.accessKey())
	times := many(revocations, 25)
	for _, r := range l.rights {
		t.Run(r.name, func(t *testing.T) { revokeOften(t, r, w.client(n), times) })
	}
}

// revokeOften takes a right away so often, while eight clients use it.
func revokeOften(t *testing.T, r *right, c *kms.Client, times int) {
	ctx := t.Context()
	var revoked atomic.Bool // since before a use began
	var tried, allowed, wrong atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r.mu.Lock() // no right is given between the look and the end of the use
				generation := len(r.intervals)
				before := revoked.Load()
				r.mu.Unlock()
				err := r.use(context.Background(), 0)
				r.mu.Lock()
				same := generation == len(r.intervals)
				r.mu.Unlock()
				switch {
				case err == nil && before && same:
					wrong.Add(1)
				case err == nil:
					allowed.Add(1)
				case before:
					tried.Add(1)
				}
			}
		})
	}
	for range times {
		r.mu.Lock()
		revoked.Store(false)
		r.intervals = append(r.intervals, interval{}) // a new generation
		r.mu.Unlock()
		if err := r.on(ctx, c); err != nil {
			t.Fatal(err)
		}
		until(allowed.Load()+8, &allowed)
		if err := r.off(ctx, c); err != nil {
			t.Fatal(err)
		}
		revoked.Store(true)
		until(tried.Load()+8, &tried)
	}
	close(stop)
	clients.Wait()
	t.Logf("%d times taken away; of the uses that began later %d were refused and %d allowed; %d were allowed before", times, tried.Load(), wrong.Load(), allowed.Load())
	if wrong.Load() > 0 {
		t.Error("uses of what was revoked succeeded")
	}
}

// until waits until a count has come so far, or for two seconds: then something is wrong that is said elsewhere.
func until(far int64, count *atomic.Int64) {
	for end := time.Now().Add(2 * time.Second); count.Load() < far && time.Now().Before(end); {
		time.Sleep(200 * time.Microsecond)
	}
}

// accessKey is DeleteAccessKey and CreateAccessKey, of a user who may use all keys.
func (l *load) accessKey() *right {
	id := l.mustCreate(nil)
	url := l.w.nodes[0].url()
	arn, accessKey, secret := newUser(l.w.t, url, l.w.keyID, l.w.secret, "keyholder")
	if _, err := l.w.client(l.w.nodes[0]).CreateGrant(context.Background(), &kms.CreateGrantInput{
		KeyId: &id, GranteePrincipal: &arn, Operations: []types.GrantOperation{types.GrantOperationGenerateDataKey},
	}); err != nil {
		l.w.t.Fatal(err)
	}
	admin := iam.New(iam.Options{Region: "us-east-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(l.w.keyID, l.w.secret, "")})
	var client atomic.Pointer[kms.Client]
	client.Store(clientOf(url, accessKey, secret))
	connections := client.Load().Options().HTTPClient
	has := accessKey
	return &right{
		onOff: onOff{name: "DeleteAccessKey"},
		on: func(ctx context.Context, _ *kms.Client) error {
			if has != "" {
				return nil
			}
			made, err := admin.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("keyholder")})
			if err == nil {
				has = *made.AccessKey.AccessKeyId
				client.Store(kms.New(clientOf(url, "", "").Options(), func(o *kms.Options) {
					o.HTTPClient = connections // of which the server takes so many
					o.Credentials = credentials.NewStaticCredentialsProvider(has, *made.AccessKey.SecretAccessKey, "")
				}))
			}
			return err
		},
		off: func(ctx context.Context, _ *kms.Client) error {
			_, err := admin.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("keyholder"), AccessKeyId: &has})
			if err == nil {
				has = ""
			}
			return err
		},
		use: func(ctx context.Context, _ int) error {
			_, err := client.Load().GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &id, KeySpec: types.DataKeySpecAes256})
			return err
		},
	}
}
