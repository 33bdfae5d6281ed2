package etcd_test

import (
	"fmt"
	"testing"

	"trent/internal/store"
	"trent/internal/store/etcd"
	"trent/internal/store/etcd/etcdtest"
	"trent/internal/store/storetest"
)

func TestStore(t *testing.T) {
	// Whether etcd survives a power cut is not what this suite can tell.
	cluster := etcdtest.Start(t, 1, "--unsafe-no-fsync")
	n := 0
	storetest.Run(t, func(testing.TB) storetest.Opener {
		n++
		prefix := fmt.Sprintf("suite/%d", n)
		return func() store.Store { return open(t, cluster, prefix) }
	})
}

func open(t testing.TB, c *etcdtest.Cluster, prefix string) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Endpoints: c.Endpoints(), Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSEC_E06_VersionGate(t *testing.T) {
	for version, fit := range map[string]bool{
		"3.7.1": true, "3.7.12": true, "3.8.0": true, "4.0.0": true, "3.6.14": true, "3.6.20": true,
		"3.7.0": false, "3.6.13": false, "3.5.99": false, "2.9.9": false, "3.8.0-alpha.0": false, "3.7": false, "": false, "v3.7.1": false,
	} {
		if err := etcd.Fit(version); (err == nil) != fit {
			t.Errorf("Fit(%q) = %v", version, err)
		}
	}
}
