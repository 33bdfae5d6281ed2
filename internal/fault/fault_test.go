package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"trent/internal/fault"
)

// An error of unknown origin must not carry its text to the caller.
func TestFromHidesForeignText(t *testing.T) {
	foreign := errors.New("open /var/lib/trent/root.key: permission denied")
	f := fault.From(fmt.Errorf("wrapped: %w", foreign))
	if f.Code != fault.Internal || f.Message != "" {
		t.Fatalf("From(foreign) = %q %q, want a bare internal fault", f.Code, f.Message)
	}
	if !errors.Is(f, foreign) || !strings.Contains(f.Error(), "permission denied") {
		t.Fatal("the log lost the cause")
	}
}

func TestFromFindsAWrappedFault(t *testing.T) {
	inner := fault.New("NotFoundException", "Alias x is not found.")
	f := fault.From(fmt.Errorf("room 4: %w", inner))
	if f.Code != "NotFoundException" || f.Message != "Alias x is not found." {
		t.Fatalf("From = %+v", f)
	}
	if !fault.Is(f.Because(errors.New("disk")), "NotFoundException") {
		t.Fatal("Because changed the code")
	}
}
