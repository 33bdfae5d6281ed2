package bolt

import (
	"path/filepath"
	"testing"

	"trent/internal/store"
	"trent/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		path := filepath.Join(t.TempDir(), "store")
		s, err := Create(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		return func() store.Store {
			s, err := Open(path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}
