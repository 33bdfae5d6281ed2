package sigv4_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/sigv4"
)

const (
	sessionID    = "ASIAIOSFODNN7EXAMPLE"
	sessionToken = "AQoDYXdzEJr"
)

var session = &iam.Principal{Partition: "aws", Account: "111122223333", ARN: "arn:aws:sts::111122223333:assumed-role/batch/one"}

// sessions is a verifier that knows one session, which is over at one o'clock.
func sessions() *sigv4.Verifier {
	c := credential("sessionsessionsessionsessionsessionsessi", 1)
	c.Principal, c.Expires = session, noon.Add(time.Hour)
	return sigv4.NewVerifier(directory{knownID: credential(knownSecret, 1), sessionID + "/" + sessionToken: c}, sigv4.Regions{Names: []string{"us-east-1"}})
}

func temporary(token string, at time.Time) (signer, *sigv4.Request) {
	s, r := newSigner(), plain()
	s.id, s.key = sessionID, "sessionsessionsessionsessionsessionsessi"
	r.Header["X-Amz-Date"] = []string{at.Format("20060102T150405Z")}
	r.Header["X-Amz-Security-Token"] = []string{token}
	return s, r
}

// TestSEC_A12: a session signs until it is over, and no longer; its token is signed,
// and belongs to its access key.
func TestSEC_A12_Sessions(t *testing.T) {
	v := sessions()
	s, r := temporary(sessionToken, noon)
	s.sign(r)
	if who, err := v.Verify(context.Background(), r, noon); err != nil || who.Principal != session {
		t.Fatalf("%v %v", who, err)
	}
	for name, c := range map[string]struct {
		bend func(*signer, *sigv4.Request)
		code string
	}{
		"another token":  {func(_ *signer, r *sigv4.Request) { r.Header["X-Amz-Security-Token"] = []string{"AQoDYXdzEJs"} }, "UnrecognizedClientException"},
		"no token":       {func(_ *signer, r *sigv4.Request) { delete(r.Header, "X-Amz-Security-Token") }, "UnrecognizedClientException"},
		"an empty token": {func(_ *signer, r *sigv4.Request) { r.Header["X-Amz-Security-Token"] = []string{""} }, "UnrecognizedClientException"},
		"a token of 4097 bytes": {func(_ *signer, r *sigv4.Request) {
			r.Header["X-Amz-Security-Token"] = []string{strings.Repeat("A", 4097)}
		}, "UnrecognizedClientException"},
		"two tokens": {func(_ *signer, r *sigv4.Request) {
			r.Header["X-Amz-Security-Token"] = []string{sessionToken, sessionToken}
		}, "InvalidSignatureException"},
		"with a long-term key": {func(s *signer, _ *sigv4.Request) { s.id, s.key = knownID, knownSecret }, "UnrecognizedClientException"},
		"another secret":       {func(s *signer, _ *sigv4.Request) { s.key = knownSecret }, "InvalidSignatureException"},
	} {
		s, r := temporary(sessionToken, noon)
		c.bend(&s, r)
		s.sign(r)
		_, err := v.Verify(context.Background(), r, noon)
		if string(fault.From(err).Code) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	s, r = temporary(sessionToken, noon)
	s.sign(r)
	r.Header["Authorization"] = []string{strings.Replace(r.Header["Authorization"][0], ";x-amz-security-token", "", 1)}
	mustRefuse(t, v, r, noon, sigv4.InvalidSignature, "There were x-amz-* headers present in the request which were not signed.")
}

func TestSEC_A12_ExpiredSession(t *testing.T) {
	v, over := sessions(), noon.Add(time.Hour)
	s, r := temporary(sessionToken, over.Add(-time.Second))
	s.sign(r)
	if _, err := v.Verify(context.Background(), r, over.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, v, r, over, sigv4.ExpiredToken, "The security token included in the request is expired")
	mustRefuse(t, v, r, over.Add(time.Minute), sigv4.ExpiredToken, "The security token included in the request is expired")
	// It is told to nobody who does not have the secret.
	s.key = knownSecret
	s.sign(r)
	if _, err := v.Verify(context.Background(), r, over); !fault.Is(err, sigv4.InvalidSignature) {
		t.Errorf("%v", err)
	}
}
