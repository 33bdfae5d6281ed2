package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"trent/internal/audit"
	"trent/internal/config"
	"trent/internal/declare"
	"trent/internal/follow"
	"trent/internal/httpd"
	"trent/internal/identity"
	"trent/internal/keypool"
	"trent/internal/keyring"
	"trent/internal/ledger"
	"trent/internal/pipeline"
	"trent/internal/rekey"
	"trent/internal/root"
	"trent/internal/seal"
	"trent/internal/sigv4"
	"trent/internal/store"
	"trent/internal/vitals"
	"trent/internal/xks"
)

// Server is a deployment that has been opened and verified.
type Server struct {
	config config.Serve
	log    *slog.Logger
	now    func() time.Time

	files   files
	roots   []root.Locator
	raw     store.Store // what the ledger lies on
	ledger  *ledger.Ledger
	anchors *anchors
	backups *backups
	reading readings    // backups that clients read
	store   store.Store // the ledger
	sealer  *seal.Sealer
	set     settings
	setRev  store.Rev
	setLock sync.Mutex
	road    *pipeline.Road
	declare *declare.Engine

	ring     *keyring.Ring
	follow   *follow.Follower // nil: nobody else writes to the store
	time     timekeeper
	clearing clearance
	vitals   vitals.Board
	pool     *keypool.Pool
	rekey    *rekey.Job

	rekeyNow chan struct{} // there is something to do for it

	proxies *xks.Client
	users   *identity.Directory
	audit   *audit.File
	door    *httpd.Server

	sweeping sync.WaitGroup
	unfollow context.CancelFunc
	stop     chan struct{}
	close    sync.Once
}

// Open opens a deployment. Nothing listens before all of it has been found
// sound: the files, the root of trust, the store, and that the one opens the
// other. It never makes what is missing.
func Open(ctx context.Context, c config.Store, o config.Serve, log *slog.Logger, now func() time.Time) (*Server, error) {
	f := filesOf(c)
	if err := checkFiles(c, f); err != nil {
		return nil, err
	}
	if err := errors.Join(checkDev(o), checkFIPS(o)); err != nil {
		return nil, err
	}
	declaration, err := readDeclaration(o.Declare)
	if err != nil {
		return nil, err
	}
	roots, err := locatorsOf(c)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := tlsFrom(o)
	if err != nil {
		return nil, err
	}
	st, err := openStore(ctx, c)
	if err != nil {
		return nil, err
	}
	paceGC()
	s := &Server{config: o, log: log, now: now, files: f, roots: roots, raw: st, stop: make(chan struct{}), rekeyNow: make(chan struct{}, 1)}
	if err := s.build(ctx, f, tlsConfig); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	s.anchors.follow(s.ledger, s.sealer, s.now)
	s.followStore()
	if err := s.serveMetrics(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.sayFIPS()
	s.warnOfDev()
	s.warnOfAttestation()
	if err := s.applyDeclaration(ctx, declaration); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func checkFiles(c config.Store, f files) error {
	if err := checkDir(f.dir); err != nil {
		return err
	}
	if unfinished, err := exists(f.unfinished); err != nil || unfinished {
		return errors.Join(err, fmt.Errorf("the initialisation of %s was interrupted: run trent init --dir %s again, nothing is lost", f.dir, f.dir))
	}
	if c.Kind == etcdKind {
		return nil
	}
	there, err := exists(f.store)
	if err == nil && !there {
		err = fmt.Errorf("the store %s is missing: put it back from a backup, or name the right data directory. A new one is only made by trent init, in an empty directory", f.store)
	}
	return err
}

// build unseals the store and puts the rooms together.
func (s *Server) build(ctx context.Context, f files, tlsConfig *tls.Config) error {
	u, err := unseal(ctx, s.raw, f, s.roots, s.log)
	if err != nil {
		return err
	}
	if s.anchors, err = openAnchors(s.config, s.log); err != nil {
		return err
	}
	if s.backups, err = openBackups(s.config); err != nil {
		return err
	}
	keep := LedgerOptions(s.now)
	keep.Moved = s.anchors.notice
	if s.ledger, err = openLedger(ctx, s.raw, &u, keep, s.anchors, s.log); err != nil {
		return err
	}
	s.store = s.ledger
	// What was given out before a rollback that was accepted is void.
	u.sealer = u.sealer.InEpoch(s.ledger.Position().Epoch)
	sealer, set := u.sealer, u.set
	s.sealer, s.set, s.setRev = u.sealer, u.set, u.rev
	if s.users, err = identity.Open(ctx, s.store, sealer, set.Partition); err != nil {
		return err
	}
	proxies, err := proxiesFrom(s.config.TrustedProxies)
	if err != nil {
		return err
	}
	if s.proxies, err = externalProxies(s.config, s.log, s.now); err != nil {
		return err
	}
	s.ring, err = keyring.New(s.store, sealer, keyring.Options{Tenants: s.users, Partition: set.Partition, CacheKeys: s.config.CacheKeys, Proxies: s.proxies})
	if err != nil {
		return err
	}
	s.follow = s.newFollower()
	s.time = timekeeper{store: s.store, sealer: sealer, counted: follow.SinceBoot}
	s.rekey = s.newRekey()
	s.pool = keypool.New(sealer.Under(seal.PartKey{Key: seal.NewKey()})) // of this process alone, whatever root keys come
	path := s.config.AuditFile
	if path == "" {
		path = f.audit
	}
	if s.audit, err = audit.OpenFile(path, s.config.AuditSync); err != nil {
		return err
	}
	if err := s.writeDownRollback(); err != nil {
		return err
	}
	web, err := webIdentities(s.config)
	if err != nil {
		return err
	}
	attestation, err := evidence(s.config)
	if err != nil {
		return err
	}
	regions := regionsFrom(s.config.Regions, set.Partition)
	s.declare = s.newDeclare(regions)
	s.road = pipeline.New(pipeline.Options{
		Keys: s.ring, NewKeys: s.pool, Proxies: s.proxies, Identities: s.users, WebIdentities: web, Evidence: attestation, FirstAccount: set.Account, Audit: s.audit, FailOpen: s.config.AuditFailOpen,
		HasRegion: regions.Has, Declare: s.declare.Declare, Dev: s.config.Dev, BeforeDev: s.rememberFixed, Fresh: s.fresh(), Vitals: s.allVitals, Rekey: s, ReadBackup: s.readBackup, Log: s.log, Now: s.now,
	})
	s.door = httpd.New(httpd.Options{
		Road:     s.road,
		Mode:     s.mode(),
		Verifier: sigv4.NewVerifier(s.users, regions),
		Limits: httpd.Limits{
			HeaderTimeout: s.config.HeaderTimeout, RequestTimeout: s.config.RequestTimeout, IdleTimeout: s.config.IdleTimeout,
			Connections: s.config.MaxConnections, ConnectionsByAddr: s.config.MaxConnectionsPerAddress,
			BodyBytes: maxBodies,
		},
		TLS: tlsConfig, TrustedProxies: proxies, Ready: s.ready, Log: s.log, Now: s.now,
	})
	return nil
}

// maxBodies bounds the request bodies in memory at once, in bytes: 512 of the
// largest kind.
const maxBodies = 256 << 20

// readSettings opens one sealed record with the root keys, so that a wrong root is
// found before anybody asks.
func readSettings(ctx context.Context, st store.Reader, f files, sealer *seal.Sealer) (settings, store.Rev, error) {
	var set settings
	rec, err := st.Get(ctx, settingsPath)
	if err != nil {
		return set, 0, fmt.Errorf("the store %s has lost its settings (%w): put it back from a backup", f.store, err)
	}
	content, err := sealer.Open(settingsPath, rec.Value)
	if err != nil {
		return set, 0, fmt.Errorf("the settings in the store %s are not authentic (%w): put it back from a backup", f.store, err)
	}
	if len(content) == 0 || content[0] != settingsVersion || cbor.Unmarshal(content[1:], &set) != nil {
		return set, 0, fmt.Errorf("the store %s was made by a newer Trent", f.store)
	}
	return set, rec.Rev, nil
}

// proxiesFrom reads networks, and addresses as networks of one.
func proxiesFrom(names []string) (networks []netip.Prefix, err error) {
	for _, n := range names {
		p, err := netip.ParsePrefix(n)
		if addr, err2 := netip.ParseAddr(n); err != nil && err2 == nil {
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("trusted-proxies: %q is neither an address nor a network such as 10.0.0.0/8", n)
		}
		networks = append(networks, p.Masked())
	}
	return networks, nil
}

// homeRegion is where IAM is at home in a partition.
func homeRegion(partition string) string {
	switch partition {
	case "aws-cn":
		return "cn-north-1"
	case "aws-us-gov":
		return "us-gov-west-1"
	}
	return "us-east-1"
}

func regionsFrom(names []string, partition string) sigv4.Regions {
	r := sigv4.Regions{Home: homeRegion(partition)}
	for _, n := range names {
		if n == "*" {
			r.Any = true
		} else {
			r.Names = append(r.Names, n)
		}
	}
	return r
}

// Listen opens the address of the settings.
func (s *Server) Listen() (net.Listener, error) {
	if err := s.checkListen(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", s.config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// checkListen refuses to send data keys over a network in clear.
func (s *Server) checkListen() error {
	if s.config.TLSCert != "" || s.config.InsecurePlaintext {
		return nil
	}
	if loopback, err := isLoopback(s.config.Listen); err != nil || loopback {
		return err
	}
	return fmt.Errorf("%s is not a loopback address, and without TLS data keys would cross the network in clear: set tls-cert and tls-key, or insecure-plaintext if TLS ends in front of Trent", s.config.Listen)
}

// isLoopback reports whether an address can be reached from this machine alone.
func isLoopback(address string) (bool, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false, fmt.Errorf("listen address %q: %w", address, err)
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback(), nil
}

// Serve answers on l until ctx ends, then lets the requests in flight finish.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	s.sweeping.Go(s.sweep)
	s.sweeping.Go(func() { s.probe(s.proxies) })
	s.sweeping.Go(func() { s.probeRoots(s.config.RootProbe) })
	s.sweeping.Go(s.rekeyWhenDue)
	s.sweeping.Go(s.backUpWhenDue)
	done := make(chan error, 1)
	go func() { done <- s.door.Serve(l) }()
	var failed error
	select {
	case failed = <-done:
		done <- nil // the listener failed; what it let in finishes all the same
	case <-ctx.Done():
		s.log.Info("shutting down; requests in flight finish")
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.ShutdownGrace)
	defer cancel()
	if err := s.door.Shutdown(grace); err != nil {
		return errors.Join(failed, fmt.Errorf("requests did not finish within %s: %w", s.config.ShutdownGrace, err))
	}
	return errors.Join(failed, <-done)
}

// untilClosed is a context that ends when the server closes.
func (s *Server) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// Close ends what runs behind the door and closes the files. It comes after Serve.
func (s *Server) Close() error {
	var err error
	s.close.Do(func() {
		close(s.stop)
		s.unfollow()
		s.reading.close()
		s.sweeping.Wait()
		s.pool.Close()
		err = errors.Join(s.users.StoreUses(context.Background()), s.ring.StoreUses(context.Background()))
		s.anchors.close()
		err = errors.Join(err, s.store.Close(), s.audit.Close())
	})
	return err
}

// ready says why requests should go elsewhere, or nil.
func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := s.store.Get(ctx, settingsPath); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if s.follow != nil {
		if err := s.follow.Fresh(ctx); err != nil {
			return err
		}
	}
	return s.audit.Err()
}
