package stsaction

import (
	"context"
	"slices"
	"strings"
	"time"

	"trent/internal/action"
	"trent/internal/api"
	"trent/internal/api/query"
	"trent/internal/api/stsapi"
	"trent/internal/fault"
	"trent/internal/iam"
	"trent/internal/identity"
)

// assuming is the family of actions that give out credentials. Nothing is stored of
// them but the signature of the request, as of one that changes something: who captures
// one cannot get credentials with it. The grace for replays stays: processes of one
// machine ask for the same session in the same second, with the same signature.
func assuming() []*action.Entry {
	return []*action.Entry{
		entry(action.Action[stsapi.AssumeRoleInput, stsapi.AssumeRoleOutput]{
			Name: "AssumeRole",
			Uses: []action.Use[stsapi.AssumeRoleInput]{
				{Kind: action.OnRole, Permit: "sts:AssumeRole", Entity: always, Keys: assumeRoleKeys()},
				{Kind: action.OnRole, Permit: "sts:TagSession", Entity: ifTagged, Keys: assumeRoleKeys()},
				{Kind: action.OnRole, Permit: "sts:SetSourceIdentity", Entity: ifSourced, Keys: assumeRoleKeys()},
			},
			Rules:   assumeRoleRules,
			Mutates: true,
			Audit: []string{"RoleArn", "RoleSessionName", "DurationSeconds", "PolicyArns", "Policy", "Tags", "TransitiveTagKeys", "ExternalId",
				"SourceIdentity"},
			Run: assumeRole,
		}),
		entry(action.Action[stsapi.GetSessionTokenInput, stsapi.GetSessionTokenOutput]{
			Name:    "GetSessionToken", // needs no permission: it gives nothing that the user does not have
			Rules:   func(in *stsapi.GetSessionTokenInput) error { return withoutMFA(in.SerialNumber, in.TokenCode) },
			Mutates: true,
			Audit:   []string{"DurationSeconds"},
			Run:     getSessionToken,
		}),
	}
}

func always(_ *action.Call, in *stsapi.AssumeRoleInput) string { return in.RoleArn }

// ifTagged: tags that are inherited are set on the new session too, and whoever set
// the role up must have agreed to them.
func ifTagged(c *action.Call, in *stsapi.AssumeRoleInput) string {
	if len(in.Tags) == 0 && len(c.Caller.TransitiveTags) == 0 {
		return ""
	}
	return in.RoleArn
}

func ifSourced(c *action.Call, in *stsapi.AssumeRoleInput) string {
	if in.SourceIdentity == "" && c.Caller.SourceIdentity == "" {
		return ""
	}
	return in.RoleArn
}

// assumeRoleKeys are the condition keys of the Service Authorization Reference for STS.
func assumeRoleKeys() action.Keys[stsapi.AssumeRoleInput] {
	type input = stsapi.AssumeRoleInput
	return action.Keys[input]{
		"sts:externalid":        func(in *input, _ []action.Held, _ string) iam.Value { return said(in.ExternalId) },
		"sts:rolesessionname":   func(in *input, _ []action.Held, _ string) iam.Value { return said(in.RoleSessionName) },
		"sts:sourceidentity":    func(in *input, _ []action.Held, _ string) iam.Value { return said(in.SourceIdentity) },
		"sts:transitivetagkeys": func(in *input, _ []action.Held, _ string) iam.Value { return iam.Texts(in.TransitiveTagKeys) },
		"aws:requesttag":        func(in *input, _ []action.Held, sub string) iam.Value { return tagged(tagsOf(in.Tags), sub) },
		"aws:tagkeys": func(in *input, _ []action.Held, _ string) iam.Value {
			var keys []string
			for _, t := range in.Tags {
				keys = append(keys, t.Key)
			}
			return iam.Texts(keys)
		},
		"aws:resourcetag": roleTag[input],
		"iam:resourcetag": roleTag[input],
	}
}

// roleTag is a tag of the role that is to be assumed.
func roleTag[In any](_ *In, h []action.Held, sub string) iam.Value {
	if h[0].Role == nil {
		return iam.Value{}
	}
	return tagged(h[0].Role.Tags, sub)
}

// said is the value of a member that was sent; one that was not is absent.
func said(s string) iam.Value {
	if s == "" {
		return iam.Value{}
	}
	return iam.Text(s)
}

func tagged(tags []identity.Tag, key string) iam.Value {
	for _, t := range tags {
		if strings.EqualFold(t.Key, key) {
			return iam.Text(t.Value)
		}
	}
	return iam.Value{}
}

func tagsOf(tags []stsapi.Tag) (out []identity.Tag) {
	for _, t := range tags {
		out = append(out, identity.Tag{Key: t.Key, Value: t.Value})
	}
	return out
}

// invalid says what is wrong with the value of a parameter.
func invalid(text string) error { return fault.New(query.InvalidParameterValue, text) }

// withoutMFA refuses what could not be checked.
func withoutMFA(serial, code string) error {
	if serial != "" || code != "" {
		return fault.New(api.UnsupportedOperationException, "Multi-factor authentication is not supported by this version of Trent: leave SerialNumber and TokenCode out.")
	}
	return nil
}

func assumeRoleRules(in *stsapi.AssumeRoleInput) error {
	if err := withoutMFA(in.SerialNumber, in.TokenCode); err != nil {
		return err
	}
	if len(in.ProvidedContexts) > 0 {
		return fault.New(api.UnsupportedOperationException, "ProvidedContexts is not supported by this version of Trent: leave it out.")
	}
	return checkTags(in.Tags, in.TransitiveTagKeys)
}

// checkTags says of session tags what the model cannot say.
func checkTags(tags []stsapi.Tag, transitive []string) error {
	var keys []string
	for _, t := range tags {
		switch folded := strings.ToLower(t.Key); {
		case slices.Contains(keys, folded):
			return invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		case strings.HasPrefix(folded, "aws:"):
			return invalid("Tag keys that begin with aws: are reserved.")
		default:
			keys = append(keys, folded)
		}
	}
	for _, k := range transitive {
		if !slices.Contains(keys, strings.ToLower(k)) {
			return invalid("TransitiveTagKeys has a key that is none of Tags. What the calling session passes on need not be said again.")
		}
	}
	return nil
}

func assumeRole(_ context.Context, c *action.Call, in *stsapi.AssumeRoleInput) (*stsapi.AssumeRoleOutput, error) {
	s, err := newSession(c, request{in.RoleSessionName, in.Policy, in.PolicyArns, in.DurationSeconds, in.MinimumSessionTokenSize})
	if err != nil {
		return nil, err
	}
	if err := inherit(s, c.Caller, in); err != nil {
		return nil, err
	}
	got, err := issue(c, s)
	if err != nil {
		return nil, err
	}
	return &stsapi.AssumeRoleOutput{
		Credentials: got.credentials, AssumedRoleUser: assumed(c, s), PackedPolicySize: got.packed, SourceIdentity: s.SourceIdentity,
		SessionTokenSize: got.size, SessionTokenUtilization: got.utilization,
	}, nil
}

// A request for a session of the role Held[0].Role.
type request struct {
	name       string
	policy     string
	policyARNs []stsapi.PolicyDescriptorType
	seconds    int // 0: an hour
	size       int // of the token at least
}

const (
	defaultSession = time.Hour
	maxChained     = time.Hour // of a session that a session makes
)

func newSession(c *action.Call, r request) (*identity.Session, error) {
	role := c.Held[0].Role
	life := defaultSession
	if r.seconds > 0 {
		life = time.Duration(r.seconds) * time.Second
	}
	switch {
	case life > role.MaxSession:
		return nil, fault.New(query.ValidationError, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	case life > maxChained && c.Caller.Kind == iam.RoleSession:
		return nil, fault.New(query.ValidationError, "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	s := &identity.Session{
		Account: role.Account, RoleID: role.ID, Name: r.name, Issued: c.Now.UTC().Truncate(time.Second), Policy: r.policy, MinimumSize: r.size,
	}
	s.Expires = s.Issued.Add(life)
	for _, p := range r.policyARNs {
		s.PolicyARNs = append(s.PolicyARNs, p.Arn)
	}
	return s, checkPolicies(c, s)
}

const (
	maxPolicyARNs = 10
	maxPolicySize = 2048 // of a session policy and the ARNs of managed ones together, in characters
)

func checkPolicies(c *action.Call, s *identity.Session) error {
	size := len([]rune(s.Policy))
	for _, name := range s.PolicyARNs {
		if size += len(name); len(s.PolicyARNs) > maxPolicyARNs {
			return fault.Newf(query.ValidationError, "A session has at most %d managed policies.", maxPolicyARNs)
		}
		if _, ok := c.Identities.Policy(s.Account, name); !ok {
			return fault.Newf(stsapi.MalformedPolicyDocument, "There is no policy %s that a session of this role can have. Managed session policies are of the role's own account.", name)
		}
	}
	if size > maxPolicySize {
		return fault.Newf(query.ValidationError, "The session policy and the ARNs of managed ones have %d characters together, and may have %d.", size, maxPolicySize)
	}
	if s.Policy == "" {
		return nil
	}
	if _, err := identity.ParsePolicy(s.Policy); err != nil {
		return fault.Newf(stsapi.MalformedPolicyDocument, "Syntax errors in policy. (%s)", strings.TrimPrefix(err.Error(), iam.ErrMalformed.Error()+": "))
	}
	return nil
}

// inherit gives a session its tags and source identity: those of the request, and
// those that the calling session passes on, which cannot be replaced.
func inherit(s *identity.Session, caller *iam.Principal, in *stsapi.AssumeRoleInput) error {
	switch s.SourceIdentity = caller.SourceIdentity; {
	case s.SourceIdentity == "":
		s.SourceIdentity = in.SourceIdentity
	case in.SourceIdentity != "" && in.SourceIdentity != s.SourceIdentity:
		return invalid("The session that calls has a source identity, which cannot be changed.")
	}
	s.Tags, s.TransitiveTags = tagsOf(in.Tags), slices.Clone(in.TransitiveTagKeys)
	for _, key := range caller.TransitiveTags {
		value, ok := tagOf(caller.Tags, key)
		switch {
		case !ok:
			continue
		case slices.ContainsFunc(s.Tags, func(t identity.Tag) bool { return strings.EqualFold(t.Key, key) }):
			return invalid("The session that calls passes on the tag " + key + ", which cannot be replaced.")
		}
		s.Tags = append(s.Tags, identity.Tag{Key: key, Value: value})
		s.TransitiveTags = append(s.TransitiveTags, key)
	}
	if len(s.Tags) > maxTags {
		return invalid("A session has at most 50 tags, with those that the calling session passes on.")
	}
	return nil
}

const maxTags = 50

func tagOf(tags []iam.Tag, key string) (string, bool) {
	for _, t := range tags {
		if strings.EqualFold(t.Key, key) {
			return t.Value, true
		}
	}
	return "", false
}

// assumed is who the new session is.
func assumed(c *action.Call, s *identity.Session) *stsapi.AssumedRoleUser {
	return &stsapi.AssumedRoleUser{AssumedRoleId: s.RoleID + ":" + s.Name, Arn: c.Identities.SessionARN(c.Held[0].Role, s.Name)}
}
