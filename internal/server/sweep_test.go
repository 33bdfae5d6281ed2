package server

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"trent/internal/api"
	"trent/internal/arn"
	"trent/internal/crypt"
	"trent/internal/key"
	"trent/internal/keyring"
)

// What the clock does to keys is in the audit file, though nobody asked for it.
func TestSweepIsWrittenDown(t *testing.T) {
	s, _ := deployment(t, nil)
	now := time.Now()
	rec := storedKey(t, s, now)
	last := func() (line string, got struct {
		Operation, Principal, Account, Region, RequestID, Error string
		Resources                                               []string
		Status                                                  int
	}) {
		text, err := os.ReadFile(s.files.audit)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		line = lines[len(lines)-1]
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatal(err)
		}
		return line, got
	}
	wants := func(operation string) {
		t.Helper()
		line, got := last()
		if got.Operation != operation || got.Principal != "trent" || got.Account != "111122223333" || got.Region != "us-east-1" || got.RequestID == "" || got.Status != 200 || len(got.Resources) != 1 || got.Resources[0] != rec.ARN {
			t.Errorf("%s", line)
		}
	}
	if err := s.sweepKeys(now.Add(91*24*time.Hour), now); err != nil {
		t.Fatal(err)
	}
	wants("RotateKey")
	was, err := s.ring.Find(context.Background(), arn.ParseRef(rec.ARN), keyring.Where{Account: "111122223333", Region: "us-east-1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	goes := was.Clone()
	goes.ScheduleDeletion(7, now)
	if err := s.ring.Commit(context.Background(), []keyring.Change{keyring.PutKey{Was: was, Now: goes}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.sweepKeys(now, now.Add(8*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	wants("DeleteKey")
}

// storedKey makes a key that rotates by itself every 90 days.
func storedKey(t *testing.T, s *Server, now time.Time) *key.Record {
	t.Helper()
	id := keyring.NewKeyID()
	policy, err := s.ring.ParsePolicy(key.DefaultPolicy("aws", "111122223333"))
	if err != nil {
		t.Fatal(err)
	}
	rec := &key.Record{
		Kind: key.KindOf(api.KeySpecSymmetricDefault, api.KeyUsageEncryptDecrypt, api.OriginAWSKMS),
		ARN:  arn.Key("aws", "us-east-1", "111122223333", id), Created: key.MomentOf(now), Enabled: true, Policy: policy,
	}
	rec.SetRotation(90, now)
	material := crypt.NewMaterial()
	materialID, err := crypt.MaterialIDOf(id, material)
	if err != nil {
		t.Fatal(err)
	}
	rec.SetMaterials(key.Material{ID: materialID})
	if err := s.ring.Commit(context.Background(), []keyring.Change{keyring.PutKey{Now: rec}, keyring.PutMaterial{Key: rec, ID: materialID, Material: material}}, nil); err != nil {
		t.Fatal(err)
	}
	return rec
}
