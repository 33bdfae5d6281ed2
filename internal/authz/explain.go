package authz

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"trent/internal/fault"
	"trent/internal/grant"
	"trent/internal/iam"
)

// An Explanation is why a question about a key, or about the account, is decided as
// it is. It is for operators and for the audit record; the caller who was refused
// never sees it.
type Explanation struct {
	Allowed  bool          `json:"allowed"`
	Why      string        `json:"why"` // in one sentence
	Policies []PolicyTrace `json:"policies"`
	Grants   []GrantTrace  `json:"grants,omitempty"`
}

// A PolicyTrace is what one policy had to say.
type PolicyTrace struct {
	Policy     string      `json:"policy"` // which one: key policy, identity policy 1, permissions boundary, session policy 1
	Outcome    iam.Outcome `json:"outcome"`
	Statements []iam.Trace `json:"statements"`
}

// A GrantTrace is what one grant to the caller had to say.
type GrantTrace struct {
	ID      string `json:"id"`
	Covers  bool   `json:"covers"`
	Because string `json:"because,omitempty"` // why it does not
}

// Explain decides about the key Question.Record, or about resource where there is
// none, and says why.
func Explain(ctx context.Context, q *Question, resource string) (Explanation, error) {
	var err error
	if q.Record != nil {
		resource = q.Record.ARN
		_, err = OnKey(ctx, q)
	} else {
		err = OnAccount(q, resource)
	}
	if err != nil && !fault.Is(err, AccessDenied) {
		return Explanation{}, err
	}
	e := Explanation{Allowed: err == nil, Policies: q.traces(resource)}
	e.Why = "allowed"
	if err != nil {
		e.Why = fault.From(err).Message
	}
	if q.Record != nil {
		e.Grants, err = q.grantTraces(ctx)
	} else {
		err = nil
	}
	return e, err
}

// traces asks every policy again, and listens to all of the answer.
func (q *Question) traces(resource string) (all []PolicyTrace) {
	req := q.request(resource, false)
	identity := func(name string, p *iam.Policy) {
		all = append(all, PolicyTrace{name, p.EvaluateIdentity(req), p.Explain(req, iam.IdentityPolicy)})
	}
	if q.Record != nil {
		keyReq := q.request(resource, true)
		all = append(all, PolicyTrace{"key policy", q.Record.Policy.EvaluateResource(keyReq), q.Record.Policy.Explain(keyReq, iam.KeyPolicy)})
	}
	if q.Role != nil {
		all = append(all, PolicyTrace{"trust policy", q.Role.Trust.EvaluateTrust(req), q.Role.Trust.Explain(req, iam.TrustPolicy)})
	}
	for i, p := range q.Caller.Policies {
		identity(fmt.Sprintf("identity policy %d", i+1), p)
	}
	if q.Caller.Boundary != nil {
		identity("permissions boundary", q.Caller.Boundary)
	}
	for i, p := range q.Caller.SessionPolicies {
		identity(fmt.Sprintf("session policy %d", i+1), p)
	}
	return all
}

func (q *Question) grantTraces(ctx context.Context) (all []GrantTrace, err error) {
	if q.Grants == nil {
		return nil, nil
	}
	for _, party := range []string{q.Caller.UniqueID, q.Caller.RoleID, q.Caller.Account} {
		granted, err := q.Grants.GrantsTo(ctx, q.Record, party)
		if err != nil {
			return nil, err
		}
		for _, g := range granted {
			all = append(all, q.grantTrace(g))
		}
	}
	return all, nil
}

func (q *Question) grantTrace(g *grant.Grant) GrantTrace {
	t := GrantTrace{ID: g.ID, Covers: g.Covers(q.Use)}
	switch {
	case t.Covers && q.Child != nil && !q.Child.Within(g):
		t.Covers, t.Because = false, "the new grant would give more"
	case t.Covers:
	case q.Use.Operation == "":
		t.Because = "no grant can give this"
	case !g.Operations.Has(q.Use.Operation):
		t.Because = "its operations are others"
	default:
		t.Because = "its constraint is not met"
	}
	return t
}

// maxReason bounds what is written into the audit record about one refusal, in
// bytes.
const maxReason = 2048

// explained attaches to a refusal what each policy had to say, for the audit record.
func (q *Question) explained(f *fault.Error, resource string) *fault.Error {
	var b strings.Builder
	for _, t := range q.traces(resource) {
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(t.Policy + ": ")
		t.summarise(&b)
		if b.Len() > maxReason {
			break
		}
	}
	s := b.String()
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "..."
	}
	return f.Because(errors.New(s))
}

// summarise writes one line about a policy: what matched, or else what nearly
// did and what stood in the way.
func (t *PolicyTrace) summarise(b *strings.Builder) {
	var parts []string
	for _, s := range t.Statements {
		switch {
		case s.Matched:
			parts = append(parts, effectOf(s)+" by "+nameOf(s))
		case s.NearlyMatched:
			parts = append(parts, nameOf(s)+" nearly: "+obstacle(s))
		}
	}
	if len(parts) == 0 {
		parts = []string{"nothing matched"}
	}
	b.WriteString(strings.Join(parts, ", "))
}

func effectOf(s iam.Trace) string {
	if s.Effect == iam.Deny {
		return "denied"
	}
	return "allowed"
}

func nameOf(s iam.Trace) string {
	if s.SID != "" {
		return fmt.Sprintf("statement %d (%s)", s.Statement, s.SID)
	}
	return fmt.Sprintf("statement %d", s.Statement)
}

// obstacle names the one element that did not match, and of conditions those
// that were not met.
func obstacle(s iam.Trace) string {
	text := s.Failed[0]
	if text != "Condition" {
		return text
	}
	for _, c := range s.Conditions {
		if c.Result != "true" {
			text += fmt.Sprintf(" %s %s wants %q, had %q", c.Operator, c.Key, c.Wanted, c.Had)
		}
	}
	return text
}
