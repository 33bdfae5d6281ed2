package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"trent/internal/api"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/record"
	"trent/internal/secret"
	"trent/internal/store"
)

// A Change is something that an action wishes to be so. Actions only note
// their wishes; the pipeline commits all of one request at once, or none.
type Change interface {
	// add puts the change into the batch: its condition and its writes.
	add(r *Ring, b *store.Batch) error
	// forget drops what the caches hold of it, whether or not it was committed: after
	// a failure it may have been all the same, and a conflict says that a cache
	// was behind. They must not be given the new value instead: a newer one may have been
	// committed since, and forgotten already.
	forget(r *Ring, committed bool)
}

// PutKey makes Now the record of a key; Was is what it was read as, or nil for
// a new key. The commit fails if the stored record is not Was any more.
type PutKey struct{ Was, Now *key.Record }

// PutMaterial adds a material of a key. Commit takes ownership of it. Again says that its record
// may be there, of a material that is imported once more: then the key's record alone, which
// must be in the same commit, keeps others from changing it.
type PutMaterial struct {
	Key      *key.Record
	ID       crypt.MaterialID
	Material secret.Bytes
	Again    bool
}

// EmptyMaterial takes a material away and leaves whose it was, so that its ciphertexts still lead to
// their key.
type EmptyMaterial struct {
	Key *key.Record
	ID  crypt.MaterialID
}

// DeleteMaterial removes a material that has encrypted nothing.
type DeleteMaterial struct{ ID crypt.MaterialID }

// PutAlias makes Now an alias; Was is what it was, or nil for a new one.
type PutAlias struct{ Was, Now *key.Alias }

// DeleteAlias removes an alias.
type DeleteAlias struct{ Was *key.Alias }

// ErrLostRace says that a record was changed by another between being read and
// being written. The whole request is to be walked again.
var ErrLostRace = errors.New("keyring: the record has changed since it was read")

// Commit makes all changes durable, or none. It returns after the caches of
// this process show them, so whoever got the answer reads what it wrote.
// seen, if not nil, is remembered with them (see Replay).
func (r *Ring) Commit(ctx context.Context, changes []Change, seen *Sighting) error {
	var b store.Batch
	for _, c := range changes {
		if err := c.add(r, &b); err != nil {
			return err
		}
	}
	if seen != nil {
		seen.Add(&b)
	}
	if len(b.If)+len(b.Put)+len(b.Delete) == 0 { // conditions alone are asked of the store as well
		return nil
	}
	_, err := r.store.Commit(ctx, b)
	for _, c := range changes {
		c.forget(r, err == nil)
	}
	if err != nil {
		if _, lost := errors.AsType[*store.Conflict](err); lost {
			return ErrLostRace
		}
		return fault.New(fault.Internal, "").Because(fmt.Errorf("commit: %w", err))
	}
	return nil
}

func (c PutKey) add(r *Ring, b *store.Batch) error {
	content, err := r.encodeRecord(c.Now)
	if err != nil {
		return err
	}
	var was uint64
	if c.Was != nil {
		was = c.Was.Rev
	}
	if err := r.put(b, c.Now.Account(), placeOf(c.Now).keyPath(), content, was); err != nil {
		return err
	}
	c.reschedule(b)
	return nil
}

// put seals content of an account for a path and adds it to the batch, on condition that the
// record there is still at revision was; zero: that there is none.
func (r *Ring) put(b *store.Batch, account, path string, content []byte, was uint64) error {
	sealed, err := r.sealed(account, path, content)
	if err != nil {
		return err
	}
	b.If = append(b.If, store.Condition{Path: path, Rev: store.Rev(was)})
	b.Put = append(b.Put, store.Put{Path: path, Value: sealed})
	return nil
}

// reschedule keeps the indexes by date in step with the record.
func (c PutKey) reschedule(b *store.Batch) {
	was, now := dates(c.Was), dates(c.Now)
	for _, path := range was {
		if !slices.Contains(now, path) {
			b.Delete = append(b.Delete, path)
		}
	}
	for _, path := range now {
		if !slices.Contains(was, path) {
			b.Put = append(b.Put, store.Put{Path: path, Value: []byte{recordVersion}})
		}
	}
}

func (c PutKey) forget(r *Ring, _ bool) { r.forgetKey(placeOf(c.Now)) }

func (c PutMaterial) add(r *Ring, b *store.Batch) error {
	v, err := r.encodeMaterial(c.Key, c.ID, c.Material)
	if err != nil {
		return err
	}
	path := materialPath(c.ID)
	if !c.Again {
		b.If = append(b.If, store.Condition{Path: path})
	}
	b.Put = append(b.Put, store.Put{Path: path, Value: v})
	return nil
}

func (c PutMaterial) forget(r *Ring, _ bool) { r.forgetMaterial(c.ID) }

func (c EmptyMaterial) add(_ *Ring, b *store.Batch) error {
	b.Put = append(b.Put, store.Put{Path: materialPath(c.ID), Value: ownerOnly(c.Key)})
	return nil
}

func (c EmptyMaterial) forget(r *Ring, _ bool) { r.forgetMaterial(c.ID) }

func (c DeleteMaterial) add(_ *Ring, b *store.Batch) error {
	b.Delete = append(b.Delete, materialPath(c.ID))
	return nil
}

func (c DeleteMaterial) forget(r *Ring, _ bool) { r.forgetMaterial(c.ID) }

func (c PutAlias) add(r *Ring, b *store.Batch) error {
	content, err := record.Encode(recordVersion, encodedAlias{c.Now.TargetID, c.Now.Created, c.Now.Updated})
	if err != nil {
		return err
	}
	var was uint64
	if c.Was != nil {
		was = c.Was.Rev
	}
	return r.put(b, c.Now.Account, placeOfAlias(c.Now).aliasPath(), content, was)
}

func (c PutAlias) forget(r *Ring, _ bool) { r.aliases.drop(placeOfAlias(c.Now)) }

func (c DeleteAlias) add(_ *Ring, b *store.Batch) error {
	path := placeOfAlias(c.Was).aliasPath()
	b.If = append(b.If, store.Condition{Path: path, Rev: store.Rev(c.Was.Rev)})
	b.Delete = append(b.Delete, path)
	return nil
}

func (c DeleteAlias) forget(r *Ring, _ bool) { r.aliases.drop(placeOfAlias(c.Was)) }

func (r *Ring) forgetKey(at recordKey) {
	if a, ok := addressOf(at); ok {
		r.records.drop(a)
	}
}

func placeOf(rec *key.Record) recordKey { return recordKey{rec.Account(), rec.Region(), rec.ID()} }

func placeOfAlias(a *key.Alias) recordKey { return recordKey{a.Account, a.Region, a.Name} }

// AliasExists is the refusal of CreateAlias for a name that is taken.
func AliasExists(a *key.Alias) error {
	return fault.New(api.AlreadyExistsException, "An alias with the name "+a.ARN+" already exists")
}
