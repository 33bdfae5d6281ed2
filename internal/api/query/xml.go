package query

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"trent/internal/secret"
)

// Open appends the start of an element.
func Open(dst []byte, name string) []byte {
	dst = append(dst, '<')
	dst = append(dst, name...)
	return append(dst, '>')
}

// Close appends the end of an element.
func Close(dst []byte, name string) []byte {
	dst = append(dst, "</"...)
	dst = append(dst, name...)
	return append(dst, '>')
}

// String appends an element with a text in it.
func String[S ~string](dst []byte, name string, s S) []byte {
	return Close(Text(Open(dst, name), string(s)), name)
}

// SecretString is String for what must not be shown.
func SecretString(dst []byte, name string, s secret.Bytes) []byte {
	return Close(Text(Open(dst, name), s.Expose()), name)
}

// SecretBlob appends an element with secret bytes in base64.
func SecretBlob(dst []byte, name string, s secret.Bytes) []byte {
	return Close(base64.StdEncoding.AppendEncode(Open(dst, name), s.Expose()), name)
}

// Integer appends an element with a whole number.
func Integer(dst []byte, name string, n int) []byte {
	return Close(strconv.AppendInt(Open(dst, name), int64(n), 10), name)
}

// Boolean appends an element with true or false.
func Boolean(dst []byte, name string, b bool) []byte {
	return Close(strconv.AppendBool(Open(dst, name), b), name)
}

// Timestamp appends an element with a time in UTC, to the second (ISO 8601).
func Timestamp(dst []byte, name string, t time.Time) []byte {
	return Close(t.UTC().AppendFormat(Open(dst, name), "2006-01-02T15:04:05Z"), name)
}

// Strings appends a list of texts.
func Strings[S ~string](dst []byte, name string, list []S) []byte {
	dst = Open(dst, name)
	for _, s := range list {
		dst = String(dst, "member", s)
	}
	return Close(dst, name)
}

// Text appends characters as XML has them. What XML 1.0 cannot hold, and bad
// UTF-8, becomes U+FFFD.
func Text[S string | []byte](dst []byte, s S) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			dst = appendASCII(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune([]byte(s[i:min(len(s), i+utf8.UTFMax)]))
		if r == 0xFFFE || r == 0xFFFF {
			r = utf8.RuneError
		}
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return dst
}

func appendASCII(dst []byte, c byte) []byte {
	switch {
	case c == '&':
		return append(dst, "&amp;"...)
	case c == '<':
		return append(dst, "&lt;"...)
	case c == '>':
		return append(dst, "&gt;"...)
	case c == '"':
		return append(dst, "&quot;"...)
	case c == '\r': // a parser would make a line feed of it
		return append(dst, "&#xD;"...)
	case c < ' ' && c != '\n' && c != '\t':
		return utf8.AppendRune(dst, utf8.RuneError)
	}
	return append(dst, c)
}
