// Package shares is the root of trust for the day on which all others are lost: a
// secret in n shares of which any k open the store, and fewer tell nothing. The sharing is
// Shamir's, over the order of P-256. docs/spec/shares-root.md has the format.
package shares

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"trent/internal/root"
	"trent/internal/root/kek"
	"trent/internal/secret"
)

// Bounds of a set of shares.
const (
	MinThreshold = 2
	MaxShares    = 32
)

const (
	labelSet = "trent shares set v1"
	labelKey = "trent shares key v1\x00"
)

// field is where the shares are computed.
func field() group.Group { return group.P256 }

// Root implements root.Root.
type Root struct {
	set string
	key kek.Key
}

// Split draws a new secret and splits it into n shares, of which k give it back.
func Split(k, n int) ([]Share, error) {
	if k < MinThreshold || n < k || n > MaxShares {
		return nil, fmt.Errorf("of %d shares, %d are to open the store: have %d to %d shares, and a threshold from %d to their number", n, k, MinThreshold, MaxShares, MinThreshold)
	}
	whole := field().RandomNonZeroScalar(rand.Reader)
	set, err := setOf(whole)
	if err != nil {
		return nil, err
	}
	var all []Share
	for i, s := range secretsharing.New(rand.Reader, uint(k-1), whole).Share(uint(n)) {
		value, err := s.Value.MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("encode a share: %w", err)
		}
		all = append(all, Share{Set: set, Threshold: k, Of: n, Index: i + 1, value: secret.New(value)})
	}
	return all, nil
}

// Combine opens the root of trust with shares. It says which share does not belong to
// the others, and which is missing, and nothing of what is in them.
func Combine(given []Share) (*Root, error) {
	if err := checkSet(given); err != nil {
		return nil, err
	}
	parts := make([]secretsharing.Share, len(given))
	for i, s := range given {
		value := field().NewScalar()
		if err := value.UnmarshalBinary(s.value.Expose()); err != nil {
			return nil, fmt.Errorf("share %d of the set %s has no value: %w", s.Index, s.Set, root.ErrBadData)
		}
		parts[i] = secretsharing.Share{ID: field().NewScalar().SetUint64(uint64(s.Index)), Value: value}
	}
	whole, err := secretsharing.Recover(uint(given[0].Threshold-1), parts)
	if err != nil {
		return nil, fmt.Errorf("combine the shares: %w", err)
	}
	set, err := setOf(whole)
	if err != nil {
		return nil, err
	}
	if set != given[0].Set {
		return nil, fmt.Errorf("the shares %s do not make the secret of the set %s: at least one was altered, though its checksum is right; try others: %w", indexes(given), given[0].Set, root.ErrBadData)
	}
	return newRoot(set, whole)
}

// errTooFew says that more shares are needed.
var errTooFew = errors.New("too few shares")

// checkSet refuses shares that do not belong together, a share twice, and too few.
func checkSet(given []Share) error {
	if len(given) == 0 {
		return fmt.Errorf("%w: none was given", errTooFew)
	}
	first := given[0]
	for i, s := range given {
		if s.Set != first.Set || s.Threshold != first.Threshold || s.Of != first.Of {
			return fmt.Errorf("shares of different sets: share %d is of the set %s (%d of %d), share %d is of the set %s (%d of %d): %w",
				first.Index, first.Set, first.Threshold, first.Of, s.Index, s.Set, s.Threshold, s.Of, root.ErrBadData)
		}
		if slices.ContainsFunc(given[:i], func(o Share) bool { return o.Index == s.Index }) {
			return fmt.Errorf("share %d of the set %s is given twice", s.Index, s.Set)
		}
	}
	if len(given) < first.Threshold {
		return fmt.Errorf("%w: the set %s needs %d of its %d shares, and has only %s: %w", errTooFew, first.Set, first.Threshold, first.Of, indexes(given), root.ErrUnavailable)
	}
	return nil
}

func indexes(given []Share) string {
	var all []int
	for _, s := range given {
		all = append(all, s.Index)
	}
	return fmt.Sprint(all)
}

// setOf names a set by its secret, and so tells whether that is the right one.
func setOf(whole group.Scalar) (string, error) {
	b, err := whole.MarshalBinary()
	if err != nil {
		return "", fmt.Errorf("encode the secret of the shares: %w", err)
	}
	return kek.Name(labelSet, b), nil
}

func newRoot(set string, whole group.Scalar) (*Root, error) {
	b, err := whole.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode the secret of the shares: %w", err)
	}
	key, err := hkdf.Key(sha256.New, b, nil, labelKey+set, root.KeySize)
	if err != nil {
		return nil, fmt.Errorf("derive from the shares: %w", err)
	}
	k, err := kek.New(key)
	return &Root{set, k}, err
}

// ID implements root.Root.
func (r *Root) ID() string { return "shares:" + r.set }

// version is the first byte of a wrapping.
const version = 1

// Wrap implements root.Root.
func (r *Root) Wrap(_ context.Context, key secret.Bytes, aad []byte) ([]byte, error) {
	return r.key.Wrap([]byte{version}, key, append([]byte{version}, aad...)), nil
}

// Unwrap implements root.Root.
func (r *Root) Unwrap(_ context.Context, blob, aad []byte) (secret.Bytes, error) {
	if len(blob) == 0 || blob[0] != version {
		return secret.Bytes{}, root.ErrBadData
	}
	return r.key.Unwrap(blob[1:], append([]byte{version}, aad...))
}
