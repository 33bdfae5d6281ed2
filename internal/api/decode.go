package api

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/fault"
	"trent/internal/secret"
)

// Decode reads the body of a request, which is one JSON object and nothing
// after it, into in. It keeps no reference to body.
func Decode(body []byte, in JSONInput) error {
	s := sources.Get().(*source)
	defer s.release()
	s.buf = *bytes.NewBuffer(body)
	s.dec.Reset(&s.buf)
	if err := in.UnmarshalJSONFrom(&s.dec); err != nil {
		return err
	}
	if _, err := s.dec.ReadToken(); err != io.EOF {
		return malformed(&s.dec)
	}
	return nil
}

// A source is a decoder to be used again, since a new one costs more than
// the reading of a usual request.
type source struct {
	buf bytes.Buffer
	dec jsontext.Decoder
}

var sources = sync.Pool{New: func() any { return new(source) }}

// release forgets the body, which may hold a plaintext, before reuse.
func (s *source) release() {
	s.buf = bytes.Buffer{}
	s.dec.Reset(&s.buf)
	sources.Put(s)
}

// What a JSON value was to become, as the texts of errors have it.
const (
	aString    = "a String"
	anInteger  = "an Integer"
	aBoolean   = "a Boolean"
	aTimestamp = "a Timestamp"
	aBlob      = "a Blob"
	aList      = "a List"
	aMap       = "a Map"
	aStructure = "a Structure"
)

// A reader reads JSON values into fields. It keeps the first error; after one,
// nothing more is read. The methods that read a value report whether there was
// one: false on null and on error.
type reader struct {
	d     *jsontext.Decoder
	err   error
	parts int // members and items so far
}

// What a request may hold, far more than any good one does. The decoder's own
// limit on depth is 10,000.
const (
	maxDepth = 32
	maxParts = 1024
)

// document begins the outermost object, which may not be null.
func (r *reader) document() bool {
	if r.begin('{', aStructure) {
		return true
	}
	if r.err == nil {
		r.mismatch('n', aStructure)
	}
	return false
}

// begin enters an object or a list.
func (r *reader) begin(open jsontext.Kind, target string) bool {
	if r.err != nil {
		return false
	}
	kind := r.d.PeekKind()
	if kind != open && kind != 'n' && kind != 0 {
		r.mismatch(kind, target)
		return false
	}
	if _, err := r.d.ReadToken(); err != nil {
		r.err = malformed(r.d)
		return false
	}
	return kind == open
}

// more reports whether the object or list goes on, and leaves it if not.
func (r *reader) more() bool {
	if r.err != nil {
		return false
	}
	switch r.d.PeekKind() {
	case '}', ']', 0:
		if _, err := r.d.ReadToken(); err != nil {
			r.err = malformed(r.d)
		}
		return false
	}
	return r.count()
}

func (r *reader) count() bool {
	if r.parts++; r.parts > maxParts {
		r.err = refused("more than %d members and items", maxParts)
	}
	return r.err == nil
}

// name reads the name of a member. It is valid until the next read.
func (r *reader) name() []byte {
	v, err := r.d.ReadValue()
	if err != nil {
		r.err = malformed(r.d)
		return nil
	}
	text, _ := unquoted(v)
	return text
}

// skip passes over the value of an unknown member, keeping the limits.
func (r *reader) skip() {
	for outer := r.d.StackDepth(); r.err == nil; {
		if _, err := r.d.ReadToken(); err != nil {
			r.err = malformed(r.d)
			return
		}
		switch depth := r.d.StackDepth(); {
		case depth == outer:
			return
		case depth > maxDepth:
			r.err = refused("more than %d levels", maxDepth)
		default:
			r.count()
		}
	}
}

// scalar reads a value of one of two kinds.
func (r *reader) scalar(kind, or jsontext.Kind, target string) (jsontext.Value, bool) {
	if r.err != nil {
		return nil, false
	}
	// Objects and lists are refused unread, however deep they are.
	if k := r.d.PeekKind(); k == '{' || k == '[' {
		r.mismatch(k, target)
		return nil, false
	}
	v, err := r.d.ReadValue()
	if err != nil {
		r.err = malformed(r.d)
		return nil, false
	}
	switch k := v.Kind(); k {
	case kind, or:
		return v, true
	case 'n':
		return nil, false
	default:
		r.mismatch(k, target)
		return nil, false
	}
}

func (r *reader) string(to *string) bool {
	v, ok := r.scalar('"', '"', aString)
	if ok {
		text, _ := unquoted(v)
		*to = string(text)
	}
	return ok
}

func (r *reader) boolean(to *bool) bool {
	v, ok := r.scalar('t', 'f', aBoolean)
	if ok {
		*to = v.Kind() == 't'
	}
	return ok
}

func (r *reader) integer(to *int) bool {
	n, ok := r.whole(32, anInteger)
	*to = int(n)
	return ok
}

// whole reads an integer; 1.0 and 1e3 are none.
func (r *reader) whole(bits int, target string) (int64, bool) {
	v, ok := r.scalar('0', '0', target)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(string(v), 10, bits)
	if err != nil {
		r.mismatch('0', target)
		return 0, false
	}
	return n, true
}

// latest is the end of the year 9999, the last that dates are printed for.
const latest = 253402300799

func (r *reader) timestamp(to *time.Time) bool {
	v, ok := r.scalar('0', '0', aTimestamp)
	if !ok {
		return false
	}
	seconds, err := strconv.ParseFloat(string(v), 64)
	if err != nil || math.Abs(seconds) > latest {
		r.mismatch('0', aTimestamp)
		return false
	}
	*to = time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
	return true
}

func (r *reader) blob(to *[]byte) bool {
	v, ok := r.scalar('"', '"', aBlob)
	if !ok {
		return false
	}
	*to, ok = r.base64(v)
	return ok
}

func (r *reader) secretBlob(to *secret.Bytes) bool {
	var b []byte
	ok := r.blob(&b)
	if ok {
		*to = secret.New(b)
	}
	return ok
}

func (r *reader) secretString(to *secret.Bytes) bool {
	v, ok := r.scalar('"', '"', aString)
	if !ok {
		return false
	}
	text, copied := unquoted(v)
	*to = secret.New(bytes.Clone(text))
	if copied {
		clear(text)
	}
	return true
}

// strict wants the padding, and no stray bits in the last character.
var strict = base64.StdEncoding.Strict()

func (r *reader) base64(v jsontext.Value) ([]byte, bool) {
	text, copied := unquoted(v)
	b := make([]byte, strict.DecodedLen(len(text)))
	n, err := strict.Decode(b, text)
	// The decoder skips line breaks, which only an escape can have brought in.
	if err != nil || copied && bytes.ContainsAny(text, "\r\n") {
		clear(b)
		r.mismatch('"', aBlob)
		return nil, false
	}
	if copied {
		clear(text) // the blob may be a secret
	}
	return b[:n], true
}

// readEnum reads a string and, if it is a known value, keeps the constant
// instead of a copy of the text.
func readEnum[E ~string](r *reader, to *E, known []E) bool {
	v, ok := r.scalar('"', '"', aString)
	if !ok {
		return false
	}
	text, _ := unquoted(v)
	for _, e := range known {
		if string(text) == string(e) {
			*to = e
			return true
		}
	}
	*to = E(text)
	return true
}

func readEnums[E ~string](r *reader, to *[]E, known []E) bool {
	if !r.begin('[', aList) {
		return false
	}
	*to = []E{}
	for r.more() {
		var e E
		r.insist(readEnum(r, &e, known), aString)
		*to = append(*to, e)
	}
	return r.err == nil
}

func (r *reader) strings(to *[]string) bool { return readEnums(r, to, nil) }

func (r *reader) stringMap(to *map[string]string) bool {
	if !r.begin('{', aMap) {
		return false
	}
	*to = map[string]string{}
	for r.more() {
		key, value := string(r.name()), ""
		r.insist(r.string(&value), aString)
		(*to)[key] = value
	}
	return r.err == nil
}

// insist refuses a null where there has to be a value: within a list or map.
func (r *reader) insist(present bool, target string) {
	if !present && r.err == nil {
		r.mismatch('n', target)
	}
}

// unquoted gives the text of a JSON string that the decoder has accepted, and
// whether it had to be copied because of escapes.
func unquoted(v jsontext.Value) (text []byte, copied bool) {
	if inner := v[1 : len(v)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner, false
	}
	text, _ = jsontext.AppendUnquote(nil, v)
	return text, true
}

// mismatch refuses a value of the wrong type, never quoting it.
func (r *reader) mismatch(kind jsontext.Kind, target string) {
	r.err = fault.New(SerializationException, kindName(kind)+" can not be converted to "+target)
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "NULL_VALUE"
	case 't':
		return "TRUE_VALUE"
	case 'f':
		return "FALSE_VALUE"
	case '"':
		return "STRING_VALUE"
	case '0':
		return "NUMBER_VALUE"
	case '[':
		return "START_ARRAY"
	default:
		return "START_OBJECT"
	}
}

// malformed is the refusal of what is not JSON. The decoder's own error stays
// out of it and out of the log: it may quote the input, which may be secret.
func malformed(d *jsontext.Decoder) error {
	return refused("malformed after byte %d", d.InputOffset())
}

// refused says why to the log alone.
func refused(format string, n any) error {
	return fault.New(SerializationException, "").Because(fmt.Errorf("request body: "+format, n))
}
