package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"trent/internal/config"
	"trent/internal/identity"
	"trent/internal/ledger"
)

func openAnchored(t *testing.T, c config.Store, accept bool, places ...string) (*Server, error) {
	t.Helper()
	o := settingsFor("127.0.0.1:0")
	o.Anchors, o.AcceptRollback, o.Regions = places, accept, []string{"*"}
	return Open(context.Background(), c, o, slog.New(slog.DiscardHandler), time.Now)
}

func closed(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// What was given out before a rollback was accepted is void after it: a session, and a grant
// token.
func TestSEC_E03_TokensEnd(t *testing.T) {
	c := tenanted(t)
	cred := readCredentials(t, CredentialsFile(c))
	place := "file:" + filepath.Join(t.TempDir(), "anchor")
	yesterday, err := os.ReadFile(filesOf(c).store)
	if err != nil {
		t.Fatal(err)
	}
	s, err := openAnchored(t, c, false, place)
	if err != nil {
		t.Fatal(err)
	}
	url, stop := answering(t, s)
	created := called(t, url, cred, "CreateKey", `{}`)
	now := time.Now()
	long, err := s.users.Credential(context.Background(), cred.AccessKeyID, "")
	if err != nil {
		t.Fatal(err)
	}
	session, _, err := s.users.View().IssueSession(&identity.Session{
		Account: long.Principal.Account, UserID: long.Principal.UniqueID, KeyID: cred.AccessKeyID, Issued: now, Expires: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	temporary := aws.Credentials{AccessKeyID: session.AccessKeyID, SecretAccessKey: string(session.Secret.Expose()), SessionToken: string(session.Token.Expose())}
	called(t, url, temporary, "ListKeys", `{}`)
	stop()
	closed(t, s)

	write(t, filesOf(c).store, string(yesterday))
	if _, err := openAnchored(t, c, false, place); !errors.Is(err, ledger.ErrRolledBack) {
		t.Fatalf("yesterday's store: %v", err)
	}
	s, err = openAnchored(t, c, true, place)
	if err != nil {
		t.Fatal(err)
	}
	url, stop = answering(t, s)
	if status, text := answered(t, url, temporary, "ListKeys", `{}`); status == http.StatusOK {
		t.Errorf("the session goes on: %s", text)
	}
	if status, text := answered(t, url, cred, "DescribeKey", `{"KeyId":"`+keyIDOf(t, created)+`"}`); !strings.Contains(text, "NotFoundException") {
		t.Errorf("the key of today: %d %s", status, text)
	}
	stop()
	closed(t, s)
	if s, err = openAnchored(t, c, false, place); err != nil {
		t.Fatalf("the start after it: %v", err)
	}
	closed(t, s)
}

// Of two anchors one may be silent, if the other one vouches; neither may contradict.
func TestSEC_E03_TwoAnchors(t *testing.T) {
	c := tenanted(t)
	dir := t.TempDir()
	one, two, gone := "file:"+filepath.Join(dir, "one"), "file:"+filepath.Join(dir, "two"), "file:"+filepath.Join(dir, "gone", "x")
	yesterday, err := os.ReadFile(filesOf(c).store)
	if err != nil {
		t.Fatal(err)
	}
	for _, places := range [][]string{{one, two}, {one, gone}} {
		s, err := openAnchored(t, c, false, places...)
		if err != nil {
			t.Fatalf("%v: %v", places, err)
		}
		if err := s.ledger.RaiseEpoch(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
		closed(t, s)
	}
	if _, err := openAnchored(t, c, false, gone); err == nil || !strings.Contains(err.Error(), "No anchor vouches") {
		t.Errorf("with none that answers: %v", err)
	}
	write(t, filesOf(c).store, string(yesterday))
	empty := "file:" + filepath.Join(dir, "empty")
	if _, err := openAnchored(t, c, false, empty, two); !errors.Is(err, ledger.ErrRolledBack) {
		t.Errorf("with one that contradicts: %v", err)
	}
	s, err := openAnchored(t, c, false)
	if err != nil {
		t.Fatalf("without an anchor nobody notices: %v", err)
	}
	closed(t, s)
}

// A store that lost its log cannot pass for one that never had any, if there is an anchor.
func TestSEC_E03_WithoutALog(t *testing.T) {
	c := tenanted(t)
	place := "file:" + filepath.Join(t.TempDir(), "anchor")
	s, err := openAnchored(t, c, false, place)
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	withoutLog(t, c)
	asOlder(t, c)
	past(t, c, deleteHead())
	if _, err := openAnchored(t, c, false, place); !errors.Is(err, ledger.ErrRolledBack) {
		t.Errorf("a store whose log is gone: %v", err)
	}
}

// answered is called without the wish that it succeeds.
func answered(t *testing.T, url string, cred aws.Credentials, target, body string) (int, string) {
	t.Helper()
	r := request(t, cred, target, body)
	r.Host, r.URL.Host, r.Body = r.URL.Host, strings.TrimPrefix(url, "http://"), io.NopCloser(strings.NewReader(body))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}
