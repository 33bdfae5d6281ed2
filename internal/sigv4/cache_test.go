package sigv4_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"trent/internal/fault"
	"trent/internal/sigv4"
)

// A changed secret ends the old signature with the next request, and starts
// the new one: no cached key outlives its secret.
func TestChangedSecret(t *testing.T) {
	keys := directory{knownID: credential(knownSecret, 7)}
	v := sigv4.NewVerifier(keys, sigv4.Regions{Names: []string{"us-east-1"}})
	old, fresh, s := signed(), plain(), newSigner()
	s.key = "another secret"
	s.sign(fresh)
	for range 3 {
		mustVerify(t, v, old)
	}
	mustRefuse(t, v, fresh, noon, sigv4.InvalidSignature, mismatch)

	keys[knownID] = credential("another secret", 8)
	mustRefuse(t, v, old, noon, sigv4.InvalidSignature, mismatch)
	mustVerify(t, v, fresh)

	// Back again, as after a restore: the revision is not a clock.
	keys[knownID] = credential(knownSecret, 7)
	mustVerify(t, v, old)
	mustRefuse(t, v, fresh, noon, sigv4.InvalidSignature, mismatch)

	delete(keys, knownID)
	mustRefuse(t, v, old, noon, sigv4.UnrecognizedClient, badToken)
}

// What was cached for nobody must not sign for a key that is made later, nor
// what was cached for a key for its namesake after it is gone.
func TestUnknownKeyBecomesKnown(t *testing.T) {
	keys := directory{}
	v := sigv4.NewVerifier(keys, sigv4.Regions{Names: []string{"us-east-1"}})
	mustRefuse(t, v, signed(), noon, sigv4.UnrecognizedClient, badToken)
	keys[knownID] = credential(knownSecret, 0) // the revision that nobody has too
	mustVerify(t, v, signed())
}

// Many at once, with keys of equal scope: no signature is measured with
// another's key.
func TestManyAtOnce(t *testing.T) {
	keys := directory{}
	requests := make([]*sigv4.Request, 8)
	for i := range requests {
		s := newSigner()
		s.id, s.key = fmt.Sprintf("AKIA%016d", i), fmt.Sprint("secret access key ", i)
		keys[s.id] = credential(s.key, 1)
		requests[i] = plain()
		s.sign(requests[i])
	}
	v := sigv4.NewVerifier(keys, sigv4.Regions{Names: []string{"us-east-1"}})
	var wg sync.WaitGroup
	for i := range requests {
		wg.Go(func() {
			forged := plain()
			s := newSigner()
			s.id, s.key = fmt.Sprintf("AKIA%016d", i), fmt.Sprint("secret access key ", (i+1)%len(requests))
			s.sign(forged)
			for range 200 {
				if _, err := v.Verify(context.Background(), requests[i], noon); err != nil {
					t.Errorf("%d: %v", i, err)
					return
				}
				if _, err := v.Verify(context.Background(), forged, noon); !fault.Is(err, sigv4.InvalidSignature) {
					t.Errorf("%d: forged: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
