package pipeline_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"slices"
	"sync"

	"trent/internal/crypt"
	"trent/internal/keystore"
)

// fakeProxies are proxies of external key stores in memory, with keys that really encrypt. It stands where
// xks.Client does.
type fakeProxies struct {
	mu      sync.Mutex
	keys    map[string]*fakeKey // by id, the same at all proxies
	fails   error               // what everything fails with
	tampers func([]byte)        // alters what is decrypted
	asked   []keystore.Asked
	proxies []keystore.Proxy
}

type fakeKey struct {
	keystore.ExternalKey
	aead cipher.AEAD
}

func newFakeProxies() *fakeProxies {
	p := &fakeProxies{keys: make(map[string]*fakeKey)}
	for _, id := range []string{"one", "two", "three"} {
		p.add(id)
	}
	return p
}

func (p *fakeProxies) add(id string) {
	material := make([]byte, 32)
	rand.Read(material)
	block, err := aes.NewCipher(material)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err)
	}
	p.keys[id] = &fakeKey{keystore.ExternalKey{Spec: "AES_256", Usage: []string{"ENCRYPT", "DECRYPT"}, Status: "ENABLED"}, aead}
}

// set alters the proxies.
func (p *fakeProxies) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// last is what was asked last, and of which proxy.
func (p *fakeProxies) last() (keystore.Asked, keystore.Proxy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[len(p.asked)-1], p.proxies[len(p.proxies)-1]
}

func (p *fakeProxies) called() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

func (p *fakeProxies) begin(proxy *keystore.Proxy, about keystore.Asked) error {
	p.asked, p.proxies = append(p.asked, about), append(p.proxies, *proxy)
	return p.fails
}

func (p *fakeProxies) key(id string) (*fakeKey, error) {
	k, ok := p.keys[id]
	if !ok {
		return nil, keystore.Fail(keystore.NoKey, nil)
	}
	return k, nil
}

// Health implements keystore.Proxies.
func (p *fakeProxies) Health(_ context.Context, proxy *keystore.Proxy, about keystore.Asked) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begin(proxy, about)
}

// Key implements keystore.Proxies.
func (p *fakeProxies) Key(_ context.Context, proxy *keystore.Proxy, id string, about keystore.Asked) (keystore.ExternalKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.begin(proxy, about); err != nil {
		return keystore.ExternalKey{}, err
	}
	k, err := p.key(id)
	if err != nil {
		return keystore.ExternalKey{}, err
	}
	return k.ExternalKey, nil
}

// Encrypt implements keystore.Proxies.
func (p *fakeProxies) Encrypt(_ context.Context, proxy *keystore.Proxy, id string, about keystore.Asked, plaintext, aad []byte) (crypt.Wrapped, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.begin(proxy, about); err != nil {
		return crypt.Wrapped{}, err
	}
	k, err := p.key(id)
	if err != nil {
		return crypt.Wrapped{}, err
	}
	const iv = 12
	out := k.aead.Seal(nil, nil, plaintext, aad)
	return crypt.Wrapped{Ciphertext: out[iv : iv+len(plaintext)], Tag: out[iv+len(plaintext):], IV: out[:iv], Metadata: []byte("v1")}, nil
}

// Decrypt implements keystore.Proxies.
func (p *fakeProxies) Decrypt(_ context.Context, proxy *keystore.Proxy, id string, about keystore.Asked, w crypt.Wrapped, aad []byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.begin(proxy, about); err != nil {
		return nil, err
	}
	k, err := p.key(id)
	if err != nil {
		return nil, err
	}
	plain, err := k.aead.Open(nil, nil, slices.Concat(w.IV, w.Ciphertext, w.Tag), aad)
	if err != nil || string(w.Metadata) != "v1" {
		return nil, keystore.Fail(keystore.BadCiphertext, nil)
	}
	if p.tampers != nil {
		p.tampers(plain)
	}
	return plain, nil
}
