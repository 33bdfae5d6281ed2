package seal_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"trent/internal/root"
	"trent/internal/seal"
	"trent/internal/secret"
)

// expand is HKDF-Expand of RFC 5869 for one block of SHA-256.
func expand(prk []byte, info ...[]byte) []byte {
	h := hmac.New(sha256.New, prk)
	h.Write(slices.Concat(info...))
	h.Write([]byte{1})
	return h.Sum(nil)
}

func gcm(key []byte, f func(cipher.AEAD)) {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	fips140.WithoutEnforcement(func() {
		aead, err := cipher.NewGCM(block)
		if err != nil {
			panic(err)
		}
		f(aead)
	})
}

// sealReference seals by docs/spec/sealed-record.md and calls no code of the package.
func sealReference(rootKey, cluster []byte, path string, version byte, id uint32, nonce, content []byte) (out []byte) {
	header := binary.BigEndian.AppendUint32([]byte{version}, id)
	gcm(expand(rootKey, []byte("trent sealed record v1\x00"), cluster, []byte(path)), func(a cipher.AEAD) {
		out = a.Seal(slices.Concat(header, nonce), nonce, content, slices.Concat(header, cluster, []byte(path)))
	})
	return out
}

func openReference(rootKey, cluster []byte, path string, sealed []byte) (content []byte, err error) {
	gcm(expand(rootKey, []byte("trent sealed record v1\x00"), cluster, []byte(path)), func(a cipher.AEAD) {
		content, err = a.Open(nil, sealed[5:17], sealed[17:], slices.Concat(sealed[:5], cluster, []byte(path)))
	})
	return content, err
}

// A fakeRoot wraps by putting the digest of what it is bound to beside the key
// in clear, so that tests can read and forge it; a careless one does not look
// at the digest when it unwraps.
type fakeRoot struct {
	id       string
	careless bool
	fail     error
}

func (r fakeRoot) ID() string { return r.id }

func (r fakeRoot) Wrap(_ context.Context, key secret.Bytes, aad []byte) ([]byte, error) {
	if r.fail != nil {
		return nil, r.fail
	}
	return r.wrap(key.Expose(), aad), nil
}

func (r fakeRoot) wrap(key, aad []byte) []byte {
	sum := sha256.Sum256(slices.Concat([]byte(r.id), key, aad))
	return append(bytes.Clone(key), sum[:]...)
}

func (r fakeRoot) Unwrap(_ context.Context, blob, aad []byte) (secret.Bytes, error) {
	if r.fail != nil {
		return secret.Bytes{}, r.fail
	}
	if len(blob) < 32 {
		return secret.Bytes{}, root.ErrBadData
	}
	key := bytes.Clone(blob[:len(blob)-32])
	if !r.careless && !bytes.Equal(r.wrap(key, aad), blob) {
		return secret.Bytes{}, root.ErrBadData
	}
	return secret.New(key), nil
}

// A box is a container taken apart, by the page and not by the package.
type box struct {
	Cluster []byte   `cbor:"1,keyasint"`
	Keys    []boxKey `cbor:"2,keyasint"`
	Current uint32   `cbor:"3,keyasint"`
}

type boxKey struct {
	ID    uint32    `cbor:"1,keyasint"`
	Wraps []boxWrap `cbor:"2,keyasint"`
}

type boxWrap struct {
	Root string `cbor:"1,keyasint"`
	Blob []byte `cbor:"2,keyasint"`
}

func unpack(t testing.TB, stored []byte) box {
	t.Helper()
	var b box
	if err := cbor.Unmarshal(stored[1:], &b); err != nil || stored[0] != 1 {
		t.Fatalf("container of version %d: %v", stored[0], err)
	}
	return b
}

func (b box) pack(t testing.TB) []byte {
	t.Helper()
	body, err := cbor.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{1}, body...)
}

// wrapped is a root key in a container, by the page.
func wrapped(r fakeRoot, cluster []byte, id uint32, key []byte) boxKey {
	aad := binary.BigEndian.AppendUint32(slices.Concat([]byte("trent root key v1\x00"), cluster), id)
	return boxKey{id, []boxWrap{{r.id, r.wrap(key, aad)}}}
}

func create(t testing.TB, roots ...root.Root) ([]byte, *seal.Sealer) {
	t.Helper()
	stored, s, err := seal.Create(context.Background(), roots)
	if err != nil {
		t.Fatal(err)
	}
	return stored, s
}

func reopen(t testing.TB, stored []byte, roots ...root.Root) *seal.Sealer {
	t.Helper()
	s, err := seal.Open(context.Background(), stored, roots)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
