package crypt_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trent/internal/crypt"
	"trent/internal/fault"
	"trent/internal/secret"
)

const keyID = "1234abcd-12ab-34cd-56ef-1234567890ab"

var (
	cluster   = crypt.ClusterID([]byte("0123456789abcdef"))
	materialA = bytes.Repeat([]byte{0xA1}, 32)
	materialB = bytes.Repeat([]byte{0xB2}, 32)
)

func newKey(t testing.TB, c crypt.ClusterID, material []byte) *crypt.Symmetric {
	t.Helper()
	m := secret.New(bytes.Clone(material))
	id, err := crypt.MaterialIDOf(keyID, m)
	if err != nil {
		t.Fatal(err)
	}
	return keyWithID(t, c, id, material)
}

func keyWithID(t testing.TB, c crypt.ClusterID, id crypt.MaterialID, material []byte) *crypt.Symmetric {
	t.Helper()
	k, err := crypt.NewSymmetric(&c, id, secret.New(bytes.Clone(material)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t testing.TB, k *crypt.Symmetric, plain []byte, context map[string]string) []byte {
	t.Helper()
	b, err := k.Seal(secret.New(plain), context)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(k *crypt.Symmetric, raw []byte, context map[string]string) (secret.Bytes, error) {
	b, err := crypt.ParseBlob(raw)
	if err != nil {
		return secret.Bytes{}, err
	}
	return k.Open(b, context)
}

// mustRefuse wants the one bare refusal: no text, no cause, no plaintext.
func mustRefuse(t testing.TB, what string, k *crypt.Symmetric, raw []byte, context map[string]string) {
	t.Helper()
	got, err := open(k, raw, context)
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Code != crypt.InvalidCiphertext || f.Message != "" || f.Unwrap() != nil || err.Error() != "InvalidCiphertextException" {
		t.Errorf("%s: refused with %v", what, err)
	}
	if !got.IsZero() {
		t.Errorf("%s: a plaintext of %d bytes came out", what, got.Len())
	}
}

func TestRoundTrip(t *testing.T) {
	k := newKey(t, cluster, materialA)
	for n := 1; n <= crypt.MaxPlaintext; n++ {
		plain := bytes.Repeat([]byte{byte(n)}, n)
		raw := seal(t, k, bytes.Clone(plain), usual)
		if len(raw) != n+crypt.Overhead {
			t.Fatalf("%d bytes became %d", n, len(raw))
		}
		got, err := open(k, raw, usual)
		if err != nil || !bytes.Equal(got.Expose(), plain) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	for _, n := range []int{0, crypt.MaxPlaintext + 1} {
		if b, err := k.Seal(crypt.Random(n), nil); err == nil {
			t.Errorf("%d bytes were sealed in %d", n, len(b))
		}
	}
}

func TestMaterialSize(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := crypt.NewSymmetric(&cluster, crypt.MaterialID{}, crypt.Random(n)); err == nil {
			t.Errorf("material of %d bytes was taken", n)
		}
	}
	if m := crypt.NewMaterial(); m.Len() != 32 || m.Equal(crypt.NewMaterial()) {
		t.Error("material is not 32 fresh bytes")
	}
}

// The layout is what docs/spec/ciphertext-blob.md says, part by part, and the
// reading of somebody who has only that page.
func TestLayout(t *testing.T) {
	k := newKey(t, cluster, materialA)
	raw := seal(t, k, []byte("attack at dawn"), usual)
	id := k.MaterialID()
	if raw[0] != 1 || !bytes.Equal(raw[1:33], id[:]) {
		t.Errorf("header %x", raw[:33])
	}
	x := deriveReference(cluster[:], raw[1:33], materialA, raw[33:49])
	if !bytes.Equal(raw[49:81], x.commitment) {
		t.Errorf("commitment %x, want %x", raw[49:81], x.commitment)
	}
	if got := openReference(raw, cluster[:], materialA, usual); string(got) != "attack at dawn" {
		t.Errorf("read as %q", got)
	}
	b, err := crypt.ParseBlob(raw)
	if err != nil || b.Material != id || crypt.HexID(id) != hex.EncodeToString(raw[1:33]) {
		t.Errorf("parsed as %x (%v)", b.Material, err)
	}
	if crypt.Overhead != 1+32+16+32+12+16 {
		t.Errorf("overhead %d", crypt.Overhead)
	}
}

// A material's name follows from it and the key alone, is the same each time,
// and differs where either does.
func TestMaterialID(t *testing.T) {
	seen := map[crypt.MaterialID]string{}
	for _, k := range []string{keyID, "1234abcd-12ab-34cd-56ef-1234567890ac", "mrk-" + strings.Repeat("0a", 16)} {
		for _, m := range [][]byte{materialA, materialB} {
			id, err := crypt.MaterialIDOf(k, secret.New(m))
			if err != nil || !bytes.Equal(id[:], materialIDReference(k, m)) {
				t.Errorf("%s: %x (%v)", k, id, err)
			}
			if had, ok := seen[id]; ok {
				t.Errorf("%s and %s have one name", k, had)
			}
			seen[id] = k
			if bytes.Contains(id[:], m[:8]) {
				t.Error("the name shows the material")
			}
		}
	}
}

func TestEveryBitCounts(t *testing.T) {
	k := newKey(t, cluster, materialA)
	raw := seal(t, k, []byte("attack at dawn"), usual)
	for i := range raw {
		for bit := range 8 {
			bad := bytes.Clone(raw)
			bad[i] ^= 1 << bit
			mustRefuse(t, fmt.Sprintf("bit %d of byte %d", bit, i), k, bad, usual)
		}
	}
	for n := range raw {
		mustRefuse(t, fmt.Sprintf("cut to %d", n), k, raw[:n], usual)
		mustRefuse(t, fmt.Sprintf("without the first %d", n+1), k, raw[n+1:], usual)
	}
	for _, more := range []int{1, 16, 4096, 8192} {
		mustRefuse(t, fmt.Sprintf("%d more", more), k, append(bytes.Clone(raw), make([]byte, more)...), usual)
	}
	mustRefuse(t, "one in front", k, append([]byte{1}, raw...), usual)
	mustRefuse(t, "nothing", k, nil, usual)
	if _, err := k.Open(crypt.Blob{Material: k.MaterialID()}, nil); !fault.Is(err, crypt.InvalidCiphertext) {
		t.Errorf("a blob that nobody parsed: %v", err)
	}
}

// Nonces and message keys never repeat, and every bit of the nonces is as often
// one as zero.
func TestSEC_D01_OneKeyPerMessage(t *testing.T) {
	const n = 100_000
	k := newKey(t, cluster, materialA)
	nonces, gcmNonces := make(map[string]bool, n), make(map[string]bool, n)
	keys := make(map[string]bool, n/10)
	ones := make([]int, 8*(16+12))
	for i := range n {
		raw := seal(t, k, []byte("x"), nil)
		nonce, gcmNonce := raw[33:49], raw[81:93]
		nonces[string(nonce)], gcmNonces[string(gcmNonce)] = true, true
		for j, c := range slices.Concat(nonce, gcmNonce) {
			for bit := range 8 {
				ones[8*j+bit] += int(c >> bit & 1)
			}
		}
		if i%10 == 0 {
			keys[string(deriveReference(cluster[:], raw[1:33], materialA, nonce).key)] = true
		}
	}
	if len(nonces) != n || len(gcmNonces) != n || len(keys) != n/10 {
		t.Errorf("of %d: %d nonces, %d GCM nonces; of %d: %d keys", n, len(nonces), len(gcmNonces), n/10, len(keys))
	}
	for i, one := range ones {
		// Seven standard deviations: by chance once in 10^9 runs.
		if off := math.Abs(float64(one) - n/2); off > 7*math.Sqrt(n)/2 {
			t.Errorf("bit %d of the nonces is one in %d of %d", i, one, n)
		}
	}
}

func TestSEC_D01_SameMessageTwice(t *testing.T) {
	k := newKey(t, cluster, materialA)
	a, b := seal(t, k, []byte("the same"), usual), seal(t, k, []byte("the same"), usual)
	for _, part := range []struct {
		name     string
		from, to int
	}{{"nonce", 33, 49}, {"commitment", 49, 81}, {"GCM nonce", 81, 93}, {"ciphertext", 93, 101}, {"tag", 101, 117}} {
		if bytes.Equal(a[part.from:part.to], b[part.from:part.to]) {
			t.Errorf("the %s is the same twice", part.name)
		}
	}
}

// Lengths that no Seal gives are refused at sight, though their tags are right.
func TestLengthBounds(t *testing.T) {
	for n, ok := range map[int]bool{0: false, 1: true, crypt.MaxPlaintext: true, crypt.MaxPlaintext + 1: false} {
		d := newDraft()
		d.plaintext = make([]byte, n)
		if _, err := crypt.ParseBlob(d.seal()); (err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// newDraft is a good blob in its parts.
func newDraft() draft {
	return draft{
		version: 1, cluster: cluster[:], materialID: materialIDReference(keyID, materialA), material: materialA,
		nonce: bytes.Repeat([]byte{0x33}, 16), gcmNonce: bytes.Repeat([]byte{0x44}, 12),
		context: usual, plaintext: []byte("attack at dawn"),
	}.derive()
}

// GCM alone would open each of these: their tags are right. The commitment is
// what refuses them.
func TestSEC_D02_Commitment(t *testing.T) {
	k := newKey(t, cluster, materialA)
	d := newDraft()
	if got, err := open(k, d.seal(), usual); err != nil || string(got.Expose()) != "attack at dawn" {
		t.Fatalf("the draft itself: %v", err)
	}
	for i := range 32 {
		d := newDraft()
		d.commitment = bytes.Clone(d.commitment)
		d.commitment[i] ^= 0x80
		mustRefuse(t, fmt.Sprintf("byte %d of the commitment", i), k, d.seal(), usual)
	}
	d.commitment = make([]byte, 32)
	mustRefuse(t, "a commitment of zeros", k, d.seal(), usual)
	other := newDraft()
	other.material = materialB
	d.commitment = other.derive().commitment
	mustRefuse(t, "the commitment of another material", k, d.seal(), usual)
}

// The version is the algorithm. There is one, and no byte in a blob chooses
// another, though header and tag agree on it.
func TestSEC_D03_Version(t *testing.T) {
	k := newKey(t, cluster, materialA)
	for version := range 256 {
		d := newDraft()
		d.version = byte(version)
		if version != 1 {
			mustRefuse(t, fmt.Sprintf("version %d", version), k, d.seal(), usual)
		}
	}
}

// The context is bound byte by byte.
func TestSEC_D04_Context(t *testing.T) {
	k := newKey(t, cluster, materialA)
	type m = map[string]string
	for _, c := range []struct {
		name         string
		sealed, sent m
		ok           bool
	}{
		{"the same", m{"a": "b"}, m{"a": "b"}, true},
		{"absent and empty", nil, m{}, true},
		{"empty and absent", m{}, nil, true},
		{"none for some", m{"a": "b"}, nil, false},
		{"some for none", nil, m{"a": "b"}, false},
		{"an empty pair is a pair", nil, m{"": ""}, false},
		{"an empty value", m{"a": ""}, m{}, false},
		{"the border of key and value", m{"a": "bc"}, m{"ab": "c"}, false},
		{"key and value swapped", m{"a": "b"}, m{"b": "a"}, false},
		{"values swapped", m{"a": "1", "b": "2"}, m{"a": "2", "b": "1"}, false},
		{"two pairs in one", m{"a": "1", "b": "2"}, m{"a": "1\x00\x00\x00\x01b\x00\x00\x00\x012"}, false},
		{"one letter", m{"tenant": "alice"}, m{"tenant": "alicf"}, false},
		{"case of a value", m{"tenant": "alice"}, m{"tenant": "Alice"}, false},
		{"case of a key", m{"tenant": "alice"}, m{"Tenant": "alice"}, false},
		{"a blank at the end", m{"tenant": "alice"}, m{"tenant": "alice "}, false},
		{"a pair more", m{"a": "1"}, m{"a": "1", "b": "2"}, false},
		{"a pair less", m{"a": "1", "b": "2"}, m{"a": "1"}, false},
		{"composed and decomposed", m{"n": "\u00e9"}, m{"n": "e\u0301"}, false},
		{"two letters that look alike", m{"n": "\u212a"}, m{"n": "K"}, false},
	} {
		raw := seal(t, k, []byte("x"), c.sealed)
		if !c.ok {
			mustRefuse(t, c.name, k, raw, c.sent)
		} else if _, err := open(k, raw, c.sent); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Any two contexts that differ, differ in what is authenticated; and one and
// the same opens whatever the order in which its pairs were put into it.
func TestSEC_D04_Injective(t *testing.T) {
	k := newKey(t, cluster, materialA)
	part := rapid.OneOf(rapid.StringN(0, 3, -1), rapid.SampledFrom([]string{"", "\x00", "\x00\x00\x00\x01", "a", "b", "ab", "=", "&", ",", "\x00\x00\x00\x00"}))
	contexts := rapid.MapOfN(part, part, 0, 4)
	rapid.Check(t, func(rt *rapid.T) {
		a, b := contexts.Draw(rt, "a"), contexts.Draw(rt, "b")
		raw := seal(t, k, []byte("x"), a)
		if _, err := open(k, raw, b); (err == nil) != maps.Equal(a, b) {
			rt.Fatalf("sealed under %q, sent %q: %v", a, b, err)
		}
		again := map[string]string{}
		for _, key := range slices.Backward(slices.Sorted(maps.Keys(a))) {
			again[key] = a[key]
		}
		if _, err := open(k, raw, again); err != nil {
			rt.Fatalf("%q in another order: %v", a, err)
		}
	})
}

// A ciphertext belongs to one material of one key of one cluster. The header
// only helps to find it.
func TestSEC_D05_Belonging(t *testing.T) {
	k := newKey(t, cluster, materialA)
	raw := seal(t, k, []byte("x"), usual)
	other := cluster
	other[15] ^= 1
	mustRefuse(t, "another cluster", newKey(t, other, materialA), raw, usual)
	mustRefuse(t, "the same material under another name", keyWithID(t, cluster, crypt.MaterialID{1}, materialA), raw, usual)
	mustRefuse(t, "another material under the same name", keyWithID(t, cluster, k.MaterialID(), materialB), raw, usual)

	// The material of one key, imported into another.
	id := crypt.MaterialID(materialIDReference("another key", materialA))
	mustRefuse(t, "another key", keyWithID(t, cluster, id, materialA), raw, usual)
	renamed := bytes.Clone(raw)
	copy(renamed[1:], id[:])
	mustRefuse(t, "another key, with its name put in", keyWithID(t, cluster, id, materialA), renamed, usual)
}

// Two good blobs of two keys, with parts of their headers exchanged.
func TestSEC_D05_SwappedFields(t *testing.T) {
	a, b := newKey(t, cluster, materialA), newKey(t, cluster, materialB)
	parts := []struct {
		name     string
		from, to int
	}{{"material id", 1, 33}, {"nonce", 33, 49}, {"commitment", 49, 81}, {"GCM nonce", 81, 93}, {"ciphertext", 93, 94}, {"tag", 94, 110}, {"header", 0, 81}, {"body", 81, 110}}
	for _, pair := range [][2][]byte{
		{seal(t, a, []byte("x"), usual), seal(t, b, []byte("y"), usual)},
		{seal(t, a, []byte("x"), usual), seal(t, a, []byte("y"), usual)},
	} {
		for _, p := range parts {
			mixed := bytes.Clone(pair[0])
			copy(mixed[p.from:p.to], pair[1][p.from:p.to])
			if !bytes.Equal(mixed, pair[0]) {
				mustRefuse(t, p.name, a, mixed, usual)
				mustRefuse(t, p.name, b, mixed, usual)
			}
		}
	}
}

// What the reference seals, the package opens, and the other way round.
func TestReferenceAgrees(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		bytesOf := func(name string, n int) []byte { return rapid.SliceOfN(rapid.Byte(), n, n).Draw(rt, name) }
		d := draft{
			version: 1, cluster: bytesOf("cluster", 16), material: bytesOf("material", 32), nonce: bytesOf("nonce", 16), gcmNonce: bytesOf("gcm nonce", 12),
			context:   rapid.MapOfN(rapid.String(), rapid.String(), 0, 5).Draw(rt, "context"),
			plaintext: rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(rt, "plaintext"),
		}
		d.materialID = materialIDReference(keyID, d.material)
		d = d.derive()
		k := newKey(t, crypt.ClusterID(d.cluster), d.material)
		if got, err := open(k, d.seal(), d.context); err != nil || !bytes.Equal(got.Expose(), d.plaintext) {
			rt.Fatalf("the package does not open what the reference sealed: %v", err)
		}
		if got := openReference(seal(t, k, bytes.Clone(d.plaintext), d.context), d.cluster, d.material, d.context); !bytes.Equal(got, d.plaintext) {
			rt.Fatal("the reference does not open what the package sealed")
		}
	})
}
