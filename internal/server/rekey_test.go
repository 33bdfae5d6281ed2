package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"trent/internal/config"
	"trent/internal/identity"
	"trent/internal/rekey"
	"trent/internal/root"
	"trent/internal/store"
)

// stored are all records.
func stored(t *testing.T, st store.Store) map[string]store.Record {
	t.Helper()
	all := make(map[string]store.Record)
	for after := ""; ; {
		recs, err := st.List(context.Background(), "", after, 100, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) == 0 {
			return all
		}
		for _, r := range recs {
			all[r.Path], after = r, r.Path
		}
	}
}

// A tenant is a key with all that hangs on it, and what was made with it.
type tenant struct {
	n          *node
	cred       aws.Credentials
	id, sealed string
}

func newTenant(t *testing.T, n *node, cred aws.Credentials) *tenant {
	t.Helper()
	var made keyAnswer
	var enc struct{ CiphertextBlob string }
	ask := func(action string, params, answer any) {
		t.Helper()
		if refused := n.ask(t, cred, action, params, answer); refused != "" {
			t.Fatalf("%s: %s", action, refused)
		}
	}
	ask("CreateKey", struct{}{}, &made)
	id := made.KeyMetadata.KeyID
	ask("CreateAlias", map[string]string{"AliasName": "alias/" + id, "TargetKeyId": id}, nil)
	ask("CreateGrant", map[string]any{"KeyId": id, "GranteePrincipal": "arn:aws:iam::111122223333:root", "Operations": []string{"Decrypt"}}, nil)
	ask("Encrypt", map[string]string{"KeyId": id, "Plaintext": "aGVsbG8="}, &enc)
	ask("RotateKeyOnDemand", map[string]string{"KeyId": id}, nil)
	return &tenant{n, cred, id, enc.CiphertextBlob}
}

// works fails unless everything of the tenant is as it was.
func (k *tenant) works(t *testing.T, n *node) {
	t.Helper()
	var opened struct{ Plaintext string }
	if refused := n.ask(t, k.cred, "Decrypt", map[string]string{"CiphertextBlob": k.sealed}, &opened); refused != "" || opened.Plaintext != "aGVsbG8=" {
		t.Fatalf("Decrypt: %s %q", refused, opened.Plaintext)
	}
	var grants struct{ Grants []struct{ GrantId string } }
	if refused := n.ask(t, k.cred, "ListGrants", map[string]string{"KeyId": k.id}, &grants); refused != "" || len(grants.Grants) != 1 {
		t.Fatalf("ListGrants: %s %v", refused, grants)
	}
	for _, action := range []string{"DescribeKey", "GenerateDataKeyWithoutPlaintext"} {
		if refused := n.ask(t, k.cred, action, map[string]any{"KeyId": "alias/" + k.id, "NumberOfBytes": 32}, nil); refused != "" && action != "DescribeKey" {
			t.Fatalf("%s: %s", action, refused)
		}
	}
}

// on starts a deployment that listens, with three keys, a user and a closed account.
func rekeyWorld(t *testing.T) (*node, []*tenant) {
	t.Helper()
	s, cred := deployment(t, nil)
	n := listening(t, s)
	for _, id := range []string{"444455556666", "777788889999"} {
		if err := s.users.CreateAccount(t.Context(), id, "", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.users.Commit(t.Context(), s.users.View(), []identity.Change{identity.Close("777788889999", time.Now())}, nil); err != nil {
		t.Fatal(err)
	}
	return n, []*tenant{newTenant(t, n, cred), newTenant(t, n, cred)}
}

// listening lets a server listen that the test closes.
func listening(t *testing.T, s *Server) *node {
	t.Helper()
	l, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &node{s, "http://" + l.Addr().String() + "/"}
}

func (n *node) rootAtHand(t *testing.T) []root.Root {
	t.Helper()
	roots, err := n.openRoots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return roots
}

// underOld lists the records whose header names a key that is not the newest one.
func underOld(t *testing.T, st store.Store, newest uint32) (paths []string) {
	t.Helper()
	for path, rec := range stored(t, st) {
		v, kind := rec.Value, strings.SplitN(path, "/", 2)[0]
		switch kind {
		case "material":
			v = v[2+int(v[1]):]
		case "key", "alias", "keystores", "grant", "lastuse", "identity":
		case "sys":
			if path == rootKeysPath {
				continue
			}
		default:
			continue
		}
		if binary.BigEndian.Uint32(v[1:5]) != newest {
			paths = append(paths, path)
		}
	}
	return paths
}

func TestRekey(t *testing.T) {
	n, tenants := rekeyWorld(t)
	before := stored(t, n.store)
	if err := n.rekey.Start(t.Context(), n.rootAtHand(t), nil, false); err != nil {
		t.Fatal(err)
	}
	if err := n.rekey.Start(t.Context(), n.rootAtHand(t), nil, false); !errors.Is(err, rekey.ErrUnderWay) {
		t.Errorf("a second one: %v", err)
	}
	if retired, err := n.rekey.Work(t.Context()); err != nil || retired {
		t.Fatalf("%t, %v", retired, err)
	}
	if left := underOld(t, n.store, 2); len(left) > 0 {
		t.Errorf("still sealed under the old keys: %q", left)
	}
	for _, k := range tenants {
		k.works(t, n)
	}
	// A session that was made before goes on until the old key is dropped.
	if state, on, err := n.rekey.Progress(t.Context()); err != nil || !on || state.Retire-state.Resealed != rekey.Grace.Milliseconds() {
		t.Fatalf("%+v, %t, %v", state, on, err)
	}
	if retired, err := n.rekey.Work(t.Context()); err != nil || retired {
		t.Fatalf("within the grace: %t, %v", retired, err)
	}
	later := time.Now().Add(rekey.Grace + time.Hour)
	n.rekey.Now = func() time.Time { return later }
	if retired, err := n.rekey.Work(t.Context()); err != nil || !retired {
		t.Fatalf("after the grace: %t, %v", retired, err)
	}
	for _, k := range tenants {
		k.works(t, n)
	}
	// Nothing of what was in the store before opens with what is there now.
	for path, rec := range before {
		if _, err := n.sealer.Open(path, rec.Value); err == nil {
			t.Errorf("an old copy of %s opens", path)
		}
		if value, ours, err := n.ring.Reseal(rec, n.users.AccountSealer); ours && err == nil && value != nil {
			t.Errorf("an old copy of %s opens", path)
		}
	}
	if _, on, err := n.rekey.Progress(t.Context()); on || err != nil {
		t.Errorf("%t, %v", on, err)
	}
	if err := n.rekey.Start(t.Context(), n.rootAtHand(t), nil, true); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// A root of trust that is gone stops it before anything has changed.
func TestRekeyWithoutARoot(t *testing.T) {
	n, tenants := rekeyWorld(t)
	was := stored(t, n.store)[rootKeysPath]
	if err := os.Rename(n.files.root, n.files.root+".away"); err != nil {
		t.Fatal(err)
	}
	err := n.Rekey(t.Context(), nil, false)
	if err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Errorf("%v", err)
	}
	if is := stored(t, n.store)[rootKeysPath]; is.Rev != was.Rev {
		t.Error("the container was written")
	}
	if err := os.Rename(n.files.root+".away", n.files.root); err != nil {
		t.Fatal(err)
	}
	tenants[0].works(t, n)
}

// A dying store is one of which the process ends with a commit: with the n-th, before it or after.
type dyingStore struct {
	store.Store
	left  int
	after bool
}

var errDied = errors.New("the process has ended")

func (s *dyingStore) Commit(ctx context.Context, b store.Batch) (store.Rev, error) {
	if s.left--; s.left > 0 {
		return s.Store.Commit(ctx, b)
	}
	if s.left == 0 && s.after {
		if _, err := s.Store.Commit(ctx, b); err != nil {
			return 0, err
		}
	}
	return 0, errDied
}

// A server that ends at any commit of it goes on after a start, and no key is lost.
func TestRekeyCutOff(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			t.Run(fmt.Sprintf("%d, committed: %t", at, after), func(t *testing.T) {
				if !rekeyCutOff(t, at, after) {
					at = -1
				}
			})
			if at < 0 {
				break
			}
		}
	}
}

// hourly is a clock on which nobody waits: an hour goes by whenever it is asked.
func hourly() func() time.Time {
	var asked atomic.Int64
	began := time.Now()
	return func() time.Time { return began.Add(time.Duration(asked.Add(1)) * time.Hour) }
}

func rekeyCutOff(t *testing.T, at int, after bool) (cut bool) {
	s, cred := deployment(t, nil)
	k := newTenant(t, listening(t, s), cred)
	o := s.rekey.Options
	o.Store = &dyingStore{o.Store, at, after}
	now := hourly()
	o.Now = now
	dying := rekey.New(o)
	err := dying.Start(t.Context(), (&node{s, ""}).rootAtHand(t), nil, true)
	if err == nil {
		o.Store.(*dyingStore).left-- // counts on
		_, err = dying.Work(t.Context())
	}
	if err != nil && !errors.Is(err, errDied) && !strings.Contains(err.Error(), errDied.Error()) {
		t.Fatal(err)
	}
	c := config.Store{Dir: filepath.Join(t.TempDir(), "copy")}
	copyDeployment(t, s, c.Dir)
	again, errOpen := Open(t.Context(), c, settingsFor("127.0.0.1:0"), slog.New(slog.DiscardHandler), time.Now)
	if errOpen != nil {
		t.Fatalf("the start after it: %v", errOpen)
	}
	t.Cleanup(func() {
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
	n := listening(t, again)
	k.works(t, n)
	n.rekey.Now = now
	if _, on, err := n.rekey.Progress(t.Context()); err != nil {
		t.Fatal(err)
	} else if on {
		if retired, err := n.rekey.Work(t.Context()); err != nil || !retired {
			t.Fatalf("it does not go on: %t, %v", retired, err)
		}
		if left := underOld(t, n.store, 2); len(left) > 0 {
			t.Errorf("still sealed under the old keys: %q", left)
		}
	}
	k.works(t, n)
	return err != nil
}

// copyDeployment copies a data directory as it is at one moment.
func copyDeployment(t *testing.T, s *Server, to string) {
	t.Helper()
	if err := os.Mkdir(to, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{s.files.store, s.files.root} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, filepath.Base(name)), string(text))
	}
}

// Two nodes use a key all the while as one of them brings in a root key, and the other makes keys.
func TestRekeyOnTwoNodes(t *testing.T) {
	nodes, admin, _ := cluster(t, 2)
	a, b := nodes[0], nodes[1]
	tenants := []*tenant{newTenant(t, a, admin), newTenant(t, b, admin)}
	a.rekey.Now = hourly()
	if err := a.Rekey(t.Context(), nil, true); err != nil {
		t.Fatal(err)
	}
	for underWay := true; underWay; {
		tenants = append(tenants, newTenant(t, b, admin))
		for _, k := range tenants {
			k.works(t, a)
			k.works(t, b)
		}
		var err error
		if _, underWay, err = b.rekey.Progress(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range tenants {
		k.works(t, a)
		k.works(t, b)
	}
}
