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
	"trent/internal/api/query"
	"trent/internal/audit"
	"trent/internal/authz"
	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/iam"
	"trent/internal/identity"
	"trent/internal/keyring"
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

	who  Identity      // room 2
	web  webIdentity   // the same, of who has no signature
	in   api.Input     // room 3
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

// isForm reports whether what is asked for stands in the body. A target goes
// before it: one request has one operation.
func (w *walk) isForm() bool { return (w.req.Form || w.req.Query != "") && w.req.Target == "" }

// target finds the service and the operation. The request says which, and never
// the signature: that has to fit it.
func (w *walk) target() error {
	if w.req.Query != "" {
		return w.presignedTarget()
	}
	if w.isForm() {
		if err := w.formTarget(); err != nil {
			return err
		}
	} else {
		w.service, w.operation = w.kms, operation(w.req.Target)
	}
	if w.entry = w.service.table[w.operation]; w.entry != nil {
		return nil
	}
	if _, later := w.service.notYet[w.operation]; later {
		return nil // answered once we know who asks
	}
	if w.isForm() {
		return fault.New(api.UnknownOperationException, "There is no such operation in version "+w.service.Version+" of the API.")
	}
	return fault.New(api.UnknownOperationException, "")
}

// formTarget reads the operation of a form.
func (w *walk) formTarget() error {
	name, version, err := query.Operation(w.req.Body)
	if err != nil {
		return err
	}
	s, ok := w.forms[version]
	if !ok {
		return fault.New(query.NoSuchVersion, "The parameter Version names no version of an API that is served.")
	}
	w.service, w.codec, w.operation = s, s.codec, name
	return nil
}

// presignedTarget reads the operation of a presigned request. Of one that may not be
// presigned, there is no signature.
func (w *walk) presignedTarget() error {
	name, version, err := query.Operation([]byte(w.req.Query))
	s, ok := w.forms[version]
	if err != nil || !ok || s.table[name] == nil || !s.table[name].Presigned || w.req.Target != "" {
		return fault.New("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	w.service, w.codec, w.operation, w.entry = s, s.codec, name, s.table[name]
	return nil
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
	if r, ok := w.in.(api.RecipientHolder); ok && r.RecipientMember() != nil {
		return fault.New(api.UnsupportedOperationException, "Recipient is not supported by this version of Trent.")
	}
	return w.checkTokens()
}

func (w *walk) permit(ctx context.Context, i int) error {
	u := &w.uses[i]
	if u.skipped || u.entry.Permit.Name == "" {
		return nil
	}
	q, err := w.question(i)
	if err != nil {
		return err
	}
	switch u.entry.Kind {
	case action.OnKey:
		u.permit, err = authz.OnKey(ctx, q)
		if fault.Is(err, authz.AccessDenied) && u.byBlob {
			return errHiddenKey().Because(err)
		}
		return err
	case action.OnGrant:
		return authz.OnGrant(q, w.held[i].Grant)
	case action.OnRole:
		if r := w.held[i].Role; r != nil {
			q.Role = &authz.Role{ARN: u.resource, Account: r.Account, Trust: r.Trust}
			w.conditions.Owner = r.Account
		}
		return authz.OnRole(q, u.resource)
	}
	if u.entry.Operator {
		return authz.OnDeployment(q, w.first)
	}
	return authz.OnAccount(q, u.resource)
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

// question puts together what room 5 is asked about one use.
func (w *walk) question(i int) (*authz.Question, error) {
	u, rec := &w.uses[i], w.held[i].Record
	w.own = ownKeys{w, u}
	w.conditions = authz.Conditions{
		Caller: w.who.Principal, Now: w.now, Source: w.req.Address, Secure: w.req.Secure, UserAgent: w.req.UserAgent, Region: w.who.Region,
		Record: rec, Account: u.entry.CallerAccount, Own: &w.own,
	}
	w.asked = authz.Question{
		Caller: w.who.Principal, Action: u.entry.Permit, Conditions: &w.conditions,
		Record: rec, Grants: w.keys, Use: grant.Use{Operation: u.entry.Operation},
	}
	if u.entry.Context != nil {
		w.asked.Use.Context = u.entry.Context(w.in)
	}
	var err error
	if u.entry.Passes != nil {
		w.asked.Child, err = u.entry.Passes(&w.call, rec, w.in)
	}
	return &w.asked, err
}

// ownKeys gives room 5 the condition keys that the action declares.
type ownKeys struct {
	walk *walk
	use  *use
}

// Value implements authz.Own.
func (o *ownKeys) Value(k iam.Key) iam.Value {
	w := o.walk
	if v, ok := w.web.value(k); ok {
		return v
	}
	if condition := w.entry.Condition; condition != nil {
		return condition(&w.call, w.in, o.use.resource, k)
	}
	return o.use.entry.Value(w.in, w.held, k)
}

func (w *walk) newCall() action.Call {
	return action.Call{
		Caller: w.who.Principal, Region: w.who.Region, Now: w.now, Lists: w.keys, Identities: w.view,
		WebIdentity: w.web.WebIdentity, Decisions: w,
	}
}

// run does the work and notes what it wishes for. For a dry run all of it has
// been checked by now, and nothing happens.
func (w *walk) run(ctx context.Context) error {
	if w.entry.Compound { // what it does cannot be taken back: it is remembered first
		if err := w.remember(ctx); err != nil {
			return err
		}
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

// answer is rooms 9 and 10: encode, write down, and only then let go. An answer
// that could not be written down does not leave.
func (w *walk) answer(err error) Answer {
	a := Answer{Status: 200, ContentType: w.codec.ContentType()}
	var f *fault.Error
	if err == nil {
		a.Body, err = w.encode()
	}
	if err != nil {
		f = fault.From(err)
		a.Body, a.Status = w.codec.EncodeFault(w.req.Room[:0], f, w.req.ID)
		w.report(f)
	}
	if err := w.writeDown(f, a.Status); err != nil {
		w.log.Error("the audit record could not be written", "request", w.req.ID, "error", err)
		if !w.open {
			clear(a.Body)
			a.Body, a.Status = w.codec.EncodeFault(nil, fault.New(fault.Internal, ""), w.req.ID)
		}
	}
	return a
}

// encode is room 9 for a success.
func (w *walk) encode() (body []byte, err error) {
	defer w.caught(&err)
	return w.codec.Encode(w.req.Room[:0], w.entry.Op, w.out, w.req.ID), nil
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
		rec.Principal, rec.Account, rec.AccessKeyID, rec.SourceIdentity = p.ARN, p.Account, p.AccessKeyID, p.SourceIdentity
	}
	if w.web.token != nil {
		rec.Principal, rec.Account = w.web.name(), w.web.account
	}
	if f == nil {
		rec.IssuedKeyID = w.call.Issued
	}
	if w.entry != nil {
		rec.Mutates = w.entry.Mutates
	}
	if w.service != nil && w.service != w.kms {
		rec.Service = w.service.Name
	}
	if f != nil {
		rec.ErrorCode, rec.ErrorText = string(w.codec.Code(f.Code)), f.Message
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
	if w.service != nil && w.service.notYet[w.operation] != "" {
		return w.operation
	}
	return ""
}

// appendParams appends a JSON object of the members that the entry lists.
// Sensitive ones cannot be listed: the generated code has no way to give them.
func (w *walk) appendParams(b []byte) []byte {
	if w.in == nil || len(w.entry.Audit)+len(w.entry.Digests) == 0 {
		return b
	}
	b = append(b, '{')
	for _, d := range w.entry.Digests {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), d.Name...), `":"`...)
		b = append(append(b, audit.Digest(d.Of(&w.in))...), '"')
	}
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
