package oidc_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"trent/internal/oidc"
)

// TestSEC_A13: an issuer may change its keys at any time; strangers cannot make us ask
// it more than once in ten seconds; and while it is down, its keys count for an hour.
func TestSEC_A13_Rotation(t *testing.T) {
	i := newIssuer(t)
	v, now := i.verifier(), noon
	ok := func(kid string) error {
		c := i.claims()
		c["exp"] = now.Add(time.Hour).Unix()
		_, err := v.Verify(context.Background(), []byte(i.token(kid, c)), i.find, now)
		return err
	}
	if err := ok("one"); err != nil {
		t.Fatal(err)
	}
	for n := range 100 { // made-up names
		refused(t, "a made-up kid", v, compact(fmt.Sprintf(`{"alg":"ES256","kid":"x%d"}`, n), fmt.Sprintf(`{"iss":"https://%s"}`, i.url), strings.Repeat("x", 64)), i.find, now, oidc.InvalidIdentityToken, "no key of the name")
	}
	if n := i.fetches(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	i.add("two")
	now = now.Add(9 * time.Second)
	if err := ok("two"); err == nil {
		t.Error("asked again within ten seconds")
	}
	now = now.Add(time.Second)
	if err := ok("two"); err != nil {
		t.Errorf("a new key: %v", err)
	}
	if n := i.fetches(); n != 2 {
		t.Errorf("asked %d times", n)
	}
	// A key that is withdrawn goes when the keys are next looked at: after five minutes.
	old := i.token("one", i.claims())
	i.set(func() { delete(i.keys, "one") })
	if _, err := v.Verify(context.Background(), []byte(old), i.find, now.Add(5*time.Minute)); err != nil {
		t.Errorf("before: %v", err)
	}
	now = now.Add(5*time.Minute + time.Second)
	refused(t, "a withdrawn key", v, old, i.find, now, oidc.InvalidIdentityToken, "no key of the name")
	// The issuer is down.
	i.set(func() { i.down = true })
	start := now
	for now = start.Add(6 * time.Minute); !now.After(start.Add(time.Hour)); now = now.Add(6 * time.Minute) {
		if err := ok("two"); err != nil {
			t.Errorf("%s after it went down: %v", now.Sub(start), err)
		}
	}
	now = start.Add(time.Hour + time.Second)
	refused(t, "after an hour", v, i.token("two", i.claims()), i.find, now, oidc.CommunicationError, "could not be fetched")
	i.set(func() { i.down = false })
	refused(t, "within the pause", v, i.token("two", i.claims()), i.find, now, oidc.CommunicationError, "could not be fetched")
	now = now.Add(10 * time.Second)
	if err := ok("two"); err != nil {
		t.Errorf("after it came back: %v", err)
	}
}

// Many who want to know at once ask once.
func TestSEC_A13_OneQuestion(t *testing.T) {
	i := newIssuer(t)
	v, token := i.verifier(), []byte(i.token("one", i.claims()))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := v.Verify(context.Background(), token, i.find, noon); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := i.fetches(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestSEC_A13: an issuer is asked over a connection that is its own, at its own address,
// and bounded in all that it answers.
func TestSEC_A13_Connections(t *testing.T) {
	i := newIssuer(t)
	good := i.token("one", i.claims())
	const failed = "could not be fetched"
	refused(t, "not certified", oidc.New(oidc.Options{Loopback: true}), good, i.find, noon, oidc.CommunicationError, failed)
	refused(t, "on loopback", oidc.New(oidc.Options{Roots: i.roots()}), good, i.find, noon, oidc.CommunicationError, failed)
	refused(t, "an expired certificate", i.verifier(), longLived(i), i.find, noon.AddDate(100, 0, 0), oidc.CommunicationError, failed)
	for _, host := range []string{"169.254.169.254", "[fe80::1]", "[fd00:ec2::254]", "0.0.0.0", "224.0.0.1", "[::ffff:169.254.169.254]"} {
		c := i.claims()
		c["iss"] = "https://" + host + "/x"
		find := func(url string) (oidc.Provider, bool) { return oidc.Provider{URL: url, ClientIDs: []string{"a"}}, true }
		refused(t, host, i.verifier(), i.token("one", c), find, noon, oidc.CommunicationError, failed)
	}
	for name, h := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+i.url+"/elsewhere", http.StatusFound)
		},
		"of another issuer": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, map[string]any{"issuer": "https://evil.example", "jwks_uri": "https://" + i.url + "/jwks"})
		},
		"keys without TLS": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, map[string]any{"issuer": "https://" + i.url, "jwks_uri": "http://192.0.2.1/jwks"})
		},
		"keys in a file": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, map[string]any{"issuer": "https://" + i.url, "jwks_uri": "file:///etc/passwd"})
		},
		"keys at an address": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, map[string]any{"issuer": "https://" + i.url, "jwks_uri": "https://169.254.169.254/latest"})
		},
		"no keys": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, map[string]any{"issuer": "https://" + i.url})
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"a document too long": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"x":"` + strings.Repeat("x", 256<<10) + `"}`))
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusTeapot) },
	} {
		i.set(func() { i.handler = h })
		refused(t, name, i.verifier(), good, i.find, noon, oidc.CommunicationError, failed)
	}
	i.set(func() {
		i.handler = nil
		for n := range 101 {
			i.extra = append(i.extra, map[string]any{"kty": "oct", "kid": n})
		}
	})
	refused(t, "too many keys", i.verifier(), good, i.find, noon, oidc.CommunicationError, failed)
}

func longLived(i *issuer) string {
	c := i.claims()
	c["exp"] = noon.AddDate(101, 0, 0).Unix()
	return i.token("one", c)
}

// TestSEC_A13: a thumbprint stands for a certificate that nobody else vouches for, in one
// account, and for nothing else.
func TestSEC_A13_Thumbprints(t *testing.T) {
	i := newIssuer(t)
	good := i.token("one", i.claims())
	v := oidc.New(oidc.Options{Loopback: true})
	with := func(thumbprints ...string) func(string) (oidc.Provider, bool) {
		p := i.provider()
		p.Thumbprints = thumbprints
		return func(url string) (oidc.Provider, bool) { return p, url == i.url }
	}
	right := oidc.Thumbprint(i.server.Certificate())
	if _, err := v.Verify(context.Background(), []byte(good), with("00"+strings.Repeat("ab", 19), strings.ToUpper(right)), noon); err != nil {
		t.Errorf("by its thumbprint: %v", err)
	}
	refused(t, "another account, without it", v, good, with(), noon, oidc.CommunicationError, "could not be fetched")
	refused(t, "another thumbprint", v, good, with(strings.Repeat("ab", 20)), noon, oidc.CommunicationError, "could not be fetched")
	// What the certificate says of names and dates counts all the same.
	refused(t, "an expired certificate", oidc.New(oidc.Options{Loopback: true}), longLived(i), with(right), noon.AddDate(100, 0, 0), oidc.CommunicationError, "could not be fetched")
	i.url = strings.Replace(i.url, "127.0.0.1", "localhost", 1)
	refused(t, "another name", v, i.token("one", i.claims()), with(right), noon, oidc.CommunicationError, "could not be fetched")
}

// FuzzToken: nothing that we did not sign is ever accepted.
func FuzzToken(f *testing.F) {
	i := newIssuer(f)
	good := i.token("one", i.claims())
	v := i.verifier()
	if _, err := v.Verify(context.Background(), []byte(good), i.find, noon); err != nil {
		f.Fatal(err)
	}
	header, _, _ := strings.Cut(good, ".")
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(header + ".e30.AAAA")
	f.Add(compact(`{"alg":"none"}`, `{"iss":"https://`+i.url+`","exp":1e18}`, ""))
	f.Fuzz(func(t *testing.T, token string) {
		if got, err := v.Verify(context.Background(), []byte(token), i.find, noon); err == nil && token != good {
			t.Errorf("%q is %+v", token, got)
		}
	})
}
