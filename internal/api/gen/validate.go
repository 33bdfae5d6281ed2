package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// verdict is the code of a request that breaks a rule of the model.
func (e *emitter) verdict() string {
	if e.query() {
		return "query.ValidationError"
	}
	return "ValidationException"
}

func (e *emitter) validation() {
	for _, op := range e.Operations {
		e.p("\n// Validate implements Input.")
		e.p("func (in *%sInput) Validate() error {", op.Name)
		e.p("var v check.Violations\nin.check(&v, nil)\nreturn v.Fault(%s)\n}", e.verdict())
	}
	for _, s := range e.structures(e.decoded) {
		e.checkStructure(s)
	}
	for _, s := range e.Shapes {
		if e.decoded[s] && e.constrained(s) && s.Type != "structure" {
			e.checkShape(s)
		}
		if e.decoded[s] && s.Pattern != "" {
			e.matcher(s)
		}
	}
}

// constrained reports whether values of this shape can be wrong.
func (e *emitter) constrained(s *shape) bool {
	switch s.Type {
	case "structure":
		return true
	case "list":
		return s.Max != nil || e.constrained(e.byName[s.Item])
	case "map":
		if e.constrained(e.byName[s.Key]) || e.constrained(e.byName[s.Value]) {
			panic("no checks for what is in map " + s.Name)
		}
	}
	return s.Min != nil || s.Max != nil || s.Pattern != "" || len(s.Enum) > 0
}

func (e *emitter) checkStructure(s *shape) {
	e.p("\nfunc (in *%s) check(v *check.Violations, up *check.Path) {", e.typeName(s))
	for i, t := range s.Members {
		at := fmt.Sprintf("check.At(up, %q)", lowerFirst(t.Name))
		present := fmt.Sprintf("in.got.Has(%d)", i)
		check := e.constrained(e.shapeOf(t))
		switch {
		case required(s, t) && check:
			e.p("if %s {\n%s\n} else {\n%s\n}", present, e.checkCall(t, at), e.missing(t, at))
		case required(s, t):
			e.p("if !%s {\n%s\n}", present, e.missing(t, at))
		case check:
			e.p("if %s {\n%s\n}", present, e.checkCall(t, at))
		}
	}
	e.p("}")
}

func (e *emitter) missing(t *member, at string) string {
	if e.secret(t) {
		return "v.Hidden(" + at + ", check.MustNotBeNull)"
	}
	return "v.Null(" + at + ")"
}

func (e *emitter) checkCall(t *member, at string) string {
	s, field := e.shapeOf(t), "in."+t.goName()
	if s.Type == "structure" {
		return fmt.Sprintf("at := %s\n%s.check(v, &at)", at, field)
	}
	if e.secret(t) {
		field += ".Expose()"
	}
	return fmt.Sprintf("check%s(v, %s, %s)", upperFirst(s.Name), at, field)
}

// checkShape makes the function that checks values of one shape.
func (e *emitter) checkShape(s *shape) {
	switch {
	case s.Type == "list":
		e.checkList(s)
	case len(s.Enum) > 0:
		e.p("\nfunc check%s(v *check.Violations, at check.Path, value %s) {", upperFirst(s.Name), e.typeName(s))
		e.p("if !slices.Contains(%s[:], value) {", e.valuesName(s))
		e.p("v.Value(at, string(value), check.MustBeOneOf+%q)\n}\n}", printedSet(s))
	case s.Type == "string":
		typ, report := "string", "v.Value(at, value, "
		if s.Sensitive {
			typ, report = "[]byte", "v.Hidden(at, "
		}
		e.p("\nfunc check%s(v *check.Violations, at check.Path, value %s) {", upperFirst(s.Name), typ)
		e.bounds(s, "check.Units(value)", "length", report)
		if s.Pattern != "" {
			e.p("if !match%s(value) {\n%scheck.MustMatch+%s)\n}", upperFirst(s.Name), report, quoted(s.Pattern))
		}
		e.p("}")
	case s.Type == "blob":
		e.p("\nfunc check%s(v *check.Violations, at check.Path, value []byte) {", upperFirst(s.Name))
		e.bounds(s, "len(value)", "length", "v.Hidden(at, ")
		e.p("}")
	case s.Type == "integer" || s.Type == "long":
		e.p("\nfunc check%s(v *check.Violations, at check.Path, value %s) {", upperFirst(s.Name), e.elementType(s))
		e.bounds(s, "value", "value", "v.Value(at, strconv.FormatInt(int64(value), 10), ")
		e.p("}")
	default:
		panic("no checks for shape " + s.Name)
	}
}

// bounds compares a length or a value with the limits.
func (e *emitter) bounds(s *shape, measure, what, report string) {
	low := s.Min != nil && (*s.Min > 0 || what == "value")
	if !low && s.Max == nil {
		return
	}
	e.p("n := %s", measure)
	if low {
		e.p("if n < %d {\n%scheck.%sAtLeast+\"%d\")\n}", *s.Min, report, upperFirst(what), *s.Min)
	}
	if s.Max != nil {
		e.p("if n > %d {\n%scheck.%sAtMost+\"%d\")\n}", *s.Max, report, upperFirst(what), *s.Max)
	}
}

func (e *emitter) checkList(s *shape) {
	item := e.byName[s.Item]
	e.p("\nfunc check%s(v *check.Violations, at check.Path, list []%s) {", upperFirst(s.Name), e.elementType(item))
	if item.Type == "structure" {
		e.bounds(s, "len(list)", "length", "v.Hidden(at, ")
		e.p("for i := range list {\nitem := check.Item(&at, i+1)\nlist[i].check(v, &item)\n}\n}")
		return
	}
	e.bounds(s, "len(list)", "length", "v.Value(at, check.Listed(list), ")
	if e.constrained(item) {
		e.p("for _, value := range list {")
		e.p("if %s {", e.badItem(item))
		e.p("v.Value(at, check.Listed(list), check.ItemsMustBeGood+%s)\nbreak\n}\n}", quoted(itemRules(item)))
	}
	e.p("}")
}

// badItem is the condition of an item breaking a rule.
func (e *emitter) badItem(item *shape) string {
	if len(item.Enum) > 0 {
		return "!slices.Contains(" + e.valuesName(item) + "[:], value)"
	}
	rules := []string{fmt.Sprintf("check.Units(value) < %d", *item.Min), fmt.Sprintf("check.Units(value) > %d", *item.Max)}
	if item.Pattern != "" {
		rules = append(rules, "!match"+upperFirst(item.Name)+"(value)")
	}
	return strings.Join(rules, " || ")
}

// itemRules names every rule for the items, broken or not, as the service does
// where a list of plain values is wrong.
func itemRules(item *shape) string {
	if len(item.Enum) > 0 {
		return "[Member must satisfy enum value set: " + printedSet(item) + "]"
	}
	rules := []string{
		fmt.Sprintf("Member must have length less than or equal to %d", *item.Max),
		fmt.Sprintf("Member must have length greater than or equal to %d", *item.Min),
	}
	if item.Pattern != "" {
		rules = append(rules, "Member must satisfy regular expression pattern: "+item.Pattern)
	}
	return "[" + strings.Join(rules, ", ") + "]"
}

func printedSet(s *shape) string { return "[" + strings.Join(s.printed, ", ") + "]" }

// quoted prefers the raw form, in which patterns can be read.
func quoted(s string) string {
	if strconv.CanBackquote(s) && slices.Contains([]byte(s), '\\') {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}
