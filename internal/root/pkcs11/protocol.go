package pkcs11

import (
	"fmt"

	"trent/internal/root"
)

// A Request is what the helper reads from its standard input, as JSON. It never
// stands in its arguments, which others can see.
type Request struct {
	Operation string // find, create, encrypt or decrypt
	Module    string // path of the vendor's library
	Token     string // label
	Object    string // label of the key
	PIN       string
	Data, AAD []byte
}

// A Reply is what the helper writes to its standard output, as JSON.
type Reply struct {
	Data    []byte // find, create: the CKA_ID of the key and its label
	Failure string // empty, or one of those below
	Reason  string
}

// Failures.
const (
	BadData     = "bad data"
	Unavailable = "unavailable"
	Refused     = "refused"
)

func (a Reply) error(module string) error {
	kind := root.ErrUnavailable
	switch a.Failure {
	case "":
		return nil
	case BadData:
		kind = root.ErrBadData
	case Refused:
		kind = root.ErrRefused
	}
	return fmt.Errorf("%s: %w: %.200s", module, kind, a.Reason)
}
