package stsaction

import (
	"context"
	"errors"
	"time"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/api/stsapi"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/identity"
)

// issued is credentials and what answers tell of them.
type issued struct {
	credentials *stsapi.Credentials
	packed      int // how much of the room for policies and tags is taken, in percent
	size        int // of the token, in bytes
	utilization int // of its largest size, in percent
}

// issue seals a session into its credentials.
func issue(c *action.Call, s *identity.Session) (issued, error) {
	made, packed, err := c.Identities.IssueSession(s)
	if large, ok := errors.AsType[*identity.TokenTooLarge](err); ok {
		return issued{}, fault.Newf(stsapi.PackedPolicyTooLarge, "Packed policy consumes %d%% of allotted space, please use smaller policy.", large.Percent)
	}
	if err != nil {
		return issued{}, fault.New(fault.Internal, "").Because(err)
	}
	c.Issued = made.AccessKeyID
	return issued{
		credentials: &stsapi.Credentials{AccessKeyId: made.AccessKeyID, SecretAccessKey: made.Secret, SessionToken: made.Token, Expiration: s.Expires},
		packed:      packed, size: made.Token.Len(), utilization: 100 * made.Token.Len() / identity.MaxToken,
	}, nil
}

const defaultUserSession = 12 * time.Hour

// getSessionToken is for users with a long-term key: a session cannot prolong itself,
// and the root user has too much to be handed around.
func getSessionToken(_ context.Context, c *action.Call, in *stsapi.GetSessionTokenInput) (*stsapi.GetSessionTokenOutput, error) {
	switch {
	case c.Caller.Kind == iam.RoleSession, !c.Caller.TokenIssued.IsZero():
		return nil, fault.New(api.AccessDeniedException, "Cannot call GetSessionToken with session credentials")
	case c.Caller.Kind != iam.User:
		return nil, fault.New(api.AccessDeniedException, "Cannot call GetSessionToken with the credentials of a root user. Make a user, or a role.")
	}
	life := defaultUserSession
	if in.DurationSeconds > 0 {
		life = time.Duration(in.DurationSeconds) * time.Second
	}
	s := &identity.Session{
		Account: c.Caller.Account, UserID: c.Caller.UniqueID, KeyID: c.Caller.AccessKeyID,
		Issued: c.Now.UTC().Truncate(time.Second), MinimumSize: in.MinimumSessionTokenSize,
	}
	s.Expires = s.Issued.Add(life)
	got, err := issue(c, s)
	if err != nil {
		return nil, err
	}
	return &stsapi.GetSessionTokenOutput{Credentials: got.credentials, SessionTokenSize: got.size, SessionTokenUtilization: got.utilization}, nil
}
