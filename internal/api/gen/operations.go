package main

import (
	"slices"
	"strings"
)

// membersName is the variable that describes the members of a structure.
func (e *emitter) membersName(s *shape) string { return lowerFirst(e.typeName(s)) + "Members" }

func (e *emitter) operations() {
	e.serviceVar()
	e.table()
	e.lookup()
	for _, s := range e.Shapes {
		if s.Type == "structure" && s.Status == 0 && (e.decoded[s] || e.isOutput(s)) {
			e.memberTable(s)
		}
	}
	for _, op := range e.Operations {
		e.accessors(op)
	}
}

func (e *emitter) isOutput(s *shape) bool {
	return slices.ContainsFunc(e.Operations, func(op operation) bool { return op.Output == s.Name })
}

func (e *emitter) table() {
	e.p("\nvar operations = []*%s{", e.api("Operation"))
	for _, op := range e.Operations {
		e.p("{")
		e.p("Name: %q,", op.Name)
		e.p("Errors: []fault.Code{%s},", strings.Join(e.codes(op), ", "))
		e.p("Members: %s,", e.membersName(e.byName[op.Input]))
		e.p("Output: %s,", e.api(e.outputKind(op)))
		if op.Output != "" {
			e.p("OutputMembers: %s,", e.membersName(e.byName[op.Output]))
		}
		for _, name := range []string{"DryRun", "GrantTokens", "Recipient", "Policy"} {
			if e.member(op.Input+"."+name) != nil && !e.query() {
				e.p("%s: true,", name)
			}
		}
		e.p("New: func() %s { return new(%sInput) },", e.api("Input"), op.Name)
		e.p("},")
	}
	e.p("}")
}

func (e *emitter) outputKind(op operation) string {
	switch s := e.byName[op.Output]; {
	case s == nil:
		return "NoOutput"
	case len(s.Members) == 0:
		return "EmptyOutput"
	default:
		return "StructOutput"
	}
}

func (e *emitter) codes(op operation) []string {
	var list []string
	for _, name := range op.Errors {
		list = append(list, e.byName[name].codeName())
	}
	return list
}

// serviceVar describes a service of the query protocol; that of KMS is by hand.
func (e *emitter) serviceVar() {
	if !e.query() {
		return
	}
	name := strings.TrimSuffix(e.pkg, "api")
	if len(name) == len("iam") { // an acronym
		name = strings.ToUpper(name)
	}
	name = upperFirst(name)
	e.p("\n// %s is the service.", name)
	e.p("func %s() *api.Service { return &service }", name)
	e.p("\nvar service = api.Service{")
	e.p("Name: %q, Version: %q, Namespace: %q, Global: true, Lookup: Lookup, Status: modelled,\n}", strings.ToLower(name), e.Version, e.Namespace)
	e.p("\n// Operations lists all operations in the order of the model.")
	e.p("func Operations() []*api.Operation { return slices.Clone(operations) }")
}

func (e *emitter) lookup() {
	e.p("\n// Lookup finds an operation by its name.")
	e.p("func Lookup(name string) (*%s, bool) {\nswitch name {", e.api("Operation"))
	for i, op := range e.Operations {
		e.p("case %q:\nreturn operations[%d], true", op.Name, i)
	}
	e.p("}\nreturn nil, false\n}")
}

func (e *emitter) memberTable(s *shape) {
	e.p("\nvar %s = []%s{", e.membersName(s), e.api("Member"))
	for _, t := range s.Members {
		facts := []string{"Name: \"" + t.Name + "\"", "Kind: " + e.api(kind(e.shapeOf(t)))}
		if required(s, t) {
			facts = append(facts, "Required: true")
		}
		if e.hides(t) {
			facts = append(facts, "Sensitive: true")
		}
		if t.ciphertext {
			facts = append(facts, "Ciphertext: true")
		}
		e.p("{%s},", strings.Join(facts, ", "))
	}
	e.p("}")
}

func kind(s *shape) string {
	if len(s.Enum) > 0 {
		return "KindEnum"
	}
	return "Kind" + strings.ToUpper(s.Type[:1]) + s.Type[1:]
}

func (e *emitter) accessors(op operation) {
	for _, a := range []struct{ member, method, typ string }{
		{"DryRun", "DryRunMember", "bool"},
		{"GrantTokens", "GrantTokenMembers", "[]string"},
		{"Recipient", "RecipientMember", "*RecipientInfo"},
	} {
		if e.member(op.Input+"."+a.member) != nil {
			e.p("\n// %s gives the member %s.", a.method, a.member)
			e.p("func (in *%sInput) %s() %s { return in.%s }", op.Name, a.method, a.typ, a.member)
		}
	}
	if e.member(op.Output+"."+enclosed) != nil {
		e.enclose(op)
	}
}

// enclosed is the member in which answers to a recipient have what they keep secret.
const enclosed = "CiphertextForRecipient"

// enclose emits the turn of an answer into one for a recipient: the one sensitive member
// gives way to its ciphertext. KMS leaves out the id of the material then, too.
func (e *emitter) enclose(op operation) {
	out := e.byName[op.Output]
	var plain []string
	for _, t := range out.Members {
		if e.hides(t) {
			plain = append(plain, t.Name)
		}
	}
	if len(plain) != 1 {
		panic(op.Output + " does not have one sensitive member, but " + strings.Join(plain, ", "))
	}
	e.p("\n// Enclose has the secret of the answer encrypted, and leaves only that in it.")
	e.p("func (out *%s) Enclose(encrypt func(secret.Bytes) ([]byte, error)) error {", e.typeName(out))
	e.p("ciphertext, err := encrypt(out.%s)", plain[0])
	e.p("out.%s.Wipe()", plain[0])
	e.p("out.%s, out.%s = secret.Bytes{}, ciphertext", plain[0], enclosed)
	if e.member(op.Output+".KeyMaterialId") != nil {
		e.p("out.KeyMaterialId = \"\"")
	}
	e.p("return err\n}")
}
