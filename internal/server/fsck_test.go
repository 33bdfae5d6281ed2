package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"trent/internal/config"
	"trent/internal/ledger"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

// tenanted is a data directory in which there is some of everything, and no server on it.
func tenanted(t *testing.T) config.Store {
	t.Helper()
	s, cred := deployment(t, nil)
	c := config.Store{Dir: s.files.dir}
	url, stop := answering(t, s)
	for _, body := range []string{`{}`, `{"KeySpec":"HMAC_256","KeyUsage":"GENERATE_VERIFY_MAC"}`, `{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY","Tags":[{"TagKey":"a","TagValue":"b"}]}`, `{"MultiRegion":true,"Origin":"EXTERNAL"}`} {
		called(t, url, cred, "CreateKey", body)
	}
	id := keyIDOf(t, called(t, url, cred, "CreateKey", `{"MultiRegion":true}`))
	called(t, url, cred, "CreateAlias", `{"AliasName":"alias/a","TargetKeyId":"`+id+`"}`)
	called(t, url, cred, "CreateGrant", `{"KeyId":"`+id+`","GranteePrincipal":"arn:aws:iam::111122223333:root","Operations":["Decrypt"],"Name":"n"}`)
	called(t, url, cred, "EnableKeyRotation", `{"KeyId":"`+id+`"}`)
	called(t, url, cred, "RotateKeyOnDemand", `{"KeyId":"`+id+`"}`)
	called(t, url, cred, "ReplicateKey", `{"KeyId":"`+id+`","ReplicaRegion":"eu-west-1"}`)
	called(t, url, cred, "ScheduleKeyDeletion", `{"KeyId":"`+keyIDOf(t, called(t, url, cred, "CreateKey", `{}`))+`","PendingWindowInDays":7}`)
	if err := s.sweepNow(); err != nil { // leaves the mark of the clock
		t.Fatal(err)
	}
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFsckFindsNothing(t *testing.T) {
	c := tenanted(t)
	r, err := Fsck(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		t.Error(f)
	}
	if r.Records < 20 || r.Passing == 0 || !r.Begun {
		t.Errorf("the report is %+v", r)
	}
}

// Each record that somebody takes out, or exchanges for another, is named.
func TestSEC_E02_EachRecord(t *testing.T) {
	c := tenanted(t)
	all := recordsOf(t, c)
	kept, err := os.ReadFile(filesOf(c).store)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, r := range all {
		if isPassing(r.Path) || r.Path == rootKeysPath || r.Path == settingsPath {
			continue // these it does not open without
		}
		other := all[random.IntN(len(all))]
		for name, b := range map[string]store.Batch{
			"deleted":   {Delete: []string{r.Path}},
			"exchanged": {Put: []store.Put{{Path: r.Path, Value: other.Value}}},
		} {
			if name == "exchanged" && bytes.Equal(other.Value, r.Value) {
				continue
			}
			past(t, c, b)
			report, err := Fsck(context.Background(), c)
			if err != nil || !names(report, r.Path) {
				t.Errorf("%s %s: %v, %v", name, r.Path, report, err)
			}
			write(t, filesOf(c).store, string(kept))
		}
	}
}

func isPassing(path string) bool {
	return slices.ContainsFunc(LedgerOptions(time.Now).Passing, func(p string) bool { return strings.HasPrefix(path, p) })
}

func names(r *ledger.Report, path string) bool {
	if r == nil {
		return false
	}
	for _, f := range r.Findings {
		if f.Path == path || f.Path == "" {
			return true
		}
	}
	return false
}

// A bit that is bent in the file is found, or is of no account: never is a record read that
// is another one than was written.
func TestSEC_E02_BentBits(t *testing.T) {
	c := tenanted(t)
	want := recordsOf(t, c)
	path := filesOf(c).store
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := bytes.TrimRight(kept, "\x00")
	random := rand.New(rand.NewPCG(3, 4))
	found := 0
	for range 250 {
		bent := bytes.Clone(kept)
		at := random.IntN(len(used))
		bent[at] ^= 1 << random.IntN(8)
		write(t, path, string(bent))
		report, err := Fsck(context.Background(), c)
		if err != nil || len(report.Findings) > 0 {
			found++
			continue
		}
		got := recordsOf(t, c)
		if len(got) != len(want) {
			t.Fatalf("byte %d: %d records, not %d, and nothing is found", at, len(got), len(want))
		}
		for i := range got {
			if !isPassing(want[i].Path) && (got[i].Path != want[i].Path || !bytes.Equal(got[i].Value, want[i].Value)) {
				t.Fatalf("byte %d: %s is another one, and nothing is found", at, want[i].Path)
			}
		}
	}
	if found == 0 {
		t.Error("none of the bits was in anything that matters")
	}
}

// A store that an older Trent has made is taken as it is, once; and a log that somebody took
// away is missed.
func TestSEC_E02_StoreWithoutALog(t *testing.T) {
	c := tenanted(t)
	withoutLog(t, c)
	past(t, c, deleteHead())
	if _, err := openSaying(t, c); err == nil || !strings.Contains(err.Error(), "somebody has removed it") {
		t.Fatalf("a log that was taken away: %v", err)
	}
	asOlder(t, c)
	log, err := openSaying(t, c)
	if err != nil || !strings.Contains(log, "the log of changes begins") {
		t.Fatalf("a store that never had one: %v, %s", err, log)
	}
	if r, err := Fsck(context.Background(), c); err != nil || len(r.Findings) > 0 {
		t.Fatalf("after that: %+v, %v", r, err)
	}
	if log, err := openSaying(t, c); err != nil || strings.Contains(log, "begins") {
		t.Fatalf("the second start: %v, %s", err, log)
	}
}

func deleteHead() store.Batch { return store.Batch{Delete: []string{"log/head"}} }

// withoutLog takes all entries away.
func withoutLog(t *testing.T, c config.Store) {
	for _, r := range recordsOf(t, c) {
		if strings.HasPrefix(r.Path, "log/") && r.Path != "log/head" {
			past(t, c, store.Batch{Delete: []string{r.Path}})
		}
	}
}

// asOlder makes the settings those of a Trent that had no log.
func asOlder(t *testing.T, c config.Store) {
	t.Helper()
	st := openRaw(t, c)
	roots, err := locatorsOf(c)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := st.Get(context.Background(), rootKeysPath)
	if err != nil {
		t.Fatal(err)
	}
	u, err := unsealWith(context.Background(), st, filesOf(c), rec.Value, roots[0])
	if err != nil {
		t.Fatal(err)
	}
	u.set.Ledger = 0
	_, err = putSettings(context.Background(), st, u.sealer, u.set, u.rev)
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
}

func openRaw(t *testing.T, c config.Store) *bolt.Store {
	t.Helper()
	st, err := bolt.Open(filesOf(c).store, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// past commits past Trent.
func past(t *testing.T, c config.Store, b store.Batch) {
	t.Helper()
	st := openRaw(t, c)
	_, err := st.Commit(context.Background(), b)
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
}

func recordsOf(t *testing.T, c config.Store) []store.Record {
	t.Helper()
	st := openRaw(t, c)
	all, err := st.List(context.Background(), "", "", 1<<20, false)
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	return all
}

// answering lets a server answer until stop is called.
func answering(t *testing.T, s *Server) (url string, stop func()) {
	t.Helper()
	l, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	return "http://" + l.Addr().String(), func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// called is the answer to a call that must succeed.
func called(t *testing.T, url string, cred aws.Credentials, target, body string) []byte {
	t.Helper()
	status, answer := answered(t, url, cred, target, body)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", target, status, answer)
	}
	return []byte(answer)
}

func keyIDOf(t *testing.T, created []byte) string {
	t.Helper()
	var out struct{ KeyMetadata struct{ KeyId string } }
	if err := json.Unmarshal(created, &out); err != nil {
		t.Fatal(err)
	}
	return out.KeyMetadata.KeyId
}
