package iamaction

import (
	"net/url"
	"slices"
	"strings"

	"trent/internal/action"
	"trent/internal/api/query"
	"trent/internal/fault"
)

// defaultPage is how many items a page has where nothing was asked for.
const defaultPage = 100

// A request for one page of a list.
type request struct {
	list     string // the operation, and of what, if its lists differ
	marker   string
	maxItems int // zero: not asked
}

// page cuts a page out of a list in the order of its keys. The marker of the next
// one is empty on the last.
func page[E any](c *action.Call, r request, all []E, key func(E) string) (items []E, next string, err error) {
	// A marker made for another operation, account or thing does not open.
	list := "iam\x00" + c.Caller.Account + "\x00" + r.list
	after, err := c.Lists.OpenMarker(list, r.marker)
	if err != nil {
		return nil, "", fault.New(query.ValidationError, "The Marker is none of this list's.")
	}
	if r.marker != "" {
		all = slices.Clone(all)
		all = slices.DeleteFunc(all, func(e E) bool { return strings.Compare(key(e), after) <= 0 })
	}
	most := r.maxItems
	if most == 0 {
		most = defaultPage
	}
	if len(all) <= most {
		return all, "", nil
	}
	items = all[:most]
	return items, c.Lists.SealMarker(list, key(items[most-1])), nil
}

// itself is the key of lists of names.
func itself(s string) string { return s }

// escaped is a policy document as answers have it (RFC 3986).
func escaped(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

// under drops what does not lie under a path.
func under[E any](all []E, prefix string, path func(E) string) []E {
	if prefix == "" {
		return all
	}
	return slices.DeleteFunc(all, func(e E) bool { return !strings.HasPrefix(path(e), prefix) })
}
