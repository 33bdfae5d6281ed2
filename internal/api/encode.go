package api

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/secret"
)

// Generated code puts a comma after every member and item. These take the last
// one back.

func endObject(dst []byte) []byte { return end(dst, '}') }

func endList(dst []byte) []byte { return end(dst, ']') }

func end(dst []byte, bracket byte) []byte {
	if last := len(dst) - 1; dst[last] == ',' {
		dst[last] = bracket
		return dst
	}
	return append(dst, bracket)
}

func appendString[S ~string | ~[]byte](dst []byte, s S) []byte {
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

func appendInteger[N ~int | ~int64](dst []byte, n N) []byte {
	return strconv.AppendInt(dst, int64(n), 10)
}

func appendBoolean(dst []byte, b bool) []byte { return strconv.AppendBool(dst, b) }

// appendTimestamp writes seconds since 1970 with up to three decimals.
func appendTimestamp(dst []byte, t time.Time) []byte {
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

func appendBlob(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

func appendSecretBlob(dst []byte, s secret.Bytes) []byte { return appendBlob(dst, s.Expose()) }

func appendSecretString(dst []byte, s secret.Bytes) []byte { return appendString(dst, s.Expose()) }

func appendStrings[S ~string](dst []byte, list []S) []byte {
	dst = append(dst, '[')
	for _, s := range list {
		dst = append(appendString(dst, s), ',')
	}
	return endList(dst)
}

// appendStringMap sorts the keys, so that equal maps print equally.
func appendStringMap(dst []byte, m map[string]string) []byte {
	dst = append(dst, '{')
	for _, key := range slices.Sorted(maps.Keys(m)) {
		dst = append(appendString(dst, key), ':')
		dst = append(appendString(dst, m[key]), ',')
	}
	return endObject(dst)
}
