package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"trent/internal/key"
	"trent/internal/store"
)

// page is how many records the sweeper handles at once.
const page = 64

// duePath is the entry of a key in the index of scheduled deletions: it sorts
// by date, to the minute.
func duePath(rec *key.Record) string {
	return "due/" + minute(rec.DeletionDate.Time()) + "/" + placeOf(rec).keyPath()
}

// Sweep deletes what is over: keys whose date has passed, with their material
// and aliases, and signatures that are too old to be replayed. It is a
// convenience for the disk: State and Gone have said so since the instant
// itself. It returns the number of keys deleted.
func (r *Ring) Sweep(ctx context.Context, now time.Time) (int, error) {
	if err := r.sweepSightings(ctx, now); err != nil {
		return 0, err
	}
	gone, err := r.goneKeys(ctx, now)
	if err != nil {
		return 0, err
	}
	n := 0
	for path := range gone {
		switch err := r.deleteKey(ctx, path, now); {
		case err == nil:
			n++
		case errors.Is(err, ErrLostRace), IsAbsent(err):
			// Changed by another, or deleted already: the next sweep looks again.
		default:
			return n, fmt.Errorf("delete %s: %w", path, err)
		}
	}
	return n, nil
}

// goneKeys returns the paths of keys that do not exist any more and have not
// been swept yet. There are few: those since the last sweep.
func (r *Ring) goneKeys(ctx context.Context, now time.Time) (map[string]bool, error) {
	gone := make(map[string]bool)
	after := ""
	for {
		recs, err := r.store.List(ctx, "due/", after, page, true)
		if err != nil {
			return nil, unavailable(ctx, err)
		}
		for _, rec := range recs {
			at, ok := parseDue(rec.Path, now)
			if !ok {
				return gone, nil // in order: all that follow are later
			}
			after = rec.Path
			k, err := r.record(ctx, at)
			if err != nil && !IsAbsent(err) {
				return nil, err
			}
			if err == nil && k.Gone(now) {
				gone[at.keyPath()] = true
			}
		}
		if len(recs) < page {
			return gone, nil
		}
	}
}

// parseDue reads an entry of the index, or reports false for one that is of a
// later minute.
func parseDue(path string, now time.Time) (recordKey, bool) {
	parts := strings.Split(strings.TrimPrefix(path, "due/"), "/")
	if len(parts) != 5 || parts[0] > minute(now) {
		return recordKey{}, false
	}
	return recordKey{parts[2], parts[3], parts[4]}, true
}

func (r *Ring) deleteKey(ctx context.Context, path string, now time.Time) error {
	parts := strings.Split(path, "/")
	at := recordKey{parts[1], parts[2], parts[3]}
	r.forgetKey(at) // decide on what is stored, not on what is remembered
	rec, err := r.record(ctx, at)
	if err != nil {
		return err
	}
	if !rec.Gone(now) {
		return ErrLostRace
	}
	if err := r.deleteGrants(ctx, at); err != nil {
		return err
	}
	b := store.Batch{
		If:     []store.Condition{{Path: path, Rev: store.Rev(rec.Rev)}},
		Delete: []string{path, duePath(rec)},
	}
	for _, id := range rec.Materials {
		b.Delete = append(b.Delete, materialPath(id))
	}
	if rec.External != nil {
		b.Delete = append(b.Delete, externalPath(rec))
	}
	for _, name := range rec.Aliases {
		b.Delete = append(b.Delete, recordKey{at.account, at.region, name}.aliasPath())
	}
	_, err = r.store.Commit(ctx, b)
	if _, lost := errors.AsType[*store.Conflict](err); lost {
		return ErrLostRace
	}
	if err != nil {
		return err
	}
	r.forgetKey(at)
	for _, id := range rec.Materials {
		r.forgetMaterial(id)
	}
	for _, name := range rec.Aliases {
		r.aliases.drop(recordKey{at.account, at.region, name})
	}
	return nil
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
