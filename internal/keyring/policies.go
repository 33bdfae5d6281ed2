package keyring

import (
	"runtime"
	"sync"
	"weak"

	"trent/internal/iam"
)

// policies holds each policy text once, compiled, for as long as some key uses
// it: a hundred thousand keys under the default policy share one value.
type policies struct {
	mu     sync.Mutex
	byText map[string]weak.Pointer[iam.Policy]
}

func newPolicies() *policies { return &policies{byText: make(map[string]weak.Pointer[iam.Policy])} }

// parse compiles a text that somebody sends, unless it is known.
func (p *policies) parse(text string) (*iam.Policy, error) {
	p.mu.Lock()
	known := p.byText[text].Value()
	p.mu.Unlock()
	if known != nil && len(known.Statements) > 0 {
		return known, nil
	}
	return iam.Parse(text)
}

// compiled returns the policy of a stored text. A stored text that does not
// parse, as one of a newer Trent might not, gives a policy without statements:
// it allows nothing.
func (p *policies) compiled(text string) *iam.Policy {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.byText[text].Value(); known != nil {
		return known
	}
	policy, err := iam.Parse(text)
	if err != nil {
		policy = &iam.Policy{Source: text}
	}
	p.byText[policy.Source] = weak.Make(policy)
	runtime.AddCleanup(policy, p.forget, policy.Source)
	return policy
}

// forget drops a text whose last policy has been collected, unless it has been
// compiled again since.
func (p *policies) forget(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byText[text].Value() == nil {
		delete(p.byText, text)
	}
}
