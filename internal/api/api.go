package api

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/fault"
)

// Input is the request of an operation.
type Input interface {
	// UnmarshalJSONFrom reads one JSON object. Unknown members are skipped;
	// null counts as absent.
	UnmarshalJSONFrom(*jsontext.Decoder) error
	// Validate checks every constraint of the model and reports all that are
	// broken in one ValidationException.
	Validate() error
	// Has reports whether the request held the member of this wire name.
	Has(member string) bool
	// AppendMember appends the JSON value of a member and reports true, or
	// reports false if the member is absent, unknown or sensitive.
	AppendMember(dst []byte, member string) ([]byte, bool)
}

// Output is the answer of an operation.
type Output interface {
	AppendJSON(dst []byte) []byte
}

// DryRunner is an input with the member DryRun.
type DryRunner interface{ DryRunMember() bool }

// GrantTokenHolder is an input with the member GrantTokens.
type GrantTokenHolder interface{ GrantTokenMembers() []string }

// RecipientHolder is an input with the member Recipient; nil if it is absent.
type RecipientHolder interface{ RecipientMember() *RecipientInfo }

// OutputKind says what the body of a successful answer is.
type OutputKind uint8

const (
	NoOutput     OutputKind = iota // an empty body
	EmptyOutput                    // an object that never has members
	StructOutput                   // an object
)

// Kind is the type of a member.
type Kind uint8

const (
	KindString Kind = iota + 1
	KindEnum
	KindInteger
	KindLong
	KindBoolean
	KindTimestamp
	KindBlob
	KindList
	KindMap
	KindStructure
)

// Member describes a member of a structure.
type Member struct {
	Name       string // on the wire and in Go
	Kind       Kind
	Required   bool
	Sensitive  bool // it, or something inside it, must never be shown
	Ciphertext bool // made by a key of ours, or for the recipient
}

// Operation describes an action of the service.
type Operation struct {
	Name          string
	Errors        []fault.Code // those that the model lists
	Members       []Member     // of the input
	Output        OutputKind
	OutputMembers []Member

	// Whether the input has the member of this name.
	DryRun, GrantTokens, Recipient, Policy bool

	New func() Input
}

// Operations lists all operations in the order of the model.
func Operations() []*Operation { return slices.Clone(operations) }

// May reports whether the operation may answer this code: the model lists it,
// or any operation may fail in this way.
func (o *Operation) May(code fault.Code) bool {
	return slices.Contains(o.Errors, code) || common(code)
}

// presence holds a bit for each member that a decoded structure had, by the
// member's place in the model.
type presence uint64

func (p presence) has(member int) bool { return p>>member&1 == 1 }

func (p *presence) mark(member int, present bool) {
	if present {
		*p |= 1 << member
	}
}

func (p presence) named(members []Member, name string) bool {
	for i := range members {
		if members[i].Name == name {
			return p.has(i)
		}
	}
	return false
}
