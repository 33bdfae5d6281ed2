package trenttest_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"trent/trenttest/raw"
)

// form is a signed request of IAM.
func (b *bench) form(operation, more string) raw.Request {
	r := b.request("", "Action="+operation+"&Version=2010-05-08"+more)
	r.Form, r.Target = true, ""
	return r
}

// users is who there is, as IAM lists them.
func (b *bench) users() string {
	b.t.Helper()
	a := b.send(b.form("ListUsers", ""))
	if a.Status != 200 || a.Header.Get("Content-Type") != "text/xml" {
		b.t.Fatalf("ListUsers: %v", a)
	}
	_, list, _ := bytes.Cut(a.Body, []byte("<Users>"))
	list, _, _ = bytes.Cut(list, []byte("</Users>"))
	return string(list)
}

// TestSEC_A03: IAM is reached by a form that is signed for IAM, whole, and by
// nothing else.
func TestSEC_A03_Forms(t *testing.T) {
	b := newBench(t)
	before, keys := b.users(), b.state()
	for name, c := range map[string]struct {
		bend   func(*raw.Request)
		status int
		code   string
	}{
		"not signed":                  {func(r *raw.Request) { r.SecretAccessKey = "" }, 403, "MissingAuthenticationToken"},
		"signed for KMS":              {func(r *raw.Request) { r.Service = "kms" }, 403, "SignatureDoesNotMatch"},
		"signed for STS":              {func(r *raw.Request) { r.Service = "sts" }, 403, "SignatureDoesNotMatch"},
		"a wrong secret":              {func(r *raw.Request) { r.SecretAccessKey = "x" + r.SecretAccessKey }, 403, "SignatureDoesNotMatch"},
		"an unknown key":              {func(r *raw.Request) { r.AccessKeyID = "AKIAAAAAAAAAAAAAAAAA" }, 403, "InvalidClientTokenId"},
		"another body":                {func(r *raw.Request) { r.Instead = bytes.Replace(r.Body, []byte("eve"), []byte("ivy"), 1) }, 403, "SignatureDoesNotMatch"},
		"an action on top":            {func(r *raw.Request) { r.Instead = append(bytes.Clone(r.Body), "&Action=CreateUser"...) }, 400, "MalformedQueryString"},
		"another service's version":   {func(r *raw.Request) { r.Instead = bytes.Replace(r.Body, []byte("2010-05-08"), []byte("2011-06-15"), 1) }, 400, "InvalidAction"},
		"an old signature":            {func(r *raw.Request) { r.At = time.Now().Add(-6 * time.Minute) }, 403, "SignatureDoesNotMatch"},
		"a target added":              {func(r *raw.Request) { r.Header = map[string]string{"X-Amz-Target": "TrentService.ListKeys"} }, 400, "InvalidSignatureException"},
		"a target signed":             {func(r *raw.Request) { r.Target = "TrentService.ListKeys" }, 400, "InvalidSignatureException"},
		"a target, signed for KMS":    {func(r *raw.Request) { r.Target, r.Service = "TrentService.ListKeys", "kms" }, 400, "SerializationException"},
		"not said to be a form":       {func(r *raw.Request) { r.Type = "text/plain" }, 400, "UnknownOperationException"},
		"in the query":                {func(r *raw.Request) { r.Path = "/?Action=CreateUser&Version=2010-05-08&UserName=eve" }, 403, "MissingAuthenticationToken"},
		"another path":                {func(r *raw.Request) { r.Path = "/iam" }, 404, "ResourceNotFound"},
		"too large":                   {func(r *raw.Request) { r.Body = append(r.Body, "&x="+strings.Repeat("y", 256<<10)...) }, 413, "RequestEntityTooLarge"},
		"compressed":                  {func(r *raw.Request) { r.Header = map[string]string{"Content-Encoding": "gzip"} }, 400, "Serialization"},
		"too many members":            {func(r *raw.Request) { r.Body = append(r.Body, strings.Repeat("&x=y", 5000)...) }, 400, "MalformedQueryString"},
		"the number of a huge list":   {func(r *raw.Request) { r.Body = append(r.Body, "&Tags.member.999999999.Key=a"...) }, 400, "MalformedQueryString"},
		"a name of many parts":        {func(r *raw.Request) { r.Body = append(r.Body, strings.Repeat("&a.b.c.d.e.f.g.h.i=y", 1)...) }, 400, "MalformedQueryString"},
		"the name of an object twice": {func(r *raw.Request) { r.Body = append(r.Body, "&UserName=ivy"...) }, 400, "MalformedQueryString"},
	} {
		t.Run(name, func(t *testing.T) {
			r := b.form("CreateUser", "&UserName=eve")
			c.bend(&r)
			if a := b.send(r); a.Status != c.status || a.Code() != c.code {
				t.Errorf("%v, want %d %s", a, c.status, c.code)
			}
		})
	}
	if b.users() != before || b.state() != keys {
		t.Error("something has changed")
	}
	// In any charset, and in the home Region as well as in any other.
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		r := b.form("GetUser", "")
		r.Region = region
		r.Type = "Application/X-WWW-Form-UrlEncoded;charset=ISO-8859-1"
		if a := b.send(r); a.Status != 200 {
			t.Errorf("%s: %v", region, a)
		}
	}
}

// TestSEC_A11: who has seen CreateAccessKey on the wire gets no key of their own,
// at no time; nor by a restart.
func TestSEC_A11_CapturedCreateAccessKey(t *testing.T) {
	b := newBench(t)
	b.send(b.form("CreateUser", "&UserName=bob"))
	host := strings.TrimPrefix(b.URL, "http://")
	captured, err := b.form("CreateAccessKey", "&UserName=bob").Bytes(host)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{200, 403, 403, 403} {
		if i == 2 {
			b.Restart()
		}
		a, err := raw.Send(host, captured)
		if err != nil || a.Status != want || (want == 200) != bytes.Contains(a.Body, []byte("SecretAccessKey")) {
			t.Errorf("%d: %v %v", i, a, err)
		}
	}
	if n := bytes.Count(b.send(b.form("ListAccessKeys", "&UserName=bob")).Body, []byte("<AccessKeyId>")); n != 1 {
		t.Errorf("%d keys", n)
	}
}

// What was answered is there after a restart, and what was deleted is not.
func TestIdentitiesSurviveARestart(t *testing.T) {
	b := newBench(t)
	for _, call := range []string{
		"CreateUser&UserName=bob&Path=%2Fteam%2F", "CreateGroup&GroupName=team", "AddUserToGroup&GroupName=team&UserName=bob",
		"CreateUser&UserName=gone", "DeleteUser&UserName=gone",
	} {
		operation, more, _ := strings.Cut(call, "&")
		if a := b.send(b.form(operation, "&"+more)); a.Status != 200 {
			t.Fatalf("%s: %v", call, a)
		}
	}
	before := b.users()
	b.Restart()
	if after := b.users(); after != before || strings.Contains(after, "gone") || !strings.Contains(after, "user/team/bob") {
		t.Errorf("%s\nbefore: %s", after, before)
	}
	if a := b.send(b.form("GetGroup", "&GroupName=team")); !bytes.Contains(a.Body, []byte("<UserName>bob</UserName>")) {
		t.Errorf("%s", a.Body)
	}
}
