package crypt_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"trent/internal/crypt"
	"trent/internal/secret"
)

const vectorFile = "testdata/ciphertext-blob-v1.txt"

// A format that is out does not change: -update is for adding vectors before a
// release, and must leave those that are there as they are.
var update = flag.Bool("update", false, "write "+vectorFile+" anew, from the reference")

const vectorHead = `# Ciphertext blobs, version 1 (docs/spec/ciphertext-blob.md). Bytes are in
# hexadecimal, the context is JSON. "result" is what an implementation does with
# the blob under the material, the cluster and the context of its entry: "opens",
# or "refused". Where it is refused, the tag is right all the same if the name
# says so.
`

type vector struct {
	name, keyID, result string
	draft
	blob []byte
}

// vectors are made of fixed parts by the reference, which is no code of the package.
func vectors() []vector {
	count := func(from byte, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = from + byte(i)
		}
		return b
	}
	base := draft{version: 1, cluster: count(0x00, 16), material: count(0x20, 32), nonce: count(0x40, 16), gcmNonce: count(0x60, 12), plaintext: []byte("hello")}
	base.materialID = materialIDReference(keyID, base.material)
	entry := func(name string, change func(d *draft)) vector {
		d := base
		change(&d)
		d = d.derive()
		return vector{name, keyID, "opens", d, d.seal()}
	}
	refused := func(name string, change func(v *vector)) vector {
		v := entry(name, func(d *draft) { d.context = map[string]string{"tenant": "alice"} })
		v.result = "refused"
		change(&v)
		return v
	}
	return []vector{
		entry("worked example", func(d *draft) { d.context = map[string]string{"table": "invoices", "tenant": "alice"} }),
		entry("no context", func(*draft) {}),
		entry("an empty value", func(d *draft) { d.context = map[string]string{"tenant": ""} }),
		entry("one byte", func(d *draft) { d.plaintext = []byte{0} }),
		entry("a data key", func(d *draft) { d.plaintext = count(0x80, 32) }),
		entry("300 bytes", func(d *draft) { d.plaintext = count(0, 300) }),
		entry("other cluster and nonces", func(d *draft) { d.cluster, d.nonce, d.gcmNonce = count(0xf0, 16), count(0xe0, 16), count(0xd0, 12) }),
		entry("order is that of bytes", func(d *draft) { d.context = map[string]string{"a": "1", "B": "2", "é": "3", "aa": "4", "": "5"} }),
		refused("other context", func(v *vector) { v.context = map[string]string{"tenant": "bob"} }),
		refused("no context where there was one", func(v *vector) { v.context = nil }),
		refused("commitment altered, tag right", func(v *vector) {
			v.commitment = bytes.Clone(v.commitment)
			v.commitment[0] ^= 1
			v.blob = v.seal()
		}),
		refused("version 2, tag right", func(v *vector) { v.version = 2; v.blob = v.seal() }),
		refused("version 0, tag right", func(v *vector) { v.version = 0; v.blob = v.seal() }),
		refused("no plaintext, tag right", func(v *vector) { v.plaintext = nil; v.blob = v.seal() }),
		refused("other cluster", func(v *vector) { v.cluster = count(0x01, 16) }),
		refused("other material", func(v *vector) { v.material = count(0x21, 32) }),
		refused("last byte missing", func(v *vector) { v.blob = v.blob[:len(v.blob)-1] }),
		refused("one byte more", func(v *vector) { v.blob = append(bytes.Clone(v.blob), 0) }),
	}
}

func format(list []vector) string {
	var b strings.Builder
	b.WriteString(vectorHead)
	for _, v := range list {
		context, err := json.Marshal(v.context)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, "\nname: %s\ncluster: %x\nkey id: %s\nmaterial: %x\nmaterial id: %x\ncontext: %s\nplaintext: %x\nnonce: %x\nGCM nonce: %x\n",
			v.name, v.cluster, v.keyID, v.material, v.materialID, context, v.plaintext, v.nonce, v.gcmNonce)
		fmt.Fprintf(&b, "message key: %x\ncommitment: %x\nresult: %s\nblob: %x\n", v.gcmKey, v.commitment, v.result, v.blob)
	}
	return b.String()
}

func TestVectors(t *testing.T) {
	if *update {
		if err := os.WriteFile(vectorFile, []byte(format(vectors())), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	opened, refused := 0, 0
	for _, block := range strings.Split(string(text), "\n\n")[1:] {
		v := map[string]string{}
		for line := range strings.Lines(block) {
			name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			if !ok && !strings.HasSuffix(line, ":\n") {
				t.Fatalf("line %q", line)
			}
			v[strings.TrimSuffix(name, ":")] = value
		}
		switch v["result"] {
		case "opens":
			opened++
		case "refused":
			refused++
		}
		t.Run(v["name"], func(t *testing.T) {
			var context map[string]string
			if err := json.Unmarshal([]byte(v["context"]), &context); err != nil {
				t.Fatal(err)
			}
			material, clusterID, blob := fromHex(t, v["material"]), fromHex(t, v["cluster"]), fromHex(t, v["blob"])
			id := crypt.MaterialID(fromHex(t, v["material id"]))
			k := keyWithID(t, crypt.ClusterID(clusterID), id, material)
			if v["result"] == "refused" {
				mustRefuse(t, v["name"], k, blob, context)
				return
			}
			if got, err := crypt.MaterialIDOf(v["key id"], secret.New(material)); err != nil || got != id {
				t.Errorf("material id %x (%v)", got, err)
			}
			if got, err := open(k, blob, context); err != nil || hex.EncodeToString(got.Expose()) != v["plaintext"] {
				t.Errorf("Open: %v", err)
			}
			if got := openReference(blob, clusterID, material, context); hex.EncodeToString(got) != v["plaintext"] {
				t.Errorf("the reference reads %x", got)
			}
			x := deriveReference(clusterID, id[:], material, fromHex(t, v["nonce"]))
			if hex.EncodeToString(x.key) != v["message key"] || hex.EncodeToString(x.commitment) != v["commitment"] {
				t.Errorf("derived %x and %x", x.key, x.commitment)
			}
		})
	}
	if opened < 8 || refused < 10 {
		t.Errorf("%d vectors open, %d are refused: the file is not whole", opened, refused)
	}
}

// The page has the worked example that the vectors begin with.
func TestWorkedExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/spec/ciphertext-blob.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(page)), "")
	v := vectors()[0]
	for name, b := range map[string][]byte{
		"material id": v.materialID, "message key": v.gcmKey, "commitment": v.commitment, "encoded context": contextReference(v.context), "blob": v.blob,
	} {
		if !strings.Contains(text, hex.EncodeToString(b)) {
			t.Errorf("the page lacks the %s %x", name, b)
		}
	}
}

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The package does all it does with what the FIPS 140-3 module approves: these
// tests pass once more where everything else is refused.
func TestFIPSOnly(t *testing.T) {
	if strings.Contains(os.Getenv("GODEBUG"), "fips140=only") {
		t.Skip("this run is the one under fips140=only that this test started")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.short")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("under fips140=only: %v\n%s", err, out)
	}
}
