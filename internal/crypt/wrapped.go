package crypt

import (
	"context"
	"crypto/sha256"
	"fmt"

	"trent/internal/secret"
)

// A Remote key is symmetric, and is used together with another key that lies elsewhere: what it
// seals is sealed a second time there, and both are needed to open it. Asking takes time and can fail.
type Remote interface {
	Key
	// Seal is Symmetric.Seal, twice.
	Seal(ctx context.Context, who Asker, plaintext secret.Bytes, context map[string]string) ([]byte, error)
	// Open opens what Seal made, and nothing else.
	Open(ctx context.Context, who Asker, b Blob, context map[string]string) (secret.Bytes, error)
}

// An Asker is on whose behalf a remote key is used, as its owner is told.
type Asker struct {
	Principal string // ARN; of the session of a role that of the role
	Operation string
	RequestID string
}

// The layout of a wrapped blob, version 2, in bytes: version(1) ‖ material id(32) ‖ length of the
// metadata(1) ‖ length of the initialization vector(1) ‖ metadata ‖ initialization vector ‖
// tag(16) ‖ ciphertext (as long as the blob of version 1 that it is the ciphertext of).
const (
	wrappedVersion = 2

	atLengths     = atMaterial + 32
	atVariable    = atLengths + 2
	wrappedTag    = 16
	maxWrappedMD  = 20
	minWrapped    = atVariable + 12 + wrappedTag + Overhead + 1
	maxWrapped    = atVariable + maxWrappedMD + 16 + wrappedTag + Overhead + MaxPlaintext
	maxInnerBlob  = Overhead + MaxPlaintext
	leastInnerLen = Overhead + 1
)

// Wrapped is what an external key made of a blob (response of Encrypt in the XKS proxy API).
type Wrapped struct {
	Ciphertext []byte // as long as what it is the ciphertext of
	Metadata   []byte // up to 20 bytes that mean something to its owner alone
	IV         []byte // 12 or 16 bytes
	Tag        []byte // 16 bytes
}

// Fits reports whether the sizes of w are those of an answer about n bytes.
func (w *Wrapped) Fits(n int) bool {
	return len(w.Ciphertext) == n && len(w.Metadata) <= maxWrappedMD && (len(w.IV) == 12 || len(w.IV) == 16) && len(w.Tag) == wrappedTag
}

// Wrap puts what an external key made of a blob of this material into a blob of its own.
func Wrap(id MaterialID, w Wrapped) ([]byte, error) {
	if n := len(w.Ciphertext); n < leastInnerLen || n > maxInnerBlob || !w.Fits(n) {
		return nil, fmt.Errorf("crypt: wrap %d, %d, %d and %d bytes", len(w.Ciphertext), len(w.Metadata), len(w.IV), len(w.Tag))
	}
	b := make([]byte, 0, atVariable+len(w.Metadata)+len(w.IV)+wrappedTag+len(w.Ciphertext))
	b = append(b, wrappedVersion)
	b = append(b, id[:]...)
	b = append(b, byte(len(w.Metadata)), byte(len(w.IV)))
	b = append(b, w.Metadata...)
	b = append(b, w.IV...)
	b = append(b, w.Tag...)
	return append(b, w.Ciphertext...), nil
}

// parseWrapped reads a blob of version 2.
func parseWrapped(b []byte) (Blob, error) {
	if len(b) < minWrapped || len(b) > maxWrapped {
		return Blob{}, errInvalid()
	}
	blob := Blob{Material: MaterialID(b[atMaterial:atLengths]), raw: b}
	if w, ok := blob.Wrapped(); !ok || !w.Fits(len(w.Ciphertext)) || len(w.Ciphertext) < leastInnerLen || len(w.Ciphertext) > maxInnerBlob {
		return Blob{}, errInvalid()
	}
	return blob, nil
}

// Wrapped takes a blob of version 2 apart, and reports false for others.
func (b Blob) Wrapped() (Wrapped, bool) {
	if len(b.raw) < minWrapped || b.raw[0] != wrappedVersion {
		return Wrapped{}, false
	}
	metadata, iv := int(b.raw[atLengths]), int(b.raw[atLengths+1])
	rest := b.raw[atVariable:]
	if len(rest) < metadata+iv+wrappedTag {
		return Wrapped{}, false
	}
	return Wrapped{
		Metadata: rest[:metadata:metadata], IV: rest[metadata : metadata+iv : metadata+iv],
		Tag:        rest[metadata+iv : metadata+iv+wrappedTag : metadata+iv+wrappedTag],
		Ciphertext: rest[metadata+iv+wrappedTag:],
	}, true
}

// WrapData is what an external key authenticates beside a blob: the header of the blob that it
// becomes, and the SHA-256 of the encryption context, which may itself be larger than a proxy takes.
func WrapData(id MaterialID, context map[string]string) []byte {
	sum := sha256.Sum256(appendContext(nil, context))
	data := append([]byte{wrappedVersion}, id[:]...)
	return append(data, sum[:]...)
}
