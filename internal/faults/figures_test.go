package faults

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"trent/internal/config"
	"trent/internal/follow"
	"trent/internal/store/etcd/etcdtest"
)

// leaderKills says, in the environment, how often to kill the leader.
const leaderKills = "TRENT_LEADER_KILLS"

// What docs/reliability.md says of a cluster with the settings that it has by default, measured on loopback.
func TestFigures(t *testing.T) {
	w := newWorld(t, false, 3)
	t.Run("revocation", func(t *testing.T) { w.revocation(t, many(revocations, 30)) })
	t.Run("suspended node", func(t *testing.T) { w.suspendedNode(t) })
	t.Run("no leader", func(t *testing.T) { w.noLeader(t) })
	t.Run("failover", func(t *testing.T) { w.failover(t, many(leaderKills, 1)) })
}

func newKeyOn(t *testing.T, w *world) string {
	t.Helper()
	out, err := w.client(w.nodes[0]).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return *out.KeyMetadata.KeyId
}

func useOf(ctx context.Context, c *kms.Client, id string) error {
	_, err := c.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &id, KeySpec: types.DataKeySpecAes256})
	return err
}

// revocation measures how long after the acknowledgement of DisableKey by one node a use through another
// begins that still succeeds.
func (w *world) revocation(t *testing.T, times int) {
	id := newKeyOn(t, w)
	ctx := t.Context()
	var delays []time.Duration
	for i := range times {
		by := w.client(w.nodes[i%len(w.nodes)])
		stop := make(chan struct{})
		last := make([]time.Time, len(w.nodes)) // of the uses that succeeded, when the newest began
		var refused atomic.Int64
		var users sync.WaitGroup
		for n, node := range w.nodes {
			c := w.client(node)
			users.Go(func() {
				for told := false; ; {
					began := time.Now()
					if err := useOf(ctx, c, id); err == nil {
						last[n] = began
					} else if !told {
						told = true
						refused.Add(1)
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		if _, err := by.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id}); err != nil {
			t.Fatal(err)
		}
		acknowledged := time.Now()
		until(int64(len(w.nodes)), &refused)
		close(stop)
		users.Wait()
		for n := range w.nodes {
			if n != i%len(w.nodes) {
				delays = append(delays, max(0, last[n].Sub(acknowledged)))
			} else if last[n].After(acknowledged) {
				t.Errorf("the node that disabled the key allowed a use that began %v later", last[n].Sub(acknowledged))
			}
		}
		if _, err := by.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &id}); err != nil {
			t.Fatal(err)
		}
		for _, node := range w.nodes {
			for c := w.client(node); useOf(ctx, c, id) != nil; {
			}
		}
	}
	slices.Sort(delays)
	worst := delays[len(delays)-1]
	t.Logf("%d revocations, seen by the two other nodes: p50 %v, p99 %v, worst %v", times,
		delays[len(delays)/2].Round(time.Microsecond), delays[len(delays)*99/100].Round(time.Microsecond), worst.Round(time.Microsecond))
	if worst > follow.DefaultBound {
		t.Errorf("%v is beyond the bound", worst)
	}
}

// suspendedNode holds a node that stands still for longer than the bound to it: what it is asked first when it goes on
// it refuses, or it has caught up.
func (w *world) suspendedNode(t *testing.T) {
	id, ctx := newKeyOn(t, w), t.Context()
	still := w.nodes[2]
	c := w.client(still)
	if err := useOf(ctx, c, id); err != nil {
		t.Fatal(err)
	}
	if err := still.pause(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client(w.nodes[0]).DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id}); err != nil {
		t.Fatal(err)
	}
	acknowledged := time.Now()
	first := make(chan error, 8)
	time.Sleep(follow.DefaultBound + 10*time.Millisecond)
	for range cap(first) { // they are there when it goes on
		go func() { first <- useOf(ctx, w.client(still), id) }()
	}
	time.Sleep(50 * time.Millisecond)
	if err := still.goOn(); err != nil {
		t.Fatal(err)
	}
	answers := make(map[string]int)
	for range cap(first) {
		err := <-first
		if err == nil {
			t.Errorf("a node that stood still allowed a use %v after the key was disabled", time.Since(acknowledged))
			continue
		}
		refusal, _ := errors.AsType[smithy.APIError](err)
		if refusal == nil || refusal.ErrorCode() != "DisabledException" && refusal.ErrorCode() != "KeyUnavailableException" {
			t.Errorf("its answer: %v", err)
			continue
		}
		answers[refusal.ErrorCode()]++
	}
	t.Logf("the first answers of a node that stood still for longer than the bound: %v", answers)
}

// noLeader has the members lose their leader for a second, in which every node goes on to answer; and then for
// longer than the bound, after which none does.
func (w *world) noLeader(t *testing.T) {
	id, ctx := newKeyOn(t, w), t.Context()
	warm := func() {
		w.untilWell(id)
		for _, n := range w.nodes {
			if err := useOf(ctx, w.client(n), id); err != nil {
				t.Fatal(err)
			}
		}
	}
	warm()
	_, answered, failed := w.usesWhile(t, id, time.Second)
	t.Logf("uses answered by three nodes while there was no leader for a second: %d of %d", answered, answered+failed)
	if failed > 0 || answered == 0 {
		t.Errorf("%d uses were not answered", failed)
	}
	time.Sleep(follow.DefaultBound) // nodes lose their watch with the leader, and what they had in memory when it is back
	warm()
	latest, _, failed := w.usesWhile(t, id, 2*follow.DefaultBound+time.Second) // a request waits for as long as the bound
	t.Logf("no leader for longer: the last use that was answered began %v after the loss; %d were refused", latest.Round(time.Millisecond), failed)
	if latest > follow.DefaultBound {
		t.Errorf("a use was answered that began %v after the leader was lost", latest)
	}
	if failed == 0 {
		t.Error("none was refused")
	}
	w.untilWell(id)
}

// usesWhile stops the leader and another member for so long, and uses a key through all nodes meanwhile.
func (w *world) usesWhile(t *testing.T, id string, d time.Duration) (latest time.Duration, answered, failed int64) {
	l := w.leader()
	heal, err := both(w.suspendMember(l))(w.suspendMember((l + 1) % 3))
	if err != nil {
		t.Fatal(err)
	}
	lost := time.Now()
	var good, bad, last atomic.Int64
	var users sync.WaitGroup
	for _, n := range w.nodes {
		for range 2 {
			c := w.client(n)
			users.Go(func() {
				for time.Since(lost) < d-100*time.Millisecond {
					began := int64(time.Since(lost))
					if err := useOf(context.Background(), c, id); err != nil {
						bad.Add(1)
						continue
					}
					if time.Since(lost) > d {
						return // it has waited for the leader, and got its answer from it
					}
					good.Add(1)
					for {
						before := last.Load()
						if began <= before || last.CompareAndSwap(before, began) {
							break
						}
					}
				}
			})
		}
	}
	time.Sleep(d)
	if err := heal(); err != nil {
		t.Fatal(err)
	}
	users.Wait()
	return time.Duration(last.Load()), good.Load(), bad.Load()
}

// failover measures how long after the leader was killed the next write is acknowledged: by any node, and by the last of
// them.
func (w *world) failover(t *testing.T, times int) {
	var first, all []time.Duration
	for range times {
		ids := []string{newKeyOn(t, w), newKeyOn(t, w), newKeyOn(t, w)}
		w.untilWell(ids[0])
		heal, err := w.killMember(w.leader())
		if err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		took := make([]time.Duration, len(w.nodes))
		var writers sync.WaitGroup
		for i, n := range w.nodes {
			c := w.client(n)
			writers.Go(func() {
				for time.Since(killed) < patience {
					text := fmt.Sprint(time.Since(killed))
					if _, err := c.UpdateKeyDescription(context.Background(), &kms.UpdateKeyDescriptionInput{KeyId: &ids[i], Description: &text}); err == nil {
						break
					}
					time.Sleep(time.Millisecond)
				}
				took[i] = time.Since(killed)
			})
		}
		writers.Wait()
		first, all = append(first, slices.Min(took)), append(all, slices.Max(took))
		if err := heal(); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(first)
	slices.Sort(all)
	t.Logf("%d times the leader was killed; the next write was acknowledged after p50 %v, worst %v; by every node after p50 %v, worst %v", times,
		first[len(first)/2].Round(time.Millisecond), first[len(first)-1].Round(time.Millisecond),
		all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
	if worst := first[len(first)-1]; worst > 3*time.Second {
		t.Errorf("a write was acknowledged no sooner than %v after the leader was killed", worst)
	}
}

// Clocks that disagree by minutes change nothing of the bound, which no clock but a node's own running time is
// asked about.
func TestSEC_E08_ClockSkew(t *testing.T) {
	members := etcdtest.Start(t, 1, "--unsafe-no-fsync")
	c := config.Store{Dir: filepath.Join(t.TempDir(), "data"), Kind: "etcd", EtcdEndpoints: members.Endpoints(), EtcdPrefix: "trent/", EtcdTimeout: 5 * time.Second}
	keyID, secret := initHere(t, c)
	w := &world{t: t, keyID: keyID, secret: secret, nodes: []*node{{dir: c.Dir}}}
	for i, skew := range []time.Duration{0, 3 * time.Minute, -3 * time.Minute} {
		if i > 0 {
			n := &node{dir: filepath.Join(t.TempDir(), "data")}
			w.join(n)
			w.nodes = append(w.nodes, n)
		}
		c.Dir = w.nodes[i].dir
		s, err := serveHere(c, "127.0.0.1:0", func() time.Time { return time.Now().Add(skew) })
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		}()
		w.nodes[i].listen = strings.TrimPrefix(s.url, "http://")
	}
	w.revocation(t, 20)
}
