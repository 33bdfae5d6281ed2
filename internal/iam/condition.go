package iam

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"strings"
)

// A condition is one key under one operator. Of the lists of values the one is
// filled that the operator's family reads.
type condition struct {
	op       operator
	name     string // of the operator, as written
	key      Key
	keyName  string   // as written
	written  []string // the values, as written
	texts    []pattern
	arns     []arnPattern
	points   []point
	flags    []bool
	prefixes []netip.Prefix
}

// An arnPattern is the six components of an ARN; none where the whole is "*".
type arnPattern []pattern

var (
	errNumber = errors.New("not a decimal number")
	errDate   = errors.New("not a date: write 2026-01-02T03:04:05Z, or seconds since 1970")
	errBool   = errors.New("neither true nor false")
	errBinary = errors.New("not base64")
	errIP     = errors.New("not an IP address or a range such as 203.0.113.0/24")
	errARN    = errors.New("not an ARN of six components, or *")
)

// compile reads one value as the operator does.
func (c *condition) compile(value string, variables bool) error {
	switch c.op.family {
	case stringFamily:
		p, err := compilePattern(value, dialect{wildcards: c.op.like, variables: variables})
		c.texts = append(c.texts, p)
		return err
	case arnFamily:
		p, err := compileARN(value, dialect{wildcards: true, variables: variables})
		c.arns = append(c.arns, p)
		return err
	case binaryFamily:
		return add(&c.texts, value, parseBinary, errBinary)
	case numericFamily:
		return add(&c.points, value, parseNumber, errNumber)
	case dateFamily:
		return add(&c.points, value, parseDate, errDate)
	case ipFamily:
		return add(&c.prefixes, value, parsePrefix, errIP)
	}
	return add(&c.flags, value, parseFlag, errBool)
}

func add[T any](list *[]T, value string, parse func(string) (T, bool), bad error) error {
	v, ok := parse(value)
	if !ok {
		return bad
	}
	*list = append(*list, v)
	return nil
}

// parseBinary takes the standard alphabet with padding, and no line breaks.
func parseBinary(s string) (pattern, bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return pattern{text: string(b), plain: true}, err == nil && !strings.ContainsAny(s, "\r\n")
}

// parsePrefix takes an address or a range. Bits behind the prefix are ignored,
// as in 203.0.113.7/24.
func parsePrefix(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), a.Zone() == ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, false
	}
	return p.Masked(), true
}

// compileARN splits before it translates, so that no wildcard and no value of
// a variable reaches over a colon, except in the last component.
func compileARN(s string, d dialect) (arnPattern, error) {
	if s == "*" {
		return nil, nil
	}
	parts := make(arnPattern, 0, 6)
	for len(parts) < 5 {
		n := componentLen(s, d)
		if n == len(s) {
			return nil, errARN
		}
		p, err := compilePattern(s[:n], d)
		if err != nil {
			return nil, err
		}
		parts, s = append(parts, p), s[n+1:]
	}
	last, err := compilePattern(s, d)
	return append(parts, last), err
}

// componentLen is where the first colon stands that is not inside a variable.
func componentLen(s string, d dialect) int {
	for i := 0; i < len(s); i++ {
		if d.variables && strings.HasPrefix(s[i:], "${") {
			if _, _, n, err := parseVariable(s[i:]); err == nil {
				i += n - 1
			}
		} else if s[i] == ':' {
			return i
		}
	}
	return len(s)
}

// evaluate is the whole of a condition's semantics (IAM User Guide, "Condition
// operators" and "Single-valued vs. multivalued context keys"). Whether the
// key is there comes first, and its values only then.
func (c *condition) evaluate(e *evaluation) verdict {
	v, ok := e.value(c.key)
	if !ok {
		return unsure
	}
	return c.evaluateValue(e, v)
}

func (c *condition) evaluateValue(e *evaluation, v Value) verdict {
	switch {
	case c.op.family == nullFamily:
		return c.nullness(v.null())
	case c.op.set != single && v.null():
		return verdictOf(c.op.set == allValues)
	case c.op.set == allValues:
		return c.all(e, &v)
	case c.op.set == anyValue:
		return c.some(e, &v)
	case v.len() == 0:
		return verdictOf(c.op.negated || c.op.exists)
	case v.len() > 1:
		e.note(c.keyName + " has several values: " + c.name + " needs ForAllValues or ForAnyValue")
		return unsure
	}
	return c.holds(e, v.at(0))
}

func (c *condition) nullness(null bool) verdict {
	for _, want := range c.flags {
		if want == null {
			return yes
		}
	}
	return no
}

func (c *condition) all(e *evaluation, v *Value) verdict {
	out := yes
	for i := range v.len() {
		if out = min(out, c.holds(e, v.at(i))); out == no {
			break
		}
	}
	return out
}

func (c *condition) some(e *evaluation, v *Value) verdict {
	out := no
	for i := range v.len() {
		if out = max(out, c.holds(e, v.at(i))); out == yes {
			break
		}
	}
	return out
}

// holds compares one value of the request with all of the policy: with any of
// them or, negated, with none.
func (c *condition) holds(e *evaluation, v Value) verdict {
	if len(c.written) == 0 {
		return verdictOf(c.op.negated)
	}
	if !e.spend(len(c.written)) {
		return unsure
	}
	if c.op.negated {
		return c.equalsAny(e, &v).not()
	}
	return c.equalsAny(e, &v)
}

// equalsAny reads the value as the operator's family does.
func (c *condition) equalsAny(e *evaluation, v *Value) verdict {
	switch c.op.family {
	case stringFamily:
		if s, ok := v.asText(); ok {
			return c.equalsText(e, s)
		}
	case arnFamily:
		if parts, ok := v.asARN(); ok {
			return c.equalsARN(e, &parts)
		}
	case binaryFamily:
		if v.form == text {
			return c.equalsText(e, v.text)
		}
	case numericFamily:
		if n, ok := v.asNumber(); ok {
			return c.equalsPoint(n)
		}
	case dateFamily:
		if t, ok := v.asMoment(); ok {
			return c.equalsPoint(t)
		}
	case boolFamily:
		if b, ok := v.asFlag(); ok {
			return verdictOf(slices.Contains(c.flags, b))
		}
	case ipFamily:
		if a, ok := v.asAddr(); ok {
			return verdictOf(slices.ContainsFunc(c.prefixes, func(p netip.Prefix) bool { return p.Contains(a) }))
		}
	}
	e.note(c.keyName + " has a value that " + c.name + " cannot read")
	return unsure
}

func (c *condition) equalsText(e *evaluation, s string) verdict {
	out := no
	for i := range c.texts {
		if c.op.fold {
			out = max(out, c.texts[i].matchFold(e, s))
		} else {
			out = max(out, c.texts[i].match(e, s, unsure))
		}
		if out == yes {
			break
		}
	}
	return out
}

func (c *condition) equalsARN(e *evaluation, parts *[6]string) verdict {
	out := no
	for i := range c.arns {
		if out = max(out, c.arns[i].match(e, parts)); out == yes {
			break
		}
	}
	return out
}

// match compares component by component.
func (a arnPattern) match(e *evaluation, parts *[6]string) verdict {
	out := yes
	for i := range a {
		if out = min(out, a[i].match(e, parts[i], unsure)); out == no {
			break
		}
	}
	return out
}

func (c *condition) equalsPoint(p point) verdict {
	return verdictOf(slices.ContainsFunc(c.points, func(q point) bool { return c.op.order.holds(p.compare(q)) }))
}
