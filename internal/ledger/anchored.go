package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"trent/internal/record"
	"trent/internal/seal"
)

// ErrRolledBack says that a store is older than a position that it has been at, or has
// taken another way from there.
var ErrRolledBack = errors.New("the store was put back to an older state")

// Holds returns nil if the store has been at a position of an earlier time, and gone on from
// there; else an error with ErrRolledBack. A position whose entries were tidied away is taken
// for one of this history: the head, which is sealed, is ahead of it.
func (l *Ledger) Holds(ctx context.Context, p Position) error {
	from, end, err := l.still(ctx)
	if err != nil {
		return err
	}
	defer end()
	h, _, err := readHead(ctx, from, l.sealer)
	if err != nil {
		return err
	}
	at := fmt.Sprintf("entry %d of epoch %d, of %s", p.Entry, p.Epoch, p.Time.Format(time.RFC3339))
	switch {
	case h.Epoch > p.Epoch:
		return nil // a rollback to before the position was accepted
	case h.Epoch < p.Epoch || h.Last < p.Entry:
		return fmt.Errorf("%w: it has been at %s, and ends at entry %d of epoch %d, of %s", ErrRolledBack, at, h.Last, h.Epoch, time.UnixMilli(h.Time).UTC().Format(time.RFC3339))
	case p.Entry+1 < h.First:
		return nil
	}
	err = l.walk(ctx, from, p.Entry, bytes.Clone(p.Chain[:]), h, func(entry, []byte) {})
	if errors.Is(err, errChain) {
		return fmt.Errorf("%w: it has been at %s, and what it says of that time now is something else", ErrRolledBack, at)
	}
	return err
}

// After reports whether p is later than q.
func (p Position) After(q Position) bool {
	return p.Epoch > q.Epoch || p.Epoch == q.Epoch && p.Entry > q.Entry
}

// anchorPath is where the record of an anchor would lie if it lay in the store. It is bound
// to that.
const anchorPath = prefix + "anchor"

// anchorVersion is the first byte of the content of an anchor, docs/spec/anchor.md.
const anchorVersion = 1

type encodedPosition struct {
	Epoch uint64 `cbor:"1,keyasint"`
	Entry uint64 `cbor:"2,keyasint"`
	Chain []byte `cbor:"3,keyasint"`
	Time  int64  `cbor:"4,keyasint"` // Unix milliseconds
}

// SealPosition is the content of an anchor: sealed, so that nobody else can make one.
func SealPosition(s *seal.Sealer, p Position) ([]byte, error) {
	content, err := record.Encode(anchorVersion, encodedPosition{p.Epoch, p.Entry, p.Chain[:], p.Time.UnixMilli()})
	if err != nil {
		return nil, err
	}
	return s.Seal(anchorPath, content)
}

// OpenPosition reverses SealPosition.
func OpenPosition(s *seal.Sealer, sealed []byte) (Position, error) {
	content, err := s.Open(anchorPath, sealed)
	if err != nil {
		return Position{}, errors.New("it is of another store, or was altered")
	}
	var e encodedPosition
	if err := record.DecodeKnown(anchorVersion, content, &e); err != nil || len(e.Chain) != len(Digest{}) || e.Epoch == 0 {
		return Position{}, errors.New("it is of a newer Trent")
	}
	return Position{s.Cluster(), e.Epoch, e.Entry, Digest(e.Chain), time.UnixMilli(e.Time).UTC()}, nil
}
