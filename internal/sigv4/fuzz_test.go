package sigv4_test

import (
	"context"
	"strings"
	"testing"

	"trent/internal/sigv4"
)

// FuzzAuthorizationHeader: whatever stands in the header, there is no panic,
// and what passes is the one right signature over all that must be signed.
func FuzzAuthorizationHeader(f *testing.F) {
	r := signed()
	right := r.Header["Authorization"][0]
	f.Add(right)
	f.Add(good)
	f.Add(strings.ReplaceAll(right, ", ", ","))
	f.Add(strings.Replace(right, "x-amz-date;", "", 1))
	f.Add("AWS4-HMAC-SHA256 Credential=/////, SignedHeaders=;, Signature==")
	f.Add("AWS4-HMAC-SHA256 ,,,===")
	v := newVerifier()
	f.Fuzz(func(t *testing.T, header string) {
		r := plain()
		r.Header["Authorization"] = []string{header}
		got, err := v.Verify(context.Background(), r, noon)
		if err != nil {
			if got != (sigv4.Verified{}) {
				t.Fatal("a refusal with a result")
			}
			return
		}
		_, list, _ := strings.Cut(header, "SignedHeaders=")
		list, _, _ = strings.Cut(list, ",")
		list = strings.TrimRight(list, " ")
		for _, must := range []string{"host", "x-amz-date", "x-amz-target"} {
			if !strings.Contains(";"+list+";", ";"+must+";") {
				t.Fatalf("%s is not signed in %q", must, header)
			}
		}
		s := newSigner()
		s.region = got.Region
		if got.Signature != s.signature(r, list) || !strings.Contains(header, "Signature="+got.Signature) {
			t.Fatalf("passed: %q", header)
		}
	})
}

// FuzzMutatedRequest: a signed request of which any part changed is verified
// if, and only if, what was signed is still the same.
func FuzzMutatedRequest(f *testing.F) {
	base := plain()
	f.Add(base.Host, base.Header["X-Amz-Target"][0], base.Header["Content-Type"][0], "attempt=1; max=3", "", base.Body, base.ContentLength, "20261124T120000Z", uint8(0))
	f.Add("kms.example:443", "TrentService.Decrypt", "text/plain", "attempt=1;  max=3 ", "x", []byte("{}"), "2", "20261124T120001Z", uint8(1))
	f.Add("", "", "", "", "", []byte(nil), "0", "", uint8(255))
	v := newVerifier()
	f.Fuzz(func(t *testing.T, host, target, contentType, sdk, extra string, body []byte, length, stamp string, shape uint8) {
		r := plain()
		newSigner().sign(r, "host", "content-length", "content-type", "x-amz-date", "x-amz-target", "amz-sdk-request")
		list := "amz-sdk-request;content-length;content-type;host;x-amz-date;x-amz-target"
		before := canonical(r, list)
		r.Host, r.Body, r.ContentLength = host, body, length
		r.Header["X-Amz-Target"], r.Header["Content-Type"] = []string{target}, []string{contentType}
		r.Header["Amz-Sdk-Request"], r.Header["X-Amz-Date"] = []string{sdk}, []string{stamp}
		if shape&1 != 0 {
			r.Header["X-Amz-Extra"] = []string{extra} // comes unsigned
		}
		if shape&2 != 0 {
			r.Header["X-Amz-Target"] = append(r.Header["X-Amz-Target"], extra)
		}
		if shape&4 != 0 {
			r.Header["Content-Type"] = append(r.Header["Content-Type"], extra)
		}
		if shape&8 != 0 {
			delete(r.Header, "Amz-Sdk-Request")
		}
		if shape&16 != 0 {
			r.RawQuery = extra
		}
		if shape&32 != 0 {
			r.Path += extra
		}
		if shape&64 != 0 {
			r.Method = extra
		}
		_, err := v.Verify(context.Background(), r, noon)
		same := canonical(r, list) == before && shape&(1|2|8) == 0
		if same != (err == nil) && !strings.ContainsAny(host+target+contentType+sdk+extra+length, "\n\t") {
			t.Fatalf("same: %v, verdict: %v\n%s", same, err, canonical(r, list))
		}
		if err == nil && !same {
			t.Fatal("a change passed")
		}
	})
}
