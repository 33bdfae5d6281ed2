package keyring

import (
	"context"
	"errors"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/keystore"
	"trent/internal/secret"
)

// openExternal gives the key of a material whose other half is in an external key store. The store must
// be connected now, whatever it was when the key was found.
func (r *Ring) openExternal(ctx context.Context, id crypt.MaterialID, rec *key.Record) (crypt.Key, error) {
	own, err := r.openOwn(ctx, id, rec)
	if err != nil {
		return nil, err
	}
	st, err := r.keyStoreOf(ctx, rec)
	if err != nil {
		return nil, err
	}
	if !st.IsConnected() {
		return nil, fault.New(api.KMSInvalidStateException, rec.ARN+" is unavailable.")
	}
	return &externalKey{own: own, proxies: r.proxies, proxy: &st.Proxy, rec: rec}, nil
}

// externalKey encrypts twice: under its own material first, so that whoever runs the proxy sees nothing
// but a ciphertext, and then by the external key, so that without it nothing opens.
type externalKey struct {
	own     *crypt.Symmetric
	proxies keystore.Proxies
	proxy   *keystore.Proxy
	rec     *key.Record
}

// MaterialID implements crypt.Key.
func (k *externalKey) MaterialID() crypt.MaterialID { return k.own.MaterialID() }

// Seal implements crypt.Remote.
func (k *externalKey) Seal(ctx context.Context, who crypt.Asker, plaintext secret.Bytes, pairs map[string]string) ([]byte, error) {
	inner, err := k.own.Seal(plaintext, pairs)
	if err != nil {
		return nil, err
	}
	id := k.MaterialID()
	w, err := k.proxies.Encrypt(ctx, k.proxy, k.rec.External.KeyID, k.asked(who), inner, crypt.WrapData(id, pairs))
	if err != nil {
		return nil, keystore.OnUse(err)
	}
	return crypt.Wrap(id, w)
}

// Open implements crypt.Remote. A blob that is not wrapped is refused: the proxy has seen those, and
// its key must be needed each time.
func (k *externalKey) Open(ctx context.Context, who crypt.Asker, b crypt.Blob, pairs map[string]string) (secret.Bytes, error) {
	w, ok := b.Wrapped()
	id := k.MaterialID()
	if !ok || b.Material != id {
		return secret.Bytes{}, fault.New(crypt.InvalidCiphertext, "")
	}
	raw, err := k.proxies.Decrypt(ctx, k.proxy, k.rec.External.KeyID, k.asked(who), w, crypt.WrapData(id, pairs))
	if err != nil {
		return secret.Bytes{}, keystore.OnUse(err)
	}
	inner, err := crypt.ParseBlob(raw)
	if err != nil {
		return secret.Bytes{}, errIncorrect()
	}
	plain, err := k.own.Open(inner, pairs)
	if fault.Is(err, crypt.InvalidCiphertext) {
		return secret.Bytes{}, errIncorrect()
	}
	return plain, err
}

// errIncorrect says that the proxy gave back what had not been encrypted.
func errIncorrect() error {
	return keystore.OnUse(keystore.Fail(keystore.Incorrect, errors.New("what the proxy decrypted is no ciphertext of this key")))
}

func (k *externalKey) asked(who crypt.Asker) keystore.Asked {
	return keystore.Asked{Region: k.rec.Region(), Principal: who.Principal, KeyARN: k.rec.ARN, Operation: who.Operation, RequestID: who.RequestID}
}

func proxiesOf(o Options) keystore.Proxies {
	if o.Proxies == nil {
		return keystore.NoProxies{}
	}
	return o.Proxies
}
