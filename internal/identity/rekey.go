package identity

import (
	"fmt"
	"slices"
	"strings"

	"trent/internal/seal"
	"trent/internal/store"
)

// When a store gets a new root key (seal.Rekeying), so does each account get a new key of its own: the old
// root key opens the old ones in every old copy of the store. The key is added, made the one that
// seals, and the old one dropped, in three changes of the account's record; each does
// nothing where it has been done.

// AddAccountKey gives an account a new key of this id, which does not seal yet.
func AddAccountKey(account string, id uint32) Change {
	key := seal.NewKey() // drawn once, however often the change is tried
	return ofAccount(account, func(s *standing) {
		if s.shredded.IsZero() && s.key.ID != id && !slices.ContainsFunc(s.others, func(k seal.PartKey) bool { return k.ID == id }) {
			s.others = append(slices.Clone(s.others), seal.PartKey{ID: id, Key: key})
		}
	})
}

// SwitchAccountKey makes the key of this id the one that seals.
func SwitchAccountKey(account string, id uint32) Change {
	return ofAccount(account, func(s *standing) {
		i := slices.IndexFunc(s.others, func(k seal.PartKey) bool { return k.ID == id })
		if i < 0 {
			return
		}
		s.others = slices.Clone(s.others)
		s.key, s.others[i] = s.others[i], s.key
	})
}

// DropAccountKeys leaves an account the key that seals, and no other. What is sealed under another
// cannot be read by anybody any more.
func DropAccountKeys(account string) Change {
	return ofAccount(account, func(s *standing) { s.others = nil })
}

// RewriteAccount has the record of an account sealed again as it is.
func RewriteAccount(account string) Change { return ofAccount(account, func(*standing) {}) }

// KeyIDs are the ids of the account's own keys, that of the one that seals first. One that was
// shredded has none.
func (a *Account) KeyIDs() []uint32 {
	if a.IsShredded() {
		return nil
	}
	ids := []uint32{a.standing.key.ID}
	for _, k := range a.standing.others {
		ids = append(ids, k.ID)
	}
	return ids
}

// AccountSealer is what seals the records of an account, closed or not. Of one that was shredded it is
// seal.ErrShredded.
func (d *Directory) AccountSealer(account string) (*seal.Sealer, error) {
	a := d.snap.Load().accounts[account]
	if a == nil {
		return nil, ErrNoAccount
	}
	if a.IsShredded() {
		return nil, seal.ErrShredded
	}
	return a.sealer, nil
}

// Reseal is the value of a record of identities sealed under the current keys; ours is false for
// records that are not such, and the value nil where it is sealed so already. seal.ErrShredded is of what
// nobody can open any more.
func (d *Directory) Reseal(rec store.Record) (value []byte, ours bool, err error) {
	if !strings.HasPrefix(rec.Path, prefix) {
		return nil, false, nil
	}
	s := d.seal
	if owner := ownerOf(rec.Path); owner != "" && !strings.HasPrefix(rec.Path, accountPrefix) {
		if s, err = d.AccountSealer(owner); err != nil {
			return nil, true, fmt.Errorf("%s: %w", rec.Path, err)
		}
	}
	if s.IsCurrent(rec.Value) {
		return nil, true, nil
	}
	if value, err = s.Reseal(rec.Path, rec.Value); err != nil {
		err = fmt.Errorf("%s: %w", rec.Path, err)
	}
	return value, true, err
}

// AccountOf is the account whose own record lies at a path; false: of none.
func AccountOf(path string) (id string, ok bool) { return strings.CutPrefix(path, accountPrefix) }
