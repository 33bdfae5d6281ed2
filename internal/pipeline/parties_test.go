package pipeline_test

import "testing"

// TestSEC_B08: what cannot be the name of a session names nobody. With a slash in
// it, a grant was kept in the place of another session's: that session had it, and no
// id led to it any more, so that it could not be revoked.
func TestSEC_B08_SessionNamesAreNoPaths(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	for _, name := range []string{"ab/cd", "a", "ab/", "", "ab:cd", "ab*"} {
		arn := "arn:aws:sts::111122223333:assumed-role/batch/" + name
		for _, members := range []string{
			`"GranteePrincipal":"` + arn + `","Operations":["Encrypt"]`,
			to(nobody, "Encrypt") + `,"RetiringPrincipal":"` + arn + `"`,
		} {
			r := w.call(admin, "CreateGrant", `{"KeyId":"`+id+`",`+members+`}`)
			if r.code != "InvalidArnException" && r.code != "ValidationException" {
				t.Errorf("%s: %d %s", members, r.status, r.code)
			}
		}
	}
	if r := w.call(session(account, "batch", "ab"), "Encrypt", encryptBody(id, `{}`)); r.code != "AccessDeniedException" {
		t.Errorf("the session ab: %d %s", r.status, r.code)
	}
	grantID, _ := w.grant(admin, id, to(session(account, "batch", "ab"), "Encrypt"))
	w.must(session(account, "batch", "ab"), "Encrypt", encryptBody(id, `{}`))
	w.must(admin, "RevokeGrant", `{"KeyId":"`+id+`","GrantId":"`+grantID+`"}`)
}

// TestSEC_B10: what an account may retire is listed for that account alone, under
// whatever name it is asked for.
func TestSEC_B10_RetirableGrantsOfOthers(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	w.grant(admin, id, to(nobody, "Encrypt")+`,"RetiringPrincipal":"arn:aws:iam::111122223333:root"`)
	for _, name := range []string{"111122223333", "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:user/ghost"} {
		if r := w.call(stranger, "ListRetirableGrants", `{"RetiringPrincipal":"`+name+`"}`); r.code != "InvalidArnException" {
			t.Errorf("%s: %d %s %v", name, r.status, r.code, r.body)
		}
	}
	// A stranger does not learn who there is.
	there, notThere := w.call(stranger, "ListRetirableGrants", `{"RetiringPrincipal":"`+userARN(nobody)+`"}`), w.call(stranger, "ListRetirableGrants", `{"RetiringPrincipal":"arn:aws:iam::111122223333:user/ghost"}`)
	if there.message != notThere.message {
		t.Errorf("%q and %q", there.message, notThere.message)
	}
	if out := w.must(admin, "ListRetirableGrants", `{"RetiringPrincipal":"arn:aws:iam::111122223333:root"}`); len(out["Grants"].([]any)) != 1 {
		t.Errorf("its own account: %v", out)
	}
}

// TestSEC_B08: a principal has one name in a grant, so that a Deny of that name
// cannot be passed by under another.
func TestSEC_B08_GranteesHaveOneName(t *testing.T) {
	w := newPopulated(t)
	id, _ := w.newKey(admin)
	limited := user(account, "alice", allow("kms:*"), `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:CreateGrant","Resource":"*","Condition":{"StringLike":{"kms:GranteePrincipal":"arn:aws:iam::444455556666:*"}}}}`)
	for name, code := range map[string]string{"arn:aws:iam::444455556666:root": "AccessDeniedException", "444455556666": "InvalidArnException", "arn:aws:iam::111122223333:root": ""} {
		if r := w.call(limited, "CreateGrant", `{"KeyId":"`+id+`","GranteePrincipal":"`+name+`","Operations":["Decrypt"]}`); r.code != code {
			t.Errorf("%s: %d %s", name, r.status, r.code)
		}
	}
}
