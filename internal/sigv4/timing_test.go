package sigv4_test

import (
	"context"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"trent/internal/sigv4"
)

// pair is a request with a wrong signature of a key that exists, and one of a
// key that does not.
func pair() (known, unknown *sigv4.Request) {
	s := newSigner()
	s.key = "wrong"
	known = plain()
	s.sign(known)
	s.id = unknownID
	unknown = plain()
	s.sign(unknown)
	return known, unknown
}

func elapsed(v *sigv4.Verifier, r *sigv4.Request) float64 {
	start := time.Now()
	_, _ = v.Verify(context.Background(), r, noon)
	return float64(time.Since(start))
}

// An unknown key is as much work as a known one. This coarse form would see the
// work left out; it tries a few times, since machines are busy.
func TestSEC_A10_ComparableWork(t *testing.T) {
	v := newVerifier()
	known, unknown := pair()
	var ratio float64
	for range 5 {
		var a, b []float64
		for range 2000 {
			a = append(a, elapsed(v, known))
			b = append(b, elapsed(v, unknown))
		}
		slices.Sort(a)
		slices.Sort(b)
		ratio = b[len(b)/2] / a[len(a)/2]
		if ratio > 0.67 && ratio < 1.5 {
			return
		}
	}
	t.Errorf("an unknown access key takes %.2f times as long as a known one", ratio)
}

// The statistical form, for a quiet machine: Welch's t over 10^5 of each, with
// the slowest tenth of both cut off. At this number of tries a clock in the same
// process sees single nanoseconds, such as those between finding something in a
// map and not finding it; a difference counts from one per cent of the work.
func TestSEC_A10_Welch(t *testing.T) {
	if os.Getenv("TRENT_TIMING") == "" {
		t.Skip("set TRENT_TIMING=1 on a quiet machine")
	}
	v := newVerifier()
	known, unknown := pair()
	var a, b []float64
	for i := range 100_000 {
		if i%2 == 0 {
			a, b = append(a, elapsed(v, known)), append(b, elapsed(v, unknown))
		} else {
			b, a = append(b, elapsed(v, unknown)), append(a, elapsed(v, known))
		}
	}
	ma, va := moments(a)
	mb, vb := moments(b)
	score := (ma - mb) / math.Sqrt(va+vb)
	t.Logf("known %.0f ns, unknown %.0f ns, t = %.2f", ma, mb, score)
	if math.Abs(score) >= 4.5 && math.Abs(ma-mb) > 0.01*ma {
		t.Errorf("t = %.2f: timing tells which access keys exist", score)
	}
}

// moments gives mean, and variance of the mean, of the fastest nine tenths.
func moments(x []float64) (mean, variance float64) {
	slices.Sort(x)
	x = x[:len(x)*9/10]
	for _, v := range x {
		mean += v
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean)
	}
	return mean, variance / float64(len(x)-1) / float64(len(x))
}
