package oidc

import (
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"trent/internal/fault"
)

// A Tag that a token wants its session to have.
type Tag struct{ Key, Value string }

// The claims by which a token says what its session is to be like (IAM User Guide, "Pass
// session tags in AWS STS", and "Monitor and control actions taken with assumed roles").
const (
	tagsClaim   = "https://aws.amazon.com/tags"
	sourceClaim = "https://aws.amazon.com/source_identity"
)

// The bounds of STS on tags and on a source identity.
const (
	maxTags              = 50
	maxTagKey            = 128 // characters
	maxTagValue          = 256
	minSource, maxSource = 2, 64
)

// wishes reads these claims into the token.
func (t *Token) wishes() error {
	if err := t.readTags(); err != nil {
		return err
	}
	if _, there := t.claims[sourceClaim]; !there {
		return nil
	}
	var ok bool
	if t.SourceIdentity, ok = t.claims.text(sourceClaim); !ok || !validSource(t.SourceIdentity) {
		return rejected(sourceClaim)
	}
	return nil
}

func (t *Token) readTags() error {
	raw, there := t.claims[tagsClaim]
	if !there {
		return nil
	}
	var wanted struct {
		Tags       map[string][]string `json:"principal_tags"`
		Transitive []string            `json:"transitive_tag_keys"`
	}
	if json.Unmarshal(raw, &wanted) != nil || len(wanted.Tags) > maxTags {
		return rejected(tagsClaim)
	}
	var folded []string
	for _, key := range slices.Sorted(maps.Keys(wanted.Tags)) {
		values := wanted.Tags[key]
		if len(values) != 1 || !validTag(key, values[0]) || slices.Contains(folded, strings.ToLower(key)) {
			return rejected(tagsClaim)
		}
		folded = append(folded, strings.ToLower(key))
		t.Tags = append(t.Tags, Tag{key, values[0]})
	}
	for _, key := range wanted.Transitive {
		if !slices.Contains(folded, strings.ToLower(key)) {
			return rejected(tagsClaim)
		}
	}
	t.TransitiveTags = wanted.Transitive
	return nil
}

func validTag(key, value string) bool {
	n := utf8.RuneCountInString(key)
	return n >= 1 && n <= maxTagKey && utf8.RuneCountInString(value) <= maxTagValue && !strings.HasPrefix(strings.ToLower(key), "aws:") &&
		!strings.ContainsFunc(key+value, func(r rune) bool {
			return !unicode.In(r, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", r)
		})
}

func validSource(s string) bool {
	return len(s) >= minSource && len(s) <= maxSource && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("_+=,.@-", r)
	})
}

func rejected(claim string) *fault.Error {
	return fault.New(RejectedClaim, "The claim "+claim+" is not what a session can be given.")
}
