package identity

import (
	"crypto/subtle"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"trent/internal/arn"
	"trent/internal/iam"
	"trent/internal/secret"
	"trent/internal/sigv4"
)

// session is a token that has been opened.
type session struct {
	Session
	accessKeyID string
	token       string
	secret      secret.Bytes
	policy      *iam.Policy // compiled, or nil
	seen        atomic.Pointer[whoIsIt]
}

// whoIsIt is who a session speaks for in one snapshot.
type whoIsIt struct {
	snapshot  uint64
	principal *iam.Principal // nil: nobody any more
}

// session finds out whom temporary credentials speak for. A token is opened once and
// then remembered; who it is, with which policies, is looked up anew whenever any
// identity has changed, so that no session outlives its role.
func (d *Directory) session(accessKeyID, token string) (sigv4.Credential, error) {
	s := d.sessions.find(accessKeyID)
	if s == nil || subtle.ConstantTimeCompare([]byte(s.token), []byte(token)) == 0 {
		var err error
		if s, err = d.View().open(accessKeyID, token); err != nil {
			return sigv4.Credential{}, sigv4.ErrUnknownKey
		}
		d.sessions.keep(s)
	}
	p := s.principalIn(d.View())
	if p == nil {
		return sigv4.Credential{}, sigv4.ErrUnknownKey
	}
	return sigv4.Credential{Secret: s.secret, Revision: 1, Principal: p, Expires: s.Expires}, nil
}

// open opens a token. It keeps no part of the request.
func (v View) open(accessKeyID, token string) (*session, error) {
	opened, err := v.openToken(accessKeyID, token)
	if err != nil {
		return nil, err
	}
	s := &session{Session: opened, accessKeyID: strings.Clone(accessKeyID), token: strings.Clone(token)}
	if s.secret, err = v.sessionSecret(accessKeyID, token); err != nil {
		return nil, err
	}
	if s.Policy != "" {
		s.policy = compiled(s.Policy)
	}
	return s, nil
}

// principalIn is who the session is, or nil.
func (s *session) principalIn(v View) *iam.Principal {
	if seen := s.seen.Load(); seen != nil && seen.snapshot == v.snap.number {
		return seen.principal
	}
	p := s.principal(v)
	s.seen.Store(&whoIsIt{v.snap.number, p})
	return p
}

// principal makes whom the session speaks for, as things stand.
func (s *session) principal(v View) *iam.Principal {
	a := v.Account(s.Account)
	if !a.IsOpen() {
		return nil
	}
	p := s.ofRole(v, a)
	if s.RoleID == "" {
		p = s.ofUser(v, a)
	}
	if p != nil {
		p.AccessKeyID, p.TokenIssued = s.accessKeyID, s.Issued
	}
	return p
}

// ofUser is a session of a user. It ends with the access key that it was made with.
func (s *session) ofUser(v View, a *Account) *iam.Principal {
	k, ok := a.Keys.ByID(s.KeyID)
	if !ok || k.Inactive || k.UserID != s.UserID {
		return nil
	}
	if _, ok := a.Users.ByID(s.UserID); !ok {
		return nil
	}
	return a.principal(v.partition, k)
}

func (s *session) ofRole(v View, a *Account) *iam.Principal {
	r, ok := a.Roles.ByID(s.RoleID)
	if !ok {
		return nil
	}
	p := v.SessionOf(r, s.Name)
	p.Tags = mergeTags(s.Tags, r.Tags)
	p.TransitiveTags, p.SourceIdentity, p.FederatedProvider = s.TransitiveTags, s.SourceIdentity, s.Provider
	if s.policy != nil {
		p.SessionPolicies = append(p.SessionPolicies, s.policy)
	}
	for _, name := range s.PolicyARNs {
		p.SessionPolicies = append(p.SessionPolicies, a.inForce(v.partition, name))
	}
	return p
}

// mergeTags are the tags of a session, and those of its role that it does not replace.
func mergeTags(ofSession, ofRole []Tag) []iam.Tag {
	merged := iamTags(ofSession)
	for _, t := range ofRole {
		if !slices.ContainsFunc(ofSession, func(s Tag) bool { return strings.EqualFold(s.Key, t.Key) }) {
			merged = append(merged, iam.Tag{Key: t.Key, Value: t.Value})
		}
	}
	return merged
}

// maxSessions bounds how many opened tokens are remembered, of at most 4 KiB each.
const maxSessions = 8192

// sessions remembers opened tokens by access key id, in two generations: when the
// younger one is full, the older one is let go. A token that is not there costs
// opening it again.
type sessions struct {
	mu         sync.RWMutex
	young, old map[string]*session
}

func (c *sessions) find(accessKeyID string) *session {
	c.mu.RLock()
	s := c.young[accessKeyID]
	aging := s == nil
	if aging {
		s = c.old[accessKeyID]
	}
	c.mu.RUnlock()
	if aging && s != nil {
		c.keep(s)
	}
	return s
}

func (c *sessions) keep(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= maxSessions/2 {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[string]*session)
	}
	c.young[s.accessKeyID] = s
}

// SessionARN is the name of a session of a role.
func (v View) SessionARN(r *Role, name string) string {
	return arn.Session(v.partition, r.Account, r.Name, name)
}

// Role finds a role of any account that is open by its ARN.
func (v View) Role(name string) (*Role, bool) {
	id, ok := v.UniqueID(name)
	if !ok {
		return nil, false
	}
	parsed, _ := arn.Parse(name)
	a := v.Account(parsed.Account)
	r, ok := a.Roles.ByID(id)
	return r, ok && a.IsOpen()
}

// AccountOfKey is the account that a long-term access key belongs to.
func (v View) AccountOfKey(accessKeyID string) (account string, ok bool) {
	for _, a := range v.snap.accounts {
		if _, ok := a.Keys.ByID(accessKeyID); ok {
			return a.ID, true
		}
	}
	return "", false
}
