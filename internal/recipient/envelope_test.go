package recipient_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/edgebitio/nitro-enclaves-sdk-go/crypto/cms"
	"pgregory.net/rapid"

	"trent/internal/fault"
	"trent/internal/recipient"
	"trent/internal/secret"
)

// keys has one of each size that is taken, by its bits; each is made when it is first wanted.
var keys = map[int]func() *rsa.PrivateKey{2048: generated(2048), 3072: generated(3072), 4096: generated(4096)}

func generated(bits int) func() *rsa.PrivateKey {
	return sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			panic(err)
		}
		return key
	})
}

func publicKey(t testing.TB, key *rsa.PrivateKey) *recipient.PublicKey {
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &recipient.PublicKey{RSA: &key.PublicKey, SPKI: spki}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func seal(t testing.TB, key *rsa.PrivateKey, plain []byte) []byte {
	t.Helper()
	b, err := publicKey(t, key).Seal(secret.New(bytes.Clone(plain)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The sizes of answers of AWS KMS under RSA 2048, and the same for larger keys.
func TestEnvelopeSizes(t *testing.T) {
	for _, c := range []struct{ plain, rsa2048, rsa3072, rsa4096 int }{
		{1, 461, 589, 717}, {15, 461, 589, 717},
		{16, 477, 605, 733}, {31, 477, 605, 733},
		{32, 493, 621, 749}, {47, 493, 621, 749},
		{1024, 1489, 1617, 1745},
		{4096, 4573, 4701, 4829},
	} {
		for bits, want := range map[int]int{2048: c.rsa2048, 3072: c.rsa3072, 4096: c.rsa4096} {
			if got := len(seal(t, keys[bits](), random(c.plain))); got != want {
				t.Errorf("%d bytes for RSA %d: %d bytes, want %d", c.plain, bits, got, want)
			}
		}
	}
}

// Every length, for every size of key: framing, size and room are right, and a reader of
// our own opens what came of it. (With the larger keys, which are slow, it opens each 64th.)
func TestEveryLength(t *testing.T) {
	for bits, key := range keys {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			key, plain := key(), random(recipient.MaxPlaintext)
			keyID := sha256.Sum256(publicKey(t, key).SPKI)
			for n := 1; n <= recipient.MaxPlaintext; n++ {
				b := seal(t, key, plain[:n])
				if want := wantSize(bits, n); len(b) != want || cap(b) != want {
					t.Fatalf("%d bytes: an envelope of %d in room for %d, want %d", n, len(b), cap(b), want)
				}
				e, err := readEnvelope(b)
				if err != nil {
					t.Fatalf("%d bytes: %v", n, err)
				}
				if !bytes.Equal(e.keyID, keyID[:]) || len(e.encryptedKey) != bits/8 {
					t.Fatalf("%d bytes: for the key %x, an encrypted key of %d bytes", n, e.keyID, len(e.encryptedKey))
				}
				if bits > 2048 && n%64 != 1 {
					continue
				}
				if got, err := e.open(key); err != nil || !bytes.Equal(got, plain[:n]) {
					t.Fatalf("%d bytes: opened as %d: %v", n, len(got), err)
				}
			}
		})
	}
}

// wantSize is the formula of docs/spec/recipient-envelope.md.
func wantSize(bits, plain int) int {
	content := plain + 16 - plain%16
	heads := 4 * (content / 1000)
	switch rest := content % 1000; {
	case rest >= 256:
		heads += 4
	case rest >= 128:
		heads += 3
	case rest > 0:
		heads += 2
	}
	return 187 + bits/8 + content + heads
}

// What stands before the first byte that varies, as AWS KMS writes it for RSA 2048.
func TestEnvelopeBeginning(t *testing.T) {
	for bits, lengths := range map[int][2]string{2048: {"016b", "0167"}, 3072: {"01eb", "01e7"}, 4096: {"026b", "0267"}} {
		want := "308006092a864886f70d010703a0803080020102" + "3182" + lengths[0] + "3082" + lengths[1] + "0201028020"
		if got := hex.EncodeToString(seal(t, keys[bits](), random(32))); !strings.HasPrefix(got, want) {
			t.Errorf("RSA %d: begins with %s, want %s", bits, got[:len(want)], want)
		}
	}
}

// Two answers of AWS KMS whose private keys are published: the reader that reads ours reads
// them, and without what is random ours are the same bytes.
func TestEnvelopesOfAWS(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "aws-envelopes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name             string
		PrivateKey, Blob []byte
		Plaintext        string
	}
	if err := json.Unmarshal(text, &all); err != nil || len(all) != 2 {
		t.Fatalf("%d envelopes: %v", len(all), err)
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			key, plain := parsePrivateKey(t, c.PrivateKey), fromHex(t, c.Plaintext)
			e, err := readEnvelope(c.Blob)
			if err != nil {
				t.Fatal(err)
			}
			if keyID := sha256.Sum256(publicKey(t, key).SPKI); !bytes.Equal(e.keyID, keyID[:]) {
				t.Errorf("for the key %x, want %x", e.keyID, keyID)
			}
			if got, err := e.open(key); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("opened as %d bytes: %v", len(got), err)
			}
			theirs, err := masked(c.Blob)
			if err != nil {
				t.Fatal(err)
			}
			if ours, err := masked(seal(t, key, plain)); err != nil || !bytes.Equal(ours, theirs) {
				t.Errorf("ours  %x\nAWS's %x\n%v", ours, theirs, err)
			}
		})
	}
}

func parsePrivateKey(t *testing.T, der []byte) *rsa.PrivateKey {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

func fromHex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// spread has the lengths at which something about the envelope changes, and their neighbours.
func spread() []int {
	list := []int{1, 2, 31, 32, 33, 64, 100, 1024, 2375, 4095, 4096}
	for _, border := range []int{16, 112, 128, 240, 256, 992, 1008, 1120, 1232, 1248, 1984, 2000, 2016, 2112, 2128, 3008, 3120, 3984, 4000, 4016} {
		list = append(list, border-1, border, border+1)
	}
	return list
}

// A reader in Go that is not ours, which users of AWS have in their enclaves. It has a
// global variable, so that only one may read at a time.
func TestEdgebitReads(t *testing.T) {
	for bits, key := range keys {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			key := key()
			for _, n := range spread() {
				plain := random(n)
				if got, err := cms.DecryptEnvelopedKey(key, seal(t, key, plain)); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%d bytes: read as %d: %v", n, len(got), err)
				}
			}
		})
	}
}

func TestOpenSSLReads(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed, and this test asks it to read what was sealed; make test sees to it that it is there")
	}
	for bits, key := range keys {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			key, dir := key(), t.TempDir()
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			keyFile, blob := filepath.Join(dir, "key.pem"), filepath.Join(dir, "blob")
			write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
			for _, n := range spread() {
				plain := random(n)
				write(t, blob, seal(t, key, plain))
				cmd := exec.Command(openssl, "cms", "-decrypt", "-inform", "DER", "-inkey", keyFile, "-in", blob)
				if got, err := cmd.Output(); err != nil || !bytes.Equal(got, plain) {
					t.Errorf("%d bytes: read as %d: %v", n, len(got), err)
				}
			}
		})
	}
}

func write(t *testing.T, name string, content []byte) {
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whatever is sealed comes out of two readers again, and no two envelopes share what is
// random.
func TestSealProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := keys[rapid.SampledFrom([]int{2048, 2048, 2048, 3072, 4096}).Draw(t, "bits")]()
		plain := rapid.SliceOfN(rapid.Byte(), 1, recipient.MaxPlaintext).Draw(t, "plain")
		spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		k := recipient.PublicKey{RSA: &key.PublicKey, SPKI: spki}
		var seen []*envelope
		for range 2 {
			b, err := k.Seal(secret.New(bytes.Clone(plain)))
			if err != nil {
				t.Fatal(err)
			}
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
			seen = append(seen, e)
		}
		one, errOne := seen[0].contentKey(key)
		two, errTwo := seen[1].contentKey(key)
		if err := errors.Join(errOne, errTwo); err != nil || bytes.Equal(one, two) || bytes.Equal(seen[0].iv, seen[1].iv) || bytes.Equal(seen[0].encryptedKey, seen[1].encryptedKey) {
			t.Fatalf("two envelopes share what is random: %v", err)
		}
	})
}

// The secret is the caller's: sealing does not alter it.
func TestSealKeepsPlaintext(t *testing.T) {
	plain := random(33)
	s := secret.New(bytes.Clone(plain))
	if _, err := publicKey(t, keys[2048]()).Seal(s); err != nil || !bytes.Equal(s.Expose(), plain) {
		t.Errorf("the plaintext became %x: %v", s.Expose(), err)
	}
}

// No caller can bring these about: they are bugs, internal errors without a word of what
// was to be sealed.
func TestSealRefuses(t *testing.T) {
	k := publicKey(t, keys[2048]())
	long := bytes.Repeat([]byte("confidential"), 342)
	unfit, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	unfit.PublicKey.E = 2 // which no RSA key has
	for name, seal := range map[string]func() ([]byte, error){
		"nothing":   func() ([]byte, error) { return k.Seal(secret.Bytes{}) },
		"empty":     func() ([]byte, error) { return k.Seal(secret.New([]byte{})) },
		"too much":  func() ([]byte, error) { return k.Seal(secret.New(long)) },
		"unfit key": func() ([]byte, error) { return publicKey(t, unfit).Seal(secret.New(long[:12])) },
	} {
		b, err := seal()
		if err == nil || b != nil || fault.From(err).Code != fault.Internal {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), "confidential") {
			t.Errorf("%s: the error shows the plaintext", name)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, bits := range []int{2048, 3072, 4096} {
		for _, n := range []int{32, recipient.MaxPlaintext} {
			b.Run(fmt.Sprintf("RSA%d/%d", bits, n), func(b *testing.B) {
				k, plain := publicKey(b, keys[bits]()), secret.New(random(n))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := k.Seal(plain); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
