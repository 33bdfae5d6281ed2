package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"trent/internal/backup"
	"trent/internal/config"
	"trent/internal/store"
	"trent/internal/store/etcd/etcdtest"
)

// elsewhere are the settings of a place for a restore, with the root of trust of another one.
func elsewhere(t *testing.T, from config.Store) config.Store {
	t.Helper()
	return config.Store{Dir: filepath.Join(t.TempDir(), "data"), Roots: []string{"file:" + filesOf(from).root}}
}

// backedUp is a backup of a store that nobody serves.
func backedUp(t *testing.T, c config.Store) string {
	t.Helper()
	st, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	return backupOf(t, c, st)
}

// backupOf is a backup of an open store.
func backupOf(t *testing.T, c config.Store, st store.Store) string {
	t.Helper()
	locators, err := locatorsOf(c)
	if err != nil {
		t.Fatal(err)
	}
	u, err := unseal(t.Context(), st, filesOf(c), locators, discard())
	if err != nil {
		t.Fatal(err)
	}
	n, err := st.(store.Snapshotter).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	_, err = backup.Write(t.Context(), &b, n, rootKeysPath, u.sealer, time.Now())
	if err := errors.Join(err, n.Close()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.backup")
	write(t, path, b.String())
	return path
}

func restored(t *testing.T, to config.Store, path, newRoot string) *Restored {
	t.Helper()
	r, err := Restore(t.Context(), to, path, newRoot, time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sameRecords wants that two stores have the same, but for the paths in except.
func sameRecords(t *testing.T, one, other map[string]store.Record, except ...string) {
	t.Helper()
	for _, path := range except {
		delete(one, path)
		delete(other, path)
	}
	if len(one) != len(other) {
		t.Errorf("%d records, not %d", len(other), len(one))
	}
	for path, r := range one {
		if !bytes.Equal(r.Value, other[path].Value) {
			t.Errorf("%s is another one", path)
		}
	}
}

func recordsIn(t *testing.T, c config.Store) map[string]store.Record {
	t.Helper()
	st, err := openStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	return stored(t, st)
}

// TestSEC_E15: a backup that was taken under writes is the store as it was at one revision, and
// whatever was encrypted before it began can be decrypted after a restore.
func TestSEC_E15_UnderWrites(t *testing.T) {
	dir := t.TempDir()
	s, cred := deployment(t, func(o *config.Serve) { o.BackupDir, o.BackupEvery, o.BackupKeep = dir, 24*time.Hour, 7 })
	url, stop := answering(t, s)
	var mu sync.Mutex
	var before []string
	var writers sync.WaitGroup
	end := make(chan struct{})
	begun := make(chan struct{}, 64)
	for range 8 {
		writers.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
				}
				id := keyIDOf(t, called(t, url, cred, "CreateKey", `{}`))
				sealed := sealedBy(t, called(t, url, cred, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"aGVsbG8="}`))
				called(t, url, cred, "RotateKeyOnDemand", `{"KeyId":"`+id+`"}`)
				mu.Lock()
				before = append(before, sealed)
				mu.Unlock()
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 16 {
		<-begun
	}
	var taken [][]string
	var names []string // of the backups; the schedule makes one more
	for range 3 {
		mu.Lock()
		taken = append(taken, append([]string(nil), before...))
		mu.Unlock()
		now := time.Now()
		s.backUp(t.Context(), now)
		names = append(names, backupName(now))
	}
	close(end)
	writers.Wait()
	stop()
	from := config.Store{Dir: s.files.dir}
	for i, name := range names {
		to := elsewhere(t, from)
		r := restored(t, to, filepath.Join(dir, name), "")
		wantSound(t, to)
		got := recordsIn(t, to)
		if len(got) != r.Copied {
			t.Errorf("%d records, and %d were copied", len(got), r.Copied)
		}
		for path, now := range stored(t, s.raw) {
			if uint64(now.Rev) <= r.Revision && !bytes.Equal(now.Value, got[path].Value) {
				t.Errorf("%s is of revision %d, and the backup, of %d, has another one", path, now.Rev, r.Revision)
			}
		}
		decrypts(t, to, cred, taken[i])
	}
}

func TestRestoreBetweenKindsOfStores(t *testing.T) {
	members := etcdtest.Start(t, 1, "--unsafe-no-fsync")
	c := tenanted(t)
	inEtcd := elsewhere(t, c)
	inEtcd.Kind, inEtcd.EtcdEndpoints, inEtcd.EtcdPrefix, inEtcd.EtcdTimeout = "etcd", members.Endpoints(), "trent/", 2*time.Second
	path := backedUp(t, c)
	restored(t, inEtcd, path, "")
	wantSound(t, inEtcd)
	sameRecords(t, recordsIn(t, c), recordsIn(t, inEtcd))
	if _, err := Restore(t.Context(), inEtcd, path, "", time.Now(), nil); !errors.Is(err, ErrStoreExists) {
		t.Errorf("over a store in etcd: %v", err)
	}
	// What was cut off is gone on with.
	st, err := openEtcd(t.Context(), inEtcd)
	if err != nil {
		t.Fatal(err)
	}
	_, err = st.Commit(t.Context(), store.Batch{Delete: []string{rootKeysPath, settingsPath}})
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	restored(t, inEtcd, path, "")
	sameRecords(t, recordsIn(t, c), recordsIn(t, inEtcd))

	back := elsewhere(t, c)
	restored(t, back, backedUp(t, inEtcd), "")
	wantSound(t, back)
	sameRecords(t, recordsIn(t, c), recordsIn(t, back))
	if err := open(t, back); err != nil {
		t.Error(err)
	}
}

// TestSEC_E15: with a new root of trust the old one opens the store no more.
func TestSEC_E15_AnotherRoot(t *testing.T) {
	c := tenanted(t)
	path := backedUp(t, c)
	to := elsewhere(t, c)
	phrase := filepath.Join(t.TempDir(), "phrase")
	write(t, phrase, "correct horse battery staple\n")
	r := restored(t, to, path, "passphrase:"+phrase)
	sameRecords(t, recordsIn(t, c), recordsIn(t, to), rootKeysPath, "log/head", newestEntry(t, to))
	if err := open(t, to); err == nil || !strings.Contains(err.Error(), "belongs to another root of trust") {
		t.Errorf("with the old root: %v", err)
	}
	to.Roots = []string{"passphrase:" + phrase}
	wantSound(t, to)
	if err := open(t, to); err != nil || r.Root != "passphrase:main" {
		t.Errorf("with the new root, %s: %v", r.Root, err)
	}
}

func newestEntry(t *testing.T, c config.Store) (path string) {
	t.Helper()
	for p := range recordsIn(t, c) {
		if strings.HasPrefix(p, "log/0") && p > path {
			path = p
		}
	}
	return path
}

func TestRestoreRefuses(t *testing.T) {
	c := tenanted(t)
	path := backedUp(t, c)
	there := c
	if _, err := Restore(t.Context(), there, path, "", time.Now(), nil); !errors.Is(err, ErrStoreExists) {
		t.Errorf("over a store: %v", err)
	}
	// One that has a finding is not restored, and nothing is written.
	for p := range recordsIn(t, c) {
		if strings.HasPrefix(p, "grant/") {
			past(t, c, store.Batch{Delete: []string{p}})
		}
	}
	to := elsewhere(t, c)
	if _, err := Restore(t.Context(), to, backedUp(t, c), "", time.Now(), nil); err == nil || !strings.Contains(err.Error(), "this record is missing") {
		t.Errorf("with a record missing: %v", err)
	}
	if _, err := os.Stat(to.Dir); !os.IsNotExist(err) {
		t.Errorf("it has made the directory (%v)", err)
	}
	// What was cut off is cleared away.
	if err := makeDir(to.Dir); err != nil {
		t.Fatal(err)
	}
	write(t, filesOf(to).store+restoringSuffix, "half of one")
	restored(t, to, path, "")
	wantSound(t, to)
	if got := listed(t, to.Dir); len(got) != 1 {
		t.Errorf("there are %q", got)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func sealedBy(t *testing.T, answer []byte) string {
	t.Helper()
	var out struct{ CiphertextBlob string }
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatal(err)
	}
	return out.CiphertextBlob
}

// decrypts wants that a restored store decrypts.
func decrypts(t *testing.T, c config.Store, cred aws.Credentials, sealed []string) {
	t.Helper()
	o := settingsFor("127.0.0.1:0")
	o.Regions = []string{"*"}
	s, err := Open(t.Context(), c, o, discard(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	url, stop := answering(t, s)
	for _, blob := range sealed {
		if got := called(t, url, cred, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`); !bytes.Contains(got, []byte("aGVsbG8=")) {
			t.Errorf("Decrypt: %s", got)
		}
	}
	if len(sealed) < 16 {
		t.Errorf("there were %d ciphertexts", len(sealed))
	}
	stop()
	closed(t, s)
}
