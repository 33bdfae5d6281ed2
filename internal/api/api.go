package api

import (
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"trent/internal/fault"
	"trent/internal/secret"
)

// A Service is one of the APIs that are served, as its model describes it.
type Service struct {
	Name      string // in the scope of a credential: kms, iam, sts
	Version   string // of the API: the date of its model
	Namespace string // of the XML that it speaks; empty: it speaks JSON
	Global    bool   // it is signed for the home Region of its partition, whatever Region is meant
	Lookup    func(operation string) (*Operation, bool)
	// Status is the HTTP status of an error that the model lists; zero: it lists
	// no such error.
	Status func(fault.Code) int
}

// KMS is AWS KMS, the service whose vocabulary this package is.
func KMS() *Service { return &kms }

var kms = Service{Name: "kms", Version: "2014-11-01", Lookup: Lookup, Status: modelled}

// Input is the request of an operation. How it is read depends on the protocol
// of its service: see JSONInput and package query.
type Input interface {
	// Validate checks every constraint of the model and reports all that are
	// broken in one refusal.
	Validate() error
	// Has reports whether the request held the member of this wire name.
	Has(member string) bool
	// AppendMember appends the JSON value of a member and reports true, or
	// reports false if the member is absent, unknown or sensitive.
	AppendMember(dst []byte, member string) ([]byte, bool)
}

// Output is the answer of an operation: a JSONOutput or a query.Output, as the
// protocol of its service has it. nil is an answer without members.
type Output any

// JSONInput is the request of an operation of a service that speaks JSON.
type JSONInput interface {
	Input
	// UnmarshalJSONFrom reads one JSON object. Unknown members are skipped;
	// null counts as absent.
	UnmarshalJSONFrom(*jsontext.Decoder) error
}

// JSONOutput is the answer of an operation of a service that speaks JSON.
type JSONOutput interface {
	AppendJSON(dst []byte) []byte
}

// DryRunner is an input with the member DryRun.
type DryRunner interface{ DryRunMember() bool }

// GrantTokenHolder is an input with the member GrantTokens.
type GrantTokenHolder interface{ GrantTokenMembers() []string }

// RecipientHolder is an input with the member Recipient; nil if it is absent.
type RecipientHolder interface{ RecipientMember() *RecipientInfo }

// Encloser is an output with the member CiphertextForRecipient: that of every operation
// whose input is a RecipientHolder.
type Encloser interface {
	// Enclose puts the ciphertext of the one secret of the answer into its place and
	// wipes it, also when it fails. The secret's member and KeyMaterialId are absent
	// afterwards.
	Enclose(encrypt func(secret.Bytes) ([]byte, error)) error
}

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

// Presence holds a bit for each member that a decoded structure had, by the
// member's place in the model.
type Presence uint64

// Has reports whether the member at this place was there.
func (p Presence) Has(member int) bool { return p>>member&1 == 1 }

// Mark notes that the member at this place was there, if it was.
func (p *Presence) Mark(member int, present bool) {
	if present {
		*p |= 1 << member
	}
}

// Named is Has by the name of a member.
func (p Presence) Named(members []Member, name string) bool {
	for i := range members {
		if members[i].Name == name {
			return p.Has(i)
		}
	}
	return false
}
