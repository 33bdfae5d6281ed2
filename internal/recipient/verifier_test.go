package recipient_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/recipient"
)

// fake is a kind of evidence that says itself what it costs and how it ends: "cold",
// "warm" and "bad" are words of it.
type fake struct {
	signature, chain time.Duration

	mu       sync.Mutex
	at, most int // how many at once, now and at most
	busy     atomic.Int64
}

func (*fake) Knows(evidence []byte) bool { return !bytes.HasPrefix(evidence, []byte("foreign")) }

func (f *fake) Verify(evidence []byte, _ time.Time, run recipient.Run) (*recipient.Attested, error) {
	text := string(evidence)
	if strings.Contains(text, "garbage") {
		f.work(0)
		return nil, fault.New(api.ValidationException, "garbage")
	}
	if strings.Contains(text, "cold") {
		if err := run(recipient.Cold, func() { f.work(f.chain) }); err != nil {
			return nil, err
		}
	}
	if err := run(recipient.Warm, func() { f.work(f.signature) }); err != nil {
		return nil, err
	}
	if strings.Contains(text, "panic") {
		panic("a defect")
	}
	if strings.Contains(text, "bad") {
		return nil, fault.New(api.ValidationException, "bad")
	}
	return &recipient.Attested{Module: text}, nil
}

func (f *fake) work(d time.Duration) {
	f.mu.Lock()
	f.at++
	f.most = max(f.most, f.at)
	f.mu.Unlock()
	time.Sleep(d)
	f.busy.Add(int64(d))
	f.mu.Lock()
	f.at--
	f.mu.Unlock()
}

func newFake() *fake { return &fake{signature: time.Millisecond, chain: 4 * time.Millisecond} }

func verify(t *testing.T, v *recipient.Verifier, who, evidence string) error {
	t.Helper()
	a, err := v.Verify(t.Context(), who, []byte(evidence), time.Now())
	if (a == nil) == (err == nil) {
		t.Errorf("%s: %v and %v", evidence, a, err)
	}
	return err
}

// flood lets clients send evidence without end, for a while, and tells how often one
// was answered.
func flood(t *testing.T, v *recipient.Verifier, clients int, d time.Duration, who, evidence func(client, n int) string) (answered int64) {
	var count atomic.Int64
	var all sync.WaitGroup
	ends := time.Now().Add(d)
	for c := range clients {
		all.Go(func() {
			for n := 0; time.Now().Before(ends); n++ {
				_, _ = v.Verify(t.Context(), who(c, n), []byte(evidence(c, n)), time.Now())
				count.Add(1)
			}
		})
	}
	all.Wait()
	return count.Load()
}

// each is a caller for each client.
func each(c, _ int) string { return fmt.Sprint("client", c) }

// What is new to us gets a tenth of the processors, of one at most, however many send it.
func TestSEC_C04_ColdEvidenceGetsATenthOfTheMachine(t *testing.T) {
	for _, c := range []struct {
		processors int
		most       float64 // of one processor
	}{{1, 0.1}, {2, 0.2}, {4, 0.4}, {16, 1}} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			v := recipient.NewVerifierOn(c.processors, f)
			f.signature = 0
			began := time.Now()
			flood(t, v, 64, 10*time.Second, each, func(c, n int) string { return fmt.Sprint("cold ", c, n) })
			if share := float64(f.busy.Load()) / float64(time.Since(began)); share > c.most*1.02 || share < c.most*0.6 {
				t.Errorf("%d processors: %.2f of one, want %.2f", c.processors, share, c.most)
			}
			if f.most > 1 && c.processors < 10 {
				t.Errorf("%d at once", f.most)
			}
		})
	}
}

// What is refused at a glance costs next to nothing, and its answer is awaited all the same.
func TestSEC_C04_GarbageIsAnsweredSlowly(t *testing.T) {
	for _, shared := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			who := each
			if shared {
				who = func(int, int) string { return "one key" }
			}
			answered := flood(t, recipient.NewVerifierOn(2, newFake()), 64, 10*time.Second, who, func(int, int) string { return "garbage" })
			if answered > 5000+128 {
				t.Errorf("%d answers in ten seconds", answered)
			}
		})
	}
}

// While others send what is cold or garbage, whoever is known gets through at once.
func TestSEC_C04_KnownEvidenceDoesNotWaitForCold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := recipient.NewVerifierOn(2, newFake())
		var others sync.WaitGroup
		others.Go(func() {
			flood(t, v, 64, time.Second, each, func(c, n int) string { return fmt.Sprint([]string{"cold ", "garbage "}[c%2], c, n) })
		})
		time.Sleep(500 * time.Millisecond)
		began := time.Now()
		for range 100 {
			if err := verify(t, v, "known", "warm"); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("100 took %v", took)
		}
		others.Wait()
	})
}

// A caller waits for the requests of others by turns, not for all that they have sent.
func TestSEC_C04_CallersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		v := recipient.NewVerifierOn(2, f)
		for n := range 3 * recipient.MaxWaiting {
			go func() { _, _ = v.Verify(t.Context(), "greedy", fmt.Append(nil, "cold ", n), time.Now()) }()
		}
		synctest.Wait()
		began := time.Now()
		if err := verify(t, v, "modest", "cold modest"); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 60*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// The queue is bounded, whoever has the most gives way, and those are told to come again.
func TestSEC_C04_TheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := recipient.NewVerifierOn(2, newFake())
		var refused atomic.Int64
		send := func(who string) {
			if _, err := v.Verify(t.Context(), who, []byte("cold"), time.Now()); fault.Is(err, api.ThrottlingException) {
				refused.Add(1)
			}
		}
		for range recipient.MaxWaiting + 1 { // one works
			go send("greedy")
		}
		synctest.Wait()
		if n := refused.Load(); n != 0 {
			t.Fatalf("%d refused", n)
		}
		go send("greedy")
		synctest.Wait()
		if n := refused.Load(); n != 1 {
			t.Fatalf("%d refused, want 1", n)
		}
		for range 10 {
			go send("modest")
		}
		synctest.Wait()
		if n := refused.Load(); n != 11 {
			t.Fatalf("%d refused, want 11: ten made room", n)
		}
		time.Sleep(2 * recipient.Patience)
		synctest.Wait()
	})
}

// Nobody waits for ever, or for somebody who has gone, and no place is lost.
func TestWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.chain = time.Hour
		v := recipient.NewVerifierOn(2, f)
		go func() { _ = verify(t, v, "slow", "cold") }()
		synctest.Wait()
		began := time.Now()
		err := verify(t, v, "patient", "cold")
		if !fault.Is(err, api.ThrottlingException) || time.Since(began) != recipient.Patience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := v.Verify(ctx, "gone", []byte("cold"), time.Now()); !errors.Is(err, context.Canceled) || !fault.Is(err, api.ThrottlingException) {
			t.Error(err)
		}
		time.Sleep(2 * time.Hour)
		if err := verify(t, v, "patient", "cold"); err != nil {
			t.Error(err)
		}
	})
}

// A suspect waits, with whatever they send, until something of theirs is accepted. That the
// server was busy is held against nobody.
func TestSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := recipient.NewVerifierOn(2, newFake())
		took := func(who, evidence string) time.Duration {
			began := time.Now()
			_ = verify(t, v, who, evidence)
			return time.Since(began)
		}
		const work, rests = time.Millisecond, 4 * time.Millisecond
		for _, c := range []struct {
			who, evidence string
			want          time.Duration
		}{
			{"a", "warm", work},
			{"b", "warm bad", work},                // now a suspect
			{"b", "warm", work},                    // in the slow lane, which nobody was in; no suspect any more
			{"b", "warm bad", work},                // so the rest of the slow lane is nothing to them; a suspect again
			{"a", "warm", work},                    // others are not
			{"b", "foreign", 2 * time.Millisecond}, // what was left of the rest
			{"b", "foreign", 2 * time.Millisecond}, // the least rest
			{"b", "warm bad", 2*time.Millisecond + work},
			{"b", "warm", rests + work},
			{"b", "warm", work},
		} {
			if got := took(c.who, c.evidence); got != c.want {
				t.Errorf("%s with %s took %v, want %v", c.who, c.evidence, got, c.want)
			}
		}
	})
}

// Who makes the verifier panic is a suspect, and the lane goes on.
func TestSEC_C06_APanicHoldsNoLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := recipient.NewVerifierOn(2, newFake())
		for range 3 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				_, _ = v.Verify(t.Context(), "a", []byte("cold panic"), time.Now())
			}()
		}
		if err := verify(t, v, "b", "cold"); err != nil {
			t.Error(err)
		}
	})
}

// Beyond the bound the oldest suspect is forgotten.
func TestSEC_C04_SuspectsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := recipient.NewVerifierOn(2, newFake())
		for n := range recipient.MaxSuspects + 1 {
			_ = verify(t, v, fmt.Sprint(n), "garbage")
		}
		began := time.Now()
		_ = verify(t, v, "1", "warm") // uses the slow lane
		_ = verify(t, v, "0", "warm")
		if took := time.Since(began); took != 2*time.Millisecond {
			t.Errorf("the forgotten one waited: %v", took)
		}
		began = time.Now()
		_ = verify(t, v, "2", "warm")
		if took := time.Since(began); took <= time.Millisecond {
			t.Error("a suspect did not wait")
		}
	})
}

// Nothing gets lost or done twice, whoever comes, goes and fails.
func TestLanesUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		v := recipient.NewVerifierOn(4, f)
		var accepted sync.Map
		var all sync.WaitGroup
		for c := range 200 {
			all.Go(func() {
				for n := range 20 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+(c*7+n*13)%400)*time.Millisecond)
					text := fmt.Sprint([]string{"cold", "warm", "garbage", "warm bad"}[(c+n)%4], " ", c, "-", n)
					if a, err := v.Verify(ctx, fmt.Sprint(c%17), []byte(text), time.Now()); err == nil {
						if _, twice := accepted.LoadOrStore(a.Module, true); twice || a.Module != text {
							t.Errorf("%s for %s", a.Module, text)
						}
					}
					cancel()
				}
			})
		}
		all.Wait()
		time.Sleep(time.Second)
		for range 5 {
			if err := verify(t, v, "after", "cold warm"); err != nil {
				t.Error(err)
			}
		}
		if f.most > 4 {
			t.Errorf("%d at once", f.most)
		}
	})
}
