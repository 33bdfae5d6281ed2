package server

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// headroom is how much garbage may gather before it is collected, in bytes. A
// small server would else collect many times a second: Go's default is as
// much as is alive, which here is next to nothing. Much more does not help: the
// garbage then falls out of the processor's caches, and memory has to be had.
const headroom = 32 << 20

// The bounds of the resulting percentage of what is alive.
const (
	leastGC = 50
	mostGC  = 800
)

// paceGC keeps the collector at about headroom, whatever is alive, by setting
// its percentage anew after each collection. It leaves a setting of the
// operator's alone.
func paceGC() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	var percent int
	var next func()
	next = func() {
		metrics.Read(live)
		want := mostGC
		if alive := live[0].Value.Uint64(); alive > 0 {
			want = int(min(max(headroom*100/alive, leastGC), mostGC))
		}
		// Setting it stops the world for a moment: not for a change that does not matter.
		if percent == 0 || want < percent*9/10 || want > percent*11/10 {
			percent = want
			debug.SetGCPercent(percent)
		}
		onNextGC(next)
	}
	next()
}

// onNextGC calls f after the next collection, which is when an object dies that
// nobody holds.
func onNextGC(f func()) {
	type sentinel struct{ _ [16]byte }
	runtime.AddCleanup(new(sentinel), func(f func()) { f() }, f)
}
