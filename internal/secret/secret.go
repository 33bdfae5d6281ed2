// Package secret is the type of bytes that must not be seen: keys, plaintexts,
// secret access keys. It prints as [redacted] whichever way it is printed, and
// the only way to its content is Expose, so that grep finds every reader.
package secret

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Bytes is a secret. The zero value is an absent one. Copies share content.
//
// The content sits in a closure on purpose. fmt does not call methods on
// unexported fields of a printed struct, it walks them; a func is the one kind
// that it never looks into, whatever the verb. And since funcs do not compare,
// neither do secrets: == on one does not compile.
type Bytes struct{ content func() []byte }

// New takes ownership of b; the caller must not use it afterwards.
func New(b []byte) Bytes { return Bytes{func() []byte { return b }} }

// Expose gives the content itself, not a copy. It must not outlive the work
// that needs it, and must not be modified.
func (s Bytes) Expose() []byte {
	if s.content == nil {
		return nil
	}
	return s.content()
}

// Len is the length in bytes; absent secrets have none.
func (s Bytes) Len() int { return len(s.Expose()) }

// IsZero reports whether the secret is absent (an empty one is present).
func (s Bytes) IsZero() bool { return s.content == nil }

// Equal compares in time that depends on the lengths alone.
func (s Bytes) Equal(o Bytes) bool {
	return subtle.ConstantTimeCompare(s.Expose(), o.Expose()) == 1
}

// Wipe overwrites the content of this secret and of all its copies. The
// runtime may have moved or copied bytes before: this narrows the window, it
// does not close it (docs/threat-model.md).
func (s Bytes) Wipe() { clear(s.Expose()) }

// Format implements fmt.Formatter for every verb.
func (Bytes) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// String implements fmt.Stringer.
func (Bytes) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Bytes) GoString() string { return redacted }

// MarshalText keeps secrets out of JSON, YAML and XML alike.
func (Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue implements slog.LogValuer.
func (Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }
