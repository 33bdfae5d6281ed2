package nitro_test

import (
	"testing"
	"time"

	"trent/internal/recipient/devroot"
	"trent/internal/recipient/nitro"
)

// BenchmarkVerify is what a document costs: with a chain that is new, with one that is
// known, and where it is refused at a glance.
func BenchmarkVerify(b *testing.B) {
	r, err := devroot.New(at)
	if err != nil {
		b.Fatal(err)
	}
	var docs [2][]byte // of two chains, of which one is remembered
	for i := range docs {
		m, err := r.NewModule("module", at)
		if err != nil {
			b.Fatal(err)
		}
		docs[i] = sign(b, m)
	}
	settings := nitro.Settings{Roots: []nitro.Root{r.Trusted()}, MaxAge: time.Minute}
	for _, c := range []struct {
		name string
		now  time.Time
		docs int
	}{{"cold", at, 2}, {"warm", at, 1}, {"stale", at.Add(time.Hour), 1}} {
		b.Run(c.name, func(b *testing.B) {
			v, err := nitro.NewBounded(settings, 1)
			if err != nil {
				b.Fatal(err)
			}
			n := 0
			for b.Loop() {
				if _, err := v.Verify(docs[n%c.docs], c.now, atOnce); (err != nil) != (c.now != at) {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/op")
		})
	}
}

// BenchmarkSign is what it costs to make a document for a test.
func BenchmarkSign(b *testing.B) {
	r, err := devroot.New(at)
	if err != nil {
		b.Fatal(err)
	}
	m, err := r.NewModule("module", at)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		sign(b, m)
	}
}
