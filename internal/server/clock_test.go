package server

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"trent/internal/arn"
	"trent/internal/clock"
	"trent/internal/keyring"
	"trent/internal/store"
)

// A key whose time has come by a clock that has jumped is still there when the clock is set right,
// and goes when the clock proves steady; also where the server is started anew in between.
func TestSEC_E08_DeletionWaitsForTheClock(t *testing.T) {
	s, _ := deployment(t, nil)
	wall, counted := time.Now(), time.Duration(0)
	s.now = func() time.Time { return wall }
	s.time.counted = func() time.Duration { return counted }
	pass := func(d time.Duration) {
		t.Helper()
		wall, counted = wall.Add(d), counted+d
		if err := s.sweepNow(); err != nil {
			t.Fatal(err)
		}
	}
	pass(0)
	where := keyring.Where{Account: "111122223333", Region: "us-east-1"}
	rec, err := s.ring.Find(context.Background(), arn.ParseRef(storedKey(t, s, wall).ARN), where, wall)
	if err != nil {
		t.Fatal(err)
	}
	goes := rec.Clone()
	goes.ScheduleDeletion(7, wall)
	if err := s.ring.Commit(context.Background(), []keyring.Change{keyring.PutKey{Was: rec, Now: goes}}, nil); err != nil {
		t.Fatal(err)
	}
	isThere := func() bool {
		t.Helper()
		_, err := s.store.Get(context.Background(), "key/111122223333/us-east-1/"+rec.ID())
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil
	}
	wall = wall.Add(30 * 24 * time.Hour)
	pass(time.Minute)
	if !isThere() {
		t.Fatal("a jump of the clock deleted a key that had a week to go")
	}
	s.time.judge, s.time.doubt = clock.Judge{}, false // as after a start
	pass(23 * time.Hour)
	if !isThere() {
		t.Fatal("a restart made it forget the jump")
	}
	pass(2 * time.Hour)
	if isThere() {
		t.Fatal("the clock has been steady for a day, and the key is there yet")
	}
	text, err := os.ReadFile(s.files.audit)
	if err != nil {
		t.Fatal(err)
	}
	for operation, want := range map[string]int{"HoldDeletions": 2, "ResumeDeletions": 1, "DeleteKey": 1} {
		if got := strings.Count(string(text), `"operation":"`+operation+`"`); got != want {
			t.Errorf("%d audit records of %s, want %d", got, operation, want)
		}
	}
}

// Without the mark, or with one that somebody wrote who has no root key, nothing is deleted.
func TestForgedMarkOfTheClock(t *testing.T) {
	s, _ := deployment(t, nil)
	if err := s.sweepNow(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Commit(context.Background(), store.Batch{Put: []store.Put{{Path: markPath, Value: make([]byte, 64)}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.sweepNow(); err == nil || !strings.Contains(err.Error(), markPath) {
		t.Errorf("%v", err)
	}
}
