package keypool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trent/internal/api"
	"trent/internal/secret"
)

// mirror seals by turning content around, and opens at the same path alone.
type mirror struct{}

func (mirror) Seal(path string, content []byte) ([]byte, error) {
	return append([]byte(path+"\x00"), reversed(content)...), nil
}

func (mirror) Open(path string, sealed []byte) ([]byte, error) {
	content, ok := bytes.CutPrefix(sealed, []byte(path+"\x00"))
	if !ok {
		return nil, errors.New("sealed elsewhere")
	}
	return reversed(content), nil
}

func reversed(b []byte) []byte {
	out := bytes.Clone(b)
	for i, c := range b {
		out[len(b)-1-i] = c
	}
	return out
}

// slow makes numbered keys, a second each.
func slow(made *atomic.Int64) func(api.KeySpec) (secret.Bytes, error) {
	return func(spec api.KeySpec) (secret.Bytes, error) {
		time.Sleep(time.Second)
		return secret.New(fmt.Appendf(nil, "%s %d", spec, made.Add(1))), nil
	}
}

func TestKeysAreMadeAheadAndHandedOutOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		p := newPool(mirror{}, slow(&made), map[api.KeySpec]int{"RSA_2048": 4, "RSA_4096": 2})
		defer p.Close()
		seen := make(map[string]bool)
		get := func(spec api.KeySpec) time.Duration {
			t.Helper()
			began := time.Now()
			k, err := p.Generate(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			if name := string(k.Expose()); seen[name] || !strings.HasPrefix(name, string(spec)+" ") {
				t.Errorf("%s is handed out twice, or as %s", name, spec)
			} else {
				seen[name] = true
			}
			return time.Since(began)
		}
		time.Sleep(time.Hour)
		if n := made.Load(); n != 0 {
			t.Errorf("%d keys were made before anybody asked", n)
		}
		if took := get("RSA_2048"); took != time.Second {
			t.Errorf("the first took %s", took)
		}
		time.Sleep(time.Hour)
		if n := made.Load(); n != 1+4 {
			t.Errorf("%d keys were made, of one spec alone", n)
		}
		for i := range 4 {
			if took := get("RSA_2048"); took != 0 {
				t.Errorf("key %d took %s", i, took)
			}
		}
		get("RSA_4096")
		get("ECC_NIST_P256") // is made when it is asked for
		time.Sleep(time.Hour)
		if n := made.Load(); n != 1+4+4+1+2+1 {
			t.Errorf("%d keys were made", n)
		}
	})
}

func TestWhoeverWaitsGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var made atomic.Int64
		p := newPool(mirror{}, slow(&made), map[api.KeySpec]int{"RSA_2048": 1})
		defer p.Close()
		var all sync.WaitGroup
		var failed atomic.Int64
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second/2)
		defer cancel()
		for range 64 {
			all.Go(func() {
				if _, err := p.Generate(ctx, "RSA_2048"); errors.Is(err, context.DeadlineExceeded) {
					failed.Add(1)
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := failed.Load(); n < 64/2 || n == 64 {
			t.Errorf("%d of 64 gave up", n)
		}
	})
}

func TestFailuresAreSaidAndEndNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := true
		p := newPool(mirror{}, func(api.KeySpec) (secret.Bytes, error) {
			if fails {
				return secret.Bytes{}, errors.New("no randomness")
			}
			return secret.New([]byte("key")), nil
		}, map[api.KeySpec]int{"RSA_2048": 2})
		if _, err := p.Generate(t.Context(), "RSA_2048"); err == nil {
			t.Error("no error")
		}
		synctest.Wait()
		fails = false
		if _, err := p.Generate(t.Context(), "RSA_2048"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := len(p.shelves["RSA_2048"].ready); n != 2 {
			t.Errorf("%d keys are ready", n)
		}
		p.Close()
		if _, err := p.Generate(t.Context(), "RSA_2048"); err != nil {
			t.Error("a pool that is closed makes no keys any more")
		}
	})
}
