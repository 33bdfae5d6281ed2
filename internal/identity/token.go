package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"trent/internal/record"
	"trent/internal/seal"
	"trent/internal/secret"
	"trent/internal/sigv4"
)

// A Session is what temporary credentials stand for. Nothing of it is stored: it
// travels, sealed, in the session token, and whoever brings the token back has signed
// with a secret that only the token's owner was told. docs/spec/session-token.md.
type Session struct {
	Account string
	RoleID  string // of a session of a role; or
	UserID  string // of a session of a user,
	KeyID   string // and the access key that it was asked for with

	Name           string // RoleSessionName
	Issued         time.Time
	Expires        time.Time
	Policy         string   // a session policy; empty: none
	PolicyARNs     []string // managed session policies
	Tags           []Tag    // of the session, inherited ones too
	TransitiveTags []string // keys of those that pass on
	SourceIdentity string
	Provider       string // ARN of the provider that vouched for a web identity; empty: none did
	Subject        string // of that web identity
	MinimumSize    int    // of the token, in bytes; what is missing is padding
}

// TemporaryCredentials are what a client needs to act as a session.
type TemporaryCredentials struct {
	AccessKeyID string // ASIA…
	Secret      secret.Bytes
	Token       secret.Bytes
}

// MaxToken is the longest session token, in bytes.
const MaxToken = sigv4.MaxToken

const (
	// sessionPath is where the record of a session would lie if it lay in the store. It is
	// bound to the token, so that no token passes for a record, no record for a
	// token, and no token for that of another access key.
	sessionPath = "session/"
	// sessionSecret is the purpose that secret access keys of sessions are derived for.
	sessionSecret = "session secret v1\x00"
	// sessionVersion is the first byte of what is sealed.
	sessionVersion = 1
)

// encodedSession is the content of a token.
type encodedSession struct {
	Account        string   `cbor:"1,keyasint"`
	RoleID         string   `cbor:"2,keyasint,omitempty"`
	UserID         string   `cbor:"3,keyasint,omitempty"`
	KeyID          string   `cbor:"4,keyasint,omitempty"`
	Name           string   `cbor:"5,keyasint,omitempty"`
	Issued         int64    `cbor:"6,keyasint"` // seconds since 1970
	Expires        int64    `cbor:"7,keyasint"`
	Policy         string   `cbor:"8,keyasint,omitempty"`
	PolicyARNs     []string `cbor:"9,keyasint,omitempty"`
	Tags           []Tag    `cbor:"10,keyasint,omitempty"`
	TransitiveTags []string `cbor:"11,keyasint,omitempty"`
	SourceIdentity string   `cbor:"12,keyasint,omitempty"`
	Provider       string   `cbor:"13,keyasint,omitempty"`
	Subject        string   `cbor:"14,keyasint,omitempty"`
	Padding        []byte   `cbor:"15,keyasint,omitempty"`
}

func (s *Session) encoded() encodedSession {
	return encodedSession{
		s.Account, s.RoleID, s.UserID, s.KeyID, s.Name, s.Issued.Unix(), s.Expires.Unix(), s.Policy, s.PolicyARNs, s.Tags,
		s.TransitiveTags, s.SourceIdentity, s.Provider, s.Subject, nil,
	}
}

func (e *encodedSession) session() Session {
	return Session{
		e.Account, e.RoleID, e.UserID, e.KeyID, e.Name, time.Unix(e.Issued, 0).UTC(), time.Unix(e.Expires, 0).UTC(), e.Policy, e.PolicyARNs, e.Tags,
		e.TransitiveTags, e.SourceIdentity, e.Provider, e.Subject, 0,
	}
}

// A TokenTooLarge says that a session does not fit into a token.
type TokenTooLarge struct {
	Size    int // that it would have, in bytes
	Percent int // of the room for policies and tags that these take
}

// Error implements error.
func (e *TokenTooLarge) Error() string {
	return fmt.Sprintf("identity: the session token would have %d bytes, and may have %d", e.Size, MaxToken)
}

// IssueSession makes credentials of a session, or says *TokenTooLarge. percent is how
// much of the room for policies and tags they take.
func (v View) IssueSession(s *Session) (c TemporaryCredentials, percent int, err error) {
	c.AccessKeyID = uniqueID("ASIA")
	e := s.encoded()
	size, err := e.tokenSize()
	if err != nil {
		return c, 0, err
	}
	bare := e
	bare.Policy, bare.PolicyARNs, bare.Tags, bare.TransitiveTags = "", nil, nil, nil
	without, err := bare.tokenSize()
	if err != nil {
		return c, 0, err
	}
	room := MaxToken - without
	if percent = (100*(size-without) + room - 1) / room; size > MaxToken {
		return c, percent, &TokenTooLarge{size, percent}
	}
	e.pad(min(s.MinimumSize, MaxToken), size)
	token, err := v.sealToken(c.AccessKeyID, e)
	if err != nil {
		return c, 0, err
	}
	c.Token = secret.New([]byte(token))
	c.Secret, err = v.sessionSecret(c.AccessKeyID, token)
	return c, percent, err
}

// tokenSize is how long the token will be, in bytes.
func (e *encodedSession) tokenSize() (int, error) {
	body, err := e.body()
	return base64.RawURLEncoding.EncodedLen(len(body) + seal.Overhead), err
}

// pad makes a token of some size as long as it is to be, or longer by the few bytes
// that a padding has in front of it.
func (e *encodedSession) pad(to, size int) {
	if to <= size {
		return
	}
	missing, head := (3*to+3)/4-3*size/4, 2 // sealed bytes; and of the padding's key and length
	if missing > 24 {
		head++
	}
	if missing > 256 {
		head++
	}
	e.Padding = make([]byte, max(1, missing-head))
}

func (e *encodedSession) body() ([]byte, error) { return record.Encode(sessionVersion, e) }

func (v View) sealToken(accessKeyID string, e encodedSession) (string, error) {
	body, err := e.body()
	if err != nil {
		return "", err
	}
	sealed, err := v.seal.Seal(sessionPath+accessKeyID, body)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// sessionSecret derives the secret access key of a session: 40 characters, of 30 bytes.
// It is in no token; the access key id, which is never given twice, leads to it.
func (v View) sessionSecret(accessKeyID, token string) (secret.Bytes, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return secret.Bytes{}, errToken
	}
	k, err := v.seal.DeriveFor(sealed, sessionSecret+accessKeyID)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer k.Wipe()
	out := make([]byte, 40)
	base64.StdEncoding.Encode(out, k.Expose()[:30])
	return secret.New(out), nil
}

// errToken is every token that we did not make for this access key.
var errToken = errors.New("identity: the session token is not authentic")

// openToken reads a token of at most MaxToken bytes.
func (v View) openToken(accessKeyID, token string) (Session, error) {
	if len(token) > MaxToken || !strings.HasPrefix(accessKeyID, "ASIA") {
		return Session{}, errToken
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || base64.RawURLEncoding.EncodedLen(len(sealed)) != len(token) { // a line break is passed over
		return Session{}, errToken
	}
	body, err := v.seal.Open(sessionPath+accessKeyID, sealed)
	if err != nil {
		return Session{}, errToken
	}
	var e encodedSession
	// What is not known in a token of a newer Trent may be what bounds the session.
	if err := record.DecodeKnown(sessionVersion, body, &e); err != nil {
		return Session{}, errToken
	}
	return e.session(), nil
}
