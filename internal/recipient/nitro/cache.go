package nitro

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// maxChains bounds the chains that are remembered, about 500 bytes each. One is used
// for three hours at most, by one enclave.
const maxChains = 8192

// A chainID is the digest of a chain's certificates.
type chainID [sha256.Size]byte

// chainID is injective: each certificate has its length before it.
func (d *document) chainID() (id chainID) {
	h := sha256.New()
	add := func(der []byte) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(der))))
		h.Write(der)
	}
	add(d.leaf)
	for _, der := range d.bundle {
		add(der)
	}
	h.Sum(id[:0])
	return id
}

// chains remembers chains that were verified, and forgets those that were not used for
// longest. It is for one set of roots. That a chain is in it says nothing of the time:
// validity is looked at each time that it is used.
type chains struct {
	mu    sync.Mutex
	known map[chainID]*list.Element
	used  *list.List // of remembered, the latest first
	max   int
}

type remembered struct {
	id chainID
	chain
}

func newChains(most int) *chains {
	return &chains{known: make(map[chainID]*list.Element), used: list.New(), max: most}
}

func (c *chains) get(id chainID) (chain, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.known[id]
	if e == nil {
		return chain{}, false
	}
	c.used.MoveToFront(e)
	return e.Value.(*remembered).chain, true
}

func (c *chains) put(id chainID, ch chain) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[id] != nil {
		return
	}
	if len(c.known) >= c.max {
		oldest := c.used.Back()
		delete(c.known, c.used.Remove(oldest).(*remembered).id)
	}
	c.known[id] = c.used.PushFront(&remembered{id, ch})
}

// drop forgets a chain whose time is over.
func (c *chains) drop(id chainID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.known[id]; e != nil {
		c.used.Remove(e)
		delete(c.known, id)
	}
}
