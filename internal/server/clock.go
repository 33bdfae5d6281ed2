package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"trent/internal/audit"
	"trent/internal/clock"
	"trent/internal/httpd"
	"trent/internal/seal"
	"trent/internal/store"
	"trent/internal/vitals"
)

// The mark of the clock outlasts a restart, and is how nodes see that the clock of one of them
// differs.
const (
	markPath    = "sys/clock" // sealed
	markVersion = 1
	markSize    = 1 + 1 + 8 + 8
	markEvery   = 10 * time.Minute // how far the proven time in it may lag: a write each
)

// A timekeeper says which time deletions may go by (package clock). It is for one goroutine.
type timekeeper struct {
	store   store.Store
	sealer  *seal.Sealer
	counted func() time.Duration
	judge   clock.Judge
	doubt   bool // of the last observation
}

// believe observes the clocks. turned is whether the wall clock has come to be doubted, or to be
// believed again, since the last time.
func (k *timekeeper) believe(ctx context.Context, wall time.Time) (o clock.Opinion, turned bool, err error) {
	kept, rev, err := k.kept(ctx)
	if err != nil {
		return clock.Opinion{}, false, fmt.Errorf("the mark of the clock: %w", err)
	}
	o = k.judge.Observe(wall, k.counted(), kept)
	turned = k.doubt != o.Mark.Doubt
	k.doubt = o.Mark.Doubt
	if o.Mark.Since.Equal(kept.Since) && o.Mark.Doubt == kept.Doubt && o.Mark.Proven.Sub(kept.Proven) < markEvery {
		return o, turned, nil
	}
	return o, turned, k.keep(ctx, o.Mark, rev)
}

func (k *timekeeper) kept(ctx context.Context) (clock.Mark, store.Rev, error) {
	rec, err := k.store.Get(ctx, markPath)
	if errors.Is(err, store.ErrNotFound) {
		return clock.Mark{}, 0, nil
	}
	if err != nil {
		return clock.Mark{}, 0, err
	}
	content, err := k.sealer.Open(markPath, rec.Value)
	if err == nil && (len(content) != markSize || content[0] != markVersion || content[1] > 1) {
		err = errors.New("unknown version")
	}
	if err != nil {
		return clock.Mark{}, 0, fmt.Errorf("%s: %w", markPath, err)
	}
	at := func(i int) time.Time { return time.UnixMilli(int64(binary.BigEndian.Uint64(content[i:]))) }
	return clock.Mark{Doubt: content[1] == 1, Proven: at(2), Since: at(10)}, rec.Rev, nil
}

func (k *timekeeper) keep(ctx context.Context, m clock.Mark, rev store.Rev) error {
	content := []byte{markVersion, 0}
	if m.Doubt {
		content[1] = 1
	}
	content = binary.BigEndian.AppendUint64(content, uint64(m.Proven.UnixMilli()))
	sealed, err := k.sealer.Seal(markPath, binary.BigEndian.AppendUint64(content, uint64(m.Since.UnixMilli())))
	if err != nil {
		return err
	}
	_, err = k.store.Commit(ctx, store.Batch{If: []store.Condition{{Path: markPath, Rev: rev}}, Put: []store.Put{{Path: markPath, Value: sealed}}})
	if _, lost := errors.AsType[*store.Conflict](err); lost {
		return nil // another node has just done it
	}
	return err
}

// believedTime is what deletions go by. Where the clock is not believed, the log and the audit log
// say so once.
func (s *Server) believedTime(wall time.Time) (time.Time, error) {
	o, turned, err := s.time.believe(context.Background(), wall)
	s.vitals.Report(vitals.Clock, "", wall, doubt(o, err))
	if err != nil || !turned {
		return o.Believed, err
	}
	event := "ResumeDeletions"
	if o.Ahead > 0 {
		event = "HoldDeletions"
		s.log.Error("the clock is ahead of the time that this deployment has seen pass: what had its time before that is deleted, and nothing else, until the clock has gone on without a jump for a day",
			"ahead", o.Ahead.Round(time.Second), "still", o.Until.Round(time.Minute))
	} else {
		s.log.Info("the clock is believed again: deletions go on")
	}
	rec := audit.Record{Time: wall, RequestID: httpd.NewRequestID(), Source: itself, Principal: itself, Account: s.set.Account, Operation: event, Mutates: true, Status: 200}
	return o.Believed, s.audit.Append(rec.Append(nil))
}

// doubt says why the clock is not believed, or nil.
func doubt(o clock.Opinion, err error) error {
	if err == nil && o.Mark.Doubt {
		err = fmt.Errorf("it is %s ahead of the time that was seen to pass; deletions wait for %s", o.Ahead.Round(time.Minute), o.Until.Round(time.Minute))
	}
	return err
}
