package main

import (
	"maps"
	"slices"
	"strings"
)

func (e *emitter) enums() {
	for _, s := range e.model.enums() {
		name := e.typeName(s)
		e.p("\n// %s is an enum; any other value that was sent is kept as it is.", name)
		e.p("type %s string", name)
		e.p("\nconst (")
		for _, value := range s.Enum {
			e.p("%s%s %s = %q", name, valueName(value), name, value)
		}
		e.p(")")
		e.p("\nvar %s = [...]%s{", e.valuesName(s), name)
		for _, value := range s.Enum {
			e.p("%s%s,", name, valueName(value))
		}
		e.p("}")
		e.p("\n// Values lists the values in the order of the model.")
		e.p("func (%s) Values() []%s { v := %s; return v[:] }", name, name, e.valuesName(s))
	}
}

// valuesName is the variable with the values of an enum.
func (e *emitter) valuesName(s *shape) string { return lowerFirst(e.typeName(s)) + "Values" }

func (e *emitter) errors() {
	e.p("\n// The codes of the errors that the model lists.")
	e.p("const (")
	byStatus := map[int][]string{}
	for _, s := range e.exceptions() {
		e.p("%s fault.Code = %q", s.codeName(), s.codeName())
		byStatus[s.Status] = append(byStatus[s.Status], s.codeName())
	}
	e.p(")")
	e.p("\n// modelled is the HTTP status of an error that the model lists, or zero.")
	e.p("func modelled(c fault.Code) int {\nswitch c {")
	for _, status := range slices.Sorted(maps.Keys(byStatus)) {
		e.p("case %s:\nreturn %d", strings.Join(byStatus[status], ",\n"), status)
	}
	e.p("}\nreturn 0\n}")
}

func (e *emitter) types() {
	for _, s := range e.Shapes {
		if s.Type == "structure" && s.Status == 0 && (e.decoded[s] || e.encoded[s]) {
			e.structure(s)
		}
	}
	for _, op := range e.Operations {
		e.outputAlias(op)
	}
}

func (e *emitter) structure(s *shape) {
	name := e.typeName(s)
	e.p("\n// %s %s", name, e.purpose(s))
	e.p("type %s struct {", name)
	for _, t := range s.Members {
		e.p("%s %s%s", t.goName(), e.goType(t), e.remark(s, t))
	}
	if e.decoded[s] {
		e.p("\ngot %s", e.api("Presence"))
	}
	e.p("}")
	if e.decoded[s] {
		e.p("\n// Has reports whether the member was present when this was decoded.")
		e.p("func (in *%s) Has(member string) bool { return in.got.Named(%s, member) }", name, e.membersName(s))
	}
}

func (e *emitter) purpose(s *shape) string {
	for _, op := range e.Operations {
		switch s.Name {
		case op.Input:
			return "is the request of " + op.Name + "."
		case op.Output:
			return "is the answer of " + op.Name + "."
		}
	}
	return "is a structure of the model."
}

func (e *emitter) remark(s *shape, t *member) string {
	var notes []string
	if e.decoded[s] && required(s, t) {
		notes = append(notes, "required")
	}
	if t.always && e.encoded[s] {
		notes = append(notes, "always written")
	}
	if e.secret(t) {
		notes = append(notes, "sensitive")
	}
	if len(notes) == 0 {
		return ""
	}
	return " // " + strings.Join(notes, ", ")
}

// outputAlias names an answer that a former operation gives too.
func (e *emitter) outputAlias(op operation) {
	own := op.Name + "Output"
	if s := e.byName[op.Output]; s != nil && e.typeName(s) != own {
		e.p("\n// %s is the answer of %s.", own, op.Name)
		e.p("type %s = %s", own, e.typeName(s))
	}
}
