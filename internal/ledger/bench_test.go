package ledger_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"trent/internal/store"
)

// creation is a batch like that of CreateKey.
func creation(n int64) store.Batch {
	key, material, seen := fmt.Sprintf("key/111122223333/us-east-1/%08x-12ab-34cd-56ef-%012x", uint32(n*2654435761), n), fmt.Sprintf("material/%08x%035d", uint32(n*2246822519), n), fmt.Sprintf("seen/01c5a2b0/%016x", n)
	return store.Batch{
		If:  []store.Condition{{Path: key}, {Path: material}, {Path: seen}},
		Put: []store.Put{{Path: key, Value: make([]byte, 150)}, {Path: material, Value: make([]byte, 120)}, {Path: seen, Value: make([]byte, 9)}},
	}
}

// BenchmarkCreation is a batch like CreateKey's with and without a ledger, in turn, by one
// writer (medians) and by 64.
func BenchmarkCreation(b *testing.B) {
	b.Run("one", func(b *testing.B) {
		plain := newBolt(b)
		ledgered := begun(b, newBolt(b), newSealer(b))
		var without, with []time.Duration
		for n := int64(0); b.Loop(); n++ {
			without = append(without, timed(b, plain, n))
			with = append(with, timed(b, ledgered, n))
		}
		slices.Sort(without)
		slices.Sort(with)
		b.ReportMetric(float64(without[len(without)/2].Nanoseconds()), "plain-ns")
		b.ReportMetric(float64(with[len(with)/2].Nanoseconds()), "ledger-ns")
	})
	for name, st := range map[string]store.Store{"64/plain": newBolt(b), "64/ledger": begun(b, newBolt(b), newSealer(b))} {
		b.Run(name, func(b *testing.B) {
			n := new(atomic.Int64)
			n.Store(time.Now().UnixNano() % 1e12)
			b.SetParallelism((64 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					timed(b, st, n.Add(1))
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

func timed(b *testing.B, st store.Store, n int64) time.Duration {
	began := time.Now()
	if _, err := st.Commit(context.Background(), creation(n)); err != nil {
		b.Error(err)
	}
	return time.Since(began)
}
