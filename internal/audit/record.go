// Package audit is the room that everyone passes: one record for each answered
// request, refused ones too, written before the answer leaves.
// docs/spec/audit-record.md has the format.
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// recordVersion is the first member of every line.
const recordVersion = 1

// maxUserAgent is how much is kept of a user agent, in bytes. A stranger chooses
// it, and could fill the disk with it.
const maxUserAgent = 1 << 10

// A Record is what is written down about one request. It holds what its fields
// say and nothing else of the request: no body, no plaintext, no ciphertext,
// no signature.
type Record struct {
	Time        time.Time // when the request was whole
	RequestID   string
	Source      string // address of the peer
	UserAgent   string
	Principal   string // ARN; empty where nobody was authenticated
	Account     string
	AccessKeyID string

	SourceIdentity string // of the session that signed
	IssuedKeyID    string // of the access key that the answer gave out

	Region    string
	Service   string // of the operation, if it is not KMS: iam or sts
	Operation string // as in X-Amz-Target, or in the Action of a form; empty where unknown
	Mutates   bool
	DryRun    bool
	Resources []string // ARNs of what was decided upon: keys, aliases, users, …
	Params    []byte   // a JSON object of the members that the action's entry names
	Recipient []byte   // a JSON object of what verified evidence says of where the caller runs
	Status    int      // of HTTP
	ErrorCode string   // empty: it succeeded
	ErrorText string   // as the caller got it
	Reason    string   // for the log's reader alone: the cause behind the error
	Took      time.Duration
}

// Append appends the record as one line of JSON.
func (r *Record) Append(dst []byte) []byte {
	dst = append(dst, `{"v":`...)
	dst = strconv.AppendInt(dst, recordVersion, 10)
	dst = append(dst, `,"time":"`...)
	dst = appendTime(dst, r.Time)
	dst = append(dst, '"')
	dst = member(dst, "requestId", r.RequestID)
	dst = member(dst, "source", r.Source)
	dst = member(dst, "userAgent", r.UserAgent[:min(len(r.UserAgent), maxUserAgent)])
	dst = member(dst, "principal", r.Principal)
	dst = member(dst, "account", r.Account)
	dst = member(dst, "accessKeyId", r.AccessKeyID)
	dst = member(dst, "sourceIdentity", r.SourceIdentity)
	dst = member(dst, "region", r.Region)
	dst = member(dst, "service", r.Service)
	dst = member(dst, "operation", r.Operation)
	if r.Mutates {
		dst = append(dst, `,"mutates":true`...)
	}
	if r.DryRun {
		dst = append(dst, `,"dryRun":true`...)
	}
	if len(r.Resources) > 0 {
		dst = append(dst, `,"resources":[`...)
		for i, name := range r.Resources {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = quote(dst, name)
		}
		dst = append(dst, ']')
	}
	dst = member(dst, "issuedKeyId", r.IssuedKeyID)
	if len(r.Params) > 0 {
		dst = append(dst, `,"params":`...)
		dst = append(dst, r.Params...)
	}
	if len(r.Recipient) > 0 {
		dst = append(dst, `,"recipient":`...)
		dst = append(dst, r.Recipient...)
	}
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = member(dst, "error", r.ErrorCode)
	dst = member(dst, "errorMessage", r.ErrorText)
	dst = member(dst, "reason", r.Reason)
	dst = append(dst, `,"microseconds":`...)
	dst = strconv.AppendInt(dst, r.Took.Microseconds(), 10)
	return append(dst, '}', '\n')
}

// appendTime appends a time in UTC to the microsecond, as RFC 3339 has it. It is
// what time.AppendFormat would do, at a fourth of the cost: it is done for every
// request.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = digits(dst, year, 4)
	dst = digits(append(dst, '-'), int(month), 2)
	dst = digits(append(dst, '-'), day, 2)
	dst = digits(append(dst, 'T'), hour, 2)
	dst = digits(append(dst, ':'), minute, 2)
	dst = digits(append(dst, ':'), second, 2)
	dst = digits(append(dst, '.'), t.Nanosecond()/1000, 6)
	return append(dst, 'Z')
}

// digits appends n with zeros in front, in so many digits.
func digits(dst []byte, n, width int) []byte {
	start := len(dst)
	dst = append(dst, "000000"[:width]...)
	for i := len(dst) - 1; i >= start; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

// member appends one string member, unless it is empty.
func member(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return quote(dst, value)
}

// quote appends a JSON string. Bytes that are no UTF-8, as a header may hold,
// become U+FFFD.
func quote(dst []byte, s string) []byte {
	if plain(s) {
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	// The only error is bad UTF-8, which AppendQuote has replaced by then.
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Digest is what a record has of a part of a request that is too large or too
// delicate for it: SHA-256, in hexadecimal digits.
func Digest(part []byte) string {
	sum := sha256.Sum256(part)
	return hex.EncodeToString(sum[:])
}
