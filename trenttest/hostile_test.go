package trenttest_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"trent/trenttest"
	"trent/trenttest/raw"
)

// A bench is a server with something in it that must stay as it is.
type bench struct {
	*trenttest.Server
	t    *testing.T
	c    *kms.Client
	id   string
	arn  string
	blob []byte // under a context of {"tenant":"blue"}
	now  func() time.Time
}

func newBench(t *testing.T, opts ...trenttest.Option) *bench {
	s := trenttest.Start(t, opts...)
	b := &bench{Server: s, t: t, c: s.Client(t), now: time.Now}
	k, err := b.c.CreateKey(t.Context(), &kms.CreateKeyInput{Description: aws.String("as it was")})
	if err != nil {
		t.Fatal(err)
	}
	b.id, b.arn = aws.ToString(k.KeyMetadata.KeyId), aws.ToString(k.KeyMetadata.Arn)
	if _, err := b.c.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: &b.id}); err != nil {
		t.Fatal(err)
	}
	e, err := b.c.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &b.id, Plaintext: []byte("attack at dawn"), EncryptionContext: map[string]string{"tenant": "blue"}})
	if err != nil {
		t.Fatal(err)
	}
	b.blob = e.CiphertextBlob
	return b
}

// state is all that can be seen of what is stored.
func (b *bench) state() string {
	b.t.Helper()
	var text strings.Builder
	for _, ask := range []struct{ op, body string }{
		{"ListKeys", `{}`}, {"ListAliases", `{}`}, {"DescribeKey", `{"KeyId":"` + b.id + `"}`},
		{"GetKeyPolicy", `{"KeyId":"` + b.id + `"}`}, {"ListResourceTags", `{"KeyId":"` + b.id + `"}`},
	} {
		a := b.send(b.request(ask.op, ask.body))
		if a.Status != 200 {
			b.t.Fatalf("%s: %s", ask.op, a)
		}
		text.Write(a.Body)
	}
	return text.String()
}

// request is one of the administrator's, at the time of the server's clock.
func (b *bench) request(op, body string) raw.Request {
	return raw.Request{AccessKeyID: b.AccessKeyID, SecretAccessKey: b.SecretAccessKey, Region: b.Region, Target: op, Body: []byte(body), At: b.now()}
}

func (b *bench) host() string { return strings.TrimPrefix(b.URL, "http://") }

func (b *bench) send(r raw.Request) raw.Answer {
	b.t.Helper()
	a, err := r.Do(b.host())
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}

const malformedToken = "The security token included in the request is invalid."

// TestHostileBodies sends what no SDK would, each with a good signature, so that
// the parser gets to see it.
func TestHostileBodies(t *testing.T) {
	b := newBench(t)
	before := b.state()
	deep := func(open, shut string) string {
		return strings.Repeat(open, 10_000) + strings.Repeat(shut, 10_000)
	}
	mib := strings.Repeat("a", 1<<20+1)
	for _, c := range []struct{ name, op, body, want string }{
		{"1 MiB and a byte", "CreateKey", `{"Description":"` + mib[18:] + `"}`, "413 RequestEntityTooLargeException The request body is larger than this operation can need."},
		{"65 KiB for an operation of small ones", "ListKeys", `{"Marker":"` + mib[:65<<10] + `"}`, "413 RequestEntityTooLargeException The request body is larger than this operation can need."},
		{"1 MiB for no operation", "Destroy", mib, "413 RequestEntityTooLargeException The request body is larger than this operation can need."},
		{"invalid UTF-8", "CreateKey", "{\"Description\":\"\xff\xfe\"}", "400 SerializationException"},
		{"a surrogate alone", "CreateKey", `{"Description":"\ud800"}`, "400 SerializationException"},
		{"a UTF-8 mark at the start", "CreateKey", "\xef\xbb\xbf{}", "400 SerializationException"},
		{"arrays 10,000 deep", "CreateKey", deep("[", "]"), "400 SerializationException"},
		{"objects 10,000 deep in an unknown member", "CreateKey", `{"X":` + strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000) + `}`, "400 SerializationException"},
		{"arrays 10,000 deep in a known member", "CreateKey", `{"Tags":` + deep("[", "]") + `}`, "400 SerializationException"},
		{"open 10,000 times", "CreateKey", strings.Repeat(`{"Tags":[`, 7_000), "400 SerializationException"},
		{"a number for a string", "DescribeKey", `{"KeyId":5}`, "400 SerializationException NUMBER_VALUE can not be converted to a String"},
		{"a string for a number", "GenerateRandom", `{"NumberOfBytes":"32"}`, "400 SerializationException STRING_VALUE can not be converted to an Integer"},
		{"a fraction for a number", "GenerateRandom", `{"NumberOfBytes":1.5}`, "400 SerializationException"},
		{"a number out of range", "GenerateRandom", `{"NumberOfBytes":99999999999999999999}`, "400 SerializationException"},
		{"a string for a boolean", "CreateKey", `{"MultiRegion":"true"}`, "400 SerializationException STRING_VALUE can not be converted to a Boolean"},
		{"an object for a list", "CreateKey", `{"Tags":{}}`, "400 SerializationException"},
		{"a list for a map", "Encrypt", `{"KeyId":"alias/app","Plaintext":"YQ==","EncryptionContext":[]}`, "400 SerializationException"},
		{"a number in a context", "Encrypt", `{"KeyId":"alias/app","Plaintext":"YQ==","EncryptionContext":{"a":1}}`, "400 SerializationException NUMBER_VALUE can not be converted to a String"},
		{"base64 that is none", "Encrypt", `{"KeyId":"alias/app","Plaintext":"*"}`, "400 SerializationException"},
		{"a member twice", "DescribeKey", `{"KeyId":"alias/app","KeyId":"alias/other"}`, "400 SerializationException"},
		{"a context's key twice", "Encrypt", `{"KeyId":"alias/app","Plaintext":"YQ==","EncryptionContext":{"a":"1","a":"2"}}`, "400 SerializationException"},
		{"something after the object", "ListKeys", `{} {}`, "400 SerializationException"},
		{"a list", "ListKeys", `[]`, "400 SerializationException"},
		{"null", "ListKeys", `null`, "400 SerializationException"},
		{"half an object", "ListKeys", `{"Limit":1`, "400 SerializationException"},
		{"a comment", "ListKeys", `{/**/}`, "400 SerializationException"},
		{"a required member missing", "DescribeKey", `{}`, "400 ValidationException 1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null"},
		{"a member in another case", "DescribeKey", `{"keyId":"alias/app"}`, "400 ValidationException 1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null"},
		{"a limit of 0", "ListKeys", `{"Limit":0}`, "400 ValidationException 1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"a plaintext of 4097 bytes", "Encrypt", `{"KeyId":"alias/app","Plaintext":"` + base64.StdEncoding.EncodeToString(make([]byte, 4097)) + `"}`, "400 ValidationException 1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"},
		{"1025 random bytes", "GenerateRandom", `{"NumberOfBytes":1025}`, "400 ValidationException 1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024"},
		{"no number of bytes", "GenerateRandom", `{}`, "400 ValidationException NumberOfBytes is required."},
		{"no size of a data key", "GenerateDataKey", `{"KeyId":"alias/app"}`, "400 ValidationException Please specify either number of bytes or key spec."},
		{"two sizes of a data key", "GenerateDataKey", `{"KeyId":"alias/app","KeySpec":"AES_256","NumberOfBytes":32}`, "400 ValidationException Please specify either number of bytes or key spec."},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			got := b.send(b.request(c.op, c.body)).String()
			// The parser's own words are not part of the contract.
			if got != c.want && (!strings.HasSuffix(c.want, "SerializationException") || !strings.HasPrefix(got, c.want)) {
				t.Errorf("got  %.300s\nwant %.300s", got, c.want)
			}
		})
	}
	b.t = t
	if after := b.state(); after != before {
		t.Errorf("something has changed:\n%s\n%s", before, after)
	}
	// What is not known is passed over, as the protocol asks.
	if a := b.send(b.request("ListKeys", `{"Unknown":{"a":[1,null,true]}}`)); a.Status != 200 {
		t.Error(a)
	}
	if a := b.send(b.request("ListKeys", ``)); a.Status != 200 {
		t.Errorf("an empty body: %s", a)
	}
}

// TestHostileHeaders sends requests whose header is no KMS client's.
func TestHostileHeaders(t *testing.T) {
	b := newBench(t)
	before := b.state()
	now := time.Now()
	for _, c := range []struct {
		name string
		bend func(*raw.Request)
		want string
	}{
		{"not signed", func(r *raw.Request) { r.SecretAccessKey = "" }, "400 MissingAuthenticationTokenException Missing Authentication Token"},
		{"an unknown access key", func(r *raw.Request) { r.AccessKeyID = "AKIAIOSFODNN7EXAMPLE" }, "400 UnrecognizedClientException " + malformedToken},
		{"the access key of nobody, and a temporary one", func(r *raw.Request) { r.AccessKeyID = "ASIAIOSFODNN7EXAMPLE" }, "400 UnrecognizedClientException " + malformedToken},
		{"a wrong secret", func(r *raw.Request) { r.SecretAccessKey += "x" }, "400 InvalidSignatureException The request signature we calculated does not match"},
		{"six minutes late", func(r *raw.Request) { r.At = now.Add(-6 * time.Minute) }, "400 InvalidSignatureException Signature expired: "},
		{"six minutes early", func(r *raw.Request) { r.At = now.Add(6 * time.Minute) }, "400 InvalidSignatureException Signature not yet current: "},
		{"a day old", func(r *raw.Request) { r.At = now.Add(-24 * time.Hour) }, "400 InvalidSignatureException Signature expired: "},
		{"another service", func(r *raw.Request) { r.Service = "s3" }, "400 InvalidSignatureException Credential should be scoped to correct service: 'kms'."},
		{"another body", func(r *raw.Request) { r.Instead = []byte(`{"Description":"mine"}`) }, "400 InvalidSignatureException The request signature"},
		{"another operation", func(r *raw.Request) { r.Header["X-Amz-Target"] = "TrentService.GenerateRandom" }, "400 InvalidSignatureException The request signature"},
		{"a session token that was not signed", func(r *raw.Request) { r.Header["X-Amz-Security-Token"] = "x" }, "400 InvalidSignatureException There were x-amz-* headers present in the request which were not signed."},
		{"an algorithm that is none", func(r *raw.Request) { r.Header["Authorization"] = "AWS4-HMAC-SHA512 Credential=x" }, "400 IncompleteSignatureException"},
		{"basic authentication", func(r *raw.Request) { r.Header["Authorization"] = "Basic YTpi" }, "400 IncompleteSignatureException"},
		{"no date", func(r *raw.Request) { r.Header["X-Amz-Date"] = "" }, "400 IncompleteSignatureException Authorization header requires existence of"},
		{"a header of 20 KiB", func(r *raw.Request) { r.Header["X-Long"] = strings.Repeat("a", 20<<10) }, "431 RequestHeaderFieldsTooLargeException"},
		{"an encoded body", func(r *raw.Request) { r.Header["Content-Encoding"] = "gzip" }, "400 SerializationException An encoded body is not accepted."},
		{"GET", func(r *raw.Request) { r.Method = "GET" }, "405 MethodNotAllowedException"},
		{"DELETE", func(r *raw.Request) { r.Method = "DELETE" }, "405 MethodNotAllowedException"},
		{"another path", func(r *raw.Request) { r.Path = "/v1/sys/seal" }, "404 ResourceNotFoundException"},
		{"a path around a corner", func(r *raw.Request) { r.Path = "/../" }, "404 ResourceNotFoundException"},
		{"an unknown operation", func(r *raw.Request) { r.Target = "Destroy" }, "400 UnknownOperationException"},
		{"an operation in another case", func(r *raw.Request) { r.Target = "createKey" }, "400 UnknownOperationException"},
		{"another service's target", func(r *raw.Request) { r.Target = "DynamoDB_20120810.ListTables" }, "400 UnknownOperationException"},
		{"no target", func(r *raw.Request) { r.Header["X-Amz-Target"] = "" }, "400 UnknownOperationException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			r := b.request("CreateKey", `{"Description":"ours"}`)
			r.Header = make(map[string]string)
			c.bend(&r)
			a := b.send(r)
			if !strings.HasPrefix(a.String(), c.want) {
				t.Errorf("got  %.300s\nwant %s", a, c.want)
			}
			if a.Header.Get("X-Amzn-Requestid") == "" || a.Header.Get("Date") == "" {
				t.Errorf("an answer without a request id or a date: %v", a.Header)
			}
		})
	}
	b.t = t
	if after := b.state(); after != before {
		t.Errorf("something has changed:\n%s\n%s", before, after)
	}
}

// TestHostileStreams sends bytes that are hardly HTTP.
func TestHostileStreams(t *testing.T) {
	b := newBench(t)
	before := b.state()
	whole, err := b.request("CreateKey", `{"Description":"twice"}`).Bytes(b.host())
	if err != nil {
		t.Fatal(err)
	}
	header, body, _ := bytes.Cut(whole, []byte("\r\n\r\n"))
	with := func(line string) string { return string(header) + "\r\n" + line + "\r\n\r\n" }
	for _, c := range []struct{ name, text, want string }{
		{"noise", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", "400 BadRequestException"},
		{"HTTP/2 without asking", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400 BadRequestException"},
		{"HTTP/0.9", "GET /\r\n\r\n", "400 BadRequestException"},
		{"a length that is none", strings.Replace(string(whole), "Content-Length: 23", "Content-Length: -1", 1), "400 BadRequestException"},
		{"two lengths", with("Content-Length: 5") + string(body), "400 BadRequestException"},
		{"a length and chunks", with("Transfer-Encoding: chunked") + "0\r\n\r\n", "400 "},
		{"no host", "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "400 BadRequestException"},
		{"two hosts", with("Host: elsewhere") + string(body), "400 BadRequestException"},
		{"a space before a colon", with("X-Amz-Target : TrentService.ListKeys") + string(body), "400 BadRequestException"},
		{"two targets", with("X-Amz-Target: TrentService.ListKeys") + string(body), "400 InvalidSignatureException An x-amz-* header may be there only once."},
		{"a NUL in a header", with("X-A: b\x00c") + string(body), "400 BadRequestException"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := raw.Send(b.host(), []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(a.String(), c.want) {
				t.Errorf("got %s, want %s", a, c.want)
			}
		})
	}
	t.Run("a body that is cut off", func(t *testing.T) {
		c, err := net.Dial("tcp", b.host())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(whole[:len(whole)-1]); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		a, err := raw.Read(c)
		if err != nil || a.Code() != "SerializationException" {
			t.Errorf("%s, %v", a, err)
		}
	})
	if after := b.state(); after != before {
		t.Errorf("something has changed:\n%s\n%s", before, after)
	}
}

// TestHostileCiphertexts alters a ciphertext in every byte, and in length.
func TestHostileCiphertexts(t *testing.T) {
	b := newBench(t)
	decrypt := func(blob []byte, context, keyID string) raw.Answer {
		m := map[string]any{"CiphertextBlob": blob}
		if context != "" {
			m["EncryptionContext"] = map[string]string{"tenant": context}
		}
		if keyID != "" {
			m["KeyId"] = keyID
		}
		body, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b.send(b.request("Decrypt", string(body)))
	}
	if a := decrypt(b.blob, "blue", ""); a.Status != 200 {
		t.Fatal(a)
	}
	refused := func(a raw.Answer) bool {
		s := a.String()
		return s == "400 InvalidCiphertextException" ||
			// Of a blob whose key is not there: as if it were another account's.
			s == "400 AccessDeniedException The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."
	}
	for i := range b.blob {
		for _, mask := range []byte{1, 0x80} {
			bent := bytes.Clone(b.blob)
			bent[i] ^= mask
			if a := decrypt(bent, "blue", ""); !refused(a) {
				t.Errorf("byte %d altered: %s", i, a)
			}
			if a := decrypt(bent, "blue", b.id); a.String() != "400 InvalidCiphertextException" {
				t.Errorf("byte %d altered, key named: %s", i, a)
			}
		}
	}
	for n := 1; n < len(b.blob); n++ {
		if a := decrypt(b.blob[:n], "blue", b.id); a.String() != "400 InvalidCiphertextException" {
			t.Errorf("cut to %d bytes: %s", n, a)
		}
	}
	if a := decrypt(append(bytes.Clone(b.blob), 0), "blue", b.id); a.String() != "400 InvalidCiphertextException" {
		t.Errorf("longer by a byte: %s", a)
	}
	for _, context := range []string{"", "bluE", "blu", "blue ", "green"} {
		if a := decrypt(b.blob, context, b.id); a.String() != "400 InvalidCiphertextException" {
			t.Errorf("context %q: %s", context, a)
		}
	}
	for _, length := range []int{1, 32, 6144} {
		if a := decrypt(make([]byte, length), "", ""); !refused(a) {
			t.Errorf("%d zeros: %s", length, a)
		}
	}
	if a := decrypt(make([]byte, 6145), "", ""); a.String() != "400 ValidationException 1 validation error detected: Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length less than or equal to 6144" {
		t.Errorf("6145 bytes: %s", a)
	}

	other := newBench(t)
	if a := decrypt(other.blob, "blue", ""); a.Code() != "AccessDeniedException" && a.Code() != "InvalidCiphertextException" {
		t.Errorf("another server's, no key named: %s", a)
	}
	if a := decrypt(other.blob, "blue", b.id); a.String() != "400 InvalidCiphertextException" {
		t.Errorf("another server's, key named: %s", a)
	}
}

// TestHostileMarkers alters a marker in every letter, and uses it elsewhere.
func TestHostileMarkers(t *testing.T) {
	b := newBench(t, trenttest.WithUser("999988887777", "stranger", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:*","Resource":"*"}]}`))
	for range 3 {
		if _, err := b.c.CreateKey(t.Context(), &kms.CreateKeyInput{}); err != nil {
			t.Fatal(err)
		}
	}
	page, err := b.c.ListKeys(t.Context(), &kms.ListKeysInput{Limit: aws.Int32(1)})
	if err != nil || !page.Truncated {
		t.Fatal(page, err)
	}
	marker := aws.ToString(page.NextMarker)
	list := func(op, region, marker string) raw.Answer {
		r := b.request(op, fmt.Sprintf(`{"Limit":1,"Marker":%q}`, marker))
		r.Region = region
		return b.send(r)
	}
	if a := list("ListKeys", b.Region, marker); a.Status != 200 {
		t.Fatal(a)
	}
	const want = "400 InvalidMarkerException"
	for i := range marker {
		bent := []byte(marker)
		if bent[i]++; marker[i] == 'z' {
			bent[i] = 'A'
		}
		if a := list("ListKeys", b.Region, string(bent)); a.String() != want {
			t.Errorf("letter %d altered: %s", i, a)
		}
	}
	for _, m := range []string{"x", "1", marker + "A", marker[:len(marker)-1], marker + "=", strings.ToUpper(marker)} {
		if a := list("ListKeys", b.Region, m); a.String() != want {
			t.Errorf("%q: %s", m, a)
		}
	}
	if a := list("ListKeys", "eu-west-1", marker); a.String() != want {
		t.Errorf("in another Region: %s", a)
	}
	if a := list("ListAliases", b.Region, marker); a.String() != want {
		t.Errorf("on another list: %s", a)
	}
	_, err = b.ClientAs(t, "stranger").ListKeys(t.Context(), &kms.ListKeysInput{Marker: &marker})
	if err == nil || !strings.Contains(err.Error(), "InvalidMarkerException") {
		t.Errorf("in another account: %v", err)
	}
	if a := list("ListKeys", b.Region, strings.Repeat("a", 1025)); a.Code() != "ValidationException" {
		t.Errorf("of 1025 letters: %s", a)
	}
}

// TestReplay sends the same bytes again: at once it is the same call made twice,
// which SDKs that sign nothing unique do; later it is somebody else's.
func TestReplay(t *testing.T) {
	clock := newClock()
	b := newBench(t, trenttest.WithClock(clock.now))
	b.now = clock.now
	count := func() int { return strings.Count(b.state(), `"KeyArn"`) }
	r := b.request("CreateKey", `{"Description":"captured"}`)
	captured, err := r.Bytes(b.host())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if a, err := raw.Send(b.host(), captured); err != nil || a.Status != 200 {
			t.Fatalf("call %d: %s, %v", i, a, err)
		}
	}
	if got := count(); got != 3 {
		t.Errorf("%d keys after the same call twice within a second, want 3", got)
	}
	clock.advance(3 * time.Second)
	refused := func(when string) {
		t.Helper()
		a, err := raw.Send(b.host(), captured)
		if err != nil || a.Status != 400 || a.Code() != "InvalidSignatureException" {
			t.Errorf("sent again %s: %s, %v", when, a, err)
		}
		if got := count(); got != 3 {
			t.Errorf("%d keys after it was sent again %s, want 3", got, when)
		}
	}
	refused("after 3 s")
	b.Restart()
	refused("after 3 s and a restart")
	clock.advance(4 * time.Minute)
	refused("after 4 min")
	clock.advance(2 * time.Minute)
	refused("when it is too old anyway")
}

// clock stands still until it is advanced.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }
