package crypt

import (
	"encoding/binary"
	"slices"
)

// fewPairs is the number of pairs up to which no memory is taken for sorting.
const fewPairs = 8

// associatedData is what a blob authenticates beside its plaintext: its own
// header, then the encryption context.
func associatedData(header []byte, context map[string]string) []byte {
	size := len(header) + 4
	for k, v := range context {
		size += 4 + len(k) + 4 + len(v)
	}
	ad := make([]byte, 0, size)
	return appendContext(append(ad, header...), context)
}

// appendContext encodes an encryption context injectively: the number of
// pairs, then each pair in the order of the keys' bytes, key and value with
// their lengths in front, all numbers as 32 bits big-endian. An absent context
// and an empty one are the same. There is no Unicode normalisation: what is
// not the same bytes is not the same context.
func appendContext(dst []byte, context map[string]string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(context)))
	if len(context) == 0 {
		return dst
	}
	var few [fewPairs]string
	keys := few[:0]
	for k := range context {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		dst = appendString(dst, k)
		dst = appendString(dst, context[k])
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(s)))
	return append(dst, s...)
}
