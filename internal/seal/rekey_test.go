package seal_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"trent/internal/root"
	"trent/internal/seal"
)

// added is the container with one more root key.
func added(t *testing.T, s *seal.Sealer, stored []byte, roots ...root.Root) []byte {
	t.Helper()
	wider, err := s.AddKey(context.Background(), stored, roots, nil)
	if err != nil {
		t.Fatal(err)
	}
	return wider
}

func must(t *testing.T) func([]byte, error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// The four steps, as two nodes see them, one of which opens nothing with a root of trust meanwhile.
func TestRekey(t *testing.T) {
	stored, here := create(t, lax)
	there := reopen(t, stored, lax)
	old := must(t)(here.Seal("a", []byte("of old")))
	purpose, err := here.Derive("p")
	if err != nil {
		t.Fatal(err)
	}
	follow := func(stored []byte) {
		t.Helper()
		for _, s := range []*seal.Sealer{here, there} {
			if err := s.Follow(stored); err != nil {
				t.Fatal(err)
			}
		}
	}

	stored = added(t, here, stored, lax)
	follow(stored)
	if made := must(t)(here.Seal("a", nil)); !here.IsCurrent(old) || !bytes.Equal(made[:5], old[:5]) {
		t.Error("the new key seals before every node has it")
	}
	stored = must(t)(seal.SwitchKey(stored))
	if err := here.Follow(stored); err != nil { // the other one hears of it later
		t.Fatal(err)
	}
	again := must(t)(here.Reseal("a", old))
	for _, sealed := range [][]byte{old, again} {
		if got, err := there.Open("a", sealed); err != nil || string(got) != "of old" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if here.IsCurrent(old) || !here.IsCurrent(again) {
		t.Error("what is sealed under which key")
	}
	follow(stored)
	if both, err := there.Derive("p"); err != nil || len(both) != 2 || !both[1].Equal(purpose[0]) || both[0].Equal(both[1]) {
		t.Errorf("derived: %d, %v", len(both), err)
	}
	stored = must(t)(seal.SettleKeys(stored))
	follow(stored)
	if got, err := reopen(t, stored, lax).Open("a", again); err != nil || string(got) != "of old" {
		t.Errorf("a start meanwhile: %q, %v", got, err)
	}
	generation := here.Generation()
	stored = must(t)(seal.DropKeys(stored))
	follow(stored)
	if here.Generation() == generation {
		t.Error("nobody who derived keys would notice")
	}
	for _, s := range []*seal.Sealer{here, there, reopen(t, stored, lax)} {
		if _, err := s.Open("a", old); err == nil {
			t.Error("what is sealed under a key that was dropped opens")
		}
		if got, err := s.Open("a", again); err != nil || string(got) != "of old" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// Who was not there when the key was handed over learns it from a root of trust, and from nothing else.
func TestRekeyNotHandedOver(t *testing.T) {
	stored, here := create(t, lax)
	late := reopen(t, stored, lax)
	stored = must(t)(seal.SettleKeys(must(t)(seal.SwitchKey(added(t, here, stored, lax)))))
	if err := late.Follow(stored); err == nil || !strings.Contains(err.Error(), "start the server anew") {
		t.Errorf("%v", err)
	}
	foreign, _ := create(t, lax)
	if err := here.Follow(foreign); err == nil {
		t.Error("it follows another store")
	}
}

func TestRekeyNeedsEveryRoot(t *testing.T) {
	other := fakeRoot{id: "other"}
	stored, s := create(t, lax, other)
	if _, err := s.AddKey(context.Background(), stored, []root.Root{lax}, nil); err == nil || !strings.Contains(err.Error(), "other cannot be reached") {
		t.Errorf("a root that is not at hand: %v", err)
	}
	if _, err := s.AddKey(context.Background(), stored, nil, []string{"other", lax.id}); err == nil {
		t.Error("all roots can be given up")
	}
	if _, err := s.AddKey(context.Background(), stored, []root.Root{lax, forgetful{other}}, nil); err == nil {
		t.Error("a root that does not unwrap what it wrapped is taken")
	}
	wider := must(t)(s.AddKey(context.Background(), stored, []root.Root{lax}, []string{"other"}))
	if names, err := seal.Roots(wider); err != nil || len(names) != 1 || names[0] != lax.id {
		t.Errorf("%q, %v", names, err)
	}
	if _, err := s.AddKey(context.Background(), wider, []root.Root{lax}, nil); err == nil {
		t.Error("a second rekeying begins before the first has ended")
	}
}
