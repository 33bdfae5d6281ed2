package server

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"trent/internal/api"
	"trent/internal/keyring"
	"trent/internal/keystore"
)

// recorder notes which proxies are asked how they are.
type recorder struct {
	keystore.NoProxies
	asked []string
}

// Health implements keystore.Proxies.
func (r *recorder) Health(_ context.Context, p *keystore.Proxy, about keystore.Asked) error {
	r.asked = append(r.asked, about.Region+" "+about.Operation+" "+p.Address())
	return nil
}

// The proxies of connected stores are asked, in every Region, and no others.
func TestProbe(t *testing.T) {
	s, err := Open(t.Context(), initDir(t), settingsFor("127.0.0.1:0"), slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		set := &keystore.Set{Account: "111122223333", Region: region}
		for name, state := range map[string]api.ConnectionState{"on": api.ConnectionStateConnected, "off": api.ConnectionStateDisconnected, "failed": api.ConnectionStateFailed} {
			set, err = set.Put(&keystore.Store{ID: keystore.NewID(), Name: name, State: state, Proxy: keystore.Proxy{Endpoint: "https://" + name + ".example", Path: "/kms/xks/v1"}})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := s.ring.Commit(t.Context(), []keyring.Change{keyring.PutKeyStores{Now: set}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var r recorder
	if err := s.probeOnce(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
	slices.Sort(r.asked)
	if want := []string{"eu-west-1 KmsHealthCheck https://on.example/kms/xks/v1", "us-east-1 KmsHealthCheck https://on.example/kms/xks/v1"}; !slices.Equal(r.asked, want) {
		t.Errorf("asked %q", r.asked)
	}
}
