package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"trent/internal/identity"
)

// TestSEC_F_AccountsHaveQuotas: what one account may have is bounded: identities of all
// accounts are in memory.
func TestSEC_F_AccountsHaveQuotas(t *testing.T) {
	w := newWorld(t)
	document := compiled(t, allow("kms:*"))
	fill := func(n int, entity func(name string) identity.Entity) {
		t.Helper()
		for from := 0; from < n; from += 50 {
			var changes []identity.Change
			for i := from; i < min(n, from+50); i++ {
				changes = append(changes, identity.Create(entity(fmt.Sprint("n", i))))
			}
			if err := w.identities.Commit(context.Background(), w.identities.View(), changes, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(4999, func(name string) identity.Entity {
		return &identity.User{Account: account, ID: identity.NewUserID(), Name: name, Path: "/"}
	})
	fill(299, func(name string) identity.Entity {
		return &identity.Group{Account: account, ID: identity.NewGroupID(), Name: name, Path: "/"}
	})
	fill(999, func(name string) identity.Entity {
		return &identity.Role{Account: account, ID: identity.NewRoleID(), Name: name, Path: "/", Trust: compiled(t, trust)}
	})
	fill(1499, func(name string) identity.Entity {
		return &identity.ManagedPolicy{Account: account, ID: identity.NewPolicyID(), Name: name, Path: "/", Default: 1, Newest: 1, Versions: []identity.PolicyVersion{{Number: 1, Policy: document}}}
	})
	for _, c := range []struct {
		operation, member string
		more              []string
		quota             string
	}{
		{"CreateUser", "UserName", nil, "UsersPerAccount: 5000"},
		{"CreateGroup", "GroupName", nil, "GroupsPerAccount: 300"},
		{"CreateRole", "RoleName", []string{"AssumeRolePolicyDocument", trust}, "RolesPerAccount: 1000"},
		{"CreatePolicy", "PolicyName", []string{"PolicyDocument", allow("*")}, "PoliciesPerAccount: 1500"},
	} {
		w.done(admin, c.operation, append(c.more, c.member, "last")...)
		w.denied(w.form(admin, c.operation, append(c.more, c.member, "onemore")...), 409, "LimitExceeded", "Cannot exceed quota for "+c.quota)
		w.done(stranger, c.operation, append(c.more, c.member, "onemore")...) // another account is not concerned
	}
	// White space is no way around the quota on inline policies.
	padded := func(n int) string { return strings.Replace(allow("*"), "{", "{"+strings.Repeat(" ", n), 1) }
	for i := range 2 {
		w.done(admin, "PutUserPolicy", "UserName", "last", "PolicyName", fmt.Sprint("p", i), "PolicyDocument", padded(32000))
	}
	if a := w.form(admin, "PutUserPolicy", "UserName", "last", "PolicyName", "p2", "PolicyDocument", padded(32000)); a.code != "LimitExceeded" {
		t.Errorf("a third one: %d %s", a.status, a.code)
	}
}
