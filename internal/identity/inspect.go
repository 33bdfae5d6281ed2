package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"trent/internal/record"
	"trent/internal/seal"
	"trent/internal/store"
)

// An Inspector opens the records of a store, one by one, to see that they can be opened. Unlike
// a Directory it goes on where one cannot, and opens those of closed accounts.
type Inspector struct {
	seal     *seal.Sealer
	accounts map[string]*seal.Sealer // nil: it was shredded
}

// Lister is the part of a store, or of a snapshot of one, that an Inspector reads accounts from.
type Lister interface {
	List(ctx context.Context, prefix, after string, limit int, keysOnly bool) ([]store.Record, error)
}

// NewInspector reads the accounts of a store, under whose keys all else of them is sealed.
// One that does not open is passed over: Inspect says what is wrong with it.
func NewInspector(ctx context.Context, from Lister, s *seal.Sealer) (*Inspector, error) {
	i := &Inspector{seal: s, accounts: make(map[string]*seal.Sealer)}
	after := ""
	for {
		recs, err := from.List(ctx, accountPrefix, after, page, false)
		if err != nil {
			return nil, fmt.Errorf("read accounts: %w", err)
		}
		for _, rec := range recs {
			after = rec.Path
			var e encodedAccount
			if decodeInto(s, rec, &e) == nil {
				st := e.standing()
				i.accounts[strings.TrimPrefix(rec.Path, accountPrefix)] = nil
				if st.shredded.IsZero() {
					i.accounts[strings.TrimPrefix(rec.Path, accountPrefix)] = s.Under(st.key, st.others...)
				}
			}
		}
		if len(recs) < page {
			return i, nil
		}
	}
}

// Sealer is what seals the records of an account, closed or not. Of one that was shredded it is
// seal.ErrShredded: what it has left waits to be deleted, and nobody can open it.
func (i *Inspector) Sealer(account string) (*seal.Sealer, error) {
	s, ok := i.accounts[account]
	if !ok {
		return nil, errors.New("it belongs to an account whose own record is missing or cannot be opened")
	}
	if s == nil {
		return nil, seal.ErrShredded
	}
	return s, nil
}

// IsOurs reports whether a record at this path is of identities.
func IsOurs(path string) bool { return strings.HasPrefix(path, prefix) }

// Inspect opens a record of identities.
func (i *Inspector) Inspect(rec store.Record) error {
	switch {
	case strings.HasPrefix(rec.Path, accountPrefix):
		return decodeInto(i.seal, rec, new(encodedAccount))
	case strings.HasPrefix(rec.Path, usedPrefix):
		return decodeInto(i.seal, rec, new(encodedUse))
	}
	s := i.seal
	if owner := ownerOf(rec.Path); owner != "" {
		var err error
		if s, err = i.Sealer(owner); errors.Is(err, seal.ErrShredded) {
			return nil
		} else if err != nil {
			return err
		}
	}
	e, err := decode(s, rec)
	if err != nil {
		return err
	}
	_, err = i.Sealer(e.home())
	return err
}

// Kinds of what is described.
const (
	OfPrincipal = iota // or a policy, a provider, an account alias
	OfAccount
	OfAccessKey
)

// A Description is what two versions of a record of identities are compared by.
type Description struct {
	Kind    int
	Name    string   // such as "user services/app of 111122223333"
	Off     bool     // an access key that is inactive, an account that is closed
	Content [32]byte // SHA-256 of what else it says
}

// Describe opens a record of identities and describes it.
func (i *Inspector) Describe(rec store.Record) (Description, error) {
	if account, ok := strings.CutPrefix(rec.Path, accountPrefix); ok {
		var e encodedAccount
		if err := decodeInto(i.seal, rec, &e); err != nil {
			return Description{}, err
		}
		// Its keys and the number of changes are of no account to anybody.
		return Description{Kind: OfAccount, Name: "account " + account, Off: e.Closed != 0, Content: sha256.Sum256([]byte(e.Name))}, nil
	}
	s := i.seal
	if owner := ownerOf(rec.Path); owner != "" {
		var err error
		if s, err = i.Sealer(owner); err != nil {
			return Description{}, err
		}
	}
	e, err := decode(s, rec)
	if err != nil {
		return Description{}, err
	}
	d := Description{Name: nameOf(e) + " of " + e.home()}
	content := e.content()
	if k, ok := e.(*AccessKey); ok {
		content, d.Kind, d.Off = k.Secret.Expose(), OfAccessKey, k.Inactive
	}
	body, err := record.Encode(recordVersion, content)
	if err != nil {
		return Description{}, err
	}
	defer clear(body)
	d.Content = sha256.Sum256(body)
	return d, nil
}

func nameOf(e Entity) string {
	switch e := e.(type) {
	case *User:
		return "user " + e.Name
	case *Group:
		return "group " + e.Name
	case *Role:
		return "role " + e.Name
	case *ManagedPolicy:
		return "policy " + e.Name
	case *Provider:
		return "OpenID Connect provider " + e.URL
	case *AccessKey:
		return "access key " + e.ID
	case *AccountAlias:
		return "account alias " + e.Name
	}
	return e.path()
}
