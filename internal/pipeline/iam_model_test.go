package pipeline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"trent/internal/identity"
)

// Whatever is asked for, in whatever order: what is left fits together, and another
// process reads the same.
func TestIAMKeepsItsInvariants(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t)
			r := rand.New(rand.NewPCG(seed, 0))
			succeeded := 0
			for range 400 {
				operation, pairs := randomCall(w, r)
				a := w.form(admin, operation, pairs...)
				switch {
				case a.status == 200:
					succeeded++
				case a.status >= 500 || a.code == "AccessDenied" || a.code == "ValidationError":
					t.Fatalf("%s %v: %d %s %s", operation, pairs, a.status, a.code, a.message)
				}
				checkInvariants(t, w.identities.View())
			}
			if succeeded < 100 {
				t.Errorf("only %d calls did anything", succeeded)
			}
			again, err := identity.Open(context.Background(), w.store, w.sealer, "aws")
			if err != nil {
				t.Fatal(err)
			}
			if before, after := describe(w.identities.View()), describe(again.View()); before != after {
				t.Errorf("in memory:\n%s\nin the store:\n%s", before, after)
			}
		})
	}
}

// randomCall draws a call about few names, so that calls meet.
func randomCall(w *world, r *rand.Rand) (operation string, pairs []string) {
	name := func(kind string) string {
		n := fmt.Sprint(kind, r.IntN(3))
		if r.IntN(4) == 0 {
			n = strings.ToUpper(n)
		}
		return n
	}
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	kind := pick("User", "Group", "Role")
	owner := []string{kind + "Name", name(strings.ToLower(kind))}
	policy := pick(policyARN("p0"), policyARN("p1"), policyARN("p2"), "arn:aws:iam::aws:policy/AdministratorAccess")
	switch operation = pick("Create", "Create", "Delete", "Put", "Drop", "Attach", "Detach", "Add", "Remove", "Bound", "Unbound", "Key", "NoKey", "Policy", "NoPolicy", "Version", "NoVersion", "Default", "Rename"); operation {
	case "Create":
		if kind == "Role" {
			owner = append(owner, "AssumeRolePolicyDocument", trust)
		}
		return "Create" + kind, owner
	case "Delete":
		return "Delete" + kind, owner
	case "Put":
		return "Put" + kind + "Policy", append(owner, "PolicyName", name("i"), "PolicyDocument", allow("kms:*"))
	case "Drop":
		return "Delete" + kind + "Policy", append(owner, "PolicyName", name("i"))
	case "Attach", "Detach":
		return operation + kind + "Policy", append(owner, "PolicyArn", policy)
	case "Add":
		return "AddUserToGroup", []string{"UserName", name("user"), "GroupName", name("group")}
	case "Remove":
		return "RemoveUserFromGroup", []string{"UserName", name("user"), "GroupName", name("group")}
	case "Bound":
		return "PutUserPermissionsBoundary", []string{"UserName", name("user"), "PermissionsBoundary", policy}
	case "Unbound":
		return "DeleteUserPermissionsBoundary", []string{"UserName", name("user")}
	case "Key":
		return "CreateAccessKey", []string{"UserName", name("user")}
	case "NoKey":
		for _, k := range w.identities.View().Account(account).Keys.All() {
			if u, ok := w.identities.View().Account(account).Users.ByID(k.UserID); ok && r.IntN(2) == 0 {
				return "DeleteAccessKey", []string{"UserName", u.Name, "AccessKeyId", k.ID}
			}
		}
		return "ListUsers", nil
	case "Policy":
		return "CreatePolicy", []string{"PolicyName", name("p"), "PolicyDocument", allow("kms:*")}
	case "NoPolicy":
		return "DeletePolicy", []string{"PolicyArn", policy}
	case "Version":
		return "CreatePolicyVersion", []string{"PolicyArn", policy, "PolicyDocument", allow("kms:Encrypt"), "SetAsDefault", pick("true", "false")}
	case "NoVersion":
		return "DeletePolicyVersion", []string{"PolicyArn", policy, "VersionId", fmt.Sprint("v", 1+r.IntN(6))}
	case "Default":
		return "SetDefaultPolicyVersion", []string{"PolicyArn", policy, "VersionId", fmt.Sprint("v", 1+r.IntN(6))}
	}
	return "UpdateUser", []string{"UserName", name("user"), "NewUserName", name("user"), "NewPath", pick("/", "/x/")}
}

// checkInvariants looks for what must not be: names that are alike, references to
// what is not there, and quotas that are exceeded.
func checkInvariants(t *testing.T, v identity.View) {
	t.Helper()
	a := v.Account(account)
	seen := make(map[string]bool)
	unique := func(kind, name string) {
		if seen[kind+strings.ToLower(name)] {
			t.Fatalf("two of the name %s", name)
		}
		seen[kind+strings.ToLower(name)] = true
	}
	permissions := func(who string, p *identity.Permissions, boundary string) {
		for _, arn := range append(slices.Clone(p.Attached), boundary) {
			if _, ok := v.Policy(account, arn); arn != "" && !ok {
				t.Fatalf("%s has %s, which is not there", who, arn)
			}
		}
		if len(p.Attached) > 10 {
			t.Fatalf("%s has %d policies", who, len(p.Attached))
		}
	}
	for _, u := range a.Users.All() {
		unique("user", u.Name)
		permissions(u.Name, &u.Permissions, u.Boundary)
		for _, id := range u.Groups {
			if _, ok := a.Groups.ByID(id); !ok {
				t.Fatalf("%s is in a group that is not there", u.Name)
			}
		}
		if n := len(a.KeysOf(u.ID)); n > 2 {
			t.Fatalf("%s has %d keys", u.Name, n)
		}
	}
	for _, g := range a.Groups.All() {
		unique("group", g.Name)
		permissions(g.Name, &g.Permissions, "")
	}
	for _, r := range a.Roles.All() {
		unique("role", r.Name)
		permissions(r.Name, &r.Permissions, r.Boundary)
	}
	for _, p := range a.Policies.All() {
		unique("policy", p.Name)
		if _, ok := p.Version(p.Default); !ok || len(p.Versions) > 5 || p.Newest < p.Versions[len(p.Versions)-1].Number {
			t.Fatalf("%s: default %d, newest %d of %d versions", p.Name, p.Default, p.Newest, len(p.Versions))
		}
	}
	for _, k := range a.Keys.All() {
		if _, ok := a.Users.ByID(k.UserID); !ok {
			t.Fatalf("%s is nobody's", k.ID)
		}
	}
}

// describe is all that there is, as text.
func describe(v identity.View) string {
	var b strings.Builder
	a := v.Account(account)
	inline := func(p *identity.Permissions) (names []string) {
		for _, i := range p.Inline {
			names = append(names, i.Name+i.Policy.Source)
		}
		return names
	}
	for _, u := range a.Users.All() {
		fmt.Fprintln(&b, v.ARN(u), u.ID, u.Created, u.Groups, u.Attached, u.Boundary, inline(&u.Permissions))
	}
	for _, g := range a.Groups.All() {
		fmt.Fprintln(&b, v.ARN(g), g.ID, g.Created, g.Attached, inline(&g.Permissions))
	}
	for _, r := range a.Roles.All() {
		fmt.Fprintln(&b, v.ARN(r), r.ID, r.Created, r.Attached, r.MaxSession, r.Trust.Source, inline(&r.Permissions))
	}
	for _, p := range a.Policies.All() {
		fmt.Fprint(&b, v.ARN(p), p.ID, p.Created, p.Updated, p.Default, p.Newest)
		for _, version := range p.Versions {
			fmt.Fprint(&b, version.Number, version.Created, version.Policy.Source)
		}
		fmt.Fprintln(&b)
	}
	for _, k := range a.Keys.All() {
		fmt.Fprintln(&b, k.ID, k.UserID, k.Created, k.Inactive, string(k.Secret.Expose()))
	}
	return b.String()
}
