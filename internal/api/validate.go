package api

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"trent/internal/fault"
)

// The phrases of violated constraints.
const (
	mustNotBeNull   = "Member must not be null"
	lengthAtLeast   = "Member must have length greater than or equal to "
	lengthAtMost    = "Member must have length less than or equal to "
	valueAtLeast    = "Member must have value greater than or equal to "
	valueAtMost     = "Member must have value less than or equal to "
	mustMatch       = "Member must satisfy regular expression pattern: "
	mustBeOneOf     = "Member must satisfy enum value set: "
	itemsMustBeGood = "Member must satisfy constraint: "
)

// A path leads to a member from the outside in. It lives on the stack: nothing
// is allocated for it until there is something to report.
type path struct {
	up     *path
	member string // lower-case first; empty for an item of a list
	item   int    // counted from 1
}

func (p path) append(dst []byte) []byte {
	if p.up != nil {
		dst = append(p.up.append(dst), '.')
	}
	if p.member != "" {
		return append(dst, p.member...)
	}
	dst = strconv.AppendInt(dst, int64(p.item), 10)
	return append(dst, ".member"...)
}

// violations gathers all that is wrong with a request into one message.
type violations struct {
	count int
	text  []byte
}

// fault gives the verdict: nil, or one ValidationException.
func (v *violations) fault() error {
	switch v.count {
	case 0:
		return nil
	case 1:
		return fault.New(ValidationException, "1 validation error detected: "+string(v.text))
	}
	return fault.New(ValidationException, strconv.Itoa(v.count)+" validation errors detected: "+string(v.text))
}

// value reports a violation and shows the offending value, or as much of it as
// helps to find the mistake: the message goes back to the caller and into the
// audit record.
func (v *violations) value(at path, value, phrase string) {
	v.add(" '"+abridged(value)+"'", at, phrase)
}

// maxShown bounds how much of a value is shown, in bytes.
const maxShown = 1024

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

// hidden reports a violation without showing the value.
func (v *violations) hidden(at path, phrase string) { v.add("", at, phrase) }

// null reports a missing member that is not sensitive.
func (v *violations) null(at path) { v.add(" null", at, mustNotBeNull) }

func (v *violations) add(value string, at path, phrase string) {
	if v.count++; v.count > 1 {
		v.text = append(v.text, "; "...)
	}
	v.text = append(append(v.text, "Value"...), value...)
	v.text = at.append(append(v.text, " at '"...))
	v.text = append(v.text, "' failed to satisfy constraint: "...)
	v.text = append(v.text, phrase...)
}

// units counts UTF-16 code units, the characters of the service's own language.
func units[S string | []byte](s S) int {
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

// listed prints a list as the service does.
func listed[S ~string](list []S) string {
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
