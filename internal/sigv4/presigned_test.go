package sigv4_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"trent/internal/fault"
	"trent/internal/sigv4"
)

const identityQuery = "Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60"

// presign lets an SDK presign a request of STS at noon.
func presign(t testing.TB, method, query, token string, header map[string]string) *sigv4.Request {
	t.Helper()
	r, err := http.NewRequest(method, "http://sts.example:7666/?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	cred := aws.Credentials{AccessKeyID: knownID, SecretAccessKey: knownSecret}
	if token != "" {
		cred = aws.Credentials{AccessKeyID: sessionID, SecretAccessKey: "sessionsessionsessionsessionsessionsessi", SessionToken: token}
	}
	link, signed, err := v4.NewSigner().PresignHTTP(context.Background(), cred, r, hexSHA256(nil), "sts", "us-east-1", noon)
	if err != nil {
		t.Fatal(err)
	}
	_, rawQuery, _ := strings.Cut(link, "?")
	h := map[string][]string{}
	for name, values := range signed {
		if name != "Host" {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
	return &sigv4.Request{Service: "sts", Method: method, Path: "/", RawQuery: rawQuery, Host: "sts.example:7666", ContentLength: "0", Header: h}
}

func TestSEC_A04_Presigned(t *testing.T) {
	v := sessions()
	for name, r := range map[string]*sigv4.Request{
		"GET": presign(t, "GET", identityQuery, "", nil), "POST": presign(t, "POST", identityQuery, "", nil),
		"a signed header": presign(t, "GET", identityQuery, "", map[string]string{"x-k8s-aws-id": "cluster one"}),
		"no expiry":       presign(t, "GET", strings.TrimSuffix(identityQuery, "&X-Amz-Expires=60"), "", nil),
		"a session":       presign(t, "GET", identityQuery, sessionToken, nil),
	} {
		who, err := v.VerifyPresigned(context.Background(), r, noon.Add(14*time.Minute))
		if err != nil || who.Region != "us-east-1" || !who.Signed.Equal(noon) || (who.Principal == session) != (name == "a session") {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
		// It is none of the other form.
		if _, err := v.Verify(context.Background(), r, noon); !fault.Is(err, sigv4.MissingAuthenticationToken) {
			t.Errorf("%s, in the other form: %v", name, err)
		}
	}
}

// TestSEC_A08: the query has the parameters that it must have, each once, and no other.
func TestSEC_A08_PresignedParameters(t *testing.T) {
	v := sessions()
	change := func(old, new string) func(*sigv4.Request) {
		return func(r *sigv4.Request) {
			if !strings.Contains(r.RawQuery, old) {
				t.Errorf("no %s in %s", old, r.RawQuery)
			}
			r.RawQuery = strings.Replace(r.RawQuery, old, new, 1)
		}
	}
	add := func(more string) func(*sigv4.Request) { return func(r *sigv4.Request) { r.RawQuery += more } }
	bad := map[string]struct {
		bend func(*sigv4.Request)
		code fault.Code
	}{
		"another action":           {change("GetCallerIdentity", "AssumeRole"), sigv4.InvalidSignature},
		"another version":          {change("2011-06-15", "2010-05-08"), sigv4.InvalidSignature},
		"another expiry":           {change("X-Amz-Expires=60", "X-Amz-Expires=61"), sigv4.InvalidSignature},
		"no expiry":                {change("&X-Amz-Expires=60", ""), sigv4.InvalidSignature},
		"an expiry of more":        {change("X-Amz-Expires=60", "X-Amz-Expires=604801"), sigv4.IncompleteSignature},
		"an expiry of nothing":     {change("X-Amz-Expires=60", "X-Amz-Expires=0"), sigv4.IncompleteSignature},
		"an expiry with a sign":    {change("X-Amz-Expires=60", "X-Amz-Expires=%2B60"), sigv4.IncompleteSignature},
		"no signature":             {change("X-Amz-Signature=", "X-Amz-Signature_="), sigv4.IncompleteSignature},
		"a signature in capitals":  {func(r *sigv4.Request) { upper(r) }, sigv4.InvalidSignature},
		"no algorithm":             {change("X-Amz-Algorithm=AWS4-HMAC-SHA256&", ""), sigv4.IncompleteSignature},
		"another algorithm":        {change("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), sigv4.IncompleteSignature},
		"an action on top":         {add("&Action=GetCallerIdentity"), sigv4.IncompleteSignature},
		"a parameter on top":       {add("&RoleArn=x"), sigv4.IncompleteSignature},
		"an empty one on top":      {add("&"), sigv4.IncompleteSignature},
		"in another case":          {change("Action=", "action="), sigv4.IncompleteSignature},
		"an escaped name":          {change("Action=", "%41ction="), sigv4.IncompleteSignature},
		"an escape that is none":   {change("GetCallerIdentity", "GetCallerIdentit%7"), sigv4.IncompleteSignature},
		"a plus":                   {change("GetCallerIdentity", "Get+CallerIdentity"), sigv4.IncompleteSignature},
		"a control character":      {change("GetCallerIdentity", "GetCallerIdentity%0a"), sigv4.IncompleteSignature},
		"another host":             {func(r *sigv4.Request) { r.Host = "evil.example" }, sigv4.InvalidSignature},
		"another method":           {func(r *sigv4.Request) { r.Method = "POST" }, sigv4.InvalidSignature},
		"HEAD":                     {func(r *sigv4.Request) { r.Method = "HEAD" }, sigv4.MissingAuthenticationToken},
		"another path":             {func(r *sigv4.Request) { r.Path = "/x" }, sigv4.MissingAuthenticationToken},
		"a body":                   {func(r *sigv4.Request) { r.Body = []byte("Action=ListUsers") }, sigv4.MissingAuthenticationToken},
		"another service":          {func(r *sigv4.Request) { r.Service = "iam" }, sigv4.InvalidSignature},
		"a header that is missing": {func(r *sigv4.Request) { delete(r.Header, "X-K8s-Aws-Id") }, sigv4.InvalidSignature},
		"a header that is changed": {func(r *sigv4.Request) { r.Header["X-K8s-Aws-Id"] = []string{"two"} }, sigv4.InvalidSignature},
		"an x-amz-* header":        {func(r *sigv4.Request) { r.Header["X-Amz-Target"] = []string{"TrentService.ListKeys"} }, sigv4.InvalidSignature},
		"a token beside it":        {func(r *sigv4.Request) { r.Header["X-Amz-Security-Token"] = []string{sessionToken} }, sigv4.IncompleteSignature},
		"a token on top":           {add("&X-Amz-Security-Token=" + sessionToken), sigv4.UnrecognizedClient},
		"a signature beside it":    {func(r *sigv4.Request) { r.Header["Authorization"] = signed().Header["Authorization"] }, sigv4.IncompleteSignature},
		"a body hash":              {func(r *sigv4.Request) { r.Header["X-Amz-Content-Sha256"] = []string{"UNSIGNED-PAYLOAD"} }, sigv4.InvalidSignature},
		"another key":              {change(knownID, unknownID), sigv4.UnrecognizedClient},
		"nothing":                  {func(r *sigv4.Request) { r.RawQuery = "" }, sigv4.IncompleteSignature},
	}
	for name, c := range bad {
		r := presign(t, "GET", identityQuery, "", map[string]string{"x-k8s-aws-id": "one"})
		c.bend(r)
		if got, err := v.VerifyPresigned(context.Background(), r, noon); !fault.Is(err, c.code) || got != (sigv4.Verified{}) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}

func upper(r *sigv4.Request) {
	before, signature, _ := strings.Cut(r.RawQuery, "X-Amz-Signature=")
	r.RawQuery = before + "X-Amz-Signature=" + strings.ToUpper(signature)
}

// TestSEC_A11: a presigned request is good for fifteen minutes, whatever it says.
func TestSEC_A11_PresignedTimes(t *testing.T) {
	v := sessions()
	for _, expires := range []string{"1", "60", "3600", "604800"} {
		r := presign(t, "GET", strings.Replace(identityQuery, "=60", "="+expires, 1), "", nil)
		for after, want := range map[time.Duration]string{
			0: "", 15 * time.Minute: "", -5 * time.Minute: "",
			15*time.Minute + time.Second: "Signature expired: 20261124T120000Z is now earlier than 20261124T120001Z (20261124T121501Z - 15 min.)",
			-5*time.Minute - time.Second: "Signature not yet current: 20261124T120000Z is still later than 20261124T115959Z (20261124T115459Z + 5 min.)",
		} {
			_, err := v.VerifyPresigned(context.Background(), r, noon.Add(after))
			if want == "" && err != nil || want != "" && (!fault.Is(err, sigv4.InvalidSignature) || fault.From(err).Message != want) {
				t.Errorf("good for %s, %s later: %v", expires, after, err)
			}
		}
	}
	r := presign(t, "GET", identityQuery, sessionToken, nil)
	v = sigv4.NewVerifier(directory{sessionID + "/" + sessionToken: func() sigv4.Credential {
		c := credential("sessionsessionsessionsessionsessionsessi", 1)
		c.Expires = noon.Add(time.Minute)
		return c
	}()}, sigv4.Regions{Any: true})
	if _, err := v.VerifyPresigned(context.Background(), r, noon.Add(time.Minute)); !fault.Is(err, sigv4.ExpiredToken) {
		t.Errorf("of a session that is over: %v", err)
	}
}

// FuzzPresignedQuery: there is no panic, and what passes asks for what was signed.
func FuzzPresignedQuery(f *testing.F) {
	good := presign(f, "GET", identityQuery, "", nil).RawQuery
	f.Add(good)
	f.Add(presign(f, "GET", identityQuery, sessionToken, nil).RawQuery)
	f.Add(strings.ReplaceAll(good, "&", "&&"))
	f.Add("Action=%")
	v := sessions()
	f.Fuzz(func(t *testing.T, query string) {
		r := &sigv4.Request{Service: "sts", Method: "GET", Path: "/", RawQuery: query, Host: "sts.example:7666", ContentLength: "0", Header: map[string][]string{}}
		if _, err := v.VerifyPresigned(context.Background(), r, noon); err != nil {
			return
		}
		asked := 0
		for pair := range strings.SplitSeq(query, "&") {
			if name, _, _ := strings.Cut(pair, "="); name == "Action" {
				asked++
			}
		}
		if asked != 1 {
			t.Errorf("passed: %q", query)
		}
	})
}
