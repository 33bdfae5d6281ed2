package query_test

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"trent/internal/api/iamapi"
	"trent/internal/api/query"
	"trent/internal/api/stsapi"
	"trent/internal/fault"
)

func decode(t testing.TB, body string, in query.Input) error {
	t.Helper()
	f, err := query.ParseForm([]byte(body))
	if err != nil {
		return err
	}
	defer f.Wipe()
	return in.UnmarshalForm(f)
}

func TestForms(t *testing.T) {
	in := new(iamapi.CreateUserInput)
	const body = "Action=CreateUser&Version=2010-05-08&UserName=a%40b&Path=%2Fx%2F&Tags.member.2.Key=k+2&Tags.member.2.Value=&Tags.member.1.Key=%C3%A4&Tags.member.1.Value=v&New.member.1=x"
	if err := decode(t, body, in); err != nil {
		t.Fatal(err)
	}
	if in.UserName != "a@b" || in.Path != "/x/" || len(in.Tags) != 2 || in.Tags[0].Key != "ä" || in.Tags[1].Key != "k 2" || !in.Has("Tags") || in.Has("PermissionsBoundary") {
		t.Errorf("%+v", in)
	}
	if err := in.Validate(); err != nil {
		t.Error(err)
	}
	if list, ok := in.AppendMember(nil, "Tags"); !ok || string(list) != `[{"Key":"ä","Value":"v"},{"Key":"k 2","Value":""}]` {
		t.Errorf("for the audit: %s", list)
	}

	empty := new(iamapi.CreateUserInput)
	if err := decode(t, "UserName=a&Tags=", empty); err != nil || !empty.Has("Tags") || len(empty.Tags) != 0 {
		t.Errorf("an empty list: %v %+v", err, empty)
	}
	list := new(iamapi.CreateOpenIDConnectProviderInput)
	if err := decode(t, "Url=u&ClientIDList.member.1=a&ClientIDList.member.2=b", list); err != nil || strings.Join(list.ClientIDList, " ") != "a b" {
		t.Errorf("a list of texts: %v %+v", err, list)
	}
	page := new(iamapi.ListEntitiesForPolicyInput)
	if err := decode(t, "MaxItems=7&EntityFilter=User", page); err != nil || page.MaxItems != 7 || page.EntityFilter != iamapi.EntityTypeUser {
		t.Errorf("a number and an enum: %v %+v", err, page)
	}
	secret := new(stsapi.AssumeRoleWithWebIdentityInput)
	if err := decode(t, "WebIdentityToken=abcd", secret); err != nil || string(secret.WebIdentityToken.Expose()) != "abcd" {
		t.Errorf("a secret: %v", err)
	}
	if strings.Contains(fmt.Sprintf("%+v", secret), "abcd") {
		t.Error("the token can be printed")
	}
}

func TestSEC_C02_MalformedForms(t *testing.T) {
	long := strings.Repeat("x", 257)
	for name, body := range map[string]string{
		"twice":                    "UserName=a&UserName=b",
		"twice, escaped":           "UserName=a&%55serName=b",
		"twice in a list":          "Tags.member.1.Key=a&Tags.member.1.Key=b",
		"a gap":                    "Tags.member.1.Key=a&Tags.member.3.Key=b",
		"from zero":                "Tags.member.0.Key=a",
		"not from one":             "Tags.member.2.Key=a",
		"a leading zero":           "Tags.member.01.Key=a",
		"a sign":                   "Tags.member.%2B1.Key=a",
		"no number":                "Tags.member.x.Key=a",
		"a huge number":            "Tags.member.99999999999999999999.Key=a",
		"a large number":           "Tags.member.1025.Key=a",
		"no value":                 "UserName",
		"no name":                  "=a",
		"an empty pair":            "UserName=a&&Path=b",
		"a trailing sign":          "UserName=a&",
		"half an escape":           "UserName=%4",
		"a bad escape":             "UserName=%zz",
		"bad UTF-8":                "UserName=%ff",
		"a surrogate":              "UserName=%ed%a0%80",
		"a long name":              long + "=a",
		"a deep name":              "a.b.c.d.e.f.g.h.i=a",
		"a gap in what is unknown": "X.member.2=a",
		"too many":                 strings.Repeat("a=b&", 1024) + "c=d",
	} {
		if err := decode(t, body, new(iamapi.CreateUserInput)); !fault.Is(err, query.MalformedQueryString) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, body := range map[string]string{
		"no integer":        "MaxItems=x",
		"a fraction":        "MaxItems=1.0",
		"an overflow":       "MaxItems=2147483648",
		"an empty integer":  "MaxItems=",
		"a list and a text": "Tags=a&Tags.member.1.Key=b",
		"a text for a list": "Tags=a",
	} {
		var in query.Input = new(iamapi.ListUsersInput)
		if strings.HasPrefix(body, "Tags") {
			in = new(iamapi.CreateUserInput)
		}
		if err := decode(t, body, in); !fault.Is(err, query.InvalidParameterValue) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := decode(t, "ClientIDList.member.1.x=a", new(iamapi.CreateOpenIDConnectProviderInput)); !fault.Is(err, query.InvalidParameterValue) {
		t.Errorf("a structure for a text: %v", err)
	}
}

func TestOperation(t *testing.T) {
	for _, c := range []struct {
		body, action, version string
		code                  fault.Code
	}{
		{"Action=GetUser&Version=2010-05-08", "GetUser", "2010-05-08", ""},
		{"x=y&Version=1&Action=GetUser", "GetUser", "1", ""},
		{"Action=GetUser", "GetUser", "", ""},
		{"", "", "", query.MissingAction},
		{"Version=1", "", "", query.MissingAction},
		{"%41ction=GetUser", "", "", query.MissingAction},
		{"Action=GetUser&Action=DeleteUser", "", "", query.MalformedQueryString},
		{"Action=GetUser&Version=1&Version=2", "", "", query.MalformedQueryString},
		{"Action=" + strings.Repeat("x", 300), "", "", query.MalformedQueryString},
	} {
		action, version, err := query.Operation([]byte(c.body))
		if action != c.action || version != c.version || (c.code == "") != (err == nil) || c.code != "" && !fault.Is(err, c.code) {
			t.Errorf("%.40s: %q %q %v", c.body, action, version, err)
		}
	}
}

// All that is wrong is in one message, in the words of IAM.
func TestViolations(t *testing.T) {
	in := new(iamapi.CreateUserInput)
	if err := decode(t, "UserName=a+b&Tags.member.1.Key=k", in); err != nil {
		t.Fatal(err)
	}
	f := fault.From(in.Validate())
	const want = `2 validation errors detected: Value 'a b' at 'userName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]+; Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null`
	if f.Code != query.ValidationError || f.Message != want {
		t.Errorf("%s: %s", f.Code, f.Message)
	}
	alias := new(iamapi.CreateAccountAliasInput)
	for name, good := range map[string]bool{"abc": true, "a-b": true, "a-b-c1": true, "ab": false, "a--b": false, "-ab": false, "ab-": false, "aBc": false, strings.Repeat("a", 63): true, strings.Repeat("a", 64): false} {
		if err := decode(t, "AccountAlias="+name, alias); err != nil || (alias.Validate() == nil) != good {
			t.Errorf("%s: %v", name, alias.Validate())
		}
	}
}

func TestXML(t *testing.T) {
	out := &iamapi.ListUsersOutput{Users: []iamapi.User{{
		Path: "/", UserName: "a<&>\"\r\n\x01", UserId: "AIDA", Arn: "arn", CreateDate: time.Date(2026, 11, 24, 12, 0, 0, 5e8, time.FixedZone("", 3600)),
	}}}
	const want = `<Users><member><Path>/</Path><UserName>a&lt;&amp;&gt;&quot;&#xD;` + "\n\ufffd" + `</UserName><UserId>AIDA</UserId><Arn>arn</Arn><CreateDate>2026-11-24T11:00:00Z</CreateDate></member></Users><IsTruncated>false</IsTruncated>`
	if got := string(out.AppendXML(nil)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if got := string((&iamapi.ListUsersOutput{}).AppendXML(nil)); got != `<Users></Users><IsTruncated>false</IsTruncated>` {
		t.Errorf("an empty list: %s", got)
	}
}

// What was read keeps nothing of the form, which is wiped.
func TestSEC_G07_FormsAreWiped(t *testing.T) {
	f, err := query.ParseForm([]byte("UserName=a&Tags.member.1.Key=k&Tags.member.1.Value=v"))
	if err != nil {
		t.Fatal(err)
	}
	in := new(iamapi.CreateUserInput)
	if err := in.UnmarshalForm(f); err != nil {
		t.Fatal(err)
	}
	f.Wipe()
	if in.UserName != "a" || in.Tags[0].Key != "k" || in.Tags[0].Value != "v" {
		t.Errorf("wiped along with the form: %+v", in)
	}
}

func FuzzParseForm(f *testing.F) {
	f.Add([]byte("Action=CreateUser&UserName=a&Tags.member.1.Key=k&Tags.member.1.Value=v"))
	f.Add([]byte("Tags=&MaxItems=1&X.member.1.member.1=%00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, _ = query.Operation(body)
		for _, in := range []query.Input{new(iamapi.CreateUserInput), new(iamapi.ListEntitiesForPolicyInput), new(iamapi.CreateOpenIDConnectProviderInput), new(stsapi.AssumeRoleInput)} {
			form, err := query.ParseForm(body)
			if err == nil {
				err = in.UnmarshalForm(form)
				form.Wipe()
			}
			if err == nil {
				err = in.Validate()
			}
			if _, ours := err.(*fault.Error); err != nil && !ours { //nolint:errorlint // anything else would be answered as our own failure
				t.Fatalf("not a refusal: %v", err)
			}
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add("plain <&>\"\r\n\x00\xff\ufffe")
	f.Fuzz(func(t *testing.T, s string) {
		b := query.String(nil, "x", s)
		var back string
		if err := xml.Unmarshal(b, &back); err != nil || !utf8.Valid(b) {
			t.Fatalf("%v: %q", err, b)
		}
		want := strings.Map(func(c rune) rune {
			if c < ' ' && c != '\n' && c != '\t' && c != '\r' || c == 0xFFFE || c == 0xFFFF {
				return utf8.RuneError
			}
			return c
		}, string([]rune(s)))
		if back != want {
			t.Fatalf("%q became %q", s, back)
		}
	})
}
