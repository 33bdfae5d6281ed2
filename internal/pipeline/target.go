package pipeline

import (
	"trent/internal/api"
	"trent/internal/api/query"
	"trent/internal/fault"
)

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
