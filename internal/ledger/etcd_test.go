package ledger_test

import (
	"testing"
	"time"

	"trent/internal/ledger"
	"trent/internal/store/etcd"
	"trent/internal/store/etcd/etcdtest"
)

// Two nodes write to one etcd at once, and tidy at once: every change is in the one log.
func TestTwoNodesOnEtcd(t *testing.T) {
	cluster := etcdtest.Start(t, 1, "--unsafe-no-fsync")
	s := newSealer(t)
	var ledgers []*ledger.Ledger
	var first *etcd.Store
	for range 2 {
		st, err := etcd.Open(t.Context(), etcd.Options{Endpoints: cluster.Endpoints()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		if first == nil {
			first = st
		}
		ledgers = append(ledgers, begun(t, st, s))
	}
	race(t, ledgers, 8, 10)
	wantSound(t, first, s)
	churn(t, ledgers[0])
	tidied := make(chan error, 2)
	for _, l := range ledgers {
		go func() {
			_, err := l.Tidy(t.Context(), time.Hour)
			tidied <- err
		}()
	}
	race(t, ledgers, 4, 2)
	for range ledgers {
		if err := <-tidied; err != nil {
			t.Error(err)
		}
	}
	if r := wantSound(t, first, s); r.Begun || r.Changes > 2*r.Records+100 {
		t.Errorf("after tidying it is %+v", r)
	}
}
