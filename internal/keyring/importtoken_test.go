package keyring

import (
	"bytes"
	"testing"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
	"trent/internal/key"
	"trent/internal/secret"
)

// FuzzOpenImportToken: of all bytes that there are, one token opens, for one key and until its date.
func FuzzOpenImportToken(f *testing.F) {
	r, _ := newRing(f, 64)
	rec, other := makeKey(f, r), makeKey(f, r)
	start := time.Unix(1_800_000_000, 0)
	private := bytes.Repeat([]byte{7}, 1200)
	right, err := r.SealImportToken(rec, ImportToken{api.AlgorithmSpecRSAESOAEPSHA256, key.MomentOf(start.Add(time.Hour)), secret.New(bytes.Clone(private))})
	if err != nil {
		f.Fatal(err)
	}
	if bytes.Contains(right, private[:16]) {
		f.Fatal("the private key is in the token in clear")
	}
	f.Add(right, 0)
	f.Add(right[:len(right)-1], 0)
	f.Add(right, 3600)
	f.Add([]byte{importTokenVersion}, 0)
	f.Add([]byte(r.SealMarker("list", "position")), 0)
	f.Fuzz(func(t *testing.T, token []byte, seconds int) {
		now := start.Add(time.Duration(seconds%7200) * time.Second)
		got, err := r.OpenImportToken(rec, token, now)
		switch {
		case !bytes.Equal(token, right):
			if !fault.Is(err, api.InvalidImportTokenException) {
				t.Fatalf("a token that was not made: %v", err)
			}
		case !now.Before(start.Add(time.Hour)):
			if !fault.Is(err, api.ExpiredImportTokenException) {
				t.Fatalf("an old token: %v", err)
			}
		case err != nil || got.Algorithm != api.AlgorithmSpecRSAESOAEPSHA256 || !bytes.Equal(got.Private.Expose(), private):
			t.Fatalf("the right token: %v", err)
		}
		if _, err := r.OpenImportToken(other, token, now); !fault.Is(err, api.InvalidImportTokenException) {
			t.Fatalf("a token for another key: %v", err)
		}
	})
}
