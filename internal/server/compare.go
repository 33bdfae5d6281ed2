package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"trent/internal/config"
	"trent/internal/identity"
	"trent/internal/key"
	"trent/internal/keyring"
	"trent/internal/seal"
	"trent/internal/store"
)

// An Effect is what restoring a backup would do to what is in a store now.
type Effect struct {
	What  string // a heading
	Names []string
}

// What restoring does, the worst first: what cannot be made good, then what somebody may do again
// that was taken from him, then what would be lost and can be made again.
const (
	rotationUndone = iota
	keyGone
	deletionAgain
	deletionCancelled
	keyBack
	materialBack
	keyOn
	keyOff
	rootBack
	rootGone
	accountOpen
	accountClosed
	accessKeyBack
	accessKeyOn
	identityBack
	grantBack
	policyOld
	identityOld
	aliasOther
	accessKeyOff
	accessKeyGone
	grantGone
	identityGone
	aliasBack
	aliasGone
	otherChanged
	effects
)

var headings = [effects]string{
	rotationUndone:    "WHAT WAS ENCRYPTED SINCE THEIR ROTATION, OR THE IMPORT OF NEW MATERIAL, CANNOT BE DECRYPTED ANY MORE; keys",
	keyGone:           "WHAT WAS ENCRYPTED UNDER THEM CANNOT BE DECRYPTED ANY MORE; keys that were made since",
	deletionAgain:     "keys whose deletion was cancelled, and would be scheduled again (where the date has passed they are deleted at once)",
	deletionCancelled: "keys whose deletion was scheduled, and would be cancelled",
	keyBack:           "keys that were deleted, and would come back",
	materialBack:      "keys whose imported material was deleted, and would come back",
	keyOn:             "keys that were disabled, and would be enabled",
	keyOff:            "keys that were enabled, and would be disabled",
	rootBack:          "roots of trust that were removed, and would open the store again",
	rootGone:          "roots of trust that were added, and would not open the store any more",
	accountOpen:       "accounts that were closed, and would be open",
	accountClosed:     "accounts that were opened again, and would be closed",
	accessKeyBack:     "access keys that were deleted, and would come back",
	accessKeyOn:       "access keys that were made inactive, and would be active",
	identityBack:      "accounts, principals and policies that were deleted, and would come back",
	grantBack:         "grants that were revoked or retired, and would come back",
	policyOld:         "keys whose policy would go back to what it was",
	identityOld:       "principals and policies that would go back to what they were",
	aliasOther:        "aliases that would be for the key that they were for",
	accessKeyOff:      "access keys that were made active, and would be inactive",
	accessKeyGone:     "access keys that were made since, and would be gone",
	grantGone:         "grants that were made since, and would be gone",
	identityGone:      "accounts, principals and policies that were made since, and would be gone",
	aliasBack:         "aliases that were deleted, and would come back",
	aliasGone:         "aliases that were made since, and would be gone",
	otherChanged:      "custom key stores, and keys in their description, tags, aliases or rotation, that would go back to what they were",
}

// A Comparison is a backup beside the store that is where it would be restored.
type Comparison struct {
	*CheckedBackup
	Place   string
	Vacant  bool // there is no store
	Effects []Effect
}

// CompareBackup says what would change if the store were replaced by a backup. It writes nothing.
// The roots of trust of the settings must open both.
func CompareBackup(ctx context.Context, c config.Store, path string) (_ *Comparison, err error) {
	o, err := openBackup(ctx, c, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	checked, err := o.verify(ctx)
	if err != nil {
		return nil, err
	}
	f := filesOf(c)
	r := &Comparison{CheckedBackup: checked, Place: f.store}
	if vacant := checkVacant(ctx, c, f); vacant == nil {
		r.Vacant = true
		return r, nil
	} else if !errors.Is(vacant, ErrStoreExists) {
		return nil, vacant
	}
	st, err := openStore(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	locators, err := locatorsOf(c)
	if err != nil {
		return nil, err
	}
	u, err := unseal(ctx, st, f, locators, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if u.sealer.Cluster() != o.sealer.Cluster() {
		return nil, fmt.Errorf("%s is of another deployment than %s: they have nothing in common", path, f.store)
	}
	r.Effects, err = compareStores(ctx, st, u, o)
	return r, err
}

func compareStores(ctx context.Context, st store.Store, u unsealed, o *openedBackup) ([]Effect, error) {
	now, err := newView(ctx, st, u)
	if err != nil {
		return nil, err
	}
	then, err := newView(ctx, o.Backup, o.unsealed)
	if err != nil {
		return nil, err
	}
	c := &comparing{now: now, then: then}
	if err := c.walk(ctx); err != nil {
		return nil, err
	}
	var all []Effect
	for i, names := range c.found {
		if len(names) > 0 {
			slices.Sort(names)
			all = append(all, Effect{headings[i], names})
		}
	}
	return all, nil
}

// A view is a store, or a backup of one, with what it takes to read its records.
type view struct {
	from   store.Reader
	people *identity.Inspector
	keys   *keyring.Inspector
}

func newView(ctx context.Context, from store.Reader, u unsealed) (*view, error) {
	people, err := identity.NewInspector(ctx, from, u.sealer)
	if err != nil {
		return nil, err
	}
	keys, err := keyring.NewInspector(u.sealer, people, u.set.Partition)
	return &view{from, people, keys}, err
}

// records yields all records, in order. An error ends it.
func (v *view) records(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		enough := errors.New("enough")
		err := store.Each(ctx, v.from, func(r store.Record) error {
			if !yield(r, nil) {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			yield(store.Record{}, err)
		}
	}
}

type comparing struct {
	now, then *view
	found     [effects][]string
}

// walk meets every path of either.
func (c *comparing) walk(ctx context.Context) error {
	nextNow, stopNow := iter.Pull2(c.now.records(ctx))
	defer stopNow()
	nextThen, stopThen := iter.Pull2(c.then.records(ctx))
	defer stopThen()
	now, errNow, moreNow := nextNow()
	then, errThen, moreThen := nextThen()
	for moreNow || moreThen {
		var a, b *store.Record
		if moreNow && (!moreThen || now.Path <= then.Path) {
			a = &now
		}
		if moreThen && (!moreNow || then.Path <= now.Path) {
			b = &then
		}
		if err := errors.Join(errNow, errThen); err != nil {
			return err
		}
		if err := c.meet(a, b); err != nil {
			return err
		}
		if a != nil {
			now, errNow, moreNow = nextNow()
		}
		if b != nil {
			then, errThen, moreThen = nextThen()
		}
	}
	return nil
}

// meet compares what is at one path now, and what was; one of them may be nil.
func (c *comparing) meet(now, then *store.Record) error {
	path := ""
	if now != nil {
		path = now.Path
	} else {
		path = then.Path
	}
	kind, _, _ := strings.Cut(path, "/")
	var err error
	switch {
	case path == rootKeysPath && now != nil && then != nil:
		err = c.roots(*now, *then)
	case isPassing(path):
	case identity.IsOurs(path):
		err = c.identities(now, then)
	case kind == "key":
		err = c.keys(now, then)
	case kind == "grant":
		err = c.grants(now, then)
	case kind == "alias":
		err = c.aliases(now, then)
	case kind == "keystores":
		err = c.keyStores(path, now, then)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func isPassing(path string) bool {
	return slices.ContainsFunc(LedgerOptions(time.Now).Passing, func(p string) bool { return strings.HasPrefix(path, p) })
}

func (c *comparing) find(effect int, name string) { c.found[effect] = append(c.found[effect], name) }

func (c *comparing) roots(now, then store.Record) error {
	has, err := seal.Roots(now.Value)
	if err != nil {
		return err
	}
	had, err := seal.Roots(then.Value)
	for _, name := range had {
		if !slices.Contains(has, name) {
			c.find(rootBack, name)
		}
	}
	for _, name := range has {
		if !slices.Contains(had, name) {
			c.find(rootGone, name)
		}
	}
	return err
}

// both opens what is there of two records.
func both[T any](now, then *store.Record, openNow, openThen func(store.Record) (T, error)) (a, b T, err error) {
	if now != nil {
		a, err = openNow(*now)
	}
	if then != nil && err == nil {
		b, err = openThen(*then)
	}
	return a, b, err
}

func (c *comparing) identities(now, then *store.Record) error {
	is, was, err := both(now, then, c.now.people.Describe, c.then.people.Describe)
	if err != nil {
		return err
	}
	account, accessKey := is.Kind == identity.OfAccount || was.Kind == identity.OfAccount, is.Kind == identity.OfAccessKey || was.Kind == identity.OfAccessKey
	pick := func(ofKey, ofOther int) int {
		if accessKey {
			return ofKey
		}
		return ofOther
	}
	switch {
	case now == nil:
		c.find(pick(accessKeyBack, identityBack), was.Name)
	case then == nil:
		c.find(pick(accessKeyGone, identityGone), is.Name)
	case is.Off && !was.Off && account:
		c.find(accountOpen, is.Name)
	case !is.Off && was.Off && account:
		c.find(accountClosed, is.Name)
	case is.Off && !was.Off:
		c.find(accessKeyOn, is.Name)
	case !is.Off && was.Off:
		c.find(accessKeyOff, is.Name)
	case is.Content != was.Content:
		c.find(identityOld, is.Name)
	}
	return nil
}

func (c *comparing) keys(now, then *store.Record) error {
	is, was, err := both(now, then, c.now.keys.Key, c.then.keys.Key)
	switch {
	case err != nil:
		return err
	case is == nil:
		c.find(keyBack, was.ARN)
	case was == nil:
		c.find(keyGone, is.ARN)
	default:
		c.keyChanges(is, was)
	}
	return nil
}

func (c *comparing) keyChanges(is, was *key.Record) {
	had := materials(was)
	undone, back := false, false
	for id, m := range materials(is) {
		before, known := had[id]
		undone = undone || !known
		back = back || known && isAbsent(m) && !isAbsent(before)
	}
	for effect, holds := range map[int]bool{
		rotationUndone:    undone,
		materialBack:      back,
		deletionCancelled: is.DeletionDate != key.Never && was.DeletionDate == key.Never,
		deletionAgain:     is.DeletionDate == key.Never && was.DeletionDate != key.Never,
		keyOn:             !is.Enabled && was.Enabled && was.DeletionDate == key.Never,
		keyOff:            is.Enabled && !was.Enabled && is.DeletionDate == key.Never,
		policyOld:         policyText(is) != policyText(was),
		otherChanged: is.Description != was.Description || is.Rotation != was.Rotation ||
			!slices.Equal(is.Tags, was.Tags) || !slices.Equal(is.Aliases, was.Aliases),
	} {
		if holds {
			c.find(effect, is.ARN)
		}
	}
}

func materials(k *key.Record) map[key.MaterialID]key.Material {
	all := make(map[key.MaterialID]key.Material)
	for _, m := range k.Materials {
		all[m.ID] = m
	}
	if k.Pending != nil {
		all[k.Pending.ID] = *k.Pending
	}
	return all
}

func isAbsent(m key.Material) bool { return m.Imported != nil && m.Imported.Absent }

func policyText(k *key.Record) string {
	if k.Policy == nil {
		return ""
	}
	return k.Policy.Source
}

func (c *comparing) grants(now, then *store.Record) error {
	is, was, err := both(now, then, c.now.keys.Grant, c.then.keys.Grant)
	switch {
	case err != nil:
		return err
	case is == nil:
		c.find(grantBack, was.ID+" of "+was.Key+" to "+was.Grantee.ARN)
	case was == nil:
		c.find(grantGone, is.ID+" of "+is.Key+" to "+is.Grantee.ARN)
	}
	return nil
}

// An aliased is an alias and its key.
type aliased struct{ name, target string }

func (c *comparing) aliases(now, then *store.Record) error {
	read := func(v *view) func(store.Record) (aliased, error) {
		return func(r store.Record) (aliased, error) {
			name, target, err := v.keys.Alias(r)
			return aliased{name, target}, err
		}
	}
	is, was, err := both(now, then, read(c.now), read(c.then))
	switch {
	case err != nil:
		return err
	case now == nil:
		c.find(aliasBack, was.name)
	case then == nil:
		c.find(aliasGone, is.name)
	case is.target != was.target:
		c.find(aliasOther, is.name+", for "+was.target+" in the place of "+is.target)
	}
	return nil
}

func (c *comparing) keyStores(path string, now, then *store.Record) error {
	is, was, err := both(now, then, c.now.keys.Content, c.then.keys.Content)
	if err == nil && is != was {
		c.find(otherChanged, "custom key stores of "+strings.TrimPrefix(path, "keystores/"))
	}
	return err
}
