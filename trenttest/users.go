package trenttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"trent/internal/identity"
	"trent/internal/ledger"
	"trent/internal/root"
	"trent/internal/root/file"
	"trent/internal/seal"
	"trent/internal/server"
	"trent/internal/store/bolt"
)

type user struct {
	account, name string
	policies      []string
}

// addUsers writes users into the store of a server that is not running.
func addUsers(ctx context.Context, dir string, users []user, now time.Time) (_ map[string]aws.Credentials, err error) {
	if len(users) == 0 {
		return nil, nil
	}
	r, err := file.Open(filepath.Join(dir, "root.key"))
	if err != nil {
		return nil, err
	}
	st, err := bolt.Open(filepath.Join(dir, "trent.db"), bolt.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	container, err := st.Get(ctx, "sys/rootkeys")
	if err != nil {
		return nil, err
	}
	sealer, err := seal.Open(ctx, container.Value, []root.Root{r})
	if err != nil {
		return nil, err
	}
	l, err := ledger.Open(ctx, st, sealer, server.LedgerOptions(time.Now))
	if err != nil {
		return nil, err
	}
	d, err := identity.Open(ctx, l, sealer, "aws")
	if err != nil {
		return nil, err
	}
	made := make(map[string]aws.Credentials)
	for _, u := range users {
		k, err := d.Bootstrap(ctx, identity.Newcomer{Account: u.account, Name: u.name, Policies: u.policies}, now)
		if err != nil {
			return nil, err
		}
		made[u.name] = aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: string(k.Secret.Expose())}
	}
	return made, nil
}

// readCredentials reads the access key of a shared credentials file.
func readCredentials(path string) (aws.Credentials, error) {
	var c aws.Credentials
	b, err := os.ReadFile(path)
	if err != nil {
		return c, err
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		switch name {
		case "aws_access_key_id":
			c.AccessKeyID = value
		case "aws_secret_access_key":
			c.SecretAccessKey = value
		}
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return c, fmt.Errorf("%s holds no access key", path)
	}
	return c, nil
}
