package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/key"
	"trent/internal/store"
)

// page is how many records the sweeper handles at once.
const page = 64

// Swept is what a sweep did.
type Swept struct {
	Deleted []*key.Record // keys whose date had passed, as they were
	Rotated []*key.Record // keys that the clock has rotated, as they are now
	Expired []*key.Record // keys of which imported material has expired, as they are now
}

// Sweep does what nobody asks for. It deletes what is over: keys whose date has passed, with
// their material and aliases, and signatures that are too old to be replayed. That is a
// convenience for the disk: State and Gone have said so since the instant itself. So it is with
// imported material that has expired. And it rotates keys that are due. Several nodes may sweep at once: each change is made on
// condition that the record is the one that it was decided on. What fails for one key does
// not keep the others waiting.
//
// What cannot be undone goes by the time that is believed, and not by the clock: a clock that
// has jumped makes a key unusable until it is set right, and deletes nothing.
func (r *Ring) Sweep(ctx context.Context, now, believed time.Time) (Swept, error) {
	var done Swept
	if err := r.sweepSightings(ctx, believed); err != nil {
		return done, err
	}
	err := errors.Join(
		r.sweepEach(ctx, deletions, believed, r.deleteKey, &done.Deleted),
		r.sweepEach(ctx, rotations, now, r.rotateKey, &done.Rotated),
		r.sweepEach(ctx, expiries, believed, r.expireKey, &done.Expired),
	)
	return done, err
}

// isSettled reports whether another has been there first: the next sweep looks again.
func isSettled(err error) bool { return errors.Is(err, ErrLostRace) || IsAbsent(err) }

// sweepEach does something to each key that an index has by now, and notes those to which it was
// done.
func (r *Ring) sweepEach(ctx context.Context, index string, now time.Time, do func(context.Context, recordKey, time.Time) (*key.Record, error), done *[]*key.Record) error {
	var failed []error
	err := r.due(ctx, index, now, func(at recordKey) error {
		r.forgetKey(at) // decide on what is stored, not on what is remembered
		rec, err := do(ctx, at, now)
		switch {
		case err == nil && rec != nil:
			*done = append(*done, rec)
		case err != nil && !isSettled(err):
			failed = append(failed, fmt.Errorf("%s%s: %w", index, at.keyPath(), err))
		}
		return nil
	})
	return errors.Join(append(failed, err)...)
}

// rotateKey rotates a key, and gives it as it is then, unless it is not due.
func (r *Ring) rotateKey(ctx context.Context, at recordKey, now time.Time) (*key.Record, error) {
	was, err := r.record(ctx, at)
	if err != nil || !was.RotationDue(now) {
		return nil, err
	}
	material := crypt.NewMaterial()
	id, err := crypt.MaterialIDOf(was.ID(), material)
	if err != nil {
		return nil, err
	}
	rotated := was.Clone()
	rotated.Rotate(id, api.RotationTypeAutomatic, now)
	related, err := r.Related(ctx, was)
	if err != nil {
		return nil, err
	}
	changes := append(following(rotated, related), PutKey{was, rotated}, PutMaterial{Key: rotated, ID: id, Material: material})
	if err := r.Commit(ctx, changes, nil); err != nil {
		return nil, err
	}
	return rotated, nil
}

// expireKey takes away what has expired of a key's material, and gives the key as it is then.
func (r *Ring) expireKey(ctx context.Context, at recordKey, now time.Time) (*key.Record, error) {
	was, err := r.record(ctx, at)
	if err != nil {
		return nil, err
	}
	expired := was.Clone()
	ids := expired.Expire(now)
	if len(ids) == 0 {
		return nil, nil // later in this minute
	}
	related, err := r.Related(ctx, was)
	if err != nil {
		return nil, err
	}
	return expired, r.Commit(ctx, append(TakeMaterials(expired, related, ids...), PutKey{was, expired}), nil)
}

// goneKeys returns the paths of keys that do not exist any more and have not
// been swept yet.
func (r *Ring) goneKeys(ctx context.Context, now time.Time) (map[string]bool, error) {
	gone := make(map[string]bool)
	err := r.due(ctx, deletions, now, func(at recordKey) error {
		k, err := r.record(ctx, at)
		switch {
		case err == nil && k.Gone(now):
			gone[at.keyPath()] = true
		case err != nil && !IsAbsent(err):
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// deleteKey deletes a key whose date has passed, and gives it as it was.
func (r *Ring) deleteKey(ctx context.Context, at recordKey, now time.Time) (*key.Record, error) {
	rec, err := r.record(ctx, at)
	if err != nil || !rec.Gone(now) {
		return nil, err
	}
	if err := r.deleteGrants(ctx, at); err != nil {
		return nil, err
	}
	related, err := r.Related(ctx, rec)
	if err != nil {
		return nil, err
	}
	var paths []string
	if len(related) == 0 {
		for _, m := range rec.AllMaterials() {
			paths = append(paths, materialPath(m.ID))
		}
	}
	if rec.External != nil {
		paths = append(paths, externalPath(rec))
	}
	for _, name := range rec.Aliases {
		paths = append(paths, recordKey{at.account, at.region, name}.aliasPath())
	}
	// The record goes last, so that what is left of a deletion that was interrupted is found again.
	for chunk := range slices.Chunk(paths, page) {
		if err := r.deleteWith(ctx, rec, chunk); err != nil {
			return nil, err
		}
	}
	if err := r.deleteWith(ctx, rec, append(dates(rec), at.lastUsePath(), at.keyPath()), leaving(rec, related, now)...); err != nil {
		return nil, err
	}
	r.forgetKey(at)
	if where, ok := addressOf(at); ok {
		r.uses.forget(where)
	}
	for _, m := range rec.AllMaterials() {
		r.forgetMaterial(m.ID)
	}
	for _, name := range rec.Aliases {
		r.aliases.drop(recordKey{at.account, at.region, name})
	}
	return rec, nil
}

// deleteWith deletes paths, and makes changes, on condition that the record of a key is still this
// one.
func (r *Ring) deleteWith(ctx context.Context, rec *key.Record, paths []string, changes ...Change) error {
	b := store.Batch{If: []store.Condition{{Path: placeOf(rec).keyPath(), Rev: store.Rev(rec.Rev)}}, Delete: paths}
	for _, c := range changes {
		if err := c.add(r, &b); err != nil {
			return err
		}
	}
	_, err := r.store.Commit(ctx, b)
	for _, c := range changes {
		c.forget(r, err == nil)
	}
	if _, lost := errors.AsType[*store.Conflict](err); lost {
		return ErrLostRace
	}
	return err
}

func (r *Ring) sweepSightings(ctx context.Context, now time.Time) error {
	for {
		recs, err := r.store.List(ctx, "seen/", "", page, true)
		if err != nil {
			return unavailable(ctx, err)
		}
		var b store.Batch
		for _, rec := range recs {
			if strings.TrimPrefix(rec.Path, "seen/")[:8] >= minute(now) {
				break
			}
			b.Delete = append(b.Delete, rec.Path)
		}
		if len(b.Delete) == 0 {
			return nil
		}
		if _, err := r.store.Commit(ctx, b); err != nil {
			return fmt.Errorf("sweep old signatures: %w", err)
		}
	}
}
