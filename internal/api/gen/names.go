package main

import (
	"strings"
	"unicode"
)

// typeName is the Go name of a structure or an enum. The suffix of
// KeyUsageType or SigningAlgorithmSpec goes where a member shows that the rest
// is a name of its own; MessageType and KeySpec, being members themselves, stay.
func (m *model) typeName(s *shape) string {
	for _, op := range m.Operations {
		switch s.Name {
		case op.Input:
			return op.Name + "Input"
		case op.Output:
			return op.Name + "Output"
		}
	}
	if m.members[s.Name] {
		return s.Name
	}
	name := upperFirst(s.Name)
	for _, suffix := range []string{"Type", "Spec"} {
		if short, ok := strings.CutSuffix(name, suffix); ok && (m.members[short] || m.members[short+"s"]) {
			return short
		}
	}
	return name
}

// goName is the name of a member's field.
func (t *member) goName() string { return upperFirst(t.Name) }

// codeName is the name of an error's constant.
func (s *shape) codeName() string {
	if s.Code != "" {
		return s.Code
	}
	return s.Name
}

// words that are not written as Title case in Go names.
var words = map[string]string{
	"CLOUDHSM": "CloudHSM", "HSMS": "HSMs",
	"V1": "V1", "P256K1": "P256K1", "PKCS1": "PKCS1", "EDWARDS25519": "Edwards25519",
}

var initialisms = strings.Fields(`AES AWS DSA ECC ECDH ECDSA ED25519 HMAC HSM KEM KMS ML MU NIST OAEP PH PSS RAM
	RSA RSAES RSASSA SECG SHA SM2 SM2DSA SM2PKE TLS URI VPC XKS P256 P384 P521 SHAKE`)

// valueName is the last part of the name of an enum's constant.
func valueName(value string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(value, "_") {
		b.WriteString(word(part))
	}
	return b.String()
}

func word(part string) string {
	if special, ok := words[part]; ok {
		return special
	}
	for _, i := range initialisms {
		if part == i {
			return part
		}
	}
	if part != strings.ToUpper(part) { // already in mixed case: GenerateDataKey
		return part
	}
	return part[:1] + strings.ToLower(part[1:])
}

func upperFirst(s string) string {
	return string(unicode.ToUpper(rune(s[0]))) + s[1:]
}

func lowerFirst(s string) string {
	return string(unicode.ToLower(rune(s[0]))) + s[1:]
}

// goType is the type of a field.
func (m *model) goType(t *member) string {
	s := m.shapeOf(t)
	switch s.Type {
	case "string":
		if m.secret(t) {
			return "secret.Bytes"
		}
		return m.elementType(s)
	case "blob":
		if m.secret(t) {
			return "secret.Bytes"
		}
		return "[]byte"
	case "structure":
		return "*" + m.typeName(s)
	case "list":
		return "[]" + m.elementType(m.byName[s.Item])
	case "map":
		return "map[string]string"
	default:
		return m.elementType(s)
	}
}

func (m *model) elementType(s *shape) string {
	switch s.Type {
	case "string":
		if len(s.Enum) == 0 {
			return "string"
		}
		return m.typeName(s)
	case "structure":
		return m.typeName(s)
	case "integer":
		return "int"
	case "long":
		return "int64"
	case "boolean":
		return "bool"
	case "timestamp":
		return "time.Time"
	}
	panic("no Go type for shape " + s.Name)
}
