package pipeline

import (
	"context"
	"log/slog"

	"trent/internal/api"
	"trent/internal/audit"
	"trent/internal/fault"
	"trent/internal/keyring"
)

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
	if f == nil {
		w.noteUses()
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

// noteUses remembers that the keys that were opened have been used.
func (w *walk) noteUses() {
	if !w.entry.Tracked {
		return
	}
	for i := range w.held {
		if w.held[i].Key != nil {
			w.keys.Used(w.held[i].Record, keyring.LastUse{At: w.now, Operation: w.entry.Op.Name, RequestID: w.req.ID})
		}
	}
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
	if w.attested != nil {
		b.recipient = w.attested.AppendRecord(b.recipient[:0])
		rec.Recipient = b.recipient
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
