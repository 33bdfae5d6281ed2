package main

// formDecoding makes the readers of requests in the query protocol.
func (e *emitter) formDecoding() {
	for _, op := range e.Operations {
		e.p("\n// UnmarshalForm implements query.Input.")
		e.p("func (in *%sInput) UnmarshalForm(f *query.Form) error {", op.Name)
		if len(e.byName[op.Input].Members) > 0 {
			e.p("in.read(f, \"\")")
		}
		e.p("return f.Err()\n}")
	}
	for _, s := range e.structures(e.decoded) {
		if len(s.Members) > 0 {
			e.formRead(s)
		}
	}
}

// formRead reads the members of a structure, whose names begin with at.
func (e *emitter) formRead(s *shape) {
	e.p("\nfunc (in *%s) read(f *query.Form, at string) {", e.typeName(s))
	for i, t := range s.Members {
		e.formReadMember(i, t)
	}
	e.p("}")
}

func (e *emitter) formReadMember(i int, t *member) {
	s, field := e.shapeOf(t), "in."+t.goName()
	switch {
	case s.Type == "structure":
		e.p("if f.Within(at+%q) {", t.Name)
		e.p("%s = new(%s)\n%s.read(f, at+%q)\nin.got.Mark(%d, true)\n}", field, e.typeName(s), field, t.Name+".", i)
	case s.Type == "list" && e.byName[s.Item].Type == "structure":
		e.p("if n, ok := f.List(at + %q); ok {", t.Name)
		e.p("%s = make([]%s, n)", field, e.typeName(e.byName[s.Item]))
		e.p("for i := range %s {\n%s[i].read(f, query.Item(at+%q, i+1)+\".\")\n}", field, field, t.Name)
		e.p("in.got.Mark(%d, true)\n}", i)
	default:
		e.p("in.got.Mark(%d, %s)", i, e.formReadCall(t))
	}
}

func (e *emitter) formReadCall(t *member) string {
	s := e.shapeOf(t)
	args := "at+\"" + t.Name + "\", &in." + t.goName() + ")"
	switch {
	case s.Type == "string" && e.secret(t):
		return "f.SecretString(" + args
	case len(s.Enum) > 0:
		return "query.Enum(f, " + args
	case s.Type == "string":
		return "f.String(" + args
	case s.Type == "integer":
		return "f.Integer(" + args
	case s.Type == "boolean":
		return "f.Boolean(" + args
	case s.Type == "list" && len(e.byName[s.Item].Enum) == 0 && e.byName[s.Item].Type == "string":
		return "f.Strings(" + args
	}
	panic("cannot read shape " + s.Name + " from a form")
}
