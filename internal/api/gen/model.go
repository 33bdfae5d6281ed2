package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// A service is an API to make a vocabulary of.
type service struct {
	name string // of the model and of the overlay over it
	pkg  string // the package that the vocabulary is
	dir  string // of that package, within that of package api
}

var services = []service{
	{name: "kms", pkg: "api", dir: "."},
	{name: "iam", pkg: "iamapi", dir: "iamapi"},
	{name: "sts", pkg: "stsapi", dir: "stsapi"},
	{name: "admin", pkg: "adminapi", dir: "adminapi"},
}

func (s service) model() string { return "model/" + s.name + ".json" }

func (s service) overlay() string { return "model/" + s.name + "-overlay.json" }

// model is the trimmed description of a service. Version and Namespace are of
// those that speak the query protocol.
type model struct {
	Source     string      `json:"source"`
	Version    string      `json:"version,omitempty"`
	Namespace  string      `json:"namespace,omitempty"`
	Operations []operation `json:"operations"`
	Shapes     []*shape    `json:"shapes"`

	byName  map[string]*shape
	members map[string]bool // every member name in use
	decoded map[*shape]bool // reachable from an input
	encoded map[*shape]bool // reachable from an output
}

type operation struct {
	Name   string   `json:"name"`
	Input  string   `json:"input"`
	Output string   `json:"output,omitempty"`
	Errors []string `json:"errors"`
}

type shape struct {
	Name      string    `json:"name"`
	Type      string    `json:"type"`
	Min       *int64    `json:"min,omitempty"`
	Max       *int64    `json:"max,omitempty"`
	Pattern   string    `json:"pattern,omitempty"`
	Enum      []string  `json:"enum,omitempty"`
	Required  []string  `json:"required,omitempty"`
	Members   []*member `json:"members,omitempty"`
	Item      string    `json:"item,omitempty"`
	Key       string    `json:"key,omitempty"`
	Value     string    `json:"value,omitempty"`
	Sensitive bool      `json:"sensitive,omitzero"`
	Status    int       `json:"status,omitzero"` // of an exception
	Code      string    `json:"code,omitempty"`  // of an exception, where it is not its name

	goPattern string
	printed   []string // the enum as messages show it
}

type member struct {
	Name  string `json:"name"`
	Shape string `json:"shape"`

	always     bool // written even if empty
	sensitive  bool
	ciphertext bool
}

// overlay corrects and completes the description. Every entry says why.
type overlay struct {
	Operations []string // that the model is trimmed to; none: all
	Patterns   []struct {
		Shape, Pattern, Go, Reason string
	}
	Printed []struct {
		Shape  string
		Same   string // print the set of this enum instead
		Values []string
		Reason string
	}
	Always, Sensitive, Ciphertext []struct {
		Members []string // Shape.Member
		Reason  string
	}
}

// load reads the model of a service and lays the overlay over it.
func load(dir string, s service) (*model, error) {
	m, o := new(model), new(overlay)
	if err := read(filepath.Join(dir, s.model()), m); err != nil {
		return nil, err
	}
	if err := read(filepath.Join(dir, s.overlay()), o); err != nil {
		return nil, err
	}
	m.index()
	if err := m.lay(o); err != nil {
		return nil, fmt.Errorf("%s: %w", s.overlay(), err)
	}
	return m, nil
}

// query reports whether the service speaks the query protocol, and not JSON.
func (m *model) query() bool { return m.Namespace != "" }

func read(file string, to any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to, json.MatchCaseInsensitiveNames(true), json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func (m *model) index() {
	m.byName, m.members = map[string]*shape{}, map[string]bool{}
	for _, s := range m.Shapes {
		m.byName[s.Name] = s
		s.goPattern, s.printed = s.Pattern, s.Enum
		for _, member := range s.Members {
			m.members[member.Name] = true
		}
	}
	m.decoded, m.encoded = map[*shape]bool{}, map[*shape]bool{}
	for _, op := range m.Operations {
		m.reach(op.Input, m.decoded)
		m.reach(op.Output, m.encoded)
	}
}

// reach marks a shape and all that it is made of.
func (m *model) reach(name string, seen map[*shape]bool) {
	s := m.byName[name]
	if s == nil || seen[s] {
		return
	}
	seen[s] = true
	for _, part := range []string{s.Item, s.Key, s.Value} {
		m.reach(part, seen)
	}
	for _, member := range s.Members {
		m.reach(member.Shape, seen)
	}
}

func (m *model) lay(o *overlay) error {
	for _, p := range o.Patterns {
		s := m.byName[p.Shape]
		if s == nil || p.Reason == "" {
			return fmt.Errorf("pattern of %s: no such shape, or no reason", p.Shape)
		}
		if p.Pattern != "" {
			s.Pattern = p.Pattern
		}
		s.goPattern = p.Go
	}
	for _, p := range o.Printed {
		s := m.byName[p.Shape]
		if s == nil || p.Reason == "" {
			return fmt.Errorf("enum %s: no such shape, or no reason", p.Shape)
		}
		if s.printed = p.Values; p.Same == "" && !sameSet(p.Values, s.Enum) {
			return fmt.Errorf("enum %s: not the values of the model", p.Shape)
		}
	}
	// Only now: the sets that are printed for others are known.
	for _, p := range o.Printed {
		if p.Same != "" {
			m.byName[p.Shape].printed = m.byName[p.Same].printed
		}
	}
	for _, a := range o.Always {
		if err := m.mark(a.Members, a.Reason, func(t *member) { t.always = true }); err != nil {
			return err
		}
	}
	for _, a := range o.Sensitive {
		if err := m.mark(a.Members, a.Reason, func(t *member) { t.sensitive = true }); err != nil {
			return err
		}
	}
	for _, a := range o.Ciphertext {
		if err := m.mark(a.Members, a.Reason, func(t *member) { t.ciphertext = true }); err != nil {
			return err
		}
	}
	return nil
}

func (m *model) mark(members []string, reason string, set func(*member)) error {
	for _, name := range members {
		found := m.named(name)
		if len(found) == 0 || reason == "" {
			return fmt.Errorf("%s: no such member, or no reason", name)
		}
		for _, t := range found {
			set(t)
		}
	}
	return nil
}

// named finds Shape.Member, or with * for the shape all members of the name.
func (m *model) named(name string) []*member {
	var found []*member
	if all, ok := strings.CutPrefix(name, "*."); ok {
		for _, s := range m.Shapes {
			if t := m.member(s.Name + "." + all); t != nil {
				found = append(found, t)
			}
		}
		return found
	}
	if t := m.member(name); t != nil {
		found = append(found, t)
	}
	return found
}

// member finds Shape.Member.
func (m *model) member(name string) *member {
	owner, name, _ := strings.Cut(name, ".")
	if s := m.byName[owner]; s != nil {
		for _, t := range s.Members {
			if t.Name == name {
				return t
			}
		}
	}
	return nil
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func (m *model) shapeOf(t *member) *shape { return m.byName[t.Shape] }

// secret reports whether a member is a secret itself.
func (m *model) secret(t *member) bool { return t.sensitive || m.shapeOf(t).Sensitive }

// hides reports whether a member is a secret or has one inside.
func (m *model) hides(t *member) bool {
	return m.secret(t) || m.holdsSecret(m.shapeOf(t))
}

func (m *model) holdsSecret(s *shape) bool {
	if item := m.byName[s.Item]; item != nil && (item.Sensitive || m.holdsSecret(item)) {
		return true
	}
	return slices.ContainsFunc(s.Members, m.hides)
}

// structures lists the structures of the model in order, save the exceptions,
// each with its Go name.
func (m *model) structures(reachable map[*shape]bool) []*shape {
	var list []*shape
	for _, s := range m.Shapes {
		if s.Type == "structure" && s.Status == 0 && reachable[s] {
			list = append(list, s)
		}
	}
	return list
}

func (m *model) enums() []*shape {
	var list []*shape
	for _, s := range m.Shapes {
		if len(s.Enum) > 0 {
			list = append(list, s)
		}
	}
	return list
}

func (m *model) exceptions() []*shape {
	var list []*shape
	for _, s := range m.Shapes {
		if s.Status != 0 {
			list = append(list, s)
		}
	}
	return list
}
