package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"trent/internal/store"
)

// ReplayGrace is how long after its first sighting a signature may be seen
// again on a request that changes something. Some SDKs sign nothing that is
// unique, so the same call made twice in one second carries the same
// signature twice; a captured request comes later than that.
const ReplayGrace = 2 * time.Second

// A Sighting is a signature on a request that changes state. It is kept in the
// store until the signature is too old to be accepted, so that no node takes
// it a second time, restarted or not.
type Sighting struct {
	Signature string
	At        time.Time // when it was first seen
	Expires   time.Time // when the signature is too old anyway
}

// path sorts by expiry, to the minute, so that the sweeper finds the old ones
// first. The signature is hashed: what is in a path is in clear.
func (s Sighting) path() string {
	sum := sha256.Sum256([]byte(s.Signature))
	return "seen/" + minute(s.Expires) + "/" + hex.EncodeToString(sum[:16])
}

func (s Sighting) add(r *Ring, b *store.Batch) error {
	content := binary.BigEndian.AppendUint64([]byte{recordVersion}, uint64(s.At.UnixMilli()))
	sealed, err := r.seal.Seal(s.path(), content)
	if err != nil {
		return err
	}
	b.Put = append(b.Put, store.Put{Path: s.path(), Value: sealed})
	return nil
}

// Replay says what to do with a signature on a request that changes state:
// refuse it (replayed), or remember it with the commit (first).
func (r *Ring) Replay(ctx context.Context, s Sighting) (replayed, first bool, err error) {
	content, _, err := r.read(ctx, s.path())
	if errors.Is(err, errNoRecord) {
		return false, true, nil
	} else if err != nil {
		return false, false, unavailable(ctx, err)
	}
	if len(content) != 9 || content[0] != recordVersion {
		return false, false, unavailable(ctx, fmt.Errorf("%s: %w", s.path(), errRecordVersion))
	}
	firstSeen := time.UnixMilli(int64(binary.BigEndian.Uint64(content[1:])))
	return s.At.Sub(firstSeen) > ReplayGrace, false, nil
}

// minute is a time to the minute in eight hexadecimal digits, which sort as it
// does.
func minute(t time.Time) string {
	return fmt.Sprintf("%08x", uint32(t.Unix()/60))
}
