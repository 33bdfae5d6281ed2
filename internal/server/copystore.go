package server

import (
	"context"
	"errors"
	"fmt"

	"trent/internal/config"
	"trent/internal/store"
	"trent/internal/store/bolt"
)

// CopyStore copies the records of one kind of store into another, and compares them. They stay
// sealed, so it needs no root of trust. No server may run on either; one on a file keeps it locked,
// and one on etcd is found by what it writes, if it does. It returns how many records there are.
func CopyStore(ctx context.Context, c config.Store, from, to string, tell func(done int)) (n int, err error) {
	if from == to {
		return 0, fmt.Errorf("--from and --to are both %s", from)
	}
	if err := checkDir(c.Dir); err != nil {
		return 0, err
	}
	c.Kind = from
	source, err := openStore(ctx, c)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	if _, err := source.Get(ctx, rootKeysPath); err != nil {
		return 0, fmt.Errorf("the store %s has no root keys (%w): it is not a store of Trent's", filesOf(c).store, err)
	}
	c.Kind = to
	target, err := openTarget(ctx, c)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	// The root keys go last: until then nobody takes the target for a store.
	return store.Copy(ctx, source, target, []string{settingsPath, rootKeysPath}, tell)
}

// openTarget opens what is to be copied into, and makes a file that is not there.
func openTarget(ctx context.Context, c config.Store) (store.Store, error) {
	path := filesOf(c).store
	if c.Kind == etcdKind {
		return openStore(ctx, c)
	}
	there, err := exists(path)
	if err != nil {
		return nil, err
	}
	if there {
		return bolt.Open(path, bolt.Options{})
	}
	return bolt.Create(path, bolt.Options{})
}
