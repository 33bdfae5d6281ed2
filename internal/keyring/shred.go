package keyring

import (
	"strings"

	"trent/internal/store"
)

// OwnerOf is the account that a record of the ring belongs to, by what is in clear of it; false: it is not
// the ring's, or of no account.
func OwnerOf(rec store.Record) (account string, ok bool) {
	place := strings.Split(rec.Path, "/")
	at := 1
	switch place[0] {
	case "key", "alias", "keystores", "external", "grant", "grantid", "grantname", "lastuse":
	case "retirable", "due", "rotation", "expiry": // party and Region, or minute and "key", come first
		at = 3
	case "material":
		owner, _, err := splitMaterial(rec.Path, rec.Value)
		account, _, ok = strings.Cut(string(owner), "/")
		return account, ok && err == nil
	default:
		return "", false
	}
	if len(place) <= at {
		return "", false
	}
	return place[at], true
}
