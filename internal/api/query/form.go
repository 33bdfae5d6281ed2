package query

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"trent/internal/fault"
	"trent/internal/secret"
)

// What a form may hold, far more than any good one does.
const (
	maxParameters = 1024
	maxItems      = 1024 // of a list, and the largest number of an item
	maxNameSize   = 256  // of a parameter's name, in bytes
	maxDepth      = 8    // parts of a name
)

// Operation reads what a form asks for: its parameters Action and Version. It is
// asked before anybody is authenticated, and reads no more than these.
func Operation(body []byte) (action, version string, err error) {
	for rest, more := body, true; more; {
		var pair []byte
		pair, rest, more = bytes.Cut(rest, []byte{'&'})
		name, value, _ := bytes.Cut(pair, []byte{'='})
		var field *string
		switch string(name) {
		case "Action":
			field = &action
		case "Version":
			field = &version
		default:
			continue
		}
		if *field != "" {
			return "", "", malformed("a parameter is there twice")
		}
		if len(value) > maxNameSize {
			return "", "", malformed("the name of an action is too long")
		}
		*field = string(value)
	}
	if action == "" {
		return "", "", fault.New(MissingAction, "The request must contain the parameter Action.")
	}
	return action, version, nil
}

// A Form is the body of a request, taken apart.
type Form struct {
	text   []byte // all values, decoded, one after another
	values map[string]span
	lists  map[string]*list
	err    error // the first value that could not be read
}

type span struct{ from, to int }

// list counts the items of a list, and the largest of their numbers.
type list struct {
	items   map[int]struct{}
	largest int
}

// ParseForm takes the body of a request apart. It keeps no part of body. Wipe the
// form after use: it may hold a secret.
func ParseForm(body []byte) (*Form, error) {
	if bytes.Count(body, []byte{'&'}) >= maxParameters {
		return nil, malformed("there are too many parameters")
	}
	f := &Form{text: make([]byte, 0, len(body)), values: make(map[string]span), lists: make(map[string]*list)}
	for rest, more := body, len(body) > 0; more; {
		var pair []byte
		pair, rest, more = bytes.Cut(rest, []byte{'&'})
		if err := f.add(pair); err != nil {
			f.Wipe()
			return nil, err
		}
	}
	for _, l := range f.lists {
		if l.largest != len(l.items) {
			f.Wipe()
			return nil, malformed("the numbers of a list have a gap")
		}
	}
	return f, nil
}

// Wipe overwrites all values.
func (f *Form) Wipe() { clear(f.text[:cap(f.text)]) }

func (f *Form) add(pair []byte) error {
	rawName, rawValue, found := bytes.Cut(pair, []byte{'='})
	if !found || len(rawName) == 0 || len(rawName) > maxNameSize {
		return malformed("a parameter has no name, no value, or a name that is too long")
	}
	name, ok := unescape(nil, rawName)
	if !ok {
		return malformed("a parameter's name is not well-formed")
	}
	if _, twice := f.values[string(name)]; twice {
		return malformed("a parameter is there twice")
	}
	start := len(f.text)
	if f.text, ok = unescape(f.text, rawValue); !ok || !utf8.Valid(f.text[start:]) {
		return malformed("a parameter's value is not well-formed")
	}
	f.values[string(name)] = span{start, len(f.text)}
	return f.number(string(name))
}

// number takes note of the items of lists in a name, such as Tags.member.2.Key.
func (f *Form) number(name string) error {
	if strings.Count(name, ".") >= maxDepth {
		return malformed("a parameter's name has too many parts")
	}
	for at := 0; ; {
		i := strings.Index(name[at:], itemInfix)
		if i < 0 {
			return nil
		}
		digits, _, _ := strings.Cut(name[at+i+len(itemInfix):], ".")
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > maxItems || strconv.Itoa(n) != digits {
			return malformed("the number of an item is none from 1 on")
		}
		l := f.lists[name[:at+i]]
		if l == nil {
			l = &list{items: make(map[int]struct{})}
			f.lists[name[:at+i]] = l
		}
		l.items[n] = struct{}{}
		l.largest = max(l.largest, n)
		at += i + len(itemInfix)
	}
}

const itemInfix = ".member."

// Item is the name of the item, counted from 1, of a list.
func Item(name string, n int) string { return name + itemInfix + strconv.Itoa(n) }

// Err is why a member could not be read, or nil.
func (f *Form) Err() error { return f.err }

func (f *Form) value(name string) ([]byte, bool) {
	s, ok := f.values[name]
	return f.text[s.from:s.to], ok && f.err == nil
}

// The methods that read a member report whether it was there.

// String reads a text.
func (f *Form) String(name string, to *string) bool {
	v, ok := f.value(name)
	if ok {
		*to = string(v)
	}
	return ok
}

// SecretString reads a text that must not be shown.
func (f *Form) SecretString(name string, to *secret.Bytes) bool {
	v, ok := f.value(name)
	if ok {
		*to = secret.New(bytes.Clone(v))
	}
	return ok
}

// Boolean reads true or false.
func (f *Form) Boolean(name string, to *bool) bool {
	v, ok := f.value(name)
	switch {
	case !ok:
		return false
	case string(v) == "true":
		*to = true
	case string(v) != "false":
		f.refuse(name, "true or false")
	}
	return f.err == nil
}

// Integer reads a whole number of 32 bits.
func (f *Form) Integer(name string, to *int) bool {
	v, ok := f.value(name)
	if !ok {
		return false
	}
	n, err := strconv.ParseInt(string(v), 10, 32)
	if err != nil {
		f.refuse(name, "an integer")
		return false
	}
	*to = int(n)
	return true
}

// Enum reads a text that is one of some values, or any other.
func Enum[E ~string](f *Form, name string, to *E) bool {
	v, ok := f.value(name)
	if ok {
		*to = E(v)
	}
	return ok
}

// List reports how many items a list has, and whether it is there. An empty list
// is sent as a parameter of its name without a value.
func (f *Form) List(name string) (n int, ok bool) {
	empty, there := f.value(name)
	if l := f.lists[name]; l != nil {
		n = l.largest
	}
	if there && (n > 0 || len(empty) > 0) {
		f.refuse(name, "a list")
	}
	return n, (there || n > 0) && f.err == nil
}

// Strings reads a list of texts.
func (f *Form) Strings(name string, to *[]string) bool {
	n, ok := f.List(name)
	if !ok {
		return false
	}
	*to = make([]string, n)
	for i := range *to {
		if item := Item(name, i+1); !f.String(item, &(*to)[i]) && f.err == nil {
			f.refuse(item, "a text")
		}
	}
	return f.err == nil
}

// Within reports whether a member of the structure of this name is there.
func (f *Form) Within(name string) bool {
	for n := range f.values {
		if strings.HasPrefix(n, name+".") {
			return f.err == nil
		}
	}
	return false
}

// refuse names the parameter, which is one of the model's, and not its value.
func (f *Form) refuse(name, wanted string) {
	if f.err == nil {
		f.err = fault.Newf(InvalidParameterValue, "The parameter %s must be %s.", name, wanted)
	}
}

// unescape appends what percent-encoding and + stand for. It reports false where
// a percent sign has no two hexadecimal digits behind it.
func unescape(dst, s []byte) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(s) {
				return dst, false
			}
			hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
			if hi < 0 || lo < 0 {
				return dst, false
			}
			c, i = byte(hi<<4|lo), i+2
		}
		dst = append(dst, c)
	}
	return dst, true
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// malformed never quotes the form, which may hold a secret.
func malformed(what string) error {
	return fault.New(MalformedQueryString, fmt.Sprintf("The request is not a well-formed form: %s.", what))
}
