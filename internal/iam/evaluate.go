package iam

// A verdict is true, false or neither: unsure is what cannot be told. The
// order makes "and" the least of several, "or" the greatest.
type verdict uint8

const (
	no verdict = iota
	unsure
	yes
)

func (v verdict) not() verdict { return yes - v }

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return no
}

// The work of one evaluation is bounded. A step is a comparison of two plain
// values, some nanoseconds; all together are under a millisecond. What is left
// over then is unsure. A policy that somebody means takes some hundreds.
const (
	maxSteps      = 1 << 17
	wildcardSteps = 8  // of a comparison with wildcards
	variableSteps = 32 // of a variable
	stepBytes     = 4  // of its value, to a step more

	// maxExpanded bounds a pattern with its variables' values, in bytes. Nothing
	// that a request has is as long.
	maxExpanded = 16 << 10
)

// An evaluation is one question put to one policy.
type evaluation struct {
	request *Request
	kind    PolicyKind
	steps   int       // left to take
	notes   *[]string // diagnostics, where somebody wants them
}

// spend takes steps off, and reports whether there were enough.
func (e *evaluation) spend(steps int) bool {
	if e.steps -= steps; e.steps < 0 {
		e.note("the evaluation took too many steps")
		return false
	}
	return true
}

func (e *evaluation) note(text string) {
	if e.notes != nil {
		*e.notes = append(*e.notes, text)
	}
}

// EvaluateResource asks a key policy. The Resource element of a key policy
// means the key that carries it: "*" or that key's ARN; any other makes the
// statement inert.
func (p *Policy) EvaluateResource(r *Request) Outcome { return p.evaluate(r, KeyPolicy) }

// EvaluateIdentity asks an identity policy, a permissions boundary or a session
// policy, which speak for the principal that has them. The Principal element
// has no place in one: a statement with it allows nothing, and what it denies
// stays denied, to whomever.
func (p *Policy) EvaluateIdentity(r *Request) Outcome { return p.evaluate(r, IdentityPolicy) }

// EvaluateTrust asks the trust policy of a role. The request's resource is of
// no account: what is asked for is the role that has the policy. A statement
// with a Resource allows nothing, and denies all the same.
func (p *Policy) EvaluateTrust(r *Request) Outcome { return p.evaluate(r, TrustPolicy) }

// evaluate asks every statement. None is skipped once one matched: a short
// circuit could hide a deny.
func (p *Policy) evaluate(r *Request, kind PolicyKind) Outcome {
	e := evaluation{request: r, kind: kind, steps: maxSteps}
	var out Outcome
	for i := range p.Statements {
		s := p.Statements[i].judge(&e)
		out.Deny = out.Deny || s.Deny
		out.Direct = out.Direct || s.Direct
		out.Allow = out.Allow || s.Allow
		out.Delegates = out.Delegates || s.Delegates
	}
	return out
}

// judge says what one statement alone has to say. It asks the cheap elements
// first, and no further once one is plainly false.
func (s *Statement) judge(e *evaluation) Outcome {
	about := s.aboutAction(e)
	if about == no {
		return Outcome{}
	}
	if about = min(about, s.aboutResource(e)); about == no {
		return Outcome{}
	}
	who := s.principal.match(e, s.Effect)
	if who == nobody {
		return Outcome{}
	}
	return s.conclude(who, min(about, s.underConditions(e)))
}

// conclude is the only place where a verdict becomes an outcome. What is
// unsure is held against the request.
func (s *Statement) conclude(who naming, about verdict) Outcome {
	switch {
	case s.Effect == Deny:
		return Outcome{Deny: who != nobody && about != no}
	case about != yes:
		return Outcome{}
	}
	return Outcome{
		Direct:    who&itself != 0,
		Allow:     who&(itself|role|anyone|provider) != 0,
		Delegates: who&account != 0,
	}
}

// aboutAction: a statement without Action and NotAction is stored and has no effect.
func (s *Statement) aboutAction(e *evaluation) verdict {
	return s.action.match(e, e.request.Action.folded)
}

func (s *Statement) aboutResource(e *evaluation) verdict {
	if e.kind == TrustPolicy {
		return verdictOf(!s.resource.present || s.Effect == Deny)
	}
	return s.resource.match(e, e.request.Resource)
}

// underConditions: all of them must be true.
func (s *Statement) underConditions(e *evaluation) verdict {
	v := yes
	for i := range s.conditions {
		if v = min(v, s.conditions[i].evaluate(e)); v == no {
			return no
		}
	}
	return v
}
