package main

import "slices"

func required(s *shape, t *member) bool { return slices.Contains(s.Required, t.Name) }

func (e *emitter) decoding() {
	for _, op := range e.Operations {
		e.p("\n// UnmarshalJSONFrom implements JSONInput.")
		e.p("func (in *%sInput) UnmarshalJSONFrom(d *jsontext.Decoder) error {", op.Name)
		e.p("r := reader{d: d}")
		e.p("if r.document() {\nin.read(&r)\n}")
		e.p("return r.err\n}")
	}
	for _, s := range e.structures(e.decoded) {
		e.readFunc(s)
	}
}

// readFunc reads the members of an object that has been entered.
func (e *emitter) readFunc(s *shape) {
	e.p("\nfunc (in *%s) read(r *reader) {", e.typeName(s))
	e.p("for r.more() {\nswitch string(r.name()) {")
	for i, t := range s.Members {
		e.p("case %q:", t.Name)
		e.readMember(i, t)
	}
	e.p("default:\nr.skip()\n}\n}\n}")
}

func (e *emitter) readMember(i int, t *member) {
	s, field := e.shapeOf(t), "in."+t.goName()
	switch {
	case s.Type == "structure":
		e.p("if r.begin('{', aStructure) {")
		e.p("%s = new(%s)\n%s.read(r)\nin.got.Mark(%d, true)\n}", field, e.typeName(s), field, i)
	case s.Type == "list" && e.byName[s.Item].Type == "structure":
		item := e.typeName(e.byName[s.Item])
		e.p("if r.begin('[', aList) {\n%s = []%s{}", field, item)
		e.p("for r.more() {\nvar item %s", item)
		e.p("if r.begin('{', aStructure) {\nitem.read(r)\n} else {\nr.insist(false, aStructure)\n}")
		e.p("%s = append(%s, item)\n}\nin.got.Mark(%d, true)\n}", field, field, i)
	default:
		e.p("in.got.Mark(%d, %s)", i, e.readCall(t))
	}
}

func (e *emitter) readCall(t *member) string {
	s, field := e.shapeOf(t), "&in."+t.goName()
	switch s.Type {
	case "string":
		switch {
		case e.secret(t):
			return "r.secretString(" + field + ")"
		case len(s.Enum) > 0:
			return "readEnum(r, " + field + ", " + e.valuesName(s) + "[:])"
		}
		return "r.string(" + field + ")"
	case "blob":
		if e.secret(t) {
			return "r.secretBlob(" + field + ")"
		}
		return "r.blob(" + field + ")"
	case "list":
		if item := e.byName[s.Item]; len(item.Enum) > 0 {
			return "readEnums(r, " + field + ", " + e.valuesName(item) + "[:])"
		}
		return "r.strings(" + field + ")"
	case "map":
		return "r.stringMap(" + field + ")"
	case "integer", "long", "boolean", "timestamp":
		return "r." + s.Type + "(" + field + ")"
	}
	panic("cannot read shape " + s.Name)
}
