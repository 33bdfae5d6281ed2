// Package roottest is what every root of trust must pass.
package roottest

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"trent/internal/root"
	"trent/internal/secret"
)

// Run tests a root. make returns a new root of trust of its kind; reopen
// returns the one that make last returned, opened anew.
func Run(t *testing.T, make, reopen func(t *testing.T) root.Root) {
	ctx := context.Background()
	key := secret.New(bytes.Repeat([]byte{7}, root.KeySize))
	aad := []byte("cluster and key id")
	r := make(t)
	blob, err := r.Wrap(ctx, key, aad)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("round trip", func(t *testing.T) {
		for _, r := range []root.Root{r, reopen(t)} {
			got, err := r.Unwrap(ctx, blob, aad)
			if err != nil || !got.Equal(key) {
				t.Fatalf("Unwrap: %v", err)
			}
		}
	})
	t.Run("identity", func(t *testing.T) {
		again := reopen(t)
		if r.ID() == "" || len(r.ID()) > 64 || again.ID() != r.ID() {
			t.Errorf("ids %q and %q", r.ID(), again.ID())
		}
	})
	t.Run("the wrapped key is not in the blob, and no two blobs are alike", func(t *testing.T) {
		second, err := r.Wrap(ctx, key, aad)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(blob, key.Expose()) || bytes.Equal(blob, second) {
			t.Error("wrapping is not encryption")
		}
	})
	t.Run("refusals are bad data", func(t *testing.T) {
		other := make(t)
		for name, try := range map[string]func() (secret.Bytes, error){
			"other aad":  func() (secret.Bytes, error) { return r.Unwrap(ctx, blob, []byte("another")) },
			"other root": func() (secret.Bytes, error) { return other.Unwrap(ctx, blob, aad) },
			"cut":        func() (secret.Bytes, error) { return r.Unwrap(ctx, blob[:len(blob)-1], aad) },
			"empty":      func() (secret.Bytes, error) { return r.Unwrap(ctx, nil, aad) },
		} {
			if got, err := try(); !errors.Is(err, root.ErrBadData) || !got.IsZero() {
				t.Errorf("%s: %v", name, err)
			}
		}
		for i := range blob {
			bad := bytes.Clone(blob)
			bad[i] ^= 1
			if _, err := r.Unwrap(ctx, bad, aad); !errors.Is(err, root.ErrBadData) {
				t.Fatalf("bit flipped in byte %d: %v", i, err)
			}
		}
	})
}
