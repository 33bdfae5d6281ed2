package crypt_test

import (
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// This file reads and writes ciphertext blobs by docs/spec/ciphertext-blob.md
// and by nothing else: it calls no code of the package under test.

// expand is HKDF-Expand of RFC 5869, section 2.3, for SHA-256.
func expand(prk, info []byte, n int) []byte {
	var out, last []byte
	for i := byte(1); len(out) < n; i++ {
		h := hmac.New(sha256.New, prk)
		h.Write(last)
		h.Write(info)
		h.Write([]byte{i})
		last = h.Sum(nil)
		out = append(out, last...)
	}
	return out[:n]
}

// A derivation is what one message is encrypted under.
type derivation struct{ key, commitment []byte }

func deriveReference(cluster, materialID, material, nonce []byte) derivation {
	info := slices.Concat([]byte("trent kms message v1\x00"), cluster, materialID, nonce)
	okm := expand(material, info, 64)
	return derivation{okm[:32], okm[32:]}
}

func materialIDReference(keyID string, material []byte) []byte {
	return expand(material, append([]byte("trent kms material id v1\x00"), keyID...), 32)
}

func contextReference(context map[string]string) []byte {
	type pair struct{ k, v string }
	var pairs []pair
	for k, v := range context {
		pairs = append(pairs, pair{k, v})
	}
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(a.k, b.k) })
	var out bytes.Buffer
	number := func(n int) { binary.Write(&out, binary.BigEndian, uint32(n)) }
	number(len(pairs))
	for _, p := range pairs {
		number(len(p.k))
		out.WriteString(p.k)
		number(len(p.v))
		out.WriteString(p.v)
	}
	return out.Bytes()
}

// gcm is plain AES-256-GCM under a nonce that is given, which fips140=only
// takes from nobody.
func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	var aead cipher.AEAD
	fips140.WithoutEnforcement(func() { aead, err = cipher.NewGCM(block) })
	if err != nil {
		panic(err)
	}
	return aead
}

// A draft is a blob in its parts, any of which a test may get wrong.
type draft struct {
	version                             byte
	cluster, materialID, material       []byte
	nonce, commitment, gcmNonce, gcmKey []byte
	context                             map[string]string
	plaintext                           []byte
}

func (d draft) header() []byte {
	return slices.Concat([]byte{d.version}, d.materialID, d.nonce, d.commitment)
}

// derive fills in the commitment and the key.
func (d draft) derive() draft {
	x := deriveReference(d.cluster, d.materialID, d.material, d.nonce)
	d.commitment, d.gcmKey = x.commitment, x.key
	return d
}

func (d draft) seal() []byte {
	ad := append(d.header(), contextReference(d.context)...)
	var out []byte
	fips140.WithoutEnforcement(func() {
		out = gcm(d.gcmKey).Seal(slices.Concat(d.header(), d.gcmNonce), d.gcmNonce, d.plaintext, ad)
	})
	return out
}

// openReference opens a blob, or returns nil.
func openReference(blob, cluster, material []byte, context map[string]string) []byte {
	if len(blob) < 110 || blob[0] != 1 {
		return nil
	}
	header, rest := blob[:81], blob[81:]
	x := deriveReference(cluster, header[1:33], material, header[33:49])
	if !bytes.Equal(x.commitment, header[49:81]) {
		return nil
	}
	ad := append(slices.Clone(header), contextReference(context)...)
	var plain []byte
	var err error
	fips140.WithoutEnforcement(func() { plain, err = gcm(x.key).Open(nil, rest[:12], rest[12:], ad) })
	if err != nil {
		return nil
	}
	return plain
}
