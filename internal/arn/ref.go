package arn

import "strings"

// AliasPrefix starts every alias name.
const AliasPrefix = "alias/"

// A Kind says which of the forms of KeyId a reference has.
type Kind int

// The forms of KeyId (contract of the API: key id, key ARN, alias name, alias ARN).
const (
	Malformed Kind = iota
	KeyID
	KeyARN
	AliasName
	AliasARN
)

// A Ref is a KeyId as sent, taken apart. Partition, Region and Account are
// empty in the two short forms; the caller's apply then.
type Ref struct {
	Kind      Kind
	Partition string
	Region    string
	Account   string
	Name      string // key id, or alias name with its prefix; as sent where malformed
	Raw       string
}

// IsAlias reports whether the reference goes through an alias.
func (r Ref) IsAlias() bool { return r.Kind == AliasName || r.Kind == AliasARN }

// ParseRef takes any of the four forms of KeyId. A Malformed result keeps what
// could be read, since the refusal depends on it.
func ParseRef(s string) Ref {
	switch {
	case strings.HasPrefix(s, "arn:"):
		return parseARNRef(s)
	case strings.HasPrefix(s, AliasPrefix):
		return Ref{Kind: AliasName, Name: s, Raw: s}
	case IsKeyID(s):
		return Ref{Kind: KeyID, Name: s, Raw: s}
	}
	return Ref{Name: s, Raw: s}
}

func parseARNRef(s string) Ref {
	a, ok := Parse(s)
	if !ok || a.Service != "kms" || a.Region == "" || !IsAccount(a.Account) {
		return Ref{Name: s, Raw: s}
	}
	r := Ref{Partition: a.Partition, Region: a.Region, Account: a.Account, Raw: s}
	if id, ok := strings.CutPrefix(a.Resource, "key/"); ok {
		r.Name = id
		if IsKeyID(id) {
			r.Kind = KeyARN
		}
		return r
	}
	r.Name = a.Resource
	if strings.HasPrefix(a.Resource, AliasPrefix) {
		r.Kind = AliasARN
	}
	return r
}

// MultiRegionPrefix starts the ids of multi-Region keys.
const MultiRegionPrefix = "mrk-"

// IsKeyID reports whether s is a key id: a UUID with its dashes, in either
// case, or mrk- and 32 hexadecimal digits.
func IsKeyID(s string) bool {
	if hex, ok := strings.CutPrefix(s, MultiRegionPrefix); ok {
		return len(hex) == 32 && allHex(hex)
	}
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		allHex(s[:8]) && allHex(s[9:13]) && allHex(s[14:18]) && allHex(s[19:23]) && allHex(s[24:])
}

func allHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
