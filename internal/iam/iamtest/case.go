// Package iamtest holds the policy language against a second evaluator: it
// draws cases at random, and asks a plain one in Python, which was written from
// the published rules and not from the code that it is to judge.
package iamtest

import (
	"net/netip"
	"time"

	"trent/internal/iam"
)

// A Case is a request with all policies that have a say in it. In JSON it is
// the input of evaluate.py, which describes it.
type Case struct {
	Principal         Principal         `json:"principal"`
	Action            string            `json:"action"`
	Resource          string            `json:"resource"`
	Context           []Value           `json:"context"`
	Key               *Key              `json:"key"` // nil: asked of the account
	Trust             *string           `json:"trust"`
	Identity          []string          `json:"identity"`
	Boundary          *string           `json:"boundary"`
	Session           []string          `json:"session"` // nil: none was passed
	Grants            []Grant           `json:"grants"`
	EncryptionContext map[string]string `json:"encryption_context"`
}

// A Principal is an iam.Principal without its policies.
type Principal struct {
	Kind      string `json:"kind"` // nobody, root, user or session
	Partition string `json:"partition"`
	Account   string `json:"account"`
	ARN       string `json:"arn"`
	ID        string `json:"id"`
	RoleARN   string `json:"role_arn"`
	RoleID    string `json:"role_id"`
	Provider  string `json:"provider"`
}

// A Key is the key that is asked for.
type Key struct {
	Account string `json:"account"`
	Policy  string `json:"policy"`
}

// A Grant on the key. A nil map is no constraint.
type Grant struct {
	Grantee    string            `json:"grantee"` // an ARN
	Operations []string          `json:"operations"`
	Equals     map[string]string `json:"equals"`
	Subset     map[string]string `json:"subset"`
	SourceARN  string            `json:"source_arn"`
}

// A Value is that of one condition key.
type Value struct {
	Name  string `json:"name"`
	Sub   string `json:"sub"`
	Type  string `json:"type"`
	Value any    `json:"value"` // text: string; texts: []string; flag: bool; number: int64; moment: [2]int64, seconds and nanoseconds; addr: string
}

// An Answer is what evaluate.py says of a case.
type Answer struct {
	Key      *Said  `json:"key"`
	Trust    *Said  `json:"trust"`
	Boundary *Said  `json:"boundary"`
	Identity []Said `json:"identity"`
	Session  []Said `json:"session"`
	Decision string `json:"decision"` // allow, explicit deny, implicit deny; or nothing, of a malformed policy
}

// Said is what one document says, and whether it may be stored.
type Said [2]string

// Outcome is the first half.
func (s Said) Outcome() string { return s[0] }

// Check is the second.
func (s Said) Check() string { return s[1] }

// IAM is the principal as iam has it.
func (p Principal) IAM() *iam.Principal {
	kinds := map[string]iam.Kind{"nobody": iam.Nobody, "root": iam.RootUser, "user": iam.User, "session": iam.RoleSession}
	return &iam.Principal{
		Kind: kinds[p.Kind], Partition: p.Partition, Account: p.Account, ARN: p.ARN, UniqueID: p.ID,
		RoleARN: p.RoleARN, RoleID: p.RoleID, FederatedProvider: p.Provider,
	}
}

// Request is the case as a request to iam.
func (c *Case) Request() *iam.Request {
	values := make(context, len(c.Context))
	for _, v := range c.Context {
		values[iam.Key{Name: v.Name, Sub: v.Sub}] = v.iam()
	}
	return &iam.Request{Principal: c.Principal.IAM(), Action: iam.NewAction(c.Action), Resource: c.Resource, Context: values}
}

// Assumed is the value of every condition key that a case can be about, absent ones
// too.
func (c *Case) Assumed() map[iam.Key]iam.Value {
	all := make(map[iam.Key]iam.Value, len(contextKeys))
	for _, k := range contextKeys {
		all[iam.Key{Name: k.name, Sub: k.sub}] = iam.Value{}
	}
	for _, v := range c.Context {
		all[iam.Key{Name: v.Name, Sub: v.Sub}] = v.iam()
	}
	return all
}

// context is an iam.Context that has everything beforehand.
type context map[iam.Key]iam.Value

func (c context) Value(k iam.Key) iam.Value { return c[k] }

func (v Value) iam() iam.Value {
	switch x := v.Value.(type) {
	case string:
		if v.Type == "addr" {
			return iam.Addr(netip.MustParseAddr(x))
		}
		return iam.Text(x)
	case []string:
		return iam.Texts(x)
	case bool:
		return iam.Flag(x)
	case int64:
		return iam.Number(x)
	case [2]int64:
		return iam.Moment(time.Unix(x[0], x[1]))
	}
	panic("iamtest: a value of no type")
}
