package record_test

import (
	"encoding/hex"
	"errors"
	"testing"

	"trent/internal/record"
)

type content struct {
	Name  string `cbor:"1,keyasint"`
	Count int    `cbor:"2,keyasint,omitempty"`
}

func TestOneForm(t *testing.T) {
	b, err := record.Encode(3, content{"a", 7})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(b), "03a201616102"+"07"; got != want {
		t.Errorf("Encode gave %s, want %s", got, want)
	}
	var c content
	if err := record.Decode(3, b, &c); err != nil || c != (content{"a", 7}) {
		t.Errorf("Decode gave %+v, %v", c, err)
	}
}

func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		record  string
		version bool // refused for its version
		unknown bool // refused by DecodeKnown alone
	}{
		"nothing":            {"", true, false},
		"another version":    {"02a1016161", true, false},
		"no value":           {"03", false, false},
		"cut":                {"03a2016161", false, false},
		"more behind it":     {"03a101616100", false, false},
		"a member twice":     {"03a2016161016162", false, false},
		"indefinite length":  {"03bf016161ff", false, false},
		"a tag":              {"03c1a1016161", false, false},
		"not UTF-8":          {"03a10161ff", false, false},
		"an array too large": {"03a10199ffff", false, false},
		"an unknown member":  {"03a20161610900", false, true},
	} {
		b, err := hex.DecodeString(tc.record)
		if err != nil {
			t.Fatal(err)
		}
		for _, decode := range []func(byte, []byte, any) error{record.Decode, record.DecodeKnown} {
			err := decode(3, b, new(content))
			if errors.Is(err, record.ErrVersion) != tc.version {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil && !tc.unknown {
				t.Errorf("%s: read", name)
			}
		}
		if err := record.DecodeKnown(3, b, new(content)); err == nil {
			t.Errorf("%s: read by DecodeKnown", name)
		}
		if err := record.Decode(3, b, new(content)); (err == nil) != tc.unknown {
			t.Errorf("%s: Decode gave %v", name, err)
		}
	}
}
