package iam

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds nesting; a document of this language needs six levels.
const maxDepth = 16

// A document is a policy as JSON has it. Members are matched in exact case;
// duplicates, unknown members, null and invalid UTF-8 are refused by the
// decoder.
type document struct {
	Version   optional[jsonString] `json:"Version"`
	ID        jsonString           `json:"Id"`
	Statement jsonStatements       `json:"Statement"`
}

type jsonStatement struct {
	SID          jsonString              `json:"Sid"`
	Effect       jsonString              `json:"Effect"`
	Principal    optional[jsonPrincipal] `json:"Principal"`
	NotPrincipal optional[jsonPrincipal] `json:"NotPrincipal"`
	Action       optional[jsonStrings]   `json:"Action"`
	NotAction    optional[jsonStrings]   `json:"NotAction"`
	Resource     optional[jsonStrings]   `json:"Resource"`
	NotResource  optional[jsonStrings]   `json:"NotResource"`
	Condition    optional[jsonObject]    `json:"Condition"`
}

// optional tells an element that is absent from one that is empty.
type optional[T any] struct {
	present bool
	value   T
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *optional[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	o.present = true
	return json.UnmarshalDecode(d, &o.value)
}

// decodeDocument takes a whole text, and nothing behind it.
func decodeDocument(text string) (*document, error) {
	d := new(document)
	return d, json.Unmarshal([]byte(text), d, json.RejectUnknownMembers(true))
}

var (
	errKind      = errors.New("iam: another JSON type is expected")
	errPrincipal = errors.New(`iam: a principal must be "*" or an object of lists`)
)

// jsonString is a string, and not null.
type jsonString string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (s *jsonString) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '"' {
		return errKind
	}
	return json.UnmarshalDecode(d, (*string)(s))
}

// jsonStrings is a string or a list of strings.
type jsonStrings []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *jsonStrings) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return oneOrMore(d, '"', func() error {
		var s jsonString
		err := json.UnmarshalDecode(d, &s)
		*l = append(*l, string(s))
		return err
	})
}

// jsonStatements is a statement or a list of them.
type jsonStatements []jsonStatement

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *jsonStatements) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return oneOrMore(d, '{', func() error {
		if d.PeekKind() != '{' {
			return errKind
		}
		*l = append(*l, jsonStatement{})
		return json.UnmarshalDecode(d, &(*l)[len(*l)-1])
	})
}

// jsonPrincipal is "*" or an object of lists, in the order of the text.
type jsonPrincipal struct {
	anyone bool
	kinds  []jsonMember[jsonStrings]
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (p *jsonPrincipal) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	switch d.PeekKind() {
	case '"':
		var s jsonString
		err := json.UnmarshalDecode(d, &s)
		if s != "*" {
			err = errPrincipal
		}
		p.anyone = true
		return err
	case '{':
		return eachMember(d, &p.kinds)
	}
	return errPrincipal
}

// jsonObject is the Condition: operators with their keys, keys with their
// values, in the order of the text.
type jsonObject []jsonMember[jsonOperands]

type jsonOperands []jsonMember[jsonScalars]

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *jsonObject) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return eachMember(d, (*[]jsonMember[jsonOperands])(o))
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *jsonOperands) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return eachMember(d, (*[]jsonMember[jsonScalars])(o))
}

// jsonScalars is a string, number or boolean, or a list of them, as text:
// around numbers and booleans quotation marks are optional.
type jsonScalars []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *jsonScalars) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return oneOrMore(d, 0, func() error {
		switch d.PeekKind() {
		case '"', '0', 't', 'f':
		default:
			return errKind
		}
		t, err := d.ReadToken()
		if err != nil {
			return err
		}
		if _, exact := parseNumber(t.String()); t.Kind() == '0' && !exact {
			return errKind
		}
		*l = append(*l, t.String())
		return nil
	})
}

// A jsonMember is one member of an object.
type jsonMember[T any] struct {
	name  string
	value T
}

// eachMember reads an object into a list.
func eachMember[T any](d *jsontext.Decoder, list *[]jsonMember[T]) error {
	if d.PeekKind() != '{' {
		return errKind
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		var m jsonMember[T]
		if err := json.UnmarshalDecode(d, &m.name); err != nil {
			return err
		}
		if err := json.UnmarshalDecode(d, &m.value); err != nil {
			return err
		}
		*list = append(*list, m)
	}
	_, err := d.ReadToken()
	return err
}

// oneOrMore calls read for the next value or, of an array, for each item. Of
// kind, if it is not zero, a value that stands alone must be.
func oneOrMore(d *jsontext.Decoder, kind jsontext.Kind, read func() error) error {
	if d.PeekKind() != '[' {
		if kind != 0 && d.PeekKind() != kind {
			return errKind
		}
		return read()
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != ']' {
		if err := read(); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// depth is the deepest nesting of brackets outside strings.
func depth(text string) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}
