package pipeline_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"trent/internal/pipeline"
)

// answer is an answer in XML, taken apart.
type answer struct {
	status        int
	code, message string
	text          string // all of it
}

// value is the text of the first element of a name.
func (a answer) value(name string) string {
	m := regexp.MustCompile("<" + name + ">([^<]*)</" + name + ">").FindStringSubmatch(a.text)
	if m == nil {
		return ""
	}
	return m[1]
}

// values are the texts of all elements of a name.
func (a answer) values(name string) []string {
	var all []string
	for _, m := range regexp.MustCompile("<"+name+">([^<]*)</"+name+">").FindAllStringSubmatch(a.text, -1) {
		all = append(all, m[1])
	}
	return all
}

const iamVersion = "2010-05-08"

// form sends a form down the road: an operation of IAM and names and values.
func (w *world) form(c caller, operation string, pairs ...string) answer {
	w.t.Helper()
	v := url.Values{"Action": {operation}, "Version": {iamVersion}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return w.post(c, "", v.Encode())
}

func (w *world) post(c caller, target, body string) answer {
	w.t.Helper()
	got := w.road.Walk(context.Background(), &pipeline.Request{
		ID: "00000000-0000-4000-8000-000000000000", Received: w.clock(), Target: target, Form: true, Body: []byte(body), Who: c,
	})
	if target != "" {
		return answer{status: got.Status, text: string(got.Body)}
	}
	return w.read(got, body)
}

// read takes an answer in XML apart.
func (w *world) read(got pipeline.Answer, body string) answer {
	w.t.Helper()
	a := answer{status: got.Status, text: string(got.Body)}
	var e struct {
		Code    string `xml:"Error>Code"`
		Message string `xml:"Error>Message"`
	}
	if err := xml.Unmarshal(got.Body, &e); err != nil || got.ContentType != "text/xml" {
		w.t.Fatalf("%s: %q is no XML: %v", body, got.Body, err)
	}
	a.code, a.message = e.Code, e.Message
	return a
}

// done is form for what has to succeed.
func (w *world) done(c caller, operation string, pairs ...string) answer {
	w.t.Helper()
	a := w.form(c, operation, pairs...)
	if a.status != 200 {
		w.t.Fatalf("%s %v: %d %s %s", operation, pairs, a.status, a.code, a.message)
	}
	return a
}

// denied wants a certain refusal, word for word.
func (w *world) denied(a answer, status int, code, message string) {
	w.t.Helper()
	if a.status != status || a.code != code || a.message != message {
		w.t.Errorf("got %d %s %q\nwant %d %s %q", a.status, a.code, a.message, status, code, message)
	}
}

// as is a user of the directory, as the signature with its access key would
// prove.
func (w *world) as(keyID string) caller {
	w.t.Helper()
	c, err := w.identities.Credential(context.Background(), keyID, "")
	if err != nil {
		return caller{}
	}
	return caller{principal: c.Principal, region: "us-east-1"}
}

const trust = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}`

func policyARN(name string) string { return "arn:aws:iam::111122223333:policy/" + name }

// TestSEC_B09: a form has one operation, a target goes before it, and what is
// asked for never depends on the signature.
func TestSEC_B09_HostileForms(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		body string
		code string
	}{
		"two actions":         {"Action=ListUsers&Version=2010-05-08&Action=DeleteUser&UserName=bob", "MalformedQueryString"},
		"an escaped action":   {"Action=ListUsers&Version=2010-05-08&%41ction=DeleteUser", "MalformedQueryString"},
		"no action":           {"Version=2010-05-08", "MissingAction"},
		"an empty body":       {"", "MissingAction"},
		"no version":          {"Action=ListUsers", "NoSuchVersion"},
		"another version":     {"Action=ListUsers&Version=2014-11-01", "NoSuchVersion"},
		"an operation of KMS": {"Action=CreateKey&Version=2010-05-08", "InvalidAction"},
		"IAM under STS":       {"Action=ListUsers&Version=2011-06-15", "InvalidAction"},
		"in another case":     {"Action=listusers&Version=2010-05-08", "InvalidAction"},
		"many members":        {"Action=ListUsers&Version=2010-05-08" + strings.Repeat("&x=y", 2000), "MalformedQueryString"},
		"deep names":          {"Action=ListUsers&Version=2010-05-08&a.b.c.d.e.f.g.h.i.j=1", "MalformedQueryString"},
		"huge numbers":        {"Action=CreateUser&Version=2010-05-08&Tags.member.1000000000.Key=a", "MalformedQueryString"},
		"JSON":                {`{"Action":"ListUsers"}`, "MissingAction"},
	} {
		if a := w.post(admin, "", c.body); a.code != c.code {
			t.Errorf("%s: %d %s %s", name, a.status, a.code, a.message)
		}
	}
	// With a target it is a request for KMS, whatever its body says.
	if a := w.post(admin, "TrentService.ListKeys", "Action=CreateUser&Version=2010-05-08&UserName=bob"); !strings.Contains(a.text, "SerializationException") {
		t.Errorf("a form with a target: %s", a.text)
	}
	if n := len(w.done(admin, "ListUsers").values("UserName")); n != 0 {
		t.Errorf("%d users", n)
	}
}

// services notes which service the signature is held against.
type services struct {
	caller
	asked *[]string
}

func (s services) Authenticate(ctx context.Context, service string, body []byte, now time.Time) (pipeline.Identity, error) {
	*s.asked = append(*s.asked, service)
	return s.caller.Authenticate(ctx, service, body, now)
}

func TestSEC_A11_TheRequestChoosesTheService(t *testing.T) {
	w := newWorld(t)
	var asked []string
	send := func(target string, form bool, body string) {
		w.road.Walk(context.Background(), &pipeline.Request{ID: "x", Received: w.clock(), Target: target, Form: form, Body: []byte(body), Who: services{admin, &asked}})
	}
	send("TrentService.ListKeys", false, "{}")
	send("TrentService.ListKeys", true, "Action=ListUsers&Version=2010-05-08")
	send("", true, "Action=ListUsers&Version=2010-05-08")
	send("", true, "Action=GetCallerIdentity&Version=2011-06-15")
	send("", false, "Action=ListUsers&Version=2010-05-08")        // no form: nothing to ask for
	send("", true, "Action=ListUsers&Version=unknown")            // no service, so nobody is asked
	send("", true, "Action=GetAccountSummary&Version=2010-05-08") // no such operation
	if want := []string{"kms", "kms", "iam", "sts"}; !slices.Equal(asked, want) {
		t.Errorf("asked about %v, want %v", asked, want)
	}
}

// TestSEC_A11: a captured CreateAccessKey gives nobody a second secret, not even
// within the grace that other changes have.
func TestSEC_A11_SecretsAreGivenOnce(t *testing.T) {
	w := newWorld(t)
	w.done(admin, "CreateUser", "UserName", "bob")
	captured := admin
	captured.signature = strings.Repeat("ab", 32)
	w.done(captured, "CreateAccessKey", "UserName", "bob")
	for range 2 {
		if a := w.form(captured, "CreateAccessKey", "UserName", "bob"); a.status != 403 || a.code != "SignatureDoesNotMatch" || a.value("SecretAccessKey") != "" {
			t.Errorf("%d %s", a.status, a.text)
		}
		w.pass(time.Second)
	}
	if n := len(w.done(admin, "ListAccessKeys", "UserName", "bob").values("AccessKeyId")); n != 1 {
		t.Errorf("%d keys", n)
	}
	// Nor do many of it at once.
	w.done(admin, "CreateUser", "UserName", "carol")
	captured.signature = strings.Repeat("ef", 32)
	answers := make(chan answer, 8)
	for range cap(answers) {
		go func() { answers <- w.form(captured, "CreateAccessKey", "UserName", "carol") }()
	}
	secrets := 0
	for range cap(answers) {
		if a := <-answers; a.value("SecretAccessKey") != "" {
			secrets++
		}
	}
	if secrets != 1 {
		t.Errorf("%d secrets were given", secrets)
	}
	// Another change may come twice at once, and not later.
	again := admin
	again.signature = strings.Repeat("cd", 32)
	w.done(again, "TagUser", "UserName", "bob", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b")
	w.done(again, "TagUser", "UserName", "bob", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b")
	w.pass(3 * time.Second)
	w.denied(w.form(again, "TagUser", "UserName", "bob", "Tags.member.1.Key", "a", "Tags.member.1.Value", "b"), 403, "SignatureDoesNotMatch",
		"This signature has been used before. Requests that change something must be signed anew each time.")
}

// TestSEC_G01: no secret of IAM's reaches the audit record, and what was done to
// whom does.
func TestSEC_G01_IAMAudit(t *testing.T) {
	w := newWorld(t)
	w.done(admin, "CreateUser", "UserName", "bob", "Path", "/team/")
	secretKey := w.done(admin, "CreateAccessKey", "UserName", "bob").value("SecretAccessKey")
	line := w.audit.lines[len(w.audit.lines)-1]
	for _, want := range []string{`"service":"iam"`, `"operation":"CreateAccessKey"`, `"mutates":true`, `"resources":["arn:aws:iam::111122223333:user/team/bob"]`, `"params":{"UserName":"bob"}`} {
		if !strings.Contains(line, want) {
			t.Errorf("%s is not in %s", want, line)
		}
	}
	if all := strings.Join(w.audit.lines, ""); secretKey == "" || strings.Contains(all, secretKey) {
		t.Error("the secret is in the audit")
	}
	w.form(nobody, "DeleteUser", "UserName", "bob")
	if line := w.audit.lines[len(w.audit.lines)-1]; !strings.Contains(line, `"error":"AccessDenied"`) || !strings.Contains(line, `"status":403`) {
		t.Errorf("a refusal: %s", line)
	}
}

// An answer is dropped with its secret when it could not be written down.
func TestSEC_E13_SecretsStayWithAFailingAudit(t *testing.T) {
	w := newWorld(t)
	w.done(admin, "CreateUser", "UserName", "bob")
	w.audit.fault = fmt.Errorf("no space left on device")
	if a := w.form(admin, "CreateAccessKey", "UserName", "bob"); a.status != 500 || a.code != "InternalFailure" || a.value("SecretAccessKey") != "" {
		t.Errorf("%d %s", a.status, a.text)
	}
}
