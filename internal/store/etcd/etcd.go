// Package etcd keeps records in an existing etcd cluster, for any number of
// nodes of Trent.
//
// A record is a key of etcd under a prefix; its revision is the revision of etcd
// that modified it. A batch is one transaction of etcd, whose comparisons are the
// conditions. Reads are linearizable, so whatever one node was told is
// committed, every node reads from then on. docs/spec/store-etcd.md has the layout.
//
// Two things are watched over that etcd does not promise to a client: that all
// answers come from one cluster, and that its revision never goes back, as it
// does when members are replaced by ones restored from a backup. Either makes an
// answer an error.
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"trent/internal/store"
)

// DefaultPrefix is what all keys begin with unless Options say otherwise.
const DefaultPrefix = "trent/"

// DefaultTimeout bounds a call whose context has no earlier end.
const DefaultTimeout = 5 * time.Second

// Errors of a cluster that is not, or no longer, the one that was opened.
var (
	ErrOtherCluster = errors.New("the answer comes from another etcd cluster")
	ErrWentBack     = errors.New("etcd has gone back to an earlier revision: it was restored from a backup while Trent ran; restart Trent once that was meant")
)

// Options say where the cluster is. Endpoints are needed.
type Options struct {
	Endpoints []string    // URLs: https://10.0.0.1:2379
	TLS       *tls.Config // nil: as the schemes of the endpoints have it, with the roots of the system
	User      string      // of etcd's own authentication; "": none
	Password  string
	Prefix    string        // "": DefaultPrefix. A slash is added if it does not end in one
	Timeout   time.Duration // zero: DefaultTimeout
}

// Store is a store.Store in an etcd cluster. Other processes may write to it too.
type Store struct {
	client  *clientv3.Client
	prefix  string
	timeout time.Duration
	cluster uint64
	newest  atomic.Uint64 // the largest revision that an answer has told of

	alive    context.Context // of the watchers
	kill     context.CancelFunc
	watchers sync.WaitGroup

	mu     sync.RWMutex // held shared by every call, alone by Close
	closed bool
}

// Open connects to a cluster and looks at it: it wants an answer of one member
// at least, and that all that answer are of one cluster and of a version that is
// fit (see Fit). There is nothing to create: an empty prefix is an empty store.
func Open(ctx context.Context, o Options) (*Store, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("store/etcd: no endpoints are given")
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   o.Endpoints,
		DialTimeout: o.Timeout,
		// A member that a cut network has taken away is noticed by these; more
		// often than every ten seconds is not allowed by gRPC.
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 2 * time.Second,
		MaxCallRecvMsgSize:   maxAnswer,
		TLS:                  o.TLS,
		Username:             o.User,
		Password:             o.Password,
		Logger:               zap.NewNop(), // what matters comes back as an error
	})
	if err != nil {
		return nil, fmt.Errorf("store/etcd: connect to %s: %w", strings.Join(o.Endpoints, ", "), err)
	}
	alive, kill := context.WithCancel(context.Background())
	s := &Store{client: client, prefix: strings.TrimSuffix(o.Prefix, "/") + "/", timeout: o.Timeout, alive: alive, kill: kill}
	if err := s.inspect(ctx, o.Endpoints); err != nil {
		return nil, errors.Join(fmt.Errorf("store/etcd: %w", err), s.Close())
	}
	return s, nil
}

// inspect asks every member who it is.
func (s *Store) inspect(ctx context.Context, endpoints []string) error {
	var silent []error
	for _, endpoint := range endpoints {
		status, err := s.status(ctx, endpoint)
		if err != nil {
			silent = append(silent, fmt.Errorf("ask %s: %w", endpoint, err))
			continue
		}
		if err := Fit(status.Version); err != nil {
			return fmt.Errorf("%s: %w", endpoint, err)
		}
		if s.cluster != 0 && s.cluster != status.Header.ClusterId {
			return fmt.Errorf("%s belongs to another cluster than the endpoints before it", endpoint)
		}
		s.cluster = status.Header.ClusterId
	}
	if s.cluster == 0 {
		return errors.Join(silent...)
	}
	return nil
}

func (s *Store) status(ctx context.Context, endpoint string) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.client.Status(ctx, endpoint)
}

// Fit returns an error unless a version of etcd's server is one that may be used:
// 3.7.1 or later, or 3.6.14 or later of the 3.6 line. Those before have known
// faults in what a watcher is told of its progress and in transactions.
func Fit(version string) error {
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil || version != fmt.Sprintf("%d.%d.%d", major, minor, patch) {
		return fmt.Errorf("etcd %q is not a release", version)
	}
	line := major*1000 + minor
	if line > 3007 || line == 3007 && patch >= 1 || line == 3006 && patch >= 14 {
		return nil
	}
	return fmt.Errorf("etcd %s is too old: 3.7.1 or later is needed, or 3.6.14 or later of the 3.6 line", version)
}

// Cluster is the id that etcd gave the cluster. A cluster restored from a backup
// has another.
func (s *Store) Cluster() uint64 { return s.cluster }

// Close implements store.Store. Calls that run are waited for, which may take as
// long as their timeouts; watchers' channels close.
func (s *Store) Close() error {
	s.kill()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.closed = true
	s.watchers.Wait()
	return s.client.Close()
}

// enter begins a call, which ends with leave. The context of what is asked ends
// with ctx, or after the timeout.
func (s *Store) enter(ctx context.Context) (within context.Context, leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, nil, store.ErrClosed
	}
	within, cancel := context.WithTimeout(ctx, s.timeout)
	return within, func() { cancel(); s.mu.RUnlock() }, nil
}

// key is the path of a record as a key of etcd.
func (s *Store) key(path string) string { return s.prefix + path }

// path is the other way round.
func (s *Store) path(key []byte) string { return string(key[len(s.prefix):]) }
