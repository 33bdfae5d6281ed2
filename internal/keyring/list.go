package keyring

import (
	"context"
	"strings"
	"time"

	"trent/internal/arn"
	"trent/internal/key"
)

// ListKeys returns ids of keys of an account in a Region, in order, after the
// id after, at most limit, and whether there are more. It unseals nothing.
func (r *Ring) ListKeys(ctx context.Context, w Where, after string, limit int, now time.Time) (ids []string, more bool, err error) {
	prefix := recordKey{w.Account, w.Region, ""}.keyPath()
	gone, err := r.goneKeys(ctx, now)
	if err != nil {
		return nil, false, err
	}
	for {
		start := prefix + after
		if after == "" {
			start = ""
		}
		// One more than asked for tells whether there are more.
		recs, err := r.store.List(ctx, prefix, start, limit+1-len(ids), true)
		if err != nil {
			return nil, false, unavailable(ctx, err)
		}
		for _, rec := range recs {
			after = strings.TrimPrefix(rec.Path, prefix)
			if !gone[rec.Path] {
				ids = append(ids, after)
			}
		}
		if len(ids) > limit {
			return ids[:limit], true, nil
		}
		if len(recs) == 0 {
			return ids, false, nil
		}
	}
}

// ListAliases returns aliases of an account in a Region, in order of their
// names, after the name after.
func (r *Ring) ListAliases(ctx context.Context, w Where, after string, limit int, now time.Time) (aliases []*key.Alias, more bool, err error) {
	prefix := recordKey{w.Account, w.Region, ""}.aliasPath()
	for {
		start := prefix + strings.TrimPrefix(after, arn.AliasPrefix)
		if after == "" {
			start = ""
		}
		recs, err := r.store.List(ctx, prefix, start, limit+1-len(aliases), true)
		if err != nil {
			return nil, false, unavailable(ctx, err)
		}
		for _, rec := range recs {
			after = arn.AliasPrefix + strings.TrimPrefix(rec.Path, prefix)
			a, err := r.liveAlias(ctx, recordKey{w.Account, w.Region, after}, now)
			if err != nil {
				return nil, false, err
			}
			if a != nil {
				aliases = append(aliases, a)
			}
		}
		if len(aliases) > limit {
			return aliases[:limit], true, nil
		}
		if len(recs) == 0 {
			return aliases, false, nil
		}
	}
}

// AliasesOf returns the aliases of one key, in order of their names.
func (r *Ring) AliasesOf(ctx context.Context, rec *key.Record, now time.Time) ([]*key.Alias, error) {
	var out []*key.Alias
	for _, name := range rec.Aliases {
		a, err := r.liveAlias(ctx, recordKey{rec.Account(), rec.Region(), name}, now)
		if err != nil {
			return nil, err
		}
		if a != nil {
			out = append(out, a)
		}
	}
	return out, nil
}

// liveAlias reads an alias, or nil where it has gone meanwhile or its key is
// gone though not swept.
func (r *Ring) liveAlias(ctx context.Context, at recordKey, now time.Time) (*key.Alias, error) {
	a, err := r.aliases.load(at, func() (*key.Alias, error) { return r.readAlias(ctx, at) })
	if err != nil {
		return nil, ignoreAbsent(unavailable(ctx, err))
	}
	rec, err := r.record(ctx, recordKey{at.account, at.region, a.TargetID})
	if err != nil {
		return nil, ignoreAbsent(err)
	}
	if rec.Gone(now) {
		return nil, nil
	}
	return a, nil
}

func ignoreAbsent(err error) error {
	if IsAbsent(err) {
		return nil
	}
	return err
}
