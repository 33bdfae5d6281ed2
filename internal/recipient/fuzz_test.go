package recipient_test

import (
	"bytes"
	"testing"

	"github.com/edgebitio/nitro-enclaves-sdk-go/crypto/cms"

	"trent/internal/recipient"
)

// Whatever is sealed, two readers that know nothing of each other give it back.
func FuzzEnvelope(f *testing.F) {
	f.Add([]byte("x"))
	f.Add(make([]byte, 32))
	f.Add(make([]byte, recipient.MaxPlaintext))
	key := keys[2048]()
	f.Fuzz(func(t *testing.T, plain []byte) {
		if len(plain) == 0 || len(plain) > recipient.MaxPlaintext {
			return
		}
		b := seal(t, key, plain)
		e, err := readEnvelope(b)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := e.open(key); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened as %x: %v", got, err)
		}
		if got, err := cms.DecryptEnvelopedKey(key, b); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("edgebit opened it as %x: %v", got, err)
		}
	})
}
