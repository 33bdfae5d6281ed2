package iam

import (
	"fmt"
	"slices"
	"strings"
)

// attestable are the actions that take an attestation document (their input has the
// member Recipient). Of all others the keys of it are absent.
var attestable = []string{"kms:Decrypt", "kms:DeriveSharedSecret", "kms:GenerateDataKey", "kms:GenerateDataKeyPair", "kms:GenerateRandom"}

// escapes are the actions that let who may not decrypt without a document do so all the same:
// under another key, by another principal, under another policy.
var escapes = []string{"kms:ReEncryptFrom", createGrant, putKeyPolicy, "kms:ReplicateKey"}

const (
	createGrant  = "kms:CreateGrant"
	putKeyPolicy = "kms:PutKeyPolicy"
)

// attestation looks at what is said of attestation documents.
func (l *linter) attestation() {
	for i := range l.statement.conditions {
		if c := &l.statement.conditions[i]; c.attests() {
			l.attestationOptional(c)
			l.attestationValues(c)
		}
	}
	if l.statement.attested() {
		l.attestationActions()
		l.attestationDeniesBoth()
		l.nitroTPMAlone()
	}
	l.attestationBypass()
}

func (c *condition) attests() bool { return c.key.Name == recipientAttestation }

// attested reports whether the statement has a condition on an attestation document.
func (s *Statement) attested() bool {
	return slices.ContainsFunc(s.conditions, func(c condition) bool { return c.attests() })
}

func (l *linter) attestationOptional(c *condition) {
	if l.allows() && (c.trueIfAbsent() || c.op.negated || c.op.exists) {
		l.find("attestation-optional", c.name+" on "+c.keyName+" is also true for a request without an attestation document, or with one of any other measurement. Write StringEqualsIgnoreCase with the measurements that you trust.")
	}
}

// attestationValues looks for what no measurement is equal to. Values with wildcards or
// variables are their author's business.
func (l *linter) attestationValues(c *condition) {
	var prefix, upper, other bool
	for _, p := range c.texts {
		switch {
		case c.op.family != stringFamily || !p.plain:
		case strings.HasPrefix(strings.ToLower(p.text), "0x"):
			prefix = true
		case !isDigest(p.text):
			other = true
		case !c.op.fold && strings.ToLower(p.text) != p.text:
			upper = true
		}
	}
	if prefix {
		l.find("attestation-prefix", "A measurement in a request has no 0x before it, so that "+c.keyName+" never equals such a value. Leave 0x out.")
	}
	if upper {
		l.find("attestation-case", "A measurement in a request is in lower case, and "+c.name+" looks at the case. Write StringEqualsIgnoreCase or StringNotEqualsIgnoreCase, or the value in lower case.")
	}
	if other {
		l.find("attestation-value", c.keyName+" has a value that is no digest: one has 64, 96 (SHA-384, as Nitro makes them) or 128 hexadecimal digits. Copy it from what built the image.")
	}
}

// isDigest takes SHA-256, SHA-384 and SHA-512 in hexadecimal.
func isDigest(s string) bool {
	return (len(s) == 64 || len(s) == 96 || len(s) == 128) && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// attestationActions looks for actions that never bring a document.
func (l *linter) attestationActions() {
	s := l.statement
	if s.action.negated {
		return
	}
	denies := !l.allows() && slices.ContainsFunc(s.conditions, func(c condition) bool { return c.attests() && c.trueIfAbsent() })
	for _, a := range s.action.list {
		switch never := !slices.ContainsFunc(attestable, a.is); {
		case denies && (never || a.is(putKeyPolicy)):
			l.find("attestation-action", a.written()+" is also of actions that take no attestation document, which the statement therefore always denies. Name those that take one, such as kms:Decrypt, and deny others without this condition.")
		case never:
			l.find("attestation-action", a.written()+" is of no action that takes an attestation document, so that the statement never concerns it. Leave it out, or put it in a statement without this condition.")
		}
	}
}

// is reports whether an action's pattern covers a name.
func (p pattern) is(action string) bool { return p.covers(strings.ToLower(action)) }

// covers reports whether the pattern matches a text in every request.
func (p pattern) covers(text string) bool {
	e := evaluation{request: &Request{}, steps: maxSteps}
	return p.match(&e, text, no) == yes
}

// written is the pattern as a document has it, but for variables and case.
func (p pattern) written() string {
	return strings.NewReplacer(anyRun, "*", string([]byte{anyChar}), "?").Replace(p.text)
}

// attestationDeniesBoth looks for a Deny that wants all measurements wrong at once.
func (l *linter) attestationDeniesBoth() {
	n := 0
	for _, c := range l.statement.conditions {
		if c.attests() && c.op.negated {
			n++
		}
	}
	if !l.allows() && n > 1 {
		l.find("attestation-denies-both", "All conditions of a statement must hold: this one denies only if every measurement is another, and one that is right is enough to pass. Write a Deny for each measurement.")
	}
}

// nitroTPMAlone looks for the boot loader's measurement without those of its command line or
// of Secure Boot (GHSA-xrv8-2pf5-f3q7). A Deny elsewhere may want these.
func (l *linter) nitroTPMAlone() {
	s := l.statement
	if !s.pins("nitrotpmpcr4") || s.pins("nitrotpmpcr7", "nitrotpmpcr12") {
		return
	}
	if slices.ContainsFunc(l.policy.Statements, func(o Statement) bool { return o.Effect == Deny && o.pins("nitrotpmpcr7", "nitrotpmpcr12") }) {
		return
	}
	l.find("nitrotpm-pcr4-alone", "NitroTPMPCR4 measures what is booted and not the command line it is booted with, which may open the image to others. Pin NitroTPMPCR12, or NitroTPMPCR7, as well.")
}

// pins reports whether the statement wants one of the measurements to have a value.
func (s *Statement) pins(subs ...string) bool {
	return slices.ContainsFunc(s.conditions, func(c condition) bool {
		return c.attests() && c.op.family == stringFamily && c.op.negated == (s.Effect == Deny) && slices.Contains(subs, c.key.Sub)
	})
}

// attestationBypass looks for a way around a statement with attestation in the same
// document, for the same principals.
func (l *linter) attestationBypass() {
	s := l.statement
	if !l.allows() || !s.onlyAboutCaller() {
		return
	}
	for i := range l.policy.Statements {
		g := &l.policy.Statements[i]
		if !g.demandsAttestation() || !l.sameCallers(g) || !s.resource.reaches(&g.resource) {
			continue
		}
		if around := l.around(g); around != "" {
			l.find("attestation-bypass", fmt.Sprintf("Statement %d binds the same principals to an attestation document, and this one lets them get around it by %s. Give that to others, or deny it to them.", i+1, around))
			return
		}
	}
}

// demandsAttestation reports whether the statement allows only with a document, or denies
// without one, an action that takes it.
func (s *Statement) demandsAttestation() bool {
	demands := slices.ContainsFunc(s.conditions, func(c condition) bool { return c.attests() && c.trueIfAbsent() != (s.Effect == Allow) })
	return demands && slices.ContainsFunc(attestable, s.lists)
}

// lists reports whether the statement is about an action.
func (s *Statement) lists(action string) bool {
	e := evaluation{request: &Request{}, steps: maxSteps}
	return s.action.present && s.action.match(&e, strings.ToLower(action)) == yes
}

// onlyAboutCaller reports whether the conditions say no more than who calls, which the one
// who is bound to a document may be as well.
func (s *Statement) onlyAboutCaller() bool {
	return !slices.ContainsFunc(s.conditions, func(c condition) bool {
		return c.key.Name != "kms:calleraccount" && !strings.HasPrefix(c.key.Name, "aws:principal")
	})
}

// around is the first action by which the statement gets around g; none, "".
func (l *linter) around(g *Statement) string {
	for _, action := range slices.Concat(attestable, escapes) {
		if g.leavesOpen(action, l.kind) && l.statement.lists(action) && !l.denied(action) {
			return action
		}
	}
	return ""
}

// leavesOpen reports whether the action, allowed elsewhere, gets around the statement. A Deny
// for everyone holds also for those whom a grant names.
func (s *Statement) leavesOpen(action string, kind PolicyKind) bool {
	switch {
	case slices.Contains(attestable, action):
		return s.lists(action)
	case action == createGrant:
		return s.Effect == Allow || kind == IdentityPolicy || !everyone(&s.principal)
	}
	return true
}

// denied reports whether the document denies the action to those whom the statement allows
// it, with a condition that is true without a document or with none.
func (l *linter) denied(action string) bool {
	return slices.ContainsFunc(l.policy.Statements, func(d Statement) bool {
		absent := !slices.ContainsFunc(d.conditions, func(c condition) bool { return !c.attests() || !c.trueIfAbsent() })
		return d.Effect == Deny && absent && d.lists(action) && l.sameCallers(&d) && d.resource.reaches(&l.statement.resource)
	})
}

// sameCallers reports whether the document shows that somebody is meant by the statement and
// by g. What an account does with what is delegated to it, another document shows.
func (l *linter) sameCallers(g *Statement) bool {
	if l.kind == IdentityPolicy {
		return true
	}
	p, q := &l.statement.principal, &g.principal
	if q.negated || everyone(q) {
		return p.negated || slices.ContainsFunc(p.list, func(x principalPattern) bool { return x.form != byAccount })
	}
	return slices.ContainsFunc(q.list, func(x principalPattern) bool {
		return everyone(p) && !p.negated || slices.Contains(p.list, x) != p.negated
	})
}

func everyone(p *principals) bool {
	return slices.ContainsFunc(p.list, func(x principalPattern) bool { return x.form == anyPrincipal })
}

// reaches reports whether both elements mean some resource, as far as their text shows.
func (ps *patterns) reaches(other *patterns) bool {
	if ps.negated || other.negated || ps.everything() || other.everything() {
		return true
	}
	return slices.ContainsFunc(other.list, func(o pattern) bool {
		return slices.ContainsFunc(ps.list, func(p pattern) bool { return p.text == o.text || p.covers(o.text) })
	})
}
