package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// description is what the trimmed model keeps of botocore's form: facts, no
// prose. JSON objects whose order matters are read as lists of pairs.
type description struct {
	Metadata struct {
		Protocol     string `json:"protocol"`
		APIVersion   string `json:"apiVersion"`
		XMLNamespace string `json:"xmlNamespace"`
	} `json:"metadata"`
	Operations ordered[describedOperation] `json:"operations"`
	Shapes     ordered[describedShape]     `json:"shapes"`
}

type describedOperation struct {
	Input  reference   `json:"input"`
	Output reference   `json:"output"`
	Errors []reference `json:"errors"`
}

type describedShape struct {
	Type      string             `json:"type"`
	Min       *int64             `json:"min"`
	Max       *int64             `json:"max"`
	Pattern   string             `json:"pattern"`
	Enum      []string           `json:"enum"`
	Required  []string           `json:"required"`
	Members   ordered[reference] `json:"members"`
	Member    reference          `json:"member"`
	Key       reference          `json:"key"`
	Value     reference          `json:"value"`
	Sensitive bool               `json:"sensitive"`
	Exception bool               `json:"exception"`
	Fault     bool               `json:"fault"`
	Error     struct {
		Code   string `json:"code"`
		Status int    `json:"httpStatusCode"`
	} `json:"error"`
}

type reference struct {
	Shape string `json:"shape"`
}

// ordered is a JSON object in the order it was written in.
type ordered[T any] []pair[T]

type pair[T any] struct {
	name  string
	value T
}

func (o *ordered[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		var p pair[T]
		if err := json.UnmarshalDecode(d, &p.name); err != nil {
			return err
		}
		if err := json.UnmarshalDecode(d, &p.value); err != nil {
			return err
		}
		*o = append(*o, p)
	}
	_, err := d.ReadToken()
	return err
}

// trim writes the trimmed copy of the description in file from to file to, with
// the operations in only, or all.
func trim(from, source, to string, only []string) error {
	if source == "" {
		return errors.New("-trim needs -source")
	}
	text, err := readMaybeZipped(from)
	if err != nil {
		return err
	}
	var d description
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	m := d.trimmed(source)
	if len(only) > 0 {
		if err := m.keep(only); err != nil {
			return err
		}
	}
	out, err := m.lines()
	if err != nil {
		return err
	}
	return os.WriteFile(to, out, 0o644)
}

// lines prints the model with a line for each operation and each shape, in
// which form a difference between two releases is easy to read.
func (m *model) lines() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n\"source\": %q,\n", m.Source)
	if m.query() {
		fmt.Fprintf(&b, "\"version\": %q,\n\"namespace\": %q,\n", m.Version, m.Namespace)
	}
	b.WriteString("\"operations\": [")
	err := printItems(&b, m.Operations)
	b.WriteString("],\n\"shapes\": [")
	err = errors.Join(err, printItems(&b, m.Shapes))
	b.WriteString("]\n}\n")
	return b.Bytes(), err
}

func printItems[T any](b *bytes.Buffer, items []T) error {
	for i, item := range items {
		text, err := json.Marshal(item, jsontext.SpaceAfterComma(true), jsontext.SpaceAfterColon(true))
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n  ")
		b.Write(text)
	}
	b.WriteByte('\n')
	return nil
}

func readMaybeZipped(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		return text, err
	}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func (d *description) trimmed(source string) *model {
	m := &model{Source: source}
	if d.Metadata.Protocol == "query" {
		m.Version, m.Namespace = d.Metadata.APIVersion, d.Metadata.XMLNamespace
	}
	for _, o := range d.Operations {
		m.Operations = append(m.Operations, operation{
			Name: o.name, Input: o.value.Input.Shape, Output: o.value.Output.Shape, Errors: names(o.value.Errors),
		})
	}
	for _, s := range d.Shapes {
		m.Shapes = append(m.Shapes, s.value.trimmed(s.name))
	}
	return m
}

func (s *describedShape) trimmed(name string) *shape {
	t := &shape{
		Name: name, Type: s.Type, Min: s.Min, Max: s.Max, Pattern: s.Pattern, Enum: s.Enum,
		Item: s.Member.Shape, Key: s.Key.Shape, Value: s.Value.Shape, Sensitive: s.Sensitive,
	}
	if s.Exception { // its only member is the message
		t.Status = 400
		if s.Fault {
			t.Status = 500
		}
		if s.Error.Code != "" {
			t.Code, t.Status = s.Error.Code, s.Error.Status
		}
		return t
	}
	t.Required = s.Required
	for _, m := range s.Members {
		t.Members = append(t.Members, &member{Name: m.name, Shape: m.value.Shape})
	}
	return t
}

// keep drops all operations but some, and the shapes that only others need.
func (m *model) keep(only []string) error {
	m.index()
	needed := make(map[*shape]bool)
	var kept []operation
	for _, op := range m.Operations {
		if !slices.Contains(only, op.Name) {
			continue
		}
		kept = append(kept, op)
		for _, name := range append([]string{op.Input, op.Output}, op.Errors...) {
			m.reach(name, needed)
		}
	}
	if len(kept) != len(only) {
		return fmt.Errorf("of %d operations the description has %d", len(only), len(kept))
	}
	m.Operations = kept
	m.Shapes = slices.DeleteFunc(m.Shapes, func(s *shape) bool { return !needed[s] })
	return nil
}

func names(refs []reference) []string {
	var list []string
	for _, r := range refs {
		list = append(list, r.Shape)
	}
	return list
}
