package declare

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"

	"trent/internal/iam"
)

// policy reads a document, written as YAML or as JSON in a text, and gives it as
// JSON. It must be a policy of its kind; whether the principals that it names exist
// shows when it is applied.
func (r *reader) policy(n *yaml.Node, kind iam.PolicyKind, what string) string {
	if n == nil {
		return ""
	}
	var document string
	switch {
	case n.Kind == yaml.MappingNode:
		b, ok := r.appendJSON(nil, n, what)
		if !ok {
			return ""
		}
		document = string(b)
	case n.Kind == yaml.ScalarNode && strings.HasPrefix(strings.TrimSpace(n.Value), "{"):
		document = strings.TrimSpace(n.Value)
	default:
		r.refuse(n, "%s is to be a policy document: a mapping, or a text of JSON", what)
		return ""
	}
	p, err := iam.Parse(document)
	if err == nil {
		err = iam.Check(p, kind)
	}
	if err != nil {
		r.refuse(n, "%s is no policy that can be stored: %s", what, strings.TrimPrefix(err.Error(), "iam: "))
	}
	return document
}

// appendJSON writes a node as JSON. Policies know texts alone: a scalar becomes the
// text as it is written, so that 2012-10-17 is no date and 111122223333 no number.
func (r *reader) appendJSON(dst []byte, n *yaml.Node, what string) ([]byte, bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			r.refuse(n, "%s has an element without a value", what)
			return dst, false
		}
		dst, err := jsontext.AppendQuote(dst, n.Value)
		return dst, err == nil
	case yaml.SequenceNode:
		dst = append(dst, '[')
		for i, item := range n.Content {
			if i > 0 {
				dst = append(dst, ',')
			}
			var ok bool
			if dst, ok = r.appendJSON(dst, item, what); !ok {
				return dst, false
			}
		}
		return append(dst, ']'), true
	case yaml.MappingNode:
		dst = append(dst, '{')
		for i, f := range r.entries(n, what) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst, _ = jsontext.AppendQuote(dst, f.name.Value) // bad UTF-8 becomes U+FFFD, which no policy knows
			dst = append(dst, ':')
			var ok bool
			if dst, ok = r.appendJSON(dst, f.value, what); !ok {
				return dst, false
			}
		}
		return append(dst, '}'), true
	}
	return dst, false
}

// sameDocument reports whether two policies are the same but for white space and
// the order of names.
func sameDocument(a, b string) bool {
	x, y := jsontext.Value(a), jsontext.Value(b)
	if a == b {
		return true
	}
	return x.Canonicalize() == nil && y.Canonicalize() == nil && string(x) == string(y)
}

// namesPrincipals reports whether a trust policy may name somebody who has yet to be
// made. It says yes too often rather than too seldom.
func namesPrincipals(document string) bool {
	return strings.Contains(document, ":user/") || strings.Contains(document, ":role/") || strings.Contains(document, ":assumed-role/")
}
