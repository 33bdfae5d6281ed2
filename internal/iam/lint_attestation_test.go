package iam_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trent/internal/api"
	"trent/internal/iam"
)

// checkLint wants findings with these codes, all of the statement with the Sid s.
func checkLint(t *testing.T, text string, kind iam.PolicyKind, want string) {
	t.Helper()
	var codes []string
	for _, f := range iam.Lint(mustParse(t, text), kind) {
		if f.Statement != 1 || f.SID != "s" || !strings.HasSuffix(f.Text, ".") || len(f.Text) < 40 {
			t.Errorf("%+v", f)
		}
		codes = append(codes, f.Code)
	}
	if got := strings.Join(codes, " "); got != want {
		t.Errorf("%s: %q, want %q", text, got, want)
	}
}

// digest is a measurement as requests have it.
var digest = strings.Repeat("0f1e", 24)

// attested is a key policy of one statement with a condition; D in it is a digest.
func attested(effect, actions, condition string) string {
	return policy(`"Sid":"s","Effect":"` + effect + `","Principal":{"AWS":"arn:aws:iam::111122223333:role/enclave"},"Action":` + actions + `,"Resource":"*","Condition":` +
		strings.ReplaceAll(condition, `"D"`, `"`+digest+`"`))
}

// Conditions on attestation documents that do not say what they seem to say.
func TestLintAttestation(t *testing.T) {
	const decrypt = `["kms:Decrypt","kms:GenerateDataKey*"]`
	for _, c := range []struct{ effect, actions, condition, want string }{
		{"Allow", decrypt, `{"StringEqualsIgnoreCase":{"kms:RecipientAttestation:ImageSha384":"D","kms:RecipientAttestation:PCR31":"D","kms:RecipientAttestation:NitroTPMPCR23":"D"}}`, ""},
		{"Allow", decrypt, `{"StringEqualsIgnoreCaseIfExists":{"kms:RecipientAttestation:PCR0":"D"}}`, "attestation-optional"},
		{"Allow", decrypt, `{"StringNotEquals":{"kms:RecipientAttestation:PCR0":"D"}}`, "attestation-optional"},
		{"Allow", decrypt, `{"ForAnyValue:StringNotEquals":{"kms:RecipientAttestation:PCR0":"D"}}`, "set-operator attestation-optional"},
		{"Allow", decrypt, `{"Null":{"kms:RecipientAttestation:PCR0":"true"}}`, "attestation-optional"},
		{"Allow", decrypt, `{"Null":{"kms:RecipientAttestation:PCR0":"false"}}`, ""},
		{"Deny", decrypt, `{"StringNotEquals":{"kms:RecipientAttestation:PCR0":"D"}}`, ""},
		{"Deny", decrypt, `{"StringEquals":{"kms:RecipientAttestation:PCR32":"D"}}`, "unknown-key"},
		{"Deny", decrypt, `{"StringEquals":{"kms:RecipientAttestation:NitroTPMPCR24":"D"}}`, "unknown-key"},
		{"Deny", decrypt, `{"StringEquals":{"kms:RecipientAttestation:PCR07":"D"}}`, "unknown-key"},
		{"Deny", decrypt, `{"StringEquals":{"kms:RecipientAttestation:7":"D"}}`, "unknown-key"},
		{"Deny", decrypt, `{"StringEquals":{"kms:RecipientAttestation":"D"}}`, "unknown-key"},

		// Values that no measurement has.
		{"Allow", decrypt, `{"StringEqualsIgnoreCase":{"kms:RecipientAttestation:PCR0":["D","0xD"]}}`, "attestation-prefix"},
		{"Deny", decrypt, `{"StringNotEquals":{"kms:RecipientAttestation:PCR0":"0X` + digest + `"}}`, "attestation-prefix"},
		{"Allow", decrypt, `{"StringEquals":{"kms:RecipientAttestation:PCR0":"` + strings.ToUpper(digest) + `"}}`, "attestation-case"},
		{"Deny", decrypt, `{"StringNotEquals":{"kms:RecipientAttestation:PCR0":"` + strings.ToUpper(digest) + `"}}`, "attestation-case"},
		{"Allow", decrypt, `{"StringLike":{"kms:RecipientAttestation:PCR0":"` + strings.ToUpper(digest) + `"}}`, "attestation-case"},
		{"Allow", decrypt, `{"StringEqualsIgnoreCase":{"kms:RecipientAttestation:PCR0":"` + strings.ToUpper(digest) + `"}}`, ""},
		{"Allow", decrypt, `{"StringEquals":{"kms:RecipientAttestation:PCR0":"` + digest[1:] + `"}}`, "attestation-value"},
		{"Allow", decrypt, `{"StringEquals":{"kms:RecipientAttestation:PCR0":"g` + digest[1:] + `"}}`, "attestation-value"},
		{"Allow", decrypt, `{"StringEquals":{"kms:RecipientAttestation:PCR0":["` + digest[:64] + `","` + digest + digest[:32] + `"]}}`, ""},
		{"Allow", decrypt, `{"StringLike":{"kms:RecipientAttestation:PCR0":"AB*"}}`, ""},
		{"Allow", decrypt, `{"StringEquals":{"kms:RecipientAttestation:PCR0":"${aws:PrincipalTag/image}"}}`, ""},

		// Actions that no document comes with.
		{"Allow", `["kms:Decrypt","kms:Encrypt"]`, `{"StringEquals":{"kms:RecipientAttestation:PCR0":"D"}}`, "attestation-action"},
		{"Allow", `"kms:ReEncrypt*"`, `{"StringEquals":{"kms:RecipientAttestation:PCR0":"D"}}`, "attestation-action"},
		{"Allow", `"kms:*"`, `{"StringEquals":{"kms:RecipientAttestation:PCR0":"D"}}`, ""},
		{"Deny", `"kms:Encrypt"`, `{"StringEquals":{"kms:RecipientAttestation:PCR0":"D"}}`, "attestation-action"},
		{"Deny", `["kms:Decrypt","kms:ReEncryptFrom"]`, `{"StringNotEquals":{"kms:RecipientAttestation:PCR0":"D"}}`, "attestation-action"},
		{"Deny", `"kms:*"`, `{"StringNotEquals":{"kms:RecipientAttestation:PCR0":"D"}}`, "attestation-action"},
		{"Deny", `"*"`, `{"Null":{"kms:RecipientAttestation:PCR0":"true"}}`, "attestation-action"},
		{"Deny", `"kms:*"`, `{"StringEquals":{"kms:RecipientAttestation:PCR0":"D"}}`, ""},

		// A Deny of two measurements that wants both to be wrong.
		{"Deny", decrypt, `{"StringNotEqualsIgnoreCase":{"kms:RecipientAttestation:PCR0":"D","kms:RecipientAttestation:PCR3":"D"}}`, "attestation-denies-both"},
		{"Deny", decrypt, `{"StringEqualsIgnoreCase":{"kms:RecipientAttestation:PCR0":"D","kms:RecipientAttestation:PCR3":"D"}}`, ""},
		{"Allow", decrypt, `{"StringNotEquals":{"kms:RecipientAttestation:PCR0":"D","kms:RecipientAttestation:PCR3":"D"}}`, "attestation-optional attestation-optional"},

		// NitroTPM.
		{"Allow", decrypt, `{"StringEquals":{"kms:RecipientAttestation:NitroTPMPCR4":"D"}}`, "nitrotpm-pcr4-alone"},
		{"Allow", decrypt, `{"StringEquals":{"kms:RecipientAttestation:NitroTPMPCR4":"D","kms:RecipientAttestation:NitroTPMPCR8":"D"}}`, "nitrotpm-pcr4-alone"},
		{"Allow", decrypt, `{"StringEquals":{"kms:RecipientAttestation:NitroTPMPCR4":"D"},"StringEqualsIgnoreCase":{"kms:RecipientAttestation:NitroTPMPCR12":"D"}}`, ""},
		{"Allow", decrypt, `{"StringEquals":{"kms:RecipientAttestation:NitroTPMPCR4":"D","kms:RecipientAttestation:NitroTPMPCR7":"D"}}`, ""},
		{"Allow", decrypt, `{"StringEquals":{"kms:RecipientAttestation:PCR4":"D"}}`, ""},
		{"Deny", decrypt, `{"StringNotEquals":{"kms:RecipientAttestation:NitroTPMPCR4":"D"}}`, "nitrotpm-pcr4-alone"},
		{"Deny", decrypt, `{"StringEquals":{"kms:RecipientAttestation:NitroTPMPCR4":"D"}}`, ""},
	} {
		checkLint(t, attested(c.effect, c.actions, strings.ReplaceAll(c.condition, "0xD", "0x"+digest)), iam.KeyPolicy, c.want)
	}
}

// Each action of the model, and of the permissions that have no action of their name.
func TestLintAttestationKnowsTheModel(t *testing.T) {
	n := 0
	for _, op := range api.Operations() {
		if op.Recipient {
			n++
		}
		if want := map[bool]string{false: "attestation-action"}[op.Recipient]; op.Name != "ReEncrypt" {
			checkLint(t, attested("Allow", `"kms:`+op.Name+`"`, `{"StringEquals":{"kms:RecipientAttestation:PCR0":"D"}}`), iam.KeyPolicy, want)
		}
	}
	if n < 5 {
		t.Errorf("%d operations take a document", n)
	}
}

// The boot loader's measurement in one statement, that of its command line in another.
func TestLintNitroTPMInTwo(t *testing.T) {
	for other, want := range map[string]string{
		`"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*","Condition":{"StringNotEquals":{"kms:RecipientAttestation:NitroTPMPCR12":"D"}}`:                                      "",
		`"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/b"},"Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"kms:RecipientAttestation:NitroTPMPCR12":"D"}}`: "nitrotpm-pcr4-alone",
		`"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*","Condition":{"StringEquals":{"kms:RecipientAttestation:NitroTPMPCR12":"D"}}`:                                         "nitrotpm-pcr4-alone",
		`"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*","Condition":{"StringNotEquals":{"kms:RecipientAttestation:PCR12":"D"}}`:                                              "nitrotpm-pcr4-alone",
	} {
		for _, first := range []string{
			attested("Allow", `"kms:Decrypt"`, `{"StringEquals":{"kms:RecipientAttestation:NitroTPMPCR4":"D"}}`),
			attested("Deny", `"kms:Decrypt"`, `{"StringNotEquals":{"kms:RecipientAttestation:NitroTPMPCR4":"D"}}`),
		} {
			one := strings.TrimSuffix(first, "]}")
			checkLint(t, one+`,{`+strings.ReplaceAll(other, `"D"`, `"`+digest+`"`)+`}]}`, iam.KeyPolicy, want)
		}
	}
}

// Statements beside one that demands a document, which has the Sid g.
func TestLintAttestationBypass(t *testing.T) {
	const (
		role  = `"Principal":{"AWS":"arn:aws:iam::111122223333:role/enclave"},`
		other = `"Principal":{"AWS":"arn:aws:iam::111122223333:role/other"},`
		root  = `"Principal":{"AWS":"111122223333"},`
		all   = `"Principal":"*",`
	)
	statement := func(sid, effect, who, action, more string) string {
		return `{"Sid":"` + sid + `","Effect":"` + effect + `",` + who + `"Action":` + action + `,"Resource":"*"` + more + `}`
	}
	condition := func(operator string) string {
		return `,"Condition":{"` + operator + `":{"kms:RecipientAttestation:PCR0":"` + digest + `"}}`
	}
	allow := func(who string) string {
		return statement("g", "Allow", who, `["kms:Decrypt","kms:GenerateDataKey"]`, condition("StringEquals"))
	}
	deny := func(who string) string {
		return statement("g", "Deny", who, `"kms:Decrypt"`, condition("StringNotEquals"))
	}
	s := func(who, action string) string { return statement("s", "Allow", who, action, "") }
	const caller = `,"Condition":{"StringEquals":{"kms:CallerAccount":"111122223333"}}`
	for _, c := range []struct {
		name       string
		kind       iam.PolicyKind
		statements []string
		want       string // the action that is named, or ""
	}{
		{"the same", iam.KeyPolicy, []string{allow(role), s(role, `"kms:Decrypt"`)}, "kms:Decrypt"},
		{"in any order", iam.KeyPolicy, []string{s(role, `"kms:Decrypt"`), allow(role)}, "kms:Decrypt"},
		{"all", iam.KeyPolicy, []string{allow(role), s(role, `"kms:*"`)}, "kms:Decrypt"},
		{"by NotAction", iam.KeyPolicy, []string{allow(role), strings.Replace(s(role, `"kms:Encrypt"`), "Action", "NotAction", 1)}, "kms:Decrypt"},
		{"another that is bound", iam.KeyPolicy, []string{allow(role), s(role, `"kms:GenerateDataKey*"`)}, "kms:GenerateDataKey"},
		{"another that is not bound", iam.KeyPolicy, []string{allow(role), s(role, `["kms:GenerateRandom","kms:Encrypt","kms:DescribeKey","kms:ReEncryptTo"]`)}, ""},
		{"re-encryption", iam.KeyPolicy, []string{allow(role), s(role, `"kms:ReEncrypt*"`)}, "kms:ReEncryptFrom"},
		{"grants", iam.KeyPolicy, []string{allow(role), s(role, `["kms:Encrypt","kms:Create*"]`)}, "kms:CreateGrant"},
		{"policy", iam.KeyPolicy, []string{allow(role), s(role, `"kms:Put*"`)}, "kms:PutKeyPolicy"},
		{"replicas", iam.KeyPolicy, []string{allow(role), s(role, `"kms:ReplicateKey"`)}, "kms:ReplicateKey"},
		{"others", iam.KeyPolicy, []string{allow(role), s(other, `"kms:*"`)}, ""},
		{"the account", iam.KeyPolicy, []string{allow(role), s(root, `"kms:*"`)}, ""},
		{"the account, which is bound", iam.KeyPolicy, []string{allow(root), s(root, `"kms:*"`)}, "kms:Decrypt"},
		{"everyone in the account", iam.KeyPolicy, []string{allow(role), statement("s", "Allow", all, `"kms:Decrypt"`, caller)}, "kms:Decrypt"},
		{"with another condition", iam.KeyPolicy, []string{allow(role), statement("s", "Allow", role, `"kms:Decrypt"`, `,"Condition":{"StringEquals":{"kms:EncryptionContext:a":"b"}}`)}, ""},
		{"denied", iam.KeyPolicy, []string{allow(role), s(role, `"kms:ReEncrypt*"`), statement("d", "Deny", all, `"kms:ReEncryptFrom"`, "")}, ""},
		{"denied to others", iam.KeyPolicy, []string{allow(role), s(role, `"kms:ReEncrypt*"`), statement("d", "Deny", other, `"kms:ReEncryptFrom"`, "")}, "kms:ReEncryptFrom"},
		{"denied sometimes", iam.KeyPolicy, []string{allow(role), s(role, `"kms:ReEncrypt*"`), statement("d", "Deny", all, `"kms:ReEncryptFrom"`, `,"Condition":{"Bool":{"kms:ReEncryptOnSameKey":true}}`)}, "kms:ReEncryptFrom"},
		{"a Deny stands", iam.KeyPolicy, []string{deny(all), s(role, `["kms:Decrypt","kms:CreateGrant"]`)}, ""},
		{"a Deny of one principal", iam.KeyPolicy, []string{deny(role), s(role, `["kms:Decrypt","kms:CreateGrant"]`)}, "kms:CreateGrant"},
		{"a Deny and re-encryption", iam.KeyPolicy, []string{deny(all), s(role, `["kms:Decrypt","kms:ReEncrypt*"]`)}, "kms:ReEncryptFrom"},
		{"a Deny of all but some", iam.KeyPolicy, []string{strings.Replace(deny(other), "Principal", "NotPrincipal", 1), s(role, `"kms:ReEncrypt*"`)}, "kms:ReEncryptFrom"},
		{"nothing that takes a document", iam.KeyPolicy, []string{strings.Replace(allow(role), `["kms:Decrypt","kms:GenerateDataKey"]`, `"kms:Encrypt"`, 1), s(role, `"kms:ReEncrypt*"`)}, ""},
		{"a Deny and the account", iam.KeyPolicy, []string{deny(all), s(root, `"kms:*"`)}, ""},
		{"an identity policy", iam.IdentityPolicy, []string{allow(""), s("", `"kms:*"`)}, "kms:Decrypt"},
		{"an identity policy, another key", iam.IdentityPolicy, []string{
			strings.Replace(allow(""), `"*"`, `"arn:aws:kms:us-east-1:111122223333:key/a"`, 1), strings.Replace(s("", `"kms:Decrypt"`), `"*"`, `"arn:aws:kms:us-east-1:111122223333:key/b"`, 1)}, ""},
		{"an identity policy, all keys", iam.IdentityPolicy, []string{
			strings.Replace(allow(""), `"*"`, `"arn:aws:kms:us-east-1:111122223333:key/a"`, 1), strings.Replace(s("", `"kms:Decrypt"`), `"*"`, `"arn:aws:kms:us-east-1:111122223333:key/*"`, 1)}, "kms:Decrypt"},
		{"an identity policy, denied of another key", iam.IdentityPolicy, []string{
			strings.Replace(allow(""), `"*"`, `"arn:aws:kms:us-east-1:111122223333:key/a"`, 1), strings.Replace(s("", `"kms:ReEncrypt*"`), `"*"`, `"arn:aws:kms:us-east-1:111122223333:key/a"`, 1),
			strings.Replace(statement("d", "Deny", "", `"kms:ReEncrypt*"`, ""), `"*"`, `"arn:aws:kms:us-east-1:111122223333:key/b"`, 1)}, "kms:ReEncryptFrom"},
	} {
		p := mustParse(t, `{"Version":"2012-10-17","Statement":[`+strings.Join(c.statements, ",")+`]}`)
		found := slices.DeleteFunc(iam.Lint(p, c.kind), func(f iam.Finding) bool { return f.Code != "attestation-bypass" })
		switch {
		case c.want == "" && len(found) > 0, len(found) > 1:
			t.Errorf("%s: %+v", c.name, found)
		case c.want != "" && (len(found) == 0 || found[0].SID != "s" || !strings.Contains(found[0].Text, " by "+c.want+".")):
			t.Errorf("%s: %+v, want %s", c.name, found, c.want)
		}
	}
}

// The policies that docs/enclaves.md gives people to copy may be stored, and have no finding. Where
// it gives a single statement, that is one of a key policy.
func TestLintOfWhatIsCopied(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "enclaves.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```json\n")[1:]
	if len(blocks) < 5 {
		t.Fatalf("%d policies", len(blocks))
	}
	for _, block := range blocks {
		document, _, _ := strings.Cut(block, "```")
		if !strings.Contains(document, `"Statement"`) {
			document = `{"Version":"2012-10-17","Statement":` + document + `}`
		}
		p := mustParse(t, document)
		if err := iam.Check(p, iam.KeyPolicy); err != nil {
			t.Errorf("%s: %v", document, err)
		}
		if found := iam.Lint(p, iam.KeyPolicy); len(found) > 0 {
			t.Errorf("%s: %+v", document, found)
		}
	}
}
