package shares

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"trent/internal/durable"
	"trent/internal/root"
	"trent/internal/root/terminal"
)

// maxFile bounds a file of shares, in bytes.
const maxFile = 16 << 10

// Open opens the root of trust at shares:FILE, at shares?file=FILE&file=FILE, or at shares,
// which asks for one share after the other at the terminal. A file has one share or
// several, each on a line.
func Open(l root.Locator) (*Root, error) {
	if err := l.Only("file..."); err != nil {
		return nil, err
	}
	paths := l.Settings["file"]
	if l.Place != "" {
		paths = append([]string{l.Place}, paths...)
	}
	if len(paths) == 0 {
		return ask()
	}
	var given []Share
	for _, path := range paths {
		found, err := readFile(path)
		if err != nil {
			return nil, err
		}
		given = append(given, found...)
	}
	return Combine(given)
}

func readFile(path string) ([]Share, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read shares: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, fmt.Errorf("read shares: %w", err)
	}
	var found []Share
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		s, err := Parse(line)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		found = append(found, s)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: there is no share in it", path)
	}
	return found, nil
}

// ask asks for shares until there are enough. A share that was mistyped can be typed
// again; three slips are enough.
func ask() (*Root, error) {
	var given []Share
	for slips := 0; ; {
		prompt := "A share"
		if len(given) > 0 {
			prompt = fmt.Sprintf("Share %d of the %d that are needed of the set %s", len(given)+1, given[0].Threshold, given[0].Set)
		}
		line, err := terminal.Ask(prompt)
		if err != nil {
			return nil, fmt.Errorf("%w: name the files of the shares (shares?file=FILE&file=FILE)", err)
		}
		s, err := Parse(string(line.Expose()))
		if err == nil {
			err = checkSet(append(given[:len(given):len(given)], s))
		}
		switch {
		case err == nil:
			return Combine(append(given, s))
		case errors.Is(err, errTooFew):
			given = append(given, s)
		default:
			if slips++; slips == 3 {
				return nil, err
			}
			if err := terminal.Say(err.Error()); err != nil {
				return nil, err
			}
		}
	}
}

// DefaultDir is where Create leaves the shares of a root of trust of that name if the locator does not
// say: a directory in the one that is the current one.
func DefaultDir(id string) string {
	return "trent-" + strings.ReplaceAll(id, ":", "-")
}

// Create makes a set of shares as shares?threshold=K&shares=N&out=DIR says, leaves each in a file of
// its own in a new directory, and opens the root of trust from these files.
func Create(l root.Locator) (*Root, error) {
	if err := l.Only("threshold", "shares", "out"); err != nil {
		return nil, err
	}
	k, err1 := strconv.Atoi(l.Settings.Get("threshold"))
	n, err2 := strconv.Atoi(l.Settings.Get("shares"))
	if err1 != nil || err2 != nil || l.Place != "" {
		return nil, fmt.Errorf("root of trust %s: for new shares say shares?threshold=K&shares=N, where any K of N are to open the store", l)
	}
	all, err := Split(k, n)
	if err != nil {
		return nil, err
	}
	dir := l.Settings.Get("out")
	if dir == "" {
		dir = DefaultDir("shares:" + all[0].Set)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the shares: %w", err)
	}
	var written []Share
	for _, s := range all {
		path := filepath.Join(dir, fmt.Sprintf("share-%d.txt", s.Index))
		if err := writeShare(path, s); err != nil {
			return nil, fmt.Errorf("write a share: %w", err)
		}
		back, err := readFile(path)
		if err != nil {
			return nil, err
		}
		written = append(written, back...)
	}
	if err := durable.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("make the shares durable: %w", err)
	}
	return Combine(written[n-k:])
}

func writeShare(path string, s Share) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, `# Share %d of %d of a root of trust of Trent, for the day on which the others are lost.
# Any %d of them open the store. Keep it apart from the others, and from the store.
%s
`, s.Index, s.Of, s.Threshold, s.Text())
	return errors.Join(err, f.Sync())
}
