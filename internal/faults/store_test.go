package faults

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"trent/internal/store"
	"trent/internal/store/etcd"
	"trent/internal/store/etcd/etcdtest"
)

// An exchange writes a value where another one is, at the revision at which that was read. Every value is
// written once.
type exchange struct{ from, to string } // both "": a read

type outcome struct {
	value   string // that was read
	done    bool   // the condition held
	unknown bool   // no answer came
}

// swap is what a record does under conditions. Of an exchange without an answer, that it is not done is the
// same as that it comes after everything else; see exchanges.
var swap = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		now, x, o := state.(string), input.(exchange), output.(outcome)
		switch {
		case x.to == "":
			return o.value == now, now
		case o.unknown && now == x.from, o.done && now == x.from:
			return true, x.to
		case o.unknown:
			return true, now
		default:
			return !o.done && now != x.from, now
		}
	},
}

// A swapper is one client of a record, through a connection of its own.
type swapper struct {
	s      store.Store
	client int
	began  time.Time
	done   []porcupine.Operation
}

func (s *swapper) now() int64 { return int64(time.Since(s.began)) }

func (s *swapper) add(x exchange, o outcome, called int64) {
	returned := s.now()
	if o.unknown {
		returned = math.MaxInt64
	}
	s.done = append(s.done, porcupine.Operation{ClientId: s.client, Input: x, Output: o, Call: called, Return: returned})
}

// step reads and exchanges.
func (s *swapper) step(ctx context.Context, path, value string) error {
	called := s.now()
	r, err := s.s.Get(ctx, path)
	if errors.Is(err, store.ErrNotFound) {
		r, err = store.Record{}, nil
	}
	if err != nil {
		return nil // no answer to a read says nothing
	}
	s.add(exchange{}, outcome{value: string(r.Value)}, called)
	called = s.now()
	_, err = s.s.Commit(ctx, store.Batch{If: []store.Condition{{Path: path, Rev: r.Rev}}, Put: []store.Put{{Path: path, Value: []byte(value)}}})
	x := exchange{string(r.Value), value}
	if _, conflict := errors.AsType[*store.Conflict](err); conflict || err == nil {
		s.add(x, outcome{done: err == nil}, called)
		return nil
	}
	if errors.Is(err, store.ErrUnavailable) {
		return nil // nothing was changed
	}
	if !errors.Is(err, store.ErrOutcomeUnknown) {
		return fmt.Errorf("commit: %w; want ErrOutcomeUnknown", err)
	}
	s.add(x, outcome{unknown: true}, called)
	return nil
}

// exchanges leaves out those without an answer whose value nobody saw.
func exchanges(all []porcupine.Operation) []porcupine.Operation {
	seen := make(map[string]int64)
	for _, o := range all {
		x := o.Input.(exchange)
		for _, v := range []string{x.from, o.Output.(outcome).value} {
			if at, before := seen[v]; v != "" && (!before || o.Return < at) {
				seen[v] = o.Return
			}
		}
	}
	return slices.DeleteFunc(all, func(o porcupine.Operation) bool {
		_, there := seen[o.Input.(exchange).to]
		return o.Output.(outcome).unknown && !there
	})
}

// What the store itself promises holds while its members are killed and stand still: reads and conditional
// writes of one record, through many connections, are linearizable, without any bound.
func TestStoreHistory(t *testing.T) {
	random := seeded(t)
	c := etcdtest.Start(t, 3)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	began := time.Now()
	const records, clients = 4, 4
	var swappers [records][clients]*swapper
	for i := range records {
		for j := range clients {
			s, err := etcd.Open(t.Context(), etcd.Options{Endpoints: c.Endpoints(), Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			w := &swapper{s: s, client: j, began: began}
			swappers[i][j] = w
			wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(rand.N(60 * time.Millisecond)):
					}
					if err := w.step(context.Background(), fmt.Sprint("record/", i), fmt.Sprint(j, ".", n)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	for range many(clusterRounds, 4) / 4 {
		hurtMembers(t, c, random.IntN(3), random.IntN(2) == 0, time.Duration(200+random.IntN(1500))*time.Millisecond)
	}
	hurtMembers(t, c, 0, true, time.Second)
	close(stop)
	wg.Wait()
	calls := 0
	for i := range records {
		var all []porcupine.Operation
		for _, w := range swappers[i] {
			all = append(all, w.done...)
		}
		all = exchanges(all)
		calls += len(all)
		if got := porcupine.CheckOperationsTimeout(swap, all, time.Minute); got != porcupine.Ok {
			t.Errorf("the history of record %d, of %d calls, is %s", i, len(all), got)
		}
	}
	t.Logf("%d histories of %d calls in all are linearizable", records, calls)
	if calls < 100 {
		t.Error("hardly anything was done")
	}
}

// hurtMembers kills or suspends a member for a while.
func hurtMembers(t *testing.T, c *etcdtest.Cluster, i int, kill bool, hold time.Duration) {
	t.Helper()
	m := c.Members[i]
	if kill {
		m.Kill()
		time.Sleep(hold)
		m.Start(t)
		m.Wait(t)
		return
	}
	err := m.Suspend()
	time.Sleep(hold)
	if err := errors.Join(err, m.Resume()); err != nil {
		t.Fatal(err)
	}
	m.Wait(t)
}

// A search through a history finds what cannot have been.
func TestSwapModelBites(t *testing.T) {
	lost := []porcupine.Operation{
		{ClientId: 0, Input: exchange{"", "a"}, Output: outcome{done: true}, Call: 1, Return: 2},
		{ClientId: 1, Input: exchange{"", "b"}, Output: outcome{done: true}, Call: 3, Return: 4}, // the condition held twice
	}
	if porcupine.CheckOperations(swap, lost) {
		t.Error("a lost update is called linearizable")
	}
	stale := []porcupine.Operation{
		{ClientId: 0, Input: exchange{"", "a"}, Output: outcome{done: true}, Call: 1, Return: 2},
		{ClientId: 1, Input: exchange{}, Output: outcome{value: ""}, Call: 3, Return: 4},
	}
	if porcupine.CheckOperations(swap, stale) {
		t.Error("a stale read is called linearizable")
	}
}
