package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// printJSON prints any value indented. Members that the answer did not have, and
// that the SDK's types have as null or as an empty string, are left out.
func printJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(present(plain))
}

// present drops members without a value, at any depth.
func present(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = present(v[i])
		}
	case map[string]any:
		for name, member := range v {
			if member == nil || member == "" {
				delete(v, name)
			} else {
				v[name] = present(member)
			}
		}
	}
	return v
}

// printTable prints rows under a heading.
func printTable(w io.Writer, heading []string, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(heading, "\t"))
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(shownEach(row), "\t"))
	}
	return t.Flush()
}

// A fact is one line of a description.
type fact struct{ name, value string }

// printFacts prints a description, leaving out what has no value.
func printFacts(w io.Writer, facts []fact) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range facts {
		if f.value != "" {
			fmt.Fprintf(t, "%s\t%s\n", f.name, shown(f.value))
		}
	}
	return t.Flush()
}

// shown is a text that somebody else wrote, for a terminal, which would obey the
// control characters in it. A line feed would make up lines of ours.
func shown(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return unicode.ReplacementChar
	}, s)
}

func shownEach(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = shown(s)
	}
	return out
}

func date(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
