package oidc

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"trent/internal/fault"
)

const (
	// fresh is how long keys are used without asking the issuer again: so long a key that
	// the issuer has withdrawn may still be taken.
	fresh = 5 * time.Minute
	// stale is how long they are used where the issuer does not answer.
	stale = time.Hour
	// pause is how long an issuer is left alone after it was asked, whatever it said
	// and whoever wants to know: strangers choose which keys tokens name.
	pause = 10 * time.Second
	// maxIssuers bounds how many issuers' keys are remembered.
	maxIssuers = 512
)

// A source is where keys come from, and what its connection is trusted by. Accounts
// that have registered an issuer in different ways do not share its keys.
type source struct {
	issuer      string // with its scheme
	thumbprints []string
}

func (s source) key() string { return s.issuer + "\x00" + strings.Join(s.thumbprints, ",") }

// keySets remembers the keys of issuers.
type keySets struct {
	fetch func(ctx context.Context, s source, now time.Time) ([]jose.JSONWebKey, error)

	mu   sync.Mutex
	sets map[string]*keySet
}

// keySet is the keys of one issuer.
type keySet struct {
	known atomic.Pointer[keys]

	mu     sync.Mutex // held while the issuer is asked
	asked  time.Time  // when it was asked last
	failed error      // what came of it
}

type keys struct {
	list    []jose.JSONWebKey
	fetched time.Time
}

// named lists the keys of a name, if none is older than the bound.
func (k *keys) named(kid string, bound time.Duration, now time.Time) (found []jose.JSONWebKey) {
	if k == nil || now.After(k.fetched.Add(bound)) {
		return nil
	}
	for _, one := range k.list {
		if one.KeyID == kid {
			found = append(found, one)
		}
	}
	return found
}

// of finds the set of a source, or makes an empty one.
func (c *keySets) of(s source, now time.Time) *keySet {
	c.mu.Lock()
	defer c.mu.Unlock()
	set := c.sets[s.key()]
	if set == nil {
		if len(c.sets) >= maxIssuers {
			c.dropStale(now)
		}
		set = new(keySet)
		c.sets[s.key()] = set
	}
	return set
}

// dropStale makes room: what is too old to be used goes, or else everything.
func (c *keySets) dropStale(now time.Time) {
	for name, set := range c.sets {
		if k := set.known.Load(); k == nil || now.After(k.fetched.Add(fresh)) {
			delete(c.sets, name)
		}
	}
	if len(c.sets) >= maxIssuers {
		clear(c.sets)
	}
}

// find gives the keys of a name. It asks the issuer if it does not know the name or
// has not asked for a while; many who want to know wait for one question.
func (c *keySets) find(ctx context.Context, s source, kid string, now time.Time) ([]jose.JSONWebKey, error) {
	set := c.of(s, now)
	if found := set.known.Load().named(kid, fresh, now); found != nil {
		return found, nil
	}
	old := set.known.Load().named(kid, stale, now)
	if old == nil {
		set.mu.Lock()
	} else if !set.mu.TryLock() {
		return old, nil // somebody is asking already
	}
	defer set.mu.Unlock()
	if found := set.known.Load().named(kid, fresh, now); found != nil {
		return found, nil
	}
	if now.Sub(set.asked).Abs() >= pause {
		var list []jose.JSONWebKey
		set.asked = now
		if list, set.failed = c.fetch(ctx, s, now); set.failed == nil {
			set.known.Store(&keys{list, now})
		}
	}
	switch found := set.known.Load().named(kid, stale, now); {
	case found != nil:
		return found, nil
	case set.failed != nil:
		return nil, fault.New(CommunicationError, "The keys of the identity provider could not be fetched.").Because(set.failed)
	}
	return nil, invalid("The identity provider has no key of the name (kid) that is in the token.")
}
