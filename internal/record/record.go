// Package record is the form of the things that are stored or handed out sealed: a byte
// that gives the version, and then one CBOR value (RFC 8949), read as strictly as it is
// written. docs/spec/records.md says what stands in which.
package record

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// ErrVersion says that what was read has another version than this Trent reads.
var ErrVersion = errors.New("the record has a version that this Trent does not read")

// Encode encodes content under a version.
func Encode(version byte, content any) ([]byte, error) {
	body, err := cbor.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("encode a record: %w", err)
	}
	return append([]byte{version}, body...), nil
}

// Decode decodes a record of the given version into content. Members that content does
// not have are passed over: a later Trent may have added them. What must not be passed over
// takes another version or DecodeKnown. The error is ErrVersion or says what is malformed,
// with no value of the record.
func Decode(version byte, b []byte, content any) error {
	return decode(lenient, version, b, content)
}

// DecodeKnown is Decode for records in which a member that is not known refuses the whole:
// one that limits what the record gives must not be passed over.
func DecodeKnown(version byte, b []byte, content any) error {
	return decode(known, version, b, content)
}

func decode(mode cbor.DecMode, version byte, b []byte, content any) error {
	if len(b) == 0 || b[0] != version {
		return ErrVersion
	}
	if err := mode.Unmarshal(b[1:], content); err != nil {
		return fmt.Errorf("decode a record: %w", err)
	}
	return nil
}

var (
	lenient = newMode(cbor.ExtraDecErrorNone)
	known   = newMode(cbor.ExtraDecErrorUnknownField)
)

// newMode gives the limits of all records. The numbers are above what any record
// needs, and bound what a damaged one can cost.
func newMode(unknown cbor.ExtraDecErrorCond) cbor.DecMode {
	m, err := cbor.DecOptions{
		ExtraReturnErrors: unknown,
		DupMapKey:         cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 8, MaxArrayElements: 4096, MaxMapPairs: 64, UTF8: cbor.UTF8RejectInvalid,
	}.DecMode()
	if err != nil {
		panic("record: internal error: " + err.Error())
	}
	return m
}
