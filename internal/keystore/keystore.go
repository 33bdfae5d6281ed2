// Package keystore is what a custom key store is: a place outside, where the second half of
// some keys lies; its record, its states and their rules. It is pure: who asks the proxy of such a
// store is behind Proxies.
package keystore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/secret"
)

// MaxStores is how many custom key stores an account may have in a Region (a quota of AWS KMS).
const MaxStores = 10

// A Store is a custom key store as it stood at one revision of its Set. It is immutable.
type Store struct {
	ID      string // cks- and 17 hexadecimal digits
	Name    string // unique in its account and Region
	Created key.Moment
	State   api.ConnectionState // CONNECTED, DISCONNECTED or FAILED
	// Error says why a connection failed; only of FAILED.
	Error api.ConnectionErrorCode
	Proxy Proxy
}

// A Proxy is where an external key store is reached, and as whom.
type Proxy struct {
	Endpoint    string // https:// and a host name
	Path        string // optional prefix, and /kms/xks/v1
	AccessKeyID string
	Secret      secret.Bytes
}

// is reports whether two proxies are one: host names have no case, paths do.
func (p *Proxy) is(o *Proxy) bool {
	return strings.EqualFold(p.Endpoint, o.Endpoint) && p.Path == o.Path
}

// Address is the endpoint and the path, which together name a proxy.
func (p *Proxy) Address() string { return p.Endpoint + p.Path }

// IsConnected reports whether keys of the store can be used.
func (s *Store) IsConnected() bool { return s.State == api.ConnectionStateConnected }

// NewID draws the id of a store.
func NewID() string {
	var b [9]byte
	rand.Read(b[:])
	return "cks-" + hex.EncodeToString(b[:])[:17]
}

// A Set is all custom key stores of an account in a Region, at one revision. It is immutable.
type Set struct {
	Account, Region string
	Stores          []*Store // in order of creation
	Rev             uint64   // of the record; zero: there is none yet
}

// ByID finds a store.
func (s *Set) ByID(id string) (*Store, error) {
	return s.find("identified by "+id, func(st *Store) bool { return st.ID == id })
}

// ByName finds a store.
func (s *Set) ByName(name string) (*Store, error) {
	return s.find("with the name "+name, func(st *Store) bool { return st.Name == name })
}

func (s *Set) find(what string, match func(*Store) bool) (*Store, error) {
	if i := slices.IndexFunc(s.Stores, match); i >= 0 {
		return s.Stores[i], nil
	}
	return nil, fault.New(api.CustomKeyStoreNotFoundException, "There is no custom key store "+what+".")
}

// Put is the set with one store added, or in the place of the one of its id. What must be unique in
// the set is, or the store is refused.
func (s *Set) Put(now *Store) (*Set, error) {
	next := &Set{Account: s.Account, Region: s.Region, Rev: s.Rev, Stores: slices.Clone(s.Stores)}
	for _, other := range s.Stores {
		switch {
		case other.ID == now.ID:
		case other.Name == now.Name:
			return nil, fault.New(api.CustomKeyStoreNameInUseException, "A custom key store with the name "+now.Name+" already exists.")
		case other.Proxy.is(&now.Proxy):
			return nil, fault.Newf(api.XksProxyUriInUseException, "The external key store proxy at %s is already used by the custom key store %s.", now.Proxy.Address(), other.ID)
		}
	}
	if i := slices.IndexFunc(s.Stores, func(st *Store) bool { return st.ID == now.ID }); i >= 0 {
		next.Stores[i] = now
		return next, nil
	}
	if len(s.Stores) >= MaxStores {
		return nil, fault.Newf(api.LimitExceededException, "There are %d custom key stores already, which is the limit.", MaxStores)
	}
	next.Stores = append(next.Stores, now)
	return next, nil
}

// Without is the set without one store.
func (s *Set) Without(id string) *Set {
	return &Set{
		Account: s.Account, Region: s.Region, Rev: s.Rev,
		Stores: slices.DeleteFunc(slices.Clone(s.Stores), func(st *Store) bool { return st.ID == id }),
	}
}

// CheckState refuses what a store cannot do in its state: want are the states in which it can.
func (s *Store) CheckState(operation string, want ...api.ConnectionState) error {
	if slices.Contains(want, s.State) {
		return nil
	}
	return fault.Newf(api.CustomKeyStoreInvalidStateException, "%s is not possible while the custom key store %s is %s.", operation, s.ID, s.State)
}

// Asked is what a proxy is told of the request that it is asked on behalf of (requestMetadata of
// the XKS proxy API).
type Asked struct {
	Region    string
	Principal string // ARN; empty: nobody's request
	KeyARN    string // empty where there is no KMS key yet
	Operation string // of the API
	RequestID string
}

// An ExternalKey is what a proxy says of a key.
type ExternalKey struct {
	Spec   string   // AES_256
	Usage  []string // ENCRYPT, DECRYPT and others
	Status string   // ENABLED or DISABLED
}

// IsUsable reports whether a KMS key can stand on the external key.
func (k *ExternalKey) IsUsable() bool {
	return k.Spec == "AES_256" && k.Status == "ENABLED" && slices.Contains(k.Usage, "ENCRYPT") && slices.Contains(k.Usage, "DECRYPT")
}

// Proxies asks the proxies of external key stores. Whatever it fails with is a *Failure.
type Proxies interface {
	// Health asks whether the proxy, and what stands behind it, can serve.
	Health(ctx context.Context, p *Proxy, about Asked) error
	// Key asks about the external key of an id.
	Key(ctx context.Context, p *Proxy, id string, about Asked) (ExternalKey, error)
	// Encrypt has an external key encrypt, and authenticate aad with it.
	Encrypt(ctx context.Context, p *Proxy, id string, about Asked, plaintext, aad []byte) (crypt.Wrapped, error)
	// Decrypt is the way back. The answer is as long as the ciphertext.
	Decrypt(ctx context.Context, p *Proxy, id string, about Asked, w crypt.Wrapped, aad []byte) ([]byte, error)
}

// As is the proxy with another credential, if one is given.
func (p Proxy) As(c *api.XksProxyAuthenticationCredential) Proxy {
	if c != nil {
		p.AccessKeyID = string(c.AccessKeyId.Expose())
		p.Secret = c.RawSecretAccessKey
	}
	return p
}

// ShownKeyID is the id of the credential, which the model counts among what is sensitive.
func (p *Proxy) ShownKeyID() secret.Bytes { return secret.New([]byte(p.AccessKeyID)) }

// NoProxies is where no proxy can be reached.
type NoProxies struct{}

// Health implements Proxies.
func (NoProxies) Health(context.Context, *Proxy, Asked) error { return Fail(Unreachable, nil) }

// Key implements Proxies.
func (NoProxies) Key(context.Context, *Proxy, string, Asked) (ExternalKey, error) {
	return ExternalKey{}, Fail(Unreachable, nil)
}

// Encrypt implements Proxies.
func (NoProxies) Encrypt(context.Context, *Proxy, string, Asked, []byte, []byte) (crypt.Wrapped, error) {
	return crypt.Wrapped{}, Fail(Unreachable, nil)
}

// Decrypt implements Proxies.
func (NoProxies) Decrypt(context.Context, *Proxy, string, Asked, crypt.Wrapped, []byte) ([]byte, error) {
	return nil, Fail(Unreachable, nil)
}
