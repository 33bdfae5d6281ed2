package iam

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/arn"
)

// maxDepth bounds nesting; a document of this language needs five levels.
const maxDepth = 16

// The document as JSON has it. Members are matched in exact case, duplicates,
// unknown members and invalid UTF-8 are refused by the decoder.
type document struct {
	Version   string     `json:"Version"`
	ID        string     `json:"Id"`
	Statement statements `json:"Statement"`
}

type statements []rawStatement

type rawStatement struct {
	SID          string         `json:"Sid"`
	Effect       string         `json:"Effect"`
	Principal    jsontext.Value `json:"Principal"`
	NotPrincipal jsontext.Value `json:"NotPrincipal"`
	Action       stringList     `json:"Action"`
	NotAction    jsontext.Value `json:"NotAction"`
	Resource     stringList     `json:"Resource"`
	NotResource  jsontext.Value `json:"NotResource"`
	Condition    jsontext.Value `json:"Condition"`
}

// stringList takes a string or an array of strings.
type stringList []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *stringList) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == '"' {
		*l = make([]string, 1)
		return json.UnmarshalDecode(d, &(*l)[0])
	}
	return json.UnmarshalDecode(d, (*[]string)(l))
}

// UnmarshalJSONFrom takes one statement or an array of them.
func (l *statements) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == '{' {
		*l = make([]rawStatement, 1)
		return json.UnmarshalDecode(d, &(*l)[0])
	}
	return json.UnmarshalDecode(d, (*[]rawStatement)(l))
}

// Parse compiles a document. It returns an error that wraps ErrMalformed or
// ErrUnsupported; its text names what is wrong and holds no part of the
// document beyond element names.
func Parse(text string) (*Policy, error) {
	if len(text) > MaxPolicySize {
		return nil, fmt.Errorf("%w: over %d bytes", ErrMalformed, MaxPolicySize)
	}
	if depth(text) > maxDepth {
		return nil, fmt.Errorf("%w: nested too deep", ErrMalformed)
	}
	var doc document
	if err := json.Unmarshal([]byte(text), &doc, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("%w: not a JSON policy document", ErrMalformed)
	}
	if doc.Version != "" && doc.Version != "2012-10-17" && doc.Version != "2008-10-17" {
		return nil, fmt.Errorf("%w: unknown Version", ErrMalformed)
	}
	if len(doc.Statement) == 0 {
		return nil, fmt.Errorf("%w: no Statement", ErrMalformed)
	}
	p := &Policy{Source: text, Version: doc.Version, ID: doc.ID, Statements: make([]Statement, len(doc.Statement))}
	for i, raw := range doc.Statement {
		s, err := compile(raw)
		if err != nil {
			return nil, err
		}
		p.Statements[i] = s
	}
	return p, nil
}

func compile(raw rawStatement) (Statement, error) {
	s := Statement{SID: raw.SID, Resources: raw.Resource}
	switch raw.Effect {
	case "Allow":
		s.Effect = Allow
	case "Deny":
		s.Effect = Deny
	default:
		return s, fmt.Errorf("%w: Effect must be Allow or Deny", ErrMalformed)
	}
	for _, e := range []struct {
		name  string
		value jsontext.Value
	}{{"NotPrincipal", raw.NotPrincipal}, {"NotAction", raw.NotAction}, {"NotResource", raw.NotResource}, {"Condition", raw.Condition}} {
		if e.value != nil {
			return s, fmt.Errorf("%w: %s", ErrUnsupported, e.name)
		}
	}
	for _, a := range raw.Action {
		if !validAction(a) {
			return s, fmt.Errorf("%w: an Action must be \"*\" or have the form service:name", ErrMalformed)
		}
		s.Actions = append(s.Actions, strings.ToLower(a))
	}
	for _, r := range raw.Resource {
		if strings.Contains(r, "${") {
			return s, fmt.Errorf("%w: policy variables", ErrUnsupported)
		}
	}
	var err error
	s.Principals, err = compilePrincipals(raw.Principal)
	return s, err
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

func compilePrincipals(v jsontext.Value) ([]PrincipalPattern, error) {
	if v == nil {
		return nil, nil
	}
	var one string
	if json.Unmarshal(v, &one) == nil {
		if one != "*" {
			return nil, fmt.Errorf("%w: Principal must be \"*\" or an object", ErrMalformed)
		}
		return []PrincipalPattern{{Anyone: true}}, nil
	}
	var kinds map[string]stringList
	if err := json.Unmarshal(v, &kinds); err != nil {
		return nil, fmt.Errorf("%w: Principal must be \"*\" or an object", ErrMalformed)
	}
	var out []PrincipalPattern
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if kind != "AWS" {
			return nil, fmt.Errorf("%w: Principal of kind %s", unknownKind(kind), printableKind(kind))
		}
		for _, value := range kinds[kind] {
			p, err := compilePrincipal(value)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: empty Principal", ErrMalformed)
	}
	return out, nil
}

func unknownKind(kind string) error {
	switch kind {
	case "Service", "Federated", "CanonicalUser":
		return ErrUnsupported
	}
	return ErrMalformed
}

func printableKind(kind string) string {
	if unknownKind(kind) == ErrUnsupported {
		return kind
	}
	return "unknown"
}

func compilePrincipal(value string) (PrincipalPattern, error) {
	if value == "*" {
		return PrincipalPattern{Anyone: true}, nil
	}
	if arn.IsAccount(value) {
		return PrincipalPattern{Account: value}, nil
	}
	a, ok := arn.Parse(value)
	if !ok || a.Service != "iam" || a.Region != "" || !arn.IsAccount(a.Account) {
		return PrincipalPattern{}, fmt.Errorf("%w: invalid principal", ErrMalformed)
	}
	if a.Resource == "root" {
		return PrincipalPattern{Partition: a.Partition, Account: a.Account}, nil
	}
	kind, name, _ := strings.Cut(a.Resource, "/")
	if (kind != "user" && kind != "role") || name == "" || strings.ContainsAny(name, "*?") {
		return PrincipalPattern{}, fmt.Errorf("%w: invalid principal", ErrMalformed)
	}
	return PrincipalPattern{ARN: value}, nil
}

// depth is the deepest nesting of brackets outside strings.
func depth(text string) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}
