// Package key is what a KMS key is: its record, its states and what its spec
// allows. It is pure: time is an argument, and there is no material here.
package key

import (
	"slices"
	"time"

	"trent/internal/api"
	"trent/internal/iam"
)

// A Record is a key as it stood at one revision, without its material. Records
// are immutable once made: changing a key means making another record.
type Record struct {
	Partition string
	Region    string
	Account   string
	ID        string // a lower-case UUID, or mrk- and 32 hexadecimal digits
	ARN       string

	Created     time.Time // millisecond resolution
	Description string
	Spec        api.KeySpec
	Usage       api.KeyUsage
	Origin      api.Origin
	MultiRegion bool
	Enabled     bool // what the operator wishes; State says what is

	DeletionDate   time.Time // zero: no deletion is scheduled
	DeletionWindow int       // days, as scheduled

	Materials []MaterialID // oldest first; the last is the current one
	Aliases   []string     // names with their prefix, in the key's own account and Region
	Tags      []Tag        // in order of creation
	Policy    *iam.Policy

	Rev uint64 // of the store; zero for a record that was never stored
}

// A MaterialID names one material of one key: 32 bytes that are also in the
// header of each ciphertext made under it.
type MaterialID = [32]byte

// A Tag of a key.
type Tag struct{ Key, Value string }

// Limits of one key (quotas of AWS KMS).
const (
	MaxAliases = 50
	MaxTags    = 50
)

// Current is the material that encrypts, and whether there is one.
func (r *Record) Current() (MaterialID, bool) {
	if len(r.Materials) == 0 {
		return MaterialID{}, false
	}
	return r.Materials[len(r.Materials)-1], true
}

// Has reports whether id is one of the key's materials.
func (r *Record) Has(id MaterialID) bool { return slices.Contains(r.Materials, id) }

// Clone copies the record, for a change. The slices are copied too.
func (r *Record) Clone() *Record {
	c := *r
	c.Materials = slices.Clone(r.Materials)
	c.Aliases = slices.Clone(r.Aliases)
	c.Tags = slices.Clone(r.Tags)
	return &c
}

// An Alias as it stood at one revision. Immutable, like a Record.
type Alias struct {
	Partition string
	Region    string
	Account   string
	Name      string // with its prefix
	ARN       string
	TargetID  string // key id
	Created   time.Time
	Updated   time.Time
	Rev       uint64
}
