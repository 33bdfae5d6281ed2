package sigv4_test

import (
	"context"
	"math"
	"math/rand/v2"
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

// The statistical form, for a quiet machine: Welch's t over 10^5 of each. A clock
// in the same process sees single nanoseconds, and where things happen to lie in
// memory makes as many, so the test has a control: two keys that both exist. It
// fails where an unknown key differs significantly from a known one, and by more
// than twice what the two known ones differ. Of one run, read the figures; judge
// by many.
func TestSEC_A10_Welch(t *testing.T) {
	if os.Getenv("TRENT_TIMING") == "" {
		t.Skip("a statistical diagnostic that needs a quiet machine and a person to judge it: set TRENT_TIMING=1")
	}
	const twinID = "AKIAIOSFODNN7EXAMPL2"
	v := sigv4.NewVerifier(directory{knownID: credential(knownSecret, 1), twinID: credential(knownSecret, 1)}, sigv4.Regions{Names: []string{"us-east-1"}})
	known, unknown := pair()
	twin, s := plain(), newSigner()
	s.id, s.key = twinID, "wrong"
	s.sign(twin)
	requests, samples := []*sigv4.Request{known, twin, unknown}, make([][]float64, 3)
	for range 100_000 {
		for _, i := range rand.Perm(3) {
			samples[i] = append(samples[i], elapsed(v, requests[i]))
		}
	}
	control, _ := compare(samples[0], samples[1])
	diff, score := compare(samples[0], samples[2])
	t.Logf("of two known keys, the second takes %+.1f ns; an unknown key %+.1f ns, t = %.2f", control, diff, score)
	if math.Abs(score) >= 4.5 && math.Abs(diff) > 2*math.Abs(control) {
		t.Error("timing tells which access keys exist")
	}
}

// compare gives how much longer b takes than a, and Welch's t of that.
func compare(a, b []float64) (diff, score float64) {
	ma, va := moments(a)
	mb, vb := moments(b)
	return mb - ma, (mb - ma) / math.Sqrt(va+vb)
}

// moments gives mean, and variance of the mean, of the fastest nine tenths.
func moments(x []float64) (mean, variance float64) {
	x = slices.Sorted(slices.Values(x))
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
