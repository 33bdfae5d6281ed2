package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"trent/internal/store"
)

// A Use of an access key.
type Use struct {
	At      time.Time // to the minute, or later than the last one by less
	Service string
	Region  string
}

// lastUses notes when access keys signed last. It is no part of a View: nothing is
// decided by it, and it changes with every request.
type lastUses struct {
	mu    sync.Mutex
	byKey map[string]*lastUse
}

type lastUse struct {
	minute atomic.Int64 // Unix time of the use that is noted, divided by 60

	mu    sync.Mutex
	use   Use // the zero Use: never
	dirty bool
}

// of gives the place for notes about an access key.
func (l *lastUses) of(id string) *lastUse {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.byKey[id]
	if u == nil {
		u = new(lastUse)
		l.byKey[id] = u
	}
	return u
}

func (l *lastUses) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byKey, id)
}

func (u *lastUse) note(use Use, dirty bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if use.At.After(u.use.At) {
		u.use, u.dirty = use, dirty
		u.minute.Store(use.At.Unix() / 60)
	}
}

// Used notes that a request signed by an access key was authentic. It costs next to
// nothing, but once a minute.
func (d *Directory) Used(accessKeyID, service, region string, now time.Time) {
	s := d.snap.Load().signers[accessKeyID]
	if s == nil || s.used.minute.Load() >= now.Unix()/60 {
		return
	}
	// The strings are parts of a request: keep copies.
	s.used.note(Use{now.UTC().Truncate(time.Minute), strings.Clone(service), strings.Clone(region)}, true)
}

// LastUse is when an access key signed last, or the zero Use where it never did.
func (v View) LastUse(accessKeyID string) Use {
	u := v.uses.of(accessKeyID)
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.use
}

// encodedUse lies at identity/used/<access key id>.
type encodedUse struct {
	At      moment `cbor:"1,keyasint"`
	Service string `cbor:"2,keyasint"`
	Region  string `cbor:"3,keyasint"`
}

// Passing are the prefixes of paths of passing interest, as keyring's are.
func Passing() []string { return []string{usedPrefix} }

func usedPath(accessKeyID string) string { return usedPrefix + accessKeyID }

// usesAtOnce is how many uses are stored in one batch.
const usesAtOnce = 32

// StoreUses stores what was noted since it was last called. A use that is lost
// with the process was in the last minute before.
func (d *Directory) StoreUses(ctx context.Context) error {
	d.mu.Lock() // no key is deleted meanwhile
	defer d.mu.Unlock()
	var b store.Batch
	var written []*lastUse
	flush := func() error {
		if len(b.Put) == 0 {
			return nil
		}
		_, err := d.store.Commit(ctx, b)
		for _, u := range written {
			u.settle(err == nil)
		}
		b, written = store.Batch{}, nil
		if _, lost := errors.AsType[*store.Conflict](err); lost {
			return nil // another node has changed a key: next time
		}
		return err
	}
	for id, s := range d.snap.Load().signers {
		use, dirty := s.used.take()
		if !dirty {
			continue
		}
		sealed, err := encode(d.seal, usedPath(id), encodedUse{momentOf(use.At), use.Service, use.Region})
		if err != nil {
			return err
		}
		// On condition that the key is there: nothing is left of a deleted one.
		b.If = append(b.If, store.Condition{Path: s.key.path(), Rev: store.Rev(s.revision)})
		b.Put = append(b.Put, store.Put{Path: usedPath(id), Value: sealed})
		written = append(written, s.used)
		if len(b.Put) == usesAtOnce {
			if err := flush(); err != nil {
				return fmt.Errorf("store the last uses of access keys: %w", err)
			}
		}
	}
	if err := flush(); err != nil {
		return fmt.Errorf("store the last uses of access keys: %w", err)
	}
	return nil
}

// take gives what is to be stored, and whether anything is.
func (u *lastUse) take() (Use, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	dirty := u.dirty
	u.dirty = false
	return u.use, dirty
}

// settle notes again what could not be stored.
func (u *lastUse) settle(stored bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.dirty = u.dirty || !stored
}

// readUse reads what was stored about one key.
func (d *Directory) readUse(rec store.Record) error {
	var e encodedUse
	if err := decodeInto(d.seal, rec, &e); err != nil {
		return err
	}
	d.uses.of(strings.TrimPrefix(rec.Path, usedPrefix)).note(Use{e.At.time(), e.Service, e.Region}, false)
	return nil
}
