//go:build cgo

// Command trent-pkcs11 makes one call to a PKCS #11 module for trent, and ends. It is
// a program of its own so that the code of the module, which is a vendor's, has neither the
// keys of the server in its memory nor the server in its hand.
package main

import (
	"encoding/json"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"trent/internal/root/pkcs11"
)

// maxRequest bounds what is read, in bytes.
const maxRequest = 64 << 10

func main() {
	// Best effort, as in trent: no core file with a root key in it.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	out, err := ownOutput()
	if err == nil {
		err = json.NewEncoder(out).Encode(answer(os.Stdin))
	}
	if err != nil {
		os.Exit(1)
	}
}

// ownOutput is the standard output; what the module prints there goes to the standard error from now on.
func ownOutput() (*os.File, error) {
	own, err := unix.FcntlInt(uintptr(unix.Stdout), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(own), "reply"), unix.Dup3(unix.Stderr, unix.Stdout, 0)
}

func answer(in io.Reader) pkcs11.Reply {
	var q pkcs11.Request
	if err := json.NewDecoder(io.LimitReader(in, maxRequest)).Decode(&q); err != nil {
		return pkcs11.Reply{Failure: pkcs11.Unavailable, Reason: "the request cannot be read; trent runs this program, people do not"}
	}
	t, err := login(q)
	if err != nil {
		return failed(err)
	}
	defer t.close()
	data, err := t.perform(q)
	if err != nil {
		return failed(err)
	}
	return pkcs11.Reply{Data: data}
}
