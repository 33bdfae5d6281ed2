// Package identity knows who is who: accounts with their users, groups, roles,
// policies and OpenID Connect providers, and the access keys that sign for users.
// It implements sigv4.Keys.
//
// All of it lies sealed in the same store as keys, a record for each thing, and
// is read whole at the start into a View, which is immutable. So looking up an
// access key that does not exist takes no longer than one that does, and a request
// is decided on one state of affairs. Actions only note the changes that they wish
// for; Commit makes them durable on condition that nothing else in the account has
// changed since the View that they were decided on, and replaces the View.
package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"trent/internal/fault"
	"trent/internal/seal"
	"trent/internal/secret"
	"trent/internal/sigv4"
	"trent/internal/store"
)

// Directory is all identities of a store. It may be used by many goroutines.
type Directory struct {
	store     store.Store
	seal      *seal.Sealer
	partition string
	snap      atomic.Pointer[snapshot]
	uses      *lastUses
	sessions  sessions

	mu    sync.Mutex // held by changes
	stale bool       // the store may know more than the snapshot
}

// Open reads all identities of a store.
func Open(ctx context.Context, st store.Store, s *seal.Sealer, partition string) (*Directory, error) {
	d := &Directory{store: st, seal: s, partition: partition, uses: &lastUses{byKey: make(map[string]*lastUse)}}
	return d, d.load(ctx)
}

// Credential implements sigv4.Keys. An inactive key is as good as none, and so is a
// session whose role, user or account is gone.
func (d *Directory) Credential(_ context.Context, accessKeyID, token string) (sigv4.Credential, error) {
	if token != "" {
		return d.session(accessKeyID, token)
	}
	s, ok := d.snap.Load().signers[accessKeyID]
	if !ok {
		return sigv4.Credential{}, sigv4.ErrUnknownKey
	}
	return s.credential(), nil
}

// View is all identities as they are now.
func (d *Directory) View() View { return View{d.snap.Load(), d.partition, d.uses, d.seal} }

// A Change puts or deletes one entity, or alters an account itself.
type Change struct {
	entity Entity
	delete bool
	fresh  bool // there must be no record yet

	account string // that is altered, in the place of an entity
	alter   func(*standing)
}

// home is the account that the change is in.
func (c Change) home() string {
	if c.alter != nil {
		return c.account
	}
	return c.entity.home()
}

// Put makes the entity what is known of it.
func Put(e Entity) Change { return Change{entity: e} }

// Create is Put for what is not there yet.
func Create(e Entity) Change { return Change{entity: e, fresh: true} }

// Delete removes the entity.
func Delete(e Entity) Change { return Change{entity: e, delete: true} }

// Entity is what the change is about; nil where it is about an account itself.
func (c Change) Entity() Entity { return c.entity }

// An Addition goes into the same batch as changes.
type Addition interface{ Add(b *store.Batch) }

// ErrLostRace says that something in the account has changed since the View that
// changes were decided on. The whole request is to be walked again.
var ErrLostRace = errors.New("identity: the account has changed since it was read")

// Commit makes changes within one account durable, or none of them, if the account
// is still as it was in v. It returns when View and Credential show them. with, if
// not nil, is committed along.
//
// Every commit rewrites the account's own record and is conditional on it. So
// whatever an action concluded from the View (a name is free, a policy is not
// attached anywhere) holds at the moment of the change, on any node.
func (d *Directory) Commit(ctx context.Context, v View, changes []Change, with Addition) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stale {
		if err := d.load(ctx); err != nil {
			return fault.New(fault.Internal, "").Because(err)
		}
		return ErrLostRace
	}
	before := v.Account(changes[0].home())
	if d.View().Account(before.ID).rev != before.rev {
		return ErrLostRace // to another request of this process
	}
	after, b, err := d.batch(before, changes)
	if err != nil {
		return fault.New(fault.Internal, "").Because(err)
	}
	if with != nil {
		with.Add(&b)
	}
	rev, err := d.store.Commit(ctx, b)
	if err != nil {
		return d.failed(ctx, err)
	}
	d.replace(before, after, changes, rev)
	return nil
}

// failed reads everything again after a commit that did not succeed: a conflict
// says that the snapshot was behind, and any other failure may have been applied
// all the same.
func (d *Directory) failed(ctx context.Context, err error) error {
	d.stale = true
	again := d.load(ctx)
	if _, lost := errors.AsType[*store.Conflict](err); lost && again == nil {
		return ErrLostRace
	}
	return fault.New(fault.Internal, "").Because(fmt.Errorf("commit: %w", errors.Join(err, again)))
}

// batch puts changes together, on condition that the account is as it was. It
// returns the account with what they alter of it.
func (d *Directory) batch(before *Account, changes []Change) (*Account, store.Batch, error) {
	after := new(Account)
	*after = *before
	after.changes++
	var b store.Batch
	for _, c := range changes {
		switch {
		case c.home() != before.ID:
			return nil, b, errors.New("identity: one request changes two accounts")
		case c.alter == nil:
			continue
		case c.fresh == before.Exists():
			return nil, b, fmt.Errorf("%w: %s", ErrNoAccount, before.ID)
		}
		c.alter(&after.standing)
	}
	after.sealer = d.under(after.standing)
	if after.standing.created.IsZero() {
		return nil, b, fmt.Errorf("%w: %s", ErrNoAccount, before.ID)
	}
	path := accountPrefix + before.ID
	sealed, err := encode(d.seal, path, after.content())
	b.If = append(b.If, store.Condition{Path: path, Rev: before.rev})
	b.Put = append(b.Put, store.Put{Path: path, Value: sealed})
	for _, c := range changes {
		if err == nil && c.alter == nil {
			err = d.add(&b, after, c)
		}
	}
	return after, b, err
}

// add puts the change of one entity into a batch.
func (d *Directory) add(b *store.Batch, a *Account, c Change) error {
	at := c.entity.path()
	if c.delete {
		b.Delete = append(b.Delete, at)
		if k, ok := c.entity.(*AccessKey); ok {
			b.Delete = append(b.Delete, usedPath(k.ID))
		}
		return nil
	}
	if c.fresh {
		b.If = append(b.If, store.Condition{Path: at})
	}
	if a.IsShredded() {
		return seal.ErrShredded
	}
	sealed, err := encode(d.sealerOf(a, at), at, c.entity.content())
	b.Put = append(b.Put, store.Put{Path: at, Value: sealed})
	return err
}

// sealerOf is what seals a record: the account's own key, but for the aliases of
// accounts, which are looked at across them.
func (d *Directory) sealerOf(a *Account, path string) *seal.Sealer {
	if strings.HasPrefix(path, aliasPrefix) {
		return d.seal
	}
	return a.sealer
}

// replace makes a snapshot with the changes in it that were committed at rev.
func (d *Directory) replace(before, a *Account, changes []Change, rev store.Rev) {
	old := d.snap.Load()
	next := &snapshot{accounts: maps.Clone(old.accounts), signers: maps.Clone(old.signers), aliases: maps.Clone(old.aliases)}
	for id := range before.Keys.byID {
		delete(next.signers, id)
	}
	delete(next.aliases, before.Alias)
	a.rev, a.keyRevs = rev, maps.Clone(before.keyRevs)
	for _, c := range changes {
		switch {
		case c.alter != nil:
			continue
		case c.delete:
			c.entity.drop(a)
			if k, ok := c.entity.(*AccessKey); ok {
				d.uses.forget(k.ID)
			}
			continue
		}
		c.entity.put(a)
		if k, ok := c.entity.(*AccessKey); ok {
			a.noteKey(k, rev)
		}
	}
	if a.IsShredded() {
		a.empty()
	}
	next.add(a, d.partition, d.uses)
	d.show(next)
}

// show replaces the snapshot. The caller holds mu, or is alone.
func (d *Directory) show(next *snapshot) {
	if old := d.snap.Load(); old != nil {
		next.number = old.number + 1
	}
	d.snap.Store(next)
}

func (a *Account) noteKey(k *AccessKey, rev store.Rev) {
	if a.keyRevs == nil {
		a.keyRevs = make(map[string]uint64)
	}
	a.keyRevs[k.ID] = uint64(rev)
}

// add takes a finished account into a snapshot.
func (s *snapshot) add(a *Account, partition string, uses *lastUses) {
	a.freeze()
	s.accounts[a.ID] = a
	a.signers(s.signers, partition, uses)
	if a.Alias != "" {
		s.aliases[a.Alias] = a.ID
	}
}

// page is how many records are read at once, and maxReads how often all of them
// are read when another node changes something meanwhile.
const (
	page     = 256
	maxReads = 16
)

// load reads everything and replaces the snapshot. The caller holds mu, or is
// alone.
func (d *Directory) load(ctx context.Context) error {
	for range maxReads {
		accounts, err := d.readAccounts(ctx)
		if err != nil {
			return err
		}
		if err := d.readEntities(ctx, accounts); err != nil {
			return err
		}
		again, err := d.readAccounts(ctx)
		if err != nil {
			return err
		}
		if !sameRevisions(accounts, again) {
			continue // pages of different moments
		}
		next := &snapshot{accounts: make(map[string]*Account), signers: make(map[string]*signer), aliases: make(map[string]string)}
		for _, a := range accounts {
			next.add(a, d.partition, d.uses)
		}
		d.show(next)
		d.stale = false
		return nil
	}
	return errors.New("read identities: they are being changed all the time")
}

func sameRevisions(a, b map[string]*Account) bool {
	return maps.EqualFunc(a, b, func(x, y *Account) bool { return x.rev == y.rev })
}

func (d *Directory) readAccounts(ctx context.Context) (map[string]*Account, error) {
	accounts := make(map[string]*Account)
	err := d.each(ctx, accountPrefix, func(rec store.Record) error {
		var e encodedAccount
		err := decodeInto(d.seal, rec, &e)
		id := strings.TrimPrefix(rec.Path, accountPrefix)
		a := &Account{ID: id, rev: rec.Rev, changes: e.Changes, standing: e.standing()}
		a.sealer = d.under(a.standing)
		accounts[id] = a
		return err
	})
	return accounts, err
}

// readEntities puts every entity into its account.
func (d *Directory) readEntities(ctx context.Context, accounts map[string]*Account) error {
	return d.each(ctx, prefix, func(rec store.Record) error {
		switch {
		case strings.HasPrefix(rec.Path, accountPrefix):
			return nil
		case strings.HasPrefix(rec.Path, usedPrefix):
			return d.readUse(rec)
		}
		sealer := d.seal
		if owner := ownerOf(rec.Path); owner != "" {
			a := accounts[owner]
			if a == nil {
				return fmt.Errorf("%s belongs to an account that has no record", rec.Path)
			}
			if a.IsShredded() {
				return nil // it waits to be deleted
			}
			sealer = a.sealer
		}
		e, err := decode(sealer, rec)
		if err != nil {
			return err
		}
		a := accounts[e.home()]
		if a == nil {
			return fmt.Errorf("%s belongs to an account that has no record", rec.Path)
		}
		e.put(a)
		if k, ok := e.(*AccessKey); ok {
			a.noteKey(k, rec.Rev)
		}
		return nil
	})
}

// each reads all records under a prefix.
func (d *Directory) each(ctx context.Context, prefix string, f func(rec store.Record) error) error {
	after := ""
	for {
		recs, err := d.store.List(ctx, prefix, after, page, false)
		if err != nil {
			return fmt.Errorf("read identities: %w", err)
		}
		for _, rec := range recs {
			after = rec.Path
			if err := f(rec); err != nil {
				return err
			}
		}
		if len(recs) < page {
			return nil
		}
	}
}

// uniqueID draws an identifier in the form of IAM's: a prefix that tells its
// kind, and 16 characters of base32.
func uniqueID(prefix string) string {
	b := make([]byte, 10)
	rand.Read(b)
	return prefix + base32.StdEncoding.EncodeToString(b)
}

// newSecret draws a secret access key: 30 bytes as 40 characters.
func newSecret() secret.Bytes {
	b := make([]byte, 30)
	rand.Read(b)
	s := make([]byte, 40)
	base64.StdEncoding.Encode(s, b)
	return secret.New(s)
}
