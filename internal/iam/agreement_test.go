package iam_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"trent/internal/iam"
	"trent/internal/iam/iamtest"
)

// Two evaluators that know nothing of each other say the same of every
// document.
func TestSEC_B01_AgreesWithSecondEvaluator(t *testing.T) {
	count, seed := iamtest.Draw(t, 50_000, 2_000)
	naive, start, differing, seen := iamtest.Start(t), time.Now(), 0, map[string]int{}
	for cases := range draw(seed, count) {
		for i, want := range naive.Ask(t, cases) {
			if got := answer(cases[i], seen); !same(got, want) && differing < 5 {
				differing++
				text, _ := json.Marshal(cases[i])
				t.Errorf("%s\nsays %+v\nwant %+v", text, show(got), show(want))
			}
			seen["decision "+want.Decision]++
		}
	}
	t.Logf("%d cases in %v: %v", count, time.Since(start).Round(time.Second), seen)
	// Cases that nothing comes of prove nothing.
	for _, kind := range []string{"", "deny", "allow", "direct allow", "delegates", "malformed", "invalid principal", "overly permissive", "decision allow", "decision explicit deny", "decision implicit deny"} {
		if seen[kind] < count/1_000 {
			t.Errorf("%q came out of %d cases of %d only", kind, seen[kind], count)
		}
	}
}

// draw makes cases in batches, one batch ahead of whoever takes them.
func draw(seed uint64, count int) <-chan []*iamtest.Case {
	batches := make(chan []*iamtest.Case, 1)
	go func() {
		defer close(batches)
		r := rand.New(rand.NewPCG(seed, 0))
		for done := 0; done < count; {
			cases := make([]*iamtest.Case, min(1_000, count-done))
			for i := range cases {
				cases[i] = iamtest.Generate(r)
			}
			batches <- cases
			done += len(cases)
		}
	}()
	return batches
}

// answer is what this package says of a case, as the second evaluator puts it.
func answer(c *iamtest.Case, seen map[string]int) iamtest.Answer {
	r := c.Request()
	var a iamtest.Answer
	said := func(text string, kind iam.PolicyKind) iamtest.Said {
		s := say(text, r, kind)
		seen[s.Outcome()]++
		if s.Check() != "ok" {
			seen[s.Check()]++
		}
		return s
	}
	each := func(texts []string) []iamtest.Said {
		var all []iamtest.Said
		for _, text := range texts {
			all = append(all, said(text, iam.IdentityPolicy))
		}
		return all
	}
	if c.Key != nil {
		a.Key = new(said(c.Key.Policy, iam.KeyPolicy))
	}
	if c.Trust != nil {
		a.Trust = new(said(*c.Trust, iam.TrustPolicy))
	}
	if c.Boundary != nil {
		a.Boundary = new(said(*c.Boundary, iam.IdentityPolicy))
	}
	a.Identity, a.Session = each(c.Identity), each(c.Session)
	return a
}

// say parses, evaluates and checks one document.
func say(text string, r *iam.Request, kind iam.PolicyKind) iamtest.Said {
	p, err := iam.Parse(text)
	switch {
	case errors.Is(err, iam.ErrInvalidPrincipal):
		return iamtest.Said{"invalid principal", "malformed"}
	case err != nil:
		return iamtest.Said{"malformed", "malformed"}
	}
	check := "ok"
	if err := iam.Check(p, kind); errors.Is(err, iam.ErrOverlyPermissive) {
		check = "overly permissive"
	} else if err != nil {
		check = "malformed"
	}
	return iamtest.Said{words(evaluate(p, r, kind)), check}
}

func evaluate(p *iam.Policy, r *iam.Request, kind iam.PolicyKind) iam.Outcome {
	switch kind {
	case iam.KeyPolicy:
		return p.EvaluateResource(r)
	case iam.TrustPolicy:
		return p.EvaluateTrust(r)
	}
	return p.EvaluateIdentity(r)
}

// words is an outcome in words.
func words(o iam.Outcome) string {
	var out []string
	for _, w := range []struct {
		is   bool
		word string
	}{{o.Deny, "deny"}, {o.Direct, "direct"}, {o.Allow, "allow"}, {o.Delegates, "delegates"}} {
		if w.is {
			out = append(out, w.word)
		}
	}
	return strings.Join(out, " ")
}

// same compares all but the decision, which is for others to take.
func same(a, b iamtest.Answer) bool {
	a.Decision, b.Decision = "", ""
	return show(a) == show(b)
}

func show(a iamtest.Answer) string {
	text, err := json.Marshal(a, json.FormatNilSliceAsNull(false))
	if err != nil {
		panic(err)
	}
	return string(text)
}
