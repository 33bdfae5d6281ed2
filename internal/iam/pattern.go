package iam

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// A pattern is a string with wildcards and variables. In its text they are
// bytes that no UTF-8 string has, so that whatever else is in it is literal.
type pattern struct {
	text      string
	plain     bool       // the text is all there is
	variables []variable // one for each slot in the text, in order
}

const (
	anyRun  = "\xfe" // "*": any characters, or none
	anyChar = '\xff' // "?": any one character
	slot    = "\xfd" // where the value of a variable goes
)

// A variable is ${key} or ${key, 'default'}.
type variable struct {
	written    string // the key, as the document has it
	key        Key
	fallback   string
	hasDefault bool
}

// A dialect is what is special in the text of a pattern.
type dialect struct {
	wildcards bool // "*" and "?"
	variables bool // ${key}, and ${*}, ${?}, ${$} for the characters themselves
}

var (
	errBrace    = errors.New("a policy variable has no closing brace")
	errVariable = errors.New("a policy variable must have the form ${service:key} or ${service:key, 'default'}")
)

// compilePattern translates the text of a document.
func compilePattern(written string, d dialect) (pattern, error) {
	var text strings.Builder
	var vars []variable
	for i := 0; i < len(written); {
		rest := written[i:]
		switch {
		case d.variables && strings.HasPrefix(rest, "${"):
			v, literal, n, err := parseVariable(rest)
			if err != nil {
				return pattern{}, err
			}
			if literal == "" {
				vars = append(vars, v)
				literal = slot
			}
			text.WriteString(literal)
			i += n
			continue
		case d.wildcards && rest[0] == '*':
			if !strings.HasSuffix(text.String(), anyRun) {
				text.WriteString(anyRun)
			}
		case d.wildcards && rest[0] == '?':
			text.WriteByte(anyChar)
		default:
			text.WriteByte(rest[0])
		}
		i++
	}
	p := pattern{text: text.String(), variables: vars}
	p.plain = vars == nil && !strings.Contains(p.text, anyRun) && strings.IndexByte(p.text, anyChar) < 0
	return p, nil
}

// parseVariable reads what stands at the front of s, which begins with "${":
// a variable, or one of the three escapes, which is a literal. n is its length.
func parseVariable(s string) (v variable, literal string, n int, err error) {
	if len(s) >= 4 && s[3] == '}' && strings.IndexByte("*?$", s[2]) >= 0 {
		return variable{}, s[2:3], 4, nil
	}
	end := strings.IndexAny(s, ",}")
	if end < 0 {
		return variable{}, "", 0, errBrace
	}
	v.written = s[2:end]
	key, ok := NewKey(v.written)
	if !ok || strings.Contains(v.written, " ") {
		return variable{}, "", 0, errVariable
	}
	v.key = key
	if s[end] == '}' {
		return v, "", end + 1, nil
	}
	quoted := strings.TrimLeft(s[end+1:], " ")
	if !strings.HasPrefix(quoted, "'") {
		return variable{}, "", 0, errVariable
	}
	v.fallback, quoted, ok = strings.Cut(quoted[1:], "'")
	if !ok || !strings.HasPrefix(quoted, "}") {
		return variable{}, "", 0, errVariable
	}
	v.hasDefault = true
	return v, "", len(s) - len(quoted) + 1, nil
}

// match compares s with the pattern. missing is what it comes to where a
// variable has neither a value nor a default.
func (p *pattern) match(e *evaluation, s string, missing verdict) verdict {
	if p.plain {
		return verdictOf(p.text == s)
	}
	if !e.spend(wildcardSteps) {
		return unsure
	}
	text, v := p.expand(e, missing)
	if v != yes {
		return v
	}
	is := e.glob(text, s)
	if !e.spend(0) { // glob may have run out of them
		return unsure
	}
	return verdictOf(is)
}

// matchFold is match without wildcards and without regard to case.
func (p *pattern) matchFold(e *evaluation, s string) verdict {
	text, v := p.expand(e, unsure)
	if v != yes {
		return v
	}
	return verdictOf(strings.EqualFold(text, s))
}

// expand puts the variables' values into the text, as literals: a value cannot
// hold the bytes that are wildcards. It reports yes, or why there is no text.
func (p *pattern) expand(e *evaluation, missing verdict) (string, verdict) {
	if p.variables == nil {
		return p.text, yes
	}
	var out strings.Builder
	rest := p.text
	for i := range p.variables {
		before, after, _ := strings.Cut(rest, slot)
		value, v := p.variables[i].resolve(e, missing)
		if v != yes {
			return "", v
		}
		if out.Len()+len(value) > maxExpanded {
			e.note("a pattern is too long with the values of its variables")
			return "", unsure
		}
		if !e.spend(variableSteps + len(value)/stepBytes) {
			return "", unsure
		}
		out.WriteString(before)
		out.WriteString(value)
		rest = after
	}
	out.WriteString(rest)
	return out.String(), yes
}

// resolve is the value of one variable. A key with several values cannot be a
// variable.
func (v *variable) resolve(e *evaluation, missing verdict) (string, verdict) {
	value, ok := e.value(v.key)
	if !ok {
		return "", unsure
	}
	switch value.len() {
	case 0:
		if !v.hasDefault {
			e.note("the variable ${" + v.written + "} has no value")
			return "", missing
		}
		return v.fallback, yes
	case 1:
		one := value.at(0)
		if text, ok := one.asText(); ok && utf8.ValidString(text) {
			return text, yes
		}
	}
	e.note("the variable ${" + v.written + "} has no single value that is text")
	return "", unsure
}

// value asks the request for a condition key. It reports false where there are no steps
// left for it.
func (e *evaluation) value(k Key) (Value, bool) {
	if e.request.Context == nil || !e.spend(0) {
		return Value{}, e.steps >= 0
	}
	v := e.request.Context.Value(k)
	return v, e.spend(v.steps)
}

// glob compares s with a text of literals and wildcards. Each piece between
// two stars is taken at the first place where it fits, which leaves the most
// to the pieces behind it; so nothing is tried twice. Only a piece with
// question marks is compared anew at each place, and that counts as steps.
func (e *evaluation) glob(pattern, s string) bool {
	head, rest, starred := strings.Cut(pattern, anyRun)
	n, ok := leads(head, s)
	if !ok || !starred {
		return ok && n == len(s)
	}
	s = s[n:]
	for {
		piece, behind, more := strings.Cut(rest, anyRun)
		if !more {
			return trails(piece, s)
		}
		end := e.find(piece, s)
		if end < 0 {
			return false
		}
		s, rest = s[end:], behind
	}
}

// leads reports whether s begins with the piece, and how much of s that is.
func leads(piece, s string) (n int, ok bool) {
	for i := range len(piece) {
		if n == len(s) {
			return n, false
		}
		switch {
		case piece[i] == anyChar:
			_, width := utf8.DecodeRuneInString(s[n:])
			n += width
		case piece[i] == s[n]:
			n++
		default:
			return n, false
		}
	}
	return n, true
}

// trails reports whether s ends with the piece: whether the piece covers just
// as many characters from the end as it has.
func trails(piece, s string) bool {
	if strings.IndexByte(piece, anyChar) < 0 {
		return strings.HasSuffix(s, piece)
	}
	start := len(s)
	for i := range len(piece) {
		if piece[i] != anyChar && !utf8.RuneStart(piece[i]) {
			continue // the rest of a character
		}
		if start == 0 {
			return false
		}
		_, width := utf8.DecodeLastRuneInString(s[:start])
		start -= width
	}
	n, ok := leads(piece, s[start:])
	return ok && start+n == len(s)
}

// find is where the first occurrence of the piece in s ends, or -1.
func (e *evaluation) find(piece, s string) int {
	if strings.IndexByte(piece, anyChar) < 0 {
		i := strings.Index(s, piece)
		if i < 0 {
			return -1
		}
		return i + len(piece)
	}
	for i := 0; i < len(s) && e.steps >= 0; {
		n, ok := leads(piece, s[i:])
		if ok {
			return i + n
		}
		_, width := utf8.DecodeRuneInString(s[i:])
		e.steps -= n + 1
		i += width
	}
	return -1
}

// patterns is an Action, NotAction, Resource or NotResource element. A list
// that is present and empty matches nothing.
type patterns struct {
	list             []pattern
	present, negated bool
}

// match says whether s is among what the element lists or, of the Not forms,
// is not; an element that is absent lists nothing. A variable without a value makes a pattern of Resource match
// nothing; in NotResource that would match everything else, and is unsure.
func (ps *patterns) match(e *evaluation, s string) verdict {
	missing := no
	if ps.negated {
		missing = unsure
	}
	listed := no
	for i := range ps.list {
		if listed = max(listed, ps.list[i].match(e, s, missing)); listed == yes {
			break
		}
	}
	if ps.negated {
		return listed.not()
	}
	return listed
}
