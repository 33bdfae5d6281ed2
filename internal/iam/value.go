package iam

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Context supplies the values of condition keys. It is asked only for keys
// that a policy names, and must give the same answer each time.
type Context interface {
	Value(k Key) Value
}

// A Key is a condition key in lower case, since keys have no case. Sub is what
// follows where part of the request is in the key's name: aws:RequestTag/Team
// is {"aws:requesttag", "team"}, kms:EncryptionContext:App is
// {"kms:encryptioncontext", "app"}. In general, Sub begins after the next
// colon or slash behind service:word.
//
// The keys of an identity provider are its URL without https://, a colon and a claim, such
// as oidc.example.com:8443/id/ab:sub. They are all Name.
type Key struct{ Name, Sub string }

// NewKey folds and splits a key as documents write it. It reports false for
// what is none: without a service or a word, with an empty Sub, or with a
// control character.
func NewKey(written string) (Key, bool) {
	folded := Fold(written)
	service, rest, ok := strings.Cut(folded, ":")
	if !ok || service == "" || !utf8.ValidString(written) || strings.ContainsFunc(written, isControl) {
		return Key{}, false
	}
	if ofProvider(service, rest) {
		claim := folded[strings.LastIndexByte(folded, ':')+1:]
		return Key{Name: folded}, claim != "" && !strings.Contains(claim, "/")
	}
	word, sub := rest, ""
	if i := strings.IndexAny(rest, ":/"); i >= 0 {
		word, sub = rest[:i], rest[i+1:]
		ok = sub != ""
	}
	return Key{folded[:len(service)+1+len(word)], sub}, ok && word != ""
}

// ofProvider tells the URL of an identity provider from the name of a service: it has a
// dot or a path before the first colon, or a port behind it.
func ofProvider(service, rest string) bool {
	return strings.ContainsAny(service, "./") || rest != "" && rest[0] >= '0' && rest[0] <= '9'
}

// Fold is the lower case in which keys are compared. Whoever looks for a Sub
// among the names of tags or of an encryption context folds them with it.
func Fold(name string) string { return strings.ToLower(name) }

// FoldsTo reports whether Fold(name) is folded, and makes no copy of a name in ASCII.
func FoldsTo(name, folded string) bool {
	if len(name) != len(folded) {
		return Fold(name) == folded
	}
	for i := range len(name) {
		c := name[i]
		if c >= utf8.RuneSelf {
			return Fold(name) == folded
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != folded[i] {
			return false
		}
	}
	return true
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// A Value is what a request has for a condition key. The zero Value is that of
// an absent key.
type Value struct {
	form  form
	steps int   // that it took to find it
	point point // number, moment; of a flag, 1 for true
	text  string
	list  []string
	addr  netip.Addr
}

type form uint8

const (
	absent form = iota
	text
	texts
	flag
	number
	moment
	addr
)

// Text is a string. The empty string is a value, not an absent key.
func Text(s string) Value { return Value{form: text, text: s} }

// Texts is a set of strings, as multivalued keys have. Of an empty list the
// key is absent. The list must not be changed any more.
func Texts(list []string) Value {
	if len(list) == 0 {
		return Value{}
	}
	return Value{form: texts, list: list}
}

// Flag is a boolean.
func Flag(b bool) Value {
	v := Value{form: flag}
	if b {
		v.point.whole = 1
	}
	return v
}

// Number is an integer.
func Number(n int64) Value { return Value{form: number, point: point{whole: n}} }

// Moment is an instant.
func Moment(t time.Time) Value {
	return Value{form: moment, point: point{t.Unix(), int32(t.Nanosecond())}}
}

// Addr is an IP address. An IPv4 address in IPv6 form is the IPv4 address. Of
// the zero Addr the key is absent.
func Addr(a netip.Addr) Value {
	if !a.IsValid() {
		return Value{}
	}
	return Value{form: addr, addr: a.Unmap()}
}

// After is the value with the steps that it took to find it, which the evaluation pays
// for: a key that is looked for among a thousand pairs, once for each of a
// thousand conditions, is work that no comparison shows.
func (v Value) After(steps int) Value {
	v.steps = steps
	return v
}

// len is how many values there are.
func (v *Value) len() int {
	switch v.form {
	case absent:
		return 0
	case texts:
		return len(v.list)
	}
	return 1
}

// at is the i-th of them.
func (v *Value) at(i int) Value {
	if v.form == texts {
		return Text(v.list[i])
	}
	return *v
}

// null reports whether there is nothing there: no value, or none but the empty
// string ("a null data set, such as an empty string").
func (v *Value) null() bool {
	for i := range v.len() {
		if one := v.at(i); one.form != text || one.text != "" {
			return false
		}
	}
	return true
}

// The readers below read one value as an operator needs it, and report false
// where it cannot be read so.

// asText is the value as documents write it: true, 42, 2026-01-02T03:04:05Z, 192.0.2.1.
func (v *Value) asText() (string, bool) {
	switch v.form {
	case text:
		return v.text, true
	case flag:
		return strconv.FormatBool(v.point.whole == 1), true
	case number:
		return strconv.FormatInt(v.point.whole, 10), true
	case moment:
		return time.Unix(v.point.whole, 0).UTC().Format("2006-01-02T15:04:05Z"), true
	case addr:
		return v.addr.String(), true
	}
	return "", false
}

// asNumber takes an instant for its seconds since 1970: kms:ValidTo and
// aws:EpochTime are compared so.
func (v *Value) asNumber() (point, bool) {
	switch v.form {
	case number, moment:
		return v.point, true
	case text:
		return parseNumber(v.text)
	}
	return point{}, false
}

// asMoment takes a number for seconds since 1970.
func (v *Value) asMoment() (point, bool) {
	switch v.form {
	case number, moment:
		return v.point, true
	case text:
		return parseDate(v.text)
	}
	return point{}, false
}

func (v *Value) asFlag() (is, ok bool) {
	switch v.form {
	case flag:
		return v.point.whole == 1, true
	case text:
		return parseFlag(v.text)
	}
	return false, false
}

// asARN is the six components of an ARN.
func (v *Value) asARN() (parts [6]string, ok bool) {
	rest := v.text
	for i := range 5 {
		if parts[i], rest, ok = strings.Cut(rest, ":"); !ok {
			return parts, false
		}
	}
	parts[5] = rest
	return parts, v.form == text && parts[0] == "arn"
}

func (v *Value) asAddr() (netip.Addr, bool) {
	switch v.form {
	case addr:
		return v.addr, v.addr.Zone() == ""
	case text:
		a, err := netip.ParseAddr(v.text)
		return a.Unmap(), err == nil && a.Zone() == ""
	}
	return netip.Addr{}, false
}

// parseFlag takes true and false in any case.
func parseFlag(s string) (is, ok bool) {
	folded := strings.ToLower(s)
	return folded == "true", folded == "true" || folded == "false"
}
