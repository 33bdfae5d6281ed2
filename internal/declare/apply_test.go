package declare_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"trent/internal/action"
	"trent/internal/declare"
)

// example is the one of the specification.
func example(t testing.TB) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/spec/declaration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	text, _, ok := strings.Cut(rest, "```\n")
	if !ok {
		t.Fatal("the specification has no example")
	}
	return text
}

const payments = "444455556666"

func rootOf(account string) string { return "arn:aws:iam::" + account + ":root" }

func TestExampleOfTheSpecification(t *testing.T) {
	w := newWorld(t, false)
	want := []string{
		"+ account payments",
		"+ account payments: alias payments-prod",
		"+ policy payments/keys-only",
		"+ provider payments/oidc.example/cluster",
		"+ group payments/auditors",
		"+ group payments/auditors: policy look",
		"+ role payments/backup",
		"+ role payments/backup: attached arn:aws:iam::444455556666:policy/limits/keys-only",
		"+ user payments/app",
		"+ user payments/app: group auditors",
		"+ user payments/app: policy use-keys",
		"+ user payments/app: access key",
		"~ role payments/backup: trust",
		"+ key payments/eu-central-1/alias/app",
		"+ key payments/eu-west-1/alias/archive",
		"+ key payments/eu-central-1/alias/app: alias/app",
		"+ key payments/eu-central-1/alias/app: alias/invoices",
		"+ key payments/eu-west-1/alias/archive: alias/archive",
		"+ key payments/eu-central-1/alias/app: grant backup",
		"~ key payments/eu-west-1/alias/archive: disabled",
	}
	if got := w.apply(example(t), planOnly); !slices.Equal(got, want) {
		t.Errorf("the plan is\n%s", strings.Join(got, "\n"))
	}
	if w.identities.View().Account(payments).Exists() {
		t.Error("a plan has made an account")
	}
	if got := w.apply(example(t)); !slices.Equal(got, want) {
		t.Errorf("applied was\n%s", strings.Join(got, "\n"))
	}
	checkExample(t, w)
	if again := w.apply(example(t)); len(again) > 0 {
		t.Errorf("a second time changes\n%s", strings.Join(again, "\n"))
	}
}

// checkExample looks at what the example says by way of the API.
func checkExample(t *testing.T, w *world) {
	t.Helper()
	a := w.identities.View().Account(payments)
	if a.Alias != "payments-prod" || a.Name() != "payments" {
		t.Errorf("account %q %q", a.Name(), a.Alias)
	}
	app, ok := a.Users.Named("app")
	if !ok || app.Path != "/services/" || app.Boundary != "arn:aws:iam::444455556666:policy/limits/keys-only" || len(app.Groups) != 1 || len(app.Tags) != 2 {
		t.Fatalf("user %+v", app)
	}
	if keys := a.KeysOf(app.ID); len(keys) != 1 {
		t.Errorf("%d access keys", len(keys))
	}
	if keys := a.KeysOf(""); len(keys) != 0 {
		t.Errorf("the root user has %d access keys", len(keys))
	}
	role, _ := a.Roles.Named("backup")
	if !strings.Contains(role.Trust.Source, app.ID) {
		t.Errorf("the role trusts %s", role.Trust.Source)
	}
	const user = "arn:aws:iam::444455556666:user/services/app"
	w.must(user, "TrentService.GenerateDataKey", `{"KeyId":"alias/app","KeySpec":"AES_256"}`)
	if status, answer := w.as(user, "TrentService.ScheduleKeyDeletion", `{"KeyId":"alias/app"}`); status == 200 {
		t.Errorf("the user may delete the key: %s", answer)
	}
	// The grant, and its constraint.
	blob := func(context string) string {
		out := w.must(rootOf(payments), "TrentService.Encrypt", `{"KeyId":"alias/invoices","Plaintext":"QUJD","EncryptionContext":`+context+`}`)
		_, rest, _ := strings.Cut(out, `"CiphertextBlob":"`)
		b, _, _ := strings.Cut(rest, `"`)
		return b
	}
	session := "arn:aws:sts::444455556666:assumed-role/backup/night"
	w.must(session, "TrentService.Decrypt", `{"CiphertextBlob":"`+blob(`{"purpose":"backup","day":"1"}`)+`","EncryptionContext":{"purpose":"backup","day":"1"}}`)
}

// Whatever others have changed inside what the file owns is put right, and what it
// does not name stays.
func TestDriftIsRepaired(t *testing.T) {
	w := newWorld(t, false)
	w.apply(example(t))
	iam := func(pairs ...string) {
		f := url.Values{"Version": {"2010-05-08"}}
		for i := 0; i < len(pairs); i += 2 {
			f.Set(pairs[i], pairs[i+1])
		}
		w.must(rootOf(payments), "", f.Encode())
	}
	const anything = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	iam("Action", "PutUserPolicy", "UserName", "app", "PolicyName", "use-keys", "PolicyDocument", anything)
	iam("Action", "PutUserPolicy", "UserName", "app", "PolicyName", "more", "PolicyDocument", anything)
	iam("Action", "AttachUserPolicy", "UserName", "app", "PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess")
	iam("Action", "DeleteUserPermissionsBoundary", "UserName", "app")
	iam("Action", "RemoveUserFromGroup", "UserName", "app", "GroupName", "auditors")
	iam("Action", "TagUser", "UserName", "app", "Tags.member.1.Key", "stage", "Tags.member.1.Value", "dev", "Tags.member.2.Key", "x", "Tags.member.2.Value", "")
	iam("Action", "UpdateRole", "RoleName", "backup", "MaxSessionDuration", "3600")
	iam("Action", "UpdateAssumeRolePolicy", "RoleName", "backup", "PolicyDocument", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`)
	iam("Action", "CreatePolicyVersion", "PolicyArn", "arn:aws:iam::444455556666:policy/limits/keys-only", "PolicyDocument", anything, "SetAsDefault", "true")
	iam("Action", "AddClientIDToOpenIDConnectProvider", "OpenIDConnectProviderArn", "arn:aws:iam::444455556666:oidc-provider/oidc.example/cluster", "ClientID", "other")
	iam("Action", "CreateUser", "UserName", "bystander")
	id := keyOf(w, "alias/app")
	kms := func(operation, in string) { w.must(rootOf(payments), "TrentService."+operation, in) }
	kms("UpdateKeyDescription", `{"KeyId":"`+id+`","Description":"mine"}`)
	kms("TagResource", `{"KeyId":"`+id+`","Tags":[{"TagKey":"Team","TagValue":"x"}]}`)
	kms("PutKeyPolicy", `{"KeyId":"`+id+`","Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::444455556666:root\"},\"Action\":\"kms:*\",\"Resource\":\"*\"},{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"kms:Decrypt\",\"Resource\":\"*\"}]}"}`)
	kms("DeleteAlias", `{"AliasName":"alias/invoices"}`)
	kms("CreateGrant", `{"KeyId":"`+id+`","Name":"backup","GranteePrincipal":"arn:aws:iam::444455556666:user/bystander","Operations":["Encrypt"]}`)
	kms("CreateGrant", `{"KeyId":"`+id+`","Name":"other","GranteePrincipal":"arn:aws:iam::444455556666:user/bystander","Operations":["Encrypt"]}`)
	kms("CreateGrant", `{"KeyId":"`+id+`","GranteePrincipal":"arn:aws:iam::444455556666:user/bystander","Operations":["Decrypt"]}`)

	want := []string{
		"~ policy payments/keys-only: document",
		"- provider payments/oidc.example/cluster: client id other",
		"~ role payments/backup: maxSession",
		"~ user payments/app: boundary",
		"- user payments/app: tags x",
		"~ user payments/app: tags stage",
		"+ user payments/app: group auditors",
		"- user payments/app: policy more",
		"~ user payments/app: policy use-keys",
		"- user payments/app: attached arn:aws:iam::aws:policy/AdministratorAccess",
		"~ role payments/backup: trust",
		"~ key payments/eu-central-1/alias/app: description",
		"- key payments/eu-central-1/alias/app: tags Team",
		"~ key payments/eu-central-1/alias/app: policy",
		"+ key payments/eu-central-1/alias/app: alias/invoices",
		"~ key payments/eu-central-1/alias/app: grant backup",
	}
	if got := w.apply(example(t)); !slices.Equal(got, want) {
		t.Errorf("repaired was\n%s", strings.Join(got, "\n"))
	}
	if again := w.apply(example(t)); len(again) > 0 {
		t.Errorf("a second time changes\n%s", strings.Join(again, "\n"))
	}
	checkExample(t, w)
	if _, ok := w.identities.View().Account(payments).Users.Named("bystander"); !ok {
		t.Error("somebody who is not named is gone")
	}
	if grants := w.must(rootOf(payments), "TrentService.ListGrants", `{"KeyId":"`+id+`"}`); strings.Count(grants, "GrantId") != 3 || !strings.Contains(grants, `"Name":"other"`) {
		t.Errorf("grants: %s", grants)
	}
}

// keyOf is the id of the key that an alias of the example is of.
func keyOf(w *world, alias string) string {
	_, rest, _ := strings.Cut(w.must(rootOf(payments), "TrentService.DescribeKey", `{"KeyId":"`+alias+`"}`), `"KeyId":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

const onlyUsers = `
version: 1
accounts:
  - id: 111122223333
    users:
`

// Single values that a file leaves out stay; lists do not.
func TestWhatIsLeftOut(t *testing.T) {
	w := newWorld(t, false)
	w.apply(onlyUsers + `
      - {name: app, path: /a/, boundary: "aws:policy/AdministratorAccess", tags: {a: b}, attached: ["aws:policy/AdministratorAccess"]}
`)
	got := w.apply(onlyUsers + `
      - name: App
`)
	want := []string{"- user 111122223333/App: tags a", "- user 111122223333/App: attached arn:aws:iam::aws:policy/AdministratorAccess"}
	if !slices.Equal(got, want) {
		t.Errorf("changed was %q", got)
	}
	u, _ := w.identities.View().Account(first).Users.Named("app")
	if u.Path != "/a/" || u.Boundary == "" {
		t.Errorf("user %+v", u)
	}
	if got := w.apply(onlyUsers + `
      - {name: app, boundary: none}
`); !slices.Equal(got, []string{"- user 111122223333/app: boundary"}) {
		t.Errorf("changed was %q", got)
	}
}

// A key that was disabled in an emergency is not enabled by a file that does not say
// so.
func TestDisabledKeysStayDisabled(t *testing.T) {
	const text = "version: 1\nregion: eu-central-1\naccounts: [{id: 111122223333, keys: [{alias: alias/k}]}]"
	w := newWorld(t, false)
	w.apply(text)
	_, rest, _ := strings.Cut(w.must(rootOf(first), "TrentService.DescribeKey", `{"KeyId":"alias/k"}`), `"KeyId":"`)
	w.must(rootOf(first), "TrentService.DisableKey", `{"KeyId":"`+rest[:36]+`"}`)
	if got := w.apply(text); len(got) > 0 {
		t.Errorf("changed was %q", got)
	}
	if got := w.apply(strings.Replace(text, "alias/k", "alias/k, enabled: true", 1)); len(got) != 1 {
		t.Errorf("changed was %q", got)
	}
}

// Two files one after another, of which the second names what the first has made in
// another account.
func TestTwoFilesInARow(t *testing.T) {
	w := newWorld(t, false)
	w.apply(example(t))
	const second = `
version: 1
accounts:
  - id: 777788889999
    roles:
      - name: guest
        trust:
          Version: 2012-10-17
          Statement: {Effect: Allow, Principal: {AWS: "arn:aws:iam::444455556666:role/backup"}, Action: sts:AssumeRole}
  - id: 444455556666
    keys:
      - alias: alias/invoices
        region: eu-central-1
        tags: {team: billing}
        grants: [{name: abroad, grantee: "arn:aws:iam::777788889999:role/guest", operations: [Encrypt]}]
`
	want := []string{
		"+ account 777788889999", "+ role 777788889999/guest", "~ role 777788889999/guest: trust",
		"+ key 444455556666/eu-central-1/alias/invoices: grant abroad",
	}
	if got := w.apply(second); !slices.Equal(got, want) {
		t.Errorf("applied was %q", got)
	}
	for _, text := range []string{example(t), second} {
		if again := w.apply(text); len(again) > 0 {
			t.Errorf("again changes %q", again)
		}
	}
}

// What fails ends it; what was done is told from what was not, and the next time goes
// on from there.
func TestPartialFailure(t *testing.T) {
	w := newWorld(t, false)
	broken := strings.Replace(example(t), "role/backup", "role/nobody", 1)
	made, err := w.try(broken)
	if err != nil {
		t.Fatal(err)
	}
	var done, failed int
	for i, c := range made.Changes {
		if c.Done {
			done++
		} else if failed == 0 {
			failed = i
		}
	}
	if done != 18 || made.Changes[failed].Aspect != "grant backup" || !strings.Contains(made.Failure, "InvalidArnException") {
		t.Errorf("%d done, then %s: %s", done, made.Changes[failed], made.Failure)
	}
	if text := made.Progress(); !strings.Contains(text, "\nfailed   + key payments/eu-central-1/alias/app: grant backup: CreateGrant: InvalidArn") ||
		!strings.HasSuffix(text, "\nnot yet  ~ key payments/eu-west-1/alias/archive: disabled") || !strings.HasPrefix(text, "done     + account payments\n") {
		t.Errorf("progress:\n%s", text)
	}
	if len(made.AccessKeys) != 1 {
		t.Error("the access key that was made is lost")
	}
	if got := w.apply(example(t)); len(got) != 2 {
		t.Errorf("left to do was %q", got)
	}
}

// An access key whose secret cannot be kept does not stay.
func TestAccessKeyThatCannotBeKept(t *testing.T) {
	w := newWorld(t, false)
	made, err := w.try(example(t), func(o *declare.Order) {
		o.Keep = func(action.DeclaredKey) error { return errors.New("no room") }
	})
	if err != nil || !strings.Contains(made.Failure, "no room") || len(made.AccessKeys) > 0 {
		t.Fatalf("%v, %+v", err, made)
	}
	a := w.identities.View().Account(payments)
	u, _ := a.Users.Named("app")
	if n := len(a.KeysOf(u.ID)); n > 0 {
		t.Errorf("%d access keys of which nobody knows the secret", n)
	}
}

// What cannot be planned changes nothing.
func TestRefusedWhole(t *testing.T) {
	w := newWorld(t, false)
	w.apply(example(t))
	w.must(rootOf(first), "", "Action=CloseAccount&Version=2026-11-24&AccountId="+payments)
	before := len(w.audit.among(`"mutates":true`))
	const newUser = "version: 1\naccounts:\n- {id: 111122223333, users: [{name: new}]}\n"
	for want, text := range map[string]string{
		"account payments is closed: open it again first (trent account reopen 444455556666)": newUser + "- {id: 444455556666, name: payments, users: [{name: app}]}",
		"which this server does not take": newUser + "- {id: 777788889999, keys: [{alias: alias/x, region: mars-north-1}]}",
		"for dev mode alone":              newUser + "- {id: 777788889999, users: [{name: x, fixedAccessKeys: [{id: AKIAIOSFODNN7EXAMPLE, secret: 0123456789abcdef}]}]}",
	} {
		if _, err := w.try(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if after := len(w.audit.among(`"mutates":true`)); after != before {
		t.Errorf("%d requests that change something", after-before)
	}
}

// A key that is waiting for its deletion is not taken into use behind the back of who
// wanted it gone.
func TestKeyThatIsBeingDeleted(t *testing.T) {
	w := newWorld(t, false)
	w.apply(example(t))
	w.must(rootOf(payments), "TrentService.ScheduleKeyDeletion", `{"KeyId":"`+keyOf(w, "alias/app")+`"}`)
	if _, err := w.try(example(t)); err == nil || !strings.Contains(err.Error(), "PendingDeletion") {
		t.Errorf("got %v", err)
	}
}

// TestSEC_B14: a declaration is decided and written down as anything else is: a key
// whose policy leaves the account out stays out of reach, and every request has its
// line.
func TestSEC_B14_DeclarationsAreNoSecondRoute(t *testing.T) {
	w := newWorld(t, false)
	w.apply(example(t))
	id := keyOf(w, "alias/app")
	w.must(rootOf(payments), "TrentService.PutKeyPolicy", `{"KeyId":"`+id+`","BypassPolicyLockoutSafetyCheck":true,"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::444455556666:user/services/app\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}}"}`)
	if _, err := w.try(example(t)); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("got %v", err)
	}
	lines := w.audit.among(`"source":"declaration"`, `"userAgent":"declaration of a test"`)
	if len(lines) != w.calls-countNot(w, `"source":"declaration"`) {
		t.Errorf("%d lines for %d requests", len(lines), w.calls)
	}
	for _, want := range [][]string{
		{`"operation":"CreateAccount"`, `"principal":"arn:aws:iam::111122223333:root"`},
		{`"operation":"CreateUser"`, `"principal":"arn:aws:iam::444455556666:root"`, `"UserName":"app"`},
		{`"operation":"PutUserPolicy"`, `"PolicyDocument"`},
		{`"operation":"CreateGrant"`, `"Name":"backup"`},
	} {
		if got := w.audit.among(append(want, `"source":"declaration"`, `"mutates":true`)...); len(got) != 1 {
			t.Errorf("%d lines with %q", len(got), want)
		}
	}
}

// countNot counts the ids that were used by requests of the test itself: two each, one
// for the signature.
func countNot(w *world, text string) int {
	n := 0
	for _, line := range w.audit.lines {
		if !strings.Contains(line, text) {
			n += 2
		}
	}
	return n
}

// Two that come at once are carried out one after the other.
func TestTwoAtOnce(t *testing.T) {
	w := newWorld(t, false)
	d := parse(t, example(t))
	type outcome struct {
		made *action.Declared
		err  error
	}
	done := make(chan outcome)
	for range 4 {
		go func() {
			made, err := w.engine.Apply(context.Background(), w.road, declare.Order{Declaration: d})
			done <- outcome{made, err}
		}()
	}
	changes := 0
	for range 4 {
		o := <-done
		if o.err != nil || o.made.Failure != "" {
			t.Fatalf("%v %s", o.err, o.made.Failure)
		}
		changes += len(o.made.Changes)
	}
	if changes != 20 {
		t.Errorf("%d changes", changes)
	}
}

// A managed policy can be changed as often as one likes: the oldest text that does not
// count gives way.
func TestManyTextsOfAPolicy(t *testing.T) {
	w := newWorld(t, false)
	text := func(action string) string {
		return in("  managedPolicies: [{name: p, document: {Version: 2012-10-17, Statement: {Effect: Allow, Action: 'kms:" + action + "', Resource: '*'}}}]\n")
	}
	for _, a := range []string{"A", "B", "C", "D", "E", "F", "G"} {
		w.apply(text(a))
	}
	arn := "arn:aws:iam::111122223333:policy/p"
	w.must(rootOf(first), "", "Action=SetDefaultPolicyVersion&Version=2010-05-08&VersionId=v3&PolicyArn="+url.QueryEscape(arn))
	w.apply(text("H"))
	p, _ := w.identities.View().Policy(first, arn)
	var numbers []int
	for _, v := range p.Versions {
		numbers = append(numbers, v.Number)
	}
	// v3 counted when v8 came, so v4 went.
	if !slices.Equal(numbers, []int{3, 5, 6, 7, 8}) || p.Default != 8 {
		t.Errorf("versions %v, of which %d counts", numbers, p.Default)
	}
}

// A grant of the file is what the file says, in each of its parts.
func TestGrantsAreReplaced(t *testing.T) {
	w := newWorld(t, false)
	text := func(grant string) string {
		return in("  users: [{name: a}, {name: b}]\n  keys: [{alias: alias/k, grants: [{name: g, " + grant + "}]}]\n")
	}
	grants := []string{
		"grantee: user/a, operations: [Decrypt, Encrypt]",
		"grantee: user/b, operations: [Decrypt, Encrypt]",
		"grantee: user/b, operations: [Decrypt]",
		"grantee: user/b, operations: [Decrypt], retiring: user/a",
		"grantee: user/b, operations: [Decrypt], constraint: {encryptionContextEquals: {a: b}}",
		"grantee: user/b, operations: [Decrypt], constraint: {encryptionContextSubset: {a: b}}",
		"grantee: user/b, operations: [Decrypt], constraint: {encryptionContextSubset: {a: c}}",
		"grantee: user/b, operations: [Decrypt]",
	}
	w.apply(text(grants[0]))
	for _, g := range grants[1:] {
		if got := w.apply(text(g)); !slices.Equal(got, []string{"~ key 111122223333/eu-central-1/alias/k: grant g"}) {
			t.Errorf("%s: changed was %q", g, got)
		}
	}
	if got := w.apply(text("grantee: user/b, operations: [Decrypt, Encrypt]")); len(got) != 1 {
		t.Errorf("changed was %q", got)
	}
	if got := w.apply(text("grantee: user/b, operations: [Encrypt, Decrypt]")); len(got) != 0 {
		t.Errorf("another order: changed was %q", got)
	}
	_, rest, _ := strings.Cut(w.must(rootOf(first), "TrentService.DescribeKey", `{"KeyId":"alias/k"}`), `"KeyId":"`)
	id := rest[:36]
	// One of the name that somebody else has made more of, by way of a condition on an ARN.
	w.must(rootOf(first), "TrentService.CreateGrant", `{"KeyId":"`+id+`","Name":"g","GranteePrincipal":"arn:aws:iam::111122223333:user/b","Operations":["Encrypt","Decrypt"],"Constraints":{"SourceArn":"arn:aws:s3:eu-central-1:111122223333:bucket"}}`)
	w.apply(text("grantee: user/b, operations: [Encrypt, Decrypt]"))
	if list := w.must(rootOf(first), "TrentService.ListGrants", `{"KeyId":"`+id+`"}`); strings.Count(list, "GrantId") != 1 || strings.Contains(list, "SourceArn") {
		t.Errorf("grants: %s", list)
	}
}

// A policy that wants TLS does not shut a declaration out: it crosses no network.
func TestKeyThatWantsTLS(t *testing.T) {
	w := newWorld(t, false)
	text := func(description string) string {
		return in("  keys:\n  - alias: alias/k\n    description: " + description + "\n    policy: {Version: 2012-10-17, Statement: [" +
			"{Effect: Allow, Principal: {AWS: 'arn:aws:iam::111122223333:root'}, Action: 'kms:*', Resource: '*'}," +
			"{Effect: Deny, Principal: '*', Action: 'kms:*', Resource: '*', Condition: {Bool: {'aws:SecureTransport': false}}}]}\n")
	}
	w.apply(text("one"))
	if got := w.apply(text("two")); !slices.Equal(got, []string{"~ key 111122223333/eu-central-1/alias/k: description"}) {
		t.Errorf("changed was %q", got)
	}
}
