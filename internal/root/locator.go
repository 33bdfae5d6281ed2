package root

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A Locator says where a root of trust is to be found: KIND, KIND:PLACE or
// KIND:PLACE?NAME=VALUE&NAME=VALUE. Place and settings mean what the kind says.
// There is no secret in it: it may stand in a command line and in a log.
type Locator struct {
	Kind     string
	Place    string
	Settings url.Values
	text     string
}

// maxLocator bounds the text of a locator, in bytes.
const maxLocator = 1024

// ParseLocator reads a locator.
func ParseLocator(text string) (Locator, error) {
	if text == "" || len(text) > maxLocator || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return Locator{}, fmt.Errorf("root of trust %.80q: write KIND, KIND:PLACE or KIND:PLACE?NAME=VALUE, without blanks (%%20) and of at most %d bytes", text, maxLocator)
	}
	front, query, _ := strings.Cut(text, "?")
	kind, place, _ := strings.Cut(front, ":")
	settings, err := url.ParseQuery(query)
	if err != nil {
		return Locator{}, fmt.Errorf("root of trust %q: what follows the ? is not NAME=VALUE&NAME=VALUE", text)
	}
	return Locator{Kind: kind, Place: place, Settings: settings, text: text}, nil
}

// String is the locator as it was written.
func (l Locator) String() string { return l.text }

// Only fails if there are settings of other names than these, or one twice that
// does not end with "...", which says that it may be there several times.
func (l Locator) Only(names ...string) error {
	for name, values := range l.Settings {
		switch {
		case slices.Contains(names, name+"..."):
		case !slices.Contains(names, name):
			return fmt.Errorf("root of trust %s: a root of the kind %s has no setting %q", l, l.Kind, name)
		case len(values) > 1:
			return fmt.Errorf("root of trust %s: %q is given twice", l, name)
		}
	}
	return nil
}
