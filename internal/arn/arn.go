// Package arn parses and builds Amazon Resource Names. It only reads the
// shape; whether a thing of that name exists is for others to say.
//
// The general form is arn:partition:service:region:account:resource (AWS
// General Reference, "Amazon Resource Names"). Comparison is always of whole
// fields, never of prefixes.
package arn

import "strings"

// An ARN in its six fields. Region and Account may be empty, as in IAM.
type ARN struct {
	Partition string
	Service   string
	Region    string
	Account   string
	Resource  string // everything after the fifth colon
}

// MaxLen is the longest ARN, in bytes, that Parse takes (the ArnType of the API).
const MaxLen = 2048

// Parse splits s. It refuses what has fewer than six fields, an empty
// partition, service or resource, or a byte outside printable ASCII.
func Parse(s string) (ARN, bool) {
	rest, ok := strings.CutPrefix(s, "arn:")
	if !ok || len(s) > MaxLen || !printable(s) {
		return ARN{}, false
	}
	var a ARN
	for _, field := range []*string{&a.Partition, &a.Service, &a.Region, &a.Account} {
		if *field, rest, ok = strings.Cut(rest, ":"); !ok {
			return ARN{}, false
		}
	}
	a.Resource = rest
	return a, a.Partition != "" && a.Service != "" && a.Resource != ""
}

// String puts the fields together again.
func (a ARN) String() string {
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.Account + ":" + a.Resource
}

// Key is the ARN of a KMS key.
func Key(partition, region, account, id string) string {
	return "arn:" + partition + ":kms:" + region + ":" + account + ":key/" + id
}

// Alias is the ARN of an alias; name includes its "alias/".
func Alias(partition, region, account, name string) string {
	return "arn:" + partition + ":kms:" + region + ":" + account + ":" + name
}

// AccountRoot is the principal that stands for an account.
func AccountRoot(partition, account string) string {
	return "arn:" + partition + ":iam::" + account + ":root"
}

// IAM is the ARN of something in IAM, which has no Region; resource is such as
// user/team/bob.
func IAM(partition, account, resource string) string {
	return "arn:" + partition + ":iam::" + account + ":" + resource
}

// Session is the ARN of a session of a role, which is named without its path.
func Session(partition, account, role, session string) string {
	return "arn:" + partition + ":sts::" + account + ":assumed-role/" + role + "/" + session
}

// IsAccount reports whether s is an account id: twelve digits.
func IsAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
