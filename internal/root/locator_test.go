package root_test

import (
	"strings"
	"testing"

	"trent/internal/root"
)

func TestParseLocator(t *testing.T) {
	for _, c := range []struct{ text, kind, place, setting string }{
		{"file", "file", "", ""},
		{"file:/mnt/key/root.key", "file", "/mnt/key/root.key", ""},
		{"passphrase?x=3", "passphrase", "", "3"},
		{"awskms:arn:aws:kms:eu-west-1:111122223333:key/1?x=https://kms%3Fa", "awskms", "arn:aws:kms:eu-west-1:111122223333:key/1", "https://kms?a"},
		{"file:", "file", "", ""},
	} {
		l, err := root.ParseLocator(c.text)
		if err != nil || l.Kind != c.kind || l.Place != c.place || l.Settings.Get("x") != c.setting || l.String() != c.text {
			t.Errorf("%s: %+v, %v", c.text, l, err)
		}
	}
	for _, text := range []string{"", "file:a b", "file\n", "x?%zz", "file:" + strings.Repeat("a", 1024)} {
		if _, err := root.ParseLocator(text); err == nil {
			t.Errorf("%.40q was taken", text)
		}
	}
}

// A setting that is misspelt must not be passed over.
func TestLocatorOnly(t *testing.T) {
	for text, good := range map[string]bool{"k": true, "k?a=1": true, "k?a=1&a=2": false, "k?b=1&b=2": true, "k?c=1": false} {
		l, err := root.ParseLocator(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Only("a", "b..."); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParseLocator(f *testing.F) {
	f.Add("awskms:arn:aws:kms:eu-west-1:111122223333:key/1?endpoint=https://x")
	f.Add("shares?file=a&file=b")
	f.Fuzz(func(t *testing.T, text string) {
		if l, err := root.ParseLocator(text); err == nil && (l.String() != text || strings.Contains(l.Kind, ":")) {
			t.Errorf("%q became %+v", text, l)
		}
	})
}
