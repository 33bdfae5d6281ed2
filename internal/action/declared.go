package action

import (
	"strings"

	"trent/internal/secret"
)

// Declared is what became of a declaration (docs/spec/declaration.md): every
// change that it asked for, in order, and how far they were made.
type Declared struct {
	Changes    []DeclaredChange
	AccessKeys []DeclaredKey // that were made, whatever failed later
	Failure    string        // why the first change that is not Done could not be made
}

// A DeclaredChange is one change, as people read it. It holds no secret.
type DeclaredChange struct {
	Effect Effect
	Entity string // such as user payments/app
	Aspect string // of the entity; empty: all of it
	Done   bool
}

// An Effect is what a change does.
type Effect byte

// The effects, as plans write them.
const (
	Creates Effect = '+'
	Updates Effect = '~'
	Removes Effect = '-'
)

// String is the line of a plan.
func (c DeclaredChange) String() string {
	line := string(rune(c.Effect)) + " " + c.Entity
	if c.Aspect != "" {
		line += ": " + c.Aspect
	}
	return line
}

// Progress says what was done, what failed and why, and what was not tried after that: a
// line for each change.
func (d *Declared) Progress() string {
	var lines []string
	failed := false
	for _, c := range d.Changes {
		switch {
		case c.Done:
			lines = append(lines, "done     "+c.String())
		case !failed:
			failed = true
			lines = append(lines, "failed   "+c.String()+": "+d.Failure)
		default:
			lines = append(lines, "not yet  "+c.String())
		}
	}
	return strings.Join(lines, "\n")
}

// A DeclaredKey is an access key that was made, with its secret.
type DeclaredKey struct {
	Account, User string
	ID            string
	Secret        secret.Bytes
	Other         string // id of the access key that the user had already, or empty
	File          string // where the declaration wants it written down
}
