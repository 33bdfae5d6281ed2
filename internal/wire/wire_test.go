package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/secret"
	"trent/internal/sigv4"
	"trent/internal/wire"
)

var awsJSON wire.JSON

// The envelope of every kind of refusal, to the byte (contract, 5.2).
func TestErrorEnvelope(t *testing.T) {
	for _, c := range []struct {
		code    fault.Code
		message string
		body    string
		status  int
	}{
		{api.NotFoundException, "Key 'x' does not exist", `{"__type":"NotFoundException","message":"Key 'x' does not exist"}`, 400},
		{api.ValidationException, "1 \"x\"\n", `{"__type":"ValidationException","message":"1 \"x\"\n"}`, 400},
		{api.ThrottlingException, "Rate exceeded", `{"__type":"ThrottlingException","message":"Rate exceeded"}`, 400},
		{sigv4.UnrecognizedClient, "m", `{"__type":"UnrecognizedClientException","message":"m"}`, 400},
		{sigv4.InvalidSignature, "m", `{"__type":"InvalidSignatureException","message":"m"}`, 400},
		{api.AccessDeniedException, "User: ä", `{"__type":"AccessDeniedException","Message":"User: ä"}`, 400},
		{api.AccessDeniedException, "", `{"__type":"AccessDeniedException"}`, 400},
		{api.InvalidCiphertextException, "", `{"__type":"InvalidCiphertextException"}`, 400},
		{api.KMSInvalidSignatureException, "", `{"__type":"KMSInvalidSignatureException"}`, 400},
		{api.KMSInvalidMacException, "", `{"__type":"KMSInvalidMacException"}`, 400},
		{api.UnknownOperationException, "", `{"__type":"UnknownOperationException"}`, 400},
		{fault.Internal, "", `{"__type":"KMSInternalException"}`, 500},
		{api.DependencyTimeoutException, "m", `{"__type":"DependencyTimeoutException","message":"m"}`, 500},
		{api.KeyUnavailableException, "m", `{"__type":"KeyUnavailableException","message":"m"}`, 500},
		{wire.BadRequest, "m", `{"__type":"BadRequestException","message":"m"}`, 400},
		{wire.TooLarge, "m", `{"__type":"RequestEntityTooLargeException","message":"m"}`, 413},
		{wire.HeaderTooLarge, "m", `{"__type":"RequestHeaderFieldsTooLargeException","message":"m"}`, 431},
		{wire.MethodNotAllowed, "m", `{"__type":"MethodNotAllowedException","message":"m"}`, 405},
		{wire.NoSuchPath, "m", `{"__type":"ResourceNotFoundException","message":"m"}`, 404},
		{wire.RequestTimeout, "m", `{"__type":"RequestTimeoutException","message":"m"}`, 408},
		{wire.Unavailable, "m", `{"__type":"ServiceUnavailableException","message":"m"}`, 503},
		{api.NotFoundException, "\xff\x00", `{"__type":"NotFoundException","message":"` + "\ufffd" + `\u0000"}`, 400},
	} {
		body, status := awsJSON.EncodeFault([]byte("before "), fault.New(c.code, c.message), "")
		if string(body) != "before "+c.body || status != c.status {
			t.Errorf("got %d %s, want %d %s", status, body, c.status, c.body)
		}
	}
}

// The cause is for the log. It never goes out.
func TestSEC_G02_CauseStaysInside(t *testing.T) {
	f := fault.From(json.Unmarshal([]byte(`{"CANARY`), new(any)))
	for _, f := range []*fault.Error{f, f.Because(f), fault.New(api.NotFoundException, "").Because(f)} {
		if body, _ := awsJSON.EncodeFault(nil, f, ""); strings.Contains(string(body), "JSON") || strings.Contains(string(body), "essage") {
			t.Errorf("%s", body)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		body string
		code fault.Code // empty: accepted
		key  string
	}{
		{"", "", ""},
		{"{}", "", ""},
		{" { } ", "", ""},
		{`{"KeyId":"a"}`, "", "a"},
		{`{"KeyId":"a","Other":[{}]}`, "", "a"},
		{`{"keyid":"a"}`, "", ""},
		{`{"KeyId":null}`, "", ""},
		{" ", api.SerializationException, ""},
		{"null", api.SerializationException, ""},
		{"[]", api.SerializationException, ""},
		{`{"KeyId":"a","KeyId":"b"}`, api.SerializationException, ""},
		{`{"KeyId":"a"}{}`, api.SerializationException, ""},
		{`{"KeyId":"a"}` + "\x00", api.SerializationException, ""},
		{"\xef\xbb\xbf{}", api.SerializationException, ""},
		{`{"KeyId":"` + "\xff" + `"}`, api.SerializationException, ""},
		{`{"KeyId":1}`, api.SerializationException, ""},
		{`{"X":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, api.SerializationException, ""},
		{`{"X":[` + strings.Repeat("1,", 5000) + `1]}`, api.SerializationException, ""},
	} {
		in := new(api.DescribeKeyInput)
		err := awsJSON.Decode([]byte(c.body), in)
		if c.code == "" && (err != nil || in.KeyId != c.key) || c.code != "" && !fault.Is(err, c.code) {
			t.Errorf("%.60q: %v, KeyId %q", c.body, err, in.KeyId)
		}
	}
}

// What Decode returns is its own: the buffer is wiped and used again.
func TestSEC_G07_DecodeKeepsNoPartOfTheBody(t *testing.T) {
	body := []byte(`{"KeyId":"key","Plaintext":"aGVsbG8=","EncryptionContext":{"name":"value"},"GrantTokens":["token"]}`)
	in := new(api.EncryptInput)
	if err := awsJSON.Decode(body, in); err != nil {
		t.Fatal(err)
	}
	clear(body)
	if in.KeyId != "key" || string(in.Plaintext.Expose()) != "hello" || in.EncryptionContext["name"] != "value" || in.GrantTokens[0] != "token" {
		t.Errorf("wiped along with the body: %+v", in)
	}
}

func TestEncode(t *testing.T) {
	if got := awsJSON.Encode([]byte("x"), nil, nil, ""); string(got) != "x" {
		t.Errorf("an action without output answers %q", got[1:])
	}
	if got := awsJSON.Encode([]byte("x"), nil, &api.GenerateRandomOutput{Plaintext: secret.New([]byte("hello"))}, ""); string(got) != `x{"Plaintext":"aGVsbG8="}` {
		t.Errorf("%q", got)
	}
}

func FuzzEncodeFault(f *testing.F) {
	f.Add("plain", true)
	f.Add("\xff\xc0\x80\xed\xa0\x80", false)
	f.Add("\x00\x1f\x7f\"\\</script>\u2028", true)
	f.Fuzz(func(t *testing.T, message string, denied bool) {
		code, name := api.NotFoundException, "message"
		if denied {
			code, name = api.AccessDeniedException, "Message"
		}
		body, _ := awsJSON.EncodeFault(nil, fault.New(code, message), "")
		var back map[string]string
		if err := json.Unmarshal(body, &back); err != nil || !utf8.Valid(body) {
			t.Fatalf("%v: %q", err, body)
		}
		got, there := back[name]
		if back["__type"] != string(code) || there != (message != "") || got != string([]rune(message)) {
			t.Fatalf("%q became %q", message, body)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"KeyId":"a","EncryptionContext":{"b":"c"}}`))
	f.Add([]byte(`{"Plaintext":"!!"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		err := awsJSON.Decode(body, new(api.EncryptInput))
		if err == nil && len(body) > 0 && !json.Valid(body) {
			t.Fatalf("accepted: %q", body)
		}
		if _, ours := err.(*fault.Error); err != nil && !ours { //nolint:errorlint // anything else would be answered as our own failure
			t.Fatalf("not a refusal: %v", err)
		}
	})
}

func BenchmarkEncodeFault(b *testing.B) {
	fl, buf := fault.New(api.NotFoundException, "Key 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab' does not exist"), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		awsJSON.EncodeFault(buf[:0], fl, "")
	}
}

func BenchmarkDecode(b *testing.B) {
	body := []byte(`{"KeyId":"1234abcd-12ab-34cd-56ef-1234567890ab","Plaintext":"aGVsbG8gd29ybGQ=","EncryptionContext":{"tenant":"42"}}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := awsJSON.Decode(body, new(api.EncryptInput)); err != nil {
			b.Fatal(err)
		}
	}
}
