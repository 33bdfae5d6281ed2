// Package arch holds the walls of the house: who may import whom.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// DO NOT CHANGE THESE LINES TO FIX A BUILD.
//
// "a < b" reads "b may import a". What is not shown is forbidden. A new line
// is a change of the plan (docs/architecture.md) and wants the same care: ask
// first whether the code stands in the wrong room.
//
// Tests are free, except that nothing outside its own folder, cmd, trenttest
// and test kits names a concrete store or root.
const walls = `
NONE                                                        < secret, fault, arn, store, config, record
fault                                                       < api/check
secret                                                      < api/jsonout
secret, fault, api/check, api/jsonout                       < api
secret, fault, api                                          < api/query
secret, fault, api, api/check, api/jsonout, api/query       < api/iamapi, api/stsapi, api/adminapi
secret                                                      < root
arn, fault                                                  < iam
api, arn, fault, iam                                        < key
api                                                         < grant
api, secret, fault                                          < crypt
api, crypt, secret                                          < keypool
api, crypt, fault, key, secret                              < keystore
crypt, keystore                                             < xks
api, api/query, fault                                       < wire
api, fault                                                  < lane
api, api/jsonout, fault, lane, secret                       < recipient
recipient, api, fault                                       < recipient/nitro
recipient, recipient/nitro                                  < recipient/devroot
iam, secret, fault                                          < sigv4
iam, key, grant, fault, arn                                 < authz
secret, root, record                                        < seal
record, store, seal, key, keystore, grant, iam, crypt, authz, api, arn, fault, secret < keyring
record, store, seal, sigv4, iam, arn, secret, fault         < identity
identity, keyring, record, root, seal, store                < rekey
NONE                                                        < clock, durable, vitals
durable                                                     < audit
fault                                                       < oidc
api, arn, key, grant, iam, identity, crypt, keyring, keystore, secret, fault, vitals < action
action, api, api/iamapi, api/query, arn, iam, identity, fault < action/iamaction
action, api, api/query, api/stsapi, fault, iam, identity, secret < action/stsaction
action, api, api/adminapi, api/query, arn, crypt, fault, identity, key, keyring, secret < action/adminaction
action, action/adminaction, action/iamaction, action/stsaction, api, api/adminapi, api/iamapi, api/query, api/stsapi, arn, audit, authz, crypt, fault, grant, iam, identity, key, keyring, keystore, lane, oidc, recipient, secret, vitals, wire < pipeline
pipeline, sigv4, wire, iam, fault                           < httpd
pipeline, action, api, api/adminapi, api/iamapi, arn, crypt, fault, grant, iam, secret < declare
api, fault                                                  < conformance
audit, fault, iam, secret, sigv4                            < xksproxy
api, fault, store                                           < follow
record, seal, store                                         < ledger
record, seal, secret, store                                 < backup
store                                                       < store/etcd, store/storetest
durable, store                                              < store/bolt
NONE                                                        < store/etcd/etcdtest, faults/disk
iam                                                         < iam/iamtest
root, secret                                                < root/kek, root/roottest
secret                                                      < root/terminal
durable, root, root/kek, secret                             < root/file
root, root/kek, secret                                      < root/tpm, root/pkcs11
NONE                                                        < awsclient
awsclient, root, secret                                     < root/awskms
awsclient, durable, ledger, root, seal                      < anchor
root, root/kek, root/terminal, secret                       < root/passphrase
durable, root, root/kek, root/terminal, secret              < root/shares
`

// These may import anything of the house.
var unbounded = []string{"trent/cmd/trent", "trent/trenttest", "trent/internal/server"}

// forbidden names standard packages that pure rooms must do without: they take
// time, randomness of the world and I/O as arguments, or not at all.
var forbidden = map[string][]string{
	"crypt": {"net/http", "net", "os", "trent/internal/store"},
	"key":   {"net/http", "net", "os", "trent/internal/store"},
	"iam":   {"net/http", "net", "os", "trent/internal/store"},
	"arn":   {"net/http", "net", "os"},
	"authz": {"net/http", "net", "os", "trent/internal/store"},
	"wire":  {"net/http", "os"},

	"keystore": {"net/http", "net", "os", "trent/internal/store"},
}

// cryptographers are the rooms in which a cryptographic package may appear.
var cryptographers = []string{"crypt", "recipient", "recipient/nitro", "recipient/devroot", "seal", "sigv4", "audit", "root", "root/file", "root/kek", "root/passphrase", "root/awskms", "root/tpm", "root/shares", "secret", "httpd", "identity", "keyring", "oidc", "keystore", "xks", "xksproxy", "conformance", "store/etcd", "ledger", "anchor", "awsclient"}

type goPackage struct {
	ImportPath string
	Imports    []string
	GoFiles    []string // none: a package of tests
}

func TestWalls(t *testing.T) {
	may := parseWalls(t, walls)
	for _, p := range listPackages(t) {
		room, internal := strings.CutPrefix(p.ImportPath, "trent/internal/")
		if slices.Contains(unbounded, p.ImportPath) || strings.HasPrefix(room, "api/gen") || !internal || len(p.GoFiles) == 0 {
			continue
		}
		allowed, known := may[room]
		if !known {
			t.Errorf("package %s stands in no line of the walls: which room is it?", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			checkImport(t, room, allowed, imp)
		}
	}
}

func checkImport(t *testing.T, room string, allowed []string, imp string) {
	t.Helper()
	if other, ours := strings.CutPrefix(imp, "trent/internal/"); ours {
		if !slices.Contains(allowed, other) {
			t.Errorf("%s imports %s: there is a wall between them", room, other)
		}
		return
	}
	if strings.HasPrefix(imp, "trent/") {
		t.Errorf("%s imports %s, which is outside the house", room, imp)
	}
	if slices.Contains(forbidden[room], imp) {
		t.Errorf("%s imports %s: this room is pure", room, imp)
	}
	if (imp == "crypto" || strings.HasPrefix(imp, "crypto/")) && !slices.Contains(cryptographers, room) {
		t.Errorf("%s imports %s: cryptography has rooms of its own", room, imp)
	}
}

// TestUnboundedAreFew keeps the list above from growing into a hole.
func TestUnboundedAreFew(t *testing.T) {
	if len(unbounded) > 3 {
		t.Errorf("%d packages may import anything", len(unbounded))
	}
}

func parseWalls(t *testing.T, text string) map[string][]string {
	may := make(map[string][]string)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		left, right, ok := strings.Cut(line, "<")
		if !ok {
			t.Fatalf("no < in %q", line)
		}
		for _, room := range names(right) {
			may[room] = append(may[room], names(left)...)
		}
	}
	return may
}

func names(list string) []string {
	var out []string
	for _, n := range strings.Split(list, ",") {
		if n = strings.TrimSpace(n); n != "" {
			out = append(out, n)
		}
	}
	return out
}

func listPackages(t *testing.T) []goPackage {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,GoFiles", "trent/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}
