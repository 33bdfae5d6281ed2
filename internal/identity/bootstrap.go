package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"trent/internal/arn"
)

// Root is the name under which Bootstrap makes an access key of an account's root
// user.
const Root = "root"

// A Newcomer is a user that is made without anybody's permission: the first
// administrator of a deployment, or one of a test.
type Newcomer struct {
	Account  string
	Name     string   // Root: the root user, which has no policies
	Policies []string // documents
	Attached []string // ARNs of managed policies
}

// Bootstrap makes a user and its first access key. It is not for requests: those
// go by the actions of IAM.
func (d *Directory) Bootstrap(ctx context.Context, n Newcomer, now time.Time) (*AccessKey, error) {
	if !arn.IsAccount(n.Account) || n.Name == "" || strings.Contains(n.Name, "/") {
		return nil, errors.New("identity: a user needs a 12-digit account and a name")
	}
	if !d.View().Account(n.Account).Exists() {
		if err := d.CreateAccount(ctx, n.Account, "", now); err != nil {
			return nil, err
		}
	}
	view := d.View()
	var changes []Change
	userID := ""
	if n.Name != Root {
		u, err := n.user(view, now)
		if err != nil {
			return nil, err
		}
		userID = u.ID
		changes = append(changes, Create(u))
	}
	k := NewAccessKey(n.Account, userID, now)
	if err := d.Commit(ctx, view, append(changes, Create(k)), nil); err != nil {
		return nil, fmt.Errorf("make user %s: %w", n.Name, err)
	}
	return k, nil
}

func (n Newcomer) user(v View, now time.Time) (*User, error) {
	if _, taken := v.Account(n.Account).Users.Named(n.Name); taken {
		return nil, fmt.Errorf("there is a user %s in account %s", n.Name, n.Account)
	}
	u := &User{Account: n.Account, ID: NewUserID(), Name: n.Name, Path: "/", Created: now}
	for i, text := range n.Policies {
		policy, err := ParsePolicy(text)
		if err != nil {
			return nil, fmt.Errorf("policy of user %s: %w", n.Name, err)
		}
		u.Put(InlinePolicy{fmt.Sprintf("policy-%d", i+1), policy})
	}
	for _, name := range n.Attached {
		if _, ok := v.Policy(n.Account, name); !ok {
			return nil, fmt.Errorf("there is no policy %s", name)
		}
		u.Attach(name)
	}
	return u, nil
}
