package keyring

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
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
	return "seen/" + minute(s.Expires) + "/" + base64.RawURLEncoding.EncodeToString(sum[:12])
}

// Add puts the sighting into a batch, on condition that it is the first: of the same
// request twice at once, one loses a race and looks again. It is not sealed: who can
// write to the store could as well delete it.
func (s Sighting) Add(b *store.Batch) {
	b.If = append(b.If, store.Condition{Path: s.path()})
	v := binary.BigEndian.AppendUint64([]byte{recordVersion}, uint64(s.At.UnixMilli()))
	b.Put = append(b.Put, store.Put{Path: s.path(), Value: v})
}

// Replay says what to do with a signature on a request that changes state:
// refuse it (replayed), or remember it with the commit (first).
func (r *Ring) Replay(ctx context.Context, s Sighting) (replayed, first bool, err error) {
	rec, err := r.store.Get(ctx, s.path())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, true, nil
	case err != nil:
		return false, false, unavailable(ctx, err)
	case len(rec.Value) != 9 || rec.Value[0] != recordVersion:
		return true, false, nil // unreadable: nothing may pass for its sake
	}
	firstSeen := time.UnixMilli(int64(binary.BigEndian.Uint64(rec.Value[1:])))
	return s.At.Sub(firstSeen) > ReplayGrace, false, nil
}

// Passing are the prefixes of paths of passing interest: what lies there comes and goes by
// the minute, and its loss gives nobody a key, so that no log of changes need tell of it.
func Passing() []string { return []string{"seen/", lastUsePrefix} }

// minute is a time to the minute in eight hexadecimal digits, which sort as it
// does.
func minute(t time.Time) string {
	return fmt.Sprintf("%08x", uint32(t.Unix()/60))
}
