package iam

import "strings"

// A Trace is why one statement matched a request or did not.
type Trace struct {
	Statement int // the first is 1
	SID       string
	Effect    Effect
	// Matched: the statement has a part in the outcome. A Deny matches also where
	// it cannot be told, which Diagnostics then says.
	Matched bool
	// NearlyMatched: one element alone stood in the way.
	NearlyMatched bool
	Failed        []string // the elements that stood in the way: Principal, Action, Resource, Condition
	Conditions    []ConditionTrace
	Diagnostics   []string // what could not be evaluated
}

// A ConditionTrace is how one condition came out. Had shows values of the
// request: it is for whoever may see the request.
type ConditionTrace struct {
	Operator string   // as written
	Key      string   // as written
	Wanted   []string // the values of the policy, as written
	Had      []string // those of the request, cut where they are many or long; none where the key is absent
	Result   string   // "true", "false", or "error"
}

// Explain says of each statement why it matched the request or did not. It
// asks the same questions as EvaluateResource, EvaluateIdentity and
// EvaluateTrust, and all of them.
func (p *Policy) Explain(r *Request, kind PolicyKind) []Trace {
	e := evaluation{request: r, kind: kind, steps: maxSteps}
	traces := make([]Trace, len(p.Statements))
	for i := range p.Statements {
		s, t := &p.Statements[i], &traces[i]
		t.Statement, t.SID, t.Effect = i+1, s.SID, s.Effect
		e.notes = &t.Diagnostics
		s.explain(&e, t)
	}
	return traces
}

func (s *Statement) explain(e *evaluation, t *Trace) {
	who := s.principal.match(e, s.Effect)
	elements := []struct {
		name string
		is   verdict
	}{
		{"Principal", verdictOf(who != nobody)},
		{"Action", s.aboutAction(e)},
		{"Resource", s.aboutResource(e)},
		{"Condition", s.explainConditions(e, t)},
	}
	about := yes
	for _, element := range elements {
		about = min(about, element.is)
		if element.is == no || element.is == unsure && s.Effect == Allow {
			t.Failed = append(t.Failed, element.name)
		}
	}
	t.Matched = s.conclude(who, about) != Outcome{}
	t.NearlyMatched = len(t.Failed) == 1
}

func (s *Statement) explainConditions(e *evaluation, t *Trace) verdict {
	all := yes
	for i := range s.conditions {
		c := &s.conditions[i]
		value, ok := e.value(c.key)
		v := unsure
		if ok {
			v = c.evaluateValue(e, value)
		}
		all = min(all, v)
		t.Conditions = append(t.Conditions, ConditionTrace{c.name, c.keyName, c.written, had(value), resultNames[v]})
	}
	return all
}

var resultNames = [...]string{no: "false", unsure: "error", yes: "true"}

// What is shown of the values of a request: they may be as large as the request,
// and are shown again for each condition.
const (
	maxShown     = 16  // values
	maxShownText = 256 // bytes of one
)

func had(v Value) []string {
	var out []string
	for i := range v.len() {
		if i == maxShown {
			return append(out, "...")
		}
		one := v.at(i)
		text, _ := one.asText()
		if len(text) > maxShownText {
			text = strings.ToValidUTF8(text[:maxShownText], "") + "..."
		}
		out = append(out, text)
	}
	return out
}
