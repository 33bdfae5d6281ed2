package httpd

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// head is the start of a well-formed request of the API.
const head = "POST / HTTP/1.1\r\nHost: kms.test\r\nX-Amz-Target: TrentService.GenerateRandom\r\n"

// malformed are requests that are not served, with what they are answered.
var malformed = []struct {
	name, raw string
	status    int
	code      string
}{
	{"noise", "\x16\x03\x01\x00\xa5\x01\r\n\r\n", 400, "BadRequestException"},
	{"HTTP/0.9", "GET /\r\n\r\n", 400, "BadRequestException"},
	{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "BadRequestException"},
	{"HTTP/3.0", "POST / HTTP/3.0\r\nHost: a\r\n\r\n", 400, "BadRequestException"},
	{"no host", "POST / HTTP/1.1\r\n\r\n", 400, "BadRequestException"},
	{"no host, HTTP/1.0", "POST / HTTP/1.0\r\n\r\n", 400, "BadRequestException"},
	{"two hosts", "POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "BadRequestException"},
	{"control character in host", "POST / HTTP/1.1\r\nHost: a\x01b\r\n\r\n", 400, "BadRequestException"},
	{"NUL in a value", head + "X-A: a\x00b\r\n\r\n", 400, "BadRequestException"},
	{"bare CR in a value", head + "X-A: a\rX-Amz-Target: b\r\n\r\n", 400, "BadRequestException"},
	{"DEL in a value", head + "X-A: a\x7f\r\n\r\n", 400, "BadRequestException"},
	{"NUL in a name", head + "X\x00A: a\r\n\r\n", 400, "BadRequestException"},
	{"blank before the colon", head + "Content-Length : 5\r\n\r\n{\"A\":", 400, "BadRequestException"},
	{"blank before the colon of chunked", head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "BadRequestException"},
	{"tab before the colon", head + "Content-Length\t: 5\r\n\r\n12345", 400, "BadRequestException"},
	{"no colon", head + "Content-Length\r\n\r\n", 400, "BadRequestException"},
	{"folded first header", "POST / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "BadRequestException"},
	{"two lengths", head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, "BadRequestException"},
	{"two lengths in one", head + "Content-Length: 2, 2\r\n\r\n{}", 400, "BadRequestException"},
	{"signed length", head + "Content-Length: +2\r\n\r\n{}", 400, "BadRequestException"},
	{"negative length", head + "Content-Length: -2\r\n\r\n{}", 400, "BadRequestException"},
	{"hexadecimal length", head + "Content-Length: 0x2\r\n\r\n{}", 400, "BadRequestException"},
	{"overflowing length", head + "Content-Length: 18446744073709551618\r\n\r\n{}", 400, "BadRequestException"},
	{"length beside bad coding", head + "Content-Length: 2\r\nTransfer-Encoding: gzip\r\n\r\n{}", 400, "BadRequestException"},
	{"coding twice", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "BadRequestException"},
	{"coding in a list", head + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, "BadRequestException"},
	{"coding with a vertical tab", head + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, "BadRequestException"},
	{"bad chunk size", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n", 400, "SerializationException"},
	{"overflowing chunk size", head + "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n", 400, "SerializationException"},
	{"bare LF after a chunk size", head + "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", 400, "SerializationException"},
	{"trailer of junk", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\njunk\r\n\r\n", 400, "SerializationException"},
	{"absolute form", "POST http://other.test/ HTTP/1.1\r\nHost: kms.test\r\n\r\n", 404, "ResourceNotFoundException"},
	{"asterisk form", "OPTIONS * HTTP/1.1\r\nHost: kms.test\r\n\r\n", 404, "ResourceNotFoundException"},
	{"double slash", "POST // HTTP/1.1\r\nHost: kms.test\r\n\r\n", 404, "ResourceNotFoundException"},
	{"dot segment", "POST /x/.. HTTP/1.1\r\nHost: kms.test\r\n\r\n", 404, "ResourceNotFoundException"},
	{"encoded slash", "POST /%2f HTTP/1.1\r\nHost: kms.test\r\n\r\n", 404, "ResourceNotFoundException"},
	{"fragment", "POST /# HTTP/1.1\r\nHost: kms.test\r\n\r\n", 404, "ResourceNotFoundException"},
	{"probe by POST", "POST /health HTTP/1.1\r\nHost: kms.test\r\n\r\n", 404, "ResourceNotFoundException"},
	{"probe with a query", "GET /health?x HTTP/1.1\r\nHost: kms.test\r\n\r\n", 404, "ResourceNotFoundException"},
	{"CONNECT", "CONNECT kms.test:443 HTTP/1.1\r\nHost: kms.test:443\r\n\r\n", 404, "ResourceNotFoundException"},
	{"CONNECT to the path", "CONNECT / HTTP/1.1\r\nHost: kms.test\r\n\r\n", 405, "MethodNotAllowedException"},
	{"GET", "GET / HTTP/1.1\r\nHost: kms.test\r\n\r\n", 405, "MethodNotAllowedException"},
	{"HEAD", "HEAD / HTTP/1.1\r\nHost: kms.test\r\n\r\n", 405, ""},
	{"TRACE", "TRACE / HTTP/1.1\r\nHost: kms.test\r\n\r\n", 405, "MethodNotAllowedException"},
	{"method in lower case", "post / HTTP/1.1\r\nHost: kms.test\r\n\r\n", 405, "MethodNotAllowedException"},
	{"method with a bracket", "PO(ST / HTTP/1.1\r\nHost: kms.test\r\n\r\n", 400, "BadRequestException"},
	{"encoded body", head + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 400, "SerializationException"},
	{"huge body", head + "Content-Length: 524289\r\n\r\n", 413, "RequestEntityTooLargeException"},
	{"huge body, offered", head + "Expect: 100-continue\r\nContent-Length: 524289\r\n\r\n", 413, "RequestEntityTooLargeException"},
	{"huge header", head + "X-A: " + strings.Repeat("a", maxHeader) + "\r\n\r\n", 431, "RequestHeaderFieldsTooLargeException"},
	{"header without end", head + strings.Repeat("X: a\r\n", maxHeader/6+1), 431, "RequestHeaderFieldsTooLargeException"},
	{"huge target", "POST /" + strings.Repeat("a", maxHeader) + " HTTP/1.1\r\nHost: a\r\n\r\n", 431, "RequestHeaderFieldsTooLargeException"},
}

// Every malformed request is answered in the API's own form, is written down
// exactly once, and is the last of its connection: what follows it is not taken
// for a request.
func TestSEC_A07_MalformedRequests(t *testing.T) {
	d := open(t, nil)
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			p := d.dial()
			p.t = t
			method, _, _ := strings.Cut(c.raw, " ")
			before := len(d.paper.all())
			a := p.send(c.raw + goodRequest(t)).answer(method)
			checkAnswer(t, a, c.status, c.code, method)
			if !a.Close {
				t.Error("the answer does not say that the connection ends")
			}
			p.gone()
			if all := d.paper.all(); len(all) != before+1 {
				t.Fatalf("%d audit lines instead of one: %q", len(all)-before, all[before:])
			}
			if r := d.paper.of(a.id()); len(r) != 1 || r[0].Status != c.status || c.code != "" && r[0].Error != c.code {
				t.Errorf("audit record %+v", r)
			}
		})
	}
	d.dial().works()
}

func checkAnswer(t *testing.T, a answer, status int, code, method string) {
	t.Helper()
	if a.StatusCode != status || a.code() != code {
		t.Errorf("got %d %s %q, want %d %s", a.StatusCode, a.code(), a.body, status, code)
	}
	if len(a.id()) != 36 || a.Header.Get("Date") == "" {
		t.Errorf("headers %v", a.Header)
	}
	if (status == 405) != (a.Header.Get("Allow") == "POST") {
		t.Errorf("Allow: %q with %d", a.Header.Get("Allow"), status)
	}
	if method == "HEAD" {
		if a.body != "" {
			t.Errorf("HEAD got a body: %q", a.body)
		}
		return
	}
	if !json.Valid([]byte(a.body)) || a.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		t.Errorf("no error envelope: %q of type %q", a.body, a.Header.Get("Content-Type"))
	}
}

// A request may have both a length and chunks only where net/http takes the
// chunks; whatever a proxy in front took it for, nothing may follow it.
func TestSEC_A07_ChunkedIsTheLastOfItsConnection(t *testing.T) {
	for _, extra := range []string{"", "Content-Length: 3\r\n", "Trailer: X-Amz-Target\r\n"} {
		t.Run(fmt.Sprintf("%q", extra), func(t *testing.T) {
			d := open(t, nil)
			p := d.dial()
			trailer := ""
			if strings.HasPrefix(extra, "Trailer") {
				trailer = "X-Amz-Target: TrentService.ListKeys\r\n"
			}
			a := p.send(head + extra + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + trailer + "\r\n" + goodRequest(t)).answer("POST")
			if a.StatusCode != 400 || a.code() != "MissingAuthenticationTokenException" {
				t.Errorf("%d %s", a.StatusCode, a.body)
			}
			p.gone()
			r := d.paper.of(a.id())
			if len(d.paper.all()) != 1 || len(r) != 1 || r[0].Operation != "GenerateRandom" {
				t.Errorf("audit: %q", d.paper.all())
			}
		})
	}
}

// Requests that are refused for what they say, and not for how, leave the
// connection whole; requests that arrive together are answered in their order.
func TestPipelinedRequests(t *testing.T) {
	d := open(t, nil)
	p := d.dial()
	good, bad := goodRequest(t), head+"Content-Length: 2\r\n\r\n{}"
	folded := strings.Replace(bad, "Host", "X-Folded: a\r\n b\r\nHost", 1)
	p.send("\r\n" + good + bad + "\r\n\r\n" + folded + strings.ReplaceAll(bad, "\r\n", "\n") + good)
	ids := make(map[string]bool)
	for i, status := range []int{200, 400, 400, 400, 200} {
		a := p.answer("POST")
		if a.StatusCode != status || a.Close {
			t.Fatalf("answer %d: %d %s", i, a.StatusCode, a.body)
		}
		if len(d.paper.of(a.id())) != 1 {
			t.Errorf("answer %d is not written down once", i)
		}
		ids[a.id()] = true
	}
	if len(ids) != 5 || len(d.paper.all()) != 5 {
		t.Errorf("%d ids and %d lines for 5 requests", len(ids), len(d.paper.all()))
	}
	p.works()
}

func TestConnectionEndsWhereTheClientSaysSo(t *testing.T) {
	for name, change := range map[string][2]string{
		"Connection: close":    {"\r\nHost", "\r\nConnection: close\r\nHost"},
		"HTTP/1.0":             {"HTTP/1.1", "HTTP/1.0"},
		"HTTP/1.0 kept alive":  {"HTTP/1.1\r\n", "HTTP/1.0\r\nConnection: keep-alive\r\n"},
		"HTTP/1.0 with chunks": {"HTTP/1.1\r\n", "HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, nil)
			p := d.dial()
			p.t = t
			a := p.send(strings.Replace(goodRequest(t), change[0], change[1], 1)).answer("POST")
			if a.StatusCode != 200 || !a.Close {
				t.Errorf("%d %s %v", a.StatusCode, a.body, a.Close)
			}
			p.gone()
		})
	}
}

// Probes are answered without a signature and leave no trace in the audit.
func TestProbes(t *testing.T) {
	ready := error(nil)
	d := open(t, func(o *Options, _ *paper) { o.Ready = func() error { return ready } })
	p := d.dial()
	for _, method := range []string{"GET", "HEAD"} {
		for _, path := range []string{"/health", "/ready"} {
			a := p.send(method + " " + path + " HTTP/1.1\r\nHost: a\r\n\r\n").answer(method)
			if a.StatusCode != 200 || a.Close || (a.body == "ok\n") != (method == "GET") {
				t.Errorf("%s %s: %d %q", method, path, a.StatusCode, a.body)
			}
		}
	}
	p.works()
	a := p.send("GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n").answer("GET")
	if a.StatusCode != 200 || !a.Close {
		t.Errorf("a probe with a body: %d, close %v", a.StatusCode, a.Close)
	}
	p.gone()
	ready = fmt.Errorf("the disk of /var/lib/secret is full")
	a = d.dial().send("GET /ready HTTP/1.1\r\nHost: a\r\n\r\n").answer("GET")
	if a.StatusCode != 503 || a.body != "not ready\n" {
		t.Errorf("not ready: %d %q", a.StatusCode, a.body)
	}
	if n := len(d.paper.all()); n != 1 {
		t.Errorf("%d audit lines, want that of the one request", n)
	}
}

// Parsers quote what they choke on. Where a length is wrong, that is the rest of
// a body: it must show up nowhere.
func TestSEC_G01_NoPartOfABodyInAuditOrLog(t *testing.T) {
	const canary = "CANARY-5b1d"
	for name, raw := range map[string]string{
		"body after its length":  head + "Content-Length: 2\r\n\r\n{}" + canary + " is a secret\r\n\r\n",
		"body as a header":       head + canary + " no colon\r\n\r\n",
		"body as a length":       head + "Content-Length: " + canary + "\r\n\r\n",
		"body as a coding":       head + "Transfer-Encoding: " + canary + "\r\n\r\n",
		"body as a chunk size":   head + "Transfer-Encoding: chunked\r\n\r\n" + canary + "\r\n\r\n",
		"body as a trailer":      head + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + canary + "\r\n\r\n",
		"body in a bad document": head + "Content-Length: 30\r\n\r\n{\"Plaintext\":\"" + canary + "\"}}}}}",
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t, nil)
			p := d.dial()
			p.t = t
			p.send(raw)
			_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
			a := p.answer("POST")
			d.await("the end", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(d.conns) == 0 })
			all := strings.Join(d.paper.all(), "") + d.log.String() + a.body
			if strings.Contains(all, canary) {
				t.Errorf("a part of the body is in %s", all)
			}
		})
	}
}
