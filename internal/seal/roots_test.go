package seal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"trent/internal/root"
	"trent/internal/seal"
	"trent/internal/secret"
)

func names(t *testing.T, stored []byte) []string {
	t.Helper()
	names, err := seal.Roots(stored)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A root that was added opens the store alone, what was sealed before too, and one
// that was removed does not.
func TestAddAndRemoveRoot(t *testing.T) {
	ctx, spare := context.Background(), fakeRoot{id: "fake:spare"}
	stored, s := create(t, ours)
	sealed := mustSeal(t, s, "a", []byte("x"))
	wider, err := s.AddRoot(ctx, stored, spare)
	if err != nil || !slices.Equal(names(t, wider), []string{ours.id, spare.id}) {
		t.Fatalf("%v, %v", names(t, wider), err)
	}
	for _, r := range []root.Root{ours, spare} {
		if got, err := reopen(t, wider, r).Open("a", sealed); err != nil || string(got) != "x" {
			t.Errorf("%s: %v", r.ID(), err)
		}
	}
	if _, err := s.AddRoot(ctx, wider, spare); err == nil {
		t.Error("one root was added twice")
	}
	narrower, err := seal.RemoveRoot(wider, ours.id)
	if err != nil || !slices.Equal(names(t, narrower), []string{spare.id}) {
		t.Fatalf("%v, %v", names(t, narrower), err)
	}
	if _, err := seal.Open(ctx, narrower, []root.Root{ours}); err == nil {
		t.Error("a root that was removed opens the store")
	}
	if _, err := seal.RemoveRoot(narrower, spare.id); err == nil {
		t.Error("the last root was removed")
	}
	if _, err := seal.RemoveRoot(wider, "fake:stranger"); err == nil {
		t.Error("a root that is not there was removed")
	}
}

// forgetful wraps, and does not unwrap what it wrapped.
type forgetful struct{ fakeRoot }

func (forgetful) Wrap(ctx context.Context, key secret.Bytes, aad []byte) ([]byte, error) {
	return fakeRoot{id: "fake:other"}.Wrap(ctx, key, aad)
}

// A root does not count before it has unwrapped.
func TestAddRootTestsIt(t *testing.T) {
	ctx := context.Background()
	stored, s := create(t, ours)
	if got, err := s.AddRoot(ctx, stored, forgetful{fakeRoot{id: "fake:spare"}}); !errors.Is(err, root.ErrBadData) || got != nil {
		t.Errorf("a root that does not unwrap: %v", err)
	}
	if got, err := s.AddRoot(ctx, stored, fakeRoot{id: "fake:down", fail: root.ErrUnavailable}); !errors.Is(err, root.ErrUnavailable) || got != nil {
		t.Errorf("a root that does not answer: %v", err)
	}
	for i := 1; i < seal.MaxRoots; i++ {
		var err error
		if stored, err = s.AddRoot(ctx, stored, fakeRoot{id: fmt.Sprintf("fake:%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AddRoot(ctx, stored, fakeRoot{id: "fake:more"}); err == nil {
		t.Error("there is no bound")
	}
}

// The last root is the last that wraps every key: one that misses a key does not
// open the store.
func TestHalfARootDoesNotCount(t *testing.T) {
	stored, s := create(t, ours)
	b := unpack(t, stored)
	half := fakeRoot{id: "fake:half"}
	b.Keys[0].Wraps = append(b.Keys[0].Wraps, wrapped(half, b.Cluster, 1, []byte("0123456789abcdef0123456789abcdef")).Wraps...)
	b.Keys = append(b.Keys, wrapped(ours, b.Cluster, 2, []byte("0123456789abcdef0123456789abcdef")))
	stored = b.pack(t)
	if got := names(t, stored); !slices.Equal(got, []string{ours.id}) {
		t.Errorf("roots %q", got)
	}
	if _, err := seal.RemoveRoot(stored, ours.id); err == nil {
		t.Error("the last whole root was removed")
	}
	// s has key 1 alone: it cannot add a root that is whole.
	if _, err := s.AddRoot(context.Background(), stored, fakeRoot{id: "fake:spare"}); err == nil {
		t.Error("half a root was added")
	}
	whole, err := reopen(t, stored, ours).AddRoot(context.Background(), stored, half)
	if err != nil || !slices.Equal(names(t, whole), []string{ours.id, half.id}) {
		t.Fatalf("half a root was not made whole: %v", err)
	}
	reopen(t, whole, half)
}
