package pipeline_test

import "testing"

// Who makes users may be bound to give them a certain boundary, to attach certain
// policies, and to leave alone what has another tag.
func TestIAMConditionKeys(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"bound", "use", "power"} {
		w.done(admin, "CreatePolicy", "PolicyName", name, "PolicyDocument", allow("kms:Encrypt"))
	}
	w.done(admin, "CreateUser", "UserName", "free", "Tags.member.1.Key", "Team", "Tags.member.1.Value", "red")
	w.done(admin, "CreateUser", "UserName", "bounded", "PermissionsBoundary", policyARN("bound"))
	only := func(action, condition string) caller {
		return user(account, "delegate", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"`+action+`","Resource":"*","Condition":`+condition+`}}`)
	}
	boundary := `{"StringEquals":{"iam:PermissionsBoundary":"` + policyARN("bound") + `"}}`
	attach := `{"ArnEquals":{"iam:PolicyARN":"` + policyARN("use") + `"}}`
	for _, c := range []struct {
		name      string
		caller    caller
		operation string
		pairs     []string
		want      bool
	}{
		{"made with the boundary", only("iam:CreateUser", boundary), "CreateUser", []string{"UserName", "n1", "PermissionsBoundary", policyARN("bound")}, true},
		{"made with another", only("iam:CreateUser", boundary), "CreateUser", []string{"UserName", "n2", "PermissionsBoundary", policyARN("use")}, false},
		{"made without one", only("iam:CreateUser", boundary), "CreateUser", []string{"UserName", "n3"}, false},
		{"a policy for one with the boundary", only("iam:PutUserPolicy", boundary), "PutUserPolicy", []string{"UserName", "bounded", "PolicyName", "p", "PolicyDocument", allow("kms:*")}, true},
		{"a policy for one without it", only("iam:PutUserPolicy", boundary), "PutUserPolicy", []string{"UserName", "free", "PolicyName", "p", "PolicyDocument", allow("kms:*")}, false},
		{"a boundary that is claimed", only("iam:PutUserPolicy", boundary), "PutUserPolicy", []string{"UserName", "free", "PolicyName", "p", "PolicyDocument", allow("kms:*"), "PermissionsBoundary", policyARN("bound")}, false},
		{"taken from one that has it", only("iam:DeleteUserPermissionsBoundary", `{"Null":{"iam:PermissionsBoundary":"true"}}`), "DeleteUserPermissionsBoundary", []string{"UserName", "bounded"}, false},
		{"the policy", only("iam:AttachUserPolicy", attach), "AttachUserPolicy", []string{"UserName", "free", "PolicyArn", policyARN("use")}, true},
		{"another policy", only("iam:AttachUserPolicy", attach), "AttachUserPolicy", []string{"UserName", "free", "PolicyArn", policyARN("power")}, false},
		{"reading a policy is no attaching", only("iam:GetPolicy", attach), "GetPolicy", []string{"PolicyArn", policyARN("use")}, false},
		{"the tag that is sent", only("iam:*User", `{"StringEquals":{"aws:RequestTag/team":"red"}}`), "CreateUser", []string{"UserName", "n4", "Tags.member.1.Key", "Team", "Tags.member.1.Value", "red"}, true},
		{"another", only("iam:CreateUser", `{"StringEquals":{"aws:RequestTag/team":"red"}}`), "CreateUser", []string{"UserName", "n5", "Tags.member.1.Key", "Team", "Tags.member.1.Value", "blue"}, false},
		{"no other tags", only("iam:TagUser", `{"ForAllValues:StringEquals":{"aws:TagKeys":"Team"}}`), "TagUser", []string{"UserName", "free", "Tags.member.1.Key", "Owner", "Tags.member.1.Value", "x"}, false},
		{"taking a tag away", only("iam:UntagUser", `{"ForAnyValue:StringEquals":{"aws:TagKeys":"Team"}}`), "UntagUser", []string{"UserName", "bounded", "TagKeys.member.1", "Team"}, true},
		{"one's own kind", only("iam:GetUser", `{"StringEquals":{"aws:ResourceTag/Team":"red"}}`), "GetUser", []string{"UserName", "free"}, true},
		{"by its other name", only("iam:GetUser", `{"StringEquals":{"iam:ResourceTag/team":"red"}}`), "GetUser", []string{"UserName", "free"}, true},
		{"others", only("iam:GetUser", `{"StringEquals":{"aws:ResourceTag/Team":"red"}}`), "GetUser", []string{"UserName", "bounded"}, false},
	} {
		a := w.form(c.caller, c.operation, c.pairs...)
		if got := a.status == 200; got != c.want || !got && a.code != "AccessDenied" {
			t.Errorf("%s: %d %s %s", c.name, a.status, a.code, a.message)
		}
	}
}
