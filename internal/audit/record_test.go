package audit

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.UTC)

// full has every member, each with what a peer would put there to break a line.
func full() *Record {
	return &Record{
		Time: noon, RequestID: "0e8ab30d-4e3b-4f6c-9c43-2e0e3a2f8d55", Source: "[fe80::1%eth0]:1", UserAgent: "a\"b\\c\td\x7f\xff\u2028é",
		Principal: "arn:aws:iam::111122223333:user/ä", Account: "111122223333", AccessKeyID: "AKIAIOSFODNN7EXAMPLE",
		Region: "us-east-1", Operation: "Encrypt", Mutates: true, DryRun: true, Resources: []string{"arn:a", "arn:\"b\n"},
		Params: []byte(`{"KeyId":"x"}`), Status: 400, ErrorCode: "ValidationException", ErrorText: "Value '\n{\"v\":1}\n'", Reason: "a\x00b",
		Took: 1500 * time.Microsecond,
	}
}

// Two records as they have to look for as long as v is 1.
func TestGoldenRecords(t *testing.T) {
	for want, r := range map[string]*Record{
		`{"v":1,"time":"2026-11-24T12:00:00.123456Z","requestId":"0e8ab30d-4e3b-4f6c-9c43-2e0e3a2f8d55","source":"[fe80::1%eth0]:1",` +
			`"userAgent":"a\"b\\c\td` + "\x7f\ufffd\u2028é" + `","principal":"arn:aws:iam::111122223333:user/ä","account":"111122223333",` +
			`"accessKeyId":"AKIAIOSFODNN7EXAMPLE","region":"us-east-1","operation":"Encrypt","mutates":true,"dryRun":true,` +
			`"resources":["arn:a","arn:\"b\n"],"params":{"KeyId":"x"},"status":400,"error":"ValidationException",` +
			`"errorMessage":"Value '\n{\"v\":1}\n'","reason":"a\u0000b","microseconds":1500}` + "\n": full(),
		`{"v":1,"time":"0001-01-01T00:00:00.000000Z","status":0,"microseconds":0}` + "\n": {},
	} {
		if got := string(r.Append(nil)); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

// Whatever a peer sends, a record is one line, is valid, and says what was sent.
func TestSEC_G01_OneLineOfValidJSON(t *testing.T) {
	anything := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		s := func(name string) string { return anything.Draw(t, name) }
		r := Record{
			Time: noon, RequestID: s("id"), Source: s("source"), UserAgent: s("agent"), Principal: s("principal"), Account: s("account"),
			AccessKeyID: s("key"), Region: s("region"), Operation: s("operation"), Resources: []string{s("resource"), s("other")},
			ErrorCode: s("code"), ErrorText: s("text"), Reason: s("reason"),
		}
		line := string(r.Append([]byte("x\n")))[2:]
		if strings.Count(line, "\n") != 1 || line[len(line)-1] != '\n' || !utf8.ValidString(line) {
			t.Fatalf("not one line of UTF-8: %q", line)
		}
		var back struct {
			RequestID, Source, UserAgent, Principal, Account, AccessKeyID, Region, Operation, Error, ErrorMessage, Reason string
			Resources                                                                                                     []string
		}
		if err := json.Unmarshal([]byte(line), &back); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		for _, c := range [][2]string{
			{r.RequestID, back.RequestID}, {r.Source, back.Source}, {r.UserAgent, back.UserAgent}, {r.Principal, back.Principal},
			{r.Account, back.Account}, {r.AccessKeyID, back.AccessKeyID}, {r.Region, back.Region}, {r.Operation, back.Operation},
			{r.ErrorCode, back.Error}, {r.ErrorText, back.ErrorMessage}, {r.Reason, back.Reason},
			{r.Resources[0], back.Resources[0]}, {r.Resources[1], back.Resources[1]},
		} {
			if valid := string([]rune(c[0])); c[1] != valid {
				t.Fatalf("%q became %q", c[0], c[1])
			}
		}
	})
}

// A stranger chooses the user agent: it must not be a way to fill the disk.
func TestSEC_G01_UserAgentIsCut(t *testing.T) {
	r := Record{UserAgent: strings.Repeat("é", 8<<10)}
	line := r.Append(nil)
	if len(line) > 1200 || !json.Valid(line) {
		t.Errorf("%d bytes: %.80q", len(line), line)
	}
}

func TestTimesAreAsFormatHasThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Of the years 0 to 9999, which is what RFC 3339 has.
		sec, nano := rapid.Int64Range(-62167219200, 253402300799).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds")
		zone := time.FixedZone("", rapid.IntRange(-14*3600, 14*3600).Draw(t, "zone"))
		at := time.Unix(sec, nano).In(zone)
		want := at.UTC().Format("2006-01-02T15:04:05.000000Z")
		if got := string(appendTime([]byte("x"), at)); got != "x"+want {
			t.Fatalf("%s, want %s", got, want)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add("curl/8", "text", "us-east-1")
	f.Add("\xff\xc3\x28", "\x00\x1f\u2029", "\"\\")
	f.Fuzz(func(t *testing.T, agent, text, region string) {
		line := (&Record{UserAgent: agent, ErrorText: text, Region: region, Time: noon}).Append(nil)
		if !json.Valid(line) || strings.Count(string(line), "\n") != 1 {
			t.Fatalf("%q", line)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	r := full()
	r.UserAgent, r.ErrorCode, r.ErrorText, r.Reason, r.Resources = "aws-sdk-go-v2/1.48.0 ua/2.1 os/linux lang/go#1.26.8", "", "", "", []string{"arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = r.Append(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}
