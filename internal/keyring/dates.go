package keyring

import (
	"context"
	"strings"
	"time"

	"trent/internal/key"
)

// An index by date has an entry for each key to which something is to happen when nobody asks,
// so that the sweeper finds it without reading all keys. An entry is
//
//	<index> <minute> "/" <path of the key>
//
// and changes in one batch with the record that it is about.
const (
	deletions = "due/"
	rotations = "rotation/"
	expiries  = "expiry/" // of imported material; of several the first
)

// dates are the entries that a record has in the indexes.
func dates(rec *key.Record) []string {
	if rec == nil {
		return nil
	}
	var all []string
	for _, d := range []struct {
		index string
		at    key.Moment
	}{{deletions, rec.DeletionDate}, {rotations, rec.NextRotation()}, {expiries, rec.Expiry()}} {
		if d.at != key.Never {
			all = append(all, d.index+minute(d.at.Time())+"/"+placeOf(rec).keyPath())
		}
	}
	return all
}

// due calls with the place of each key that an index has at this minute or before, in order,
// until that fails. There are few: those since the last sweep.
func (r *Ring) due(ctx context.Context, index string, now time.Time, with func(recordKey) error) error {
	after := ""
	for {
		recs, err := r.store.List(ctx, index, after, page, true)
		if err != nil {
			return unavailable(ctx, err)
		}
		for _, rec := range recs {
			after = rec.Path
			at, ok := parseDate(strings.TrimPrefix(rec.Path, index), now)
			if !ok {
				return nil // in order: all that follow are later
			}
			if err := with(at); err != nil {
				return err
			}
		}
		if len(recs) < page {
			return nil
		}
	}
}

// parseDate reads an entry without its index, or reports false for one that is of a later
// minute.
func parseDate(entry string, now time.Time) (recordKey, bool) {
	parts := strings.Split(entry, "/")
	if len(parts) != 5 || parts[0] > minute(now) {
		return recordKey{}, false
	}
	return recordKey{parts[2], parts[3], parts[4]}, true
}
