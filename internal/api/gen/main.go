// Command gen writes the generated part of package api from the model.
//
//	go generate ./internal/api                    write the files
//	go run ./internal/api/gen -check              fail if a file is stale
//	go run ./internal/api/gen -trim FILE -source TEXT
//	                                              renew model/kms.json
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
	trimFrom := flag.String("trim", "", "renew the model from this description")
	source := flag.String("source", "", "with -trim: where the description is from")
	flag.Parse()
	if err := run(*check, *trimFrom, *source); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(check bool, trimFrom, source string) error {
	dir, err := apiDir()
	switch {
	case err != nil:
		return err
	case trimFrom != "":
		return trim(trimFrom, source, filepath.Join(dir, modelFile))
	case check:
		return compare(dir)
	default:
		return write(dir)
	}
}

// apiDir finds the directory of package api from either place to run in.
func apiDir() (string, error) {
	for _, dir := range []string{".", filepath.Join("internal", "api")} {
		if _, err := os.Stat(filepath.Join(dir, overlayFile)); err == nil {
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
