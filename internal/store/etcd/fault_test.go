package etcd_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"trent/internal/store"
	"trent/internal/store/etcd"
	"trent/internal/store/etcd/etcdtest"
)

func putOf(path, value string) store.Batch {
	return store.Batch{Put: []store.Put{{Path: path, Value: []byte(value)}}}
}

// What etcd would not take is refused before it is sent, and what is not refused
// etcd takes: both sides of the bound.
func TestLargestBatch(t *testing.T) {
	s := open(t, etcdtest.Start(t, 1, "--unsafe-no-fsync"), "large")
	defer s.Close()
	half := strings.Repeat("v", etcd.MaxBytes/2-100)
	b := store.Batch{Put: []store.Put{{Path: "a", Value: []byte(half)}, {Path: "b", Value: []byte(half)}}}
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatalf("just below the bound: %v", err)
	}
	b.Put[0].Value = append(b.Put[0].Value, strings.Repeat("v", 200)...)
	if _, err := s.Commit(t.Context(), b); !errors.Is(err, store.ErrInvalid) {
		t.Fatalf("above the bound: %v; want ErrInvalid", err)
	}

	// As many operations as a batch may have, of the longest paths: the sum of
	// conditions and writes.
	b = store.Batch{}
	for i := range store.MaxBatch / 2 {
		path := strings.Repeat("p", store.MaxPath-2) + string([]byte{byte(i), 'x'})
		b.If = append(b.If, store.Condition{Path: path})
		b.Put = append(b.Put, store.Put{Path: path, Value: []byte("v")})
	}
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatalf("%d conditions and as many writes: %v", len(b.If), err)
	}
}

// A commit without an answer is said to be of unknown outcome, and a read that
// cannot be answered is unavailable; both within the timeout.
func TestSilentCluster(t *testing.T) {
	c := etcdtest.Start(t, 1, "--unsafe-no-fsync")
	s, err := etcd.Open(t.Context(), etcd.Options{Endpoints: c.Endpoints(), Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Commit(t.Context(), putOf("a", "one")); err != nil {
		t.Fatal(err)
	}
	if err := c.Members[0].Suspend(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := s.Commit(t.Context(), putOf("a", "two")); !errors.Is(err, store.ErrOutcomeUnknown) {
		t.Errorf("Commit: %v; want ErrOutcomeUnknown", err)
	}
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Get: %v; want ErrUnavailable", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("both took %v", took)
	}
	if err := c.Members[0].Resume(); err != nil {
		t.Fatal(err)
	}
	// It had been sent: applied once, or not at all.
	eventually(t, func() error { _, err := s.Get(t.Context(), "a"); return err })
	if _, err := s.Commit(t.Context(), putOf("b", "three")); err != nil {
		t.Errorf("Commit after the cluster has come back: %v", err)
	}
}

func eventually(t *testing.T, ask func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if err = ask(); err == nil {
			return
		}
	}
	t.Fatalf("still: %v", err)
}

// Three members: one that is killed takes no acknowledged commit along, and the
// others go on.
func TestLossOfOneMember(t *testing.T) {
	c := etcdtest.Start(t, 3)
	s := open(t, c, "")
	defer s.Close()
	rev, err := s.Commit(t.Context(), putOf("a", "one"))
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range c.Members {
		m.Kill()
		eventually(t, func() error { _, err := s.Commit(t.Context(), putOf("b", string(rune('0'+i)))); return err })
		if got, err := s.Get(t.Context(), "a"); err != nil || got.Rev != rev {
			t.Errorf("without member %d: %v, %v", i, got, err)
		}
		m.Start(t)
		m.Wait(t)
	}
}

// Endpoints of two clusters are no cluster.
func TestOtherCluster(t *testing.T) {
	one, two := etcdtest.Start(t, 1, "--unsafe-no-fsync"), etcdtest.Start(t, 1, "--unsafe-no-fsync", "--initial-cluster-token", "two")
	both := append(one.Endpoints(), two.Endpoints()...)
	s, err := etcd.Open(t.Context(), etcd.Options{Endpoints: both})
	if err == nil || !strings.Contains(err.Error(), "belongs to another cluster") {
		t.Fatalf("Open = %v, %v", s, err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	s, err := etcd.Open(t.Context(), etcd.Options{Endpoints: []string{"http://127.0.0.1:1"}, Timeout: 200 * time.Millisecond})
	if err == nil {
		s.Close()
		t.Fatal("Open: no error")
	}
}

// A channel says how far it has come when it is asked to, also where others than
// Trent have written.
func TestProgress(t *testing.T) {
	c := etcdtest.Start(t, 1, "--unsafe-no-fsync")
	s, other := open(t, c, "trent"), open(t, c, "other")
	defer s.Close()
	defer other.Close()
	from, err := s.Rev(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events, err := s.Watch(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	rev, err := other.Commit(t.Context(), putOf("a", "v"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if err := s.Progress(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case told := <-events:
			if len(told) != 1 || told[0].Path != "" || told[0].Rev < from {
				t.Fatalf("told %v", told)
			}
			if told[0].Rev >= rev {
				return
			}
		case <-time.After(50 * time.Millisecond): // the watch may not have begun when it was asked
		}
	}
	t.Fatal("no progress was told of")
}
