package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/audit"
	"trent/internal/authz"
	"trent/internal/fault"
	"trent/internal/keyring"
	"trent/internal/wire"
)

// walk is one request on its way. Each room fills in what it finds out.
type walk struct {
	*Road
	req *Request
	now time.Time

	entry *action.Entry // room 1
	who   Identity      // room 2
	in    api.Input     // room 3
	held  []action.Held // rooms 4 to 7, one for each of the entry's uses
	uses  []use         // and what else is known of each
	call  action.Call   // room 8
	out   api.Output

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
	if err := w.authenticate(ctx); err != nil { // 2: who
		return err
	}
	if err := w.decode(); err != nil { // 3: what
		return err
	}
	for range maxRaces {
		err := w.decideAndDo(ctx) // 4 to 8
		if err == nil {
			err = w.commit(ctx) // 10: changes
		}
		if !errors.Is(err, keyring.ErrLostRace) {
			return err
		}
	}
	return fault.New(api.DependencyTimeoutException, "The key was changed by many requests at once. Try again.")
}

// maxRaces is how often a request is walked again because another one changed
// the same record first. Each loss means that somebody else won.
const maxRaces = 64

// decideAndDo walks rooms 4 to 8. Nothing in them has an effect, so they can be
// walked again.
func (w *walk) decideAndDo(ctx context.Context) error {
	w.held, w.uses = w.roomForHeld[:0], w.roomForUses[:0]
	w.call, w.out = action.Call{}, nil
	for i := range w.entry.Uses {
		if err := w.find(ctx, &w.entry.Uses[i]); err != nil { // 4: which key
			return err
		}
		if err := w.permit(i); err != nil { // 5: may they
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

// protected is steps with a net under it. A panic is an incident of ours: it is
// logged with its stack, without any value of the request, and answered as an
// internal error.
func (w *walk) protected(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.log.Error("panic on the road", "request", w.req.ID, "operation", w.name(), "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "").Because(errors.New("panic"))
		}
	}()
	return w.steps(ctx)
}

func (w *walk) target() error {
	name := operation(w.req.Target)
	if w.entry = w.table[name]; w.entry != nil {
		return nil
	}
	if _, later := w.notYet[name]; later {
		return nil // answered once we know who asks
	}
	return fault.New(UnknownOperation, "")
}

func (w *walk) authenticate(ctx context.Context) error {
	who, err := w.req.Who.Authenticate(ctx, w.req.Body, w.now)
	if err != nil {
		return err
	}
	w.who = who
	if w.entry == nil {
		name := operation(w.req.Target)
		return fault.Newf(api.UnsupportedOperationException, "%s is not supported by this version of Trent: it %s.", name, w.notYet[name])
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
	case replayed:
		return fault.New("InvalidSignatureException", "This signature has been used before. Requests that change something must be signed anew each time.")
	case first:
		w.seen = &s
	}
	return nil
}

func (w *walk) decode() error {
	w.in = w.entry.Op.New()
	if err := wire.Decode(w.req.Body, w.in); err != nil {
		return err
	}
	if err := w.in.Validate(); err != nil {
		return err
	}
	if dry, ok := w.in.(api.DryRunner); ok {
		w.dryRun = dry.DryRunMember()
	}
	if r, ok := w.in.(api.RecipientHolder); ok && r.RecipientMember() != nil {
		return fault.New(api.UnsupportedOperationException, "Recipient is not supported by this version of Trent.")
	}
	return nil
}

func (w *walk) permit(i int) error {
	u := &w.uses[i]
	switch {
	case u.skipped || u.entry.Permit.Name == "":
		return nil
	case u.entry.Kind != action.OnKey:
		return authz.OnAccount(w.who.Principal, u.entry.Permit, u.resource)
	}
	p, err := authz.OnKey(w.who.Principal, u.entry.Permit, w.held[i].Record)
	if err != nil && u.byBlob {
		return errHiddenKey()
	}
	u.permit = p
	return err
}

// run does the work and notes what it wishes for. For a dry run all of it has
// been checked by now, and nothing happens.
func (w *walk) run(ctx context.Context) error {
	w.call = action.Call{
		Caller: w.who.Principal, Region: w.who.Region, Now: w.now, Held: w.held, Lists: w.keys,
		KeepsControl: w.keepsControl,
	}
	out, err := w.entry.Run(ctx, &w.call, w.in)
	if err != nil {
		return err
	}
	if w.dryRun {
		return fault.New(api.DryRunOperationException, "The request would have succeeded, but the DryRun option is set.")
	}
	w.out = out
	return nil
}

// commit makes the wishes durable. A request that changes state is remembered
// even when there was nothing to change, so that it cannot act later.
func (w *walk) commit(ctx context.Context) error {
	if len(w.call.Changes) == 0 && w.seen == nil {
		return nil
	}
	return w.keys.Commit(ctx, w.call.Changes, w.seen)
}

// answer is rooms 9 and 10: encode, write down, and only then let go. An answer
// that could not be written down does not leave.
func (w *walk) answer(err error) Answer {
	a := Answer{Status: 200}
	var f *fault.Error
	if err == nil {
		a.Body = wire.Encode(w.req.Room[:0], w.out)
	} else {
		f = fault.From(err)
		a.Body, a.Status = wire.EncodeFault(w.req.Room[:0], f)
		w.report(f)
	}
	if err := w.writeDown(f, a.Status); err != nil {
		w.log.Error("the audit record could not be written", "request", w.req.ID, "error", err)
		if !w.open {
			clear(a.Body)
			a.Body, a.Status = wire.EncodeFault(nil, fault.New(fault.Internal, ""))
		}
	}
	return a
}

// report logs what is our fault. What is the caller's is in the audit record.
func (w *walk) report(f *fault.Error) {
	if api.Status(f.Code) < 500 {
		return
	}
	w.log.LogAttrs(context.Background(), slog.LevelError, "request failed",
		slog.String("request", w.req.ID), slog.String("operation", w.name()), slog.String("error", f.Error()))
}

func (w *walk) writeDown(f *fault.Error, status int) error {
	b, ok := w.lines.Get().(*lineBuffers)
	if !ok {
		b = new(lineBuffers)
	}
	defer w.lines.Put(b)
	b.params = w.appendParams(b.params[:0])
	rec := audit.Record{
		Time: w.now, RequestID: w.req.ID, Source: w.req.Source, UserAgent: w.req.UserAgent,
		Region: w.who.Region, Operation: w.name(), DryRun: w.dryRun, Status: status,
		Resources: w.resources(), Params: b.params, Took: w.Road.now().Sub(w.req.Received),
	}
	if p := w.who.Principal; p != nil {
		rec.Principal, rec.Account, rec.AccessKeyID = p.ARN, p.Account, p.AccessKeyID
	}
	if w.entry != nil {
		rec.Mutates = w.entry.Mutates
	}
	if f != nil {
		rec.ErrorCode, rec.ErrorText = string(f.Code), f.Message
		if cause := f.Unwrap(); cause != nil {
			rec.Reason = cause.Error()
		}
	}
	b.line = rec.Append(b.line[:0])
	return w.audit.Append(b.line)
}

// name is the operation, if it is one: what else a target says is not ours to
// repeat.
func (w *walk) name() string {
	if w.entry != nil {
		return w.entry.Op.Name
	}
	if name := operation(w.req.Target); w.notYet[name] != "" {
		return name
	}
	return ""
}

// appendParams appends a JSON object of the members that the entry lists.
// Sensitive ones cannot be listed: the generated code has no way to give them.
func (w *walk) appendParams(b []byte) []byte {
	if w.in == nil || len(w.entry.Audit) == 0 {
		return b
	}
	b = append(b, '{')
	for _, name := range w.entry.Audit {
		start := len(b)
		if start > 1 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, '"', ':')
		var ok bool
		if b, ok = w.in.AppendMember(b, name); !ok {
			b = b[:start]
		}
	}
	return append(b, '}')
}
