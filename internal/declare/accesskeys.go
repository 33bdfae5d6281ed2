package declare

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"trent/internal/action"
	"trent/internal/secret"
)

// accessKeys makes those that are missing. None is ever deleted.
func (e *entity) accessKeys(ctx context.Context) error {
	if e.wanted.AccessKeys == 0 {
		return nil
	}
	now, err := e.names(ctx, "ListAccessKeys", func(l *listed) []string { return l.Keys })
	if err != nil {
		return err
	}
	for range e.wanted.AccessKeys - len(now) {
		add(e.phase, action.Creates, e.label, "access key", e.makeAccessKey)
	}
	return nil
}

// makeAccessKey makes an access key and hands its secret on at once. One whose secret
// cannot be kept is of no use to anybody, so it is deleted again.
func (e *entity) makeAccessKey(ctx context.Context) error {
	others, err := e.keysNow(ctx)
	if err != nil {
		return err
	}
	var made result[struct {
		ID     string `xml:"AccessKey>AccessKeyId"`
		Secret []byte `xml:"AccessKey>SecretAccessKey"`
	}]
	if err := e.iam(ctx, e.account, "CreateAccessKey", &made, "UserName", e.wanted.Name); err != nil {
		return err
	}
	k := action.DeclaredKey{Account: e.account, User: e.wanted.Name, ID: made.Is.ID, Secret: secret.New(made.Is.Secret), File: e.wanted.AccessKeyFile}
	if len(others) > 0 {
		k.Other = others[0]
	}
	if e.keep != nil {
		if err := e.keep(k); err != nil {
			err = fmt.Errorf("the secret of its access key could not be written down, so the key is deleted again: %w", err)
			return errors.Join(err, e.iam(ctx, e.account, "DeleteAccessKey", nil, "UserName", e.wanted.Name, "AccessKeyId", k.ID))
		}
	}
	e.made.AccessKeys = append(e.made.AccessKeys, k)
	return nil
}

func (e *entity) keysNow(ctx context.Context) ([]string, error) {
	var now result[listed]
	err := e.iam(ctx, e.account, "ListAccessKeys", &now, "UserName", e.wanted.Name)
	return now.Is.Keys, err
}

// fixedKeys makes the access keys that the declaration has chosen, in dev mode. What a
// key of the same id has for a secret is not to be found out, and is left.
func (e *entity) fixedKeys(ctx context.Context) error {
	if len(e.wanted.Fixed) == 0 {
		return nil
	}
	now, err := e.names(ctx, "ListAccessKeys", func(l *listed) []string { return l.Keys })
	if err != nil {
		return err
	}
	for _, k := range e.wanted.Fixed {
		if slices.Contains(now, k.ID) {
			continue
		}
		add(e.phase, action.Creates, e.label, "fixed access key "+k.ID, func(ctx context.Context) error {
			return e.admin(ctx, "CreateFixedAccessKey", nil, "AccountId", e.account, "UserName", e.wanted.Name, "AccessKeyId", k.ID, "SecretAccessKey", string(k.Secret.Expose()))
		})
	}
	return nil
}
