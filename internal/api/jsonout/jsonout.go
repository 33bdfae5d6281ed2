// Package jsonout appends JSON: what generated code puts answers together from,
// and what of a request goes into the audit record.
package jsonout

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/secret"
)

// Generated code puts a comma after every member and item. EndObject and
// EndList take the last one back.

// EndObject closes an object.
func EndObject(dst []byte) []byte { return end(dst, '}') }

// EndList closes a list.
func EndList(dst []byte) []byte { return end(dst, ']') }

func end(dst []byte, bracket byte) []byte {
	if last := len(dst) - 1; dst[last] == ',' {
		dst[last] = bracket
		return dst
	}
	return append(dst, bracket)
}

// String appends a string.
func String[S ~string | ~[]byte](dst []byte, s S) []byte {
	if !plain(s) {
		dst, _ = jsontext.AppendQuote(dst, s) // mends bad UTF-8
		return dst
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// plain reports whether s stands in JSON as it is.
func plain[S ~string | ~[]byte](s S) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// Integer appends a whole number.
func Integer[N ~int | ~int64](dst []byte, n N) []byte {
	return strconv.AppendInt(dst, int64(n), 10)
}

// Boolean appends true or false.
func Boolean(dst []byte, b bool) []byte { return strconv.AppendBool(dst, b) }

// Timestamp writes seconds since 1970 with up to three decimals.
func Timestamp(dst []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms < 0 {
		dst, ms = append(dst, '-'), -ms
	}
	dst = strconv.AppendInt(dst, ms/1000, 10)
	fraction := ms % 1000
	if fraction == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := int64(100); fraction > 0; unit /= 10 {
		dst = append(dst, '0'+byte(fraction/unit))
		fraction %= unit
	}
	return dst
}

// Blob appends bytes in base64.
func Blob(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// SecretBlob appends secret bytes in base64.
func SecretBlob(dst []byte, s secret.Bytes) []byte { return Blob(dst, s.Expose()) }

// SecretString appends a secret text.
func SecretString(dst []byte, s secret.Bytes) []byte { return String(dst, s.Expose()) }

// Strings appends a list of strings.
func Strings[S ~string](dst []byte, list []S) []byte {
	dst = append(dst, '[')
	for _, s := range list {
		dst = append(String(dst, s), ',')
	}
	return EndList(dst)
}

// StringMap sorts the keys, so that equal maps print equally.
func StringMap(dst []byte, m map[string]string) []byte {
	dst = append(dst, '{')
	for _, key := range slices.Sorted(maps.Keys(m)) {
		dst = append(String(dst, key), ':')
		dst = append(String(dst, m[key]), ',')
	}
	return EndObject(dst)
}
