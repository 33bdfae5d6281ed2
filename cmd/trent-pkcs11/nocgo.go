//go:build !cgo

// Command trent-pkcs11 needs cgo to load a PKCS #11 module.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "trent-pkcs11 was built without cgo and cannot load a PKCS #11 module: build it with make trent-pkcs11")
	os.Exit(1)
}
