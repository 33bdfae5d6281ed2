package keyring

import (
	"fmt"
	"strings"

	"trent/internal/seal"
	"trent/internal/store"
)

// Reseal is the value of a record of the ring sealed under the current keys of its account, which
// need not be open; ours is false for records that are not sealed, or not the ring's, and the value nil where it
// is sealed so already. What is cached of it does not change, but its revision does: Forget it.
func (r *Ring) Reseal(rec store.Record, sealerOf func(account string) (*seal.Sealer, error)) (value []byte, ours bool, err error) {
	kind, rest, _ := strings.Cut(rec.Path, "/")
	account, _, _ := strings.Cut(rest, "/")
	clear, sealed := []byte(nil), rec.Value
	switch kind {
	case "key", "alias", "keystores", "grant", "lastuse":
	case "material":
		owner, own, err := splitMaterial(rec.Path, rec.Value)
		if err != nil || len(own) == 0 {
			return nil, true, err
		}
		account, _, _ = strings.Cut(string(owner), "/")
		clear, sealed = rec.Value[:len(rec.Value)-len(own)], own
	default:
		return nil, false, nil
	}
	s, err := sealerOf(account)
	if err != nil {
		return nil, true, fmt.Errorf("%s: %w", rec.Path, err)
	}
	if s.IsCurrent(sealed) {
		return nil, true, nil
	}
	again, err := s.Reseal(rec.Path, sealed)
	if err != nil {
		return nil, true, fmt.Errorf("%s: %w", rec.Path, err)
	}
	return append(append([]byte(nil), clear...), again...), true, nil
}
