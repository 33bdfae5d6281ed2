package vitals_test

import (
	"errors"
	"testing"
	"time"

	"trent/internal/vitals"
)

func TestBoard(t *testing.T) {
	var b vitals.Board
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	b.Report(vitals.Root, "tpm", noon, errors.New("no such device"))
	b.Report(vitals.Root, "file", noon, nil)
	b.Report(vitals.Root, "file", noon.Add(time.Hour), errors.New("gone"))
	b.Report(vitals.Clock, "", noon, nil)
	want := []vitals.Vital{
		{Kind: vitals.Clock, Checked: noon, OK: true, GoodAt: noon},
		{Kind: vitals.Root, Name: "file", Checked: noon.Add(time.Hour), GoodAt: noon, Problem: "gone"},
		{Kind: vitals.Root, Name: "tpm", Checked: noon, Problem: "no such device"},
	}
	got := b.All()
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}
