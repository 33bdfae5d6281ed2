package main

func (e *emitter) encoding() {
	for _, s := range e.Shapes {
		if s.Type == "structure" && s.Status == 0 && e.written(s) {
			e.appendJSON(s)
		}
	}
	for _, s := range e.Shapes {
		if s.Type == "list" && e.byName[s.Item].Type == "structure" && e.written(e.byName[s.Item]) {
			e.appendList(s)
		}
	}
	for _, op := range e.Operations {
		e.appendMember(e.byName[op.Input])
	}
}

// written reports whether a structure is ever put into JSON: in an answer, or
// in the audit log if it is part of a request and holds no secret.
func (e *emitter) written(s *shape) bool {
	return e.encoded[s] || e.decoded[s] && !e.isInput(s) && !e.holdsSecret(s)
}

func (e *emitter) isInput(s *shape) bool {
	for _, op := range e.Operations {
		if op.Input == s.Name {
			return true
		}
	}
	return false
}

func (e *emitter) appendJSON(s *shape) {
	name := e.typeName(s)
	e.p("\n// AppendJSON appends the object, without the members that are absent.")
	e.p("func (out *%s) AppendJSON(dst []byte) []byte {", name)
	if len(s.Members) == 0 {
		e.p("return append(dst, \"{}\"...)\n}")
		return
	}
	e.p("dst = append(dst, '{')")
	for _, t := range s.Members {
		field := "out." + t.goName()
		if !t.always {
			e.p("if %s {", e.present(t, field))
		}
		e.p("dst = append(dst, `%q:`...)", t.Name)
		e.p("dst = append(%s, ',')", e.appendCall(t, field))
		if !t.always {
			e.p("}")
		}
	}
	e.p("return jsonout.EndObject(dst)\n}")
}

// present is the condition of a member being there.
func (e *emitter) present(t *member, field string) string {
	if e.secret(t) {
		return "!" + field + ".IsZero()"
	}
	switch e.shapeOf(t).Type {
	case "string":
		return field + ` != ""`
	case "integer", "long":
		return field + " != 0"
	case "boolean":
		return field
	case "timestamp":
		return "!" + field + ".IsZero()"
	case "list", "blob":
		return "len(" + field + ") > 0"
	default: // an empty map is not an absent one
		return field + " != nil"
	}
}

// appendCall is the expression that appends a member's value to dst.
func (e *emitter) appendCall(t *member, field string) string {
	s := e.shapeOf(t)
	switch s.Type {
	case "structure":
		return field + ".AppendJSON(dst)"
	case "list":
		if e.byName[s.Item].Type == "structure" {
			return "append" + upperFirst(s.Name) + "(dst, " + field + ")"
		}
		return "jsonout.Strings(dst, " + field + ")"
	case "map":
		return "jsonout.StringMap(dst, " + field + ")"
	}
	kind := map[string]string{
		"string": "String", "blob": "Blob", "integer": "Integer", "long": "Integer",
		"boolean": "Boolean", "timestamp": "Timestamp",
	}[s.Type]
	if e.secret(t) {
		kind = "Secret" + kind
	}
	return "jsonout." + kind + "(dst, " + field + ")"
}

func (e *emitter) appendList(s *shape) {
	e.p("\nfunc append%s(dst []byte, list []%s) []byte {", upperFirst(s.Name), e.typeName(e.byName[s.Item]))
	e.p("dst = append(dst, '[')")
	e.p("for i := range list {\ndst = append(list[i].AppendJSON(dst), ',')\n}")
	e.p("return jsonout.EndList(dst)\n}")
}

func (e *emitter) appendMember(s *shape) {
	e.p("\n// AppendMember implements Input.")
	e.p("func (in *%s) AppendMember(dst []byte, member string) ([]byte, bool) {", e.typeName(s))
	e.p("if !in.Has(member) {\nreturn dst, false\n}")
	e.p("switch member {")
	for _, t := range s.Members {
		if !e.hides(t) {
			e.p("case %q:\nreturn %s, true", t.Name, e.appendCall(t, "in."+t.goName()))
		}
	}
	e.p("}\nreturn dst, false\n}")
}
