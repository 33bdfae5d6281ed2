package backup

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"trent/internal/store"
)

// What is in the stream, one after the other: records, and at the end how many there are. Each
// begins with its kind.
//
//	01 ‖ length of the path(2) ‖ length of the value(4) ‖ path ‖ value
//	00 ‖ number of records(8)
const (
	kindEnd    = 0
	kindRecord = 1
)

func writeRecords(ctx context.Context, to io.Writer, from store.Reader) (n int, err error) {
	err = store.Each(ctx, from, func(r store.Record) error {
		n++
		start := binary.BigEndian.AppendUint16([]byte{kindRecord}, uint16(len(r.Path)))
		start = binary.BigEndian.AppendUint32(start, uint32(len(r.Value)))
		if _, err := to.Write(append(start, r.Path...)); err != nil {
			return err
		}
		_, err := to.Write(r.Value)
		return err
	})
	if err != nil {
		return 0, err
	}
	_, err = to.Write(binary.BigEndian.AppendUint64([]byte{kindEnd}, uint64(n)))
	return n, err
}

// records reads them back, one by one, each of which may be looked at before it is taken.
type records struct {
	from  *bufio.Reader
	next  store.Record // if there is one at hand
	there bool
	taken string // path of the newest that was taken
	seen  string // path of the newest that was read
	n     uint64
	ended bool
}

func newRecords(from io.Reader) *records {
	return &records{from: bufio.NewReaderSize(from, 64<<10)}
}

// peek is the next record, or io.EOF after the last one, when the stream has been found to be whole.
func (s *records) peek() (store.Record, error) {
	if s.ended {
		return store.Record{}, io.EOF
	}
	if s.there {
		return s.next, nil
	}
	kind, err := s.from.ReadByte()
	switch {
	case err != nil:
		return store.Record{}, damaged(err)
	case kind == kindEnd:
		return store.Record{}, s.end()
	case kind != kindRecord:
		return store.Record{}, ErrDamaged
	}
	if s.next, err = s.read(); err != nil {
		return store.Record{}, damaged(err)
	}
	s.there, s.seen = true, s.next.Path
	s.n++
	return s.next, nil
}

// take goes on to the one after.
func (s *records) take() {
	s.taken, s.there, s.next = s.next.Path, false, store.Record{}
}

func (s *records) read() (store.Record, error) {
	var sizes [2 + 4]byte
	if _, err := io.ReadFull(s.from, sizes[:]); err != nil {
		return store.Record{}, err
	}
	path, value := binary.BigEndian.Uint16(sizes[:]), binary.BigEndian.Uint32(sizes[2:])
	if path == 0 || path > store.MaxPath || value == 0 || value > store.MaxValue {
		return store.Record{}, ErrDamaged
	}
	b := make([]byte, int(path)+int(value))
	if _, err := io.ReadFull(s.from, b); err != nil {
		return store.Record{}, err
	}
	r := store.Record{Path: string(b[:path]), Value: b[path:]}
	if r.Path <= s.seen {
		return store.Record{}, ErrDamaged
	}
	return r, nil
}

// end holds that what was counted is there, and that nothing follows.
func (s *records) end() error {
	var count [8]byte
	if _, err := io.ReadFull(s.from, count[:]); err != nil {
		return damaged(err)
	}
	if binary.BigEndian.Uint64(count[:]) != s.n {
		return ErrDamaged
	}
	if _, err := s.from.ReadByte(); !errors.Is(err, io.EOF) {
		return damaged(err)
	}
	s.ended = true
	return io.EOF
}

// damaged is what every failure to read the stream is, with the reason if that is of the disk.
func damaged(err error) error {
	if err == nil || errors.Is(err, ErrDamaged) {
		return ErrDamaged
	}
	return errors.Join(ErrDamaged, unlessEnd(err))
}
