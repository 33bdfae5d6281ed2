// Package conformance performs every action of the AWS KMS API against a server and tells which
// of its outcomes were seen: the success path, each error that the model names for the action,
// and each state that the key may be in.
//
// What is performed is a list of steps that says nothing of the client: requests as JSON, the
// outcome that each must have, and what later ones need of the answers. Run performs it with a
// client of its own; `trent conformance --steps` prints it for others, such as
// interop/python/conformance.py, which has boto3 perform it.
package conformance

import (
	"maps"
	"strings"
	"time"

	"trent/internal/api"
)

// Success is the cell of an action's success path.
const Success = "success"

// Step is one request.
type Step struct {
	// Cell is what the step shows of its action: Success, the code of an error, or the
	// state of the key that it is about. A step without a cell prepares later ones.
	Cell string `json:"cell,omitempty"`

	// Region is Elsewhere, or empty for the first.
	Region string `json:"region,omitempty"`

	Action string `json:"action"`

	// Body is the request. A $name in it is replaced by the variable's value, and
	// ${wrap ALGORITHM $key HEX} by HEX, wrapped with the public key, in base64.
	Body string `json:"body"`

	// Error is the code that the server must answer with; empty: it must succeed.
	Error string `json:"error,omitempty"`

	// Save names variables after places in the answer, such as KeyMetadata.Arn.
	Save map[string]string `json:"save,omitempty"`

	// Expect gives places in the answer and the value that must be there.
	Expect map[string]string `json:"expect,omitempty"`

	// Needs names what the server must have for the step: Clock, Proxy. A server that
	// has it not is not asked.
	Needs string `json:"needs,omitempty"`

	// After is how far the server's clock goes on before the step, in nanoseconds.
	After time.Duration `json:"after,omitempty"`
}

// Elsewhere is the second Region of the server.
const Elsewhere = "elsewhere"

// What a server may be without.
const (
	Clock = "clock" // its clock can be set
	Proxy = "proxy" // there is an external key store proxy for it
)

// book is the list while it is written.
type book struct {
	steps  []Step
	region string
	needs  string
	fresh  int
}

// Steps is the whole list.
func Steps() []Step {
	b := new(book)
	b.key("any", `{}`)
	b.lifecycle()
	b.symmetric()
	b.asymmetric()
	b.grants()
	b.lists()
	b.rotation()
	b.imports()
	b.multiRegion()
	b.stores()
	b.states()
	b.refusals()
	b.later()
	return b.steps
}

// add appends a step. A place is "name=Path" for a variable or "Path==value" for what must be.
func (b *book) add(cell, action, code, body string, places []string) {
	s := Step{Cell: cell, Region: b.region, Action: action, Body: body, Error: code, Needs: b.needs}
	for _, p := range places {
		if path, value, ok := strings.Cut(p, "=="); ok {
			s.Expect = with(s.Expect, path, value)
			continue
		}
		name, path, _ := strings.Cut(p, "=")
		s.Save = with(s.Save, name, path)
	}
	b.steps = append(b.steps, s)
}

func with(m map[string]string, k, v string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]string{}
	}
	m[k] = v
	return m
}

// do prepares.
func (b *book) do(action, body string, places ...string) { b.add("", action, "", body, places) }

// ok shows the success path of an action.
func (b *book) ok(action, body string, places ...string) {
	b.add(Success, action, "", body, places)
}

// refused shows an error of an action.
func (b *book) refused(action, code, body string) { b.add(full(code), action, full(code), body, nil) }

// state shows what an action does to a key in a state; outcome is "ok" or the code of an error.
func (b *book) state(action, state, outcome, body string) {
	if outcome == "ok" {
		outcome = ""
	}
	b.add(state, action, full(outcome), body, nil)
}

// full is the code of an error without its usual ending.
func full(code string) string {
	if code == "" || code == "ValidationException" || strings.HasSuffix(code, "Exception") {
		return code
	}
	return code + "Exception"
}

// key makes a key and saves its id as name.
func (b *book) key(name, body string) {
	b.do("CreateKey", body, name+"=KeyMetadata.KeyId", name+"_arn=KeyMetadata.Arn")
}

// States are the states that a key can be seen in, in the order of the table.
func States() []string {
	return []string{
		string(api.KeyStateEnabled), string(api.KeyStateDisabled), string(api.KeyStatePendingDeletion), string(api.KeyStatePendingImport),
		string(api.KeyStateUnavailable), string(api.KeyStatePendingReplicaDeletion),
	}
}
