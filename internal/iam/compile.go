package iam

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Parse compiles a document. It returns an error that wraps ErrMalformed; its
// text says which statement and what is wrong, and quotes nothing of the
// document. What may be in a document of one kind and not of another is for
// Check to say.
func Parse(text string) (*Policy, error) {
	if len(text) > MaxPolicySize {
		return nil, fmt.Errorf("%w: over %d bytes", ErrMalformed, MaxPolicySize)
	}
	if depth(text) > maxDepth {
		return nil, fmt.Errorf("%w: nested too deep", ErrMalformed)
	}
	doc, err := decodeDocument(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrMalformed, where(err))
	}
	if doc.Version.present && doc.Version.value != "2012-10-17" && doc.Version.value != "2008-10-17" {
		return nil, fmt.Errorf("%w: Version must be 2012-10-17 or 2008-10-17", ErrMalformed)
	}
	if len(doc.Statement) == 0 {
		return nil, fmt.Errorf("%w: no Statement", ErrMalformed)
	}
	p := &Policy{Source: text, Version: string(doc.Version.value), ID: string(doc.ID), Statements: make([]Statement, len(doc.Statement))}
	for i := range doc.Statement {
		if p.Statements[i], err = compileStatement(&doc.Statement[i], doc.Version.value == "2012-10-17"); err != nil {
			return nil, inStatement(i, err)
		}
	}
	return p, nil
}

// where says what the decoder could not read, by its place: a document may
// have anything in it.
func where(err error) string {
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		return fmt.Sprintf("not JSON, or an element twice, at byte %d", syntactic.ByteOffset)
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return fmt.Sprintf("an unknown element, or one of the wrong JSON type, at byte %d", semantic.ByteOffset)
	}
	return "not JSON"
}

// inStatement says where an error is, and makes it an ErrMalformed.
func inStatement(i int, err error) error {
	if errors.Is(err, ErrMalformed) {
		return fmt.Errorf("%w (statement %d)", err, i+1)
	}
	return fmt.Errorf("%w: statement %d: %w", ErrMalformed, i+1, err)
}

func compileStatement(raw *jsonStatement, variables bool) (Statement, error) {
	s := Statement{SID: string(raw.SID)}
	switch raw.Effect {
	case "Allow":
		s.Effect = Allow
	case "Deny":
		s.Effect = Deny
	default:
		return s, errors.New("the Effect must be Allow or Deny")
	}
	var err error
	if s.principal, err = compilePrincipals(raw.Principal, raw.NotPrincipal); err != nil {
		return s, err
	}
	if s.action, err = compilePatterns("Action", raw.Action, raw.NotAction, compileAction); err != nil {
		return s, err
	}
	resource := func(r string) (pattern, error) { return compileResource(r, variables) }
	if s.resource, err = compilePatterns("Resource", raw.Resource, raw.NotResource, resource); err != nil {
		return s, err
	}
	s.conditions, err = compileConditions(raw.Condition.value, variables)
	return s, err
}

// compilePatterns makes one element of a pair of which a statement may have
// one. An empty list matches nothing, and the Not form of it would match
// everything: that is refused, since nobody means it.
func compilePatterns(name string, is, not optional[jsonStrings], compile func(string) (pattern, error)) (patterns, error) {
	out := patterns{present: is.present || not.present, negated: not.present}
	switch {
	case is.present && not.present:
		return out, fmt.Errorf("%s and Not%s exclude each other", name, name)
	case not.present && len(not.value) == 0:
		return out, fmt.Errorf("an empty list in Not%s would be everything", name)
	case not.present:
		is, name = not, "Not"+name
	}
	for _, value := range is.value {
		p, err := compile(value)
		if err != nil {
			return out, fmt.Errorf("%s: %w", name, err)
		}
		out.list = append(out.list, p)
	}
	return out, nil
}

func compileAction(a string) (pattern, error) {
	if !validAction(a) {
		return pattern{}, errors.New(`an action must be "*" or have the form service:name`)
	}
	return compilePattern(strings.ToLower(a), dialect{wildcards: true})
}

// validAction takes letters, digits and wildcards of ASCII around one colon.
// Anything else could look like the name of an action, or fold to one.
func validAction(a string) bool {
	service, name, ok := strings.Cut(a, ":")
	if !ok {
		return a == "*"
	}
	return service != "" && name != "" && actionChars(service) && actionChars(name)
}

func actionChars(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte("-_*?", c) < 0 {
			return false
		}
	}
	return true
}

// compileResource takes a variable only behind the fifth colon, as published.
func compileResource(r string, variables bool) (pattern, error) {
	p, err := compilePattern(r, dialect{wildcards: true, variables: variables})
	if i := strings.Index(p.text, slot); err == nil && i >= 0 && strings.Count(p.text[:i], ":") < 5 {
		err = errors.New("a policy variable may stand only behind the fifth colon of an ARN")
	}
	return p, err
}

// compileConditions makes a list of all keys of all operators. A Condition that
// is empty says nothing; documents that AWS writes have such.
func compileConditions(raw jsonObject, variables bool) ([]condition, error) {
	var out []condition
	for _, o := range raw {
		op, ok := parseOperator(o.name)
		if !ok {
			return nil, errors.New("the Condition has an unknown operator")
		}
		if len(o.value) == 0 {
			return nil, fmt.Errorf("the Condition %s has no key", o.name)
		}
		seen := make(map[Key]bool)
		for _, k := range o.value {
			c := condition{op: op, name: o.name, keyName: k.name, written: k.value}
			if c.key, ok = NewKey(k.name); !ok {
				return nil, fmt.Errorf("the Condition %s has a key without the form service:key", o.name)
			}
			if seen[c.key] {
				return nil, fmt.Errorf("the Condition %s has a key twice (keys have no case)", o.name)
			}
			seen[c.key] = true
			for _, value := range k.value {
				if err := c.compile(value, variables); err != nil {
					return nil, fmt.Errorf("the Condition %s has a wrong value: %w", o.name, err)
				}
			}
			out = append(out, c)
		}
	}
	return out, nil
}
