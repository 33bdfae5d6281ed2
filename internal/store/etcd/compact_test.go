package etcd_test

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"trent/internal/store/etcd/etcdtest"
)

// Where etcd has been compacted, a watch that would begin before that has lost track, and says so:
// it does not go on silently from later.
func TestWatchFromBeforeCompaction(t *testing.T) {
	c := etcdtest.Start(t, 1, "--unsafe-no-fsync")
	s := open(t, c, "")
	defer s.Close()
	from, err := s.Rev(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if from, err = s.Commit(t.Context(), putOf("a", "v")); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.Compact(t.Context(), int64(from)); err != nil {
		t.Fatal(err)
	}
	events, err := s.Watch(t.Context(), from-5)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case told, open := <-events:
		if open {
			t.Fatalf("told %v, after a gap", told)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the channel is open")
	}
}
