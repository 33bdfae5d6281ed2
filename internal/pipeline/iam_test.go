package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"trent/internal/identity"
)

// A new user with a policy uses a key at once; without the policy, the group, or
// the access key it is refused at once.
func TestIdentityChangesActAtOnce(t *testing.T) {
	w := newWorld(t)
	id, arn := w.newKey(admin)
	w.done(admin, "CreateUser", "UserName", "bob")
	keyID := w.done(admin, "CreateAccessKey", "UserName", "bob").value("AccessKeyId")
	use := func() string {
		return w.call(w.as(keyID), "GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`).code
	}
	expect := func(what, code string) {
		t.Helper()
		if got := use(); got != code {
			t.Errorf("%s: %q, want %q", what, got, code)
		}
	}
	policy := strings.Replace(allow("kms:GenerateDataKey"), `"*"`, `"`+arn+`"`, 1)
	expect("a new user", "AccessDeniedException")
	w.done(admin, "PutUserPolicy", "UserName", "bob", "PolicyName", "use", "PolicyDocument", policy)
	expect("with an inline policy", "")
	w.done(admin, "DeleteUserPolicy", "UserName", "bob", "PolicyName", "use")
	expect("without it", "AccessDeniedException")

	w.done(admin, "CreateGroup", "GroupName", "team")
	w.done(admin, "CreatePolicy", "PolicyName", "use", "PolicyDocument", policy)
	w.done(admin, "AttachGroupPolicy", "GroupName", "team", "PolicyArn", policyARN("use"))
	expect("not in the group", "AccessDeniedException")
	w.done(admin, "AddUserToGroup", "GroupName", "team", "UserName", "bob")
	expect("in the group", "")

	w.done(admin, "CreatePolicyVersion", "PolicyArn", policyARN("use"), "PolicyDocument", allow("kms:ListKeys"))
	expect("a version that is not the default", "")
	w.done(admin, "SetDefaultPolicyVersion", "PolicyArn", policyARN("use"), "VersionId", "v2")
	expect("another default version", "AccessDeniedException")
	w.done(admin, "SetDefaultPolicyVersion", "PolicyArn", policyARN("use"), "VersionId", "v1")
	expect("the first one again", "")

	w.done(admin, "CreatePolicy", "PolicyName", "edge", "PolicyDocument", allow("kms:List*"))
	w.done(admin, "PutUserPermissionsBoundary", "UserName", "bob", "PermissionsBoundary", policyARN("edge"))
	expect("beyond the boundary", "AccessDeniedException")
	w.done(admin, "DeleteUserPermissionsBoundary", "UserName", "bob")
	expect("without a boundary", "")

	w.done(admin, "UpdateAccessKey", "UserName", "bob", "AccessKeyId", keyID, "Status", "Inactive")
	expect("an inactive key", "UnrecognizedClientException")
	w.done(admin, "UpdateAccessKey", "UserName", "bob", "AccessKeyId", keyID, "Status", "Active")
	expect("an active one", "")
	w.done(admin, "DeleteAccessKey", "UserName", "bob", "AccessKeyId", keyID)
	expect("a deleted one", "UnrecognizedClientException")
}

// What IAM refuses, in its words.
func TestIAMRefusals(t *testing.T) {
	w := newWorld(t)
	w.done(admin, "CreateUser", "UserName", "Bob", "Path", "/team/")
	w.done(admin, "CreateGroup", "GroupName", "team")
	w.done(admin, "CreateRole", "RoleName", "job", "AssumeRolePolicyDocument", trust)
	w.done(admin, "CreatePolicy", "PolicyName", "p", "PolicyDocument", allow("kms:*"))
	w.done(admin, "CreateOpenIDConnectProvider", "Url", "https://id.example")
	w.done(admin, "AttachUserPolicy", "UserName", "bob", "PolicyArn", policyARN("p"))
	w.done(admin, "CreateAccountAlias", "AccountAlias", "books")
	boss := "arn:aws:iam::aws:policy/AdministratorAccess"
	nobodyMay := func(action, resource string) string {
		return "User: arn:aws:iam::111122223333:user/nobody is not authorized to perform: " + action + " on resource: " + resource + " because no identity-based policy allows the " + action + " action"
	}
	for _, c := range []struct {
		who           caller
		operation     string
		pairs         []string
		status        int
		code, message string
	}{
		{admin, "GetUser", []string{"UserName", "none"}, 404, "NoSuchEntity", "The user with name none cannot be found."},
		{admin, "GetGroup", []string{"GroupName", "none"}, 404, "NoSuchEntity", "The group with name none cannot be found."},
		{admin, "GetRole", []string{"RoleName", "none"}, 404, "NoSuchEntity", "The role with name none cannot be found."},
		{admin, "GetPolicy", []string{"PolicyArn", policyARN("none")}, 404, "NoSuchEntity", "Policy " + policyARN("none") + " was not found."},
		{admin, "GetPolicy", []string{"PolicyArn", "arn:aws:iam::444455556666:policy/p"}, 404, "NoSuchEntity", "Policy arn:aws:iam::444455556666:policy/p was not found."},
		{admin, "GetPolicyVersion", []string{"PolicyArn", policyARN("p"), "VersionId", "v2"}, 404, "NoSuchEntity", "Policy " + policyARN("p") + " version v2 does not exist or is not attachable."},
		{admin, "GetUserPolicy", []string{"UserName", "bob", "PolicyName", "none"}, 404, "NoSuchEntity", "The user policy with name none cannot be found."},
		{admin, "GetOpenIDConnectProvider", []string{"OpenIDConnectProviderArn", "arn:aws:iam::111122223333:oidc-provider/none"}, 404, "NoSuchEntity", "OpenIDConnect Provider not found for arn arn:aws:iam::111122223333:oidc-provider/none"},
		{admin, "GetLoginProfile", []string{"UserName", "bob"}, 404, "NoSuchEntity", "Login Profile for User bob cannot be found."},
		{admin, "DeleteAccessKey", []string{"UserName", "bob", "AccessKeyId", "AKIAAAAAAAAAAAAAAAAA"}, 404, "NoSuchEntity", "The Access Key with id AKIAAAAAAAAAAAAAAAAA cannot be found."},
		{admin, "CreateUser", []string{"UserName", "BOB"}, 409, "EntityAlreadyExists", "User with name BOB already exists."},
		{admin, "CreateGroup", []string{"GroupName", "TEAM"}, 409, "EntityAlreadyExists", "Group with name TEAM already exists."},
		{admin, "CreateRole", []string{"RoleName", "JOB", "AssumeRolePolicyDocument", trust}, 409, "EntityAlreadyExists", "Role with name JOB already exists."},
		{admin, "CreatePolicy", []string{"PolicyName", "P", "PolicyDocument", allow("*")}, 409, "EntityAlreadyExists", "A policy called P already exists. Duplicate names are not allowed."},
		{admin, "CreateOpenIDConnectProvider", []string{"Url", "https://ID.example"}, 409, "EntityAlreadyExists", "Provider with url https://ID.example already exists."},
		{stranger, "CreateAccountAlias", []string{"AccountAlias", "books"}, 409, "EntityAlreadyExists", "The account alias books already exists."},
		{admin, "DeleteUser", []string{"UserName", "bob"}, 409, "DeleteConflict", "Cannot delete entity, must detach all policies first."},
		{admin, "DeletePolicy", []string{"PolicyArn", policyARN("p")}, 409, "DeleteConflict", "Cannot delete a policy attached to entities."},
		{admin, "DeletePolicyVersion", []string{"PolicyArn", policyARN("p"), "VersionId", "v1"}, 409, "DeleteConflict", "Cannot delete the default version of a policy."},
		{admin, "AttachRolePolicy", []string{"RoleName", "job", "PolicyArn", policyARN("none")}, 404, "NoSuchEntity", "Policy " + policyARN("none") + " does not exist or is not attachable."},
		{admin, "DetachRolePolicy", []string{"RoleName", "job", "PolicyArn", policyARN("p")}, 404, "NoSuchEntity", "Policy " + policyARN("p") + " was not found."},
		{admin, "PutUserPermissionsBoundary", []string{"UserName", "bob", "PermissionsBoundary", policyARN("none")}, 404, "NoSuchEntity", "Scope ARN: " + policyARN("none") + " does not exist or is not attachable."},
		{admin, "DeletePolicy", []string{"PolicyArn", boss}, 400, "InvalidInput", "Policy " + boss + " is managed by the service and cannot be changed."},
		{admin, "PutUserPolicy", []string{"UserName", "bob", "PolicyName", "x", "PolicyDocument", trust}, 400, "MalformedPolicyDocument", "Policy document should not specify a principal."},
		{admin, "CreateRole", []string{"RoleName", "x", "AssumeRolePolicyDocument", strings.Replace(trust, "111122223333", "arn:aws:iam::111122223333:user/none", 1)}, 400, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/none"`},
		{admin, "CreateRole", []string{"RoleName", "x", "AssumeRolePolicyDocument", allow("sts:AssumeRole")}, 400, "MalformedPolicyDocument", "Missing required field Principal"},
		{admin, "CreateUser", []string{"UserName", "x", "Tags.member.1.Key", "a", "Tags.member.1.Value", "", "Tags.member.2.Key", "A", "Tags.member.2.Value", ""}, 400, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."},
		{admin, "UpdateAccessKey", []string{"UserName", "bob", "AccessKeyId", "AKIAAAAAAAAAAAAAAAAA", "Status", "on"}, 400, "ValidationError", "1 validation error detected: Value 'on' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive, Expired]"},
		{admin, "CreateUser", nil, 400, "ValidationError", "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null"},
		{admin, "ListUsers", []string{"MaxItems", "0"}, 400, "ValidationError", "1 validation error detected: Value '0' at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{admin, "CreateOpenIDConnectProvider", []string{"Url", "http://id.example"}, 400, "InvalidInput", "Invalid Open ID Connect Provider URL: it begins with https:// and has no query."},
		{nobody, "GetUser", []string{"UserName", "bob"}, 403, "AccessDenied", nobodyMay("iam:GetUser", "arn:aws:iam::111122223333:user/team/Bob")},
		{nobody, "GetUser", []string{"UserName", "none"}, 403, "AccessDenied", nobodyMay("iam:GetUser", "arn:aws:iam::111122223333:user/none")},
		{nobody, "CreateUser", []string{"UserName", "x", "Path", "/y/"}, 403, "AccessDenied", nobodyMay("iam:CreateUser", "arn:aws:iam::111122223333:user/y/x")},
		{nobody, "ListUsers", nil, 403, "AccessDenied", nobodyMay("iam:ListUsers", "arn:aws:iam::111122223333:user/")},
		{nobody, "CreateAccountAlias", []string{"AccountAlias", "abc"}, 403, "AccessDenied", nobodyMay("iam:CreateAccountAlias", "*")},
		{caller{}, "ListUsers", nil, 403, "InvalidClientTokenId", "The security token included in the request is invalid."},
		{admin, "GetAccountSummary", nil, 400, "InvalidAction", "There is no such operation in version 2010-05-08 of the API."},
		{admin, "GetAccessKeyLastUsed", []string{"AccessKeyId", "AKIAAAAAAAAAAAAAAAAA"}, 404, "NoSuchEntity", "The Access Key with id AKIAAAAAAAAAAAAAAAAA cannot be found."},
	} {
		t.Run(c.operation, func(t *testing.T) {
			w.t = t
			w.denied(w.form(c.who, c.operation, c.pairs...), c.status, c.code, c.message)
		})
	}
	w.t = t
	if n := len(w.done(admin, "ListUsers").values("UserName")); n != 1 {
		t.Errorf("%d users: a refusal changed something", n)
	}
}

// The quotas of IAM.
func TestIAMQuotas(t *testing.T) {
	w := newWorld(t)
	w.done(admin, "CreateUser", "UserName", "bob")
	for range 2 {
		w.done(admin, "CreateAccessKey", "UserName", "bob")
	}
	w.denied(w.form(admin, "CreateAccessKey", "UserName", "bob"), 409, "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2")

	for i := range 11 {
		name := fmt.Sprint("p", i)
		w.done(admin, "CreatePolicy", "PolicyName", name, "PolicyDocument", allow("kms:*"))
		a := w.form(admin, "AttachUserPolicy", "UserName", "bob", "PolicyArn", policyARN(name))
		if (a.status == 200) != (i < 10) {
			t.Errorf("%d: %d %s %s", i, a.status, a.code, a.message)
		}
	}
	w.done(admin, "AttachUserPolicy", "UserName", "bob", "PolicyArn", policyARN("p3")) // it is there already

	// White space does not count, and all inline policies count together.
	spaces := strings.Repeat(" ", 2000)
	policy := func(size int) string {
		frame := `{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":""}}`
		return strings.Replace(frame, `:""`, `:"`+spaces+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	w.done(admin, "PutUserPolicy", "UserName", "bob", "PolicyName", "a", "PolicyDocument", policy(1024))
	w.done(admin, "PutUserPolicy", "UserName", "bob", "PolicyName", "b", "PolicyDocument", policy(1024))
	w.denied(w.form(admin, "PutUserPolicy", "UserName", "bob", "PolicyName", "b", "PolicyDocument", policy(1025)), 409, "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user bob")
	w.denied(w.form(admin, "CreatePolicy", "PolicyName", "large", "PolicyDocument", policy(6145)), 409, "LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
	w.done(admin, "CreatePolicy", "PolicyName", "large", "PolicyDocument", policy(6144))

	for range 4 {
		w.done(admin, "CreatePolicyVersion", "PolicyArn", policyARN("p1"), "PolicyDocument", allow("kms:*"))
	}
	if a := w.form(admin, "CreatePolicyVersion", "PolicyArn", policyARN("p1"), "PolicyDocument", allow("kms:*")); a.code != "LimitExceeded" {
		t.Errorf("a sixth version: %s", a.code)
	}
	w.done(admin, "DeletePolicyVersion", "PolicyArn", policyARN("p1"), "VersionId", "v5")
	if v := w.done(admin, "CreatePolicyVersion", "PolicyArn", policyARN("p1"), "PolicyDocument", allow("kms:*")).value("VersionId"); v != "v6" {
		t.Errorf("the number of a deleted version came again: %s", v)
	}

	var tags []string
	for i := range 50 {
		tags = append(tags, fmt.Sprintf("Tags.member.%d.Key", i+1), fmt.Sprint("k", i), fmt.Sprintf("Tags.member.%d.Value", i+1), "")
	}
	w.done(admin, "TagUser", append([]string{"UserName", "bob"}, tags...)...)
	w.done(admin, "TagUser", "UserName", "bob", "Tags.member.1.Key", "K1", "Tags.member.1.Value", "new")
	w.denied(w.form(admin, "TagUser", "UserName", "bob", "Tags.member.1.Key", "k50", "Tags.member.1.Value", ""), 409, "LimitExceeded", "The number of tags has reached the maximum limit.")
}

// Pages follow one another without gap or repetition, and a marker is good for its
// own list alone.
func TestIAMPagination(t *testing.T) {
	w := newWorld(t)
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("u%02d", i)
		want = append(want, name)
		w.done(admin, "CreateUser", "UserName", name)
	}
	var got []string
	marker, last := []string{}, ""
	for {
		a := w.done(admin, "ListUsers", append([]string{"MaxItems", "10"}, marker...)...)
		got = append(got, a.values("UserName")...)
		if a.value("IsTruncated") == "false" {
			break
		}
		last = a.value("Marker")
		marker = []string{"Marker", last}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	for name, a := range map[string]answer{
		"another operation": w.form(admin, "ListRoles", "Marker", last),
		"another account":   w.form(user(foreign, "root"), "ListUsers", "Marker", last),
		"another path":      w.form(admin, "ListUsers", "PathPrefix", "/x", "Marker", last),
		"altered":           w.form(admin, "ListUsers", "Marker", last[:len(last)-2]+"AA"),
		"one of KMS":        w.form(admin, "ListUsers", "Marker", "AQID"),
	} {
		if a.code != "ValidationError" {
			t.Errorf("%s: %s %s", name, a.code, a.message)
		}
	}
}

// TestSEC_B07: policies that are attached or bound are what they were; who is
// made anew has nothing of the one before.
func TestSEC_B07_RecreatedUserInheritsNothing(t *testing.T) {
	w := newWorld(t)
	id, _ := w.newKey(admin)
	w.done(admin, "CreateGroup", "GroupName", "team")
	w.done(admin, "PutGroupPolicy", "GroupName", "team", "PolicyName", "use", "PolicyDocument", allow("kms:*"))
	w.done(admin, "CreateUser", "UserName", "bob")
	w.done(admin, "AddUserToGroup", "GroupName", "team", "UserName", "bob")
	w.denied(w.form(admin, "DeleteUser", "UserName", "bob"), 409, "DeleteConflict", "Cannot delete entity, must remove users from group first.")
	w.denied(w.form(admin, "DeleteGroup", "GroupName", "team"), 409, "DeleteConflict", "Cannot delete entity, must remove users from group first.")
	w.done(admin, "RemoveUserFromGroup", "GroupName", "team", "UserName", "bob")
	w.done(admin, "DeleteUser", "UserName", "bob")
	w.done(admin, "CreateUser", "UserName", "bob")
	keyID := w.done(admin, "CreateAccessKey", "UserName", "bob").value("AccessKeyId")
	if r := w.call(w.as(keyID), "Encrypt", `{"KeyId":"`+id+`","Plaintext":"YQ=="}`); r.code != "AccessDeniedException" {
		t.Errorf("%v", r)
	}
	if a := w.done(admin, "GetGroup", "GroupName", "team"); len(a.values("UserName")) != 0 {
		t.Errorf("the new bob is in the group: %s", a.text)
	}
}

// A renamed user stays who it is.
func TestRenaming(t *testing.T) {
	w := newWorld(t)
	w.done(admin, "CreateUser", "UserName", "bob")
	keyID := w.done(admin, "CreateAccessKey", "UserName", "bob").value("AccessKeyId")
	before := w.as(keyID).principal
	// Permission is needed on the old name and on the new one.
	half := user(account, "half", strings.Replace(allow("iam:UpdateUser"), `"Resource":"*"`, `"Resource":"arn:aws:iam::111122223333:user/bob"`, 1))
	if a := w.form(half, "UpdateUser", "UserName", "bob", "NewUserName", "rob"); a.code != "AccessDenied" || !strings.Contains(a.message, "user/rob") {
		t.Errorf("%s %s", a.code, a.message)
	}
	w.done(admin, "UpdateUser", "UserName", "bob", "NewUserName", "Rob", "NewPath", "/x/")
	after := w.as(keyID).principal
	if after.UniqueID != before.UniqueID || after.ARN != "arn:aws:iam::111122223333:user/x/Rob" {
		t.Errorf("%+v", after)
	}
	w.done(admin, "CreateUser", "UserName", "bob")
	if a := w.form(admin, "UpdateUser", "UserName", "rob", "NewUserName", "BOB"); a.code != "EntityAlreadyExists" {
		t.Errorf("%s %s", a.code, a.message)
	}
	w.done(admin, "UpdateUser", "UserName", "rob", "NewUserName", "ROB") // only its case
}

// The caller is meant where no user is named: a user, or the root user.
func TestCallerIsMeant(t *testing.T) {
	w := newWorld(t)
	w.done(admin, "CreateUser", "UserName", "bob")
	w.done(admin, "PutUserPolicy", "UserName", "bob", "PolicyName", "self", "PolicyDocument", allow("iam:*"))
	bob := w.as(w.done(admin, "CreateAccessKey", "UserName", "bob").value("AccessKeyId"))
	if a := w.done(bob, "GetUser"); a.value("UserName") != "bob" {
		t.Errorf("%s", a.text)
	}
	second := w.done(bob, "CreateAccessKey")
	if second.value("UserName") != "bob" || len(w.done(bob, "ListAccessKeys").values("AccessKeyId")) != 2 {
		t.Errorf("%s", second.text)
	}
	w.done(bob, "DeleteAccessKey", "AccessKeyId", second.value("AccessKeyId"))

	k, err := w.identities.Bootstrap(context.Background(), identity.Newcomer{Account: account, Name: identity.Root}, w.clock())
	if err != nil {
		t.Fatal(err)
	}
	root := w.as(k.ID)
	if a := w.done(root, "GetUser"); a.value("Arn") != "arn:aws:iam::111122223333:root" {
		t.Errorf("%s", a.text)
	}
	if a := w.done(root, "ListAccessKeys"); !slices.Equal(a.values("AccessKeyId"), []string{k.ID}) {
		t.Errorf("%s", a.text)
	}
	// The root user needs no policy, and no user reaches its keys.
	w.done(root, "CreateGroup", "GroupName", "team")
	if a := w.form(bob, "DeleteAccessKey", "AccessKeyId", k.ID); a.code != "NoSuchEntity" {
		t.Errorf("bob deletes a key of the root user: %s", a.code)
	}
	who := w.post(root, "", "Action=GetCallerIdentity&Version=2011-06-15")
	if who.value("Arn") != "arn:aws:iam::111122223333:root" || who.value("UserId") != account || who.value("Account") != account {
		t.Errorf("%s", who.text)
	}
	if a := w.post(nobody, "", "Action=GetCallerIdentity&Version=2011-06-15"); a.status != 200 {
		t.Errorf("GetCallerIdentity needs no permission: %s", a.text)
	}
}

// Many at once change one account: each finds what the others left, and none is
// lost.
func TestConcurrentIdentityChanges(t *testing.T) {
	w := newWorld(t)
	w.done(admin, "CreateGroup", "GroupName", "team")
	const n = 12
	answers := make(chan answer, 2*n)
	for i := range n {
		go func() {
			name := fmt.Sprint("u", i)
			answers <- w.form(admin, "CreateUser", "UserName", name)
			answers <- w.form(admin, "AddUserToGroup", "GroupName", "team", "UserName", name)
		}()
	}
	for range 2 * n {
		if a := <-answers; a.status != 200 {
			t.Errorf("%d %s %s", a.status, a.code, a.message)
		}
	}
	if got := len(w.done(admin, "GetGroup", "GroupName", "team").values("UserName")); got != n {
		t.Errorf("%d members", got)
	}
}

// Of a policy's deletion and its attachment, one wins.
func TestDeletionAgainstAttachment(t *testing.T) {
	w := newWorld(t)
	w.done(admin, "CreateUser", "UserName", "bob")
	for range 20 {
		w.done(admin, "CreatePolicy", "PolicyName", "p", "PolicyDocument", allow("kms:*"))
		attached, deleted := make(chan answer, 1), make(chan answer, 1)
		go func() { attached <- w.form(admin, "AttachUserPolicy", "UserName", "bob", "PolicyArn", policyARN("p")) }()
		go func() { deleted <- w.form(admin, "DeletePolicy", "PolicyArn", policyARN("p")) }()
		a, d := <-attached, <-deleted
		if (a.status == 200) == (d.status == 200) {
			t.Fatalf("attached: %d %s, deleted: %d %s", a.status, a.code, d.status, d.code)
		}
		if a.status == 200 {
			w.done(admin, "DetachUserPolicy", "UserName", "bob", "PolicyArn", policyARN("p"))
			w.done(admin, "DeletePolicy", "PolicyArn", policyARN("p"))
		}
	}
}

// The last use of a key is that of the last authentic request, to the minute.
func TestAccessKeyLastUsed(t *testing.T) {
	w := newWorld(t)
	w.done(admin, "CreateUser", "UserName", "bob")
	keyID := w.done(admin, "CreateAccessKey", "UserName", "bob").value("AccessKeyId")
	last := func() string {
		a := w.done(admin, "GetAccessKeyLastUsed", "AccessKeyId", keyID)
		return strings.Join([]string{a.value("UserName"), a.value("LastUsedDate"), a.value("ServiceName"), a.value("Region")}, " ")
	}
	if got := last(); got != "bob  N/A N/A" {
		t.Errorf("never used: %s", got)
	}
	w.call(w.as(keyID), "ListKeys", "{}") // refused, and authentic
	w.pass(30 * time.Second)
	w.form(w.as(keyID), "GetUser")
	if got := last(); got != "bob 2026-11-24T12:00:00Z kms us-east-1" {
		t.Errorf("%s", got)
	}
	w.pass(time.Minute)
	w.form(w.as(keyID), "GetUser")
	if got := last(); got != "bob 2026-11-24T12:01:00Z iam us-east-1" {
		t.Errorf("%s", got)
	}
	w.denied(w.form(stranger, "GetAccessKeyLastUsed", "AccessKeyId", keyID), 404, "NoSuchEntity", "The Access Key with id "+keyID+" cannot be found.")
}
