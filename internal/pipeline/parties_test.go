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
