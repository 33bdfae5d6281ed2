package main

// xmlEncoding makes the writers of answers in the query protocol, and of what
// of a request goes into the audit record, which is JSON.
func (e *emitter) xmlEncoding() {
	for _, s := range e.structures(e.encoded) {
		e.appendXML(s)
	}
	for _, s := range e.structures(e.decoded) {
		if !e.isInput(s) && !e.holdsSecret(s) {
			e.appendJSON(s)
		}
	}
	for _, s := range e.Shapes {
		if item := e.byName[s.Item]; s.Type == "list" && e.decoded[s] && item.Type == "structure" && !e.holdsSecret(item) {
			e.appendList(s)
		}
	}
	for _, op := range e.Operations {
		e.appendMember(e.byName[op.Input])
	}
}

func (e *emitter) appendXML(s *shape) {
	e.p("\n// AppendXML appends the members that are there.")
	e.p("func (out *%s) AppendXML(dst []byte) []byte {", e.typeName(s))
	for _, t := range s.Members {
		field := "out." + t.goName()
		if e.alwaysInXML(s, t) {
			e.xmlMember(t, field)
			continue
		}
		e.p("if %s {", e.present(t, field))
		e.xmlMember(t, field)
		e.p("}")
	}
	e.p("return dst\n}")
}

// alwaysInXML reports whether a member is written even if it is empty: clients
// count on the members that the model requires.
func (e *emitter) alwaysInXML(s *shape, t *member) bool {
	return t.always || required(s, t) && e.shapeOf(t).Type != "structure"
}

func (e *emitter) xmlMember(t *member, field string) {
	s := e.shapeOf(t)
	switch {
	case s.Type == "structure":
		e.p("dst = query.Close(%s.AppendXML(query.Open(dst, %q)), %q)", field, t.Name, t.Name)
	case s.Type == "list" && e.byName[s.Item].Type == "structure":
		e.p("dst = query.Open(dst, %q)", t.Name)
		e.p("for i := range %s {\ndst = query.Close(%s[i].AppendXML(query.Open(dst, \"member\")), \"member\")\n}", field, field)
		e.p("dst = query.Close(dst, %q)", t.Name)
	default:
		e.p("dst = query.%s(dst, %q, %s)", e.xmlKind(t), t.Name, field)
	}
}

func (e *emitter) xmlKind(t *member) string {
	s := e.shapeOf(t)
	kind := map[string]string{
		"string": "String", "integer": "Integer", "boolean": "Boolean", "timestamp": "Timestamp", "list": "Strings", "blob": "Blob",
	}[s.Type]
	if kind == "" || s.Type == "blob" && !e.secret(t) {
		panic("cannot write shape " + s.Name + " as XML")
	}
	if e.secret(t) {
		kind = "Secret" + kind
	}
	return kind
}
