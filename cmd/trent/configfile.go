package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// configFile resolves flags from a YAML file, in which each setting has the
// name of its flag. A name that is no setting's is an error: a line that was
// mistyped must not be a line that does nothing.
type configFile struct{ settings map[string]any }

// loadConfig reads a configuration file.
func loadConfig(r io.Reader) (kong.Resolver, error) {
	f := &configFile{}
	if err := yaml.NewDecoder(r).Decode(&f.settings); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the configuration file is not YAML: %w", err)
	}
	return f, nil
}

// Validate implements kong.Resolver.
func (f *configFile) Validate(app *kong.Application) error {
	known := make(map[string]bool)
	for _, node := range app.Children {
		if node.Name == "serve" {
			for _, flag := range node.Flags {
				known[flag.Name] = true
			}
		}
	}
	var unknown []string
	for name := range f.settings {
		if !known[name] || name == "config" {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return fmt.Errorf("the configuration file has settings that do not exist: %s", strings.Join(unknown, ", "))
	}
	return nil
}

// Resolve implements kong.Resolver. The environment wins over the file.
func (f *configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if os.Getenv(name) != "" {
			return nil, nil
		}
	}
	v, ok := f.settings[flag.Name]
	if !ok {
		return nil, nil
	}
	if list, isList := v.([]any); isList {
		parts := make([]string, len(list))
		for i := range list {
			parts[i] = fmt.Sprint(list[i])
		}
		return strings.Join(parts, ","), nil
	}
	return fmt.Sprint(v), nil
}
