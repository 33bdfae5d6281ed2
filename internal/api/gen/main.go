// Command gen writes the generated part of package api, and of its siblings for
// the services of the query protocol, from their models.
//
//	go generate ./internal/api                    write the files
//	go run ./internal/api/gen -check              fail if a file is stale
//	go run ./internal/api/gen -service NAME -trim FILE -source TEXT
//	                                              renew the model of kms, iam or sts
//
// FILE is the service's description in botocore's form, plain or gzipped; TEXT
// says which release it is from. The command runs in the root of the module or
// in internal/api.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "only compare, and fail if a file is stale")
	trimFrom := flag.String("trim", "", "renew a model from this description")
	name := flag.String("service", "kms", "with -trim: whose model")
	source := flag.String("source", "", "with -trim: where the description is from")
	flag.Parse()
	if err := run(*check, *name, *trimFrom, *source); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(check bool, name, trimFrom, source string) error {
	dir, err := apiDir()
	switch {
	case err != nil:
		return err
	case trimFrom != "":
		return renew(dir, name, trimFrom, source)
	case check:
		return compare(dir)
	default:
		return write(dir)
	}
}

// renew makes the model of a service anew, with the operations that its overlay
// asks for.
func renew(dir, name, from, source string) error {
	for _, s := range services {
		if s.name == name {
			o := new(overlay)
			if err := read(filepath.Join(dir, s.overlay()), o); err != nil {
				return err
			}
			return trim(from, source, filepath.Join(dir, s.model()), o.Operations)
		}
	}
	return fmt.Errorf("no service %q", name)
}

// apiDir finds the directory of package api from either place to run in.
func apiDir() (string, error) {
	for _, dir := range []string{".", filepath.Join("internal", "api")} {
		if _, err := os.Stat(filepath.Join(dir, services[0].overlay())); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("run in the root of the module or in internal/api")
}

func write(dir string) error {
	files, err := generate(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, f.name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.name), f.text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compare names every file that differs from what would be written.
func compare(dir string) error {
	files, err := generate(dir)
	if err != nil {
		return err
	}
	var stale []error
	for _, f := range files {
		have, err := os.ReadFile(filepath.Join(dir, f.name))
		if err != nil || !bytes.Equal(have, f.text) {
			stale = append(stale, fmt.Errorf("%s is stale: run go generate ./internal/api", f.name))
		}
	}
	return errors.Join(stale...)
}
