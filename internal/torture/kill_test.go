// Package torture does to a built server what the world does: it kills it, over
// and over, in the middle of its work, and holds it to what it acknowledged.
package torture

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

// writers is how many clients work at once.
const writers = 8

// TestKill kills the server with SIGKILL at a random moment under load from
// eight writers, starts it again, and looks: every key, alias, policy and
// description that was acknowledged is there, and every ciphertext decrypts to
// what it was made from. TRENT_KILLS says how often; `make torture` a hundred times.
func TestKill(t *testing.T) {
	rounds := 5
	if n, err := strconv.Atoi(os.Getenv("TRENT_KILLS")); err == nil {
		rounds = n
	}
	s := newServer(t)
	j := new(journal)
	checked := 0
	for round := range rounds {
		s.start(t)
		deadline := time.Duration(20+rand.IntN(400)) * time.Millisecond
		work(t, s, j, round, deadline)
		s.kill(t)
		s.start(t)
		checked += j.verify(t, s.client(), round)
		s.kill(t) // at rest too: what was read must not need a clean end
	}
	acks := len(j.keys)
	if acks < rounds {
		t.Errorf("only %d keys were acknowledged in %d rounds: that is no load", acks, rounds)
	}
	t.Logf("%d kills, %d keys acknowledged, %d checks of what was acknowledged, nothing lost", 2*rounds, acks, checked)
}

// work lets the writers go at the server, and kills it after a while.
func work(t *testing.T, s *server, j *journal, round int, after time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all sync.WaitGroup
	for w := range writers {
		c := s.client()
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if !j.oneKey(ctx, c, round, w, n) {
					return // the server is gone
				}
			}
		})
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	<-timer.C
	s.kill(t)
	cancel()
	all.Wait()
}
