package authz

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"trent/internal/iam"
	"trent/internal/key"
)

// Conditions answers what condition keys are in one question: the global keys that
// the caller and its connection bring, those of the key, and the action's own.
// A key that it does not know is absent.
//
// Nothing here comes from what the caller merely claims: the service keys of AWS
// (kms:ViaService, aws:SourceArn and their like) could only come from a header, so
// they are absent.
type Conditions struct {
	Caller    *iam.Principal
	Now       time.Time
	Source    netip.Addr // of the caller, past trusted proxies; the zero Addr: unknown
	Secure    bool       // it came by TLS
	UserAgent string
	Region    string

	// Record is the key that is asked about, or nil where none is.
	Record *key.Record
	// Owner is the account of what is asked about, where that is neither a key nor in
	// the caller's account.
	Owner string
	// Account says that the question is one of those that have kms:CallerAccount
	// without being about a key.
	Account bool
	// Own gives the keys of the action itself.
	Own Own
	// Assumed, if not nil, comes before all else: what an explanation is asked to assume.
	Assumed map[iam.Key]iam.Value
}

// Own gives condition keys of an action: those that its table lists.
type Own interface{ Value(k iam.Key) iam.Value }

// Value implements iam.Context.
func (c *Conditions) Value(k iam.Key) iam.Value {
	if v, ok := c.Assumed[k]; ok {
		return v
	}
	if service, _, _ := strings.Cut(k.Name, ":"); service == "aws" {
		if v, ok := c.global(k); ok {
			return v
		}
	} else if v, ok := c.ofKey(k); ok {
		return v
	}
	if c.Own != nil {
		return c.Own.Value(k)
	}
	return iam.Value{}
}

// seenByKeyPolicy is Conditions without what only IAM policies see.
type seenByKeyPolicy Conditions

// Value implements iam.Context.
func (c *seenByKeyPolicy) Value(k iam.Key) iam.Value {
	if k.Name == "kms:resourcealiases" {
		return iam.Value{}
	}
	return (*Conditions)(c).Value(k)
}

// global are the keys that AWS calls global. Whether a key is among them does not
// depend on the request; its value may be absent all the same.
func (c *Conditions) global(k iam.Key) (v iam.Value, ok bool) {
	switch k.Name {
	case "aws:currenttime":
		return iam.Moment(c.Now), true
	case "aws:epochtime":
		return iam.Number(c.Now.Unix()), true
	case "aws:requestedregion":
		return text(c.Region), true
	case "aws:securetransport":
		return iam.Flag(c.Secure), true
	case "aws:sourceip":
		if !c.Source.IsValid() {
			return iam.Text("unknown"), true // which no operator on addresses can read: a Deny of some counts
		}
		return iam.Addr(c.Source), true
	case "aws:useragent":
		return text(c.UserAgent), true
	case "aws:viaawsservice", "aws:principalisawsservice":
		return iam.Flag(false), true
	case "aws:resourceaccount":
		if c.Record != nil {
			return iam.Text(c.Record.Account()), true
		}
		if c.Owner != "" {
			return iam.Text(c.Owner), true
		}
		return text(c.Caller.Account), true
	case "aws:resourcetag":
		if c.Record != nil {
			return tagged(k, c.Record), true
		}
		return iam.Value{}, false // CreateKey has it of the key to be
	}
	return c.ofCaller(k)
}

// ofCaller are the global keys that tell who asks.
func (c *Conditions) ofCaller(k iam.Key) (iam.Value, bool) {
	p := c.Caller
	switch k.Name {
	case "aws:principalarn":
		if p.Kind == iam.RoleSession {
			return text(p.RoleARN), true // the role, not the session
		}
		if p.Kind == iam.Nobody {
			return iam.Value{}, true // a web identity has no ARN
		}
		return text(p.ARN), true
	case "aws:principalaccount":
		return text(p.Account), true
	case "aws:principaltype":
		return text(principalType(p.Kind)), true
	case "aws:userid":
		return text(p.UniqueID), true
	case "aws:username":
		if p.Kind != iam.User {
			return iam.Value{}, true
		}
		return text(p.Name), true
	case "aws:principaltag":
		for _, t := range p.Tags {
			if iam.FoldsTo(t.Key, k.Sub) {
				return iam.Text(t.Value), true
			}
		}
		return iam.Value{}, true
	case "aws:sourceidentity":
		return text(p.SourceIdentity), true
	case "aws:federatedprovider":
		return text(p.FederatedProvider), true
	case "aws:tokenissuetime":
		if p.TokenIssued.IsZero() {
			return iam.Value{}, true
		}
		return iam.Moment(p.TokenIssued), true
	case "aws:multifactorauthpresent":
		if p.TokenIssued.IsZero() {
			return iam.Value{}, true // as with long-term credentials
		}
		return iam.Flag(false), true
	}
	return iam.Value{}, false
}

func principalType(k iam.Kind) string {
	switch k {
	case iam.RootUser:
		return "Account"
	case iam.User:
		return "User"
	case iam.RoleSession:
		return "AssumedRole"
	}
	return "Anonymous"
}

// ofKey are the keys that every question about a key has.
func (c *Conditions) ofKey(k iam.Key) (iam.Value, bool) {
	if k.Name == "kms:calleraccount" && (c.Record != nil || c.Account) {
		return text(c.Caller.Account), true
	}
	if c.Record == nil {
		return iam.Value{}, false
	}
	r := c.Record
	switch k.Name {
	case "kms:keyorigin":
		return iam.Text(string(r.Origin)), true
	case "kms:keyspec", "kms:customermasterkeyspec":
		return iam.Text(string(r.Spec)), true
	case "kms:keyusage", "kms:customermasterkeyusage":
		return iam.Text(string(r.Usage)), true
	case "kms:multiregion":
		return iam.Flag(r.IsMultiRegion()), true
	case "kms:multiregionkeytype":
		return text(string(r.MultiRegionKeyType())), true
	case "kms:resourcealiases":
		return iam.Texts(r.Aliases), true
	}
	return iam.Value{}, false
}

// tagged is the value of a tag. Where the names of several differ in case alone it is
// all their values, of which a single-valued operator takes none: who may set one of
// them must not speak for the other.
func tagged(k iam.Key, r *key.Record) iam.Value {
	named := func(t key.Tag) bool { return iam.FoldsTo(t.Key, k.Sub) }
	first := slices.IndexFunc(r.Tags, named)
	if first < 0 {
		return iam.Value{}
	}
	if !slices.ContainsFunc(r.Tags[first+1:], named) {
		return iam.Text(r.Tags[first].Value)
	}
	var values []string
	for _, t := range r.Tags[first:] {
		if named(t) {
			values = append(values, t.Value)
		}
	}
	return iam.Texts(values)
}

// text is a value that is absent where there is nothing to say.
func text(s string) iam.Value {
	if s == "" {
		return iam.Value{}
	}
	return iam.Text(s)
}
