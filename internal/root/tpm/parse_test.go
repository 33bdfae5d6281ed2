package tpm

import (
	"bytes"
	"testing"
)

func TestPCRs(t *testing.T) {
	for text, want := range map[string]int{"": 0, "7": 1, "0.7.23": 3, "24": -1, "7.7": -1, "11.7": -1, "07": -1, "x": -1, "7.": -1, "-1": -1, "0.1.2.3.4.5.6.7.8": -1} {
		pcrs, err := parsePCRs(text)
		if (err == nil) != (want >= 0) || err == nil && len(pcrs) != want {
			t.Errorf("%q: %v, %v", text, pcrs, err)
		}
	}
}

// Whatever lies in the store, its sizes are looked at before the TPM is asked.
func FuzzParse(f *testing.F) {
	f.Add(append([]byte{version, 0, 1, 7, 0, 1, 7}, make([]byte, 60)...))
	f.Add([]byte{version, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, blob []byte) {
		p, err := parse(blob)
		if err != nil {
			return
		}
		if !bytes.Equal(append(bytes.Clone(p.header), p.wrapped...), blob) || len(p.private.Buffer) > maxPart {
			t.Errorf("%x was read as %+v", blob, p)
		}
	})
}
