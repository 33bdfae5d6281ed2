package sigv4_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"trent/internal/sigv4"
)

var hosts = []string{
	"kms.us-east-1.amazonaws.com", "kms.example", "kms.example:443", "kms.example:8080", "KMS.Example:8080",
	"localhost:7700", "127.0.0.1:7700", "[::1]:7700", "[2001:db8::1]", "xn--mnchen-3ya.example", "a_b.example", "kms.example.",
}

// Whatever the SDK signs is verified, after a journey over the wire; and with
// one character of the secret wrong, nothing is.
func TestSEC_A04_SDKSigner(t *testing.T) {
	v := newVerifier()
	rapid.Check(t, func(rt *rapid.T) {
		scheme := rapid.SampledFrom([]string{"http", "https"}).Draw(rt, "scheme")
		host := rapid.SampledFrom(hosts).Draw(rt, "host")
		body := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "body")
		r, err := http.NewRequest("POST", scheme+"://"+host+"/", bytes.NewReader(body))
		if err != nil {
			rt.Skipf("not a request that net/http can make: %v", err)
		}
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "TrentService."+rapid.StringMatching("[A-Z][a-z]{3,12}").Draw(rt, "operation"))
		for i := range rapid.IntRange(0, 6).Draw(rt, "headers") {
			name := rapid.SampledFrom([]string{"My-H", "Amz-Sdk-Request", "X-Amz-User-Agent", "X-Amz-Meta-", "User-Agent", "X-Amzn-Trace-Id", "Accept", "Cache-Control", "x_y"}).Draw(rt, "name")
			value := rapid.StringMatching(`[ ]{0,2}[!-~äß]{0,6}([ ]{1,3}[!-~]{1,6}){0,3}[ ]{0,2}`).Draw(rt, "value")
			if !strings.HasPrefix(name, "X-Amz-") {
				r.Header.Add(name, value)
			} else {
				r.Header.Set(fmt.Sprint(name, i), value)
			}
		}
		payload := hexSHA256(body)
		if rapid.Bool().Draw(rt, "content-sha256") {
			r.Header.Set("X-Amz-Content-Sha256", payload)
		}
		sign := func(key string) *sigv4.Request {
			c := r.Clone(context.Background())
			c.Body, _ = r.GetBody()
			cred := aws.Credentials{AccessKeyID: knownID, SecretAccessKey: key}
			if err := v4.NewSigner().SignHTTP(context.Background(), cred, c, payload, "kms", "us-east-1", noon); err != nil {
				rt.Fatal(err)
			}
			return overTheWire(t, c)
		}
		got, err := v.Verify(context.Background(), sign(knownSecret), noon)
		if err != nil || got.Principal != admin {
			rt.Fatalf("%v: %v", r.Header, err)
		}
		if _, err := v.Verify(context.Background(), sign(knownSecret[:39]+"Z"), noon); err == nil {
			rt.Fatal("a wrong secret passed")
		}
	})
}

// Clients sign headers that the SDK for Go leaves out, or sign by hand. What
// arrives as bytes is verified as bytes.
func TestSEC_A04_HandSigned(t *testing.T) {
	for _, c := range []struct{ name, headers string }{
		{"User-Agent", "User-Agent: aws-cli/2.31.0 md/awscrt#0.28   ua/2.1\r\n"},
		{"Expect", "Expect: 100-continue\r\n"},
		{"trace id", "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1\r\n"},
		{"Content-Length", "Content-Length: 2\r\n"},
		{"Connection", "Connection: keep-alive\r\n"},
		{"Accept-Encoding", "Accept-Encoding: identity\r\n"},
		{"an empty value", "My-Empty:\r\n"},
		{"blanks only", "My-Empty:   \r\n"},
		{"a folded line", "My-Fold: a\r\n  b\r\n\tc\r\n"},
		{"the same header twice", "My-Twice: b\r\nMy-Twice:  a  \r\n"},
		{"other case twice", "my-twice: b\r\nMY-TWICE: a\r\n"},
		{"an underscore", "x_amz_target: TrentService.Decrypt\r\n"},
		{"commas and quotes", "My-List: \"a,  b\", c;q=0.5,,\r\n"},
		{"bytes above ASCII", "My-Name: M\xfcnchen \xe2\x82\xac\r\n"},
		{"tabs inside", "My-Tab: a\tb\t\tc\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := "POST / HTTP/1.1\r\nHost: kms.example:7700\r\nX-Amz-Date: 20261124T120000Z\r\nX-Amz-Target: TrentService.ListKeys\r\n" + c.headers
			if !strings.Contains(raw, "Content-Length") {
				raw += "Content-Length: 2\r\n"
			}
			r := read(t, raw+"\r\n{}")
			newSigner().sign(r)
			mustVerify(t, newVerifier(), r)
			for name, values := range r.Header {
				if name == "Authorization" || strings.HasPrefix(name, "X-Amz-") || len(values) == 0 {
					continue
				}
				r.Header[name] = append([]string{"x"}, values...)
				if name == "Content-Length" {
					r.ContentLength = "3"
				}
				mustRefuse(t, newVerifier(), r, noon, sigv4.InvalidSignature, mismatch)
				r.Header[name], r.ContentLength = values, "2"
			}
		})
	}
}
