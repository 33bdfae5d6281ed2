// Package identity knows who is who: accounts, their users, and the access
// keys that sign for them. It implements sigv4.Keys.
//
// This is its first cut: the root user of each account and users with inline
// policies, made at initialisation. They lie sealed in the same store as keys,
// and are read whole at the start, so that looking up an access key that does
// not exist takes no longer than one that does.
package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fxamacker/cbor/v2"

	"trent/internal/arn"
	"trent/internal/iam"
	"trent/internal/seal"
	"trent/internal/secret"
	"trent/internal/sigv4"
	"trent/internal/store"
)

const (
	userPrefix      = "identity/user/"
	accessKeyPrefix = "identity/accesskey/"

	recordVersion = 1
	page          = 256
)

// Administrator is the identity policy of the bootstrap administrator.
const Administrator = `{"Version":"2012-10-17","Statement":[{"Sid":"Administrator","Effect":"Allow","Action":"*","Resource":"*"}]}`

// A User of an account. The root user has the name "root" and no policies: it
// is its account.
type User struct {
	Account  string
	Name     string
	UniqueID string
	Policies []string // documents
}

// An AccessKey as it is shown once, to its owner.
type AccessKey struct {
	ID     string
	Secret secret.Bytes
}

// encodedUser lies at identity/user/<account>/<name>.
type encodedUser struct {
	UniqueID string   `cbor:"1,keyasint"`
	Policies []string `cbor:"2,keyasint,omitempty"`
	Created  int64    `cbor:"3,keyasint"` // Unix milliseconds
}

// encodedAccessKey lies at identity/accesskey/<id>.
type encodedAccessKey struct {
	Account string `cbor:"1,keyasint"`
	User    string `cbor:"2,keyasint"`
	Secret  []byte `cbor:"3,keyasint"`
	Created int64  `cbor:"4,keyasint"` // Unix milliseconds
}

// Directory is all identities of a store. It may be used by many goroutines.
type Directory struct {
	store     store.Store
	seal      *seal.Sealer
	partition string
	keys      atomic.Pointer[map[string]sigv4.Credential] // by access key id; replaced, never changed
}

// Open reads all identities of a store.
func Open(ctx context.Context, st store.Store, s *seal.Sealer, partition string) (*Directory, error) {
	d := &Directory{store: st, seal: s, partition: partition}
	return d, d.reload(ctx)
}

// Credential implements sigv4.Keys.
func (d *Directory) Credential(_ context.Context, accessKeyID string) (sigv4.Credential, error) {
	c, ok := (*d.keys.Load())[accessKeyID]
	if !ok {
		return sigv4.Credential{}, sigv4.ErrUnknownKey
	}
	return c, nil
}

// CreateUser makes a user and its first access key.
func (d *Directory) CreateUser(ctx context.Context, u User, now time.Time) (AccessKey, error) {
	if !arn.IsAccount(u.Account) || u.Name == "" || strings.Contains(u.Name, "/") {
		return AccessKey{}, errors.New("identity: a user needs a 12-digit account and a name")
	}
	for _, text := range u.Policies {
		policy, err := parsePolicy(text)
		if err != nil {
			return AccessKey{}, fmt.Errorf("policy of user %s: %w", u.Name, err)
		}
		if policy.NamesPrincipals() {
			return AccessKey{}, fmt.Errorf("policy of user %s: a policy of a user speaks for that user and has no Principal", u.Name)
		}
	}
	if u.UniqueID == "" {
		u.UniqueID = uniqueID("AIDA")
	}
	k := AccessKey{ID: uniqueID("AKIA"), Secret: newSecret()}
	var b store.Batch
	err := errors.Join(
		d.put(&b, userPath(u.Account, u.Name), encodedUser{u.UniqueID, u.Policies, now.UnixMilli()}),
		d.put(&b, accessKeyPrefix+k.ID, encodedAccessKey{u.Account, u.Name, k.Secret.Expose(), now.UnixMilli()}))
	if err != nil {
		return AccessKey{}, err
	}
	if _, err := d.store.Commit(ctx, b); err != nil {
		return AccessKey{}, fmt.Errorf("create user %s: %w", u.Name, err)
	}
	return k, d.reload(ctx)
}

func userPath(account, name string) string { return userPrefix + account + "/" + name }

// put adds a record that must not exist yet.
func (d *Directory) put(b *store.Batch, path string, v any) error {
	body, err := cbor.Marshal(v)
	if err != nil {
		return fmt.Errorf("identity: encode: %w", err)
	}
	sealed, err := d.seal.Seal(path, append([]byte{recordVersion}, body...))
	if err != nil {
		return err
	}
	b.If = append(b.If, store.Condition{Path: path})
	b.Put = append(b.Put, store.Put{Path: path, Value: sealed})
	return nil
}

// reload reads everything and replaces what Credential answers from.
func (d *Directory) reload(ctx context.Context) error {
	users := make(map[string]*encodedUser)
	err := each(ctx, d, userPrefix, func(path string, u *encodedUser, _ store.Rev) error {
		users[strings.TrimPrefix(path, userPrefix)] = u
		return nil
	})
	if err != nil {
		return err
	}
	keys := make(map[string]sigv4.Credential)
	err = each(ctx, d, accessKeyPrefix, func(path string, k *encodedAccessKey, rev store.Rev) error {
		id := strings.TrimPrefix(path, accessKeyPrefix)
		u := users[k.Account+"/"+k.User]
		if u == nil {
			return nil // its user is gone: the key signs for nobody
		}
		p, err := d.principal(k, u, id)
		if err != nil {
			return err
		}
		keys[id] = sigv4.Credential{Secret: secret.New(k.Secret), Revision: uint64(rev), Principal: p}
		return nil
	})
	if err != nil {
		return err
	}
	d.keys.Store(&keys)
	return nil
}

func (d *Directory) principal(k *encodedAccessKey, u *encodedUser, id string) (*iam.Principal, error) {
	p := &iam.Principal{
		Kind: iam.User, Name: k.User,
		Partition: d.partition, Account: k.Account, UniqueID: u.UniqueID, AccessKeyID: id,
		ARN: "arn:" + d.partition + ":iam::" + k.Account + ":user/" + k.User,
	}
	if k.User == Root {
		p.ARN = arn.AccountRoot(d.partition, k.Account)
		p.Kind, p.Name = iam.RootUser, ""
	}
	for _, text := range u.Policies {
		policy, err := parsePolicy(text)
		if err != nil {
			return nil, fmt.Errorf("policy of user %s in account %s: %w", k.User, k.Account, err)
		}
		p.Policies = append(p.Policies, policy)
	}
	return p, nil
}

// parsePolicy takes only what can be evaluated without the request's context,
// which nobody supplies yet.
func parsePolicy(text string) (*iam.Policy, error) {
	policy, err := iam.Parse(text)
	if err == nil && policy.NeedsContext() {
		return nil, fmt.Errorf("%w: Condition or a policy variable", iam.ErrUnsupported)
	}
	return policy, err
}

// Root is the name of the root user of every account.
const Root = "root"

// each reads all records under a prefix.
func each[T any](ctx context.Context, d *Directory, prefix string, f func(path string, v *T, rev store.Rev) error) error {
	after := ""
	for {
		recs, err := d.store.List(ctx, prefix, after, page, false)
		if err != nil {
			return fmt.Errorf("read identities: %w", err)
		}
		for _, rec := range recs {
			after = rec.Path
			content, err := d.seal.Open(rec.Path, rec.Value)
			if err != nil {
				return fmt.Errorf("unseal %s: %w", rec.Path, err)
			}
			v := new(T)
			if len(content) == 0 || content[0] != recordVersion || cbor.Unmarshal(content[1:], v) != nil {
				return fmt.Errorf("%s has a form that this Trent does not read", rec.Path)
			}
			if err := f(rec.Path, v, rec.Rev); err != nil {
				return err
			}
		}
		if len(recs) < page {
			return nil
		}
	}
}

// uniqueID draws an identifier in the form of IAM's: a prefix that tells its
// kind, and 16 characters of base32.
func uniqueID(prefix string) string {
	b := make([]byte, 10)
	rand.Read(b)
	return prefix + base32.StdEncoding.EncodeToString(b)
}

// newSecret draws a secret access key: 30 bytes as 40 characters.
func newSecret() secret.Bytes {
	b := make([]byte, 30)
	rand.Read(b)
	s := make([]byte, 40)
	base64.StdEncoding.Encode(s, b)
	return secret.New(s)
}
