package identity_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"trent/internal/identity"
	"trent/internal/root"
	"trent/internal/seal"
	"trent/internal/secret"
	"trent/internal/store/bolt"
)

// plainRoot is a root of trust that hides nothing.
type plainRoot struct{ root.Root }

func (plainRoot) ID() string { return "plain" }
func (plainRoot) Unwrap(_ context.Context, blob, _ []byte) (secret.Bytes, error) {
	return secret.New(blob), nil
}

// count is bytes that count up.
func count(from byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = from + byte(i)
	}
	return b
}

// knownSealer has cluster id 00 to 0f and root keys 1 and 2, of which current seals.
func knownSealer(t *testing.T, current int) *seal.Sealer {
	t.Helper()
	key := func(id int, from byte) map[int]any {
		return map[int]any{1: id, 2: []any{map[int]any{1: "plain", 2: count(from, 32)}}}
	}
	body, err := cbor.Marshal(map[int]any{1: count(0, 16), 2: []any{key(1, 0x20), key(2, 0x40)}, 3: current})
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.Open(ctx, append([]byte{1}, body...), []root.Root{plainRoot{}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// expand is HKDF-Expand with SHA-256 under the first root key.
func expand(t *testing.T, info string) []byte {
	t.Helper()
	k, err := hkdf.Expand(sha256.New, count(0x20, 32), info, 32)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// exampleToken seals content as the page says, for an access key.
func exampleToken(t *testing.T, accessKeyID string, content map[int]any) string {
	t.Helper()
	body, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	plain, err := body.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	path, cluster, header := "session/"+accessKeyID, string(count(0, 16)), []byte{1, 0, 0, 0, 1}
	block, err := aes.NewCipher(expand(t, "trent sealed record v1\x00"+cluster+path))
	if err != nil {
		t.Fatal(err)
	}
	var sealed []byte
	fips140.WithoutEnforcement(func() { // a nonce that is chosen
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		nonce := count(0x60, 12)
		sealed = aead.Seal(append(append([]byte{}, header...), nonce...), nonce, append([]byte{1}, plain...), []byte(string(header)+cluster+path))
	})
	return base64.RawURLEncoding.EncodeToString(sealed)
}

// The page has this token, and the package reads it, also after the root key that it
// is sealed under is no longer the current one.
func TestWorkedExample(t *testing.T) {
	const id, roleID = "ASIAQWERTYUIOPASDFGH", "AROAQWERTYUIOPASDFGH"
	token := exampleToken(t, id, map[int]any{1: account, 2: roleID, 5: "batch-1", 6: noon.Unix(), 7: noon.Add(time.Hour).Unix()})
	want := base64.StdEncoding.EncodeToString(expand(t, "trent purpose v1\x00"+string(count(0, 16))+"session secret v1\x00"+id)[:30])
	for _, current := range []int{1, 2} {
		st, err := bolt.Create(filepath.Join(t.TempDir(), "trent.db"), bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		d, err := identity.Open(ctx, st, knownSealer(t, current), "aws")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.CreateAccount(ctx, account, "", noon); err != nil {
			t.Fatal(err)
		}
		trust, err := d.View().ParseTrust(anyone)
		if err != nil {
			t.Fatal(err)
		}
		r := &identity.Role{Account: account, ID: roleID, Name: "batch", Path: "/", Trust: trust}
		if err := d.Commit(ctx, d.View(), []identity.Change{identity.Create(r)}, nil); err != nil {
			t.Fatal(err)
		}
		got, err := d.Credential(ctx, id, token)
		if err != nil || string(got.Secret.Expose()) != want || got.Principal.UniqueID != roleID+":batch-1" || !got.Expires.Equal(noon.Add(time.Hour)) {
			t.Errorf("under root key %d: %+v, %v", current, got.Principal, err)
		}
	}
	page, err := os.ReadFile("../../docs/spec/session-token.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), "")
	for name, part := range map[string]string{"token": token, "secret": want} {
		if !strings.Contains(text, part) {
			t.Errorf("the page lacks the %s %s", name, part)
		}
	}
}

// TestSEC_A12: a token of another version, or with anything in it that it does not say
// what for, is none, though it is sealed by us and else a good one.
func TestSEC_A12_TokensOfOtherForms(t *testing.T) {
	const id = "ASIAQWERTYUIOPASDFGH"
	w := newWorld(t)
	r := w.role("batch", "kms:*")
	body, err := cbor.Marshal(map[int]any{1: account, 2: r.ID, 5: "batch-1", 7: noon.Unix()})
	if err != nil {
		t.Fatal(err)
	}
	pairs := body[1:] // behind the head of a map of four
	join := func(parts ...any) (out []byte) {
		for _, p := range parts {
			switch p := p.(type) {
			case int:
				out = append(out, byte(p))
			case []byte:
				out = append(out, p...)
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		content []byte
		ok      bool
	}{
		"as it is":        {join(1, 0xa4, pairs), true},
		"nothing":         {nil, false},
		"another version": {join(2, 0xa4, pairs), false},
		"no version":      {join(0xa4, pairs), false},
		"more behind it":  {join(1, 0xa4, pairs, 0), false},
		"a key twice":     {join(1, 0xa5, pairs, 5, 0x61, int('x')), false},
		"an unknown key":  {join(1, 0xa5, pairs, 0x18, 99, 0), false},
		"a known key":     {join(1, 0xa5, pairs, 12, 0x61, int('x')), true},
		"an endless map":  {join(1, 0xbf, pairs, 0xff), false},
		"a tag":           {join(1, 0xa5, pairs, 6, 0xc1, 0), false},
		"bad UTF-8":       {join(1, 0xa5, pairs, 12, 0x61, 0xff), false},
	} {
		sealed, err := w.seal.Seal("session/"+id, c.content)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := w.Credential(ctx, id, base64.RawURLEncoding.EncodeToString(sealed)); (err == nil) != c.ok {
			t.Errorf("%s: %+v, %v", name, got.Principal, err)
		}
	}
}
