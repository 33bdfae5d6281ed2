// Package backup has all records of a store, as they were at one moment, in one stream
// that is encrypted and shows by itself whether it is whole.
//
// The records are sealed already; the stream is encrypted once more so that paths, sizes and the
// log of changes are not read either, and so that nothing can be left out, cut off or put together
// from two backups. In clear before it stands what opens it: the container of root keys, as it is in
// the store. So each root of trust of the store opens its backups, and nothing else does.
// docs/spec/backup.md has the format, docs/decisions/0024-backup.md the reasons.
package backup

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tink-crypto/tink-go/v2/streamingaead/subtle"

	"trent/internal/record"
	"trent/internal/seal"
	"trent/internal/store"
)

// The layout, in bytes: magic(13) ‖ length of the header(4) ‖ header ‖ encrypted stream. The header's
// first byte is the version of all.
const (
	magic         = "trent backup\n"
	headerVersion = 1
	maxHeader     = 96 << 10 // the container of root keys has 64 KiB at most
)

// purpose is for seal.Sealer.DeriveUnder.
const purpose = "backup v1"

// segment is the size of an encrypted segment: so much is in memory at once.
const segment = 1 << 20

// What a backup is refused with.
var (
	ErrForeign = errors.New("this is no backup that Trent has made")
	ErrDamaged = errors.New("the backup is cut off, damaged or altered")
)

// A Header is what a backup says of itself in clear. It counts only when the stream has opened,
// which is bound to it.
type Header struct {
	Cluster  seal.ClusterID
	RootKeys []byte    // the container of root keys
	RootKey  uint32    // id of the one that the stream is encrypted under
	Revision store.Rev // of the store
	Time     time.Time
}

type encodedHeader struct {
	Cluster  []byte `cbor:"1,keyasint"`
	RootKeys []byte `cbor:"2,keyasint"`
	RootKey  uint32 `cbor:"3,keyasint"`
	Revision uint64 `cbor:"4,keyasint"`
	Time     int64  `cbor:"5,keyasint"` // Unix milliseconds
}

// encode is the header with all that stands before it.
func (h Header) encode() ([]byte, error) {
	body, err := record.Encode(headerVersion, encodedHeader{h.Cluster[:], h.RootKeys, h.RootKey, uint64(h.Revision), h.Time.UnixMilli()})
	if err != nil {
		return nil, fmt.Errorf("encode the header of a backup: %w", err)
	}
	if len(body) > maxHeader {
		return nil, fmt.Errorf("the header of the backup would have %d bytes, and may have %d", len(body), maxHeader)
	}
	return append(binary.BigEndian.AppendUint32([]byte(magic), uint32(len(body))), body...), nil
}

// ReadHeader reads the header and returns its bytes too. Nothing of it is authentic yet.
func ReadHeader(from io.Reader) (Header, []byte, error) {
	start := make([]byte, len(magic)+4)
	if _, err := io.ReadFull(from, start); err != nil || !bytes.HasPrefix(start, []byte(magic)) {
		return Header{}, nil, errors.Join(ErrForeign, unlessEnd(err))
	}
	size := binary.BigEndian.Uint32(start[len(magic):])
	if size == 0 || size > maxHeader {
		return Header{}, nil, ErrDamaged
	}
	raw := append(start, make([]byte, size)...)
	body := raw[len(start):]
	if _, err := io.ReadFull(from, body); err != nil {
		return Header{}, nil, errors.Join(ErrDamaged, unlessEnd(err))
	}
	if body[0] != headerVersion {
		return Header{}, nil, fmt.Errorf("the backup has version %d, and this Trent reads version %d", body[0], headerVersion)
	}
	var e encodedHeader
	if err := record.DecodeKnown(headerVersion, body, &e); err != nil || len(e.Cluster) != len(seal.ClusterID{}) {
		return Header{}, nil, ErrDamaged
	}
	h := Header{seal.ClusterID(e.Cluster), e.RootKeys, e.RootKey, store.Rev(e.Revision), time.UnixMilli(e.Time).UTC()}
	if again, err := h.encode(); err != nil || !bytes.Equal(again, raw) {
		return Header{}, nil, ErrDamaged // there is one form of each header
	}
	return h, raw, nil
}

// unlessEnd is an error of reading, but not that there was too little.
func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// cipher encrypts the stream. CTR with HMAC, and not GCM: this one may be used where only approved
// cryptography is, which lets nobody choose the nonces of GCM.
func (h Header) cipher(s *seal.Sealer) (*subtle.AESCTRHMAC, error) {
	key, err := s.DeriveUnder(h.RootKey, purpose)
	if err != nil {
		return nil, fmt.Errorf("the root key %d of the backup: %w", h.RootKey, err)
	}
	c, err := subtle.NewAESCTRHMAC(key.Expose(), "SHA256", 32, "SHA256", 32, segment, 0)
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	return c, nil
}

// Write writes a backup of a snapshot and returns how many records there are in it. rootKeys is the
// path of the container of root keys, which the sealer must have opened. It takes a few MiB of
// memory.
func Write(ctx context.Context, to io.Writer, from store.Snapshot, rootKeys string, s *seal.Sealer, now time.Time) (int, error) {
	container, err := from.Get(ctx, rootKeys)
	if err != nil {
		return 0, fmt.Errorf("the root keys: %w", err)
	}
	keys, err := seal.RekeyingOf(container.Value)
	if err != nil {
		return 0, err
	}
	h := Header{s.Cluster(), container.Value, keys.Current, from.Rev(), now}
	raw, err := h.encode()
	if err != nil {
		return 0, err
	}
	c, err := h.cipher(s)
	if err != nil {
		return 0, err
	}
	if _, err := to.Write(raw); err != nil {
		return 0, err
	}
	stream, err := c.NewEncryptingWriter(to, raw)
	if err != nil {
		return 0, err
	}
	n, err := writeRecords(ctx, stream, from)
	if err != nil {
		return 0, err // not closed, so that what there is counts as cut off
	}
	return n, stream.Close()
}
