package keyring

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"trent/internal/key"
	"trent/internal/record"
	"trent/internal/store"
)

// A LastUse is the last time that a key's material was used, and by what.
type LastUse struct {
	At        time.Time // the zero time: it never was
	Operation string    // of the API
	RequestID string
}

// lastUses are the uses that have not been stored yet: of a key that is used all the time, the
// first of each minute. What stays in memory are the keys that were used since they were last
// stored.
type lastUses struct {
	seed   maphash.Seed
	shards [shards]struct {
		mu    sync.Mutex
		byKey map[address]LastUse
	}
}

func newLastUses() *lastUses {
	l := &lastUses{seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].byKey = make(map[address]LastUse)
	}
	return l
}

// note keeps a use, unless one of the same minute or a later one is there. The parts of u may be
// parts of a request.
func (l *lastUses) note(at address, u LastUse) {
	s := &l.shards[maphash.Comparable(l.seed, at)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if noted, ok := s.byKey[at]; ok && noted.At.Unix()/60 >= u.At.Unix()/60 {
		return
	}
	u.RequestID = strings.Clone(u.RequestID)
	s.byKey[at.shared()] = u
}

func (l *lastUses) get(at address) (LastUse, bool) {
	s := &l.shards[maphash.Comparable(l.seed, at)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.byKey[at]
	return u, ok
}

func (l *lastUses) forget(at address) {
	s := &l.shards[maphash.Comparable(l.seed, at)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byKey, at)
}

// all copies what one shard has. It stays there until it has been stored.
func (l *lastUses) all(shard int) map[address]LastUse {
	s := &l.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	uses := make(map[address]LastUse, len(s.byKey))
	for at, u := range s.byKey {
		uses[at] = u
	}
	return uses
}

// settle forgets a use that has been stored, unless the key was used again.
func (l *lastUses) settle(shard int, at address, stored LastUse) {
	s := &l.shards[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[at] == stored {
		delete(s.byKey, at)
	}
}

// Used notes that a key's material was used. It costs next to nothing, and no write.
func (r *Ring) Used(rec *key.Record, u LastUse) {
	if at, ok := addressOf(placeOf(rec)); ok {
		u.At = u.At.UTC()
		r.uses.note(at, u)
	}
}

// LastUse is the last use of a key, or the zero LastUse. What another node has noted is seen once
// that has stored it.
func (r *Ring) LastUse(ctx context.Context, rec *key.Record) (LastUse, error) {
	at := placeOf(rec)
	stored, _, err := r.readLastUse(ctx, at)
	if err != nil {
		return LastUse{}, unavailable(ctx, err)
	}
	if where, ok := addressOf(at); ok {
		if noted, ok := r.uses.get(where); ok && noted.At.After(stored.At) {
			return noted, nil
		}
	}
	return stored, nil
}

// encodedLastUse lies at lastuse/ and the key's place.
type encodedLastUse struct {
	At        key.Moment `cbor:"1,keyasint"`
	Operation string     `cbor:"2,keyasint"`
	RequestID string     `cbor:"3,keyasint"`
}

const lastUseVersion = 1

const lastUsePrefix = "lastuse/"

func (at recordKey) lastUsePath() string {
	return lastUsePrefix + at.account + "/" + at.region + "/" + at.name
}

// readLastUse reads what is stored: nothing there is no error.
func (r *Ring) readLastUse(ctx context.Context, at recordKey) (LastUse, store.Rev, error) {
	content, rev, err := r.read(ctx, at.account, at.lastUsePath())
	if errors.Is(err, errNoRecord) {
		return LastUse{}, 0, nil
	} else if err != nil {
		return LastUse{}, 0, err
	}
	var e encodedLastUse
	if err := record.Decode(lastUseVersion, content, &e); err != nil {
		return LastUse{}, 0, fmt.Errorf("decode %s: %w", at.lastUsePath(), err)
	}
	return LastUse{e.At.Time(), e.Operation, e.RequestID}, rev, nil
}

// usesAtOnce is how many uses are stored in one batch, each by a write and two conditions.
const usesAtOnce = store.MaxBatch / 3

// StoreUses stores what was noted since it was last called. A use that is lost with the process
// was noted since then.
func (r *Ring) StoreUses(ctx context.Context) error {
	for shard := range r.uses.shards {
		pending := r.uses.all(shard)
		for len(pending) > 0 {
			if err := r.storeSome(ctx, shard, pending); err != nil {
				return fmt.Errorf("store the last uses of keys: %w", err)
			}
		}
	}
	return nil
}

// storeSome stores some uses and takes them out of pending. Where a key was changed or deleted
// meanwhile, they wait for the next time.
func (r *Ring) storeSome(ctx context.Context, shard int, pending map[address]LastUse) error {
	var b store.Batch
	taken := make(map[address]LastUse, usesAtOnce)
	for where, u := range pending {
		delete(pending, where)
		keep, err := r.addUse(ctx, &b, recordKey{where.account, where.region, string(where.id[:])}, u)
		if err != nil {
			return err
		}
		if !keep {
			r.uses.settle(shard, where, u)
			continue
		}
		if taken[where] = u; len(taken) == usesAtOnce {
			break
		}
	}
	if len(taken) == 0 {
		return nil
	}
	_, err := r.store.Commit(ctx, b)
	if _, lost := errors.AsType[*store.Conflict](err); lost {
		return nil
	}
	if err != nil {
		return err
	}
	for where, u := range taken {
		r.uses.settle(shard, where, u)
	}
	return nil
}

// addUse adds a use to a batch, on condition that the key is there as it is now: nothing is left
// of a deleted one. It reports false for a use that need not be stored.
func (r *Ring) addUse(ctx context.Context, b *store.Batch, at recordKey, u LastUse) (bool, error) {
	rec, err := r.record(ctx, at)
	if IsAbsent(err) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	stored, rev, err := r.readLastUse(ctx, at)
	if err != nil {
		return false, err
	}
	if !u.At.After(stored.At) { // another node has noted a later one
		return false, nil
	}
	content, err := record.Encode(lastUseVersion, encodedLastUse{key.MomentOf(u.At), u.Operation, u.RequestID})
	if err != nil {
		return false, err
	}
	if err := r.put(b, at.account, at.lastUsePath(), content, uint64(rev)); err != nil {
		return false, err
	}
	b.If = append(b.If, store.Condition{Path: at.keyPath(), Rev: store.Rev(rec.Rev)})
	return true, nil
}
