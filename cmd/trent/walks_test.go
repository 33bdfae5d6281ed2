package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each walk of docs/operations.md is a script that runs: what is to be typed in the section "First
// start" stands, letter by letter, in walk-first-start.txtar. There is a script for each section and a
// section for each script.
func TestWalks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob(filepath.Join("..", "..", "testdata", "scripts", "walk-*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	walks := walksOf(string(text))
	for _, path := range scripts {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "walk-"), ".txtar")
		commands, ok := walks[name]
		if !ok {
			t.Errorf("%s is the walk of no section", path)
		} else if len(commands) == 0 {
			t.Errorf("the walk %s has no command", name)
		}
		script, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		typed := typedIn(string(script))
		for _, c := range commands {
			if !slices.Contains(typed, c) {
				t.Errorf("the walk %s says to type %q, and its script does not", name, c)
			}
		}
		delete(walks, name)
	}
	for name := range walks {
		t.Errorf("the walk %s has no script", name)
	}
}

// walksOf are the commands of each section under "## Walks", by the name of its script: the lines of its
// blocks, without what is a remark.
func walksOf(doc string) map[string][]string {
	walks := make(map[string][]string)
	name, inWalks, inBlock := "", false, false
	for line := range strings.Lines(doc) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inBlock = !inBlock
		case !inBlock && strings.HasPrefix(line, "## "):
			inWalks, name = line == "## Walks", ""
		case !inBlock && inWalks && strings.HasPrefix(line, "### "):
			name = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(line, "### ")), " ", "-")
			walks[name] = nil
		case inBlock && name != "":
			if command, _, _ := strings.Cut(line, "  # "); strings.TrimSpace(command) != "" {
				walks[name] = append(walks[name], strings.TrimSpace(command))
			}
		}
	}
	return walks
}

// typedIn are the commands that a script runs, as a person types them.
func typedIn(script string) (all []string) {
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "server start "); ok {
			line = "trent " + rest
		}
		all = append(all, strings.TrimPrefix(line, "exec "))
	}
	return all
}
