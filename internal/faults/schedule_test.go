package faults

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A clusterFault hurts a world and returns what heals it.
type clusterFault struct {
	name   string
	inject func(w *world, random *rand.Rand) (heal func() error, err error)
	hold   time.Duration // at most
}

// clusterFaults are the ones that need nothing but processes.
var clusterFaults = []clusterFault{
	{"a member is killed", func(w *world, random *rand.Rand) (func() error, error) { return w.killMember(random.IntN(3)) }, time.Second},
	{"the leader is killed", func(w *world, _ *rand.Rand) (func() error, error) { return w.killMember(w.leader()) }, 2 * time.Second},
	{"a member stands still", func(w *world, random *rand.Rand) (func() error, error) { return w.suspendMember(random.IntN(3)) }, 2 * time.Second},
	{"the leader stands still", func(w *world, _ *rand.Rand) (func() error, error) { return w.suspendMember(w.leader()) }, 3 * time.Second},
	{"two members stand still", func(w *world, random *rand.Rand) (func() error, error) {
		spared := random.IntN(3)
		return both(w.suspendMember((spared + 1) % 3))(w.suspendMember((spared + 2) % 3))
	}, 3 * time.Second},
	{"a node is killed", func(w *world, random *rand.Rand) (func() error, error) {
		n := w.nodes[random.IntN(len(w.nodes))]
		n.srv.Kill()
		return func() error { n.start(w.t); return nil }, nil
	}, time.Second},
	{"a node stands still", func(w *world, random *rand.Rand) (func() error, error) {
		n := w.nodes[random.IntN(len(w.nodes))]
		return n.goOn, n.pause()
	}, 2 * bound},
	{"a node is replaced, and killed while it shuts down", func(w *world, random *rand.Rand) (func() error, error) {
		return w.replace(random.IntN(len(w.nodes)), rand.N(20*time.Millisecond))
	}, time.Second},
	{"a member's disk is slow", func(w *world, random *rand.Rand) (func() error, error) {
		if len(w.slow) == 0 {
			return w.killMember(random.IntN(3))
		}
		return w.slowDown(random.IntN(3), time.Duration(50+random.IntN(400))*time.Millisecond)
	}, 3 * time.Second},
}

// networkFaults need machines.
var networkFaults = []clusterFault{
	{"a node and a member do not hear each other", func(w *world, random *rand.Rand) (func() error, error) {
		return cut(w.nodes[random.IntN(len(w.nodes))].at, w.memberAt[random.IntN(3)])
	}, 4 * time.Second},
	{"a node hears no member", func(w *world, random *rand.Rand) (func() error, error) {
		n := w.nodes[random.IntN(len(w.nodes))].at
		heal, err := both(cut(n, w.memberAt[0]))(cut(n, w.memberAt[1]))
		return both(heal, err)(cut(n, w.memberAt[2]))
	}, 2 * bound},
	{"the leader hears no member", func(w *world, _ *rand.Rand) (func() error, error) {
		l := w.leader()
		return both(cut(w.memberAt[l], w.memberAt[(l+1)%3]))(cut(w.memberAt[l], w.memberAt[(l+2)%3]))
	}, 4 * time.Second},
	{"two members do not hear each other", func(w *world, random *rand.Rand) (func() error, error) {
		i := random.IntN(3)
		return cut(w.memberAt[i], w.memberAt[(i+1)%3])
	}, 3 * time.Second},
	{"the leader is unplugged", func(w *world, _ *rand.Rand) (func() error, error) { return w.memberAt[w.leader()].unplug() }, 4 * time.Second},
	{"a node is unplugged", func(w *world, random *rand.Rand) (func() error, error) {
		return w.nodes[random.IntN(len(w.nodes))].at.unplug()
	}, 2 * bound},
}

// both joins two faults: both(one())(other()).
func both(heal func() error, err error) func(func() error, error) (func() error, error) {
	return func(heal2 func() error, err2 error) (func() error, error) {
		return func() error { return errors.Join(heal(), heal2()) }, errors.Join(err, err2)
	}
}

func (w *world) killMember(i int) (heal func() error, err error) {
	m := w.members.Members[i]
	m.Kill()
	return func() error { m.Start(w.t); m.Wait(w.t); return nil }, nil
}

func (w *world) suspendMember(i int) (heal func() error, err error) {
	m := w.members.Members[i]
	return m.Resume, m.Suspend()
}

func (w *world) slowDown(i int, delay time.Duration) (heal func() error, err error) {
	w.slow[i].delay.Store(int64(delay))
	return func() error { w.slow[i].delay.Store(0); return nil }, nil
}

// replace shuts a node down, kills it if it has not ended within the time, and starts another in its place, which
// has nothing but the root of trust.
func (w *world) replace(i int, within time.Duration) (heal func() error, err error) {
	old := w.nodes[i]
	if err := old.srv.Signal(syscall.SIGTERM); err != nil {
		return nil, err
	}
	time.Sleep(within)
	old.srv.Kill()
	return func() error {
		dir := filepath.Join(w.t.TempDir(), "data")
		n := &node{at: old.at, listen: old.listen, binary: old.binary, dir: dir}
		w.join(n)
		w.nodes[i].dir = dir
		old.start(w.t)
		return nil
	}, nil
}

// clusterRounds says, in the environment, how many faults a cluster has, one after the other: each kind
// once, and then any. The few of make test are drawn from all of them.
const (
	clusterRounds = "TRENT_CLUSTER_FAULTS"
	clusterFew    = 3
)

// A cluster is hurt in all these ways, again and again, while clients write and use keys through all of
// its nodes. What was acknowledged is there at the end, calls can have happened one after the other,
// and nobody used a key later than the bound after the right to it was taken away.
func TestCluster(t *testing.T) {
	impatient(t)
	hurt(t, newWorld(t, false, 3), clusterFaults, many(clusterRounds, clusterFew))
}

// The same, on machines of their own whose cables are cut.
func TestClusterNetwork(t *testing.T) {
	if inNetwork(t) {
		impatient(t)
		hurt(t, newWorld(t, true, 3), append(networkFaults, clusterFaults...), many(clusterRounds, clusterFew-1))
	}
}

// impatient has the nodes of a test wait less than they do by default, so that more happens.
func impatient(t *testing.T) {
	t.Setenv("TRENT_ETCD_TIMEOUT", etcdTimeout.String())
	t.Setenv("TRENT_MAX_STALENESS", bound.String())
}

// hurt goes through all faults, and then on in any order; or through a few of them.
func hurt(t *testing.T, w *world, faults []clusterFault, rounds int) {
	random, l := seeded(t), newLoad(w)
	probe := l.mustCreate(nil)
	var worst time.Duration
	if rounds < len(faults) {
		faults = slices.Clone(faults)
		random.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	}
	for i := range rounds {
		f := faults[i%len(faults)]
		if i >= len(faults) {
			f = faults[random.IntN(len(faults))]
		}
		r := l.begin()
		time.Sleep(100 * time.Millisecond)
		heal, err := f.inject(w, random)
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		hold := time.Duration(random.Int64N(int64(f.hold)))
		time.Sleep(hold)
		if err := heal(); err != nil {
			t.Fatalf("%s, healed: %v", f.name, err)
		}
		healed := time.Now()
		w.untilWell(probe)
		well := time.Since(healed)
		worst = max(worst, well)
		r.stop()
		t.Logf("fault %d, %s, for %v: all nodes take writes %v after it", i, f.name, hold.Round(time.Millisecond), well.Round(time.Millisecond))
		if t.Failed() {
			break
		}
	}
	l.check(t)
	t.Logf("%d faults; all nodes took writes %v after the end of one at worst", rounds, worst.Round(time.Millisecond))
}
