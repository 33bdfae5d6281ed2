// Package keypool makes private keys. Those that take long, RSA keys, it makes ahead, once
// somebody has asked for one of the kind: a pair is then there in the time that a data key
// takes. Each is handed out once. Until then it lies in memory, sealed as it would be on
// disk, and goes with the process.
package keypool

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/secret"
)

// ahead is how many keys are made ahead: half a minute's work of one processor for each
// size.
var ahead = map[api.KeySpec]int{api.KeySpecRSA2048: 256, api.KeySpecRSA3072: 64, api.KeySpecRSA4096: 32}

// A Sealer seals what waits. It is seal.Sealer.
type Sealer interface {
	Seal(path string, content []byte) ([]byte, error)
	Open(path string, sealed []byte) ([]byte, error)
}

// A Pool may be used by many goroutines.
type Pool struct {
	sealer   Sealer
	generate func(api.KeySpec) (secret.Bytes, error)
	shelves  map[api.KeySpec]*shelf
	places   chan struct{} // of those who make a key while somebody waits for it

	mu      sync.Mutex
	filling bool
	closed  bool
	filler  sync.WaitGroup
}

// A shelf has the keys of one spec.
type shelf struct {
	spec  api.KeySpec
	ready chan waiting
	asked bool // somebody has; under the pool's lock
	made  int
}

// waiting is a sealed key.
type waiting struct {
	path   string
	sealed []byte
}

// New makes a pool, which is empty.
func New(s Sealer) *Pool { return newPool(s, crypt.Generate, ahead) }

func newPool(s Sealer, generate func(api.KeySpec) (secret.Bytes, error), ahead map[api.KeySpec]int) *Pool {
	p := &Pool{
		sealer: s, generate: generate, shelves: make(map[api.KeySpec]*shelf),
		places: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	for spec, n := range ahead {
		p.shelves[spec] = &shelf{spec: spec, ready: make(chan waiting, n)}
	}
	return p
}

// Generate is crypt.Generate. Where a key takes long to make and none is ready, it waits for a
// place, so that whoever asks for many of them leaves half of the processors to others.
func (p *Pool) Generate(ctx context.Context, spec api.KeySpec) (secret.Bytes, error) {
	s := p.shelves[spec]
	if s == nil {
		return p.generate(spec)
	}
	defer p.fill(s)
	select {
	case w := <-s.ready:
		return p.open(w)
	default:
	}
	select {
	case w := <-s.ready:
		return p.open(w)
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
		return p.generate(spec)
	case <-ctx.Done():
		return secret.Bytes{}, fmt.Errorf("wait to make a key of spec %s: %w", spec, context.Cause(ctx))
	}
}

// GeneratePair is crypt.GeneratePair, of keys as Generate has them.
func (p *Pool) GeneratePair(ctx context.Context, spec api.KeySpec) (private secret.Bytes, public []byte, err error) {
	if p.shelves[spec] == nil {
		return crypt.GeneratePair(spec)
	}
	if private, err = p.Generate(ctx, spec); err != nil {
		return private, nil, err
	}
	public, err = crypt.PublicKeyOf(spec, private)
	return private, public, err
}

// fill sees to it that somebody fills the shelves that were asked of.
func (p *Pool) fill(s *shelf) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.asked = true
	if p.filling || p.closed {
		return
	}
	p.filling = true
	p.filler.Go(p.makeAhead)
}

// makeAhead makes one key after another until all shelves are full.
func (p *Pool) makeAhead() {
	for {
		s := p.next()
		if s == nil {
			return
		}
		if err := p.put(s); err != nil {
			p.mu.Lock()
			p.filling = false // whoever asks next sees why, or begins again
			p.mu.Unlock()
			return
		}
	}
}

// next is the emptiest shelf that was asked of, or nil, and then nobody fills any more.
func (p *Pool) next() *shelf {
	p.mu.Lock()
	defer p.mu.Unlock()
	var emptiest *shelf
	for _, s := range p.shelves {
		if !s.asked || len(s.ready) == cap(s.ready) {
			continue
		}
		if emptiest == nil || len(s.ready)*cap(emptiest.ready) < len(emptiest.ready)*cap(s.ready) {
			emptiest = s
		}
	}
	if p.closed {
		emptiest = nil
	}
	p.filling = emptiest != nil
	return emptiest
}

// put makes a key for a shelf. Only makeAhead puts, so there is room.
func (p *Pool) put(s *shelf) error {
	key, err := p.generate(s.spec)
	if err != nil {
		return err
	}
	defer key.Wipe()
	s.made++
	w := waiting{path: "keypool/" + string(s.spec) + "/" + strconv.Itoa(s.made)}
	if w.sealed, err = p.sealer.Seal(w.path, key.Expose()); err != nil {
		return err
	}
	s.ready <- w
	return nil
}

func (p *Pool) open(w waiting) (secret.Bytes, error) {
	content, err := p.sealer.Open(w.path, w.sealed)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("open a key that was made ahead: %w", err)
	}
	return secret.New(content), nil
}

// Close stops making keys ahead and waits for the one that is being made.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.filler.Wait()
}
