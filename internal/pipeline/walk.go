package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/authz"
	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/identity"
	"trent/internal/keyring"
	"trent/internal/recipient"
	"trent/internal/wire"
)

// walk is one request on its way. Each room fills in what it finds out.
type walk struct {
	*Road
	req *Request
	now time.Time

	service   *service // room 1; nil: none that is known
	codec     wire.Codec
	operation string
	entry     *action.Entry

	who Identity    // room 2
	web webIdentity // the same, of who has no signature
	in  api.Input   // room 3

	attested *recipient.Attested // room 4½; nil: no evidence came

	held []action.Held // rooms 4 to 7, one for each of the entry's uses
	uses []use         // and what else is known of each
	call action.Call   // room 8
	out  api.Output

	// What room 5 is asked, of one use after another.
	asked      authz.Question
	conditions authz.Conditions
	own        ownKeys

	view   identity.View     // of all identities, from room 2 to the commit; never newer than who
	seen   *keyring.Sighting // to be remembered with the commit, or nil
	dryRun bool

	roomForHeld  [maxUses]action.Held
	roomForUses  [maxUses]use
	roomForNames [maxUses]string
}

// maxUses is what most entries need at most; more only costs an allocation.
const maxUses = 3

// Walk takes a request down the road and returns the answer, which has been
// written down by then. It does not fail: what goes wrong is an answer too.
func (r *Road) Walk(ctx context.Context, req *Request) Answer {
	w, ok := r.walks.Get().(*walk)
	if !ok {
		w = new(walk)
	}
	w.Road, w.req, w.now = r, req, r.now()
	w.codec = wire.JSON{}
	if w.isForm() {
		w.codec = wire.Query{}
	}
	a := w.answer(w.protected(ctx))
	*w = walk{} // nothing of one request is left for the next
	r.walks.Put(w)
	return a
}

// steps is the road. The order is the security of the house: who, what, which
// key, may they, does it fit, open, do. docs/life-of-a-request.md says why.
func (w *walk) steps(ctx context.Context) error {
	if w.req.Refused != nil {
		return w.req.Refused
	}
	if err := w.target(); err != nil { // 1: the operation
		return err
	}
	if w.fresh != nil {
		if err := w.fresh(ctx); err != nil {
			return err
		}
	}
	w.view = w.identities.View()                // first, so that a change of who asks is a lost race
	if err := w.authenticate(ctx); err != nil { // 2: who
		return err
	}
	if err := w.decode(); err != nil { // 3: what
		return err
	}
	if err := w.federate(ctx); err != nil { // 2 again, where the input says who
		return err
	}
	if err := w.attest(ctx); err != nil { // 4½: evidence of where the caller runs
		return err
	}
	for range maxRaces {
		err := w.decideAndDo(ctx) // 4 to 8
		if err == nil {
			err = w.commit(ctx) // 10: changes
		}
		if !errors.Is(err, keyring.ErrLostRace) && !errors.Is(err, identity.ErrLostRace) {
			return err
		}
		if err := w.lookAgain(ctx); err != nil {
			return err
		}
	}
	return fault.New(api.DependencyTimeoutException, "What was to be changed was changed by many requests at once. Try again.")
}

// maxRaces is how often a request is walked again because another one changed
// the same record first. Each loss means that somebody else won.
const maxRaces = 64

// decideAndDo walks rooms 4 to 8. Nothing in them has an effect, so they can be
// walked again.
func (w *walk) decideAndDo(ctx context.Context) error {
	w.held, w.uses = w.roomForHeld[:0], w.roomForUses[:0]
	w.out = nil
	w.call = w.newCall()
	missing := w.findAll(ctx) // 4: which key
	w.call.Held = w.held
	for i := range w.uses {
		if i == missing.use { // said in its turn: what is decided before it comes first
			return missing.err
		}
		if err := w.permit(ctx, i); err != nil { // 5: may they
			return err
		}
	}
	if err := w.fits(ctx); err != nil { // 6: does it fit
		return err
	}
	if err := w.openKeys(ctx); err != nil { // 7: open
		return err
	}
	return w.run(ctx) // 8: do
}

// protected is steps with a net under it.
func (w *walk) protected(ctx context.Context) (err error) {
	defer w.caught(&err)
	return w.steps(ctx)
}

// caught makes an error of a panic, which is an incident of ours: it is logged with
// its stack, without any value of the request, and answered as an internal
// error. It must be deferred itself.
func (w *walk) caught(err *error) {
	if p := recover(); p != nil {
		w.log.Error("panic on the road", "request", w.req.ID, "operation", w.name(), "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		*err = fault.New(fault.Internal, "").Because(errors.New("panic"))
	}
}

func (w *walk) authenticate(ctx context.Context) error {
	if w.entry != nil && w.entry.Federates != nil && w.req.Unsigned {
		w.who = Identity{Principal: new(iam.Principal)} // nobody, until somebody vouches for them
		return nil
	}
	who, err := w.req.Who.Authenticate(ctx, w.service.Name, w.req.Body, w.now)
	if err != nil {
		return err
	}
	w.who = who
	w.identities.Used(who.Principal.AccessKeyID, w.service.Name, who.Region, w.now)
	if w.service.longTerm && who.Principal.Kind == iam.User && !who.Principal.TokenIssued.IsZero() {
		return fault.New("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if w.entry == nil {
		return fault.Newf(api.UnsupportedOperationException, "%s is not supported by this version of Trent: it %s.", w.operation, w.service.notYet[w.operation])
	}
	if !w.entry.Mutates {
		return nil
	}
	return w.refuseReplay(ctx)
}

// refuseReplay keeps a captured request that changes state from being sent
// again while its signature is still young.
func (w *walk) refuseReplay(ctx context.Context) error {
	s := keyring.Sighting{Signature: w.who.Signature, At: w.now, Expires: w.who.Expires}
	replayed, first, err := w.keys.Replay(ctx, s)
	switch {
	case err != nil:
		return err
	case replayed, !first && w.entry.Once:
		return fault.New("InvalidSignatureException", "This signature has been used before. Requests that change something must be signed anew each time.")
	case first:
		w.seen = &s
	}
	return nil
}

// lookAgain is room 2 after a lost race. What was changed may be the rights of who
// asks, or the access key; and the same request may have been the one that won.
func (w *walk) lookAgain(ctx context.Context) error {
	w.view, w.seen = w.identities.View(), nil
	return w.authenticate(ctx)
}

func (w *walk) decode() error {
	w.in = w.entry.Op.New()
	if err := w.codec.Decode(w.req.Body, w.in); err != nil {
		return err
	}
	if err := w.in.Validate(); err != nil {
		return err
	}
	if dry, ok := w.in.(api.DryRunner); ok {
		w.dryRun = dry.DryRunMember()
	}
	return w.checkTokens()
}

// checkTokens refuses grant tokens that were not made here, before any key is looked
// for: a refusal that only a key that is there gives would tell strangers of it. Good
// tokens have nothing to add: a decision sees every grant.
func (w *walk) checkTokens() error {
	holder, ok := w.in.(api.GrantTokenHolder)
	if !ok {
		return nil
	}
	for _, token := range holder.GrantTokenMembers() {
		if err := w.keys.CheckGrantToken(token); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) newCall() action.Call {
	return action.Call{
		Caller: w.who.Principal, Region: w.who.Region, HasRegion: w.hasRegion, Now: w.now, Lists: w.keys, Identities: w.view,
		NewKeys: w.newKeys, Proxies: w.proxies, Asker: w.asker(), WebIdentity: w.web.WebIdentity, Decisions: w,
	}
}

// asker is the caller as the proxies of external key stores are told: of a session of a role, the role.
func (w *walk) asker() crypt.Asker {
	who := w.who.Principal
	name := who.ARN
	if who.RoleARN != "" {
		name = who.RoleARN
	}
	return crypt.Asker{Principal: name, Operation: w.entry.Op.Name, RequestID: w.req.ID}
}

// run does the work and notes what it wishes for. For a dry run all of it has
// been checked by now, and nothing happens.
func (w *walk) run(ctx context.Context) error {
	if w.entry.Compound { // what it does cannot be taken back: it is remembered first
		if err := w.remember(ctx); err != nil {
			return err
		}
	}
	out, err := w.perform(ctx)
	if err != nil {
		return err
	}
	if w.dryRun {
		return fault.New(api.DryRunOperationException, "The request would have succeeded, but the DryRun option is set.")
	}
	w.out = out
	return w.enclose(out)
}

// perform runs the action, in the lane if it takes long with one of its keys.
func (w *walk) perform(ctx context.Context) (out api.Output, err error) {
	for i := range w.held {
		if h := &w.held[i]; h.Key != nil && crypt.Costly(h.Record.Spec) {
			busy := w.costly.Run(ctx, w.who.Principal.Account, func() { out, err = w.entry.Run(ctx, &w.call, w.in) })
			if busy != nil {
				return nil, busy
			}
			return out, err
		}
	}
	w.others.note()
	return w.entry.Run(ctx, &w.call, w.in)
}

// commit makes the wishes durable. A request that changes state is remembered
// even when there was nothing to change, so that it cannot act later.
func (w *walk) commit(ctx context.Context) error {
	if w.entry.Dev && w.beforeDev != nil {
		if err := w.beforeDev(ctx); err != nil {
			return fault.New(fault.Internal, "").Because(err)
		}
	}
	switch {
	case len(w.call.IdentityChanges) > 0 && len(w.call.Changes) > 0:
		return fault.New(fault.Internal, "").Because(errors.New("one request changes both keys and identities"))
	case len(w.call.IdentityChanges) > 0:
		return w.identities.Commit(ctx, w.view, w.call.IdentityChanges, w.addition())
	case len(w.call.Changes) == 0 && w.seen == nil:
		return nil
	}
	return w.keys.Commit(ctx, w.call.Changes, w.seen)
}

// addition is what is remembered along with changes of identities.
func (w *walk) addition() identity.Addition {
	if w.seen == nil {
		return nil
	}
	return w.seen
}
