package backup

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"trent/internal/store"
)

// BenchmarkBackup writes and reads back a store of 20,000 records of 500 bytes.
func BenchmarkBackup(b *testing.B) {
	w := newWorldAtOnce(b, 20000, 500)
	n := w.snapshot(b)
	var kept bytes.Buffer
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			kept.Reset()
			if _, err := Write(b.Context(), &kept, n, rootKeys, w.sealer, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(kept.Len()), "bytes/backup")
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			opened, err := Open(bytes.NewReader(kept.Bytes()), unlock(b, w.root))
			if err != nil {
				b.Fatal(err)
			}
			if err := store.Each(b.Context(), opened, func(store.Record) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// newWorldAtOnce is newWorld, with many records in a commit.
func newWorldAtOnce(b *testing.B, records, size int) *world {
	w := newWorld(b, 0, 0)
	for first := 0; first < records; first += store.MaxBatch {
		var batch store.Batch
		for i := first; i < min(first+store.MaxBatch, records); i++ {
			value := make([]byte, size)
			rand.Read(value)
			batch.Put = append(batch.Put, store.Put{Path: fmt.Sprintf("key/%08d", i), Value: value})
		}
		if _, err := w.store.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	return w
}
