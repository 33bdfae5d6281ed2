// Package check gathers all that is wrong with a request into one message, in
// the words of AWS: "2 validation errors detected: Value ” at 'keyId' failed to
// satisfy constraint: …". The checks themselves are generated from the models of
// the services; each service gives the verdict its own code.
package check

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"trent/internal/fault"
)

// The phrases of violated constraints.
const (
	MustNotBeNull   = "Member must not be null"
	LengthAtLeast   = "Member must have length greater than or equal to "
	LengthAtMost    = "Member must have length less than or equal to "
	ValueAtLeast    = "Member must have value greater than or equal to "
	ValueAtMost     = "Member must have value less than or equal to "
	MustMatch       = "Member must satisfy regular expression pattern: "
	MustBeOneOf     = "Member must satisfy enum value set: "
	ItemsMustBeGood = "Member must satisfy constraint: "
)

// A Path leads to a member from the outside in. It lives on the stack: nothing
// is allocated for it until there is something to report.
type Path struct {
	up     *Path
	member string // lower-case first; empty for an item of a list
	item   int    // counted from 1
}

// At is the path of a member within what is at up; nil: of the request itself.
func At(up *Path, member string) Path { return Path{up: up, member: member} }

// Item is the path of an item, counted from 1, of the list at up.
func Item(up *Path, n int) Path { return Path{up: up, item: n} }

func (p Path) append(dst []byte) []byte {
	if p.up != nil {
		dst = append(p.up.append(dst), '.')
	}
	if p.member != "" {
		return append(dst, p.member...)
	}
	dst = strconv.AppendInt(dst, int64(p.item), 10)
	return append(dst, ".member"...)
}

// Violations is all that is wrong with one request.
type Violations struct {
	count int
	text  []byte
}

// Fault gives the verdict: nil, or one refusal with the service's code for it.
func (v *Violations) Fault(code fault.Code) error {
	switch v.count {
	case 0:
		return nil
	case 1:
		return fault.New(code, "1 validation error detected: "+string(v.text))
	}
	return fault.New(code, strconv.Itoa(v.count)+" validation errors detected: "+string(v.text))
}

// Value reports a violation and shows the offending value.
func (v *Violations) Value(at Path, value, phrase string) {
	v.add(" '"+abridged(value)+"'", at, phrase)
}

// The message goes back to the caller and into the audit record, so it is bounded: of
// a value maxShown bytes are shown, and beyond maxText bytes violations are only
// counted.
const (
	maxShown = 1024
	maxText  = 8 << 10
)

func abridged(s string) string {
	if len(s) <= maxShown {
		return s
	}
	end := maxShown
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// Hidden reports a violation without showing the value.
func (v *Violations) Hidden(at Path, phrase string) { v.add("", at, phrase) }

// Null reports a missing member that is not sensitive.
func (v *Violations) Null(at Path) { v.add(" null", at, MustNotBeNull) }

func (v *Violations) add(value string, at Path, phrase string) {
	switch v.count++; {
	case len(v.text) > maxText:
		return
	case v.count > 1:
		v.text = append(v.text, "; "...)
	}
	v.text = append(append(v.text, "Value"...), value...)
	v.text = at.append(append(v.text, " at '"...))
	v.text = append(v.text, "' failed to satisfy constraint: "...)
	v.text = append(v.text, phrase...)
}

// Units counts UTF-16 code units, the characters of the service's own language.
func Units[S string | []byte](s S) int {
	n := 0
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i, n = i+1, n+1
			continue
		}
		size := sequence(s[i])
		i += size
		n++
		if size == 4 {
			n++ // a surrogate pair
		}
	}
	return n
}

// sequence is the length of the UTF-8 sequence that begins with this byte.
// Decoding has refused all that is not UTF-8.
func sequence(first byte) int {
	switch {
	case first >= 0xF0:
		return 4
	case first >= 0xE0:
		return 3
	default:
		return 2
	}
}

// Listed prints a list as the service does.
func Listed[S ~string](list []S) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, s := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(s))
	}
	b.WriteByte(']')
	return b.String()
}
