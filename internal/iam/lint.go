package iam

import (
	"slices"
	"strings"
)

// A Finding is something in a document that is legal and most likely a mistake.
type Finding struct {
	Statement int // the first is 1
	SID       string
	Code      string // for programs, such as "for-all-values"
	Text      string // what is there, why it is dangerous, what to write instead
}

// Lint looks for what is legal and dangerous, or legal and without effect. What
// is not legal at all is for Check to say.
func Lint(p *Policy, kind PolicyKind) []Finding {
	var out []Finding
	for i := range p.Statements {
		l := linter{policy: p, statement: &p.Statements[i], kind: kind, index: i + 1}
		l.principal()
		l.action()
		l.resource()
		l.keys()
		for j := range l.statement.conditions {
			l.condition(&l.statement.conditions[j])
		}
		l.attestation()
		out = append(out, l.found...)
	}
	return out
}

// A linter looks at one statement.
type linter struct {
	policy    *Policy
	statement *Statement
	kind      PolicyKind
	index     int
	found     []Finding
}

func (l *linter) find(code, text string) {
	l.found = append(l.found, Finding{l.index, l.statement.SID, code, text})
}

func (l *linter) allows() bool { return l.statement.Effect == Allow }

func (l *linter) principal() {
	s := l.statement
	if l.allows() && everyone(&s.principal) && !s.principal.negated && len(s.conditions) == 0 {
		l.find("everyone", `Principal "*" without a Condition allows everyone in the key's account, and in any other that allows it to its own. Name the principals, or add a condition such as StringEquals on kms:CallerAccount.`)
	}
	vouched := slices.ContainsFunc(s.principal.list, func(p principalPattern) bool { return p.form == byProvider })
	if l.allows() && vouched && len(s.conditions) == 0 {
		l.find("any-subject", "Without a Condition everybody for whom the provider vouches may assume the role. Add StringEquals on its keys PROVIDER:sub and PROVIDER:aud.")
	}
	if l.allows() && s.principal.negated {
		l.find("allow-not-principal", "Allow with NotPrincipal allows everyone who is not listed, and whoever is created later. List in Principal whom you mean, or allow them and deny the others.")
	}
}

func (l *linter) action() {
	s := l.statement
	switch {
	case !s.action.present || len(s.action.list) == 0:
		l.find("no-action", "The statement has no Action and therefore no effect. Name the actions, or remove the statement.")
	case l.allows() && s.action.negated:
		l.find("allow-not-action", "Allow with NotAction allows every action that is not listed, of every service, and those that come later. List in Action what you mean.")
	}
}

func (l *linter) resource() {
	s := l.statement
	switch {
	case l.kind == TrustPolicy:
		return
	case !s.resource.present || len(s.resource.list) == 0:
		l.find("no-resource", `The statement has no Resource and therefore no effect. In a key policy write "Resource": "*".`)
	case l.allows() && s.resource.negated:
		l.find("allow-not-resource", "Allow with NotResource allows every resource that is not listed, and those that come later. List in Resource what you mean.")
	case l.kind == KeyPolicy && !s.resource.everything():
		l.find("other-resource", `In a key policy Resource is the key that has the policy; for any other ARN the statement has no effect. Write "*".`)
	}
	if slices.ContainsFunc(s.resource.list, isAlias) && !s.onlyAliases() {
		l.find("alias-resource", "The ARN of an alias is no resource of actions on keys, which are decided on the ARN of the key: the statement does not reach them. Name the key, or use a condition on kms:RequestAlias or kms:ResourceAliases.")
	}
}

// everything reports whether the element is just "*".
func (ps *patterns) everything() bool {
	return !ps.negated && slices.ContainsFunc(ps.list, func(p pattern) bool { return p.text == anyRun })
}

func isAlias(p pattern) bool {
	parts := strings.SplitN(p.text, ":", 6)
	return len(parts) == 6 && parts[2] == "kms" && strings.HasPrefix(parts[5], "alias/")
}

// onlyAliases reports whether all actions are on aliases, whose ARN is then right.
func (s *Statement) onlyAliases() bool {
	return !s.action.negated && !slices.ContainsFunc(s.action.list, func(a pattern) bool {
		return a.text != "kms:createalias" && a.text != "kms:updatealias" && a.text != "kms:deletealias"
	})
}

// keys looks for names that no request has, and variables that are none.
func (l *linter) keys() {
	s := l.statement
	for _, c := range s.conditions {
		l.known(c.key, c.keyName)
		for _, t := range c.texts {
			l.variables(t)
		}
		for _, a := range c.arns {
			for _, part := range a {
				l.variables(part)
			}
		}
		if slices.ContainsFunc(c.written, l.deadVariable) && (c.op.family == stringFamily || c.op.family == arnFamily) {
			l.oldVersion()
		}
	}
	for _, r := range s.resource.list {
		l.variables(r)
		if l.deadVariable(r.text) {
			l.oldVersion()
		}
	}
}

func (l *linter) variables(p pattern) {
	for _, v := range p.variables {
		l.known(v.key, v.written)
	}
}

func (l *linter) known(k Key, written string) {
	space, _, _ := strings.Cut(k.Name, ":")
	if _, ok := KnownKey(k); !ok && (space == "aws" || space == "kms") {
		l.find("unknown-key", "No request has the condition key "+written+": it counts as absent. See the list of keys in the documentation.")
	}
}

// deadVariable reports whether s has a variable that the Version makes literal text.
func (l *linter) deadVariable(s string) bool {
	return l.policy.Version != "2012-10-17" && strings.Contains(s, "${")
}

func (l *linter) oldVersion() {
	l.find("old-version-variable", `Without "Version": "2012-10-17" a policy variable is literal text. Set the Version.`)
}

func (l *linter) condition(c *condition) {
	info, known := KnownKey(c.key)
	if len(c.written) == 0 {
		l.find("no-values", c.name+" on "+c.keyName+" has an empty list of values: nothing is equal to any of them, and everything unequal. Give values, or remove the condition.")
	}
	if l.allows() && c.op.set == allValues && !l.guarded(c.key) {
		l.find("for-all-values", c.name+` is also true where `+c.keyName+` is absent. Add "Null": {"`+c.keyName+`": "false"} to the same Condition, or use ForAnyValue.`)
	}
	if c.op.set != single && c.op.exists {
		l.find("if-exists-without-effect", "IfExists changes nothing together with ForAllValues, which is true where the key is absent anyway, or ForAnyValue, which is false there. Leave it out.")
	}
	switch {
	case !known:
	case c.op.set != single && !info.Many:
		l.find("set-operator", c.keyName+" has one value. Leave ForAllValues or ForAnyValue out: "+c.name+" does not require the key to be there, or says nothing more.")
	case c.op.set == single && info.Many && c.op.family != nullFamily:
		l.find("no-set-operator", c.keyName+" may have several values, and "+c.name+" then fails to allow, and denies. Write ForAnyValue or ForAllValues before it.")
	case !info.Type.readable(c.op.family):
		l.find("operator-type", c.name+" cannot read "+c.keyName+", so the statement never allows, or always denies. Use an operator of the key's type.")
	}
}

// trueIfAbsent reports whether the condition holds for a request without the key.
func (c *condition) trueIfAbsent() bool {
	none := evaluation{request: &Request{}, steps: maxSteps}
	return c.evaluate(&none) == yes
}

// guarded reports whether the statement requires the key by Null.
func (l *linter) guarded(k Key) bool {
	return slices.ContainsFunc(l.statement.conditions, func(c condition) bool {
		return c.op.family == nullFamily && c.key == k && !c.trueIfAbsent()
	})
}
