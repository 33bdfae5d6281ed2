package iamtest

import (
	"bufio"
	_ "embed"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

//go:embed evaluate.py
var script string

// Draw says how many cases to draw, and from which seed: usually, or fewer in a short
// test, or what TRENT_POLICY_CASES and TRENT_POLICY_SEED ask for. If the test fails, it
// tells the seed.
func Draw(t testing.TB, usually, short int) (count int, seed uint64) {
	t.Helper()
	count, seed = usually, uint64(time.Now().UnixNano())
	if testing.Short() {
		count = short
	}
	if n, err := strconv.Atoi(os.Getenv("TRENT_POLICY_CASES")); err == nil {
		count = n
	}
	if n, err := strconv.ParseUint(os.Getenv("TRENT_POLICY_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the seed was TRENT_POLICY_SEED=%d", seed)
		}
	})
	return count, seed
}

// A Naive is a running evaluate.py.
type Naive struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// Start runs evaluate.py until the test ends. Without python3 it skips the test.
func Start(t testing.TB) *Naive {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed: the second evaluator is written in it, so nothing was compared")
	}
	cmd := exec.Command(python, "-c", script)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if t.Failed() {
			cmd.Process.Kill() // it may be in the middle of an answer that nobody reads
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("evaluate.py: %v", err)
		}
	})
	return &Naive{in, bufio.NewReaderSize(out, 1<<20)}
}

// Ask puts all cases and returns the answers in their order.
func (n *Naive) Ask(t testing.TB, cases []*Case) []Answer {
	t.Helper()
	written := make(chan error, 1)
	go func() { written <- n.write(cases) }()
	answers := make([]Answer, len(cases))
	for i := range answers {
		line, err := n.out.ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &answers[i])
		}
		if err != nil {
			n.in.Close()
			t.Fatalf("evaluate.py, answer %d: %v", i, errors.Join(err, <-written))
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	return answers
}

// write sends the cases. If it cannot, it ends the input, so that nobody waits
// for the answers.
func (n *Naive) write(cases []*Case) (err error) {
	defer func() {
		if err != nil {
			n.in.Close()
		}
	}()
	w := bufio.NewWriterSize(n.in, 1<<20)
	for _, c := range cases {
		line, err := json.Marshal(c, json.FormatNilSliceAsNull(true), json.FormatNilMapAsNull(true), json.Deterministic(true))
		if err != nil {
			return err
		}
		w.Write(append(line, '\n'))
	}
	return w.Flush()
}
