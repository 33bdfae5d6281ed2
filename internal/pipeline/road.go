// Package pipeline is the road that every request walks, of every action, read
// or write, allowed or refused. walk.go is the walk, in one function of named
// steps; docs/life-of-a-request.md names the rooms. Nothing here knows an action
// by its name.
package pipeline

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/audit"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/keyring"
)

// A Request is what the door lets in.
type Request struct {
	ID        string // of this request, a UUID
	Received  time.Time
	Target    string // X-Amz-Target
	Body      []byte // whole; the road keeps no part of it
	Source    string // address of the peer
	UserAgent string
	Who       Authenticator
	Refused   error  // why the door itself refuses it; then the road only writes it down
	Room      []byte // where the answer may be put, if it has room
}

// Authenticator finds out who made a request. It is asked once, before anything
// of the body is parsed.
type Authenticator interface {
	Authenticate(ctx context.Context, body []byte, now time.Time) (Identity, error)
}

// An Identity is what a verified signature proves.
type Identity struct {
	Principal *iam.Principal
	Region    string // of the credential scope: the one that is called
	Signature string
	Signed    time.Time
	Expires   time.Time // when the signature is too old to be accepted
}

// An Answer is ready to leave: it has been written down.
type Answer struct {
	Status int
	Body   []byte // holds secrets; it belongs to the receiver, who forgets it
}

// Keys is the keyring as the road uses it.
type Keys interface {
	action.Lists
	finder
	opener
	Commit(ctx context.Context, changes []keyring.Change, seen *keyring.Sighting) error
	Replay(ctx context.Context, s keyring.Sighting) (replayed, first bool, err error)
}

// A Road leads to the keys of one ring. It may be walked by many goroutines.
type Road struct {
	table  map[string]*action.Entry
	notYet map[string]string
	keys   Keys
	audit  audit.Sink
	open   bool // answer although the audit record could not be written
	log    *slog.Logger
	now    func() time.Time
	lines  sync.Pool // *lineBuffers
	walks  sync.Pool // *walk, all zero
}

// lineBuffers are for making an audit record, which holds no secret.
type lineBuffers struct{ params, line []byte }

// Options of a Road.
type Options struct {
	Keys  Keys
	Audit audit.Sink
	// FailOpen lets answers leave when the audit record cannot be written. The
	// default is to refuse.
	FailOpen bool
	Log      *slog.Logger
	Now      func() time.Time
}

// New lays the road.
func New(o Options) *Road {
	return &Road{
		table: action.Table(), notYet: action.NotYet(),
		keys: o.Keys, audit: o.Audit, open: o.FailOpen, log: o.Log, now: o.Now,
	}
}

// The largest body of a request, in bytes, by what its operation may carry.
const (
	maxBody          = 64 << 10
	maxBodyTokens    = 128 << 10 // ten grant tokens of 8 KiB
	maxBodyPolicy    = 256 << 10
	maxBodyRecipient = 512 << 10 // an attestation document of 256 KiB, in base64
)

// BodyLimit is how large the body of a request with this target may be. The
// door asks it before it reads the body, and long before it hashes it.
func (r *Road) BodyLimit(target string) int64 {
	op, ok := api.Lookup(operation(target))
	switch {
	case !ok:
		return maxBody
	case op.Recipient:
		return maxBodyRecipient
	case op.Policy:
		return maxBodyPolicy
	case op.GrantTokens:
		return maxBodyTokens
	}
	return maxBody
}

const targetPrefix = "TrentService."

// operation is the name of the operation in a target, or nothing.
func operation(target string) string {
	if len(target) <= len(targetPrefix) || target[:len(targetPrefix)] != targetPrefix {
		return ""
	}
	return target[len(targetPrefix):]
}

// UnknownOperation is the code for a target that is no operation's.
const UnknownOperation fault.Code = "UnknownOperationException"
