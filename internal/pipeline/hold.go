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
	"trent/internal/iam"
	"trent/internal/key"
	"trent/internal/keyring"
)

// finder and opener are the two depths at which the road meets a key.
type finder interface {
	Find(ctx context.Context, ref arn.Ref, here keyring.Where, now time.Time) (*key.Record, error)
	FindAlias(ctx context.Context, ref arn.Ref, here keyring.Where, now time.Time) (*key.Alias, error)
	FindByMaterial(ctx context.Context, id crypt.MaterialID, region string, now time.Time) (*key.Record, error)
}

type opener interface {
	Open(ctx context.Context, permit authz.Permit, rec *key.Record, id crypt.MaterialID) (*crypt.Symmetric, error)
}

// held is one of the entry's uses, as far as the walk has come with it.
type held struct {
	action.Held
	use      *action.Resource
	permit   authz.Permit
	resource string // what the decision is about: an ARN, or *
	skipped  bool   // the use does not apply to this request
	hasBlob  bool
	byBlob   bool // found by the ciphertext alone
}

// find is room 4 for one use: it resolves the reference, and unseals nothing.
func (w *walk) find(ctx context.Context, use *action.Resource) error {
	w.held = append(w.held, held{use: use})
	h := &w.held[len(w.held)-1]
	if use.When != nil && !use.When(w.in) {
		h.skipped = true
		return nil
	}
	switch use.Kind {
	case action.OnAccount:
		h.resource = "*"
		return nil
	case action.OnAlias, action.OnNewAlias:
		return w.findAlias(ctx, h)
	}
	return w.findKey(ctx, h)
}

func (w *walk) here() keyring.Where {
	return keyring.Where{Account: w.who.Principal.Account, Region: w.who.Region}
}

func (w *walk) findAlias(ctx context.Context, h *held) error {
	ref := arn.ParseRef(h.use.Ref(w.in))
	if ref.Kind != arn.AliasName {
		return fault.New(api.ValidationException, `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`)
	}
	h.resource = arn.Alias(w.keys.Partition(), w.who.Region, w.who.Principal.Account, ref.Name)
	alias, err := w.keys.FindAlias(ctx, ref, w.here(), w.now)
	if err != nil && h.use.Kind == action.OnNewAlias && fault.Is(err, api.NotFoundException) {
		return nil
	}
	h.Alias = alias
	return err
}

func (w *walk) findKey(ctx context.Context, h *held) error {
	if h.use.Blob != nil {
		if blob := h.use.Blob(w.in); blob != nil {
			var err error
			if h.Blob, err = crypt.ParseBlob(blob); err != nil {
				return err
			}
			h.hasBlob = true
		}
	}
	name := h.use.Ref(w.in)
	if name == "" && h.use.Blob != nil {
		return w.findByBlob(ctx, h)
	}
	ref := arn.ParseRef(name)
	if ref.IsAlias() {
		if err := refuseAlias(h.use.Alias); err != nil {
			return err
		}
	}
	// A key of another account answers the same whether it is there or not, and
	// whether or not this action could ever be allowed on it.
	foreign := ref.Kind != arn.Malformed && ref.Account != "" && ref.Account != w.who.Principal.Account
	if foreign && !h.use.Abroad {
		return authz.ForeignKey(w.who.Principal, h.use.Permit)
	}
	rec, err := w.keys.Find(ctx, ref, w.here(), w.now)
	if foreign && fault.Is(err, api.NotFoundException) && ref.Region == w.who.Region {
		return authz.ForeignKey(w.who.Principal, h.use.Permit)
	}
	if err != nil {
		return err
	}
	h.Record, h.resource = rec, rec.ARN
	return nil
}

// findByBlob lets the header of a ciphertext lead to its key.
func (w *walk) findByBlob(ctx context.Context, h *held) error {
	if !h.hasBlob {
		// Neither key nor ciphertext: the rules of the entry say it better.
		if err := w.entry.Rules(w.in); err != nil {
			return err
		}
		return errHiddenKey()
	}
	h.byBlob = true
	rec, err := w.keys.FindByMaterial(ctx, h.Blob.Material, w.who.Region, w.now)
	if keyring.IsAbsent(err) {
		return errHiddenKey()
	} else if err != nil {
		return err
	}
	h.Record, h.resource = rec, rec.ARN
	return nil
}

// errHiddenKey is the one answer about a key that only a ciphertext names:
// absent, foreign or forbidden.
func errHiddenKey() error {
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
		h := &w.held[i]
		if h.Record == nil {
			continue
		}
		if err := w.namesItsKey(ctx, h); err != nil {
			return err
		}
		if err := key.CheckUsage(h.Record, h.use.Usage, w.entry.Op.Name); err != nil {
			return err
		}
		if err := h.use.State.Check(h.Record, w.now); err != nil {
			return err
		}
	}
	if w.entry.Fit == nil {
		return nil
	}
	return w.entry.Fit(w.holding(), w.in)
}

// namesItsKey holds the key that was named against the one in the ciphertext.
// That the ciphertext is of another key is told only if that key is the
// caller's account's own.
func (w *walk) namesItsKey(ctx context.Context, h *held) error {
	if !h.hasBlob || h.Record.Has(h.Blob.Material) {
		return nil
	}
	other, err := w.keys.FindByMaterial(ctx, h.Blob.Material, w.who.Region, w.now)
	switch {
	case err == nil && other.Account == w.who.Principal.Account:
		return fault.New(api.IncorrectKeyException, "The key ID in the request does not identify a CMK that can perform this operation.")
	case err == nil || keyring.IsAbsent(err):
		return fault.New(api.InvalidCiphertextException, "")
	}
	return err
}

// openKeys is room 7: the material, for who has a permit on exactly this record.
func (w *walk) openKeys(ctx context.Context) error {
	for i := range w.held {
		h := &w.held[i]
		var id crypt.MaterialID
		switch {
		case h.Record == nil || h.use.Opens == action.OpensNothing:
			continue
		case h.use.Opens == action.OpensBlob:
			if !h.hasBlob {
				continue
			}
			id = h.Blob.Material
		default:
			var ok bool
			if id, ok = h.Record.Current(); !ok {
				return fault.New(fault.Internal, "")
			}
		}
		k, err := w.keys.Open(ctx, h.permit, h.Record, id)
		if err != nil {
			return err
		}
		h.Key = k
	}
	return nil
}

// holding is what an entry gets to see of the uses.
func (w *walk) holding() []action.Held {
	out := make([]action.Held, len(w.held))
	for i := range w.held {
		out[i] = w.held[i].Held
	}
	return out
}

// resources are the names that were decided upon, for the record.
func (w *walk) resources() []string {
	var out []string
	for i := range w.held {
		if name := w.held[i].resource; name != "" && name != "*" {
			out = append(out, name)
		}
	}
	return out
}

func (w *walk) keepsControl(rec *key.Record, policy *iam.Policy) bool {
	return authz.KeepsControl(w.who.Principal, rec, policy)
}
