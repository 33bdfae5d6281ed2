// Package root is the seam to roots of trust: whatever wraps the root keys of
// a store and never gives its own key out.
package root

import (
	"context"
	"errors"

	"trent/internal/secret"
)

// KeySize is the size of what a Root wraps, in bytes.
const KeySize = 32

// A Root wraps and unwraps root keys. Methods may be called at once from many
// goroutines.
type Root interface {
	// ID names this root in the store, so that a start can tell which wrapping is
	// its own. It tells nothing of the key. 1 to 64 printable ASCII bytes.
	ID() string

	// Wrap encrypts key bound to aad. Two calls give two different blobs.
	Wrap(ctx context.Context, key secret.Bytes, aad []byte) ([]byte, error)

	// Unwrap reverses Wrap for the same aad. It fails with ErrBadData, with
	// ErrUnavailable or with ErrRefused, wrapped.
	Unwrap(ctx context.Context, blob, aad []byte) (secret.Bytes, error)
}

// Why an Unwrap or a Wrap failed. They call for different acts: restore the
// right file, wait, or fix a permission.
var (
	ErrBadData     = errors.New("root: what is wrapped does not belong to this root of trust, or was altered")
	ErrUnavailable = errors.New("root: the root of trust cannot be reached")
	ErrRefused     = errors.New("root: the root of trust refuses")
)
