package bolt

import "fmt"

// uuidPath is the path of a key with a random-looking id: 61 bytes, and in no
// order with its neighbours.
func uuidPath(n int64) string {
	x := uint64(n)*0x9E3779B97F4A7C15 + 1
	x ^= x >> 29
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 32
	return fmt.Sprintf("account/123456789012/key/%08x-%04x-4%03x-%04x-%012x",
		uint32(x), uint16(x>>32), x>>48&0xFFF, uint16(x>>40), x&0xFFFFFFFFFFFF)
}
