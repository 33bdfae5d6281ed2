package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"trent/internal/record"
	"trent/internal/seal"
	"trent/internal/store"
)

// prefix begins the paths of the log. The head sorts behind all entries, beside the
// newest: a store that keeps its records in order of their paths writes both in one
// place.
const (
	prefix   = "log/"
	headPath = prefix + "head"
)

// Versions of what is stored: the first byte of each.
const (
	entryVersion = 1
	headVersion  = 1
)

// maxChanges bounds the changes of one entry. The decoder takes 4,096 members of an
// array.
const maxChanges = 4000

// labelLink begins what is hashed. It ends with a zero byte and begins no other label.
const labelLink = "trent ledger v1\x00"

// A Digest is SHA-256 of a stored value, or a value of the chain.
type Digest [sha256.Size]byte

// A change says what is at a path from an entry on.
type change struct {
	_      struct{} `cbor:",toarray"`
	Path   []byte
	Digest []byte // SHA-256 of the value as it is stored; empty: there is nothing any more
}

// entry is one entry of the log, docs/spec/ledger.md.
type entry struct {
	_       struct{} `cbor:",toarray"`
	Time    int64    // Unix milliseconds; zero: it states what was there when the log was begun
	Changes []change
}

// head is the sealed head of the log.
type head struct {
	First  uint64 `cbor:"1,keyasint"` // number of the first entry that is kept
	Before []byte `cbor:"2,keyasint"` // value of the chain before it
	Last   uint64 `cbor:"3,keyasint"` // number of the newest entry; First-1: there is none
	Chain  []byte `cbor:"4,keyasint"` // value of the chain after it
	Epoch  uint64 `cbor:"5,keyasint"`
	Time   int64  `cbor:"6,keyasint"` // Unix milliseconds
	// Changes counts those in the entries that are kept, and Tidied those that there
	// were when the log was last made as short as it can be.
	Changes uint64 `cbor:"7,keyasint"`
	Tidied  uint64 `cbor:"8,keyasint"`
}

var errHead = errors.New("the head of the log of changes is not authentic, or of a newer Trent")

// newHead is the head of a log without entries.
func newHead(epoch uint64) head {
	return head{First: 1, Before: make([]byte, sha256.Size), Chain: make([]byte, sha256.Size), Epoch: epoch}
}

func (h head) position(cluster seal.ClusterID) Position {
	return Position{Cluster: cluster, Epoch: h.Epoch, Entry: h.Last, Chain: Digest(h.Chain), Time: time.UnixMilli(h.Time).UTC()}
}

// entryPath is where entry n lies.
func entryPath(n uint64) string { return fmt.Sprintf("%s%016x", prefix, n) }

// entryNumber is the other way round.
func entryNumber(path string) (uint64, bool) {
	digits := strings.TrimPrefix(path, prefix)
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil && entryPath(n) == path
}

// link is the value of the chain after entry n, whose bytes are stored.
func link(cluster seal.ClusterID, before []byte, n uint64, stored []byte) []byte {
	h := sha256.New()
	h.Write([]byte(labelLink))
	h.Write(cluster[:])
	h.Write(before)
	h.Write(binary.BigEndian.AppendUint64(nil, n))
	h.Write(stored)
	return h.Sum(nil)
}

func decodeEntry(stored []byte) (entry, error) {
	var e entry
	if err := record.DecodeKnown(entryVersion, stored, &e); err != nil {
		return e, err
	}
	for _, c := range e.Changes {
		if len(c.Path) == 0 || len(c.Path) > store.MaxPath || len(c.Digest) != 0 && len(c.Digest) != sha256.Size {
			return e, errors.New("decode a record: a change is malformed")
		}
	}
	return e, nil
}

func sealHead(s *seal.Sealer, h head) ([]byte, error) {
	content, err := record.Encode(headVersion, h)
	if err != nil {
		return nil, err
	}
	return s.Seal(headPath, content)
}

func openHead(s *seal.Sealer, sealed []byte) (head, error) {
	content, err := s.Open(headPath, sealed)
	if err != nil {
		return head{}, err
	}
	return decodeHead(content)
}

func decodeHead(content []byte) (head, error) {
	var h head
	if err := record.DecodeKnown(headVersion, content, &h); err != nil {
		return h, err
	}
	if len(h.Before) != sha256.Size || len(h.Chain) != sha256.Size || h.First == 0 || h.Last < h.First-1 || h.Last == math.MaxUint64 || h.Epoch == 0 {
		return h, errHead
	}
	return h, nil
}
