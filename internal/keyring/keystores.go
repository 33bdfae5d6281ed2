package keyring

import (
	"context"
	"errors"
	"slices"
	"strings"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/keystore"
	"trent/internal/record"
	"trent/internal/secret"
	"trent/internal/store"
)

// The custom key stores of an account in a Region are one record: they are few, and that a name or a
// proxy is free then holds until the record is written.

func keyStoresPath(w Where) string { return "keystores/" + w.Account + "/" + w.Region }

// externalPath is the entry of an external key that a KMS key stands on: no second one may.
func externalPath(rec *key.Record) string {
	return externalPrefix(Where{rec.Account(), rec.Region()}, rec.External.StoreID) + rec.External.KeyID
}

func externalPrefix(w Where, storeID string) string {
	return "external/" + w.Account + "/" + w.Region + "/" + storeID + "/"
}

type encodedStores struct {
	Stores []encodedStore `cbor:"1,keyasint"`
}

type encodedStore struct {
	ID          string     `cbor:"1,keyasint"`
	Name        string     `cbor:"2,keyasint"`
	Created     key.Moment `cbor:"3,keyasint"`
	State       int        `cbor:"4,keyasint"` // index in connectionStates
	Error       string     `cbor:"5,keyasint,omitempty"`
	Endpoint    string     `cbor:"6,keyasint"`
	Path        string     `cbor:"7,keyasint"`
	AccessKeyID string     `cbor:"8,keyasint"`
	Secret      []byte     `cbor:"9,keyasint"`
}

// connectionStates has the numbers of states on disk. Append only.
var connectionStates = []api.ConnectionState{"", api.ConnectionStateDisconnected, api.ConnectionStateConnected, api.ConnectionStateFailed}

// KeyStores gives the custom key stores of an account in a Region.
func (r *Ring) KeyStores(ctx context.Context, w Where) (*keystore.Set, error) {
	if _, err := r.tenants.Sealer(w.Account); err != nil {
		return &keystore.Set{Account: w.Account, Region: w.Region}, nil // nothing of a closed account is there
	}
	set, err := r.stores.load(w, func() (*keystore.Set, error) { return r.readKeyStores(ctx, w) })
	return set, unavailable(ctx, err)
}

func (r *Ring) readKeyStores(ctx context.Context, w Where) (*keystore.Set, error) {
	set := &keystore.Set{Account: strings.Clone(w.Account), Region: strings.Clone(w.Region)}
	content, rev, err := r.read(ctx, w.Account, keyStoresPath(w))
	if errors.Is(err, errNoRecord) {
		return set, nil
	} else if err != nil {
		return nil, err
	}
	var e encodedStores
	if err := record.Decode(recordVersion, content, &e); err != nil {
		return nil, err
	}
	for _, s := range e.Stores {
		if s.State < 1 || s.State >= len(connectionStates) {
			return nil, record.ErrVersion
		}
		set.Stores = append(set.Stores, &keystore.Store{
			ID: s.ID, Name: s.Name, Created: s.Created, State: connectionStates[s.State], Error: api.ConnectionErrorCode(s.Error),
			Proxy: keystore.Proxy{Endpoint: s.Endpoint, Path: s.Path, AccessKeyID: s.AccessKeyID, Secret: secret.New(s.Secret)},
		})
	}
	set.Rev = uint64(rev)
	return set, nil
}

// PutKeyStores makes Now the custom key stores of an account in a Region. The commit fails if they are
// not at the revision of Now any more.
type PutKeyStores struct{ Now *keystore.Set }

func (c PutKeyStores) add(r *Ring, b *store.Batch) error {
	var e encodedStores
	for _, s := range c.Now.Stores {
		state := slices.Index(connectionStates, s.State)
		if state < 1 {
			return fault.New(fault.Internal, "").Because(errors.New("keyring: no number for the state of a key store"))
		}
		e.Stores = append(e.Stores, encodedStore{
			ID: s.ID, Name: s.Name, Created: s.Created, State: state, Error: string(s.Error),
			Endpoint: s.Proxy.Endpoint, Path: s.Proxy.Path, AccessKeyID: s.Proxy.AccessKeyID, Secret: s.Proxy.Secret.Expose(),
		})
	}
	content, err := record.Encode(recordVersion, e)
	if err != nil {
		return err
	}
	return r.put(b, c.Now.Account, keyStoresPath(c.where()), content, c.Now.Rev)
}

func (c PutKeyStores) where() Where { return Where{c.Now.Account, c.Now.Region} }

func (c PutKeyStores) forget(r *Ring, _ bool) { r.stores.drop(c.where()) }

// PutExternal claims the external key of a new key, on condition that nobody has, and that the
// key stores are as they were decided upon: that the one in question is connected.
type PutExternal struct {
	Key    *key.Record
	Stores *keystore.Set
}

func (c PutExternal) add(_ *Ring, b *store.Batch) error {
	path := externalPath(c.Key)
	b.If = append(b.If,
		store.Condition{Path: path},
		store.Condition{Path: keyStoresPath(Where{c.Stores.Account, c.Stores.Region}), Rev: store.Rev(c.Stores.Rev)})
	b.Put = append(b.Put, store.Put{Path: path, Value: append([]byte{recordVersion}, c.Key.ID()...)})
	return nil
}

func (c PutExternal) forget(r *Ring, _ bool) {
	r.stores.drop(Where{c.Stores.Account, c.Stores.Region})
}

// ExternalTaken reports whether a KMS key stands on an external key of a store; of an empty id,
// whether one stands on any.
func (r *Ring) ExternalTaken(ctx context.Context, w Where, storeID, externalID string) (bool, error) {
	prefix := externalPrefix(w, storeID)
	if externalID == "" {
		found, err := r.store.List(ctx, prefix, "", 1, true)
		return len(found) > 0, unavailable(ctx, err)
	}
	_, err := r.store.Get(ctx, prefix+externalID)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, unavailable(ctx, err)
}

// available completes the record of a key in a custom key store by the state of that store. One
// that cannot be read, or is not there, leaves the key unavailable.
func (r *Ring) available(ctx context.Context, rec *key.Record) error {
	if rec.External == nil {
		return nil
	}
	st, err := r.keyStoreOf(ctx, rec)
	if err != nil && !fault.Is(err, api.CustomKeyStoreNotFoundException) {
		return err
	}
	if err != nil || !st.IsConnected() {
		own := *rec.External
		own.Unavailable = true
		rec.External = &own
	}
	return nil
}

func (r *Ring) keyStoreOf(ctx context.Context, rec *key.Record) (*keystore.Store, error) {
	set, err := r.KeyStores(ctx, Where{rec.Account(), rec.Region()})
	if err != nil {
		return nil, err
	}
	return set.ByID(rec.External.StoreID)
}

// ConnectedProxies calls f for the proxy of each store that is connected, of all accounts.
func (r *Ring) ConnectedProxies(ctx context.Context, f func(region string, p *keystore.Proxy)) error {
	after := ""
	for {
		recs, err := r.store.List(ctx, "keystores/", after, page, true)
		if err != nil {
			return unavailable(ctx, err)
		}
		for _, rec := range recs {
			after = rec.Path
			account, region, _ := strings.Cut(strings.TrimPrefix(rec.Path, "keystores/"), "/")
			set, err := r.KeyStores(ctx, Where{account, region})
			if err != nil {
				return err
			}
			for _, s := range set.Stores {
				if s.IsConnected() {
					f(region, &s.Proxy)
				}
			}
		}
		if len(recs) < page {
			return nil
		}
	}
}
