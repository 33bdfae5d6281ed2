package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const apiHome = ".."

// The generated files must be what the generator makes of the model.
func TestGeneratedFilesAreFresh(t *testing.T) {
	if err := compare(apiHome); err != nil {
		t.Fatal(err)
	}
}

func TestCompareNamesTheStaleFile(t *testing.T) {
	dir := copyOfHome(t)
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	if err := compare(dir); err != nil {
		t.Fatalf("fresh files: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "enums_gen.go"), []byte("package api\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := compare(dir); err == nil || !strings.Contains(err.Error(), "enums_gen.go") || strings.Contains(err.Error(), "types_gen.go") {
		t.Errorf("compare = %v", err)
	}
}

func copyOfHome(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "model"), os.DirFS(filepath.Join(apiHome, "model"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// An overlay that no longer fits the model must not pass unnoticed.
func TestOverlayHasToFit(t *testing.T) {
	for name, overlay := range map[string]string{
		"unknown shape":   `{"patterns":[{"shape":"Nonsense","reason":"r"}]}`,
		"value missing":   `{"printed":[{"shape":"MessageType","values":["RAW","DIGEST"],"reason":"r"}]}`,
		"unknown member":  `{"always":[{"members":["KeyMetadata.Nonsense"],"reason":"r"}]}`,
		"no reason":       `{"sensitive":[{"members":["Tag.TagKey"]}]}`,
		"unknown section": `{"nonsense":[]}`,
	} {
		dir := copyOfHome(t)
		if err := os.WriteFile(filepath.Join(dir, services[0].overlay()), []byte(overlay), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := generate(dir); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The model is facts only: no prose comes with it.
func TestModelHasNoProse(t *testing.T) {
	for _, s := range services {
		text, err := os.ReadFile(filepath.Join(apiHome, s.model()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "<p>") || strings.Contains(string(text), "documentation") {
			t.Errorf("the model of %s holds prose", s.name)
		}
	}
}

func TestTrimKeepsOrderAndDropsProse(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.json"), filepath.Join(dir, "to.json")
	const description = `{"version":"2.0","documentation":"<p>x</p>",
		"operations":{"Z":{"name":"Z","input":{"shape":"ZRequest"},"errors":[{"shape":"E"}],"documentation":"x"},"A":{"input":{"shape":"ARequest"}}},
		"shapes":{"E":{"type":"structure","members":{"message":{"shape":"S"}},"exception":true,"fault":true},
			"ZRequest":{"type":"structure","required":["B"],"members":{"B":{"shape":"S","documentation":"x"},"A":{"shape":"S"}}},
			"S":{"type":"string","min":0,"max":9,"pattern":"[a]+"}}}`
	if err := os.WriteFile(from, []byte(description), 0o644); err != nil {
		t.Fatal(err)
	}
	if trim(from, "", to, nil) == nil {
		t.Error("a model without a source was accepted")
	}
	if err := trim(from, "test", to, nil); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(to)
	const want = `{"source": "test", "operations": [
		{"name": "Z", "input": "ZRequest", "errors": ["E"]}, {"name": "A", "input": "ARequest", "errors": []}],
		"shapes": [{"name": "E", "type": "structure", "status": 500},
			{"name": "ZRequest", "type": "structure", "required": ["B"], "members": [{"name": "B", "shape": "S"}, {"name": "A", "shape": "S"}]},
			{"name": "S", "type": "string", "min": 0, "max": 9, "pattern": "[a]+"}]}`
	if compactJSON(t, got) != compactJSON(t, []byte(want)) {
		t.Errorf("trimmed to %s", got)
	}
}

// A model of the query protocol keeps what is chosen, and how its errors look.
func TestTrimKeepsChosenOperations(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.json"), filepath.Join(dir, "to.json")
	const description = `{"metadata":{"protocol":"query","apiVersion":"2010-05-08","xmlNamespace":"https://x/"},
		"operations":{"A":{"input":{"shape":"AIn"},"errors":[{"shape":"E"}]},"B":{"input":{"shape":"BIn"}}},
		"shapes":{"AIn":{"type":"structure","members":{"L":{"shape":"List"}}},"BIn":{"type":"structure","members":{"x":{"shape":"Other"}}},
			"List":{"type":"list","member":{"shape":"S"}},"S":{"type":"string"},"Other":{"type":"string"},
			"E":{"type":"structure","members":{},"exception":true,"error":{"code":"Short","httpStatusCode":409}}}}`
	if err := os.WriteFile(from, []byte(description), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := trim(from, "test", to, []string{"A", "C"}); err == nil {
		t.Error("an operation that is not there was kept")
	}
	if err := trim(from, "test", to, []string{"A"}); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(to)
	const want = `{"source": "test", "version": "2010-05-08", "namespace": "https://x/",
		"operations": [{"name": "A", "input": "AIn", "errors": ["E"]}],
		"shapes": [{"name": "AIn", "type": "structure", "members": [{"name": "L", "shape": "List"}]},
			{"name": "List", "type": "list", "item": "S"}, {"name": "S", "type": "string"},
			{"name": "E", "type": "structure", "status": 409, "code": "Short"}]}`
	if compactJSON(t, got) != compactJSON(t, []byte(want)) {
		t.Errorf("trimmed to %s", got)
	}
}

func compactJSON(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(v)
	return string(out)
}

func TestNames(t *testing.T) {
	m, err := load(apiHome, services[0])
	if err != nil {
		t.Fatal(err)
	}
	for shape, want := range map[string]string{
		"KeyUsageType": "KeyUsage", "MessageType": "MessageType", "KeySpec": "KeySpec", "SigningAlgorithmSpec": "SigningAlgorithm",
		"DryRunModifierType": "DryRunModifier", "EncryptRequest": "EncryptInput", "ListGrantsResponse": "ListGrantsOutput",
	} {
		if got := m.typeName(m.byName[shape]); got != want {
			t.Errorf("%s becomes %s", shape, got)
		}
	}
	for value, want := range map[string]string{
		"SYMMETRIC_DEFAULT": "SymmetricDefault", "RSA_2048": "RSA2048", "AWS_KMS": "AWSKMS", "AWS_CLOUDHSM": "AWSCloudHSM",
		"GenerateDataKey": "GenerateDataKey", "RSASSA_PKCS1_V1_5_SHA_256": "RSASSAPKCS1V15SHA256",
	} {
		if got := valueName(value); got != want {
			t.Errorf("%s becomes %s", value, got)
		}
	}
}
