package main

import (
	"bytes"
	"fmt"
	"testing"
)

// lastCount is how many outcomes were shown last. It only grows.
const lastCount = 565

// Every action has every outcome that a request can bring about, and no fewer than it had before.
func TestConformance(t *testing.T) {
	var out, errs bytes.Buffer
	code := run(&world{t.Context(), &out, &errs}, []string{"conformance"})
	var shown, all, actions int
	for line := range bytes.Lines(out.Bytes()) {
		if n, _ := fmt.Sscanf(string(line), "%d of %d outcomes of %d actions shown", &shown, &all, &actions); n == 3 {
			break
		}
	}
	if code != 0 || actions != 56 || shown < lastCount {
		t.Errorf("exit code %d, %d of %d outcomes of %d actions, where %d were shown before\n%s%s", code, shown, all, actions, lastCount, out.Bytes(), errs.Bytes())
	}
}
