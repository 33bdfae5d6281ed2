package lane_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/lane"
)

// No more is done at once than there are places, whoever asks.
func TestSEC_F03_Places(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lane.New(2, nil, "busy")
		var mu sync.Mutex
		working, most := 0, 0
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			working += n
			most = max(most, working)
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := l.Run(t.Context(), "somebody", func() { count(1); time.Sleep(time.Millisecond); count(-1) }); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most != 2 {
			t.Errorf("%d worked at once", most)
		}
	})
}

// Who asks for much waits for who asks for little, and is the one to go where there are too many.
func TestSEC_F03_NoisyNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lane.New(1, nil, "too many")
		var mu sync.Mutex
		var order []string
		refused := map[string]int{}
		ask := func(who string) {
			err := l.Run(context.Background(), who, func() {
				mu.Lock()
				order = append(order, who)
				mu.Unlock()
				time.Sleep(time.Millisecond)
			})
			if err != nil && !fault.Is(err, api.ThrottlingException) {
				t.Error(err)
			}
			if err != nil {
				mu.Lock()
				refused[who]++
				mu.Unlock()
			}
		}
		for range lane.MaxWaiting + 50 {
			go ask("noisy")
		}
		synctest.Wait()
		for range 3 {
			go ask("quiet")
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		if refused["quiet"] > 0 || refused["noisy"] == 0 {
			t.Errorf("refused: %v", refused)
		}
		if last := len(order) - 1 - slices.Index(reversed(order), "quiet"); last > 8 {
			t.Errorf("the last of three quiet ones was done as number %d", last)
		}
	})
}

func reversed(s []string) []string {
	s = slices.Clone(s)
	slices.Reverse(s)
	return s
}

// A place is free again after work that panicked.
func TestPlaceAfterPanic(t *testing.T) {
	l := lane.New(1, nil, "busy")
	func() {
		defer func() { _ = recover() }()
		_ = l.Run(t.Context(), "somebody", func() { panic("work") })
	}()
	done := false
	if err := l.Run(t.Context(), "somebody", func() { done = true }); err != nil || !done {
		t.Errorf("%v, %v", done, err)
	}
}
