package declare_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
)

const fixedID = "bc436485-5092-42b8-92a3-0aa8b93536dc"

// material is a fixed material of 32 equal bytes.
func material(c string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32)))
}

func fixed(materials ...string) string {
	return in("  users:\n  - {name: app, attached: ['aws:policy/AdministratorAccess'], fixedAccessKeys: [{id: AKIAIOSFODNN7EXAMPLE, secret: wJalrXUtnFEMI/K7MDENG}]}\n" +
		"  keys:\n  - id: " + fixedID + "\n    alias: alias/dev\n    description: For tests\n    tags: {a: b}\n    materials: [" + strings.Join(materials, ", ") + "]\n" +
		"    policy: {Version: 2012-10-17, Statement: {Effect: Allow, Principal: {AWS: 'arn:aws:iam::111122223333:root'}, Action: 'kms:*', Resource: '*'}}\n")
}

func TestFixedKeys(t *testing.T) {
	w := newWorld(t, true)
	text := fixed(material("a"), material("b"))
	want := []string{
		"+ user 111122223333/app",
		"+ user 111122223333/app: attached arn:aws:iam::aws:policy/AdministratorAccess",
		"+ user 111122223333/app: fixed access key AKIAIOSFODNN7EXAMPLE",
		"+ key 111122223333/eu-central-1/alias/dev: fixed id and material",
		"~ key 111122223333/eu-central-1/alias/dev: description",
		"~ key 111122223333/eu-central-1/alias/dev: tags a",
		"~ key 111122223333/eu-central-1/alias/dev: policy",
		"+ key 111122223333/eu-central-1/alias/dev: alias/dev",
	}
	if got := w.apply(text, planOnly); !slices.Equal(got, want) || w.devMarks > 0 || w.log.Len() > 0 {
		t.Errorf("the plan is %q; marked %d times; log %s", got, w.devMarks, w.log)
	}
	if got := w.apply(text); !slices.Equal(got, want) {
		t.Errorf("applied was %q", got)
	}
	if w.devMarks != 2 || !strings.Contains(w.log.String(), "DEV MODE") {
		t.Errorf("remembered %d times; log %s", w.devMarks, w.log)
	}
	if again := w.apply(text); len(again) > 0 {
		t.Errorf("again changes %q", again)
	}
	answer := w.must("arn:aws:iam::111122223333:user/app", "TrentService.GenerateDataKey", `{"KeyId":"`+fixedID+`","KeySpec":"AES_256"}`)
	if !strings.Contains(answer, "key/"+fixedID) {
		t.Errorf("a data key of %s", answer)
	}
	a := w.identities.View().Account(first)
	if k, ok := a.Keys.ByID("AKIAIOSFODNN7EXAMPLE"); !ok || string(k.Secret.Expose()) != "wJalrXUtnFEMI/K7MDENG" {
		t.Error("the fixed access key is not there")
	}
}

// The name of a material follows from it and the id of its key: so two stores with the
// same fixed key have the same, and the last of the list is the one that encrypts.
func TestFixedMaterialIsTheMaterial(t *testing.T) {
	id := func(materials ...string) string {
		w := newWorld(t, true)
		w.apply(fixed(materials...))
		_, rest, _ := strings.Cut(w.must(rootOf(first), "TrentService.DescribeKey", `{"KeyId":"alias/dev"}`), `"CurrentKeyMaterialId":"`)
		return rest[:64]
	}
	a, b := id(material("a")), id(material("b"))
	if a == b || id(material("a")) != a || id(material("a"), material("b")) != b {
		t.Error("the material that encrypts is not the last one of the list")
	}
}

func TestFixedKeysThatCannotBe(t *testing.T) {
	w := newWorld(t, true)
	w.apply(fixed(material("a")))
	if _, err := w.try(fixed(material("b"))); err == nil || !strings.Contains(err.Error(), "another material, which cannot be replaced") {
		t.Errorf("another material: %v", err)
	}
	w.must(rootOf(first), "TrentService.RotateKeyOnDemand", `{"KeyId":"`+fixedID+`"}`)
	if again := w.apply(fixed(material("a"))); len(again) > 0 {
		t.Errorf("after a rotation, again changes %q", again)
	}
	other := strings.Replace(fixed(material("a")), "111122223333\n", "444455556666\n", 1)
	made, err := w.try(other)
	if err != nil || !strings.Contains(made.Failure, "EntityAlreadyExists: There is an access key AKIAIOSFODNN7EXAMPLE") {
		t.Errorf("an access key of another account: %v, %s", err, made.Failure)
	}
	made, err = w.try(strings.Replace(other, "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPL2", 1))
	if err != nil || !strings.Contains(made.Failure, "EntityAlreadyExists: A key of this id has this material already") {
		t.Errorf("the key of another account: %v, %s", err, made.Failure)
	}
	made, err = newWorld(t, true).try(fixed(material("a"), material("a")))
	if err != nil || !strings.Contains(made.Failure, "has this material already") {
		t.Errorf("a material twice: %v, %s", err, made.Failure)
	}
}

// TestSEC_A02: outside dev mode there is no way to such a key: not by a declaration, and
// not by the operation that it would use.
func TestSEC_A02_FixedKeysAreOfDevModeAlone(t *testing.T) {
	w := newWorld(t, false)
	if _, err := w.try(fixed(material("a"))); err == nil || !strings.Contains(err.Error(), "line 6: fixed key ids, materials and access keys are for dev mode alone: start the server with --dev, or leave them out") {
		t.Errorf("got %v", err)
	}
	for _, operation := range []string{"CreateFixedKey", "CreateFixedAccessKey"} {
		status, answer := w.as(rootOf(first), "", "Version=2026-11-24&AccountId=111122223333&Region=eu-central-1&KeyId="+fixedID+"&Materials="+strings.ReplaceAll(material("a"), "=", "%3D")+"&UserName=app&AccessKeyId=AKIAIOSFODNN7EXAMPLE&SecretAccessKey=wJalrXUtnFEMI&Action="+operation)
		if status != 400 || !strings.Contains(answer, "InvalidAction") {
			t.Errorf("%s: %d %s", operation, status, answer)
		}
	}
	if len(w.audit.among(`"mutates":true`)) > 0 {
		t.Error("something was changed")
	}
}

// TestSEC_G01: a fixed material or secret is in no plan, log or audit record, and in no
// refusal.
func TestSEC_G01_FixedSecretsAreSeenNowhere(t *testing.T) {
	w := newWorld(t, true)
	const secretKey = "wJalrXUtnFEMI/K7MDENG"
	var said strings.Builder
	for _, text := range []string{fixed(material("a")), fixed(material("a")), fixed(material("b")), strings.Replace(fixed(material("a")), "111122223333\n", "444455556666\n", 1)} {
		made, err := w.try(text)
		if err != nil {
			said.WriteString(err.Error())
			continue
		}
		said.WriteString(made.Progress())
	}
	said.WriteString(w.log.String())
	said.WriteString(strings.Join(w.audit.lines, ""))
	for _, s := range []string{secretKey, material("a"), material("b"), strings.Repeat("a", 16), "wJalrXUtnFEMI%2FK7MDENG"} {
		if strings.Contains(said.String(), s) {
			t.Errorf("%s was said", s)
		}
	}
	if !strings.Contains(said.String(), "CreateFixedKey") {
		t.Error("the audit has no line of it")
	}
}
