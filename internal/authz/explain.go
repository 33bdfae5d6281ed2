package authz

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
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
	e := Explanation{Allowed: err == nil, Policies: slices.Collect(q.traces(resource))}
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

// traces asks every policy again, one after another, and listens to all of the answer.
func (q *Question) traces(resource string) iter.Seq[PolicyTrace] {
	return func(yield func(PolicyTrace) bool) {
		if q.Record != nil {
			req, p := q.request(resource, true), q.Record.Policy
			if !yield(PolicyTrace{"key policy", p.EvaluateResource(req), p.Explain(req, iam.KeyPolicy)}) {
				return
			}
		}
		req := q.request(resource, false)
		if q.Role != nil {
			p := q.Role.Trust
			if !yield(PolicyTrace{"trust policy", p.EvaluateTrust(req), p.Explain(req, iam.TrustPolicy)}) {
				return
			}
		}
		for name, p := range q.identityPolicies() {
			if !yield(PolicyTrace{name, p.EvaluateIdentity(req), p.Explain(req, iam.IdentityPolicy)}) {
				return
			}
		}
	}
}

// identityPolicies are all policies that the caller brings, with what they are called.
func (q *Question) identityPolicies() iter.Seq2[string, *iam.Policy] {
	return func(yield func(string, *iam.Policy) bool) {
		for i, p := range q.Caller.Policies {
			if !yield(fmt.Sprintf("identity policy %d", i+1), p) {
				return
			}
		}
		if b := q.Caller.Boundary; b != nil && !yield("permissions boundary", b) {
			return
		}
		for i, p := range q.Caller.SessionPolicies {
			if !yield(fmt.Sprintf("session policy %d", i+1), p) {
				return
			}
		}
	}
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
		for _, g := range granted.All() {
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
// bytes. No more work is done than it takes to fill it: whoever is refused may have
// written the policies, and may be refused often.
const maxReason = 2048

// explained attaches to a refusal what each policy had to say, for the audit record.
func (q *Question) explained(f *fault.Error, resource string) *fault.Error {
	var b strings.Builder
	for t := range q.traces(resource) {
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
	separator := ""
	for _, s := range t.Statements {
		switch {
		case b.Len() > maxReason:
			return
		case s.Matched:
			b.WriteString(separator + effectOf(s) + " by " + nameOf(s))
		case s.NearlyMatched:
			b.WriteString(separator + nameOf(s) + " nearly: ")
			writeObstacle(b, s)
		default:
			continue
		}
		separator = ", "
	}
	if separator == "" {
		b.WriteString("nothing matched")
	}
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

// writeObstacle names the one element that did not match, and of conditions those
// that were not met.
func writeObstacle(b *strings.Builder, s iam.Trace) {
	b.WriteString(s.Failed[0])
	if s.Failed[0] != "Condition" {
		return
	}
	for _, c := range s.Conditions {
		if b.Len() > maxReason {
			return
		}
		if c.Result != "true" {
			fmt.Fprintf(b, " %s %s wants %q, had %q", c.Operator, c.Key, c.Wanted, c.Had)
		}
	}
}
