package arn_test

import (
	"strings"
	"testing"

	"trent/internal/arn"
)

const id = "1234abcd-12ab-34cd-56ef-1234567890ab"

func TestParseRef(t *testing.T) {
	keyARN := arn.Key("aws", "us-east-2", "111122223333", id)
	aliasARN := arn.Alias("aws", "us-east-2", "111122223333", "alias/ExampleAlias")
	for _, c := range []struct {
		in      string
		kind    arn.Kind
		account string
		name    string
	}{
		{id, arn.KeyID, "", id},
		{strings.ToUpper(id), arn.KeyID, "", strings.ToUpper(id)},
		{"mrk-" + strings.Repeat("0a", 16), arn.KeyID, "", "mrk-" + strings.Repeat("0a", 16)},
		{keyARN, arn.KeyARN, "111122223333", id},
		{"alias/ExampleAlias", arn.AliasName, "", "alias/ExampleAlias"},
		{aliasARN, arn.AliasARN, "111122223333", "alias/ExampleAlias"},
		{"alias/a:b", arn.AliasName, "", "alias/a:b"},

		{strings.ReplaceAll(id, "-", ""), arn.Malformed, "", strings.ReplaceAll(id, "-", "")},
		{"mrk-fake", arn.Malformed, "", "mrk-fake"},
		{"arn:aws:kms:us-east-2:111122223333:key/fake", arn.Malformed, "111122223333", "fake"},
		{"arn:aws:kms:us-east-2:11112222333:key/" + id, arn.Malformed, "", "arn:aws:kms:us-east-2:11112222333:key/" + id},
		{"arn:aws:kms::111122223333:key/" + id, arn.Malformed, "", "arn:aws:kms::111122223333:key/" + id},
		{"arn:aws:s3:us-east-2:111122223333:key/" + id, arn.Malformed, "", "arn:aws:s3:us-east-2:111122223333:key/" + id},
		{keyARN + " ", arn.Malformed, "", keyARN + " "},
		{"arn:aws:kms", arn.Malformed, "", "arn:aws:kms"},
		{"", arn.Malformed, "", ""},
	} {
		got := arn.ParseRef(c.in)
		if got.Kind != c.kind || got.Account != c.account || got.Name != c.name {
			t.Errorf("ParseRef(%q) = %+v, want kind %d, account %q, name %q", c.in, got, c.kind, c.account, c.name)
		}
	}
}

func TestParseKeepsColonsOfTheResource(t *testing.T) {
	const s = "arn:aws:iam::111122223333:user/a:b/c"
	a, ok := arn.Parse(s)
	if !ok || a.Resource != "user/a:b/c" || a.Region != "" || a.String() != s {
		t.Fatalf("Parse = %+v, %v", a, ok)
	}
	if _, ok := arn.Parse("arn:aws:kms:us-east-1:111122223333:" + strings.Repeat("k", arn.MaxLen)); ok {
		t.Fatal("an ARN over the limit was taken")
	}
}

// FuzzParseRef: whatever arrives, a reference that is not malformed is made of
// fields that give the same reference again.
func FuzzParseRef(f *testing.F) {
	f.Add(id)
	f.Add("alias/x")
	f.Add("arn:aws:kms:us-east-2:111122223333:alias/x")
	f.Add("arn:aws:kms:us-east-2:111122223333:key/" + id)
	f.Fuzz(func(t *testing.T, s string) {
		r := arn.ParseRef(s)
		var again string
		switch r.Kind {
		case arn.KeyID, arn.AliasName:
			again = r.Name
		case arn.KeyARN:
			again = arn.Key(r.Partition, r.Region, r.Account, r.Name)
		case arn.AliasARN:
			again = arn.Alias(r.Partition, r.Region, r.Account, r.Name)
		default:
			return
		}
		if again != s {
			t.Fatalf("%q came back as %q", s, again)
		}
	})
}
