package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strings"
	"sync"
)

// maxSigningKeys bounds the cache. Access keys in use times regions in use is
// far below it; who invents scopes only makes us start over.
const maxSigningKeys = 4096

// signingKeys caches derived signing keys, each as a pool of keyed HMACs, so
// that a request costs one HMAC instead of five. A key is bound to the owner's
// access key id, the whole scope and the revision of the secret.
type signingKeys struct {
	mu   sync.RWMutex
	keys map[scopeKey]*signingKey
}

type scopeKey struct{ accessKey, scope string }

type signingKey struct {
	revision uint64
	pool     sync.Pool // *keyedMAC, reset
}

func newSigningKeys() *signingKeys { return &signingKeys{keys: make(map[scopeKey]*signingKey)} }

// mac takes a keyed HMAC, ready to write to; release it after use.
func (s *signingKeys) mac(owner string, a authorization, cred Credential) *keyedMAC {
	s.mu.RLock()
	k := s.keys[scopeKey{owner, a.scope}]
	s.mu.RUnlock()
	if k == nil || k.revision != cred.Revision {
		k = s.add(owner, a, cred)
	}
	return k.pool.Get().(*keyedMAC)
}

func (s *signingKeys) add(owner string, a authorization, cred Credential) *signingKey {
	derived := derive(cred, a)
	k := &signingKey{revision: cred.Revision}
	k.pool.New = func() any { return &keyedMAC{Hash: hmac.New(sha256.New, derived), home: &k.pool} }
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) >= maxSigningKeys {
		clear(s.keys)
	}
	// The strings are parts of a request's header: keep copies, not the header.
	s.keys[scopeKey{strings.Clone(owner), strings.Clone(a.scope)}] = k
	return k
}

// keyedMAC goes back to the pool that it came from: should the secret have
// changed meanwhile, that pool is forgotten, and the old key with it.
type keyedMAC struct {
	hash.Hash
	sum  [sha256.Size]byte // room for the result
	home *sync.Pool
}

func (m *keyedMAC) release() {
	m.Reset()
	m.home.Put(m)
}

// derive is the signing key: four HMACs over the parts of the scope.
func derive(cred Credential, a authorization) []byte {
	k := append([]byte("AWS4"), cred.Secret.Expose()...)
	for _, part := range []string{a.date, a.region, a.service, a.terminator} {
		m := hmac.New(sha256.New, k)
		m.Write([]byte(part))
		k = m.Sum(nil)
	}
	return k
}
