// Package key is what a KMS key is: its record, its states and what its spec
// allows. It is pure: time is an argument, and there is no material here.
package key

import (
	"slices"
	"strings"
	"time"

	"trent/internal/iam"
)

// A Record is a key as it stood at one revision, without its material. Records
// are immutable once made: changing a key means making another record. A
// hundred thousand of them are kept in memory, so they are small: what is part
// of the ARN stands there alone.
type Record struct {
	*Kind
	ARN         string
	Description string

	Created        Moment
	DeletionDate   Moment // Never: no deletion is scheduled
	DeletionWindow int32  // days, as scheduled
	Enabled        bool   // what the operator wishes; State says what is

	Materials []Material // oldest first; the last is the current one
	Pending   *Material  // imported, and to be the current one after the next rotation; or nil
	Rotation  Rotation   // by the clock
	Regions   []string   // of a multi-Region key and its related keys: that of the primary, then the replicas'
	Aliases   []string   // names with their prefix, in the key's own account and Region
	Tags      []Tag      // in order of creation
	Policy    *iam.Policy

	External *External // of EXTERNAL_KEY_STORE; nil for others

	Rev uint64 // of the store; zero for a record that was never stored

	first [1]Material // where Materials lies, for the many keys that have one
}

// ID is the key id: a lower-case UUID, or mrk- and 32 hexadecimal digits.
func (r *Record) ID() string { return r.ARN[strings.LastIndexByte(r.ARN, '/')+1:] }

// Account is the 12-digit account that owns the key.
func (r *Record) Account() string {
	end := strings.LastIndexByte(r.ARN, '/') - len(":key")
	return r.ARN[end-accountLen : end]
}

// Region is where the key lives.
func (r *Record) Region() string {
	end := strings.LastIndexByte(r.ARN, '/') - len(":key") - accountLen - len(":")
	return r.ARN[strings.LastIndexByte(r.ARN[:end], ':')+1 : end]
}

const accountLen = 12

// An External is the half of a key that lies in an external key store. It is immutable.
type External struct {
	StoreID string // of the custom key store
	KeyID   string // of the external key, for its proxy
	// Unavailable says that the store is not connected, as it was when the record was read.
	Unavailable bool
}

// A Moment is a time in Unix milliseconds, as precise as the API shows it.
type Moment int64

// Never is no time at all.
const Never Moment = 0

// MomentOf cuts t to milliseconds; the zero time is Never.
func MomentOf(t time.Time) Moment {
	if t.IsZero() {
		return Never
	}
	return Moment(t.UnixMilli())
}

// Time is m in UTC; of Never, the zero time.
func (m Moment) Time() time.Time {
	if m == Never {
		return time.Time{}
	}
	return time.UnixMilli(int64(m)).UTC()
}

// A Tag of a key.
type Tag struct{ Key, Value string }

// Limits of one key (quotas of AWS KMS).
const (
	MaxAliases = 50
	MaxTags    = 50
)

// Clone copies the record, for a change. The slices are copied too.
func (r *Record) Clone() *Record {
	c := *r
	c.SetMaterials(r.Materials...)
	c.Aliases = slices.Clone(r.Aliases)
	c.Tags = slices.Clone(r.Tags)
	c.Regions = slices.Clone(r.Regions)
	return &c
}

// An Alias as it stood at one revision. Immutable, like a Record.
type Alias struct {
	Region   string
	Account  string
	Name     string // with its prefix
	ARN      string
	TargetID string // key id
	Created  Moment
	Updated  Moment
	Rev      uint64
}
