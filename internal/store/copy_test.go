package store_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"trent/internal/store"
	"trent/internal/store/bolt"
	"trent/internal/store/etcd"
	"trent/internal/store/etcd/etcdtest"
)

func inFile(t *testing.T) store.Store {
	t.Helper()
	s, err := bolt.Create(filepath.Join(t.TempDir(), "store"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func write(t *testing.T, s store.Store, path, value string) {
	t.Helper()
	if _, err := s.Commit(t.Context(), store.Batch{Put: []store.Put{{Path: path, Value: []byte(value)}}}); err != nil {
		t.Fatal(err)
	}
}

func filled(t *testing.T) (store.Store, int) {
	t.Helper()
	s := inFile(t)
	for i := range 300 {
		write(t, s, fmt.Sprintf("key/%03d", i*37%300), strings.Repeat("v", i+1))
	}
	write(t, s, "sys/rootkeys", "root keys")
	write(t, s, "large", strings.Repeat("v", store.MaxValue))
	return s, 302
}

// From a file into a cluster and back: everything is there.
func TestCopyThereAndBack(t *testing.T) {
	from, n := filled(t)
	cluster, err := etcd.Open(t.Context(), etcd.Options{Endpoints: etcdtest.Start(t, 1, "--unsafe-no-fsync").Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	back := inFile(t)
	for _, way := range [][2]store.Store{{from, cluster}, {cluster, back}, {from, back}} { // the last finds all there
		if got, err := store.Copy(t.Context(), way[0], way[1], []string{"sys/rootkeys", "none"}, nil); err != nil || got != n {
			t.Fatalf("Copy = %d, %v; want %d", got, err, n)
		}
	}
}

// dying is a store that fails after some commits.
type dying struct {
	store.Store
	left int
}

func (d *dying) Commit(ctx context.Context, b store.Batch) (store.Rev, error) {
	if d.left--; d.left < 0 {
		return 0, store.ErrUnavailable
	}
	return d.Store.Commit(ctx, b)
}

// Wherever a copy is cut off, the next one finishes it; and until then the record that a
// store is known by is not there.
func TestCopyResumes(t *testing.T) {
	from, n := filled(t)
	to := inFile(t)
	for commits := 0; ; commits++ {
		got, err := store.Copy(t.Context(), from, &dying{to, 1}, []string{"sys/rootkeys"}, nil)
		if err == nil {
			if got != n || commits < 3 {
				t.Fatalf("%d records after %d interruptions; want %d", got, commits, n)
			}
			return
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatal(err)
		}
		if _, err := to.Get(t.Context(), "sys/rootkeys"); err == nil && commits < 3 {
			t.Fatal("the root keys were there before the rest")
		}
	}
}

func TestCopyNeverOverwrites(t *testing.T) {
	for name, spoil := range map[string]func(to store.Store){
		"another value": func(to store.Store) { write(t, to, "key/007", "other") },
		"one more":      func(to store.Store) { write(t, to, "key/more", "other") },
	} {
		from, _ := filled(t)
		to := inFile(t)
		spoil(to)
		before, _ := to.Get(t.Context(), "key/007")
		if _, err := store.Copy(t.Context(), from, to, nil, nil); !errors.Is(err, store.ErrDiffers) || !strings.Contains(err.Error(), "key/") {
			t.Errorf("%s: %v; want ErrDiffers, with the path", name, err)
		}
		if after, _ := to.Get(t.Context(), "key/007"); before.Rev != 0 && after.Rev != before.Rev {
			t.Errorf("%s: it was overwritten", name)
		}
	}
}
