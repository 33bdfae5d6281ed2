package faults

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// A call on a register: the description of a key. Every write writes what no other does.
type call struct {
	write bool
	value string // that was written, or read
}

// register is what a description does: a read gives what was written last.
var register = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		c := input.(call)
		if c.write {
			return true, c.value
		}
		return output.(string) == state.(string), state
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprint(input, output) },
}

// A history is what was done to one register, in time since some moment.
type history struct {
	keyID string
	began time.Time
	mu    sync.Mutex
	done  []porcupine.Operation
}

func newHistory(ctx context.Context, c *kms.Client) (*history, error) {
	made, err := c.CreateKey(ctx, &kms.CreateKeyInput{})
	if err != nil {
		return nil, err
	}
	return &history{keyID: *made.KeyMetadata.KeyId, began: time.Now()}, nil
}

func (h *history) now() int64 { return int64(time.Since(h.began)) }

func (h *history) add(client int, c call, called, returned int64, read string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = append(h.done, porcupine.Operation{ClientId: client, Input: c, Call: called, Return: returned, Output: read})
}

// write writes through a node. Without an answer it may have been done, or may be yet.
func (h *history) write(ctx context.Context, c *kms.Client, client int, value string) error {
	called := h.now()
	_, err := c.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: &h.keyID, Description: &value})
	returned := h.now()
	if err != nil {
		returned = math.MaxInt64
	}
	h.add(client, call{true, value}, called, returned, "")
	return err
}

// read reads through a node. It may show what was so as long ago as the bound: which is the same as to
// have asked that much earlier.
func (h *history) read(ctx context.Context, c *kms.Client, client int) error {
	called := h.now()
	got, err := c.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &h.keyID})
	if err != nil {
		return err // a refusal shows nothing
	}
	h.add(client, call{}, called-int64(bound), h.now(), aws.ToString(got.KeyMetadata.Description))
	return nil
}

// operations leaves out the writes without an answer that nobody saw: they can have been done after
// everything else, and the search would have to try them everywhere. One that somebody saw was done by
// then.
func (h *history) operations() (all []porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := make(map[string]int64) // when somebody had seen a value
	for _, o := range h.done {
		if at, before := seen[o.Output.(string)]; !o.Input.(call).write && (!before || o.Return < at) {
			seen[o.Output.(string)] = o.Return
		}
	}
	for _, o := range h.done {
		if c := o.Input.(call); c.write && o.Return == math.MaxInt64 {
			at, there := seen[c.value]
			if !there {
				continue
			}
			o.Return = at
		}
		all = append(all, o)
	}
	return all
}

// search is how long to look for an order of the calls of one history. Most are found in milliseconds; the
// race detector makes it some ten times as long.
const search = 4 * time.Second

// check says whether the calls can have happened one after the other. The search may take too long to tell.
func (h *history) check(t *testing.T) (calls int, decided bool) {
	t.Helper()
	all := h.operations()
	switch porcupine.CheckOperationsTimeout(register, all, search) {
	case porcupine.Illegal:
		t.Errorf("the history of %s is not linearizable: %s", h.keyID, describe(all))
	case porcupine.Unknown:
		return len(all), false
	}
	return len(all), true
}

// describe lists calls, times in ms.
func describe(all []porcupine.Operation) string {
	var b strings.Builder
	for _, o := range all {
		fmt.Fprintf(&b, "\n%9.3f to %9.3f, client %d: %+v %v", float64(o.Call)/1e6, float64(o.Return)/1e6, o.ClientId, o.Input, o.Output)
	}
	return b.String()
}

// An onOff is a right to use a key that is given and taken away, over and over, by one client. Its uses are
// held to the bound.
type onOff struct {
	name      string
	mu        sync.Mutex
	intervals []interval // in which it was off: from the acknowledgement to the next time it was asked to be on
	uses      []use
}

type interval struct{ from, to time.Time } // to zero: still off

type use struct {
	node      int
	from, to  time.Time
	succeeded bool
}

func (s *onOff) turnedOff(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intervals = append(s.intervals, interval{from: at})
}

func (s *onOff) turnsOn(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.intervals); n > 0 && s.intervals[n-1].to.IsZero() {
		s.intervals[n-1].to = at
	}
}

func (s *onOff) used(u use) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uses = append(s.uses, u)
}

// check finds uses that succeeded though they began later than the bound allows after the right was
// taken away, and ended before it was asked back. It returns how many uses there were within an interval,
// which might have been wrong.
func (s *onOff) check(t *testing.T, allowed time.Duration) (uses, within int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.uses {
		for _, off := range s.intervals {
			if u.from.Before(off.from.Add(allowed)) || !off.to.IsZero() && u.to.After(off.to) {
				continue
			}
			within++
			if u.succeeded {
				t.Errorf("%s: node %d allowed a use that began %v after the right was taken away", s.name, u.node, u.from.Sub(off.from))
			}
		}
	}
	return len(s.uses), within
}

// TestCheckersBite shows each checker what it is to find.
func TestCheckersBite(t *testing.T) {
	h := &history{keyID: "k"}
	second := int64(time.Second)
	h.add(0, call{true, "a"}, 1*second, 2*second, "")
	h.add(0, call{true, "b"}, 3*second, 4*second, "")
	h.add(1, call{}, 9*second-int64(bound), 10*second, "a") // older than the bound
	if porcupine.CheckOperations(register, h.operations()) {
		t.Error("a read of what was five seconds ago is called linearizable")
	}
	h.done[2].Call = 5*second - int64(bound)
	if !porcupine.CheckOperations(register, h.operations()) {
		t.Error("a read within the bound is not")
	}
	now := time.Now()
	s := &onOff{name: "s"}
	s.turnedOff(now)
	s.used(use{from: now.Add(bound / 2), to: now.Add(bound), succeeded: true})
	if _, within := s.check(t, bound); within != 0 {
		t.Error("a use within the bound was looked at")
	}
	s.used(use{from: now.Add(bound + 1), to: now.Add(2 * bound)})
	if _, within := s.check(t, bound); within != 1 {
		t.Error("a use beyond the bound was not looked at")
	}
}

var errStopped = errors.New("stopped")
