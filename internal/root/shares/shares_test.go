package shares_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"trent/internal/root"
	"trent/internal/root/roottest"
	"trent/internal/root/shares"
)

func split(t interface{ Fatal(...any) }, k, n int) []shares.Share {
	all, err := shares.Split(k, n)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestSuite(t *testing.T) {
	var all []shares.Share
	open := func(t *testing.T, some []shares.Share) root.Root {
		r, err := shares.Combine(some)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	roottest.Run(t,
		func(t *testing.T) root.Root { all = split(t, 3, 5); return open(t, all[:3]) },
		func(t *testing.T) root.Root { return open(t, all[2:]) })
}

// Any k of n open the same root, in any order, through their text; k-1 do not.
func TestAnyThresholdOpens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 8).Draw(t, "n")
		k := rapid.IntRange(2, n).Draw(t, "k")
		all := split(t, k, n)
		some := rapid.Permutation(all).Draw(t, "order")[:rapid.IntRange(k-1, n).Draw(t, "given")]
		var read []shares.Share
		for _, s := range some {
			back, err := shares.Parse(" " + strings.ToUpper(s.Text()) + "\r\n")
			if err != nil {
				t.Fatal(err)
			}
			read = append(read, back)
		}
		r, err := shares.Combine(read)
		switch {
		case len(some) < k && (!errors.Is(err, root.ErrUnavailable) || !strings.Contains(err.Error(), "too few")):
			t.Errorf("%d of %d opened: %v", len(some), k, err)
		case len(some) >= k && (err != nil || r.ID() != "shares:"+all[0].Set):
			t.Errorf("%d of %d did not open: %v", len(some), k, err)
		}
	})
}

func TestSplitRefuses(t *testing.T) {
	for _, c := range [][2]int{{0, 0}, {1, 3}, {4, 3}, {2, 33}, {-1, 2}} {
		if _, err := shares.Split(c[0], c[1]); err == nil {
			t.Errorf("%d of %d", c[0], c[1])
		}
	}
}

// What is the matter is told, and nothing of what is in the shares.
func TestWrongShares(t *testing.T) {
	a, b := split(t, 2, 3), split(t, 2, 3)
	for name, c := range map[string]struct {
		given []shares.Share
		want  string
	}{
		"none":  {nil, "none was given"},
		"few":   {a[:1], "too few"},
		"mixed": {[]shares.Share{a[0], b[1]}, "different sets"},
		"twice": {[]shares.Share{a[0], a[0]}, "given twice"},
		"moved": {[]shares.Share{a[0], renamed(t, b[1], a[1])}, "at least one was altered"},
	} {
		_, err := shares.Combine(c.given)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range slices.Concat(a, b) {
			if err != nil && strings.Contains(err.Error(), valueOf(s)) {
				t.Errorf("%s: the refusal tells a share", name)
			}
		}
	}
}

func valueOf(s shares.Share) string { return strings.Split(s.Text(), ":")[5] }

// renamed is s, said to be another one, with a check that is right.
func renamed(t *testing.T, s, as shares.Share) shares.Share {
	s.Set, s.Index = as.Set, as.Index
	back, err := shares.Parse(s.Text())
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// Each slip of the hand is found before anything is computed.
func TestParseFindsSlips(t *testing.T) {
	text := split(t, 2, 3)[1].Text()
	for i := range text {
		for _, c := range []byte("0f:x") {
			bad := []byte(text)
			if bad[i] == c {
				continue
			}
			bad[i] = c
			if _, err := shares.Parse(string(bad)); err == nil {
				t.Fatalf("byte %d became %c", i, c)
			} else if strings.Contains(err.Error(), strings.Split(text, ":")[5]) {
				t.Fatal("the refusal tells the share")
			}
		}
	}
	for _, bad := range []string{"", text[:len(text)-1], text + "0", text + ":", strings.Replace(text, "v1", "v2", 1), "trent-root-v1:00:AA=="} {
		if _, err := shares.Parse(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func locator(t *testing.T, text string) root.Locator {
	t.Helper()
	l, err := root.ParseLocator(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	r, err := shares.Create(locator(t, "shares?threshold=2&shares=3&out="+dir))
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 3; i++ {
		path := filepath.Join(dir, "share-"+string(rune('0'+i))+".txt")
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", path, err)
		}
	}
	for text, good := range map[string]bool{
		"shares?file=" + dir + "/share-3.txt&file=" + dir + "/share-1.txt":  true,
		"shares:" + dir + "/share-3.txt?file=" + dir + "/share-2.txt":       true,
		"shares:" + dir + "/share-3.txt":                                    false,
		"shares:" + dir + "/share-3.txt?file=" + dir + "/share-3.txt":       false,
		"shares:" + dir + "/none?file=" + dir + "/share-3.txt":              false,
		"shares:" + dir + "/share-3.txt?files=" + dir + "/share-2.txt":      false,
		"shares?file=" + dir + "/share-3.txt&file=" + "/dev/null":           false,
		"shares?file=" + dir + "/share-3.txt&file=" + dir:                   false,
		"shares?file=" + dir + "/share-1.txt&file=" + dir + "/share-10.txt": false,
	} {
		got, err := shares.Open(locator(t, text))
		if (err == nil) != good || err == nil && got.ID() != r.ID() {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, bad := range []string{"shares", "shares?threshold=2", "shares?threshold=2&shares=x", "shares:x?threshold=2&shares=3", "shares?threshold=2&shares=3&out=" + dir} {
		if _, err := shares.Create(locator(t, bad)); err == nil {
			t.Errorf("%s made shares", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(split(f, 2, 3)[0].Text())
	f.Add("trent-share-v1:0123456789abcdef:2:3:1:" + strings.Repeat("f", 64) + ":00000000")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := shares.Parse(text); err == nil && s.Text() != strings.ToLower(strings.TrimSpace(text)) {
			t.Errorf("%q became %q", text, s.Text())
		}
	})
}
