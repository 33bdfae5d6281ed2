package declare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// Bounds of a document.
const (
	MaxSize  = 1 << 20 // in bytes
	maxDepth = 32
)

// maxProblems is how many are told at once.
const maxProblems = 20

// maxProblem bounds what is said of one thing that is wrong, in bytes.
const maxProblem = 512

// A reader takes a document apart and gathers what is wrong with it, each with
// its line. What it says quotes names, and never values: those may be secrets, and it
// goes into logs.
type reader struct {
	problems []problem
	fixedAt  int // see Declaration
}

type problem struct {
	line int
	text string
}

func (r *reader) refuse(n *yaml.Node, format string, args ...any) {
	if len(r.problems) < maxProblems {
		text := strings.Map(func(c rune) rune {
			if !unicode.IsPrint(c) {
				return unicode.ReplacementChar
			}
			return c
		}, fmt.Sprintf(format, args...))
		r.problems = append(r.problems, problem{n.Line, text[:min(len(text), maxProblem)]})
	}
}

func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b problem) int { return a.line - b.line })
	var lines []string
	for _, p := range r.problems {
		lines = append(lines, fmt.Sprintf("line %d: %s", p.line, p.text))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// document reads the one document of a text, and refuses what could make it larger
// than it looks. The tree is not followed through aliases: there are none.
func document(text []byte) (*yaml.Node, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("the declaration has more than %d bytes: divide it, and apply one part after another", MaxSize)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	var n, more yaml.Node
	if err := d.Decode(&n); errors.Is(err, io.EOF) {
		return nil, errors.New("the declaration is empty: it begins with version: 1")
	} else if err != nil {
		return nil, notYAML(err)
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one YAML document: remove the line --- between them")
	}
	if len(n.Content) != 1 {
		return nil, errors.New("the declaration is empty: it begins with version: 1")
	}
	return n.Content[0], sound(n.Content[0], 1)
}

// notYAML keeps the line of a parser's error, and nothing that it may quote.
func notYAML(err error) error {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "line "); ok {
		digits := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
		if digits > 0 {
			return fmt.Errorf("line %s: this is not YAML", rest[:digits])
		}
	}
	return errors.New("this is not YAML")
}

// sound refuses anchors, aliases, tags and what is nested too deep.
func sound(n *yaml.Node, depth int) error {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return fmt.Errorf("line %d: anchors and aliases (& and *) are not taken: write it out", n.Line)
	case n.Style&yaml.TaggedStyle != 0:
		return fmt.Errorf("line %d: tags (!) are not taken: write the value alone", n.Line)
	case depth > maxDepth:
		return fmt.Errorf("line %d: this is nested more than %d deep", n.Line, maxDepth)
	}
	for _, c := range n.Content {
		if err := sound(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// A field of a mapping.
type field struct{ name, value *yaml.Node }

// entries reads a mapping: what is there, in its order, each name once.
func (r *reader) entries(n *yaml.Node, what string) []field {
	if n.Kind != yaml.MappingNode {
		r.refuse(n, "%s is to be a mapping (name: value)", what)
		return nil
	}
	var all []field
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		switch {
		case name.Kind != yaml.ScalarNode:
			r.refuse(name, "%s has a name that is no text", what)
			continue
		case seen[name.Value]:
			r.refuse(name, "%s has %s twice: keep one", what, quoted(name.Value))
			continue
		}
		seen[name.Value] = true
		all = append(all, field{name, value})
	}
	return all
}

// quoted is a name in a message. What is longer than any field may be a value in the
// wrong place.
func quoted(name string) string {
	if len(name) > 24 {
		return "of this name"
	}
	return strconv.Quote(name)
}

// fields reads a mapping whose names are known.
func (r *reader) fields(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	got := make(map[string]*yaml.Node)
	for _, f := range r.entries(n, what) {
		if !slices.Contains(known, f.name.Value) {
			r.refuse(f.name, "%s has no field %s: its fields are %s", what, quoted(f.name.Value), strings.Join(known, ", "))
			continue
		}
		got[f.name.Value] = f.value
	}
	return got
}

// items reads a list; of nothing it has none.
func (r *reader) items(n *yaml.Node, what string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.refuse(n, "%s is to be a list (- item)", what)
		return nil
	}
	return n.Content
}

// some reads a list of so many items at most.
func (r *reader) some(n *yaml.Node, what string, most int) []*yaml.Node {
	all := r.items(n, what)
	if len(all) > most {
		r.refuse(n, "%s has more than %d items", what, most)
		all = all[:most]
	}
	return all
}

// text reads a scalar as it is written: an account of twelve digits is no number, and
// a date no time.
func (r *reader) text(n *yaml.Node, what string) string {
	switch {
	case n == nil:
		return ""
	case n.Kind != yaml.ScalarNode:
		r.refuse(n, "%s is to be a text", what)
		return ""
	case n.ShortTag() == "!!null":
		r.refuse(n, `%s has no value: write one, or "" for an empty text, or leave the line out`, what)
		return ""
	}
	return n.Value
}

// required is text for what must be there.
func (r *reader) required(in *yaml.Node, n *yaml.Node, what string) string {
	if n == nil {
		r.refuse(in, "%s is missing", what)
		return ""
	}
	t := r.text(n, what)
	if t == "" && n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		r.refuse(n, "%s is empty", what)
	}
	return t
}

// texts reads a list of so many different texts at most.
func (r *reader) texts(n *yaml.Node, what string, most int) []string {
	var all []string
	for _, item := range r.some(n, what, most) {
		t := r.text(item, "an item of "+what)
		if slices.Contains(all, t) {
			r.refuse(item, "%s has an item twice: keep one", what)
			continue
		}
		all = append(all, t)
	}
	return all
}

func (r *reader) flag(n *yaml.Node, what string) *bool {
	if n == nil {
		return nil
	}
	on := n.Value == "true"
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || !on && n.Value != "false" {
		r.refuse(n, "%s is to be true or false", what)
	}
	return &on
}

func (r *reader) number(n *yaml.Node, what string, least, most int) int {
	if n == nil {
		return 0
	}
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || v < least || v > most {
		r.refuse(n, "%s is to be a number from %d to %d", what, least, most)
	}
	return v
}

// optional is text that may be left out, which is not the same as empty.
func (r *reader) optional(n *yaml.Node, what string) *string {
	if n == nil {
		return nil
	}
	t := r.text(n, what)
	return &t
}

// pairs reads a mapping of texts.
func (r *reader) pairs(n *yaml.Node, what string) []Pair {
	if n == nil {
		return nil
	}
	var all []Pair
	for _, f := range r.entries(n, what) {
		all = append(all, Pair{f.name.Value, r.text(f.value, what+" "+f.name.Value)})
	}
	return all
}
