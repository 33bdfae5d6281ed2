package keyring

import (
	"crypto/sha256"
	"strings"

	"trent/internal/arn"
	"trent/internal/grant"
	"trent/internal/key"
	"trent/internal/store"
)

// placeOfPath is what a path of an account's record is about, and its kind.
func placeOfPath(path string) (kind string, at recordKey) {
	kind, rest, _ := strings.Cut(path, "/")
	account, rest, _ := strings.Cut(rest, "/")
	region, name, _ := strings.Cut(rest, "/")
	return kind, recordKey{account, region, name}
}

// Key opens the record of a key; nil: the record is of something else.
func (i *Inspector) Key(rec store.Record) (*key.Record, error) {
	kind, at := placeOfPath(rec.Path)
	if kind != "key" {
		return nil, nil
	}
	content, err := i.ring.unseal(at.account, rec.Path, rec.Value)
	if err != nil {
		return nil, err
	}
	return i.ring.decodeRecord(at, content, rec.Rev)
}

// Grant opens the record of a grant; nil: the record is of something else.
func (i *Inspector) Grant(rec store.Record) (*grant.Grant, error) {
	kind, at := placeOfPath(rec.Path)
	if kind != "grant" {
		return nil, nil
	}
	at.name, _, _ = strings.Cut(at.name, "/")
	return i.ring.unsealGrant(at, rec)
}

// Alias opens the record of an alias and returns its ARN-like name and the id of the key that it is
// for; no name: the record is of something else.
func (i *Inspector) Alias(rec store.Record) (name, target string, err error) {
	kind, at := placeOfPath(rec.Path)
	if kind != "alias" {
		return "", "", nil
	}
	name = arn.AliasPrefix + at.name + " of " + at.account + " in " + at.region
	at.name = arn.AliasPrefix + at.name
	content, err := i.ring.unseal(at.account, rec.Path, rec.Value)
	if err != nil {
		return name, "", err
	}
	a, err := i.ring.decodeAlias(at, content, rec.Rev)
	if err != nil {
		return name, "", err
	}
	return name, a.TargetID, nil
}

// Content is SHA-256 of what the record of an account's says.
func (i *Inspector) Content(rec store.Record) ([32]byte, error) {
	_, at := placeOfPath(rec.Path)
	content, err := i.ring.unseal(at.account, rec.Path, rec.Value)
	defer clear(content)
	return sha256.Sum256(content), err
}
