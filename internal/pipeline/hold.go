package pipeline

import (
	"context"
	"time"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/authz"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/keyring"
)

// finder and opener are the two depths at which the road meets a key.
type finder interface {
	Find(ctx context.Context, ref arn.Ref, here keyring.Where, now time.Time) (*key.Record, error)
	FindAlias(ctx context.Context, ref arn.Ref, here keyring.Where, now time.Time) (*key.Alias, error)
	FindByMaterial(ctx context.Context, id crypt.MaterialID, region string, now time.Time) (*key.Record, error)
	FindGrant(ctx context.Context, rec *key.Record, id string) (*grant.Grant, error)
	FindByGrantToken(ctx context.Context, token, region string, now time.Time) (*grant.Grant, *key.Record, error)
}

type opener interface {
	Open(ctx context.Context, permit authz.Permit, rec *key.Record, id crypt.MaterialID) (crypt.Key, error)
}

// use is how far the walk has come with one of the entry's uses.
type use struct {
	entry    *action.Resource
	permit   authz.Permit
	resource string // what the decision is about: an ARN, or *
	skipped  bool   // the use does not apply to this request
	hasBlob  bool
	byBlob   bool // found by the ciphertext alone
}

// missing is the first use whose resource could not be found, and why; none if
// use is negative.
type missing struct {
	use int
	err error
}

// findAll is room 4 for all uses: a condition on one may be about another, as that
// ReEncrypt stays with the same key. It ends with the first that is not found.
func (w *walk) findAll(ctx context.Context) missing {
	for i := range w.entry.Uses {
		if err := w.find(ctx, &w.entry.Uses[i]); err != nil {
			return missing{i, err}
		}
	}
	return missing{use: -1}
}

// find is room 4 for one use: it resolves the reference, and unseals nothing.
func (w *walk) find(ctx context.Context, r *action.Resource) error {
	w.held = append(w.held, action.Held{})
	w.uses = append(w.uses, use{entry: r})
	h, u := &w.held[len(w.held)-1], &w.uses[len(w.uses)-1]
	if r.When != nil && !r.When(w.in) {
		u.skipped = true
		return nil
	}
	switch r.Kind {
	case action.OnAccount:
		u.resource = "*"
		return nil
	case action.OnEntity:
		u.resource = r.Entity(&w.call, w.in)
		return nil
	case action.OnRole:
		u.resource = r.Entity(&w.call, w.in)
		u.skipped = u.resource == ""
		if r, ok := w.view.Role(u.resource); ok {
			h.Role = r // that there is none is no answer before the decision
		}
		return nil
	case action.OnAlias, action.OnNewAlias:
		return w.findAlias(ctx, h, u)
	case action.OnGrant:
		return w.findGrant(ctx, h, u)
	case action.OnReplica:
		return w.findReplica(ctx, h, u)
	}
	return w.findKey(ctx, h, u)
}

// findGrant finds a grant and its key, by a token or by id on a key. That a grant is
// not there is told of keys of the caller's own account alone.
func (w *walk) findGrant(ctx context.Context, h *action.Held, u *use) error {
	if err := w.entry.Rules(w.in); err != nil {
		return err // which of the two ways it is
	}
	token, id := u.entry.Grant(w.in)
	var err error
	if token != "" {
		h.Grant, h.Record, err = w.keys.FindByGrantToken(ctx, token, w.who.Region, w.now)
	} else if err = w.findKey(ctx, h, u); err == nil {
		h.Grant, err = w.keys.FindGrant(ctx, h.Record, id)
		if fault.Is(err, api.NotFoundException) && h.Record.Account() != w.who.Principal.Account {
			return authz.ForeignKey(w.who.Principal, u.entry.Permit)
		}
	}
	if err != nil {
		return err
	}
	u.resource = h.Record.ARN
	return nil
}

// findReplica finds the related key of another Region. What is no primary has none, and the rules of the
// entry say it better.
func (w *walk) findReplica(ctx context.Context, h *action.Held, u *use) error {
	first, region := w.held[0].Record, u.entry.Region(w.in)
	if u.skipped = !first.IsPrimary() || first.Region() == region; u.skipped {
		return nil
	}
	rec, err := w.keys.Find(ctx, arn.ParseRef(first.ID()), keyring.Where{Account: first.Account(), Region: region}, w.now)
	if err != nil {
		return err
	}
	h.Record, u.resource = rec, rec.ARN
	return nil
}

func (w *walk) here() keyring.Where {
	return keyring.Where{Account: w.who.Principal.Account, Region: w.who.Region}
}

func (w *walk) findAlias(ctx context.Context, h *action.Held, u *use) error {
	ref := arn.ParseRef(u.entry.Ref(w.in))
	if ref.Kind != arn.AliasName {
		return fault.New(api.ValidationException, `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`)
	}
	u.resource = arn.Alias(w.keys.Partition(), w.who.Region, w.who.Principal.Account, ref.Name)
	alias, err := w.keys.FindAlias(ctx, ref, w.here(), w.now)
	if err != nil && u.entry.Kind == action.OnNewAlias && fault.Is(err, api.NotFoundException) {
		return nil
	}
	h.Alias = alias
	return err
}

func (w *walk) findKey(ctx context.Context, h *action.Held, u *use) error {
	if err := w.parseBlob(h, u); err != nil {
		return err
	}
	name := u.entry.Ref(w.in)
	if name == "" && u.entry.Blob != nil {
		return w.findByBlob(ctx, h, u)
	}
	ref := arn.ParseRef(name)
	if ref.IsAlias() {
		if err := refuseAlias(u.entry.Alias); err != nil {
			return err
		}
	}
	// A key of another account answers the same whether it is there or not, and
	// whether or not this action could ever be allowed on it.
	foreign := ref.Kind != arn.Malformed && ref.Account != "" && ref.Account != w.who.Principal.Account
	if foreign && !u.entry.Abroad {
		return authz.ForeignKey(w.who.Principal, u.entry.Permit)
	}
	rec, err := w.keys.Find(ctx, ref, w.here(), w.now)
	if foreign && fault.Is(err, api.NotFoundException) && ref.Region == w.who.Region {
		return authz.ForeignKey(w.who.Principal, u.entry.Permit)
	}
	if err != nil {
		return err
	}
	h.Record, u.resource = rec, rec.ARN
	if !u.entry.LastUse {
		return nil
	}
	h.LastUse, err = w.keys.LastUse(ctx, rec)
	h.Unused = w.now.Sub(later(rec.Created.Time(), h.LastUse.At))
	return err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// parseBlob reads the header of the ciphertext, where the use has one and the
// request brings it.
func (w *walk) parseBlob(h *action.Held, u *use) error {
	if u.entry.Blob == nil {
		return nil
	}
	raw := u.entry.Blob(w.in)
	if raw == nil {
		return nil
	}
	blob, err := crypt.ParseBlob(raw)
	h.Blob, u.hasBlob = blob, err == nil
	return err
}

// findByBlob lets the header of a ciphertext lead to its key.
func (w *walk) findByBlob(ctx context.Context, h *action.Held, u *use) error {
	if !u.hasBlob {
		// Neither key nor ciphertext: the rules of the entry say it better.
		if err := w.entry.Rules(w.in); err != nil {
			return err
		}
		return errHiddenKey()
	}
	u.byBlob = true
	rec, err := w.keys.FindByMaterial(ctx, h.Blob.Material, w.who.Region, w.now)
	if keyring.IsAbsent(err) {
		return errHiddenKey()
	} else if err != nil {
		return err
	}
	h.Record, u.resource = rec, rec.ARN
	return nil
}

// errHiddenKey is the one answer about a key that only a ciphertext names:
// absent, foreign or forbidden.
func errHiddenKey() *fault.Error {
	return fault.New(authz.AccessDenied, "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.")
}

func refuseAlias(rule action.AliasRule) error {
	switch rule {
	case action.AliasUnsupported:
		return fault.New(api.InvalidArnException, "Key Aliases are not supported for this operation.")
	case action.AliasNoAliasToKey:
		return fault.New(api.ValidationException, "Aliases must refer to keys. Not aliases")
	}
	return nil
}

// fits is room 6: the rules of the request first, then for each key its usage
// and its state, then algorithm and sizes. All of it after the decision, since
// a caller without permission must not learn a key's state.
func (w *walk) fits(ctx context.Context) error {
	if w.entry.Rules != nil {
		if err := w.entry.Rules(w.in); err != nil {
			return err
		}
	}
	for i := range w.held {
		h, u := &w.held[i], &w.uses[i]
		if h.Record == nil {
			continue
		}
		if err := w.namesItsKey(ctx, h, u); err != nil {
			return err
		}
		if err := key.CheckUsage(h.Record, u.entry.Usage, w.entry.Op.Name); err != nil {
			return err
		}
		if err := u.entry.State.Check(h.Record, w.now); err != nil {
			return err
		}
	}
	if w.entry.Fit == nil {
		return nil
	}
	return w.entry.Fit(w.held, w.in)
}

// namesItsKey holds the key that was named against the one in the ciphertext.
// That the ciphertext is of another key is told only if that key is the
// caller's account's own.
func (w *walk) namesItsKey(ctx context.Context, h *action.Held, u *use) error {
	if !u.hasBlob || h.Record.Has(h.Blob.Material) {
		return nil
	}
	other, err := w.keys.FindByMaterial(ctx, h.Blob.Material, w.who.Region, w.now)
	switch {
	case err == nil && other.Account() == w.who.Principal.Account:
		return fault.New(api.IncorrectKeyException, "The key ID in the request does not identify a CMK that can perform this operation.")
	case err == nil || keyring.IsAbsent(err):
		return fault.New(api.InvalidCiphertextException, "")
	}
	return err
}

// openKeys is room 7: the material, for who has a permit on exactly this record.
func (w *walk) openKeys(ctx context.Context) error {
	for i := range w.held {
		h, u := &w.held[i], &w.uses[i]
		if h.Record == nil || !u.opens(h.Record) {
			continue
		}
		id, ok := h.Blob.Material, u.hasBlob
		if !ok {
			if id, ok = h.Record.Current(); !ok {
				return fault.New(fault.Internal, "")
			}
		}
		k, err := w.keys.Open(ctx, u.permit, h.Record, id)
		if err != nil {
			return err
		}
		h.Key = k
	}
	return nil
}

// opens reports whether the material is wanted: that of a ciphertext only if there is one. Those
// of keys that are not symmetric do not name their material, which is the only one then.
func (u *use) opens(rec *key.Record) bool {
	switch u.entry.Opens {
	case action.OpensCurrent:
		return true
	case action.OpensBlob:
		return u.hasBlob || !rec.IsSymmetric()
	}
	return false
}

// resources are the names that were decided upon, and of keys that were made,
// for the record.
func (w *walk) resources() []string {
	out := w.roomForNames[:0]
	for i := range w.uses {
		if name := w.uses[i].resource; name != "" && name != "*" {
			out = append(out, name)
		}
	}
	for _, c := range w.call.Changes {
		if put, ok := c.(keyring.PutKey); ok && put.Was == nil {
			out = append(out, put.Now.ARN)
		}
	}
	return out
}

// KeepsControl implements action.Decisions.
func (w *walk) KeepsControl(ctx context.Context, rec *key.Record, policy *iam.Policy) bool {
	return authz.KeepsControl(ctx, &w.asked, rec, policy)
}
