package keyring

import (
	"context"
	"slices"
	"time"

	"trent/internal/key"
	"trent/internal/store"
)

// Related gives the keys of other Regions that share a key's id and materials. A change of what they
// share is one commit of all.
func (r *Ring) Related(ctx context.Context, rec *key.Record) ([]*key.Record, error) {
	var all []*key.Record
	for _, region := range rec.Regions {
		if region == rec.Region() {
			continue
		}
		other, err := r.record(ctx, recordKey{rec.Account(), region, rec.ID()})
		switch {
		case err == nil:
			all = append(all, other)
		case !IsAbsent(err):
			return nil, err
		}
	}
	return all, nil
}

// Unchanged makes a commit depend on a record that it does not change.
type Unchanged struct{ Key *key.Record }

func (c Unchanged) add(_ *Ring, b *store.Batch) error {
	b.If = append(b.If, store.Condition{Path: placeOf(c.Key).keyPath(), Rev: store.Rev(c.Key.Rev)})
	return nil
}

func (c Unchanged) forget(r *Ring, committed bool) {
	if !committed { // it may be a conflict, and then what is remembered was behind
		r.forgetKey(placeOf(c.Key))
	}
}

// TakeMaterials takes imported materials away from a key, which is Now by then: for good where none of
// the related keys has them, and those must not change meanwhile.
func TakeMaterials(now *key.Record, related []*key.Record, ids ...key.MaterialID) []Change {
	var changes []Change
	for _, r := range related {
		changes = append(changes, Unchanged{r})
	}
	return append(changes, emptied(now, related, ids...)...)
}

func emptied(now *key.Record, related []*key.Record, ids ...key.MaterialID) (changes []Change) {
	for _, id := range ids {
		if !slices.ContainsFunc(related, func(r *key.Record) bool { return r.Holds(id) }) {
			changes = append(changes, EmptyMaterial{now, id})
		}
	}
	return changes
}

// following are the related keys after a change of what they share.
func following(now *key.Record, related []*key.Record) []Change {
	var changes []Change
	for _, r := range related {
		follows := r.Clone()
		follows.Follow(now)
		changes = append(changes, PutKey{r, follows})
	}
	return changes
}

// leaving are the changes when a key goes and its related keys stay: they are told, and what had been
// imported into that key alone goes with it.
func leaving(rec *key.Record, related []*key.Record, now time.Time) []Change {
	var changes []Change
	for _, r := range related {
		stays := r.Clone()
		stays.Leave(rec.Region(), now)
		changes = append(changes, PutKey{r, stays})
	}
	for _, m := range rec.AllMaterials() {
		if rec.Holds(m.ID) {
			changes = append(changes, emptied(rec, related, m.ID)...)
		}
	}
	return changes
}
