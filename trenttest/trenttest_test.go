package trenttest_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"trent/trenttest"
)

func TestRestartKeepsWhatWasAcknowledged(t *testing.T) {
	s := trenttest.Start(t)
	c := s.Client(t)
	k, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	url := s.URL
	s.Restart()
	if s.URL != url {
		t.Errorf("the server moved from %s to %s", url, s.URL)
	}
	if _, err := c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: k.KeyMetadata.KeyId}); err != nil {
		t.Error(err)
	}
	if n := len(s.AuditLog(t)); n != 2 {
		t.Errorf("%d lines in the audit log, want 2", n)
	}
}

// TestClock lets thirty days pass: a key whose deletion was scheduled is gone.
func TestClock(t *testing.T) {
	var days atomic.Int64
	start := time.Now()
	s := trenttest.Start(t, trenttest.WithClock(func() time.Time {
		return start.Add(time.Duration(days.Load())*24*time.Hour + time.Since(start))
	}))
	c := s.Client(t)
	k, err := c.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	id := k.KeyMetadata.KeyId
	if _, err := c.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)}); err != nil {
		t.Fatal(err)
	}
	days.Store(6)
	d, err := c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: id})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.KeyMetadata.KeyState; got != types.KeyStatePendingDeletion {
		t.Errorf("after 6 days the key is %s", got)
	}
	days.Store(8)
	_, err = c.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: id})
	if _, gone := errors.AsType[*types.NotFoundException](err); !gone {
		t.Errorf("after 8 days: %v", err)
	}
	s.Restart()
	if _, err = c.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: id}); err == nil || !strings.Contains(err.Error(), "NotFoundException") {
		t.Errorf("after 8 days and a restart: %v", err)
	}
}
