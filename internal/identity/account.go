package identity

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"trent/internal/arn"
	"trent/internal/iam"
	"trent/internal/seal"
)

// An account is a tenant: all that belongs to it, its keys and grants too, is
// sealed under a key of its own, which lies in the account's record, sealed under
// the root keys. A closed account is as if it were not there: its access keys sign
// for nobody, and what is sealed under its key is not unsealed, until it is opened
// again.

// ErrNoAccount says that there is no such account, or that it is closed.
var ErrNoAccount = errors.New("identity: there is no such account")

// standing is what an account's own record says of it.
type standing struct {
	name    string
	created time.Time
	closed  time.Time // zero: it is open
	shred   time.Time // zero: it is not to be shredded
	key     seal.PartKey
	others  []seal.PartKey // while its records are sealed anew: the next key, or those before

	shredded time.Time // zero: it is not. Else there are no keys
	cleared  bool      // there are no records any more that were sealed under them
}

// Name is what the account was called when it was made.
func (a *Account) Name() string { return a.standing.name }

// Created is when the account was made.
func (a *Account) Created() time.Time { return a.standing.created }

// Closed is when the account was closed, or the zero time.
func (a *Account) Closed() time.Time { return a.standing.closed }

// Exists reports whether the account has ever been made.
func (a *Account) Exists() bool { return a.rev > 0 }

// IsOpen reports whether anybody can sign for the account, and its keys be used.
func (a *Account) IsOpen() bool { return a.Exists() && a.standing.closed.IsZero() }

// NewAccount makes an account. Nobody can sign for it yet.
func NewAccount(id, name string, now time.Time) Change {
	key := seal.NewKey() // drawn once, however often the change is tried
	c := ofAccount(id, func(s *standing) { *s = standing{name: name, created: now, key: seal.PartKey{Key: key}} })
	c.fresh = true
	return c
}

// Close closes an account.
func Close(id string, now time.Time) Change {
	return ofAccount(id, func(s *standing) { s.closed = now })
}

// Reopen opens a closed account again, and it is not shredded then.
func Reopen(id string) Change {
	return ofAccount(id, func(s *standing) {
		if s.shredded.IsZero() {
			s.closed, s.shred = time.Time{}, time.Time{}
		}
	})
}

func ofAccount(id string, alter func(*standing)) Change { return Change{account: id, alter: alter} }

// Accounts lists all accounts, closed ones too, in the order of their ids.
func (v View) Accounts() []*Account {
	all := make([]*Account, 0, len(v.snap.accounts))
	for _, a := range v.snap.accounts {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *Account) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// FreeAccountID draws the id of an account that does not exist.
func (v View) FreeAccountID() string {
	for {
		var b [8]byte
		rand.Read(b[:])
		id := fmt.Sprintf("%012d", 1e11+binary.BigEndian.Uint64(b[:])%9e11)
		if !v.Account(id).Exists() {
			return id
		}
	}
}

// AccessKeyTaken reports whether some account has an access key of this id, in use or
// not.
func (v View) AccessKeyTaken(id string) bool {
	for _, a := range v.snap.accounts {
		if _, ok := a.Keys.ByID(id); ok {
			return true
		}
	}
	return false
}

// Principal is who a user, a role, a session of a role, or an account's root is in a
// decision; for explanations. A role stands for one of its sessions without a session
// policy.
func (v View) Principal(name string) (*iam.Principal, bool) {
	id, ok := v.UniqueID(name)
	if !ok {
		return nil, false
	}
	parsed, _ := arn.Parse(name)
	if arn.IsAccount(id) {
		return v.Account(id).principal(v.partition, &AccessKey{Account: id}), true
	}
	a := v.Account(parsed.Account)
	if _, isUser := a.Users.ByID(id); isUser {
		return a.principal(v.partition, &AccessKey{Account: a.ID, UserID: id}), true
	}
	roleID, session, isSession := strings.Cut(id, ":")
	if !isSession {
		session = "explained"
	}
	r, ok := a.Roles.ByID(roleID)
	if !ok {
		return nil, false
	}
	return v.SessionOf(r, session), true
}

// SessionOf is a session of a role, with the role's policies and nothing else.
func (v View) SessionOf(r *Role, name string) *iam.Principal {
	p := &iam.Principal{
		Kind: iam.RoleSession, Partition: v.partition, Account: r.Account, Name: name,
		ARN: arn.Session(v.partition, r.Account, r.Name, name), UniqueID: r.ID + ":" + name,
		RoleARN: v.ARN(r), RoleID: r.ID,
	}
	p.Tags = iamTags(r.Tags)
	p.Policies, p.Boundary = v.RolePolicies(r)
	return p
}

// Sealer is what seals and unseals the records of an account. Of one that is not
// there or closed, it is ErrNoAccount.
func (d *Directory) Sealer(account string) (*seal.Sealer, error) {
	a := d.snap.Load().accounts[account]
	if a == nil || !a.IsOpen() {
		return nil, ErrNoAccount
	}
	return a.sealer, nil
}

// CreateAccount makes an account without anybody's permission: that of a new
// deployment, or of a test.
func (d *Directory) CreateAccount(ctx context.Context, id, name string, now time.Time) error {
	if !arn.IsAccount(id) {
		return errors.New("identity: an account is named by 12 digits")
	}
	if err := d.Commit(ctx, d.View(), []Change{NewAccount(id, name, now)}, nil); err != nil {
		return fmt.Errorf("make account %s: %w", id, err)
	}
	return nil
}
