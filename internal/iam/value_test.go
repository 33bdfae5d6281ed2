package iam_test

import (
	"testing"

	"trent/internal/iam"
)

// FoldsTo is Fold and a comparison, for names that any alphabet has.
func TestFoldsTo(t *testing.T) {
	for _, name := range []string{"", "a", "A", "Team", "TEAM", "teaM", "Ärger", "ärger", "\u212a", "K", "k", "İ", "i̇", "ß", "ẞ", "a\xff", "A\xff", "日本"} {
		for _, folded := range []string{"", "a", "team", "ärger", "k", "i̇", "ß", "a\xff", "a�", "日本"} {
			if got, want := iam.FoldsTo(name, folded), iam.Fold(name) == folded; got != want {
				t.Errorf("%q to %q: %v", name, folded, got)
			}
		}
	}
}
