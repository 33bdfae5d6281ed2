package passphrase

import (
	"bytes"
	"testing"
)

// What is taken from a store is one form alone, and inside the bounds.
func FuzzHeader(f *testing.F) {
	f.Add(bytes.Repeat([]byte{1}, headerSize))
	f.Add(append([]byte{version, argon2id, 16, 3, 4, 0}, make([]byte, saltSize)...))
	f.Add(append([]byte{version, pbkdf2SHA256, 0, 9, 0x27, 0xc0}, make([]byte, saltSize)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headerSize {
			return
		}
		h, err := parseHeader(b)
		if err != nil {
			return
		}
		if !bytes.Equal(h.encode(), b[:headerSize]) || h.function == argon2id && h.cost[0] > maxMemory {
			t.Errorf("%x was read as %+v", b, h)
		}
	})
}
