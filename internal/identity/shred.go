package identity

import (
	"context"
	"errors"
	"strings"
	"time"

	"trent/internal/seal"
	"trent/internal/store"
)

// A closed account can be shredded: its keys are taken out of its record, and nothing that is sealed under them
// can be opened any more, by anybody. That cannot be undone, so it is scheduled, and happens when
// the time for it has come and been believed (docs/decisions/0025-shredding.md). The record itself stays for ever, so that
// the id is never given again; what the account had is deleted afterwards, since it is of no use to anybody.

// ShredDate is when the account is to be shredded, or was; the zero time: it is not to be.
func (a *Account) ShredDate() time.Time {
	if a.IsShredded() {
		return a.standing.shredded
	}
	return a.standing.shred
}

// IsShredded reports whether the account's keys are gone.
func (a *Account) IsShredded() bool { return !a.standing.shredded.IsZero() }

// IsCleared reports whether a shredded account's records have been deleted, too.
func (a *Account) IsCleared() bool { return a.standing.cleared }

// ScheduleShredding has a closed account shredded at a time.
func ScheduleShredding(id string, at time.Time) Change {
	return ofAccount(id, func(s *standing) {
		if !s.closed.IsZero() && s.shredded.IsZero() {
			s.shred = at
		}
	})
}

// Keep has an account not be shredded after all.
func Keep(id string) Change { return ofAccount(id, func(s *standing) { s.shred = time.Time{} }) }

// Cleared notes that the records of a shredded account are gone.
func Cleared(id string) Change { return ofAccount(id, func(s *standing) { s.cleared = true }) }

// shredding is the change that takes an account's keys.
func shredding(id string, now time.Time) Change {
	return ofAccount(id, func(s *standing) {
		s.shred, s.shredded = time.Time{}, now
		s.key, s.others = seal.PartKey{}, nil
	})
}

// Shred shreds each account whose time has come by the believed time, and gives their ids. now is
// what is written down. Of several nodes one does it.
func (d *Directory) Shred(ctx context.Context, believed, now time.Time) (done []string, err error) {
	v := d.View()
	for _, a := range v.Accounts() {
		if a.IsOpen() || a.IsShredded() || a.standing.shred.IsZero() || believed.Before(a.standing.shred) {
			continue
		}
		changes := []Change{shredding(a.ID, now)}
		if a.Alias != "" { // it lies sealed under the root keys
			changes = append(changes, Delete(&AccountAlias{Account: a.ID, Name: a.Alias}))
		}
		switch errOf := d.Commit(ctx, v, changes, nil); {
		case errOf == nil:
			done = append(done, a.ID)
		case !errors.Is(errOf, ErrLostRace): // else it was kept, or another node has done it
			err = errors.Join(err, errOf)
		}
		v = d.View()
	}
	return done, err
}

// under is what seals the records of an account; nil: nothing does any more.
func (d *Directory) under(s standing) *seal.Sealer {
	if !s.shredded.IsZero() {
		return nil
	}
	return d.seal.Under(s.key, s.others...)
}

// empty lets go of everything that was opened while there were keys.
func (a *Account) empty() {
	*a = Account{ID: a.ID, standing: a.standing, rev: a.rev, changes: a.changes}
}

// Remains are the paths to delete along with a record of identities, itself among them, if it belongs
// to an account that gone is true of.
func Remains(rec store.Record, gone func(account string) bool) []string {
	if !strings.HasPrefix(rec.Path, prefix) || strings.HasPrefix(rec.Path, accountPrefix) || strings.HasPrefix(rec.Path, usedPrefix) || !gone(ownerOf(rec.Path)) {
		return nil
	}
	paths := []string{rec.Path}
	if k, ok := strings.CutPrefix(rec.Path, accessKeyPrefix); ok {
		_, id, _ := strings.Cut(k, "/")
		paths = append(paths, usedPath(id))
	}
	return paths
}
