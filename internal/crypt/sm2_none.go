//go:build !sm2

package crypt

import (
	"errors"

	"trent/internal/secret"
)

// sm2Kind is nil in binaries that are built without the tag sm2.
var sm2Kind *privateKind

func unwrapSM2(secret.Bytes, []byte) (secret.Bytes, error) {
	return secret.Bytes{}, errors.New("crypt: there is no SM2 in this binary")
}
