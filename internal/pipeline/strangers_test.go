package pipeline_test

import "testing"

// TestSEC_B15: however a stranger asks for a key of another account, it gets one answer
// whether or not the key is there.
func TestSEC_B15_NoWayToAskForForeignKeys(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	w.must(admin, "CreateAlias", `{"AliasName":"alias/payroll","TargetKeyId":"`+id+`"}`)
	own, ownARN := w.newKey(stranger)
	// The policy of the stranger's own key lets it be left only where a destination is known.
	w.must(stranger, "PutKeyPolicy", `{"KeyId":"`+own+`","BypassPolicyLockoutSafetyCheck":true,"Policy":`+quoted(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"`+foreign+`"},"Action":"kms:*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"kms:ReEncryptFrom","Resource":"*","Condition":{"Null":{"kms:ReEncryptOnSameKey":"true"}}}]}`)+`}`)
	blob := w.encrypt(stranger, own, `{}`)
	there, notThere := "arn:aws:kms:us-east-1:111122223333:alias/payroll", "arn:aws:kms:us-east-1:111122223333:alias/nothing"
	for name, c := range map[string]struct{ operation, before, after string }{
		"plainly":                   {"DescribeKey", `{"KeyId":"`, `"}`},
		"to encrypt, a bad token":   {"Encrypt", `{"KeyId":"`, `","Plaintext":"YQ==","GrantTokens":["nonsense"]}`},
		"to encrypt, a dry run":     {"Encrypt", `{"KeyId":"`, `","Plaintext":"YQ==","DryRun":true}`},
		"as a destination":          {"ReEncrypt", `{"SourceKeyId":"` + ownARN + `","CiphertextBlob":"` + blob + `","DestinationKeyId":"`, `"}`},
		"as a destination, by blob": {"ReEncrypt", `{"CiphertextBlob":"` + blob + `","DestinationKeyId":"`, `"}`},
		"as a source":               {"ReEncrypt", `{"DestinationKeyId":"` + ownARN + `","CiphertextBlob":"` + blob + `","SourceKeyId":"`, `"}`},
		"for a grant":               {"CreateGrant", `{"GranteePrincipal":"arn:aws:iam::111122223333:user/ghost","Operations":["Decrypt"],"KeyId":"`, `"}`},
		"what is not for others":    {"DisableKey", `{"KeyId":"`, `"}`},
	} {
		one, other := w.call(stranger, c.operation, c.before+there+c.after), w.call(stranger, c.operation, c.before+notThere+c.after)
		if one.status == 200 || one.status != other.status || one.code != other.code || one.message != other.message {
			t.Errorf("%s: %d %s %q\n and not there: %d %s %q", name, one.status, one.code, one.message, other.status, other.code, other.message)
		}
	}
}
